"""The fail-open probes on real servers: a refusal is told from what is let through, and from what proves neither."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from meshproof.tls import Address
from meshproof.traffic import Connections, Ending, Flow, Flown, Record, record
from meshproof.upgrade import flows
from meshproof.upgrade.evidence import State
from meshproof.upgrade.gap import Span
from meshproof.upgrade.probes import Fate, Probe, at_the_gateway, result
from meshproof.upgrade.world import Sight
from tests.support.certificates import OTHER, OURS, TRUSTED, UNKNOWN
from tests.support.servers import Behaviour, server_context, serving, tls
from tests.support.traffic import traffic_program

NAMES = ("gateway", "mutual", "newest", "unknown")
LEAF = OURS.server(*(f"{name}.{flows.DOMAIN}" for name in NAMES))
ANOTHER = OURS.server("another.example")
TRIES = 5
DENIED, DENIED_BY_A_SIDECAR, NOBODY, STRANGER, OLD, UNNAMED = (
    probe.name for probe in at_the_gateway(Address("127.0.0.1", 1), OURS.pem, TRUSTED, UNKNOWN)
)
S0 = State("S0", "all old")


def answering(head: str, body: str, missing: int = 0) -> Behaviour:
    """Answer by TLS with a status and a body, of which some octets may be missing at the end."""
    context = server_context(LEAF, oldest=ssl.TLSVersion.TLSv1_2, newest=ssl.TLSVersion.TLSv1_3)
    answer = f"HTTP/1.1 {head}\r\nContent-Length: {len(body) + missing}\r\nConnection: close\r\n\r\n{body}".encode()

    def behave(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as session:
            session.recv()
            session.sendall(answer)
            session.unwrap()

    return behave


def closing(connection: socket.socket) -> None:
    """Read a hello, and end the connection without a word."""
    connection.recv(65536)


def ending_after_the_handshake() -> Behaviour:
    """Complete a handshake of any version, read the request, and end the connection without an answer."""
    context = server_context(LEAF, oldest=ssl.TLSVersion.TLSv1_2, newest=ssl.TLSVersion.TLSv1_3)

    def behave(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as session:
            session.recv()
            session.unwrap()

    return behave


def tried(name: str, address: Address, directory: Path) -> tuple[Probe, Flown]:
    """Try what a probe tries at an address."""
    (probe,) = (probe for probe in at_the_gateway(address, OURS.pem, TRUSTED, UNKNOWN) if probe.name == name)
    with record(probe.flow, name="a test", program=traffic_program(), directory=directory, seconds=20) as recording:
        recording.wait_for(TRIES)
    return probe, recording.flows[probe.flow.name]


@pytest.mark.parametrize(
    ("name", "server", "fate", "what"),
    [
        (DENIED, lambda: answering("403 Forbidden", "RBAC: access denied"), Fate.REFUSED, "ANSWERED 403"),
        (DENIED, lambda: answering("418 I am a teapot", "{}"), Fate.LET_THROUGH, "ANSWERED 418"),
        (DENIED, lambda: answering("403 Forbidden", "by another filter"), Fate.UNKNOWN, "ANSWERED 403"),
        (DENIED, lambda: answering("429 Too Many Requests", "local_rate_limited"), Fate.UNKNOWN, "ANSWERED 429"),
        (DENIED, lambda: answering("200 OK", "{}"), Fate.LET_THROUGH, "ANSWERED 200"),
        (DENIED, lambda: tls(LEAF, clients=OTHER), Fate.UNKNOWN, "TLS_REFUSED"),
        (DENIED_BY_A_SIDECAR, lambda: answering("403 Forbidden", "RBAC: access denied"), Fate.REFUSED, "ANSWERED 403"),
        (DENIED_BY_A_SIDECAR, lambda: answering("401 Unauthorized", "Jwt is missing"), Fate.UNKNOWN, "ANSWERED 401"),
        (DENIED_BY_A_SIDECAR, lambda: answering("417 Expectation Failed", "{}"), Fate.LET_THROUGH, "ANSWERED 417"),
        (NOBODY, lambda: tls(LEAF, clients=OURS), Fate.REFUSED, "TLS_REFUSED"),
        (NOBODY, lambda: tls(LEAF, clients=OURS, newest=ssl.TLSVersion.TLSv1_2), Fate.REFUSED, "TLS_REFUSED"),
        (NOBODY, lambda: tls(LEAF, clients=OURS, optional=True), Fate.LET_THROUGH, "ANSWERED 200"),
        (NOBODY, lambda: closing, Fate.UNKNOWN, "CLOSED"),
        (STRANGER, lambda: tls(LEAF, clients=OURS), Fate.REFUSED, "TLS_REFUSED"),
        (STRANGER, lambda: tls(LEAF), Fate.LET_THROUGH, "ANSWERED 200"),
        (OLD, lambda: tls(LEAF, oldest=ssl.TLSVersion.TLSv1_3), Fate.REFUSED, "TLS_REFUSED"),
        (OLD, lambda: tls(LEAF), Fate.LET_THROUGH, "ANSWERED 200"),
        (UNNAMED, lambda: closing, Fate.REFUSED, "CLOSED"),
        (UNNAMED, lambda: tls(LEAF), Fate.LET_THROUGH, "ANSWERED 200"),
        (UNNAMED, lambda: tls(ANOTHER), Fate.LET_THROUGH, "UNTRUSTED"),
        (DENIED, lambda: answering("418 I am a teapot", "{}", 5), Fate.LET_THROUGH, "TRUNCATED 418"),
        (DENIED, lambda: answering("403 Forbidden", "RBAC: acc", 10), Fate.UNKNOWN, "TRUNCATED 403"),
        (DENIED, lambda: answering("503 Service Unavailable", "no healthy upstream"), Fate.LET_THROUGH, "ANSWERED 503"),
        (DENIED, lambda: answering("503 Service Unavailable", "envoy overloaded"), Fate.UNKNOWN, "ANSWERED 503"),
        (
            DENIED_BY_A_SIDECAR,
            lambda: answering("503 Service Unavailable", "no healthy upstream"),
            Fate.UNKNOWN,
            "ANSWERED 503",
        ),
        (DENIED_BY_A_SIDECAR, lambda: answering("417 Expectation Failed", "{}", 5), Fate.LET_THROUGH, "TRUNCATED 417"),
        (DENIED, ending_after_the_handshake, Fate.UNKNOWN, "CLOSED"),
        (NOBODY, lambda: answering("200 OK", "{}", 5), Fate.LET_THROUGH, "TRUNCATED 200"),
        (NOBODY, ending_after_the_handshake, Fate.UNKNOWN, "CLOSED"),
        (OLD, lambda: answering("200 OK", "{}", 5), Fate.LET_THROUGH, "TRUNCATED 200"),
        (OLD, ending_after_the_handshake, Fate.LET_THROUGH, "CLOSED"),
        (OLD, lambda: tls(ANOTHER), Fate.LET_THROUGH, "UNTRUSTED"),
        (UNNAMED, ending_after_the_handshake, Fate.LET_THROUGH, "CLOSED"),
    ],
    ids=[
        "denied, refused",
        "denied, let through",
        "denied, another 403",
        "denied, too many requests",
        "denied, another answer",
        "denied, refused for another reason",
        "denied at a sidecar, refused",
        "denied at a sidecar, no token",
        "denied at a sidecar, let through",
        "no certificate, refused",
        "no certificate, refused in TLS 1.2",
        "no certificate, let through",
        "no certificate, closed without a word",
        "another authority, refused",
        "another authority, let through",
        "below the minimum, refused",
        "below the minimum, let through",
        "unknown name, refused",
        "unknown name, let through",
        "unknown name, another host's certificate",
        "denied, let through, cut short",
        "denied, refused, cut short",
        "denied, let through to no server",
        "denied, load was shed",
        "denied by a sidecar, no way to it",
        "denied by a sidecar, let through, cut short",
        "denied, no answer",
        "no certificate, let through, cut short",
        "no certificate, no answer",
        "below the minimum, let through, cut short",
        "below the minimum, a handshake and no answer",
        "below the minimum, another certificate",
        "unknown name, a handshake and no answer",
    ],
)
def test_a_refusal_is_told_from_what_is_let_through(
    name: str, server: Callable[[], Behaviour], fate: Fate, what: str, tmp_path: Path
) -> None:
    """Only the mesh's own word is a refusal; what another filter answers is neither that nor let through."""
    with serving(server()) as address:
        probe, flown = tried(name, address, tmp_path)
    assert {probe.fate(each) for each in flown.records} == {fate}
    assert {str(each).partition(" 0")[0] for each in flown.records} == {what}


