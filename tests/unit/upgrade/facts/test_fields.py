"""Which fields differ: each with its path, and no more than what differs."""

from __future__ import annotations

import pytest

from meshproof.upgrade.facts import changed_fields


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1}}, []),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}}, [("a.b", "1", "3")]),
        ({"a": 1}, {}, [("a", "1", "")]),
        ({}, {"a": {"b": ["c"]}}, [("a", "", '{"b": ["c"]}')]),
        ({"alpn": ["h2", "http/1.1"]}, {"alpn": ["http/1.1", "h2"]}, [("alpn", "h2, http/1.1", "http/1.1, h2")]),
        (
            {"filters": [{"name": "rbac", "typed_config": {"on": True}}, {"name": "router"}]},
            {"filters": [{"name": "rbac", "typed_config": {"on": False}}, {"name": "router"}]},
            [("filters[rbac].on", "true", "false")],
        ),
        (
            {"filters": [{"name": "rbac"}, {"name": "router"}]},
            {"filters": [{"name": "router"}]},
            [("filters[rbac]", '{"name": "rbac"}', "")],
        ),
        (
            {"filters": [{"name": "rbac"}, {"name": "router"}]},
            {"filters": [{"name": "router"}, {"name": "rbac"}]},
            [("filters order", "rbac, router", "router, rbac")],
        ),
        ({"routes": [{"match": 1}]}, {"routes": [{"match": 2}]}, [("routes[0].match", "1", "2")]),
        ({"options": {"envoy.a.B": 1}}, {"options": {"envoy.a.B": 2}}, [("options[envoy.a.B]", "1", "2")]),
        ({"a": ""}, {"a": None}, [("a", '""', "null")]),
    ],
    ids=[
        "the same",
        "a field",
        "gone",
        "new",
        "the order of names",
        "in what a list has by its name",
        "gone from a list",
        "the order of a list",
        "in a list without names",
        "a key with dots",
        "empty and null",
    ],
)
def test_what_differs(before: object, after: object, changes: list[tuple[str, str, str]]) -> None:
    """A difference names the field that differs, and what is not there is empty."""
    assert list(changed_fields(before, after)) == changes


def test_a_long_value_is_cut() -> None:
    """What is too long for a table says how long it is."""
    ((_, _, after),) = changed_fields({}, {"a": "x" * 1000})
    assert "… (1000 characters, SHA-256 " in after
    assert len(after) < 350
