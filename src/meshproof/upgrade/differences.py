"""What of the mesh is otherwise than it was in the first state, and what explains that."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from meshproof.upgrade.acknowledgements import Acknowledgement, known
from meshproof.upgrade.evidence import UNKNOWN, Difference, Side, State, Strategy, Visit
from meshproof.upgrade.facts import (
    ANSWER,
    CLIENT,
    CONFIGURATION,
    ISTIOD,
    KUBERNETES,
    POSTURE,
    PROXY,
    REFUSED,
    REQUEST,
    WEBHOOK,
    changed_fields,
    digest,
)
from meshproof.upgrade.plan import BACK, NEW, ON_A_NEW_CLUSTER
from meshproof.upgrade.steps import revision_of

_THERE = "there"
_OF_ONE_RUN = (" certificate", ": trusted roots", ": authority")
"""How facts end whose values are of certificates that each run makes anew."""
_ONE_ROOT_OF_ISTIOD = re.compile(r"(O=cluster\.local, )?SHA-256 [0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class _Change:
    """A difference of one proxy, or of something that is there once."""

    name: str
    before: str
    after: str
    alike: tuple[str, ...]  # what it has in common with the same difference of another proxy

    @property
    def unknown(self) -> bool:
        return self.before.startswith(UNKNOWN) or self.after.startswith(UNKNOWN)


def differences_between(
    visits: Sequence[Visit],
    acknowledgements: Sequence[Acknowledgement],
    before: Side,
    after: Side,
    strategy: Strategy,
) -> list[Difference]:
    """Return what is otherwise than in the first state, each difference in the first state that has it.

    One that is explained in a state, and not in a later one, is told in both. After a rollback all is to be as it was:
    nothing is expected then, and what is still otherwise is told once more.

    The same difference of several proxies, of several clusters or listeners of one, of several named clients, or of
    several ways through the mesh, is one: its name has the first of them, and how many others there are. An
    acknowledgement is held against the name of each of them; those that it does not fit are another difference.

    Args:
        visits: The states; those without facts were not looked at.
        acknowledgements: What the user's file says.
        before: The mesh before; what is known of its release and the next one is expected.
        after: The mesh after.
        strategy: How the one is made the other.
    """
    theirs = [entry for entry in acknowledgements if entry.holds_for(before.istio, after.istio)]
    ours = [entry for entry in known() if entry.holds_for(before.istio, after.istio)]
    groups: dict[tuple[object, ...], list[Difference]] = {}
    earlier = set[tuple[_Change, str, str]]()
    for state, change in _in_all_states(visits):
        difference = Difference(change.name, change.before, change.after, state)
        if not change.unknown:
            by_itself = _brought(change, before, after, strategy) or _gone(change, before, strategy, state)
            by_itself = by_itself or _anew(change, state)
            entry = _first_fitting(ours, change, state)
            acknowledgement = _first_fitting(theirs, change, state)
            difference = replace(
                difference,
                acknowledged=acknowledgement.reason if acknowledgement else "",
                expected="" if state == BACK else by_itself or (entry.reason if entry else ""),
                routine=bool(by_itself) or (entry is not None and not (entry.old or entry.new)),
            )
        explained = (change, difference.acknowledged, difference.expected)
        if explained in earlier and state != BACK:
            continue
        earlier.add(explained)
        key = (change.alike, replace(difference, name=""))
        groups.setdefault(key, []).append(difference)
    return [_one(group) for group in groups.values()]


def unused(
    visits: Sequence[Visit], acknowledgements: Sequence[Acknowledgement], before: Side, after: Side
) -> list[Acknowledgement]:
    """Return the acknowledgements that fit no difference of this upgrade, those for other releases too."""
    changes = [(state, change) for state, change in _in_all_states(visits) if not change.unknown]
    return [
        entry
        for entry in acknowledgements
        if not entry.holds_for(before.istio, after.istio)
        or not any(entry.fits(change.name, change.before, change.after, state.key) for state, change in changes)
    ]


def _in_all_states(visits: Sequence[Visit]) -> Iterator[tuple[State, _Change]]:
    looked_at = [visit for visit in visits if visit.facts]
    for visit in looked_at[1:]:
        for change in _changes(looked_at[0].facts, visit.facts):
            yield visit.state, change


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[_Change]:
    unknown = [[name for name, value in side.items() if value.startswith(UNKNOWN)] for side in (before, after)]
    in_order = sorted(before), sorted(after)
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name, ""), after.get(name, "")
        if old == new and not new.startswith(UNKNOWN):
            continue
        if (name not in before and _part_of(name, before, after, unknown[0])) or (
            name not in after and _part_of(name, after, before, unknown[1])
        ):
            continue
        if name not in before or name not in after:
            old, new = (_with_parts(name, side, names) for side, names in zip((before, after), in_order, strict=True))
        if name.startswith(REFUSED) and not (old + new).strip("0123456789"):
            if int(new or 0) > int(old or 0):  # a process that is new counts from nought
                yield _Change(name, old or "0", new, (name,))
        elif name.startswith(CONFIGURATION):
            yield from _of_configuration(name, old, new)
        else:
            yield _Change(name, old, new, _alike(name))


def _part_of(name: str, lacking: Mapping[str, str], other: Mapping[str, str], unknown: Iterable[str]) -> bool:
    """Return whether a fact lacks because what it is a part of does, or could not be found out.

    Args:
        name: Its name, such as ``proxy default/shop: Istio``.
        lacking: The side that does not have it.
        other: The side that does.
        unknown: The names of what could not be found out on the former: of a whole, or of all of a kind (``proxy``).
    """
    words = name.split(": ")
    wholes = (": ".join(words[:end]) for end in range(1, len(words)))
    if any(whole in other and whole not in lacking for whole in wholes):
        return True
    return any(name.startswith((f"{whole} ", f"{whole}: ")) for whole in unknown)


def _with_parts(name: str, side: Mapping[str, str], names: Sequence[str]) -> str:
    """Return what a whole is that came or went, with a digest of its parts; empty where it is not there.

    They are no differences of their own then: who acknowledges the whole acknowledges them as they are.

    Args:
        name: Its name.
        side: All facts.
        names: Their names, in order.
    """
    return f"{side[name]}{_parts(name, side, names)}" if name in side else ""


def _parts(name: str, side: Mapping[str, str], names: Sequence[str]) -> str:
    first, end = (bisect_left(names, f"{name}:{after}") for after in " !")  # the parts begin with the blank
    parts = [f"{part}={side[part]}" for part in names[first:end] if not part.endswith(_OF_ONE_RUN)]
    return f", {len(parts)} parts: {digest(json.dumps(parts))}" if parts else ""


def _of_configuration(name: str, before: str, after: str) -> Iterator[_Change]:
    """Yield which fields of a resource differ; or that it came, or went, with a digest of what it is."""
    _, _, resource = name.removeprefix(CONFIGURATION).partition(": ")
    whole = _Change(name, before, after, (CONFIGURATION, resource))
    if whole.unknown:
        yield whole
        return
    if not (before and after):
        first, last = (f"{_THERE}: {digest(text)}" if _is_json(text) else text for text in (before, after))
        yield replace(whole, before=first, after=last)
        return
    kind = resource.partition(" ")[0]
    for path, first, last in changed_fields(_value(before), _value(after)):
        yield _Change(f"{name}: {path}" if path else name, first, last, (CONFIGURATION, kind, path))


def _is_json(text: str) -> bool:
    return text.startswith(("{", "["))


def _value(text: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(text)
    except ValueError:
        return text


def _alike(name: str) -> tuple[str, ...]:
    if name.startswith(PROXY):
        return PROXY, name.rpartition(": ")[2]
    for side in (ANSWER, REQUEST):
        if name.startswith(side):
            return side, name.partition(": ")[2]
    server, client, _ = name.partition(CLIENT)
    return (server, client) if client and name.startswith(POSTURE) else (name,)


def _brought(change: _Change, before: Side, after: Side, strategy: Strategy) -> str:
    """Return why the upgrade itself brings a change: the version of what it replaces; empty where it does not."""
    revision = revision_of(after.istio) if strategy is Strategy.CANARY else ""
    versions = tuple(f"v{side.kubernetes}" for side in (before, after))
    if (change.name, change.before, change.after) == (KUBERNETES, *versions):
        return f"The upgrade is to Kubernetes {after.kubernetes}."
    if revision and (change.name, change.before, change.after) == (f"{ISTIOD}{revision}", "", after.istio):
        return f"The upgrade is to the control plane of Istio {after.istio}, beside the old one."
    if change.name.startswith(ISTIOD) and not revision and change.before:
        return f"The upgrade is to Istio {after.istio}." if change.after == after.istio != before.istio else ""
    _, colon, what = change.name.removeprefix(PROXY).rpartition(": ")
    if not (change.name.startswith(PROXY) and colon and change.before):
        return ""
    if what == "revision" and revision and change.after == revision:
        return "Each control plane of a canary upgrade has a revision of its own."
    if what == "Istio" and change.after == after.istio != before.istio:
        return f"The upgrade is to Istio {after.istio}."
    if what == "Envoy" and change.after == after.envoy != before.envoy:
        return f"The upgrade is to Envoy {after.envoy}."
    if what == "Envoy" and not after.envoy and after.istio != before.istio and _is_newer(change):
        return f"Istio {after.istio} comes with Envoy {change.after}."
    return ""


def _is_newer(change: _Change) -> bool:
    """Return whether a release, such as ``1.39.3``, has become a later one."""
    first, last = (side.split(".") for side in (change.before, change.after))
    return all(part.isdigit() for part in (*first, *last)) and [*map(int, first)] < [*map(int, last)]


def _gone(change: _Change, before: Side, strategy: Strategy, state: State) -> str:
    """Return why an istiod is gone: the end of a canary upgrade removes the old one; empty where it does not."""
    if strategy is Strategy.CANARY and state == NEW and change.name.startswith(ISTIOD) and not change.after:
        return f"The upgrade removes the control plane of Istio {before.istio}."
    return ""


def _anew(change: _Change, state: State) -> str:
    """Return why a new cluster brings a change: the root that its istiod makes; empty where it does not.

    One root of such a name in place of another one, and no more: whoever is trusted beside it is a change.
    """
    of_a_root = (change.name.startswith(PROXY) and change.name.endswith(": trusted roots")) or (
        change.name.startswith(WEBHOOK) and change.name.endswith(": authority")
    )
    if state != ON_A_NEW_CLUSTER or not of_a_root:
        return ""
    if not all(_ONE_ROOT_OF_ISTIOD.fullmatch(side) for side in (change.before, change.after)):
        return ""
    return (
        "Each istiod that is given no root makes one: "
        "https://istio.io/latest/docs/tasks/security/cert-management/plugin-ca-cert/"
    )


def _first_fitting(entries: Iterable[Acknowledgement], change: _Change, state: State) -> Acknowledgement | None:
    fitting = (entry for entry in entries if entry.fits(change.name, change.before, change.after, state.key))
    return next(fitting, None)


def _one(group: Sequence[Difference]) -> Difference:
    first, *others = group
    if not others:
        return first
    facts = tuple(difference.name for difference in group)
    return replace(first, name=f"{first.name}, and {len(others)} alike", facts=facts)
