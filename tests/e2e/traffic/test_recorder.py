"""Traffic is recorded request by request: what is lost is seen, and a listener that changes loses nothing."""

from __future__ import annotations

import pytest

from meshproof.testing import SOURCES, Calibration, Certificates, Connections, Ending, Flow, Scenario, Step, Traffic

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_sees_what_is_lost(source: str, scenario: Scenario, traffic_calibration: list[Calibration]) -> None:
    """Of losses that are made on purpose each is seen, by its class, and none where a server is rolled in order."""
    (result,) = [calibration for calibration in traffic_calibration if calibration.source == source]
    assert result.good, str(result)


def test_a_listener_that_changes_loses_nothing(
    scenario: Scenario, certificates: Certificates, traffic: Traffic, step: Step
) -> None:
    """While the gateway's listener is replaced, requests on new and on kept connections are all answered."""
    url, trust = "https://recorder.example/status/200", certificates.authority("meshproof").pem

    def flow(name: str, connections: Connections, *, http2: bool = False) -> Flow:
        return Flow(
            name, url, address=scenario.address(443), trust=trust, connections=connections, http2=http2, rate=40
        )

    flows = [
        flow("new connections", Connections.NEW),
        flow("kept connections, HTTP/1.1", Connections.KEPT),
        flow("kept connections, HTTP/2", Connections.KEPT, http2=True),
    ]
    with traffic.recording(*flows, name="listener") as recording:
        recording.mark("the listener changes")
        with step("changed"):
            recording.mark("it has changed")
        recording.mark("it is as before")
    results = recording.flows
    assert {name: dict(result.losses) for name, result in results.items()} == {flow.name: {} for flow in flows}
    assert {record.peer for result in results.values() for record in result.records} == {
        certificates["recorder.example"].serial
    }
    for name in ("kept connections, HTTP/1.1", "kept connections, HTTP/2"):
        assert "announced" in {record.replaces for record in results[name].records}
    assert Ending.ANNOUNCED_DRAIN not in {record.outcome for result in results.values() for record in result.records}
