"""The table of docs/boundaries.md: what is expected of the mesh is what the page says."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.checkout import ROOT

PAGE = ROOT / "docs" / "boundaries.md"


@dataclass(frozen=True, slots=True)
class Boundary:
    """A row of the table: what becomes of a request, by mode, and whether the page calls it covered (yes or no)."""

    client: str
    target: str
    permissive: str
    strict: str
    covered: str

    def __str__(self) -> str:
        return f"{self.client} to {self.target}"


def boundaries() -> list[Boundary]:
    """Read the table."""
    lines = [line.strip("|").split("|") for line in PAGE.read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in cells] for cells in lines if cells[-1].strip() in {"yes", "no"}]
    return [Boundary(*cells) for cells in rows]
