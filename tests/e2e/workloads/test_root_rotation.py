"""Root rotation: the root of the mesh is replaced by way of both, and no request is lost meanwhile."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from meshproof.testing import (
    TIMEOUTS,
    Authority,
    Certificates,
    Flow,
    Measured,
    Outcome,
    PluggedAuthority,
    Recording,
    Scenario,
    Testbed,
    Traffic,
    Trust,
    Workload,
    between,
    held,
    istio,
    peers,
    plugged_in,
    tls,
    trust_of,
    until,
)

pytestmark = [pytest.mark.slow, pytest.mark.seed(number=3)]

NAMESPACE, HOST, DIRECT = "root-rotation", "root-rotation.test", "direct.root-rotation.test"
SOMEBODY = "spiffe://cluster.local/ns/root-rotation/sa/somebody"
REQUESTS = 5000
KEPT, ANEW, GATEWAY = "sidecar to sidecar, kept", "sidecar to sidecar, anew", "gateway to sidecar, anew"
SENDERS = {ANEW: f"{NAMESPACE}/sender-", GATEWAY: f"{istio.NAMESPACE}/istio-ingressgateway-"}
S = 1e9  # ns


@dataclass(frozen=True, slots=True)
class Rotation:
    """What was seen while the root was replaced, there and back.

    Attributes:
        recording: The traffic.
        own: The root that the mesh had, and has again.
        new: The root that it had meanwhile.
        after_direct_change: What proxies showed when istiod had been given the new root alone at once.
        both: What they showed when the new root signed and both were trusted.
        alone: What they showed when the new root alone was trusted.
        handshakes: Then with the receiver's proxy: with a certificate of the new root, of the old, of the new.
        both_ns: When all proxies showed it, in ns of the monotonic clock.
        alone_ns: When all proxies showed that.
    """

    recording: Recording
    own: Authority
    new: Authority
    after_direct_change: list[Trust]
    both: list[Trust]
    alone: list[Trust]
    handshakes: str
    both_ns: int
    alone_ns: int


def change_directly(authority: PluggedAuthority, new: Authority, testbed: Testbed) -> list[Trust]:
    """Give istiod a new root in place of its own; return what proxies show when istiod has looked at it."""

    def refusals() -> int:
        authority.refresh_files()
        return istio.control_plane_log(testbed.kube).count("Updating new ROOT-CA not supported")

    authority.write_cacerts(new)
    until(refusals, "at least 1", bool, what="The number of roots that istiod refused", timeout=TIMEOUTS.rollout)
    return trust_of(testbed.kube)


@pytest.fixture(scope="module")
def root_rotation(scenario: Scenario, testbed: Testbed, traffic: Traffic, certificates: Certificates) -> Rotation:
    """Traffic while the root is replaced, and then back again."""
    new = Authority("the new root")
    sender = Workload(testbed.kube, NAMESPACE, "sender", container="traffic")
    trust = certificates.authority("meshproof").pem
    gateway = scenario.address(443)
    with traffic.recording(
        Flow(KEPT, f"http://receiver.{NAMESPACE}:8080/", source=sender, rate=160),
        Flow(ANEW, f"http://receiver-anew.{NAMESPACE}:8080/", source=sender, rate=40, body=True),
        Flow(GATEWAY, f"https://{HOST}/", address=gateway, trust=trust, rate=40, count=4, body=True),
        name="rotation of the root",
    ) as recording:

        def handshake(root: Authority) -> Outcome:
            client = root.client(SOMEBODY)
            return tls.handshake(gateway, sni=DIRECT, trust=None, client=client).outcome

        recording.mark("istiod restarts with cacerts")
        with plugged_in(testbed.kube) as authority:
            recording.mark("the old root is plugged in")
            after_direct_change = change_directly(authority, new, testbed)
            recording.mark("the new root alone was refused")
            authority.sign_with(authority.own, new)
            recording.mark("the old root signs, and both are trusted")
            both = authority.sign_with(new, authority.own)
            both_ns = recording.mark("the new root signs, and both are trusted")
            alone = authority.sign_with(new)
            alone_ns = recording.mark("the new root alone is trusted")
            handshakes = between(lambda: handshake(new), lambda: handshake(authority.own))
        recording.mark("the old root alone is trusted again")
        recording.wait_for(REQUESTS)
    return Rotation(recording, authority.own, new, after_direct_change, both, alone, handshakes, both_ns, alone_ns)


@pytest.mark.parametrize("flow", [KEPT, ANEW, GATEWAY])
def test_no_request_is_lost(flow: str, root_rotation: Rotation) -> None:
    """Each request is answered, whatever root has signed what the two proxies show just then."""
    assert root_rotation.recording.flows[flow].losses == {}


def test_there_were_requests_enough(root_rotation: Rotation, measured: Measured) -> None:
    """That none is lost is said of 5,000 answers at least."""
    began = root_rotation.recording.marks[0].at_ns
    for mark in root_rotation.recording.marks:
        measured.note([("Reached by all proxies", mark.text)], "At", f"{(mark.at_ns - began) / S:.1f} s")
    assert sum(len(flow.answered) for flow in root_rotation.recording.flows.values()) >= REQUESTS


def test_a_direct_change_is_refused(root_rotation: Rotation) -> None:
    """Istiod does not take a new root in place of the old one at once: nothing changes for any proxy."""
    own = root_rotation.own
    assert [trust.pod for trust in root_rotation.after_direct_change if not trust.is_exactly(own, own)] == []


def test_certificates_lead_to_the_new_root_only(root_rotation: Rotation) -> None:
    """At the end each proxy shows a certificate that the new root has signed, by its signature, and trusts no other."""
    own, new = root_rotation.own, root_rotation.new
    assert [trust.pod for trust in root_rotation.alone if not trust.is_exactly(new, new)] == []
    assert [trust.pod for trust in root_rotation.alone if trust.certificate.is_signed_by(own.pem)] == []
    assert {trust.pod.partition("/")[0] for trust in root_rotation.alone} >= {istio.NAMESPACE, "default", NAMESPACE}


def test_the_old_root_opens_nothing(root_rotation: Rotation) -> None:
    """A certificate of the old root is refused by its name, on the same path as one of the new root that gets in."""
    assert root_rotation.handshakes == held(Outcome.ESTABLISHED, Outcome.CLIENT_CERT_UNKNOWN_CA)


@pytest.mark.parametrize("flow", [ANEW, GATEWAY])
def test_new_connections_show_the_new_certificate(flow: str, root_rotation: Rotation) -> None:
    """While the new root alone is trusted, the receiver sees only certificates that it has signed."""
    from_ns, to_ns = root_rotation.both_ns, root_rotation.alone_ns
    hashes = {
        peers(json.loads(record.body)["headers"])[-1]["Hash"]
        for record in root_rotation.recording.flows[flow].answered
        if from_ns < record.sent_ns and record.ended_ns < to_ns
    }
    shown = {
        trust.certificate.fingerprint
        for trust in (*root_rotation.both, *root_rotation.alone)
        if trust.pod.startswith(SENDERS[flow])
    }
    assert hashes
    assert hashes <= shown


def test_the_mesh_is_as_it_was(root_rotation: Rotation, testbed: Testbed) -> None:
    """Afterwards istiod has its own root, no proxy has another one, and nothing is left of the Secret."""
    own = root_rotation.own
    assert [trust.pod for trust in trust_of(testbed.kube) if not trust.is_exactly(own, own)] == []
    assert testbed.kube.get("v1", "Secret", "cacerts", istio.NAMESPACE) is None
