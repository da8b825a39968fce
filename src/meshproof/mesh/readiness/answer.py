"""The answer: who would be refused, by configuration and by traffic, each with what it is known from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum

from meshproof.mesh.readiness.clients import Cause
from meshproof.mesh.readiness.counters import ConnectionCounts


class Verdict(Enum):
    """What the answer comes to."""

    READY = "ready"
    NOT_READY = "not ready"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


class Evidence(Enum):
    """What something is known from."""

    CONFIGURATION = "configuration"
    """It will be so, whether or not anybody has tried yet."""
    TRAFFIC = "traffic"
    """A proxy has seen it."""

    def __str__(self) -> str:
        return self.value


@dataclass(slots=True)
class Client:
    """Who would be refused.

    Attributes:
        name: The workload, or an address that is none of a pod's.
        pods: Its pods; none of an address.
        refused_by: The servers that would refuse it.
        cause: Why it sends plaintext, and what to do.
        evidence: What that is known from.
        seen: How many of its requests without mutual TLS the servers have in their logs, by server.
    """

    name: str
    pods: Sequence[str]
    refused_by: list[str]
    cause: Cause
    evidence: set[Evidence]
    seen: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Server:
    """A workload that takes plaintext now and would not take it under STRICT.

    Attributes:
        name: The workload.
        pods: Its pods.
        ports: The ports of its pods at which that is so.
        connections: What its proxies have counted; None if one of them is not known.
        gone: How many requests without mutual TLS came from pods that are there no more.
        verdict: Ready only if there was traffic, and all that can still come again was mutual TLS.
        why: The verdict in a sentence.
    """

    name: str
    pods: Sequence[str]
    ports: Sequence[int]
    connections: ConnectionCounts | None = None
    gone: int = 0
    verdict: Verdict = Verdict.UNKNOWN
    why: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Something about a workload, in a sentence.

    Attributes:
        subject: The workload, or a pod of it.
        text: The sentence.
    """

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer.

    Attributes:
        namespaces: Where STRICT would be switched on; none is the whole mesh.
        clients: Who would be refused.
        servers: Who would begin to refuse.
        stays_open: What would take plaintext all the same.
        strict_already: The workloads that take none now.
        unknown: What could not be found out.
        accepted: Who would be refused and may be: it does not count for the verdict.
        not_refused: Who may be refused, and is not known to be.
        applications: The workloads that meshproof puts into its clusters.
    """

    namespaces: Sequence[str]
    clients: Sequence[Client]
    servers: Sequence[Server]
    stays_open: Sequence[Note]
    strict_already: Sequence[str]
    unknown: Sequence[Note]
    accepted: Sequence[Client] = ()
    not_refused: Sequence[str] = ()
    applications: Collection[str] = ()

    @property
    def verdict(self) -> Verdict:
        """What it comes to: who is known to be refused goes before what is not known."""
        if self.clients or any(server.verdict is Verdict.NOT_READY for server in self.servers):
            return Verdict.NOT_READY
        if self.unknown or any(server.verdict is Verdict.UNKNOWN for server in self.servers):
            return Verdict.UNKNOWN
        return Verdict.READY
