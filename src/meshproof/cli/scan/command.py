"""`meshproof scan`: the TLS posture of endpoints."""

from __future__ import annotations

import difflib
import ipaddress
import json
import math
import re
import ssl
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from rich.markup import escape

from meshproof.certificates.leaf import Leaf
from meshproof.cli.output import INTERRUPTED, STANDARD_OUTPUT, Report, check, exit_code, report, write
from meshproof.cli.users import own_clients
from meshproof.errors import MeshproofError
from meshproof.machine.console import complain, console
from meshproof.posture import comparison, document, table
from meshproof.posture.comparison import Row
from meshproof.posture.spelling import plain
from meshproof.posture.verdict import Severity
from meshproof.tls import Address, Options, Outcome, Posture, Target
from meshproof.tls import scan as scan_targets
from meshproof.tls.probe.exchange import DEFAULT_TIMEOUT
from meshproof.tls.protocol.clients import ALL, NONE, SETS, Clients, built_in
from meshproof.tls.protocol.clients import read as read_clients
from meshproof.tls.protocol.profile import Profile

if TYPE_CHECKING:
    from rich.console import Console

    from meshproof.posture.expectations import Expectations
    from meshproof.posture.verdict import Finding

HTTPS = 443
_TARGET = re.compile(
    r"(?:https://)?(?:(?P<sni>[^@/\s]+)@)?(?:\[(?P<ip6>[^\]]+)\]|(?P<host>[^:/@\[\]\s]+))(?::(?P<port>\d{1,5}))?/?"
)
_PORTS = range(1, 65536)
_LONGEST = 86_400  # seconds; a day
_LONGEST_NAME = 253  # octets of the name of a host
_MAX_TIME = Options().max_time


