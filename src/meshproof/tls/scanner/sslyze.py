"""A second opinion on versions and cipher suites, by the program ``sslyze``.

It is run as a process and never imported: it is under the AGPL. `make setup` gives it an environment of its own,
since it needs an older version of ``cryptography`` than we do.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshproof.errors import ScanFailed, ToolMissing
from meshproof.machine.process import beside
from meshproof.tls.probe.stream import Address
from meshproof.tls.protocol.version import ProtocolVersion

DEFAULT_TIMEOUT = 300.0  # seconds for all targets together; a scan tries each suite of each version

_FIELDS = {
    ProtocolVersion.SSL_2: "ssl_2_0_cipher_suites",
    ProtocolVersion.SSL_3: "ssl_3_0_cipher_suites",
    ProtocolVersion.TLS_1_0: "tls_1_0_cipher_suites",
    ProtocolVersion.TLS_1_1: "tls_1_1_cipher_suites",
    ProtocolVersion.TLS_1_2: "tls_1_2_cipher_suites",
    ProtocolVersion.TLS_1_3: "tls_1_3_cipher_suites",
}
_SCANS = ("--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3")
_COMPLETED = "COMPLETED"
_TIMED_OUT = "Connection to server timed out during the TLS handshake"  # sslyze counts it as a rejection


@dataclass(frozen=True, slots=True)
class Target:
    """What to scan.

    Attributes:
        address: Where to connect to; its host is an IP address.
        sni: The server name to send.
    """

    address: Address
    sni: str

    def __post_init__(self) -> None:
        ipaddress.ip_address(self.address.host)

    def __str__(self) -> str:
        """Spell it as sslyze reads it: ``name:port{ip}``; an IPv6 address in brackets."""
        host = f"[{self.address.host}]" if ":" in self.address.host else self.address.host
        return f"{self.sni}:{self.address.port}{{{host}}}"


@dataclass(frozen=True, slots=True)
class Scan:
    """What sslyze found at one target.

    Attributes:
        accepted: For each version the accepted cipher suites by their OpenSSL names; empty when not offered.
    """

    accepted: Mapping[ProtocolVersion, frozenset[str]]

    @property
    def offered(self) -> frozenset[ProtocolVersion]:
        """The versions of which at least one suite was accepted."""
        return frozenset(version for version, suites in self.accepted.items() if suites)


def scan(targets: Sequence[Target], *, timeout: float = DEFAULT_TIMEOUT) -> dict[Target, Scan]:
    """Scan all targets in one process, and wait for its end; see ``scanning``."""
    with scanning(targets, timeout=timeout) as result:
        return result()


@contextmanager
def scanning(
    targets: Sequence[Target], *, timeout: float = DEFAULT_TIMEOUT
) -> Iterator[Callable[[], dict[Target, Scan]]]:
    """Scan all targets in one process beside a block, and end it with the block.

    A server that requires a client certificate is judged as well: what it accepts shows before it asks.

    Args:
        targets: What to scan; at least one, each once.
        timeout: Seconds for all of it.

    Returns:
        A function that waits for the end of the scan and returns for each target what was found.

    Raises:
        ToolMissing: sslyze is not installed.
        CommandFailed: From that function: sslyze ended with an error, or not in time.
        ScanFailed: From that function: sslyze could not connect to a target, gave up on a version, or took a timeout
            for a rejection.
    """
    with beside([*_program(), "--json_out", "-", *_SCANS, *map(str, targets)], timeout=timeout) as printed:
        yield lambda: read_report(printed.result(), targets)


def _program() -> list[str]:
    """Return the command that runs sslyze: that of `make setup`, or else the one on the PATH."""
    python = Path(sys.prefix, "sslyze", "bin", "python")
    if python.exists():
        return [str(python), "-m", "sslyze"]
    program = shutil.which("sslyze")
    if program is None:
        raise ToolMissing(
            f"Tried to run sslyze, in {python.parents[1]} and on the PATH: it is in neither. "
            "In a checkout run `make setup`; elsewhere install sslyze in an environment of its own, on the PATH."
        )
    return [program]


def read_report(printed: str, targets: Sequence[Target]) -> dict[Target, Scan]:
    """Read what sslyze printed with ``--json_out -``.

    Raises:
        ScanFailed: As for ``scanning``.
    """
    try:
        report = json.loads(printed)
    except json.JSONDecodeError as error:
        raise ScanFailed(f"sslyze printed no report on {_listed(targets)}: {printed.strip()[:200]}") from error
    for invalid in report["invalid_server_strings"]:
        raise ScanFailed(f"sslyze did not understand {invalid['server_string']}: {invalid['error_message']}.")
    found = {_target(result): _scan(result) for result in report["server_scan_results"]}
    missing = [target for target in targets if target not in found]
    if missing:
        raise ScanFailed(f"sslyze reported nothing on {_listed(missing)}.")
    return found


def _listed(targets: Sequence[Target]) -> str:
    return ", ".join(map(str, targets))


def _target(result: Mapping[str, Any]) -> Target:
    location = result["server_location"]
    return Target(Address(location["ip_address"], location["port"]), location["hostname"])


def _scan(result: Mapping[str, Any]) -> Scan:
    target = _target(result)
    if result["connectivity_status"] != _COMPLETED or result["scan_status"] != _COMPLETED:
        raise ScanFailed(f"sslyze could not scan {target}: {_last_line(result['connectivity_error_trace'])}.")
    attempts = result["scan_result"]
    return Scan({version: _accepted(target, version, attempts[field]) for version, field in _FIELDS.items()})


def _accepted(target: Target, version: ProtocolVersion, attempt: Mapping[str, Any]) -> frozenset[str]:
    if attempt["status"] != _COMPLETED:
        raise ScanFailed(f"sslyze gave up on {version} at {target}: {_last_line(attempt['error_trace'])}.")
    result = attempt["result"]
    if any(suite["error_message"] == _TIMED_OUT for suite in result["rejected_cipher_suites"]):
        raise ScanFailed(f"sslyze took a timeout for a rejection of {version} at {target}: scan fewer at a time.")
    return frozenset(suite["cipher_suite"]["openssl_name"] for suite in result["accepted_cipher_suites"])


def _last_line(trace: str | None) -> str:
    return trace.strip().splitlines()[-1].rstrip(".") if trace else "it gave no reason"
