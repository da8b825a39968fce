"""`meshproof clients`: list, show, capture."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from meshproof.commands.output import report
from meshproof.commands.users import add, own_clients, own_file
from meshproof.tls.clients import built_in, facts

clients = typer.Typer(no_args_is_help=True, help="The named clients that a scan simulates.")

CAPTURE_TIMEOUT = 30.0  # seconds


@clients.command("list")
def list_clients() -> None:
    """List the clients: ours, and those that you captured."""
    table = Table("client", "set", "newest", "cipher suites", "key shares", "where from")
    for profile in built_in().with_own(own_clients()).profiles:
        known = facts(profile)
        table.add_row(
            escape(profile.name),
            profile.group,
            str(profile.accepted_versions[0]),
            str(len(profile.suites)),
            ", ".join(known.get("key_shares", [])),
            escape(profile.provenance),
        )
    report.print(table)


@clients.command()
def show(name: Annotated[str, typer.Argument(help="The client's name.")]) -> None:
    """Show all that is known of a client, as JSON."""
    profile = built_in().with_own(own_clients()).named(name)
    report.print(json.dumps(facts(profile), indent=1, ensure_ascii=False), markup=False, soft_wrap=True)


@clients.command()
def capture(
    name: Annotated[str, typer.Argument(help="What to call the client.")],
    command: Annotated[
        list[str],
        typer.Argument(metavar="-- COMMAND…", help="What to run; {url} or {port} in it is where it is to connect to."),
    ],
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Where to keep it; your own file by default.")
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="Until the client must have connected.")
    ] = CAPTURE_TIMEOUT,
) -> None:
    """Learn a client from itself: run it against a port on loopback, and keep what its ClientHello says."""
    from meshproof.tls.capture import capture as captured  # noqa: PLC0415 - only this command runs programs

    provenance = f"captured from `{shlex.join(command)}` on {datetime.now(UTC):%Y-%m-%d}"
    profile = captured(command, name, provenance=provenance, timeout=timeout)
    file = file or own_file()
    add(profile, file)
    versions = ", ".join(map(str, profile.accepted_versions))
    report.print(f"[green]✓[/] {escape(name)} speaks {versions}; it is in {file}. Try: meshproof scan --clients user …")
