"""Which target of one scan is which of another."""

from __future__ import annotations

from dataclasses import replace

from meshproof.posture.pairing import Pair, pairs
from meshproof.tls.probe.stream import Address
from meshproof.tls.scanner.findings import Posture, Target
from tests.support.postures import GOOD


def at(host: str, port: int, sni: str | None, endpoint: str | None = None) -> Posture:
    """Return the good posture of another target."""
    return replace(GOOD, target=Target(Address(host, port), sni), endpoint=endpoint)


A, B, C = at("10.0.0.1", 443, "a.test"), at("10.0.0.1", 443, "b.test"), at("10.0.0.1", 8443, "a.test")
MOVED, ELSEWHERE = at("10.0.0.2", 443, "a.test"), at("10.0.0.2", 9443, "b.test")
UNNAMED, ITS_OTHER_PORT = at("10.0.0.2", 443, None), at("10.0.0.2", 8443, None)


def paired(before: list[Posture], after: list[Posture]) -> list[tuple[Posture | None, Posture | None]]:
    """Return who was paired with whom."""
    return [(pair.before, pair.after) for pair in pairs(before, after)]


def test_targets_find_each_other() -> None:
    """By name; else by server name and port, by server name, by host. What is left is alone."""
    assert paired([A, B, C], [C, B, A]) == [(A, A), (B, B), (C, C)]
    assert paired([A, B], [ELSEWHERE, MOVED]) == [(A, MOVED), (B, ELSEWHERE)]
    assert paired([A, C], [at("10.0.0.9", 8443, "a.test"), MOVED]) == [(A, MOVED), (C, at("10.0.0.9", 8443, "a.test"))]
    assert paired([A, B], [B, UNNAMED]) == [(A, None), (B, B), (None, UNNAMED)]
    assert paired([UNNAMED, B], [B, ITS_OTHER_PORT]) == [(UNNAMED, ITS_OTHER_PORT), (B, B)]
    assert paired([A], [UNNAMED]) == [(A, UNNAMED)]
    assert paired([], [A, B]) == [(None, A), (None, B)]
    assert paired([A, B], []) == [(A, None), (B, None)]


def test_nothing_but_a_port_in_common_is_no_pair() -> None:
    """Targets without a server name are not the same because both are on 443."""
    others = [at("10.0.0.8", 443, None), B]
    assert paired([UNNAMED, B], others) == [(UNNAMED, None), (B, B), (None, others[0])]


def test_how_targets_were_paired_is_said() -> None:
    """Not where both have the same name, which nobody wonders about."""
    assert [(pair.name, pair.how) for pair in pairs([A, B], [B, A])] == [
        ("10.0.0.1:443 (a.test)", ""),
        ("10.0.0.1:443 (b.test)", ""),
    ]
    start = "10.0.0.1:443 (a.test) before is compared with 10.0.0.2:"
    what = "after: what they have in common is"
    by_port, by_name = pairs([A, B], [MOVED, ELSEWHERE])
    assert by_port.how == f"{start}443 (a.test) {what} the server name and the port."
    assert by_name.how == (
        f"10.0.0.1:443 (b.test) before is compared with 10.0.0.2:9443 (b.test) {what} the server name."
    )
    by_host, _ = pairs([UNNAMED, B], [ITS_OTHER_PORT, B])
    assert by_host.how == f"10.0.0.2:443 before is compared with 10.0.0.2:8443 {what} the host."
    (only,) = pairs([A], [UNNAMED])
    assert only.how == f"{start}443 {what} that each scan has no other target."
    gone, there, new = pairs([A, B], [B, UNNAMED])
    assert (gone.name, gone.how) == ("10.0.0.1:443 (a.test)", "There is no such target in the second scan.")
    assert there.how == ""
    assert (new.name, new.how) == ("10.0.0.2:443", "There is no such target in the first scan.")


def test_an_ambiguous_pair_is_said() -> None:
    """Where several would do, each gets one in order, and the sentence says so."""
    several = "Several have that, so they were paired in the order in which they were scanned."
    other = at("10.0.0.3", 443, "a.test")
    first, left = pairs([A], [MOVED, other])
    assert (first.after, left.before, left.after) == (MOVED, None, other)
    assert first.how.endswith(f"the server name and the port. {several}")
    second, lonely = pairs([MOVED, other], [A])
    assert (second.before, lonely.before, lonely.after) == (MOVED, other, None)
    assert second.how.endswith(several)
    twice = pairs([A, A], [A, A])
    assert [(pair.before, pair.after) for pair in twice] == [(A, A), (A, A)]
    assert all(pair.how.endswith(f"is the name. {several}") for pair in twice)


def test_addresses_of_one_name() -> None:
    """Each is compared with itself, and is called by its address; another address of one target is no wonder."""
    first, second, third = (at("web.test", 443, "web.test", f"10.0.0.{n}:443") for n in (1, 2, 3))
    found = pairs([first, second], [second, third])
    assert [(pair.before, pair.after) for pair in found] == [(first, third), (second, second)]
    assert found[1] == Pair("web.test:443 at 10.0.0.2:443", second, second)
    assert found[0].how == (
        "web.test:443 at 10.0.0.1:443 before is compared with web.test:443 at 10.0.0.3:443 after: "
        "what they have in common is the name."
    )
    assert pairs([first], [third]) == [Pair("web.test:443", first, third)]