class BadTarget(MeshproofError):
    """A target, or an option that goes with it, can't be understood."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """What the postures are to be compared with.

    Attributes:
        expect: The file of expectations.
        expectations: What is in it.
        fail_on: Findings that are so bad, or worse, are deviations.
        certificate: Whether a client certificate was given.
    """

    expect: str | None = None
    expectations: Expectations | None = None
    fail_on: Severity | None = None
    certificate: bool = False

    @property
    def nothing(self) -> bool:
        """Whether anything will do."""
        return not (self.expectations or self.fail_on or self.certificate)

    @property
    def of_our_certificate(self) -> bool:
        """Whether a client certificate was given of which no expectation says what becomes of it."""
        return self.certificate and not (self.expectations and self.expectations.of_our_certificate)

    @property
    def clients(self) -> Iterable[str]:
        """The clients that are to be simulated for it."""
        return self.expectations.clients if self.expectations else ()

    def rows(self, posture: Posture) -> list[Row]:
        """Return a row for each thing that was asked of a posture."""
        rows: list[Row] = []
        if self.expectations:
            from meshproof.posture.expectations import compare  # noqa: PLC0415 - as for _asked

            rows += compare(self.expectations, posture)
        if self.of_our_certificate and posture.unreachable is None:
            rows.append(comparison.not_refused(posture))
        if self.fail_on:
            rows += comparison.gate(posture, self.fail_on)
        return list(dict.fromkeys(rows))  # a target that did not answer is one row, whoever asks


@dataclass(frozen=True, slots=True)
class Manifest:
    """A file of Gateways.

    Attributes:
        file: The file.
        findings: What would not do as it says.
        rows: What ``--fail-on`` makes of them; none without it.
    """

    file: str
    findings: Sequence[Finding]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Found:
    """What came out of it all.

    Attributes:
        asked: What the postures were compared with.
        postures: What was found.
        rows: Of each posture what was asked of it.
        manifest: The file of Gateways, if there is one.
    """

    asked: Asked
    postures: Sequence[Posture]
    rows: Sequence[Sequence[Row]]
    manifest: Manifest | None

    @property
    def names(self) -> list[str]:
        """What the targets are called."""
        return comparison.labels(self.postures)

    @property
    def compared(self) -> list[tuple[str, Sequence[Row]]]:
        """The rows by what they are about: a target, or the file of Gateways where ``--fail-on`` asks for it."""
        about_manifest = [(self.manifest.file, self.manifest.rows)] if self.manifest and self.asked.fail_on else []
        return [*zip(self.names, self.rows, strict=True), *about_manifest]

    @property
    def code(self) -> int:
        """How the command ends. Where no file says what counts, all that is unknown does."""
        rows = [row for _, rows in self.compared for row in rows]
        unasked = not self.asked.expectations and any(posture.unknown for posture in self.postures)
        return exit_code(
            deviates=any(row.deviates for row in rows), unknown=unasked or any(row.unknown for row in rows)
        )

    def document(self, clients: str) -> document.Json:
        """Return all of it as JSON, which says of which date the clients are."""
        asked = self.asked
        compared = {
            "expectations": asked.expect,
            "fail_on": str(asked.fail_on) if asked.fail_on else None,
            "rows": [row for name, rows in self.compared for row in comparison.as_json(name, rows)],
        }
        return document.to_json(
            self.postures,
            clients=clients,
            aes=document.machine_has_aes(),
            comparison=None if asked.nothing else compared,
            gateway=self.manifest.findings if self.manifest else None,
        )


def scan(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME@]HOST[:PORT]…",
            help="What to scan, NAME being the server name, port 443 by default; - reads targets from standard input.",
        ),
    ] = None,
    targets_file: Annotated[
        str | None, typer.Option("--targets", metavar="FILE", help="Targets, one a line; # begins a comment.")
    ] = None,
    sni: Annotated[str | None, typer.Option("--sni", metavar="NAME", help="Server name; the host by default.")] = None,
    no_sni: Annotated[bool, typer.Option("--no-sni", help="Send no server name.")] = False,
    all_addresses: Annotated[
        bool, typer.Option("--all-addresses", help="Scan each address that a name has, not only one.")
    ] = False,
    clients: Annotated[
        str,
        typer.Option(
            "--clients",
            metavar="SET",
            help="Simulate sets (seed, modern, user, all, none), clients by name, or a file of them.",
        ),
    ] = "seed",
    cert: Annotated[
        str | None,
        typer.Option("--cert", metavar="FILE", help="Client certificate, in PEM; 1 where it is refused."),
    ] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="FILE", help="Its private key, in PEM.")] = None,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="For a connection.")] = DEFAULT_TIMEOUT,
    max_time: Annotated[
        float, typer.Option("--max-time", metavar="SECONDS", help="For all that is asked of one target.")
    ] = _MAX_TIME,
    json_file: Annotated[
        Path | None, typer.Option("--json", "--save", metavar="FILE", help="Save all that was found; - prints it.")
    ] = None,
    html_file: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page to look at.")] = None,
    junit_file: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write what was compared as JUnit does.")
    ] = None,
    expect: Annotated[
        str | None, typer.Option("--expect", metavar="FILE", help="Compare with what should be; 1 where it is not so.")
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option("--fail-on", metavar="SEVERITY", help="1 where anything is broken, weak or a note, or worse."),
    ] = None,
    gateway: Annotated[
        str | None,
        typer.Option("--gateway", metavar="FILE", help="Warn of settings in a Gateway that are refused or left out."),
    ] = None,
) -> None:
    """Tell what TLS an endpoint offers, which clients get in, why others do not, and what is weak.

    Exit codes: 0; 1 where --expect, --fail-on or --cert deviates; 4 for what can't be understood; 14 when something
    that was asked for could not be found out; 130 when interrupted, with what was scanned until then. --fail-on counts
    what --gateway finds, too.
    """
    files = check((json_file, html_file, junit_file))
    known = built_in() if clients == NONE and not expect else built_in().with_own(own_clients())
    chosen = _simulated(clients, known)
    everyone = {profile.name: profile for profile in (*known.profiles, *chosen)}
    credential = _credential(cert, key)
    asked = _asked(expect, everyone.values(), _severity(fail_on), certificate=credential is not None)
    manifest = _manifest(gateway, asked.fail_on)
    if junit_file and asked.nothing and not manifest:
        raise BadTarget("--junit writes what was compared, and nothing is: add --expect, --fail-on or --gateway.")
    options = Options(
        clients=_each_once(chosen, (everyone[name] for name in asked.clients)),
        timeout=_seconds("--timeout", timeout),
        credential=credential,
        max_time=_seconds("--max-time", max_time),
        all_addresses=all_addresses,
    )
    postures, interrupted = _scan(_targets(_words(targets or [], targets_file), sni, no_sni=no_sni), options)
    if interrupted and not postures:
        _end_interrupted(interrupted)
    found = Found(asked, postures, [asked.rows(posture) for posture in postures], manifest)
    if json_file or html_file:
        _save(found.document(known.version), json_file, html_file)
    if junit_file:
        _save_junit(junit_file, found)
    if STANDARD_OUTPUT not in files:
        _show(postures)
    _tell(found, console if STANDARD_OUTPUT in files else report)
    if interrupted:
        _end_interrupted(interrupted)
    if found.code:
        raise typer.Exit(found.code)


def _end_interrupted(sentence: str) -> NoReturn:
    sys.stdout.flush()  # what was found comes before the sentence also where both go to one file
    complain(sentence)
    raise typer.Exit(INTERRUPTED)


def _each_once(*clients: Iterable[Profile]) -> tuple[Profile, ...]:
    """Return clients in their order, each by its name once; the first of a name counts."""
    found: dict[str, Profile] = {}
    for profile in (profile for some in clients for profile in some):
        found.setdefault(profile.name, profile)
    return tuple(found.values())


def _save(found: document.Json, json_file: Path | None, html_file: Path | None) -> None:
    if json_file:
        write(json_file, json.dumps(found, indent=1) + "\n")
    if html_file:
        from meshproof.posture.page import page  # noqa: PLC0415 - templates take time that most scans can save

        write(html_file, page(found))


def _save_junit(file: Path, found: Found) -> None:
    """Write what was compared; where nothing was asked of the targets, whether all could be found out."""
    from meshproof.posture.junit import Case, junit  # noqa: PLC0415 - most scans write none

    known = (Row("posture", "known", "known", met=True),)
    suites = [
        (name, [*map(Case.of_row, comparison.gaps(posture) or known if found.asked.nothing else rows)])
        for name, posture, rows in zip(found.names, found.postures, found.rows, strict=True)
    ]
    if found.manifest:
        bad = comparison.at_least(found.asked.fail_on) if found.asked.fail_on else ()
        cases = [Case.of_finding(each, fails=each.severity in bad) for each in found.manifest.findings]
        suites.append((found.manifest.file, cases or [Case("settings")]))
    write(file, junit(suites))


def _tell(found: Found, printed: Console | Report) -> None:
    """Say what is not as it should be, below the name of the target where there are several."""
    if found.manifest:
        printed.print(table.gateway(found.manifest.file, found.manifest.findings))
    if found.asked.expectations or found.asked.fail_on:
        together = [row for _, rows in found.compared for row in rows]
        wrong = [(name, rows) for name, rows in found.compared if any(not row.met for row in rows)]
        for name, rows in wrong or [("", together)]:
            if wrong and found.compared[1:]:
                printed.print(escape(plain(name)))
            printed.print(table.deviations(rows))
    if found.asked.certificate:
        _tell_of_certificate(found.compared)


def _tell_of_certificate(rows: Sequence[tuple[str, Sequence[Row]]]) -> None:
    """Say what became of the client certificate, where it is not what the user had in mind."""
    ours = [(plain(name), row) for name, each in rows for row in each if row.what == comparison.CLIENT_CERTIFICATE]
    for name, row in ours:
        if row.seen == Outcome.CLIENT_CERT_NOT_REQUESTED.value:
            complain(f"{name} asked for no client certificate, so that the one of --cert was not sent.")
        elif row.expected == comparison.ACCEPTED and not row.met:
            end = f"it is not known what {name} makes of it" if row.unknown else f"{name} refuses it"
            complain(f"Tried the client certificate (--cert): {end}: {row.seen.removeprefix('refused: ')}.")


def _asked(expect: str | None, clients: Iterable[Profile], fail_on: Severity | None, *, certificate: bool) -> Asked:
    if expect is None:
        return Asked(fail_on=fail_on, certificate=certificate)
    from meshproof.posture.expectations import read  # noqa: PLC0415 - YAML takes time that most scans can save

    wanted = read(Path(expect), {profile.name: profile.group for profile in clients})
    if wanted.of_our_certificate and not certificate:
        raise BadTarget(f"{expect} says what becomes of a client certificate: give one with --cert and --key.")
    return Asked(expect, wanted, fail_on, certificate)


def _manifest(file: str | None, fail_on: Severity | None) -> Manifest | None:
    if file is None:
        return None
    from meshproof.posture.gateway import gateway_warnings  # noqa: PLC0415 - as above

    findings = gateway_warnings(Path(file))
    return Manifest(file, findings, comparison.gate_of_gateway(findings, fail_on) if fail_on else ())


def _severity(word: str | None) -> Severity | None:
    if word is None or word in list(map(str, Severity)):
        return Severity(word) if word else None
    raise BadTarget(f"--fail-on {word} is no severity: write {' or '.join(map(str, Severity))}.")


def _scan(targets: Sequence[Target], options: Options) -> tuple[list[Posture], str]:
    """Scan, and return the postures in the targets' order; one of several addresses follows its target's others.

    The text says how far the scan came if it was interrupted, and is empty if it was not.
    """
    places = {target: place for place, target in enumerate(dict.fromkeys(targets))}
    found: list[Posture] = []
    status = console.status("") if len(places) > 1 else nullcontext()
    with status as shown:

        def so_far() -> str:
            return f"{len(found)} of {len(places)} {'names or more' if options.all_addresses else 'targets'}"

        def take(posture: Posture) -> None:
            found.append(posture)
            if shown:
                shown.update(so_far())

        complete = scan_targets(places, options, take, interruptible=True)
    ordered = sorted(found, key=lambda each: (places.get(each.target, len(places)), each.endpoint or ""))
    return ordered, "" if complete else f"Interrupted: {so_far()} were scanned."


def _show(postures: Sequence[Posture]) -> None:
    if len(postures) == 1:
        report.print(table.picture(postures[0]))
    else:
        report.print(table.summary(postures))
        report.print("[dim]`meshproof scan TARGET` shows all of one; --html and --json save all of each.[/]")


def _simulated(wanted: str, known: Clients) -> tuple[Profile, ...]:
    """Return the clients of some sets and names, with commas between them, or those of a file."""
    if wanted == NONE:
        return ()
    names = {profile.name.lower(): profile for profile in known.profiles}
    words, found = wanted.split(","), list[Profile]()
    while words:
        # A name may have a comma itself: the longest one counts.
        heads = [",".join(words[:end]).strip() for end in range(len(words), 0, -1)]
        head = next((head for head in heads if head.lower() in {*names, *SETS, ALL}), None)
        if head is None:
            return _of_a_file(wanted, heads[-1], names.values())
        words = words[head.count(",") + 1 :]
        own = names.get(head.lower())
        found += [own] if own else known.profiles if head.lower() == ALL else known.of(head.lower())
    return _each_once(found)


def _of_a_file(wanted: str, word: str, clients: Iterable[Profile]) -> tuple[Profile, ...]:
    if Path(wanted).is_file():
        return read_clients(Path(wanted)).profiles
    names = {name.lower(): name for name in (*SETS, ALL, NONE, *(profile.name for profile in clients))}
    near = difflib.get_close_matches(word.lower(), names, n=2)
    hint = f"Did you mean {' or '.join(names[name] for name in near)}? " if near else ""
    raise BadTarget(
        f"--clients {word} is neither {', '.join(SETS)}, {ALL} or {NONE}, nor the name of a client, nor a file. "
        f"{hint}`meshproof clients list` lists the clients."
    )


def _targets(words: Iterable[str], sni: str | None, *, no_sni: bool) -> list[Target]:
    if sni is not None and no_sni:
        raise BadTarget("--sni sends a server name and --no-sni sends none: give one of them.")
    if sni is not None and (not sni or any(letter.isspace() for letter in sni)):
        raise BadTarget(f"--sni {sni!r} is no server name: write a name without blanks, or --no-sni to send none.")
    found = [_target(word, sni, no_sni=no_sni) for word in words]
    if not found:
        raise BadTarget("Nothing is to be scanned: name a HOST:PORT, a file of them with --targets, or -.")
    return found


def _words(targets: Iterable[str], file: str | None) -> Iterator[str]:
    for target in targets:
        if target == "-":
            try:
                yield from _lines(sys.stdin)
            except UnicodeDecodeError as error:
                raise BadTarget("Tried to read targets from standard input: it is not text in UTF-8.") from error
        else:
            yield target
    if file is not None:
        try:
            yield from _lines(Path(file).read_text(encoding="utf-8").splitlines())
        except OSError as error:
            raise BadTarget(f"Tried to read the targets in {file}: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise BadTarget(f"Tried to read the targets in {file}: it is not text in UTF-8.") from error


def _lines(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        word = line.partition("#")[0].strip()
        if word:
            yield word


def _target(word: str, sni: str | None, *, no_sni: bool) -> Target:
    match = _TARGET.fullmatch(word)
    if match is None:
        address = word.rpartition("@")[2]
        write = (
            f"[{address}] or [{address}]:PORT" if _is_address(address) else "HOST:PORT, [IPv6]:PORT or NAME@HOST:PORT"
        )
        raise BadTarget(f"{word} is no target: write {write}.")
    host, port = match["ip6"] or match["host"], int(match["port"] or HTTPS)
    if port not in _PORTS:
        raise BadTarget(f"{word}: there is no port {port}.")
    name = match["sni"] or sni
    if name is None and not _is_address(host) and not no_sni:
        with suppress(BadTarget):  # then it has no address either, which is this target's failure alone
            return Target(Address(host, port), _server_name(host))
    return Target(Address(host, port), None if no_sni or not name else _server_name(name))


def _server_name(name: str) -> str:
    """Return a name as it is sent (RFC 5890): no address, and without the dot of the root (RFC 6066 section 3).

    A label of it has 1 to 63 octets, and all of it at most 253 (RFC 1035 section 2.3.4, where the dots have 2 more).
    """
    if _is_address(name.removesuffix(".").strip("[]")):
        raise BadTarget(f"{name} can't be a server name, for it is an address: write a name, or --no-sni to send none.")
    try:
        octets = name.encode("idna").removesuffix(b".")
    except UnicodeError as error:
        raise BadTarget(f"{name} can't be the name of a host: {error}.") from error
    if not 0 < len(octets) <= _LONGEST_NAME:
        size = f"it has {len(octets)} octets, and may have 1 to {_LONGEST_NAME}"
        raise BadTarget(f"{name} can't be the name of a host: {size}.")
    return octets.decode("ascii")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _seconds(option: str, seconds: float) -> float:
    if not (math.isfinite(seconds) and 0 < seconds <= _LONGEST):
        raise BadTarget(f"{option} {seconds} can't be: write seconds, more than 0 and at most {_LONGEST}.")
    return seconds


def _credential(cert: str | None, key: str | None) -> Leaf | None:
    """Read the client certificate, and try it: what is wrong with it is said before any connection is made."""
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise BadTarget("--cert and --key go together: a certificate and its private key, both in PEM.")
    chain, private = _octets("--cert", cert), _octets("--key", key)
    try:
        leaf = Leaf.from_pem(chain, private)
    except ValueError as error:
        raise BadTarget(f"--cert {cert} is no certificate in PEM.") from error
    try:
        load_pem_private_key(private, password=None)
    except TypeError as error:
        raise BadTarget(f"--key {key} is encrypted: give a private key without a passphrase.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadTarget(f"--key {key} is no private key in PEM.") from error
    try:
        leaf.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    except ssl.SSLError as error:
        what = f"it is not the key of that certificate, or OpenSSL can't use them ({error.reason or error.strerror})"
        raise BadTarget(f"Tried --cert {cert} with --key {key}: {what}.") from error
    return leaf


def _octets(option: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise BadTarget(f"Tried to read {option} {file}: {error.strerror}.") from error
