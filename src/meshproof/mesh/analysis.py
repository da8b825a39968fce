"""What ``istioctl analyze`` says of a cluster, or of files.

Source: https://istio.io/latest/docs/reference/config/analysis/ (the codes) and
https://istio.io/latest/docs/ops/diagnostic-tools/istioctl-analyze/
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from meshproof.errors import ClusterError, CommandFailed
from meshproof.machine import process
from meshproof.settings import TIMEOUTS


class Level(Enum):
    """How bad istioctl finds what it tells."""

    ERROR = "Error"
    WARNING = "Warning"
    INFO = "Info"


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that istioctl tells.

    Attributes:
        code: What kind of thing, such as ``IST0101``: something that is referred to is not there.
        level: How bad it is.
        text: What it is.
        origin: The object that it is about, such as ``VirtualService default/shop``; empty where it is about none.
    """

    code: str
    level: Level
    text: str
    origin: str

    def __str__(self) -> str:
        return f"{self.level.value} {self.code} ({self.origin}): {self.text}"


def analyze(istioctl: Path, *files: Path, kubeconfig: Path | None = None) -> list[Message]:
    """Ask istioctl what it finds wrong.

    Args:
        istioctl: The program, of the release of Istio that is asked about.
        files: Manifests, which are looked at as if they were applied.
        kubeconfig: The cluster, all of its namespaces; None looks at the files alone.

    Returns:
        All messages, as istioctl orders them; none if it finds nothing.

    Raises:
        ClusterError: It could not look: a file is no manifest, the cluster does not answer, or has no Istio.
    """
    where = [f"--kubeconfig={kubeconfig}", "--all-namespaces"] if kubeconfig else ["--use-kube=false"]
    what = ", ".join(map(str, files)) or f"the cluster of {kubeconfig}"
    try:
        printed = process.run([istioctl, "analyze", "--output=json", *where, *files], timeout=TIMEOUTS.program)
        messages = json.loads(printed or "null") or []
    except (CommandFailed, ValueError) as error:
        raise ClusterError(f"`istioctl analyze` could not look at {what}: {error}") from error
    return [
        Message(message["code"], Level(message["level"]), message["message"], message.get("origin", ""))
        for message in messages
    ]
