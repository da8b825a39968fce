r"""Changes of behaviour that somebody has said yes to, read from a YAML file.

It is a list of such entries::

    - fact: "posture shop.example:443: TLS 1.2"   # the name of a fact; a * stands for anything
      reason: From December on only TLS 1.3, see TICKET-12.
      before: "offered"                           # optional: what it was; a * stands for anything
      after: "not offered*"                       # optional: what it is now
      from: "1.30"                                # optional: the release that the upgrade comes from; 1.30.3 fits, too.
                                                  # Without quotes YAML reads a number, 1.3
      to: "1.31"                                  # optional: the release that it leads to
      states: [S3, S4]                            # optional: the states in which it is all right; else all but S5

In `fact`, `before` and `after`, ``\*`` is a star and ``\\`` a backslash.

`known.yaml` beside this module is such a file: what is known of releases of Istio and Envoy, each with its source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from meshproof.input_files import Node, yaml_documents
from meshproof.upgrade.plan import BACK, OLD, STATES

_STATES = "states"
_RELEASES = ("from", "to")
_KEYS = ("fact", "reason", "before", "after", *_RELEASES, _STATES)
_KEYS_OF_STATES = tuple(state.key for state in STATES if state != OLD)
_ANY = "*"
_RELEASE = re.compile(r"\d+\.\d+(\.\d+)?(-[a-z0-9.]+)?")
_THREE_LETTERS = re.compile(r"[^\W_]{3}")
_KNOWN = Path(__file__).with_name("known.yaml")


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """One entry of the file.

    Attributes:
        fact: The pattern of the names of facts.
        reason: Why the difference is all right.
        before: The pattern of what it was.
        after: The pattern of what it is.
        old: The release of Istio before the upgrade for which it holds, or how that begins; empty is any.
        new: The same of the release after it.
        states: The states in which it holds; none is any but that after a rollback.
        line: Where in the file it is.
    """

    fact: str
    reason: str
    before: str = _ANY
    after: str = _ANY
    old: str = ""
    new: str = ""
    states: tuple[str, ...] = ()
    line: int | None = None

    def holds_for(self, old: str, new: str) -> bool:
        """Return whether it is about an upgrade from one release of Istio to another."""
        return _within(self.old, old) and _within(self.new, new)

    def fits(self, name: str, before: str, after: str, state: str) -> bool:
        """Return whether it is about a difference in a state."""
        return self._is_for(state) and all(
            _pattern(pattern).fullmatch(text)
            for pattern, text in ((self.fact, name), (self.before, before), (self.after, after))
        )

    def _is_for(self, state: str) -> bool:
        """Return whether it is about a state; after a rollback nothing is all right that is not said to be so there."""
        return state in self.states if self.states else state != BACK.key


def known() -> list[Acknowledgement]:
    """Return what is known of releases."""
    return read_acknowledgements(_KNOWN)


def read_acknowledgements(path: Path) -> list[Acknowledgement]:
    """Read a file.

    Raises:
        Unreadable: It can't be read, is not YAML, or is something else than such a list.
    """
    return [_entry(entry) for document in yaml_documents(path) for entry in document.items()]


def literal(text: str) -> str:
    """Return the pattern that fits a text and nothing else."""
    return re.sub(r"[*\\]", r"\\\g<0>", text)


def is_release(text: str) -> bool:
    """Return whether a text is the name of a release of Istio, as `from` and `to` have it."""
    return bool(_RELEASE.fullmatch(text))


def _entry(node: Node) -> Acknowledgement:
    fields = node.fields(_KEYS)
    texts = {key: _text(key, field) for key, field in fields.items() if key != _STATES}
    for key in ("fact", "reason"):
        if key not in fields:
            raise node.wrong(f"lacks `{key}`")
    if not any(letter.isalnum() for letter in texts["reason"]):
        raise fields["reason"].wrong("says nothing: write why this may be otherwise")
    if not any(letter.isalpha() for letter in texts["fact"]):
        raise fields["fact"].is_not("the name of a fact, with a * for some of it")
    if not _THREE_LETTERS.search(texts["fact"]):
        raise fields["fact"].wrong(
            "fits nearly everything: write three letters or digits of the name in a row, or more"
        )
    for key in _RELEASES:
        if key in fields and not is_release(texts[key]):
            raise fields[key].is_not("a release of Istio, such as 1.30 or 1.31.0")
    states = fields[_STATES].items() if _STATES in fields else []
    for state in states:
        if state.text() not in _KEYS_OF_STATES:
            raise state.is_not(f"among {', '.join(_KEYS_OF_STATES)}")
    return Acknowledgement(
        texts["fact"],
        texts["reason"].strip(),
        texts.get("before", _ANY),
        texts.get("after", _ANY),
        texts.get("from", ""),
        texts.get("to", ""),
        tuple(state.text() for state in states),
        node.line,
    )


def _text(key: str, field: Node) -> str:
    """Return a piece of text; of what looks like a number or a date YAML makes one, if it has no quotes."""
    if isinstance(field.value, bool | int | float | date):
        example = '"1.30"' if key in _RELEASES else '"404"'
        raise field.wrong(f"has to be in quotes, as in {key}: {example}; without them YAML reads {field.value} there")
    return field.text()


def _within(asked: str, release: str) -> bool:
    return not asked or release == asked or release.startswith(f"{asked}.")


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    pieces = re.findall(r"\\[*\\]|.", pattern, re.DOTALL)
    return re.compile("".join(".*" if piece == _ANY else re.escape(piece[-1]) for piece in pieces), re.DOTALL)
