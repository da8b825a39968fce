"""An upgrade in a few sentences, which the terminal, the page and the Markdown have in the same words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from meshproof.pytest_plugin.promises import module_of
from meshproof.upgrade.evidence import UNKNOWN, Difference, Evidence, Images, Kind, Pressure, Side, Visit
from meshproof.upgrade.facts.listeners import NOT_LOOKED_AT
from meshproof.upgrade.facts.names import POSTURE
from meshproof.upgrade.gap import longest_gap

_MOST_NAMES = 8
_GENTLE = (
    "Unless an overlay says otherwise its gateways have two replicas, of which none goes before another is ready; they "
    "go on for 6 s when they are to end, and the servers of its traffic for 5 s. What does not may lose requests where "
    "these lose none."
)
_ALIKE = re.compile(r", and \d+ alike$")


@dataclass(frozen=True, slots=True)
class Change:
    """A difference that is more than another version, with those of other places and states that are like it.

    Attributes:
        kind: Of which kind.
        text: What was, and what is now, in a sentence.
        state: The key of the first state that has it.
        why: What explains it, or where that is from; empty where nothing does.
        more: How many differences are like it.
    """

    kind: Kind
    text: str
    state: str
    why: str
    more: int

    def __str__(self) -> str:
        like_it = f", and {self.more:,} more like it" if self.more else ""
        return " ".join(filter(None, (f"{self.text} First in {self.state}{like_it}.", self.why)))


@dataclass(frozen=True, slots=True)
class Summary:
    """The sentences.

    Attributes:
        traffic: How many requests were lost, how many got in that must be refused, and the longest gap.
        rows: How many rows of which modules were tried.
        differences: How many differences of each kind there are, and how many facts were compared.
        changes: Those that are more than another version, what matters most first.
        machine: How often requests were sent, if less often than usual, how late the senders were, and how busy the
            machine was.
        scope: What was looked at, and what was not.
    """

    traffic: str
    rows: str
    differences: str
    changes: Sequence[Change]
    machine: str
    scope: Sequence[str]


def change_of(fields: Mapping[str, Any]) -> Change:
    """Return a change as it was before it became an object of the JSON document."""
    return Change(**{**fields, "kind": Kind(fields["kind"])})


def summary_of(evidence: Evidence) -> Summary:
    """Return an upgrade in a few sentences."""
    return Summary(
        _traffic(evidence),
        _rows(evidence.visits),
        _counted(evidence),
        _changes(evidence.differences),
        _machine(evidence),
        [*scope_of(evidence.before, evidence.after, evidence.images), *_not_looked_at(evidence)],
    )


def rows_by_module(numbers: Mapping[str, int]) -> str:
    """Return how many rows there are of which modules, as a phrase.

    Args:
        numbers: How many there are of each module, by its name in pytest.
    """
    rows, modules = sum(numbers.values()), len(numbers)
    names = [f"{promise_of(module)} {number:,}" for module, number in sorted(numbers.items())]
    return f"{rows:,} row{'s' * (rows != 1)} of {modules:,} module{'s' * (modules != 1)} ({_some_of(names)})"


def _some_of(names: Sequence[str]) -> str:
    """Return names with commas between them; of many the first ones, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMES:,} more" if names[_MOST_NAMES:] else ""
    return f"{', '.join(names[:_MOST_NAMES])}{more}"


def promise_of(module: str) -> str:
    """Return what a module is about: ``gateway/mutual_tls`` of ``tests/e2e/gateway/test_mutual_tls.py``."""
    path = PurePosixPath(module)
    name = path.stem.removeprefix("test_")
    return name if path.parent.name in {"", "tests", "e2e"} else f"{path.parent.name}/{name}"


def scope_of(before: Side, after: Side, images: Images) -> list[str]:
    """Return what is looked at, and what is not, in sentences.

    Args:
        before: The mesh before.
        after: The mesh after.
        images: Where the images of both come from.
    """
    sentences = [
        f"{istio} is {release}." for istio, release in {s.istio: s.release for s in (before, after)}.items() if release
    ]
    if images.source:
        source = "built from packages" if images.built else "pulled from a registry"
        without = ": both sides run upstream Envoy, without the extensions of Istio's own build"
        sentences.append(f"Images are {source}{without if images.upstream_envoy else ''}.")
    overlays = " and ".join(dict.fromkeys((*before.overlays, *after.overlays)))
    sentences.append(
        "What is judged is a cluster that meshproof brings up for this, with a mesh of its own"
        f"{f' and {overlays} laid over it' if overlays else ''}: it is not a cluster of yours. {_GENTLE}"
    )
    return sentences


