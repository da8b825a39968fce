"""A file for ``--acknowledge``, of what an upgrade found otherwise: all that it lacks are the reasons."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from meshproof.upgrade.acknowledgements import is_release, literal
from meshproof.upgrade.evidence import Kind
from meshproof.upgrade.plan import BACK
from meshproof.upgrade.report.document import Json

TO_FILL_IN = "acknowledge.yaml"
_HEAD = """\
# What this upgrade found otherwise, and nothing explains. Copy the file, for the next upgrade removes it. Where a
# change is meant write the reason; where it is not take the entry away. Then give the copy to --acknowledge.
# The reason of facts that are alike is written once, behind &why1, and *why1 stands for it: keep the &why1. By hand one
# entry does for many: a * in `fact` stands for anything.
"""


def to_fill_in(document: Json) -> str:
    """Return a file with an entry for each fact that differs and that nothing explains; empty where there is none.

    An entry fits what was seen, in upgrades between the same releases, and nothing else; a build that has no name of a
    release can't be said in one. Its reason is empty, and as long as it is the file is refused. The
    facts of one difference have one reason.

    Args:
        document: What ``document.to_json`` returns.
    """
    unexplained = [difference for difference in document["differences"] if difference["kind"] == Kind.UNEXPLAINED.value]
    sides = (("from", document["before"]["istio"]), ("to", document["after"]["istio"]))
    releases = "".join(f'  {key}: "{istio}"\n' for key, istio in sides if is_release(istio))
    entries = [
        entry for number, difference in enumerate(unexplained, 1) for entry in _entries(difference, releases, number)
    ]
    return _HEAD + "".join(entries) if entries else ""


def _entries(difference: Json, releases: str, number: int) -> Iterator[str]:
    """Yield the entry of each fact of a difference; the first has the reason, and the others lead to it."""
    facts = difference["facts"] or [difference["name"]]
    reason = f"&why{number} ''" if len(facts) > 1 else "''"
    states = {"states": [BACK.key]} if difference["state"] == BACK.key else {}
    for fact in facts:
        entry = {
            "fact": literal(fact),
            "before": literal(difference["before"]),
            "after": literal(difference["after"]),
            **states,
        }
        text = yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, width=1 << 16)
        yield f"{text}{releases}  reason: {reason}\n"
        reason = f"*why{number}"
