"""A second opinion on versions and on the seed's clients, by the program ``testssl.sh``.

It is run as a process and only what it prints is read: it is under the GPL. The data of its clients changes with
its releases; the seed's 35 are those of 3.0.8 and 3.0.9.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from meshproof.errors import CommandFailed
from meshproof.machine import process
from meshproof.tls import Address, ProtocolVersion

CLIENTS = 35
"""How many clients it simulates by default."""
_NAMES = ("testssl", "testssl.sh")  # Debian's and its own
_TIMEOUT = 240.0  # seconds for all of it; it takes 20 to 60, most of them asleep
_ENVIRONMENT = {
    # It takes the silence of so many seconds for a refusal. None of our servers is ever silent: a reply that is late,
    # because the machine is busy, has to be waited for.
    "MAX_WAITSOCK": "60",
    "HEADER_MAXSLEEP": "20",
    # Where it connects to only to learn what its openssl can do; the default is a name, and takes the DNS' time.
    "NXCONNECT": "127.0.0.1:0",
    "LC_ALL": "C.UTF-8",
}
_FIRST_FATAL = 50  # from here on its exit status is no count of findings
_OFFERED = re.compile(r" (?P<version>SSLv[23]|TLS 1(?:\.[123])?) {2,}(?P<no>not )?offered\b.*")
_CLIENT = re.compile(
    r" (?P<name>\S.*?) +(?:No connection|"
    r"(?P<protocol>SSLv3|TLSv1\.[0123]) +(?P<cipher>[A-Z0-9_-]+) +(?P<secrecy>No FS|\d+ bit \S.*?)) *"
)
_RULE = re.compile(r"-{60,}")


class Unreadable(Exception):
    """testssl.sh printed something that is not what we know it to print: nothing may be concluded from it."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a client gets, spelled as testssl.sh prints it.

    Attributes:
        protocol: Such as ``TLSv1.2``.
        cipher: Such as ``ECDHE-RSA-AES128-GCM-SHA256``.
        forward_secrecy: Such as ``253 bit ECDH (X25519)`` or ``No FS``, without the spaces of the column.
    """

    protocol: str
    cipher: str
    forward_secrecy: str

    def __str__(self) -> str:
        return f"{self.protocol} {self.cipher} {self.forward_secrecy}"


@dataclass(frozen=True, slots=True)
class Opinion:
    """What testssl.sh found.

    Attributes:
        offered: Whether each version is offered.
        clients: What each client gets, in its order; None for ``No connection``.
        printed: All that it printed.
    """

    offered: Mapping[ProtocolVersion, bool]
    clients: Mapping[str, Row | None]
    printed: str


def ask(address: Address, sni: str) -> Opinion:
    """Run it on a server, once.

    Args:
        address: Where to connect to; its host is an IP address.
        sni: The server name to send.

    Raises:
        ToolMissing: It is not installed.
        CommandFailed: It could not do its work, or not in time.
        Unreadable: A row is missing or cannot be read.
    """
    program = next((name for name in _NAMES if shutil.which(name)), _NAMES[0])
    what = ["--protocols", "--client-simulation", "--wide"]
    # With --warnings off it asks nobody, also where its own openssl cannot connect: the simulation does not use it.
    how = ["--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--assume-http"]
    with tempfile.TemporaryDirectory(prefix="meshproof-") as directory:
        log = Path(directory, "log")
        where = ["--logfile", str(log), "--ip", address.host, f"https://{sni}:{address.port}"]
        try:
            process.run([program, *what, *how, *where], env=_ENVIRONMENT, timeout=_TIMEOUT)
        except CommandFailed as error:
            if not 0 < error.returncode < _FIRST_FATAL:
                raise
        return read(log.read_text())


def read(printed: str) -> Opinion:
    """Read what it prints with ``--protocols --client-simulation --wide --color 0``.

    Raises:
        Unreadable: A row is missing or cannot be read.
    """
    return Opinion(_versions(printed.splitlines()), dict(_clients(printed.splitlines())), printed)


def _versions(lines: Sequence[str]) -> dict[ProtocolVersion, bool]:
    rows = [found for line in lines if (found := _OFFERED.fullmatch(line))]
    offered = {ProtocolVersion(row["version"]): not row["no"] for row in rows}
    if len(rows) != len(ProtocolVersion) or set(offered) != set(ProtocolVersion):
        raise Unreadable(f"Read {', '.join(map(str, offered))} of the versions only:\n" + "\n".join(lines))
    return offered


def _clients(lines: Sequence[str]) -> Iterator[tuple[str, Row | None]]:
    """Give each row of the table: what is between its rule and the next empty line."""
    table = list(_table(lines))
    names = set()
    for line in table:
        row = _CLIENT.fullmatch(line)
        if not row:
            raise Unreadable(f"This is no client's row: {line!r}")
        names.add(row["name"])
        secrecy = re.sub(" +", " ", row["secrecy"] or "")
        yield row["name"], Row(row["protocol"], row["cipher"], secrecy) if row["protocol"] else None
    if len(table) != CLIENTS or len(names) != CLIENTS:
        raise Unreadable(f"Read {len(names)} clients in {len(table)} rows, not {CLIENTS}:\n" + "\n".join(lines))


def _table(lines: Sequence[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        if _RULE.fullmatch(line):
            inside = True
        elif inside and not line.strip():
            return
        elif inside:
            yield line
