"""How the names of facts begin, by what they are about; and how long is waited for what a step has not finished."""

from __future__ import annotations

ANALYSIS = "istioctl analyze"
POSTURE = "posture "
CLIENT = ": client "  # of a posture, before the name of a client
PROXY = "proxy "
ISTIOD = "istiod "  # before the name of a revision
IN_STEP = "in step with istiod: "
CONFIGURATION = "configuration of "
REFUSED = "refused by "
WEBHOOK = "webhook "
KIND = "kind "
ANSWER, REQUEST = "answer by ", "request by "  # before the name of a way through the mesh
KUBERNETES = "Kubernetes"
