"""`meshproof diff`: what changed between two scans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from meshproof.commands.output import DEVIATES, UNKNOWN, report
from meshproof.posture import document, table
from meshproof.posture.difference import Change, difference, pairs


def diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="What `scan --save` saved before.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="What it saved after.")],
) -> None:
    """Tell what changed between two scans, row by row.

    Exit codes: 0 when nothing changed, 1 when something did, 14 when something may have.
    """
    found: list[Change] = []
    for old, new in pairs(document.read(before), document.read(after)):
        there = new or old
        assert there
        if old and new:
            changes = difference(old, new)
        else:
            presence = ["was scanned" if side else "was not scanned" for side in (old, new)]
            changes = (Change("target", *presence),)
        report.print(f"[bold]{escape(str(there.target))}[/]")
        report.print(table.changes(changes))
        found += changes
    if any(not change.unknown for change in found):
        raise typer.Exit(DEVIATES)
    if found:
        raise typer.Exit(UNKNOWN)
