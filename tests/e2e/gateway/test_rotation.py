"""Rotation at the gateway: new connections see what is new in seconds, and old ones live on without a loss."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from meshproof.testing import (
    TIMEOUTS,
    Certificates,
    Connections,
    Document,
    Ending,
    Flow,
    Measured,
    Outcome,
    Record,
    Recording,
    Scenario,
    Step,
    Testbed,
    Traffic,
    between,
    held,
    istio,
    tls,
    until,
)

pytestmark = [pytest.mark.slow, pytest.mark.seed(number=3)]

HOST = "gateway-rotation.test"
FIRST, SECOND = f"first {HOST}", f"second {HOST}"  # certificates
KEPT, NEW, LATER = "kept connections", "new connections", "new connections of the new authority's client"
REQUESTS = 5000
SOON = 3_000_000_000  # ns from the change of a Secret until new connections see it
SINCE_THEN = 15  # requests of a flow that are sent after that
UNKNOWN_CA = 48  # the alert; source: RFC 8446, 6.2
S = 1e9  # ns


@dataclass(frozen=True, slots=True)
class Rotation:
    """What was seen while the gateway's Secret was replaced. Times are ns of the monotonic clock.

    Attributes:
        recording: The traffic.
        certificate_ns: When the Secret with the second certificate was to be applied.
        client_ca_ns: When the one with the other authority of clients was.
        with_other_key: What new connections saw while the Secret had a key that does not fit: the certificate's name.
        handshakes: At the end: of the new authority's client, of the old one's, of the new one's.
    """

    recording: Recording
    certificate_ns: int
    client_ca_ns: int
    with_other_key: str | None
    handshakes: str

    def records(self, flow: str) -> Sequence[Record]:
        """Return the records of a flow."""
        return self.recording.flows[flow].records


def with_key_of(other: Document, secret: Document) -> Document:
    """Return a Secret with the key of another one."""
    return {**secret, "data": {**secret["data"], "tls.key": other["data"]["tls.key"]}}


def secret_of(scenario: Scenario, *steps: str) -> Document:
    """Return the gateway's Secret as it is with some steps."""
    (secret,) = (document for document in scenario.documents(*steps) if document["kind"] == "Secret")
    return secret


def refusals(testbed: Testbed) -> float:
    """Return how often a proxy has refused a certificate or key of istiod's."""
    lines = [line for page in istio.control_plane_pages(testbed.kube, "metrics") for line in page.splitlines()]
    counters = [line for line in lines if line.startswith('pilot_total_xds_rejects{type="sds"}')]
    return sum(float(line.rpartition(" ")[2]) for line in counters)


