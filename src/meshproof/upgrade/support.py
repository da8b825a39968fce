"""Whether Istio itself supports the way from one of its releases to another.

Source: https://istio.io/latest/docs/setup/upgrade/canary/ ("it is supported to jump across two minor versions", each
minor release in place) and https://istio.io/latest/docs/releases/supported-releases/ (which is not older than which)
"""

from __future__ import annotations

import re

from meshproof.errors import BadInput
from meshproof.upgrade.evidence import Side, Strategy

_RELEASE = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_IN_PLACE, _CANARY = 1, 2  # minor releases in one go


def refuse_a_skip_in_place(before: Side, after: Side, strategy: Strategy) -> None:
    """Refuse an upgrade in place over more than one minor release.

    Args:
        before: The mesh before.
        after: The mesh after.
        strategy: How the one is made the other.

    Raises:
        BadInput: It is one.
    """
    minors = _minors(before, after)
    if strategy is Strategy.IN_PLACE and abs(minors) > _IN_PLACE:
        can = f", or say --strategy {Strategy.CANARY.value}, which may skip one" if minors == _CANARY else ""
        raise BadInput(
            f"{_way(before, after, minors)}: in place Istio supports one minor release at a time. Go by those "
            f"between{can}."
        )


def support_of(before: Side, after: Side, strategy: Strategy) -> str:
    """Return in a sentence how far Istio supports an upgrade; nothing where it does without more ado.

    Args:
        before: The mesh before.
        after: The mesh after.
        strategy: How the one is made the other. On a new cluster no two releases meet.
    """
    if strategy is Strategy.NEW_CLUSTER:
        return ""
    minors = _minors(before, after)
    way = _way(before, after, minors)
    if minors > _CANARY:
        return f"{way}: with a canary Istio supports two at most. Go by those between."
    if minors == _CANARY:
        return f"{way}: Istio supports that with a canary only, and not in place."
    if minors < 0 or (minors == 0 and _patch(before) > _patch(after) >= 0):
        return f"{way}: Istio supports that only as the way back from an upgrade (--rollback)."
    return ""


def _way(before: Side, after: Side, minors: int) -> str:
    """Return how a sentence on an upgrade begins: how far it leads."""
    number = f"{abs(minors)} minor release{'s' if abs(minors) > 1 else ''}"
    what = number if minors > 0 else f"a downgrade by {number}" if minors else "a downgrade"
    return f"{before.istio} to {after.istio} is {what}"


def _minors(before: Side, after: Side) -> int:
    """Return by how many minor releases one is newer than the other; 0 where a name tells none."""
    old, new = _RELEASE.match(before.istio), _RELEASE.match(after.istio)
    return int(new[2]) - int(old[2]) if old and new and old[1] == new[1] else 0


def _patch(side: Side) -> int:
    """Return the patch of a release; -1 for the head of a branch, which has none."""
    release = _RELEASE.match(side.istio)
    return int(release[3]) if release and release[3] else -1
