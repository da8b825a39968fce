"""Names: each alert has one meaning, Python's word for it is understood, and versions are spelled as elsewhere."""

from __future__ import annotations

import ssl

import pytest

from meshproof.tls import Alert, Outcome, Phase, ProtocolVersion, alert_name
from meshproof.tls.probe.outcome import alert_of_reason, outcome_of_alert

MEANINGS = [
    (Alert.CLOSE_NOTIFY, Outcome.CLOSED_IN_ORDER),
    (Alert.HANDSHAKE_FAILURE, Outcome.HANDSHAKE_FAILURE),
    (Alert.BAD_CERTIFICATE, Outcome.CLIENT_CERT_REJECTED),
    (Alert.UNSUPPORTED_CERTIFICATE, Outcome.CLIENT_CERT_REJECTED),
    (Alert.CERTIFICATE_REVOKED, Outcome.CLIENT_CERT_REJECTED),
    (Alert.CERTIFICATE_EXPIRED, Outcome.CLIENT_CERT_EXPIRED),
    (Alert.CERTIFICATE_UNKNOWN, Outcome.CLIENT_CERT_REJECTED),
    (Alert.UNKNOWN_CA, Outcome.CLIENT_CERT_UNKNOWN_CA),
    (Alert.ACCESS_DENIED, Outcome.CLIENT_CERT_REJECTED),
    (Alert.PROTOCOL_VERSION, Outcome.PROTOCOL_VERSION),
    (Alert.INTERNAL_ERROR, Outcome.OTHER_ALERT),
    (Alert.UNRECOGNIZED_NAME, Outcome.UNRECOGNIZED_NAME),
    (Alert.CERTIFICATE_REQUIRED, Outcome.CLIENT_CERT_REQUIRED),
    (199, Outcome.OTHER_ALERT),
]
READ_FROM_THE_RECORD = {Alert.CLOSE_NOTIFY, Alert.UNKNOWN_PSK_IDENTITY, Alert.NO_APPLICATION_PROTOCOL}


def refused_with(alert: Alert) -> ssl.SSLError:
    """Answer a ClientHello in memory with a fatal alert, and return what ``ssl`` makes of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    incoming = ssl.MemoryBIO()
    client = context.wrap_bio(incoming, ssl.MemoryBIO(), server_hostname="example.test")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    incoming.write(bytes([21, 3, 3, 0, 2, 2, alert]))
    with pytest.raises(ssl.SSLError) as caught:
        client.do_handshake()
    return caught.value


@pytest.mark.parametrize(("alert", "outcome"), MEANINGS, ids=[alert_name(alert) for alert, _ in MEANINGS])
def test_an_alert_has_one_meaning(alert: int, outcome: Outcome) -> None:
    """An alert is named by its number; an unassigned one is another alert."""
    assert outcome_of_alert(alert) is outcome


@pytest.mark.parametrize("alert", [Alert.HANDSHAKE_FAILURE, Alert.BAD_CERTIFICATE], ids=alert_name)
def test_a_request_that_was_not_answered_explains_the_alert(alert: Alert) -> None:
    """Before TLS 1.3 only the CertificateRequest tells a missing certificate from another failure."""
    assert outcome_of_alert(alert, unanswered_request=True) is Outcome.CLIENT_CERT_REQUIRED


def test_a_request_does_not_explain_other_alerts() -> None:
    """A server that asked for a certificate may still refuse the version."""
    assert outcome_of_alert(Alert.PROTOCOL_VERSION, unanswered_request=True) is Outcome.PROTOCOL_VERSION


@pytest.mark.parametrize("alert", sorted(set(Alert) - READ_FROM_THE_RECORD), ids=alert_name)
def test_the_reason_of_python_is_understood(alert: Alert) -> None:
    """OpenSSL's word for each alert, as ``ssl`` passes it on, leads back to that alert."""
    assert alert_of_reason(refused_with(alert).reason) is alert


def test_a_fault_of_our_own_is_no_alert() -> None:
    """What OpenSSL found itself was not said by the peer."""
    assert alert_of_reason("WRONG_VERSION_NUMBER") is None


def test_versions_are_spelled_as_testssl_does() -> None:
    """Reports can be laid side by side."""
    assert [str(version) for version in ProtocolVersion] == [
        "SSLv2",
        "SSLv3",
        "TLS 1.0",
        "TLS 1.1",
        "TLS 1.2",
        "TLS 1.3",
    ]


def test_phases_are_spelled_for_people() -> None:
    """They stand in sentences."""
    assert [phase.value for phase in Phase] == ["TCP connect", "handshake", "first read after the handshake"]
