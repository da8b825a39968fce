"""Parts of a document, found by the way to them."""

from __future__ import annotations

from typing import Any

from meshproof.input_files import Node


def at(node: Node, *path: str) -> Node | None:
    """Return a part of a document; None where it is absent.

    Raises:
        Unreadable: What should hold it is no mapping.
    """
    for key in path:
        below = node.fields().get(key)
        if below is None or below.value is None:
            return None
        node = below
    return node


def need(node: Node, *path: str) -> Node:
    """Return a part that has to be there.

    Raises:
        Unreadable: It is absent.
    """
    for key in path:
        part = at(node, key)
        if part is None:
            raise node.wrong(f"has no {key}")
        node = part
    return node


def list_at(node: Node, *path: str) -> list[Node]:
    """Return the items of a part; none where it is absent."""
    part = at(node, *path)
    return part.items() if part else []


def value_at(node: Node, *path: str) -> Any:  # noqa: ANN401 - it can be anything
    """Return the value of a part; None where it is absent."""
    part = at(node, *path)
    return part.value if part else None
