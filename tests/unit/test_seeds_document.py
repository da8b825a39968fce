"""docs/seeds.md says where each section of the four documents is proven, and the tests say the same."""

from __future__ import annotations

import re

import pytest

from tests.support.checkout import ROOT

TESTS = ROOT / "tests" / "e2e"
_, *PARTS = re.split(r"^## Document ", (ROOT / "docs" / "seeds.md").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.partition("\n")[0])
def test_the_scenarios_of_a_document(part: str) -> None:
    """The table of a document names exactly the modules that have rows of it."""
    mark = f"mark.seed(number={part[0]})"
    modules = {path for path in TESTS.rglob("test_*.py") if mark in path.read_text()}
    assert set(re.findall(r"`(\w+/\w+)`", part)) == {
        f"{path.parent.name}/{path.stem.removeprefix('test_')}" for path in modules
    }


def test_all_documents_are_there() -> None:
    """None of the four is forgotten."""
    assert [part[0] for part in PARTS] == ["0", "1", "2", "3"]