@pytest.fixture(scope="module")
def rotation(
    scenario: Scenario, step: Step, testbed: Testbed, traffic: Traffic, certificates: Certificates
) -> Rotation:
    """Traffic while the gateway gets a key that does not fit, another certificate, and another authority of clients."""
    gateway, url = scenario.address(443), f"https://{HOST}/"
    trust = certificates.authority("meshproof").pem
    old_client, new_client = certificates["test.client"], certificates["stranger"]

    def shown() -> str | None:
        peer = tls.handshake(gateway, sni=HOST, trust=trust, client=old_client).peer
        return certificates.name_of(peer.serial) if peer else None

    def handshake(client: str) -> Outcome:
        return tls.handshake(gateway, sni=HOST, trust=trust, client=certificates[client]).outcome

    refused = (Ending.TLS_REFUSED,)
    with ExitStack() as steps, traffic.recording(
        Flow(KEPT, url, address=gateway, trust=trust, client=old_client, rate=400, count=8),
        Flow(
            NEW, url, address=gateway, trust=trust, client=old_client, rate=30, connections=Connections.NEW,
            refusals=refused,
        ),
        Flow(
            LATER, url, address=gateway, trust=trust, client=new_client, rate=15, connections=Connections.NEW,
            refusals=refused,
        ),
        name="rotation at the gateway",
    ) as recording:  # fmt: skip
        recording.wait_for(REQUESTS // 4, KEPT)
        before = refusals(testbed)
        recording.mark("the Secret has a key that does not fit")
        testbed.kube.apply([with_key_of(secret_of(scenario), secret_of(scenario, "certificate"))])
        until(
            lambda: refusals(testbed),
            f"more than {before:g}",
            lambda number: number > before,
            what="The number of keys that proxies refused",
            timeout=TIMEOUTS.configuration,
        )
        with_other_key = shown()
        certificate_ns = recording.mark("another certificate")
        steps.enter_context(step("certificate"))
        recording.mark("the gateway has it")
        recording.wait_for(SINCE_THEN, NEW, since_ns=certificate_ns + SOON)
        client_ca_ns = recording.mark("another authority of clients")
        steps.enter_context(step("client-ca"))
        recording.mark("the gateway has it")
        recording.wait_for(SINCE_THEN, NEW, LATER, each=True, since_ns=client_ca_ns + SOON)
        recording.wait_for(REQUESTS, KEPT)
        handshakes = between(lambda: handshake("stranger"), lambda: handshake("test.client"))
    return Rotation(recording, certificate_ns, client_ca_ns, with_other_key, handshakes)


@pytest.mark.parametrize("flow", [KEPT, NEW, LATER])
def test_no_request_is_lost(flow: str, rotation: Rotation) -> None:
    """Each request is answered, or refused for its client's authority; one on a kept connection is answered."""
    result = rotation.recording.flows[flow]
    assert (result.losses, {record.alert for record in result.refused} - {UNKNOWN_CA}) == ({}, set())


def test_there_were_requests_enough(rotation: Rotation) -> None:
    """That none is lost is said of 5,000 answers at least."""
    assert sum(len(flow.answered) for flow in rotation.recording.flows.values()) >= REQUESTS


def test_new_connections_see_the_new_certificate(
    rotation: Rotation, certificates: Certificates, measured: Measured
) -> None:
    """Before the change they see the first certificate, and soon after it the second one only."""
    answered = [record for record in rotation.records(NEW) if record.outcome is Ending.ANSWERED]
    last = max(record.sent_ns for record in answered if record.peer == certificates[FIRST].serial)
    measured.note(
        [("Change", "another certificate")],
        "Last connection as before",
        f"{(last - rotation.certificate_ns) / S:.2f} s",
    )
    before = {record.peer for record in answered if record.ended_ns < rotation.certificate_ns}
    after = {record.peer for record in answered if record.sent_ns > rotation.certificate_ns + SOON}
    assert (before, after) == ({certificates[FIRST].serial}, {certificates[SECOND].serial})


def test_old_connections_live_on(rotation: Rotation, certificates: Certificates) -> None:
    """None of them is closed: each goes on as it began, whatever is changed meanwhile."""
    records = rotation.records(KEPT)
    assert {record.peer for record in records} == {certificates[FIRST].serial}
    assert sum(record.connection == "new" for record in records) == len({record.number for record in records})
    assert len({record.number for record in records}) == rotation.recording.flows[KEPT].flow.count


@pytest.mark.parametrize(
    ("flow", "gets_in_before"),
    [(NEW, True), (LATER, False)],
    ids=["the old authority's client", "the new authority's client"],
)
def test_new_connections_are_of_the_new_authority(
    flow: str, rotation: Rotation, measured: Measured, *, gets_in_before: bool
) -> None:
    """Before the change its clients are refused for their authority, and soon after it those of the old one."""

    def ends(records: Sequence[Record]) -> set[tuple[Ending, int | None]]:
        return {(record.outcome, record.alert) for record in records}

    records, changed_ns = rotation.records(flow), rotation.client_ca_ns
    before = ends([record for record in records if record.ended_ns < changed_ns])
    after = ends([record for record in records if record.sent_ns > changed_ns + SOON])
    expected = {(Ending.ANSWERED, None)}, {(Ending.TLS_REFUSED, UNKNOWN_CA)}
    before_the_change = Ending.ANSWERED if gets_in_before else Ending.TLS_REFUSED
    last = max(record.sent_ns for record in records if record.outcome is before_the_change)
    measured.note(
        [("Change", f"another authority, for {flow}")], "Last connection as before", f"{(last - changed_ns) / S:.2f} s"
    )
    assert (before, after) == (expected if gets_in_before else expected[::-1])


def test_the_old_authority_is_refused_by_name(rotation: Rotation) -> None:
    """At the end its client is refused between two of the new authority's that get in."""
    assert rotation.handshakes == held(Outcome.ESTABLISHED, Outcome.CLIENT_CERT_UNKNOWN_CA)


def test_a_key_that_does_not_fit_changes_nothing(rotation: Rotation) -> None:
    """The gateway refuses the pair as a whole, and goes on with the one that it has."""
    assert rotation.with_other_key == FIRST
