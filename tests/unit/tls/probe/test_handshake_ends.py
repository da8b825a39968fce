"""How a handshake can end without being accepted: every end has a name of its own."""

from __future__ import annotations

import ssl

import pytest

from meshproof.certificates.leaf import Leaf
from meshproof.tls import Address, Observation, Outcome, Phase, handshake
from tests.support.certificates import HOST, SERVER, TRUSTED
from tests.support.servers import Behaviour, nobody, reset, say, serving, stay_silent, tls

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
IMPATIENT = 0.3  # seconds; for servers that never answer

GOODBYE = bytes([21, 3, 3, 0, 2, 1, 0])
SERVER_HELLO = bytes([22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3, *range(32), 0, 0xC0, 0x2F, 0])
CERTIFICATE_REQUEST = SERVER_HELLO + bytes([22, 3, 3, 0, 4, 13, 0, 0, 0])
SHORT_SERVER_HELLO = bytes([22, 3, 3, 0, 6, 2, 0, 0, 2, 3, 3])


def alert(number: int) -> bytes:
    """Build the record of a fatal alert."""
    return bytes([21, 3, 3, 0, 2, 2, number])


@pytest.mark.parametrize("names", [(), (HOST,)], ids=["any name", "its name"])
def test_a_name_that_is_known_is_let_in(names: tuple[str, ...]) -> None:
    """The control of the ends below: the same handshake is accepted."""
    with serving(tls(SERVER, names=names)) as address:
        seen = handshake(address, sni=HOST, trust=None, version=TLS_1_2)
    assert seen.outcome is Outcome.ESTABLISHED


@pytest.mark.parametrize(
    ("behaviour", "outcome", "number"),
    [
        pytest.param(tls(SERVER, names=("a.test",)), Outcome.UNRECOGNIZED_NAME, 112, id="unknown name"),
        pytest.param(tls(SERVER, oldest=TLS_1_3), Outcome.PROTOCOL_VERSION, 70, id="unknown version"),
        pytest.param(say(alert(70), then=reset), Outcome.PROTOCOL_VERSION, 70, id="alert, then reset"),
        pytest.param(say(alert(120)), Outcome.OTHER_ALERT, 120, id="alert without a name in Python"),
        pytest.param(say(GOODBYE), Outcome.CLOSED_IN_ORDER, 0, id="goodbye"),
        pytest.param(say(), Outcome.CLOSED_WITHOUT_ALERT, None, id="closes"),
        pytest.param(say(b"\x16\x03"), Outcome.CLOSED_WITHOUT_ALERT, None, id="closes in a record"),
        pytest.param(say(then=reset), Outcome.RESET, None, id="resets"),
        pytest.param(say(b"SSH-2.0-OpenSSH_9.9\r\n", then=stay_silent), Outcome.NOT_TLS, None, id="SSH"),
        pytest.param(say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Outcome.NOT_TLS, None, id="HTTP"),
        pytest.param(say(b"no"), Outcome.NOT_TLS, None, id="a word"),
        pytest.param(say(SHORT_SERVER_HELLO), Outcome.UNACCEPTABLE_ANSWER, None, id="malformed"),
    ],
)
def test_every_end_has_a_name(behaviour: Behaviour, outcome: Outcome, number: int | None) -> None:
    """An alert, a close, a reset and another protocol are different things."""
    with serving(behaviour) as address:
        seen = handshake(address, sni=HOST, trust=None, version=TLS_1_2)
    assert (seen.outcome, seen.phase, seen.alert) == (outcome, Phase.HANDSHAKE, number)


@pytest.mark.parametrize(
    ("client", "outcome"),
    [
        pytest.param(None, Outcome.CLIENT_CERT_REQUIRED, id="none"),
        pytest.param(TRUSTED, Outcome.CLIENT_CERT_REJECTED, id="one"),
    ],
)
def test_what_was_shown_decides_what_bad_certificate_means(client: Leaf | None, outcome: Outcome) -> None:
    """After a CertificateRequest, alert 42 says that none was sent only to a client that sent none."""
    with serving(say(CERTIFICATE_REQUEST + alert(42))) as address:
        assert handshake(address, sni=HOST, trust=None, client=client, version=TLS_1_2).outcome is outcome


def test_silence_ends_at_the_deadline() -> None:
    """A server that never answers is silent: no refusal."""
    with serving(stay_silent) as address:
        seen = handshake(address, sni=HOST, trust=None, timeout=IMPATIENT)
    assert seen == Observation(outcome=Outcome.SILENT, phase=Phase.HANDSHAKE)


def test_a_closed_port_is_no_refusal_in_tls() -> None:
    """Where nothing listens, the TCP connection is refused, and that is all that is known."""
    with nobody() as address:
        seen = handshake(address, sni=HOST, trust=None)
    assert seen == Observation(outcome=Outcome.REFUSED, phase=Phase.CONNECT)


def test_an_unknown_host_is_no_refusal_in_tls() -> None:
    """A host without an address is named as such; this one is decided without a name server."""
    seen = handshake(Address("fe80::1%no-such-interface", 1), sni=HOST, trust=None)
    assert seen == Observation(outcome=Outcome.NAME_NOT_RESOLVED, phase=Phase.CONNECT)
