"""Which fields of two configurations differ: each with its path and its two values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from meshproof.upgrade.facts.secrecy import digest

_LONGEST = 300  # characters of a value that a difference shows
_WRAPPER = "typed_config"  # Envoy's: what is inside is what it is about
_NAMES = ("name", "tag_name", "tag")


def changed_fields(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, str, str]]:  # noqa: ANN401 - JSON
    """Yield the path of each field that differs, and what it was and is; empty where it is not there.

    What lists have is paired by its name, where each has one of its own, and else by its place.
    """
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _of_mappings(before, after, path)
    elif isinstance(before, list) and isinstance(after, list) and _has_mappings(before) and _has_mappings(after):
        first, last = _by_name(before), _by_name(after)
        if first is None or last is None:
            first, last = ({f"[{place}]": value for place, value in enumerate(side)} for side in (before, after))
        yield from _of_mappings(first, last, path)
        orders = [
            ", ".join(name.strip("[]") for name in side if name in first and name in last) for side in (first, last)
        ]
        if orders[0] != orders[1]:
            yield f"{path} order", orders[0], orders[1]
    else:
        yield path, text_of(before), text_of(after)


def text_of(value: object) -> str:
    """Return a value as a difference shows it.

    What is long is cut, and has the digest of its whole: two that differ anywhere are not the same.
    """
    if isinstance(value, str) and value:
        text = value
    elif isinstance(value, list) and value and not any(isinstance(item, dict | list) for item in value):
        text = ", ".join(map(str, value))
    else:
        text = json.dumps(value, sort_keys=True)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters, {digest(text)})"


def _of_mappings(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
    for key in dict.fromkeys((*before, *after)):
        step = _step(path, key)
        if key not in after:
            yield step, text_of(before[key]), ""
        elif key not in before:
            yield step, "", text_of(after[key])
        else:
            yield from changed_fields(before[key], after[key], step)


def _step(path: str, key: str) -> str:
    if key == _WRAPPER:
        return path
    if key.startswith("["):
        return f"{path}{key}"
    if "." in key:
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def _has_mappings(items: Sequence[object]) -> bool:
    return all(isinstance(item, dict) for item in items)


def _by_name(items: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return what is in a list by its name; None where not each has one of its own."""
    for key in _NAMES:
        names = [item.get(key) for item in items]
        if all(isinstance(name, str) for name in names) and len({*names}) == len(names):
            return {f"[{name}]": item for name, item in zip(names, items, strict=True)}
    return None
