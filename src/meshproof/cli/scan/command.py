"""`meshproof scan`: the TLS posture of endpoints."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from meshproof.cli.options import FILE
from meshproof.cli.output import STANDARD_OUTPUT, check
from meshproof.cli.scan.asked import Found, manifest_of, severity_of, what_is_asked
from meshproof.cli.scan.shown import show, tell
from meshproof.cli.scan.simulated import each_once, simulated_clients
from meshproof.cli.scan.targets import chosen_targets, target_words
from meshproof.cli.users import own_clients
from meshproof.errors import BadTarget, ExitCode
from meshproof.machine.console import complain, console
from meshproof.tls import Options, Posture, Target, scan
from meshproof.tls.probe.exchange import DEFAULT_TIMEOUT
from meshproof.tls.protocol.clients import NONE, built_in

if TYPE_CHECKING:
    from meshproof.certificates.leaf import Leaf

_LONGEST = 86_400  # seconds; a day


@click.command("scan")
@click.argument(
    "targets",
    nargs=-1,
    metavar="[NAME@]HOST[:PORT]…",
    help="What to scan, NAME being the server name, port 443 by default; - reads targets from standard input.",
)
@click.option("--targets", "targets_file", metavar="FILE", help="Targets, one a line; # begins a comment.")
@click.option("--sni", metavar="NAME", help="Server name; the host by default.")
@click.option("--no-sni", is_flag=True, help="Send no server name.")
@click.option("--all-addresses", is_flag=True, help="Scan each address that a name has, not only one.")
@click.option(
    "--clients",
    metavar="SET",
    default="seed",
    show_default=True,
    help="Simulate sets (seed, modern, user, all, none), clients by name, or a file of them.",
)
@click.option("--cert", metavar="FILE", help="Client certificate, in PEM; 1 where it is refused.")
@click.option("--key", metavar="FILE", help="Its private key, in PEM.")
@click.option(
    "--timeout", metavar="SECONDS", type=float, default=DEFAULT_TIMEOUT, show_default=True, help="For a connection."
)
@click.option(
    "--max-time",
    metavar="SECONDS",
    type=float,
    default=Options().max_time,
    show_default=True,
    help="For all that is asked of one target.",
)
@click.option("--json", "--save", "json_file", metavar="FILE", type=FILE, help="Save all that was found; - prints it.")
@click.option("--html", "html_file", metavar="FILE", type=FILE, help="Write a page to look at.")
@click.option("--junit", "junit_file", metavar="FILE", type=FILE, help="Write what was compared as JUnit does.")
@click.option("--expect", metavar="FILE", help="Compare with what should be; 1 where it is not so.")
@click.option("--fail-on", metavar="SEVERITY", help="1 where anything is broken, weak or a note, or worse.")
@click.option("--gateway", metavar="FILE", help="Warn of settings in a Gateway that are refused or left out.")
def command(
    *,
    targets: Sequence[str],
    targets_file: str | None,
    sni: str | None,
    no_sni: bool,
    all_addresses: bool,
    clients: str,
    cert: str | None,
    key: str | None,
    timeout: float,
    max_time: float,
    json_file: Path | None,
    html_file: Path | None,
    junit_file: Path | None,
    expect: str | None,
    fail_on: str | None,
    gateway: str | None,
) -> None:
    """Show what TLS an endpoint offers, which clients get in, why others do not, and what is weak.

    Exit codes: 0; 1 where --expect, --fail-on or --cert deviates; 4 for what can't be understood; 14 when something
    that was asked for could not be found out; 130 when interrupted, with what was scanned until then. --fail-on counts
    what --gateway finds, too.
    """
    files = check((json_file, html_file, junit_file))
    known = built_in() if clients == NONE and not expect else built_in().with_own(own_clients())
    chosen = simulated_clients(clients, known)
    everyone = {profile.name: profile for profile in (*known.profiles, *chosen)}
    credential = _credential(cert, key)
    asked = what_is_asked(expect, everyone.values(), severity_of(fail_on), certificate=credential is not None)
    manifest = manifest_of(gateway, asked.fail_on)
    if junit_file and asked.nothing and not manifest:
        raise BadTarget("--junit writes what was compared, and nothing is: add --expect, --fail-on or --gateway.")
    options = Options(
        clients=each_once(chosen, (everyone[name] for name in asked.clients)),
        timeout=_seconds("--timeout", timeout),
        credential=credential,
        max_time=_seconds("--max-time", max_time),
        all_addresses=all_addresses,
    )
    postures, interrupted = _scan(chosen_targets(target_words(targets, targets_file), sni, no_sni=no_sni), options)
    if interrupted and not postures:
        _end_interrupted(interrupted)
    found = Found(asked, postures, [asked.rows(posture) for posture in postures], manifest)
    if files:
        from meshproof.cli.scan.saved import save, save_junit  # noqa: PLC0415 - most scans write nothing

        save(found, known.version, json_file, html_file)
        if junit_file:
            save_junit(junit_file, found)
    printed = STANDARD_OUTPUT in files
    if not printed:
        show(found.postures)
    tell(found, aside=printed)
    if interrupted:
        _end_interrupted(interrupted)
    if found.code:
        raise click.exceptions.Exit(found.code)


def _end_interrupted(sentence: str) -> NoReturn:
    sys.stdout.flush()  # what was found comes before the sentence also where both go to one file
    complain(sentence)
    raise click.exceptions.Exit(ExitCode.INTERRUPTED)


def _scan(targets: Sequence[Target], options: Options) -> tuple[list[Posture], str]:
    """Scan, and return the postures in the targets' order; one of several addresses follows its target's others.

    The text says how far the scan came if it was interrupted, and is empty if it was not.
    """
    places = {target: place for place, target in enumerate(dict.fromkeys(targets))}
    postures: list[Posture] = []
    with console.status("") if len(places) > 1 else nullcontext() as status:

        def so_far() -> str:
            return f"{len(postures)} of {len(places)} {'names or more' if options.all_addresses else 'targets'}"

        def take(posture: Posture) -> None:
            postures.append(posture)
            if status:
                status.update(so_far())

        complete = scan(places, options, take, interruptible=True)
    ordered = sorted(postures, key=lambda posture: (places.get(posture.target, len(places)), posture.endpoint or ""))
    return ordered, "" if complete else f"Interrupted: {so_far()} were scanned."


def _credential(cert: str | None, key: str | None) -> Leaf | None:
    if cert is None and key is None:
        return None
    from meshproof.cli.scan.credential import read_credential  # noqa: PLC0415 - most scans have none

    return read_credential(cert, key)


def _seconds(option: str, seconds: float) -> float:
    if not (math.isfinite(seconds) and 0 < seconds <= _LONGEST):
        raise BadTarget(f"{option} {seconds} can't be: write seconds, more than 0 and at most {_LONGEST}.")
    return seconds