@pytest.mark.parametrize(
    ("name", "fate"),
    [(OLD, Fate.LET_THROUGH), (UNNAMED, Fate.LET_THROUGH), (NOBODY, Fate.UNKNOWN), (STRANGER, Fate.UNKNOWN)],
)
def test_a_handshake_that_is_done_is_no_refusal(name: str, fate: Fate) -> None:
    """By its version or name the connection is in; a client certificate of TLS 1.3 is looked at only after that."""
    probes = at_the_gateway(Address("127.0.0.1", 1), OURS.pem, TRUSTED, UNKNOWN)
    (probe,) = (probe for probe in probes if probe.name == name)
    assert probe.fate(Record(name, 0, 0, 0, 0, 0, Ending.TIMED_OUT, peer=17)) is fate


def test_a_server_that_is_not_there_refuses_nothing(tmp_path: Path) -> None:
    """A connection that is not made, or not answered in time, is no proof of either."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = Address(*gone.getsockname())
    for number, name in enumerate((DENIED, NOBODY, STRANGER, OLD, UNNAMED)):
        probe, flown = tried(name, nobody, tmp_path / str(number))
        assert {(each.outcome, probe.fate(each)) for each in flown.records} == {(Ending.REFUSED, Fate.UNKNOWN)}


MS = 1_000_000


def records(flow: Flow, *ends: tuple[int, Ending, int | None, str]) -> Flown:
    """Return records that ended at some ms, with their status and their body."""
    return Flown(
        flow,
        [
            Record(flow.name, number, at * MS, at * MS, at * MS, at * MS, ending, status, body=body)
            for number, (at, ending, status, body) in enumerate(ends)
        ],
    )


def between(began: int, ended: int) -> Span:
    """Return the time between two ms."""
    return Span(began * MS, ended * MS)


def test_the_result_of_a_probe() -> None:
    """It has the refusals and how far apart they were, what was let through and when, and the rest by its class."""
    probe = next(probe for probe in at_the_gateway(Address("127.0.0.1", 1), OURS.pem, TRUSTED, UNKNOWN))
    refused = (Ending.ANSWERED, 403, "RBAC: access denied")
    tries = records(
        probe.flow,
        (10, *refused),
        (60, *refused),
        (110, Ending.ANSWERED, 418, "{}"),
        (160, Ending.REFUSED, None, ""),
        (260, *refused),
    )
    control = Flow(flows.MUTUAL, "http://a.example/", connections=Connections.NEW, status=418)
    flown = {probe.flow.name: tries, control.name: records(control, (10, Ending.ANSWERED, 418, ""))}
    outcome = result(
        probe, flown, lambda at_ns: State("S3", "mixed") if at_ns > 100 * MS else S0, between(10, 260), sees=True
    )
    assert (outcome.tries, outcome.refusals, outcome.unknown) == (5, 3, {"REFUSED": 1})
    assert [(each.at_ns, each.state.key, each.what) for each in outcome.let_through] == [
        (110 * MS, "S3", "ANSWERED 418")
    ]
    assert (outcome.refused_ns, outcome.unknown_ns) == ([10 * MS, 60 * MS, 260 * MS], [160 * MS])
    assert outcome.longest_ms == 200
    assert (outcome.control.flow.name, len(outcome.control.answered), outcome.sees) == (flows.MUTUAL, 1, True)


def test_a_refusal_without_a_word_counts_between_two_controls() -> None:
    """While the control is not let in either, an end without a word says nothing: the gateway may be gone."""
    probe = next(each for each in at_the_gateway(Address("127.0.0.1", 1), OURS.pem, TRUSTED, UNKNOWN) if each.endings)
    control = Flow(flows.GATEWAY, "http://a.example/")
    in_, out = (Ending.ANSWERED, 200, ""), (Ending.RESET, None, "")
    flown = {
        probe.flow.name: records(probe.flow, *((at, *out) for at in (20, 40, 120, 220, 320, 420))),
        control.name: records(control, (30, *in_), (110, *in_), (210, *out), (310, *in_), (410, *in_)),
    }
    outcome = result(probe, flown, lambda _: S0, between(20, 420), sees=True)
    assert (outcome.refusals, outcome.unknown, outcome.longest_ms) == (4, {"RESET": 2}, 280)


def test_a_probe_that_is_not_refused_any_more_was_not_refused_until_the_end_of_the_run() -> None:
    """Else one that is refused, or tried, only at the beginning would seem to have been refused all the time."""
    probe = next(probe for probe in at_the_gateway(Address("127.0.0.1", 1), OURS.pem, TRUSTED, UNKNOWN))
    refused, lost = (Ending.ANSWERED, 403, "RBAC: access denied"), (Ending.TIMED_OUT, None, "")
    control = {flows.MUTUAL: records(Flow(flows.MUTUAL, "http://a/"))}

    def longest(*ends: tuple[int, Ending, int | None, str]) -> tuple[float | None, int | None]:
        flown = control | {probe.flow.name: records(probe.flow, *ends)}
        outcome = result(probe, flown, lambda _: S0, between(0, 2060), sees=True)
        return outcome.longest_ms, outcome.longest_from_ns

    assert longest((10, *refused), (60, *refused), (900, *lost), (2060, *lost)) == (2000, 60 * MS)
    assert longest((10, *refused), (60, *refused)) == (2000, 60 * MS)
    assert longest((1500, *refused), (2000, *refused)) == (1500, 0)
    assert longest((10, *lost)) == (None, None)


def test_several_controls_are_one() -> None:
    """Where one client stops sending and another goes on, both together are the control."""
    probe = Probe("it", Flow("it", "http://a.example/"), tuple(flows.SIDECARS.values()))
    first, second = (Flow(f"{name} again", "http://a.example/") for name in flows.SIDECARS.values())
    flown = {
        "it": records(probe.flow),
        first.name: records(first, (30, Ending.ANSWERED, 200, "")),
        second.name: records(second, (20, Ending.ANSWERED, 200, ""), (40, Ending.RESET, None, "")),
    }
    control = result(probe, flown, lambda _: S0, between(20, 420), sees=True).control
    assert [each.ended_ns // MS for each in control.records] == [20, 30, 40]
    assert (len(control.answered), len(control.failures)) == (2, 1)


@pytest.mark.parametrize(
    ("tries", "seen", "refused", "good"),
    [
        (20, 20, 0, True),
        (20, 18, 0, True),
        (20, 17, 0, False),
        (20, 1, 0, False),
        (20, 0, 0, False),
        (0, 0, 0, False),
        (20, 19, 1, False),
    ],
    ids=["all", "two that timed out", "three that did", "only one", "none", "none tried", "one that was refused"],
)
def test_a_probe_that_can_not_see_is_not_believed(tries: int, seen: int, refused: int, good: bool) -> None:  # noqa: FBT001
    """It has to see nearly all of what is let through on purpose, and to take none of that for refused."""
    assert Sight("it", tries, seen, refused).good is good
