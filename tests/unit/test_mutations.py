"""The mutants of `make mutants`: what is changed in the code, and what is left alone."""

from __future__ import annotations

import ast

import pytest

from tools.mutations import changes


def mutants(code: str) -> set[str]:
    """Return the code with each change in it, one at a time."""
    found = set()
    for number, _ in enumerate(changes(ast.parse(code))):
        tree = ast.parse(code)
        list(changes(tree))[number].make()
        found.add(ast.unparse(ast.fix_missing_locations(tree)))
    return found


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("a < b", {"a <= b", "a >= b"}),
        ("a is not b", {"a is b"}),
        ("a and b", {"a or b", "a", "b"}),
        ("not a", {"a"}),
        ("a + b", {"a - b"}),
        ("x = True", {"x = False"}),
        ("x = 1", {"x = 2"}),
        ("x = 'y'", {"x = 'yX'"}),
        ("x = any(y)", {"x = all(y)"}),
        ("x = f(y, z)", {"x = f(z, y)"}),
        ("x = f(y=z)", {"x = f()"}),
        ("x = [y, z]", {"x = [y]", "x = [z]"}),
        ("x = {y: z}", {"x = {}"}),
        ("x = y[a:b]", {"x = y[:b]", "x = y[a:]"}),
        ("x = y if a else z", {"x = z if a else y"}),
        ("x = [y for y in z if y]", {"x = [y for y in z]"}),
        ("f()", {"pass"}),
        ("x.y = z", {"pass"}),
        ("x += y", {"pass", "x -= y"}),
        ("raise x", {"pass"}),
        ("if a:\n    b", {"if not a:\n    b"}),
        ("def f():\n    return x", {"def f():\n    return"}),
        ("def f(x=1):\n    ...", {"def f(x=2):\n    ..."}),
    ],
)
def test_a_mistake_is_small(code: str, expected: set[str]) -> None:
    """Each is one change, and each that there is."""
    assert mutants(code) == expected


@pytest.mark.parametrize(
    "code",
    [
        "'''A docstring, and 1 more.'''",
        "import x",
        "assert x == 1",
        "__all__ = ['x']",
        "Item = TypeVar('Item')",
        "Judge = Callable[[bytes], int | None]",
        "def f(x: int | None) -> int | None:\n    ...",
        "@cache\ndef f():\n    ...",
        "class Asker(Protocol):\n    x = 1",
        "return None",
    ],
)
def test_what_is_no_code_is_left_alone(code: str) -> None:
    """Nobody could notice a change of it."""
    assert not mutants(code)


def test_where_a_change_is() -> None:
    """Its function is spelled as Python does; what is outside of one has none."""
    code = "x = 1\nclass C:\n    y = 2\n    def f(self):\n        def g():\n            z = 3\n        w = 4"
    found = {ast.unparse(change.node): change.function for change in changes(ast.parse(code))}
    assert found == {"1": "", "2": "", "3": "C.f.<locals>.g", "4": "C.f"}


def test_words_are_marked() -> None:
    """A message is text; a key is not."""
    code = "x = 'two words'\ny = 'key'\nz = f'{x:d}: y'\nraise Error('wrong')"
    texts = {ast.unparse(change.node): change.text for change in changes(ast.parse(code))}
    assert texts["'two words'"]
    assert texts["'wrong'"]
    assert not texts["'key'"]
