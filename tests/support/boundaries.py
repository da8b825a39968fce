"""The table of docs/boundaries.md: what is expected of the mesh is what the page says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tests.support.checkout import ROOT

PAGE = ROOT / "docs" / "boundaries.md"


class Came(Enum):
    """What came, by the names of the second table of docs/boundaries.md, whose texts these are."""

    IDENTITY = (
        "An answer; X-Forwarded-Client-Cert told the application who the client is, so that both sidecars have spoken "
        "mutual TLS"
    )
    ANSWERED = "An answer, and nothing told the application who the client is"
    BROKEN = "503 of the client's sidecar: it could not speak TLS to the server"
    RESET = "The connection was reset by the sidecar of the server"
    SILENCE = "Not a word within a second from a server that speaks first"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Boundary:
    """A row of the table: what becomes of a request, by mode, and whether the page calls it covered (yes or no)."""

    client: str
    target: str
    permissive: Came
    strict: Came
    covered: str

    def __str__(self) -> str:
        return f"{self.client} to {self.target}"


def boundaries() -> list[Boundary]:
    """Read the table."""
    rows = [cells for cells in _rows() if cells[-1] in {"yes", "no"}]
    return [
        Boundary(client, target, Came[permissive], Came[strict], covered)
        for client, target, permissive, strict, covered in rows
    ]


def meanings() -> dict[str, str]:
    """Read what the page says of each thing that can come."""
    return {cells[0]: cells[1] for cells in _rows() if cells[0] in Came.__members__}


def _rows() -> list[list[str]]:
    lines = [line.strip("|").split("|") for line in PAGE.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in cells] for cells in lines]
