"""`meshproof scan`: the TLS posture of endpoints."""

from __future__ import annotations

import ipaddress
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from meshproof.commands.output import DEVIATES, STANDARD_OUTPUT, UNKNOWN, report, write
from meshproof.commands.users import own_clients
from meshproof.console import console
from meshproof.errors import MeshproofError
from meshproof.pki import Leaf
from meshproof.posture import document, table
from meshproof.tls import Address, Options, Posture, Target
from meshproof.tls import scan as scan_targets
from meshproof.tls.clients import SETS, Clients, built_in
from meshproof.tls.clients import read as read_clients
from meshproof.tls.probe import DEFAULT_TIMEOUT
from meshproof.tls.profile import Profile

if TYPE_CHECKING:
    from meshproof.posture.expectations import Deviation, Expectations
    from meshproof.posture.verdict import Finding

HTTPS = 443
_TARGET = re.compile(
    r"(?:https://)?(?:(?P<sni>[^@/\s]+)@)?(?:\[(?P<ip6>[^\]]+)\]|(?P<host>[^:/@\[\]\s]+))(?::(?P<port>\d{1,5}))?/?"
)
_PORTS = range(1, 65536)


class BadTarget(MeshproofError):
    """A target, or an option that goes with it, can't be understood."""

    exit_code = 4


def scan(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME@]HOST[:PORT]…", help="What to scan, NAME being the server name; - reads them."),
    ] = None,
    targets_file: Annotated[
        Path | None, typer.Option("--targets", metavar="FILE", help="Targets, one a line; # begins a comment.")
    ] = None,
    sni: Annotated[str | None, typer.Option("--sni", metavar="NAME", help="Server name; the host by default.")] = None,
    no_sni: Annotated[bool, typer.Option("--no-sni", help="Send no server name.")] = False,
    clients: Annotated[
        str, typer.Option("--clients", metavar="SET", help="Simulate seed, modern, user, all, none or a file.")
    ] = "seed",
    cert: Annotated[Path | None, typer.Option("--cert", metavar="FILE", help="Client certificate, in PEM.")] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Its private key, in PEM.")] = None,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="For a connection.")] = DEFAULT_TIMEOUT,
    json_file: Annotated[
        Path | None, typer.Option("--json", "--save", metavar="FILE", help="Save all that was found; - prints it.")
    ] = None,
    html_file: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page to look at.")] = None,
    expect: Annotated[
        Path | None, typer.Option("--expect", metavar="FILE", help="Compare with what should be; 1 where it is not so.")
    ] = None,
    gateway: Annotated[
        Path | None, typer.Option("--gateway", metavar="FILE", help="Warn of suites that Istio drops from a Gateway.")
    ] = None,
) -> None:
    """Tell what TLS an endpoint offers, which clients get in, why others do not, and what is weak.

    Exit codes: 0, 1 where --expect deviates, 4 for what can't be understood, 14 when something could not be found out.
    """
    known = built_in().with_own(own_clients())
    simulated = _simulated(clients, known)
    wanted = _expectations(expect, (*known.profiles, *simulated))
    warnings = (*(wanted.warnings if wanted else ()), *_gateway_warnings(gateway))
    options = Options(clients=simulated, timeout=_positive(timeout), credential=_credential(cert, key))
    asked = [_target(word, sni, no_sni=no_sni) for word in _words(targets or [], targets_file)]
    if not asked:
        raise BadTarget("Nothing is to be scanned: name a HOST:PORT, a file of them with --targets, or -.")
    postures = _scan(asked, options)
    if json_file != STANDARD_OUTPUT:
        _show(postures)
    if json_file or html_file:
        _save(postures, known.version, json_file, html_file)
    if warnings:
        console.print(table.verdict(warnings))
    code = _compare(wanted, postures)
    if code:
        raise typer.Exit(code)


def _save(postures: Sequence[Posture], clients: str, json_file: Path | None, html_file: Path | None) -> None:
    found = document.to_json(postures, clients=clients, aes=document.machine_has_aes())
    if json_file:
        write(json_file, json.dumps(found, indent=1) + "\n")
    if html_file:
        from meshproof.posture.page import page  # noqa: PLC0415 - templates take time that most scans can save

        write(html_file, page(found))


