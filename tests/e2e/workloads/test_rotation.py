"""Rotation: proxies take new certificates in time, and no request is lost meanwhile."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from itertools import pairwise

import pytest

from meshproof.testing import (
    Flow,
    Measured,
    Proxies,
    Record,
    Recording,
    Scenario,
    Testbed,
    Traffic,
    Workload,
    WorkloadCertificate,
    peers,
    trust_of,
    until,
)

pytestmark = [pytest.mark.slow, pytest.mark.seed(number=3)]

NAMESPACE = "rotation"
LIFETIME = 12.0  # seconds: SECRET_TTL in the manifest
# An agent asks when half of the lifetime is left, give or take 1% of the lifetime. The time of a certificate is in
# whole seconds, and a key of 2,048 bits, its certificate and our look at it take their time as well.
# Source: rotateTime in Istio's security/pkg/nodeagent/cache/secretcache.go
EARLIEST, LATEST = LIFETIME * 0.49 - 1, LIFETIME * 0.51 + 2
CHANGES = 5
REQUESTS = 5000
KEPT, ANEW = "kept connections", "a new connection of the proxies for each request"
S = 1e9  # ns


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate, and when its proxy showed it first: not before the one moment, and at the other one at last."""

    certificate: WorkloadCertificate
    after_ns: int
    by_ns: int


@dataclass(frozen=True, slots=True)
class Rotations:
    """Traffic while certificates changed, and the certificates of each proxy, one after the other."""

    recording: Recording
    shown: dict[str, list[Shown]]


def hash_of_peer(record: Record) -> str:
    """Return the fingerprint of the certificate that the receiver saw."""
    return peers(json.loads(record.body)["headers"])[-1]["Hash"]


@pytest.fixture(scope="module")
def rotations(scenario: Scenario, testbed: Testbed, traffic: Traffic) -> Rotations:
    """Traffic until the certificates of both proxies have changed five times."""
    sender = Workload(testbed.kube, NAMESPACE, "sender", container="traffic")
    shown: dict[str, list[Shown]] = {"sender": [], "receiver": []}
    before = time.monotonic_ns()

    def look() -> int:
        """Note which certificates there are now; return how often that of each proxy has changed at least."""
        nonlocal before
        looked = time.monotonic_ns()
        for trust in trust_of(testbed.kube, Proxies(NAMESPACE)):
            there = shown[trust.pod.removeprefix(f"{NAMESPACE}/").partition("-")[0]]
            if not there or there[-1].certificate.serial != trust.certificate.serial:
                there.append(Shown(trust.certificate, before, time.monotonic_ns()))
        before = looked
        return min(len(certificates) - 1 for certificates in shown.values())

    look()
    with traffic.recording(
        Flow(KEPT, f"http://receiver.{NAMESPACE}:8080/", source=sender, rate=80, body=True),
        Flow(ANEW, f"http://receiver-anew.{NAMESPACE}:8080/", source=sender, rate=80, body=True),
        name="rotation of workload certificates",
    ) as recording:
        until(
            look,
            f"{CHANGES} at least, with {REQUESTS} requests",
            lambda changes: changes >= CHANGES and recording.requests >= REQUESTS,
            what="The number of changes of both certificates",
            timeout=2 * (CHANGES + 1) * LATEST,
        )
        for proxy, certificates in shown.items():
            for number, certificate in enumerate(certificates[1:], 2):
                recording.mark(f"{proxy}: certificate {number}", certificate.by_ns)
    look()
    return Rotations(recording, shown)


@pytest.mark.parametrize("flow", [KEPT, ANEW])
def test_no_request_is_lost(flow: str, rotations: Rotations) -> None:
    """Each request is answered, whatever certificate the proxies show just then."""
    assert rotations.recording.flows[flow].losses == {}


def test_there_were_requests_enough(rotations: Rotations) -> None:
    """That none is lost is said of 5,000 answers at least."""
    assert sum(len(flow.answered) for flow in rotations.recording.flows.values()) >= REQUESTS


@pytest.mark.parametrize("proxy", ["sender", "receiver"])
def test_a_certificate_changes_in_time(proxy: str, rotations: Rotations, measured: Measured) -> None:
    """Each has a serial number of its own, and the same name; it is replaced when half of its life is over."""
    shown = rotations.shown[proxy]
    name = f"spiffe://cluster.local/ns/{NAMESPACE}/sa/{proxy}"
    assert {entry.certificate.names for entry in shown} == {(name,)}
    assert len({entry.certificate.serial for entry in shown}) == len(shown)
    intervals = [
        ((later.after_ns - earlier.by_ns) / S, (later.by_ns - earlier.after_ns) / S)
        for earlier, later in pairwise(shown[1:])
    ]
    for number, (least, most) in enumerate(intervals, 3):
        measured.note([("Proxy", proxy)], f"Certificate {number} after", f"{(least + most) / 2:.1f} s")
    measured.note([("Proxy", proxy)], "Expected", f"{LIFETIME * 0.49:.1f} to {LIFETIME * 0.51:.1f} s, and its making")
    assert [(least, most) for least, most in intervals if least > LATEST or most < EARLIEST] == []


def test_new_connections_show_the_new_certificate(rotations: Rotations) -> None:
    """The receiver sees the sender's certificates in their order, each from the time on that its proxy has it."""
    answered = sorted(rotations.recording.flows[ANEW].answered, key=lambda record: record.sent_ns)
    hashes = [(hash_of_peer(record), record) for record in answered]
    arrived = list(dict.fromkeys(fingerprint for fingerprint, _ in hashes))
    shown = rotations.shown["sender"]
    fingerprints = [entry.certificate.fingerprint for entry in shown]
    assert arrived == [fingerprint for fingerprint in fingerprints if fingerprint in arrived]
    assert len(arrived) >= CHANGES
    late = [
        f"{later.by_ns / S:.2f} s: still the one before at {record.sent_ns / S:.2f} s"
        for earlier, later in pairwise(shown)
        for fingerprint, record in hashes
        if fingerprint == earlier.certificate.fingerprint and record.sent_ns > later.by_ns + S
    ]
    assert late == []


def test_a_connection_lives_on(rotations: Rotations) -> None:
    """A connection goes on with the certificate that it began with, after that one has expired."""
    hashes = [hash_of_peer(record) for record in rotations.recording.flows[KEPT].answered]
    assert hashes[0] == rotations.shown["sender"][0].certificate.fingerprint
    assert hashes[0] in hashes[-100:]
