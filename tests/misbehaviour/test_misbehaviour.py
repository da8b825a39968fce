"""Ordinary misbehaviour: whatever a server does, a scan says what is true of it, or that it does not know."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from meshproof.cli.scan.command import command
from meshproof.report import document_reading
from meshproof.tls import Address, Offered, Options, Posture, Target, scan_one
from meshproof.tls.scanner.findings import ClientAuthentication
from tests.misbehaviour.relays import altered
from tests.misbehaviour.servers import ALL, HTTP_400, MISBEHAVIOURS, MODERN, ONLY_1_2, Misbehaviour, garbled
from tests.misbehaviour.truth import CLIENTS, SSL_3, TLS_1_0, TLS_1_2, false_statements
from tests.support.certificates import HOST
from tests.support.servers import nobody, reset, serving, stay_silent

UNKNOWN = 14
SLACK = 2.0  # seconds beyond --max-time, for a machine with other work


def scanned(*targets: str, timeout: float, max_time: float) -> tuple[int, list[Posture]]:
    """Run the command; return its exit code and the postures that it printed."""
    limits = ["--timeout", str(timeout), "--max-time", str(max_time)]
    result = CliRunner().invoke(command, ["--json", "-", "--sni", HOST, *limits, *targets])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, list(document_reading.from_json(json.loads(result.stdout)))


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
    assert [found[0].listed, found[-1].listed] == [True, True]
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
    addresses = {entry[4][0] for entry in socket.getaddrinfo("localhost", 443)}
    with ExitStack() as stack:
        four = stack.enter_context(serving(ALL.behaviour))
        if "::1" in addresses:
            stack.enter_context(serving(MODERN.behaviour, Address("::1", four.port)))
        code, [posture] = scanned(f"localhost:{four.port}", timeout=5, max_time=20)
    assert posture.endpoint in [f"127.0.0.1:{four.port}", f"[::1]:{four.port}"]
    server = MODERN if "::1" in posture.endpoint else ALL
    assert not false_statements(posture, [server.facts])
    assert code == 0


def test_a_false_word_is_noticed() -> None:
    """The judge of all these: of a true posture nothing is false, and each row that is changed is."""
    with serving(ALL.behaviour) as address:
        true = scan_one(Target(address, HOST), Options(clients=CLIENTS))
    suites, groups = true.ciphers[0], true.groups[0]
    refused = true.versions[TLS_1_0]._replace(offered=Offered.NOT_OFFERED)
    got, none = true.clients[0], next(client for client in true.clients if not client.answer.negotiated)
    lies: dict[str, dict[str, Any]] = {
        "TLS 1.0 is not offered": {"versions": {**true.versions, TLS_1_0: refused}},
        "SSLv3 is offered": {"versions": {**true.versions, SSL_3: true.versions[TLS_1_2]}},
        "4 of 5": {"groups": (replace(groups, groups=groups.groups[1:]), *true.groups[1:])},
        "3 of 4": {"ciphers": (replace(suites, preference=suites.preference[1:]), *true.ciphers[1:])},
        "order": {"ciphers": (replace(suites, preference=suites.preference[::-1]), *true.ciphers[1:])},
        "no word of the cipher suites": {"ciphers": true.ciphers[1:]},
        "no word of the groups": {"groups": true.groups[1:]},
        "application protocols: acme-tls/1": {"alpn": (*true.alpn, "acme-tls/1")},
        "application protocols: 1 of 2": {"alpn": true.alpn[1:]},
        "certificates: 0 of 1": {"certificates": ()},
        "client certificate required": {"client_authentication": ClientAuthentication.REQUIRED},
        "TLS_FALLBACK_SCSV": {"fallback_scsv": False},
        f"{got.name}: no connection": {"clients": (replace(got, answer=none.answer),)},
        f"{none.name}: TLSv": {"clients": (replace(none, answer=got.answer),)},
    }
    assert not false_statements(true, [ALL.facts])
    for lie, changes in lies.items():
        statements = false_statements(replace(true, **changes), [ALL.facts])
        assert statements
        assert all(lie in statement for statement in statements)
