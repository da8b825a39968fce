"""The seed's tables: what each of its clients gets from each of its servers, a row each in ``seed_clients.csv``."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from meshproof.posture.spelling import ended, result
from meshproof.testing import Since
from meshproof.tls import WORDLESS, Answer, Posture
from meshproof.tls.protocol.clients import built_in

SERVERS = {"minimum 1.2", "only 1.2", "only 1.3"}
CLIENTS = 35  # of each server
NO_CONNECTION = "No connection"
WORDLESS_END = "closed without a word"
PROTOCOL_VERSION = "alert 70 protocol_version"
HANDSHAKE_FAILURE = "alert 40 handshake_failure"
SSL_3_CLIENT = "IE 6 XP"  # it offers nothing newer
_FILE = Path(__file__).with_name("seed_clients.csv")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Row:
    """What a client gets.

    Attributes:
        server: The server's name.
        client: The client's name.
        expected: Protocol, cipher suite and forward secrecy, or ``No connection``.
        end: How a refused connection ends: an alert, or ``closed without a word``. Empty where there is a connection.
    """

    server: str
    client: str
    expected: str
    end: str = ""

    def __str__(self) -> str:
        return f"{self.server}: {self.client}"

    def check(self, postures: Mapping[str, Posture]) -> None:
        """Hold it against what a scan has seen."""
        seen = next(each for each in postures[self.server].clients if each.name == self.client)
        got = result(seen) if seen.answer.negotiated else f"{NO_CONNECTION}: {end_of(seen.answer)}"
        wanted = f"{self.expected}: {self.end}" if self.end else self.expected
        assert got == wanted, (
            f"{self.client} at the server {self.server}: expected {wanted}; seen {got} ({seen.reason})"
        )


def refused_ssl_3(now: Value, before: Value) -> Since[Value]:
    """Return how a hello of SSLv3 is refused: by Envoy's TLS inspector since 1.39, before by its TLS library.

    The inspector ends the connection; the library says why with alert 70. Where no filter chain is for the hello, the
    connection just ends with either.
    """
    source = "https://github.com/envoyproxy/envoy/pull/44274"
    return Since("1.39", now, before=before, source=source, component="envoy")


def end_of(answer: Answer) -> str:
    """Return how a connection ended, as the tables have it.

    An end without a word is one of theirs only if the scan has confirmed it between controls that were answered: a
    gateway that goes down ends connections in the same way. A proxy in between may turn a reset into a close.
    """
    if answer.outcome in WORDLESS and answer.alert is None and answer.confirmed:
        return WORDLESS_END
    return ended(answer.outcome, answer.alert)


def seed_rows() -> list[Row]:
    """Return all rows of the seed's tables.

    Raises:
        ValueError: A server has not exactly one row for each of the seed's clients, or a row does not say how a
            refused connection ends.
    """
    with _FILE.open(newline="") as file:
        _, *lines = csv.reader(file)
    rows = [Row(server, client, "  ".join(filter(None, got)), end) for server, client, *got, end in lines]
    clients = sorted(profile.name for profile in built_in().of("seed"))
    for server in sorted(SERVERS | {row.server for row in rows}):
        named = sorted(row.client for row in rows if row.server == server)
        if server not in SERVERS or named != clients or len(named) != CLIENTS:
            raise ValueError(
                f"{_FILE.name} has {len(named)} rows of the server {server}. It has to have {CLIENTS} of each of "
                f"{', '.join(sorted(SERVERS))}, one for each client of the seed."
            )
    for row in rows:
        if (row.expected == NO_CONNECTION) is not bool(row.end):
            raise ValueError(f"{_FILE.name} has to say how a refused connection ends, and only there: see {row}.")
    return rows
