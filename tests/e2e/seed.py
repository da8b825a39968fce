"""The seed's tables: what each of its clients gets from each of its servers, a row each in ``seed_clients.csv``."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from meshproof.posture.spelling import result
from meshproof.tls import Posture

NO_CONNECTION = "No connection"


@dataclass(frozen=True, slots=True)
class Row:
    """What a client gets.

    Attributes:
        server: The server's name.
        client: The client's name.
        expected: Protocol, cipher suite and forward secrecy, or ``No connection``.
    """

    server: str
    client: str
    expected: str

    def __str__(self) -> str:
        return f"{self.server}: {self.client}"

    def check(self, postures: Mapping[str, Posture]) -> None:
        """Hold it against what a scan has seen."""
        seen = next(each for each in postures[self.server].clients if each.name == self.client)
        got = result(seen) if seen.answer.negotiated else NO_CONNECTION
        assert got == self.expected, (
            f"{self.client} at the server {self.server}: expected {self.expected}; seen {got} ({seen.reason})"
        )


def _rows() -> list[Row]:
    with Path(__file__).with_name("seed_clients.csv").open(newline="") as file:
        _, *rows = csv.reader(file)
    return [Row(server, client, "  ".join(filter(None, got))) for server, client, *got in rows]


ROWS = _rows()
