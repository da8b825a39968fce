"""Files that people write or hand over: a mistake in one becomes a sentence that says where it is."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshproof.errors import MeshproofError


class Unreadable(MeshproofError):
    """A file is not there, or is not what it should be."""

    exit_code = 4  # pytest's own code for a usage error


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a file.

    Attributes:
        file: The file.
        where: The way to the value, such as ``clients.connect``; empty for the whole document.
        value: The value.
    """

    file: Path
    where: str
    value: object

    def wrong(self, what: str) -> Unreadable:
        """Return the error that says what is wrong with it."""
        return Unreadable(f"{self.file}: {self.where or 'the document'} {what}.")

    def fields(self, known: Iterable[str] = ()) -> dict[str, Node]:
        """Return what is in a mapping.

        Args:
            known: The keys that may be there; any may when there are none.
        """
        if not isinstance(self.value, dict):
            raise self.wrong(f"should be a mapping, and is {self.value!r}")
        names, dot = tuple(known), "." if self.where else ""
        for key in self.value if names else ():
            Node(self.file, f"{self.where}{dot}{key}", key).among(names)
        return {str(key): Node(self.file, f"{self.where}{dot}{key}", value) for key, value in self.value.items()}

    def items(self) -> list[Node]:
        """Return what is in a list."""
        if not isinstance(self.value, list):
            raise self.wrong(f"should be a list, and is {self.value!r}")
        return [Node(self.file, self.where, value) for value in self.value]

    def text(self) -> str:
        """Return a piece of text."""
        if not isinstance(self.value, str):
            raise self.wrong(f"should be text, and is {self.value!r}")
        return self.value

    def flag(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            raise self.wrong(f"should be true or false, and is {self.value!r}")
        return self.value

    def among(self, known: Iterable[str]) -> str:
        """Return a piece of text that is one of some words."""
        names = list(known)
        if self.value in names:
            return str(self.value)
        near = difflib.get_close_matches(str(self.value), names, n=1)
        raise self.wrong(
            f"has {self.value!r}, which is not known; "
            + (f"the nearest is {near[0]!r}" if near else f"choose from {', '.join(names)}")
        )


def yaml_documents(path: Path) -> list[Node]:
    """Read the documents of a YAML file; empty ones are left out."""
    import yaml  # noqa: PLC0415 - most scans read no YAML

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return [Node(path, "", each) for each in yaml.load_all(_text(path), loader) if each is not None]
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that there is not
        raise Unreadable(f"{path}: this is not YAML: {' '.join(str(error).split())}.") from error


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
