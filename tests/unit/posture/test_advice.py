"""What is said of a target of which nothing is known: what was seen, and what to look at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshproof.posture.advice import nothing_known
from meshproof.tls.probe.answer import Offer, Offered
from meshproof.tls.probe.outcome import Outcome
from meshproof.tls.probe.stream import Address
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import Posture, Target
from tests.support import postures
from tests.support.postures import GOOD, SILENT

WHERE = "127.0.0.1:443 (example.test): nothing is known of it"


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (
            Outcome.REFUSED,
            "the TCP connection was refused. Is the address right, and does a server listen there?",
        ),
        (Outcome.NAME_NOT_RESOLVED, "the host name has no address. Is it spelled right, and"),
        (Outcome.UNREACHABLE, "there is no route to the address. Is the address right, and"),
        (Outcome.SILENT, "no answer came before the deadline. Is the address right, and"),
        (Outcome.NOT_TLS, "what answers speaks no TLS. Is the port right?"),
        (Outcome.RESET, "the connection was reset after each hello. Perhaps nothing serves the name example.test, or"),
        (Outcome.CLOSED_WITHOUT_ALERT, "the connection was closed after each hello. Perhaps nothing serves the name"),
        (Outcome.CLOSED_IN_ORDER, "the connection was closed after each hello. Perhaps nothing serves the name"),
        (Outcome.UNRECOGNIZED_NAME, "the server has nothing for the name example.test. --sni asks for another name."),
        (Outcome.UNSTABLE, "it answered one hello in different ways. Does it limit connections, or"),
        (Outcome.NOT_ASKED, "no time was left to ask it. --max-time gives it more."),
        (Outcome.LOCAL_FAULT, "this machine could not open a connection. Has it an address"),
        (Outcome.UNACCEPTABLE_ANSWER, "its answers are no answers to a ClientHello. Is the port right, and"),
        (Outcome.OVERLONG, "its answers have no end. Is the port right, and does a TLS server listen there?"),
        (Outcome.OTHER_ALERT, "another alert"),
    ],
)
def test_each_end_has_its_advice(outcome: Outcome, words: str) -> None:
    """Whether it is that of the target, or that of each of its versions."""
    refusal = Offer(offered=Offered.UNKNOWN, refusal=outcome)
    by_version = replace(SILENT, unreachable=None, versions=dict.fromkeys(ProtocolVersion, refusal))
    for posture in (replace(SILENT, unreachable=outcome), by_version):
        said = nothing_known(posture)
        assert said
        assert said.startswith(f"{WHERE}: {words}")
        assert said[-1] in ".?)"
        assert "{" not in said


def test_a_target_without_a_name() -> None:
    """What the server may have nothing for is then a client that sends none."""
    nameless = replace(SILENT, target=Target(Address("::1", 443), None), unreachable=Outcome.RESET)
    assert "[::1]:443: nothing is known of it" in str(nothing_known(nameless))
    assert "Perhaps nothing serves clients without a server name, or" in str(nothing_known(nameless))


def test_a_name_is_text() -> None:
    """Whatever stands in it."""
    odd = replace(SILENT, target=Target(Address("{name}", 443), "{x}"), unreachable=Outcome.UNRECOGNIZED_NAME)
    assert str(nothing_known(odd)).startswith(
        "{name}:443 ({x}): nothing is known of it: the server has nothing for the "
    )


def test_a_target_that_was_never_asked() -> None:
    """Nothing is known of it, nor why."""
    assert nothing_known(replace(SILENT, unreachable=None, versions={})) == f"{WHERE}."


@pytest.mark.parametrize(
    "posture",
    [
        GOOD,
        replace(GOOD, unreachable=Outcome.RESET),
        replace(SILENT, versions=postures.versions(*list(ProtocolVersion)[1:], unknown=ProtocolVersion.SSL_2)),
        replace(SILENT, versions={**SILENT.versions, ProtocolVersion.SSL_2: postures.NOT_OFFERED}),
        replace(SILENT, certificates=GOOD.certificates),
        replace(SILENT, clients=(*SILENT.clients, GOOD.clients[0])),
    ],
)
def test_whatever_is_known_is_shown(posture: Posture) -> None:
    """A version, a certificate or a client is enough."""
    assert nothing_known(posture) is None