def _expectations(file: Path | None, clients: Sequence[Profile]) -> Expectations | None:
    if file is None:
        return None
    from meshproof.posture.expectations import read  # noqa: PLC0415 - YAML takes time that most scans can save

    return read(file, {profile.name: profile.group for profile in clients})


def _gateway_warnings(file: Path | None) -> tuple[Finding, ...]:
    if file is None:
        return ()
    from meshproof.posture.gateway import gateway_warnings  # noqa: PLC0415 - as above

    return gateway_warnings(file)


def _compare(wanted: Expectations | None, postures: Sequence[Posture]) -> int:
    """Say where the postures are not as expected, and return the exit code."""
    rows: list[Deviation] = []
    if wanted:
        from meshproof.posture.expectations import compare  # noqa: PLC0415 - as above

        for posture in postures:
            found = compare(wanted, posture)
            if len(postures) > 1 and found:
                console.print(escape(str(posture.target)))
            rows += found
            if found or len(postures) == 1:
                console.print(table.deviations(found))
    if any(not row.unknown for row in rows):
        return DEVIATES
    return UNKNOWN if rows or any(posture.unknown for posture in postures) else 0


def _scan(targets: Sequence[Target], options: Options) -> list[Posture]:
    """Scan, and return the postures in the targets' order."""
    found: dict[Target, Posture] = {}
    status = console.status("") if len(targets) > 1 else nullcontext()
    with status as shown:

        def take(posture: Posture) -> None:
            found[posture.target] = posture
            if shown:
                shown.update(f"{len(found)} of {len(targets)} targets")

        scan_targets(dict.fromkeys(targets), options, take)
    return [found[target] for target in dict.fromkeys(targets)]


def _show(postures: Sequence[Posture]) -> None:
    if len(postures) == 1:
        report.print(table.picture(postures[0]))
    else:
        report.print(table.summary(postures))


def _simulated(wanted: str, known: Clients) -> tuple[Profile, ...]:
    """Return the clients of some sets, or those of a file."""
    if wanted == "none":
        return ()
    if wanted == "all":
        return known.profiles
    sets = wanted.split(",")
    if set(sets) <= set(SETS):
        return known.of(*sets)
    if not Path(wanted).is_file():
        raise BadTarget(f"--clients {wanted} is neither seed, modern, user, all or none, nor a file.")
    return read_clients(Path(wanted)).profiles


def _words(targets: Iterable[str], file: Path | None) -> Iterator[str]:
    for target in targets:
        if target == "-":
            yield from _lines(sys.stdin)
        else:
            yield target
    if file:
        try:
            yield from _lines(file.read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise BadTarget(f"Tried to read the targets in {file}: {error}.") from error


def _lines(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        word = line.partition("#")[0].strip()
        if word:
            yield word


def _target(word: str, sni: str | None, *, no_sni: bool) -> Target:
    match = _TARGET.fullmatch(word)
    if match is None:
        raise BadTarget(f"{word} is no target: write HOST:PORT, [IPv6]:PORT or NAME@HOST:PORT.")
    host, port = match["ip6"] or match["host"], int(match["port"] or HTTPS)
    if port not in _PORTS:
        raise BadTarget(f"{word}: there is no port {port}.")
    name = match["sni"] or sni or (None if _is_address(host) else host)
    if name and not name.isascii():
        name = _ascii(name)
    return Target(Address(host, port), None if no_sni else name)


def _ascii(name: str) -> str:
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise BadTarget(f"{name} can't be a server name: {error}.") from error


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _positive(timeout: float) -> float:
    if not timeout > 0:
        raise BadTarget(f"--timeout {timeout} leaves no time: give it more than 0 seconds.")
    return timeout


def _credential(cert: Path | None, key: Path | None) -> Leaf | None:
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise BadTarget("--cert and --key go together: a certificate and its private key, both in PEM.")
    try:
        return Leaf.from_pem(cert.read_bytes(), key.read_bytes())
    except OSError as error:
        raise BadTarget(f"Tried to read {error.filename}: {error.strerror}.") from error
    except ValueError as error:
        raise BadTarget(f"{cert} and {key} are no certificate and its unencrypted private key in PEM.") from error
