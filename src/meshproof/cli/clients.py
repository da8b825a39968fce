"""`meshproof clients`: list, show, capture, remove."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from meshproof.cli.options import FILE, InOrder
from meshproof.cli.output import report
from meshproof.cli.users import add, check_name, own_clients, own_file
from meshproof.cli.users import remove as remove_from
from meshproof.errors import NoProgram
from meshproof.report.wording import plain
from meshproof.tls.protocol.clients import built_in, facts

CAPTURE_TIMEOUT = 30.0  # seconds
_name = click.argument("name", metavar="NAME", help="The client's name.")
_file = click.option("--file", metavar="FILE", type=FILE, help="Where it is kept; your own file by default.")


@click.group("clients", cls=InOrder)
def command() -> None:
    """The named clients that a scan simulates.

    Your own are in ~/.config/meshproof/clients.json (on Linux), or in the file that MESHPROOF_CLIENTS names.
    """


@command.command("list")
def list_clients() -> None:
    """List the clients: ours, and those that you captured. `show` tells where one is from.

    One in your own file that is called like one of ours replaces it.
    """
    table = Table("Client", "Set", "Newest", "Cipher suites", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for column in table.columns:
        column.no_wrap = True
    ours = {profile.name for profile in built_in().profiles}
    own = {profile.name for profile in own_clients().profiles}
    for profile in built_in().with_own(own_clients()).profiles:
        group = f"{profile.group}, replaces ours" if profile.name in ours & own else profile.group
        newest = max(profile.accepted_versions, key=lambda version: version.code)
        table.add_row(Text(plain(profile.name)), Text(plain(group)), str(newest), str(len(profile.suites)))
    report.print(table)


@command.command()
@_name
def show(*, name: str) -> None:
    """Show all that is known of a client, as JSON."""
    profile = built_in().with_own(own_clients()).named(name)
    report.print(json.dumps(facts(profile), indent=1, ensure_ascii=False), markup=False, soft_wrap=True)


@command.command(
    context_settings={"ignore_unknown_options": True},
    short_help="Learn a client from itself: run it against a port on loopback, and keep what its ClientHello says.",
)
@click.argument("name", metavar="NAME", help="What to call the client.")
@click.argument(
    "argv",
    metavar="-- COMMAND…",
    nargs=-1,
    required=True,
    type=click.UNPROCESSED,
    help="What to run; {url} or {port} in it is where it is to connect to.",
)
@_file
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=float,
    default=CAPTURE_TIMEOUT,
    show_default=True,
    help="Until the client must have connected.",
)
def capture(*, name: str, argv: Sequence[str], file: Path | None, timeout: float) -> None:
    """Learn a client from itself: run it against a port on loopback, and keep what its ClientHello says."""
    from meshproof.tls.probe.capture import EXAMPLE, capture_client  # noqa: PLC0415 - only this command runs programs

    check_name(name)
    if argv[0].startswith("-"):
        raise NoProgram(
            f"{argv[0]} is neither an option of capture nor a program. "
            f"Write a name, then --, then the command: meshproof clients capture {shlex.quote(name)} -- {EXAMPLE}."
        )
    provenance = f"captured from `{shlex.join(argv)}` on {datetime.now(UTC):%Y-%m-%d}"
    profile = capture_client(argv, name, provenance=provenance, timeout=timeout)
    file = file or own_file()
    add(profile, file)
    versions = ", ".join(map(str, profile.accepted_versions))
    where = escape(str(file))
    sentence = f"{escape(name)} speaks {versions}; it is in {where}. Try: meshproof scan --clients user …"
    report.print(f"[green]✓[/] {sentence}", soft_wrap=True)


@command.command()
@_name
@_file
def remove(*, name: str, file: Path | None) -> None:
    """Remove a client of your own; those that come with meshproof stay."""
    file = file or own_file()
    removed = remove_from(name, file)
    report.print(f"[green]✓[/] {escape(removed)} is no longer in {escape(str(file))}.", soft_wrap=True)
