"""Whether a document is as its schema says: as much of JSON Schema as ``posture.schema.json`` uses.

Keys that nobody described are let pass: a document of a later meshproof may have some.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from meshproof.input_files import Node
from meshproof.tls.probe.outcome import Outcome

Rules = Mapping[str, Any]

_TYPES: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "object": ("a mapping", (dict,)),
    "array": ("a list", (list, tuple)),
    "string": ("text", (str,)),
    "boolean": ("true or false", (bool,)),
    "integer": ("a whole number", (int,)),
    "number": ("a number", (int, float)),
    "null": ("null", (type(None),)),
}


def check(document: Node, file: Path) -> None:
    """Hold a document against the schema in a file.

    Raises:
        Unreadable: It is not as the schema says; the sentence names the first place, such as ``targets[0].alpn``.
    """
    schema = _schema(file)
    _Check(schema["$defs"]).value(document, schema)


@cache
def _schema(file: Path) -> Rules:
    schema: Rules = json.loads(file.read_text(encoding="utf-8"))
    return schema


@dataclass(frozen=True, slots=True)
class _Check:
    definitions: Mapping[str, Rules]

    def value(self, node: Node, rules: Rules) -> None:
        if "$ref" in rules:
            rules = self.definitions[rules["$ref"].removeprefix("#/$defs/")]
        if "anyOf" in rules:
            rules, _ = rules["anyOf"]  # the other one is null
            if node.value is not None:
                self.value(node, rules)
            return
        _has_type(node, rules)
        for keyword, (holds, what) in _RULES.items():
            absent = node.value is None and keyword not in ("const", "enum")  # then its type lets it be so
            if keyword in rules and not absent and not holds(node.value, rules[keyword]):
                raise node.is_not(what.format(rules[keyword]))
        if isinstance(node.value, dict):
            self._fields(node, node.value, rules)
        elif isinstance(node.value, list | tuple):
            for place, value in enumerate(node.value):
                self.value(Node(node.file, f"{node.where}[{place}]", value), rules["items"])

    def _fields(self, node: Node, fields: Mapping[str, object], rules: Rules) -> None:
        for key in rules.get("required", ()):
            if key not in fields:
                raise node.wrong(f"has no {key}")
        for key, value in fields.items():
            of_key = rules.get("properties", {}).get(key) or rules["additionalProperties"]
            where = f"{node.where}.{key}" if node.where else key
            if "propertyNames" in rules:
                self.value(Node(node.file, f"a key of {node.where}", key), rules["propertyNames"])
            if of_key:
                self.value(Node(node.file, where, value), of_key)


def _has_type(node: Node, rules: Rules) -> None:
    """Ask for the type; true and false are no numbers."""
    if "type" in rules:
        names = [rules["type"]] if isinstance(rules["type"], str) else rules["type"]
        words, types = zip(*(_TYPES[name] for name in names), strict=True)
        known = tuple(kind for kinds in types for kind in kinds)
        if not isinstance(node.value, known) or (isinstance(node.value, bool) and bool not in known):
            raise node.is_not(" or ".join(words))


def _is(text: str, kind: str) -> bool:
    """Return whether a text is of a format: an outcome, or a moment with its zone (RFC 3339)."""
    if kind == "outcome":
        return text in Outcome.__members__
    try:
        return datetime.fromisoformat(text).utcoffset() is not None
    except ValueError:
        return False


_RULES: Mapping[str, tuple[Callable[[Any, Any], bool], str]] = {
    "const": (lambda value, only: value == only, "{!r}"),
    "enum": (lambda value, known: value in known, "one of {}"),
    "minimum": (lambda value, least: value >= least, "at least {}"),
    "maximum": (lambda value, most: value <= most, "at most {}"),
    "pattern": (lambda text, pattern: re.search(pattern, text) is not None, "of the form {}"),
    "format": (_is, "of the kind {}"),
}
