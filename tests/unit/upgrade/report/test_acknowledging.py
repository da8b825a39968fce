"""The file to acknowledge by: it says all but the reasons, and with them nothing is unexplained any more."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from meshproof.errors import Unreadable
from meshproof.upgrade.acknowledgements import Acknowledgement, literal, read_acknowledgements
from meshproof.upgrade.differences import differences_between
from meshproof.upgrade.evidence import Difference, Evidence, State
from meshproof.upgrade.plan import BACK
from meshproof.upgrade.report.acknowledging import to_fill_in
from meshproof.upgrade.report.document import to_json
from meshproof.upgrade.verdict import Verdict, judge, verdict_of
from tests.support.pages import EVIL
from tests.support.upgrades import STATES, evil, good, visits

SUITES = "posture a.test:443: TLSv1.2 cipher suites"
BEFORE = {
    SUITES: "ECDHE-RSA-AES128-GCM-SHA256",
    "posture a.test:443: TLS 1.2": "offered",
    "answer by gateway: header server": "envoy: 1*",
    "answer by egress: header server": "envoy: 1*",
    "proxy sleep.default: trusted roots": "one\ntwo",
    "proxy http.default: trusted roots": "one\ntwo",
    "proxy httpbin.default: trusted roots": "one\ntwo",
    "posture a.test:443: ALPN": "h2",
    "analyze": "nothing",
}
AFTER = {name: "" if name == SUITES else f"not {value}" for name, value in BEFORE.items()} | {"new": "404"}


def changed(state: State = STATES[1], acknowledgements: Sequence[Acknowledgement] = ()) -> Evidence:
    """Return an upgrade after which much is otherwise, in a state."""
    first, second, *_ = visits()
    seen: list[tuple[State, Mapping[str, str]]] = [(STATES[0], BEFORE), (state, AFTER)]
    facts = [replace(visit, state=of, facts=its) for visit, (of, its) in zip((first, second), seen, strict=True)]
    of = good()
    differences = differences_between(facts, acknowledgements, of.before, of.after, of.strategy)
    return replace(of, visits=facts, differences=differences)


def written(evidence: Evidence, file: Path) -> str:
    """Write the file of an upgrade, and return what is in it."""
    findings = judge(evidence)
    text = to_fill_in(to_json(evidence, findings, verdict_of(findings)))
    file.write_text(text, encoding="utf-8")
    return text


def with_reasons(text: str) -> str:
    """Return such a file with a reason wherever there is an empty one."""
    return re.sub(r"^  reason: (&\w+ )?''$", r"  reason: \1TICKET-12", text, flags=re.MULTILINE)


@pytest.mark.parametrize("state", [STATES[1], BACK], ids=str)
def test_with_reasons_all_is_acknowledged(state: State, tmp_path: Path) -> None:
    """Each fact has an entry, with whatever value it has, after a rollback too."""
    file = tmp_path / "acknowledge.yaml"
    text = written(changed(state), file)
    assert verdict_of(judge(changed(state))) is Verdict.CHANGED
    file.write_text(with_reasons(text), encoding="utf-8")
    entries = read_acknowledgements(file)
    assert len(entries) == len(AFTER)
    assert [entry.states for entry in entries] == [("S5",) if state == BACK else ()] * len(AFTER)
    again = changed(state, entries)
    assert {difference.acknowledged for difference in again.differences} == {"TICKET-12"}
    assert len(again.differences) == 7
    assert written(again, file) == ""


def test_without_a_reason_it_is_refused(tmp_path: Path) -> None:
    """Nobody acknowledges what nobody has looked at."""
    file = tmp_path / "acknowledge.yaml"
    assert "Copy the file" in written(changed(), file)
    with pytest.raises(Unreadable, match="reason says nothing: write why"):
        read_acknowledgements(file)


def test_an_entry_is_for_what_was_seen_only(tmp_path: Path) -> None:
    """It has the values: what comes later is told again."""
    file = tmp_path / "acknowledge.yaml"
    file.write_text(with_reasons(written(changed(), file)), encoding="utf-8")
    entries = {entry.fact: entry for entry in read_acknowledgements(file)}
    assert entries.keys() == AFTER.keys()
    assert entries[SUITES].fits(SUITES, BEFORE[SUITES], "", "S4")
    assert not entries[SUITES].fits(SUITES, BEFORE[SUITES], "AES128-SHA", "S4")


def test_each_fact_that_is_alike_has_its_entry(tmp_path: Path) -> None:
    """What is otherwise of two of them is told of a third; one reason is enough for both."""
    file = tmp_path / "acknowledge.yaml"
    one, two, three = (f"posture a.test:443: client {name}" for name in ("Android 6.0", "Safari 9", "curl"))
    alike = Difference(f"{one}, and 1 alike", "x", "y", STATES[1], facts=(one, two))
    file.write_text(with_reasons(written(replace(good(), differences=[alike]), file)), encoding="utf-8")
    entries = read_acknowledgements(file)
    assert [(entry.fact, entry.reason) for entry in entries] == [(one, "TICKET-12"), (two, "TICKET-12")]
    assert not any(entry.fits(three, "x", "y", "S1") for entry in entries)


@pytest.mark.parametrize(
    ("name", "before", "after", "other"),
    [
        ("header allow-origin", "https://shop.example", "*", ("header allow-origin", "https://shop.example", "null")),
        ("header allow-origin", "*", "null", ("header allow-origin", "https://shop.example", "null")),
        ("posture *.example:443: TLS 1.2", "x", "y", ("posture bank.example:443: TLS 1.2", "x", "y")),
        (r"path \*", "x", "y", (r"path \a", "x", "y")),
    ],
    ids=["in the value after", "in the value before", "in the name", "behind a backslash"],
)
def test_a_star_that_was_seen_is_a_star(
    name: str, before: str, after: str, other: tuple[str, str, str], tmp_path: Path
) -> None:
    """It does not stand for anything: an entry fits what was seen, and nothing else."""
    file = tmp_path / "acknowledge.yaml"
    text = written(replace(good(), differences=[Difference(name, before, after, STATES[1])]), file)
    file.write_text(with_reasons(text), encoding="utf-8")
    (entry,) = read_acknowledgements(file)
    assert entry.fits(name, before, after, "S1")
    assert not entry.fits(*other, "S1")


def test_an_entry_is_for_this_upgrade_only(tmp_path: Path) -> None:
    """It has the releases that the upgrade led from and to, in quotes, for YAML reads 1.30 as a number."""
    file = tmp_path / "acknowledge.yaml"
    of = replace(good(), differences=[Difference("posture a.test:443: ALPN", "x", "y", STATES[1])])
    of = replace(of, before=replace(of.before, istio="1.30"))
    file.write_text(with_reasons(written(of, file)), encoding="utf-8")
    (entry,) = read_acknowledgements(file)
    assert (entry.old, entry.new) == ("1.30", "1.31.0")
    assert entry.holds_for("1.30", "1.31.0")
    assert not entry.holds_for("1.31.0", "1.32.0")


def test_a_strangers_text_is_text(tmp_path: Path) -> None:
    """It is in quotes where YAML would read something else."""
    file = tmp_path / "acknowledge.yaml"
    name = f"{EVIL}\n- fact: x\n  reason: y # a"
    file.write_text(with_reasons(written(evil(name), file)), encoding="utf-8")
    (entry,) = read_acknowledgements(file)
    assert (entry.fact, entry.before) == (literal(name), literal(name))
    assert entry.fits(name, name, name, "S1")


def test_what_is_unknown_cannot_be_acknowledged(tmp_path: Path) -> None:
    """Nor need be what is explained: then there is no file."""
    unknown = Difference("analyze", "nothing", "unknown: no answer", STATES[1])
    assert written(replace(good(), differences=[*good().differences, unknown]), tmp_path / "acknowledge.yaml") == ""
