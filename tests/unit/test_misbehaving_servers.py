"""Ordinary misbehaviour: whatever a server does, a scan says what is true of it, or that it does not know."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack

import pytest
import typer
from typer.testing import CliRunner

from meshproof.commands import scan as command
from meshproof.commands.quick import Quick
from meshproof.posture import document
from meshproof.tls import Address, Offered, Posture
from tests.unit.certificates import HOST
from tests.unit.misbehaving import ALL, HTTP_400, MISBEHAVIOURS, MODERN, ONLY_1_2, Misbehaviour, garbled
from tests.unit.relays import altered
from tests.unit.servers import nobody, reset, serving, stay_silent
from tests.unit.truth import false_statements

UNKNOWN = 14
SLACK = 2.0  # seconds beyond --max-time, for a machine with other work


def scanned(*targets: str, timeout: float, max_time: float) -> tuple[int, list[Posture]]:
    """Run the command; return its exit code and the postures that it printed."""
    program = typer.Typer(add_completion=False)
    program.command("scan", cls=Quick)(command.scan)
    limits = ["--timeout", str(timeout), "--max-time", str(max_time)]
    result = CliRunner().invoke(program, ["--json", "-", "--sni", HOST, *limits, *targets])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, list(document.from_json(json.loads(result.stdout)))


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS, ids=str)
def test_a_scan_says_nothing_false(misbehaviour: Misbehaviour) -> None:
    """Each row is true or unknown; the exit code is 14 exactly if one is unknown; and it ends in time."""
    with misbehaviour.serve(misbehaviour.make()) as address:
        code, [found] = scanned(str(address), timeout=misbehaviour.timeout, max_time=misbehaviour.max_time)
    assert not false_statements(found, misbehaviour.truth())
    assert code == (UNKNOWN if found.unknown else 0)
    assert found.seconds < misbehaviour.max_time + SLACK
    if misbehaviour.unknown:
        assert found.unknown
    if misbehaviour.known == "all":
        assert not found.gaps
    if misbehaviour.known == "versions":
        assert Offered.UNKNOWN not in [offer.offered for offer in found.versions.values()]


def test_each_misbehaviour_has_a_name_of_its_own() -> None:
    """Its name is that of its test."""
    assert len({misbehaviour.name for misbehaviour in MISBEHAVIOURS}) == len(MISBEHAVIOURS)


def test_a_rotten_target_hurts_no_other() -> None:
    """Among targets that can't be scanned two good ones are known to the last row, before and after them."""
    with ExitStack() as stack:
        one, other = (stack.enter_context(serving(server.behaviour)) for server in (ALL, MODERN))
        unreadable = stack.enter_context(serving(altered(ONLY_1_2.context, garbled)))
        rotten = [
            *("[fe80::1]:443", "nowhere.invalid:443", f"{'a' * 64}.invalid:443", "a..invalid:443"),
            *(str(stack.enter_context(nobody())), str(stack.enter_context(serving(stay_silent)))),
            *(str(stack.enter_context(serving(behaviour))) for behaviour in (reset, HTTP_400)),
        ]
        code, found = scanned(str(one), str(unreadable), *rotten, str(other), timeout=2, max_time=20)
    assert code == UNKNOWN
    assert [str(posture.target.address) for posture in found] == [str(one), str(unreadable), *rotten, str(other)]
    assert [posture.unknown for posture in found] == [False, True, *[True] * len(rotten), False]
    for posture, facts in zip((found[0], found[1], found[-1]), (ALL.facts, ONLY_1_2.facts, MODERN.facts), strict=True):
        assert not false_statements(posture, [facts])
    for posture in found[2:-1]:
        assert not posture.offered
        assert posture.unreachable


@pytest.mark.parametrize(
    "target", ["[fe80::1]:443", "nowhere.invalid:443", f"{'a' * 64}.invalid:443", "a..invalid:443"]
)
def test_a_target_that_is_nowhere_is_unknown(target: str) -> None:
    """A link-local address without a zone, and a name that has no address or can have none, end with 14."""
    code, [found] = scanned(target, timeout=2, max_time=5)
    assert (code, found.unknown, found.offered) == (UNKNOWN, True, ())


def test_all_connections_go_to_one_address() -> None:
    """Where a name has several addresses, one server is described, and the posture names it."""
    servers = {"127.0.0.1": ALL, "::1": MODERN}
    if {found[4][0] for found in socket.getaddrinfo("localhost", 443)} != set(servers):
        pytest.skip("localhost does not have both addresses on this machine")
    with ExitStack() as stack:
        four = stack.enter_context(serving(ALL.behaviour))
        stack.enter_context(serving(MODERN.behaviour, Address("::1", four.port)))
        code, [found] = scanned(f"localhost:{four.port}", timeout=5, max_time=20)
    assert found.endpoint
    server = MODERN if "::1" in found.endpoint else ALL
    assert not false_statements(found, [server.facts])
    assert code == 0