def _not_looked_at(evidence: Evidence) -> Iterator[str]:
    """Yield which servers of the gateway nobody could get at, in a sentence."""
    names = sorted(
        {
            name.removeprefix(POSTURE)
            for visit in evidence.visits
            for name, value in visit.facts.items()
            if value == NOT_LOOKED_AT
        }
    )
    if names:
        yield (
            f"The posture of {_some_of(names)} was not looked at: these ports of the gateway are not on this machine."
        )


def busy(pressure: Iterable[Pressure]) -> str:
    """Return for how long some tasks waited for a processor, as a clause; empty where nobody knows."""
    cpu = max((at.cpu for at in pressure), default=None)
    return "" if cpu is None else f"some tasks waited for a processor for at most {cpu:.0f}% of ten seconds"


def _traffic(evidence: Evidence) -> str:
    """Return what became of all requests, in numbers."""
    if not evidence.flows:
        return "No traffic was sent."
    lost = sum(len(flown.failures) for flown in evidence.flows)
    requests = sum(flown.requests for flown in evidence.flows)
    got_in = sum(len(probe.let_through) for probe in evidence.probes)
    tries = sum(probe.tries for probe in evidence.probes)
    gaps = [(gap.ms, flown.flow.name) for flown in evidence.flows if (gap := longest_gap(flown))]
    longest = "; the longest time without an answer was {:,.0f} ms, of {}".format(*max(gaps)) if gaps else ""
    refused = f"{got_in:,} of {tries:,} that must be refused got in"
    return f"{lost:,} of {requests:,} requests were lost, and {refused}{longest}."


def _rows(visits: Sequence[Visit]) -> str:
    """Return which rows were tried in which states; those that nobody got to, or that were skipped, were not."""
    states: dict[frozenset[str], list[str]] = {}
    for visit in visits:
        tried = frozenset(row for row, result in visit.rows.items() if result not in {"not tried", "skipped"})
        states.setdefault(tried, []).append(visit.state.key)
    sentences = []
    for tried, keys in states.items():
        where = "each state" if len(states) == 1 else ", ".join(keys)
        rows = rows_by_module(Counter(map(module_of, tried))) if tried else "no row"
        sentences.append(f"In {where} {rows} {'were' if len(tried) > 1 else 'was'} tried.")
    return " ".join(sentences)


def _counted(evidence: Evidence) -> str:
    """Return how many differences of each kind there are, and of how many facts.

    And which overlays have changed nothing that is looked at.
    """
    numbers = Counter(difference.kind for difference in evidence.differences)
    counted = ", ".join(f"{numbers[kind]:,} {kind.value}" for kind in Kind if kind in numbers) or "none"
    known = [
        {name for name, value in visit.facts.items() if not value.startswith(UNKNOWN)}
        for visit in evidence.visits
        if visit.facts
    ]
    if known and (number := len(known[0] & set().union(*known[1:]))):
        counted += f"; {number:,} fact{'s were' if number > 1 else ' was'} compared"
    if evidence.stop:
        return f"{counted}, as far as it went"
    new = [file for file in evidence.after.overlays if file not in evidence.before.overlays]
    if new and numbers.keys() <= {Kind.RELEASE, Kind.ROUTINE}:
        return f"{counted}; nothing that is looked at by {' and '.join(new)}"
    return counted


def _changes(differences: Sequence[Difference]) -> list[Change]:
    """Return the changes; those that are explained in the same words, and became the same, are one."""
    groups: dict[tuple[str, ...], list[Difference]] = {}
    for difference in differences:
        name, why = difference.name, difference.acknowledged or difference.expected
        if why:
            name = _ALIKE.sub("", name).rpartition(": ")[2]
        groups.setdefault((name, difference.before, difference.after, why), []).append(difference)
    changes = [
        Change(
            first.kind,
            first.sentence,
            first.state.key,
            first.acknowledged or first.expected,
            more=sum(len(other.facts) or 1 for other in others),
        )
        for first, *others in groups.values()
        if first.kind is not Kind.ROUTINE
    ]
    return sorted(changes, key=lambda change: list(Kind).index(change.kind))


def _machine(evidence: Evidence) -> str:
    fewer = evidence.load.fewer_than_usual if evidence.load else ""
    lags = [lag for flown in (*evidence.flows, *evidence.controls) if (lag := flown.lag_p99_ms) is not None]
    late = f"The senders were late by at most {max(lags):,.0f} ms in 99 of 100 requests of each flow" if lags else ""
    pressure = busy(evidence.pressure) or "how busy the machine was is not known"
    lateness = f"{late or 'How late the senders were is not known'}; {pressure}."
    return f"{fewer} {lateness}" if fewer else lateness
