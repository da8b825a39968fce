"""How the names of facts begin, by what they are about."""

from __future__ import annotations

ANALYSIS = "istioctl analyze"
POSTURE = "posture "
PROXY = "proxy "
IN_STEP = "in step with istiod: "
CONFIGURATION = "configuration of "
REFUSED = "refused by "
WEBHOOK = "webhook "
KIND = "kind "
