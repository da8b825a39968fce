"""A client inside the cluster: curl in a pod, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meshproof.cluster.kube import Kube
from meshproof.errors import ClusterError
from meshproof.settings import TIMEOUTS


class CurlEnd(Enum):
    """How a transfer ended, by curl's exit status. Source: curl(1), EXIT CODES."""

    ANSWERED = 0
    UNRESOLVED = 6
    REFUSED = 7
    TIMED_OUT = 28
    TLS_FAILED = 35
    EMPTY_REPLY = 52
    RESET = 56
    SERVER_CERT_UNTRUSTED = 60

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Transfer:
    """One request from inside the cluster.

    Attributes:
        end: How it ended.
        status: The status code; None without an answer.
        body: What was answered; of what did not end well, what came of it.
    """

    end: CurlEnd
    status: int | None = None
    body: str = ""

    def __str__(self) -> str:
        return f"{self.end} {self.status}" if self.status else str(self.end)


@dataclass(frozen=True, slots=True)
class Workload:
    """A container with curl in it.

    Attributes:
        kube: The cluster.
        namespace: Where it runs.
        app: Its ``app`` label.
        container: Which container of the pod.
    """

    kube: Kube
    namespace: str
    app: str
    container: str = "curl"

    def curl(self, url: str, *options: str) -> Transfer:
        """Send one request.

        Raises:
            ClusterError: curl ended in a way that has no name here, with what it said.
        """
        mark = "\n%{http_code}"
        command = ["curl", "--silent", "--show-error", "--max-time", f"{TIMEOUTS.request:.0f}", "--write-out", mark]
        pod = self.kube.pods.any_ready(self.namespace, self.app)
        output = self.kube.pods.run(self.namespace, pod, self.container, [*command, *options, url])
        try:
            end = CurlEnd(output.status)
        except ValueError as error:
            raise ClusterError(
                f"curl from {self.namespace}/{pod} to {url} ended with status {output.status}: {output.err.strip()}. "
                "Give this end a name in mesh/workload.py if it is one to expect."
            ) from error
        body, _, status = output.out.rpartition("\n")
        return Transfer(end, int(status) if end is CurlEnd.ANSWERED else None, body)
