"""Whether the recorder sees what it measures: losses that are made on purpose, and none in a drain that loses nothing.

A source is a kind of sender with a kind of connections. All of them are tried at once, on a server of their own in the
mesh (``calibration.yaml``): each is to lose four requests, by their numbers, and no others; then the server, which has
two replicas and says in time that one goes, is rolled while they go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshproof.cluster.kube import Kube
from meshproof.mesh import Scenario, Workload
from meshproof.traffic.endings import Ending
from meshproof.traffic.flows import OUTSIDE, Connections, Flow
from meshproof.traffic.recorder import record
from meshproof.traffic.records import Flown

MANIFEST = Path(__file__).with_name("calibration.yaml")
SOURCES = (
    "outside, HTTP/1.1, new connections",
    "outside, HTTP/1.1, kept connections",
    "outside, HTTP/2, new connections",
    "outside, HTTP/2, kept connections",
    "pod, HTTP/1.1, new connections",
    "pod, HTTP/1.1, kept connections",
)
"""What is calibrated."""
_NAMESPACE, _SERVER, _SENDER = "meshproof-traffic", "answers", "sender"
_HOST = "answers.meshproof.example"
_RATE = 20.0
_TIMEOUT = 5.0
"""Seconds; a proxy takes one until it ends a connection that it can't finish (Envoy's ``delayed_close_timeout``)."""
_SHOWN = 3  # losses that nobody made, in a sentence
_MADE = {8: "/reset", 16: "/truncate", 24: "/status/503", 32: "/hang"}
_LOSSES_ARE_OVER = 40
"""Requests of a source after which the server is not asked to lose any more."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a source saw.

    Attributes:
        source: Which one.
        made: How many losses were made on purpose.
        seen: How many of them were seen, each by its class.
        false: Losses that nobody made, as ``RESET at request 7``.
        drained: How many requests there were while the server was rolled.
    """

    source: str
    made: int
    seen: int
    false: tuple[str, ...]
    drained: int

    @property
    def good(self) -> bool:
        """Whether the source can be believed."""
        return self.seen == self.made and not self.false and self.drained > 0

    def __str__(self) -> str:
        more = f" and {len(self.false) - _SHOWN} more" if len(self.false) > _SHOWN else ""
        wrong = f" ({', '.join(self.false[:_SHOWN])}{more})" if self.false else ""
        return (
            f"{self.source}: {self.seen} of {self.made} losses seen that were made, and {len(self.false)} that were not"
            f"{wrong}, in {self.drained} requests while the server was rolled"
        )

    def summary(self) -> dict[str, Any]:
        """Return the numbers for a report."""
        return {
            "source": self.source,
            "made": self.made,
            "seen": self.seen,
            "false": list(self.false),
            "drained": self.drained,
            "good": self.good,
        }


def calibrate(scenario: Scenario, kube: Kube, trust: bytes, program: Path, directory: Path) -> list[Calibration]:
    """Try all sources; see above.

    Args:
        scenario: ``MANIFEST``, in force.
        kube: The cluster.
        trust: The authority of the server's certificate, in PEM.
        program: The sender on this machine.
        directory: Where the records and the picture go.

    Raises:
        TrafficUnknown: A sender did not tell of all its requests.
        NotSettled: The server was not rolled in time, or no requests came.
        ClusterError: A sender could not be run in its pod.
    """
    sender = Workload(kube, _NAMESPACE, _SENDER, container="traffic")
    common: dict[str, Any] = {"rate": _RATE, "timeout": _TIMEOUT, "instead": _MADE}
    outside = common | {"source": OUTSIDE, "address": scenario.address(443), "trust": trust}
    inside = common | {"source": sender}
    gateway, mesh = f"https://{_HOST}/status/200", f"http://{_SERVER}.{_NAMESPACE}:8080/status/200"
    kept, new = Connections.KEPT, Connections.NEW
    ways: list[dict[str, Any]] = [
        {"url": gateway, "connections": new, **outside},
        {"url": gateway, "connections": kept, **outside},
        {"url": gateway, "connections": new, "http2": True, **outside},
        {"url": gateway, "connections": kept, "http2": True, **outside},
        {"url": mesh, "connections": new, **inside},
        {"url": mesh, "connections": kept, **inside},
    ]
    flows = [Flow(source, **way) for source, way in zip(SOURCES, ways, strict=True)]
    with record(*flows, name="calibration", program=program, directory=directory) as recording:
        recording.wait_for(_LOSSES_ARE_OVER, each=True)
        began = recording.mark("the server is rolled")
        kube.deployments.restart(_NAMESPACE, _SERVER)
        ended = recording.mark("its old pods are gone")
    return [_judged(flown, began, ended) for flown in recording.flows.values()]


def _judged(flown: Flown, began_ns: int, ended_ns: int) -> Calibration:
    """Return what a source saw of the losses that were made, and what else."""
    lost = {record.sequence: record for record in flown.failures}
    made = [number for number, path in _MADE.items() if number in lost and _is_made_by(path, flown, str(lost[number]))]
    false = [f"{record} at request {number}" for number, record in lost.items() if number not in _MADE]
    drained = sum(began_ns <= record.ended_ns <= ended_ns for record in flown.answered)
    return Calibration(flown.flow.name, len(_MADE), len(made), tuple(false), drained)


def _is_made_by(path: str, flown: Flown, ending: str) -> bool:
    """Tell whether a loss has the class that it has behind a proxy.

    Envoy answers 503 in place of a server that resets its connection, and can only cut short an answer that it has
    begun to hand on: by the end of the connection, or of the stream.
    """
    cut = Ending.STREAM_RESET if flown.flow.http2 else Ending.TRUNCATED
    return (
        ending
        in {
            "/reset": {"ANSWERED 503"},
            "/truncate": {f"{cut} 200"},
            "/status/503": {"ANSWERED 503"},
            "/hang": {"TIMED_OUT"},
        }[path]
    )
