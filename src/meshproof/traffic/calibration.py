"""Whether the recorder sees what it measures: losses that are made on purpose, and none in a drain that loses nothing.

A source is a kind of sender with a kind of connections. All of them are tried at once, on servers of their own: each is
to lose some requests, by their numbers, and no others.

Some go through proxies to a server in the mesh (``calibration.yaml``), which has two replicas, says in time that one
goes, and is rolled while they go on. A proxy shows neither how a server ends its connections nor that it is going to.
So others go straight to a server on the loopback of their machine or pod. It loses a request only the first time that
it comes, so that a sender which sends it again, without a word, is found out. It also announces the end of a
connection, or ends a stream in order, which is to be seen and to lose nothing.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshproof.cluster.kube import Kube
from meshproof.errors import TrafficUnknown
from meshproof.machine import process
from meshproof.mesh import Scenario, Workload
from meshproof.settings import TIMEOUTS
from meshproof.tls import Address
from meshproof.traffic.endings import Ending
from meshproof.traffic.flows import OUTSIDE, Connections, Flow
from meshproof.traffic.recorder import LONGEST, record
from meshproof.traffic.records import Flown

MANIFEST = Path(__file__).with_name("calibration.yaml")
_PROXIED = (
    "outside, HTTP/1.1, new connections",
    "outside, HTTP/1.1, kept connections",
    "outside, HTTP/2, new connections",
    "outside, HTTP/2, kept connections",
    "pod, HTTP/1.1, new connections",
    "pod, HTTP/1.1, kept connections",
)
_STRAIGHT = (
    "outside, no proxy, HTTP/1.1, new connections",
    "outside, no proxy, HTTP/1.1, kept connections",
    "outside, no proxy, HTTP/2, kept connections",
    "outside, no proxy, stream",
    "outside, no proxy, HTTP/2, stream",
    "pod, no proxy, HTTP/1.1, new connections",
    "pod, no proxy, HTTP/1.1, kept connections",
    "pod, no proxy, stream",
)
SOURCES = _PROXIED + _STRAIGHT
"""What is calibrated."""
_NAMESPACE, _SERVER, _SENDER = "meshproof-traffic", "answers", "sender"
_HOST = "answers.meshproof.example"
_RATE = 20.0
_TIMEOUT = 5.0
"""Seconds; a proxy takes one until it ends a connection that it can't finish (Envoy's ``delayed_close_timeout``)."""
_SHOWN = 3  # losses that nobody made, in a sentence
_MADE = {8: "/reset", 16: "/truncate", 24: "/status/503", 32: "/hang"}
_CLOSE = 32
_MADE_STRAIGHT = {8: "/reset?once=", 16: "/shut?once=", 24: "/truncate?once=", _CLOSE: "/close?not="}
_MADE_OF_A_STREAM = {  # eight lines and a cut, a refusal, a reset, eight lines and an end in order
    0: "/stream?every=25ms&lines=8&cut&once=",
    9: "/status/503?not=",
    10: "/reset?once=",
    11: "/stream?every=25ms&lines=8&not=",
}
_SERVER_IN_THE_POD = Address("127.0.0.1", 8081)  # the sidecar takes no traffic to it
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
        drained: How many were answered while the server was rolled, or after it had announced the end of a connection
            or ended a stream, and the source had seen that.
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
        seen = "all" if self.seen == self.made else f"{self.seen} of"
        losses = f"saw {seen} {self.made} losses that were made on purpose"
        if not self.false and not self.drained:
            return f"{self.source}: {losses}, and no answer once its server ended connections"
        if not self.false:
            return f"{self.source}: {losses}, and none that was not there ({self.drained} requests)"
        more = f" and {len(self.false) - _SHOWN} more" if len(self.false) > _SHOWN else ""
        wrong = f"{', '.join(self.false[:_SHOWN])}{more}"
        number = "1 that was" if len(self.false) == 1 else f"{len(self.false)} that were"
        return f"{self.source}: {losses}, and {number} not there: {wrong}"

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
    flows = [Flow(source, **way) for source, way in zip(_PROXIED, ways, strict=True)]
    with record(*flows, name="calibration", program=program, directory=directory) as recording:
        with _server(program) as here:
            straight = calibrate_straight(here, sender, program, directory)
        recording.wait_for(_LOSSES_ARE_OVER, each=True)
        began = recording.mark("the server is rolled")
        kube.deployments.restart(_NAMESPACE, _SERVER)
        ended = recording.mark("its old pods are gone")
    proxied = [_judged(flown, _behind_a_proxy(flown.flow), began, ended) for flown in recording.flows.values()]
    return proxied + straight


def calibrate_straight(here: Address, sender: Workload | None, program: Path, directory: Path) -> list[Calibration]:
    """Try the sources that no proxy is between.

    Args:
        here: A server on this machine.
        sender: A pod with a server of its own; without it only what comes from this machine is tried.
        program: The sender on this machine.
        directory: Where the records and the picture go.

    Raises:
        TrafficUnknown: A sender did not tell of all its requests.
        NotSettled: No requests came.
        ClusterError: A sender could not be run in its pod.
    """
    outside: dict[str, Any] = {"source": OUTSIDE, "url": f"http://{here}/"}
    inside: dict[str, Any] = {"source": sender, "url": f"http://{_SERVER_IN_THE_POD}/"}
    kept, new, stream = Connections.KEPT, Connections.NEW, Connections.STREAM
    ways: list[dict[str, Any]] = [
        {"connections": new, **outside},
        {"connections": kept, **outside},
        # A request that crosses GOAWAY is refused by the server's own word.
        {"connections": kept, "http2": True, "refusals": {Ending.NOT_PROCESSED}, **outside},
        {"connections": stream, **outside},
        {"connections": stream, "http2": True, **outside},
        {"connections": new, **inside},
        {"connections": kept, **inside},
        {"connections": stream, **inside},
    ]
    flows = []
    for number, (source, way) in enumerate(zip(_STRAIGHT, ways, strict=True)):
        is_stream = way["connections"] is stream
        name = f"{time.monotonic_ns()}-{number}"  # the server of a kept pod knows those of another run
        paths = _MADE_OF_A_STREAM if is_stream else _MADE_STRAIGHT
        made = {sequence: f"{path}{name}-{sequence}" for sequence, path in paths.items()}
        url = way.pop("url") + ("stream?every=50ms&for=10m" if is_stream else "status/200")
        if way["source"] is not None:
            flows.append(Flow(source, url, rate=_RATE, timeout=_TIMEOUT, instead=made, **way))
    with record(*flows, name="calibration without a proxy", program=program, directory=directory) as recording:
        recording.wait_for(_LOSSES_ARE_OVER, each=True)
    return [
        _judged(flown, _without_a_proxy(flown.flow), _end_was_seen(flown), math.inf)
        for flown in recording.flows.values()
    ]


@contextmanager
def _server(program: Path) -> Iterator[Address]:
    """Run a server on this machine.

    Raises:
        TrafficUnknown: It did not begin.
    """
    listening: list[str] = []
    begun = threading.Event()

    def take(line: str) -> None:
        if not begun.is_set():
            listening.append(line)
            begun.set()

    command: list[str | Path] = [program, "serve", "--http=127.0.0.1:0", "--log", "--input"]
    with process.conversation(command, said="", on_line=take, timeout=LONGEST):
        if not begun.wait(TIMEOUTS.program):
            raise TrafficUnknown(
                "The server on this machine, for the calibration of the traffic recorder, did not begin."
            )
        host, _, port = json.loads(listening[0])["listening"]["http"].rpartition(":")
        yield Address(host, int(port))


def _judged(flown: Flown, made: Mapping[int, str], began_ns: float, ended_ns: float) -> Calibration:
    """Return what a source saw of the losses that were made, by their numbers, and what else."""
    lost = {record.sequence: str(record) for record in flown.failures}
    seen = sum(lost.get(number) == ending for number, ending in made.items())
    false = [f"{ending} at request {number}" for number, ending in lost.items() if number not in made]
    drained = sum(began_ns <= record.ended_ns <= ended_ns for record in flown.answered)
    return Calibration(flown.flow.name, len(made), seen, tuple(false), drained)


def _behind_a_proxy(flow: Flow) -> dict[int, str]:
    """Return what is to be seen of the losses behind a proxy.

    Envoy answers 503 in place of a server that resets its connection, and can only cut short an answer that it has
    begun to hand on: by the end of the connection, or of the stream.
    """
    cut = Ending.STREAM_RESET if flow.http2 else Ending.TRUNCATED
    return dict(zip(_MADE, ("ANSWERED 503", f"{cut} 200", "ANSWERED 503", "TIMED_OUT"), strict=True))


def _without_a_proxy(flow: Flow) -> dict[int, str]:
    """Return what is to be seen of the losses that the server itself makes."""
    if flow.connections is Connections.STREAM and flow.http2:
        return {8: "STREAM_RESET 200", 9: "ANSWERED 503", 10: "STREAM_RESET"}
    if flow.connections is Connections.STREAM:
        return {8: "TRUNCATED 200", 9: "ANSWERED 503", 10: "RESET"}
    if flow.http2:
        return {8: "STREAM_RESET", 16: "STREAM_RESET", 24: "STREAM_RESET 200"}
    return {8: "RESET", 16: "CLOSED", 24: "TRUNCATED 200"}


def _end_was_seen(flown: Flown) -> float:
    """Return when a source had seen the end that its server had announced, or that of a stream; never is infinity.

    On new connections there is nothing to see: each ends with its request.
    """
    connections = flown.flow.connections
    return min(
        (
            record.ended_ns
            for record in flown.records
            if (connections is Connections.KEPT and record.replaces == "announced")
            or (connections is Connections.STREAM and record.outcome is Ending.STREAM_ENDED)
            or (connections is Connections.NEW and record.sequence == _CLOSE)
        ),
        default=math.inf,
    )
