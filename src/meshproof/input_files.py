"""Files that people write or hand over: a mistake in one becomes a sentence that says where it is."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshproof.errors import Unreadable

if TYPE_CHECKING:
    import yaml

_SHOWN = 80  # letters of a wrong value
_BITS = 64  # of a whole number
_MAPPING, _LIST, _MERGE = (f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "merge"))

_FAULTS = (ValueError, LookupError, AttributeError)
"""What PyYAML raises for a scalar beside its own errors: the date 2026-13-45, or ``!!bool perhaps``."""


class Fields(dict[Any, Any]):
    """A mapping of a YAML file.

    Attributes:
        lines: The line of each key, the file's first being 1.
    """

    lines: dict[Any, int]


class Items(list[Any]):
    """A list of a YAML file.

    Attributes:
        lines: The line of each item, the file's first being 1.
    """

    lines: list[int]


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a file.

    Attributes:
        file: The file.
        where: The way to the value, such as ``clients.connect``; empty for the whole document.
        value: The value.
        line: The line that it is in, the first being 1; None when that is not known.
    """

    file: Path
    where: str
    value: object
    line: int | None = None

    def wrong(self, what: str) -> Unreadable:
        """Return the error that says what is wrong with it."""
        return Unreadable(f"{_place(self.file, self.line)}: {self.where or 'the document'} {what}.")

    def is_not(self, what: str) -> Unreadable:
        """Return the error that says what it should be, and what it is."""
        return self.wrong(f"should be {what}, and is {_shown(self.value)}")

    def fields(self, known: Iterable[str] = ()) -> dict[str, Node]:
        """Return what is in a mapping.

        Args:
            known: The keys that may be there; any may when there are none.
        """
        if not isinstance(self.value, dict):
            raise self.wrong(f"should be a mapping, and is {_shown(self.value)}")
        names, lines = tuple(known), getattr(self.value, "lines", {})
        for key in self.value if names else ():
            Node(self.file, self.where, key, lines.get(key, self.line)).among(names)
        where = f"{self.where}." if self.where else ""
        return {
            str(key): Node(self.file, f"{where}{key}", value, lines.get(key, self.line))
            for key, value in self.value.items()
        }

    def items(self) -> list[Node]:
        """Return what is in a list."""
        if not isinstance(self.value, list):
            raise self.wrong(f"should be a list, and is {_shown(self.value)}")
        lines = getattr(self.value, "lines", [self.line] * len(self.value))
        return [Node(self.file, self.where, value, line) for value, line in zip(self.value, lines, strict=True)]

    def text(self) -> str:
        """Return a piece of text."""
        if not isinstance(self.value, str):
            raise self.wrong(f"should be text, and is {_shown(self.value)}")
        return self.value

    def flag(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            raise self.wrong(f"should be true or false, and is {_shown(self.value)}")
        return self.value

    def number(self) -> int:
        """Return a whole number that is not negative."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or self.value < 0:
            raise self.wrong(f"should be a whole number, 0 or more, and is {_shown(self.value)}")
        return self.value

    def among(self, known: Iterable[str]) -> str:
        """Return a piece of text that is one of some words."""
        names = list(known)
        if isinstance(self.value, str) and self.value in names:
            return self.value
        meant = nearest(str(self.value) if _is_scalar(self.value) else "", names)
        raise self.wrong(f"has {_shown(self.value)}, which is not known; {meant}")


def nearest(wrong: str, known: Collection[str]) -> str:
    """Return, for the end of a sentence, which of some names could have been meant by one that is not among them."""
    names = known if isinstance(known, Sequence) else sorted(known)
    if near := difflib.get_close_matches(wrong, names, n=1):
        return f"the nearest is {near[0]!r}"
    return f"choose from {', '.join(names)}" if names else "there is none"


def yaml_documents(path: Path, *, keep_empty: bool = False) -> list[Node]:
    """Read the documents of a YAML file.

    A value that is named with ``&`` and used with ``*`` or ``<<`` stands wherever it is used.

    Args:
        path: The file.
        keep_empty: Return those without content, too.

    Raises:
        Unreadable: The file cannot be read, is not YAML, or has a key twice in one mapping.
    """
    import yaml  # noqa: PLC0415 - most scans read no YAML

    text, documents = _text(path), []
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        while root := _next(loader):
            documents.append(Node(path, "", _Values(path, loader).of(root), _line(root)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(filter(None, (error.context, error.problem))) + _hint(text, mark)
        raise Unreadable(f"{_place(path, mark.line + 1 if mark else None)}: this is not YAML: {what}.") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise Unreadable(f"{path}: this is not YAML: {' '.join(str(error).split())}.") from error
    return [node for node in documents if keep_empty or node.value is not None]


def _hint(text: str, mark: yaml.Mark | None) -> str:
    """Return what is likely meant by a mistake that YAML tells in its own terms."""
    lines = text.splitlines()
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return " (indent by spaces, not by a tab)"
    if "[*" in line or (": *" in line.replace("'", "") and line.rstrip().endswith("*")):
        return " (a * has to be quoted: '*')"
    if "\xa0" in text:
        return " (there is a no-break space in the file)"
    return ""


def _next(loader: yaml.SafeLoader) -> yaml.Node | None:
    return loader.get_node() if loader.check_node() else None


class _Values:
    """Makes values of what a YAML file is composed of, and keeps the lines."""

    def __init__(self, path: Path, loader: yaml.SafeLoader) -> None:
        self._path = path
        self._loader = loader
        self._made: dict[int, object] = {}
        self._unfinished: set[int] = set()

    def of(self, node: yaml.Node) -> object:
        """Return the value; the same one for each use of a name."""
        import yaml  # noqa: PLC0415 - as above

        if id(node) in self._unfinished:
            raise Unreadable(f"{_place(self._path, _line(node))}: this value has itself inside.")
        if id(node) not in self._made:
            self._unfinished.add(id(node))
            if isinstance(node, yaml.ScalarNode):
                self._made[id(node)] = self._scalar(node)
            elif node.tag not in {_MAPPING, _LIST}:
                raise Unreadable(f"{_place(self._path, _line(node))}: the tag {node.tag} means nothing here.")
            else:
                self._made[id(node)] = self._mapping(node) if isinstance(node, yaml.MappingNode) else self._items(node)
            self._unfinished.discard(id(node))
        return self._made[id(node)]

    def _scalar(self, node: yaml.ScalarNode) -> object:
        try:
            value: object = self._loader.construct_object(node)
        except _FAULTS as error:
            what = f"{_shown(node.value)} is no {node.tag.rpartition(':')[2]}"
            raise Unreadable(f"{_place(self._path, _line(node))}: this is not YAML: {what}.") from error
        if isinstance(value, int) and value.bit_length() > _BITS:
            raise Unreadable(f"{_place(self._path, _line(node))}: this number is too large.")
        return value

    def _mapping(self, node: yaml.MappingNode) -> Fields:
        lines: dict[str, int] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                self.of(value)  # so that a key twice is found there too
            name = "<<" if key.tag == _MERGE else str(self.of(key))
            if name in lines:
                raise Unreadable(
                    f"{_place(self._path, _line(key))}: the key {name!r} is there twice, first in line {lines[name]}."
                )
            lines[name] = _line(key)
        self._loader.flatten_mapping(node)  # puts what is merged in front, where it gives way to the mapping's own
        fields = Fields()
        fields.lines = {}
        for key, value in node.value:
            word = self.of(key)
            if not _is_scalar(word):
                raise Unreadable(f"{_place(self._path, _line(key))}: a key should be text, and is {_shown(word)}.")
            fields[word] = self.of(value)
            fields.lines[word] = _line(key)
        return fields

    def _items(self, node: yaml.Node) -> Items:
        items = Items(map(self.of, node.value))
        items.lines = list(map(_line, node.value))
        return items


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _place(path: Path, line: int | None) -> str:
    return str(path) if line is None else f"{path}, line {line}"


def _is_scalar(value: object) -> bool:
    return not isinstance(value, dict | list)


def _shown(value: object) -> str:
    """Return a wrong value as a sentence can have it."""
    if not _is_scalar(value):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = "empty" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def json_document(path: Path) -> Any:  # noqa: ANN401 - it can be anything
    """Read a JSON file."""
    try:
        return json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{path}: this is not JSON: {error}.") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path}: this is not text in UTF-8: {error.reason}.") from error
