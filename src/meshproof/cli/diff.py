"""`meshproof diff`: what changed between two scans."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.markup import escape

from meshproof.cli.options import FILE
from meshproof.cli.output import STANDARD_OUTPUT, check, exit_code, report, write
from meshproof.errors import NothingInCommon
from meshproof.machine.console import complain
from meshproof.posture.comparison import Change
from meshproof.posture.difference import changes
from meshproof.posture.pairing import Pair, pairs
from meshproof.report import document, document_reading, terminal
from meshproof.report.wording import plain


@click.command("diff")
@click.argument("before", metavar="BEFORE", help="What `scan --save` saved before.")
@click.argument("after", metavar="AFTER", help="What it saved after.")
@click.option("--json", "json_file", metavar="FILE", type=FILE, help="Save all that changed; - prints it.")
@click.option("--junit", "junit_file", metavar="FILE", type=FILE, help="Save it as JUnit does, for a build server.")
def command(*, before: str, after: str, json_file: Path | None, junit_file: Path | None) -> None:
    """Show what changed between two scans, row by row.

    A certificate that was issued anew, and is the same in all that counts, is shown as renewed: that is no change.

    Exit codes: 0 when nothing changed, 1 when something did, 4 for what can't be understood or has nothing in common,
    14 when something may have changed.
    """
    printed = STANDARD_OUTPUT in check((json_file, junit_file))
    old, new = document_reading.read(Path(before)), document_reading.read(Path(after))
    compared = [(pair, changes(pair)) for pair in pairs(old, new)]
    if not any(pair.before and pair.after for pair, _ in compared):
        targets = (", ".join(dict.fromkeys(str(posture.target) for posture in side)) or "none" for side in (old, new))
        raise NothingInCommon(
            "{} has {}, and {} has {}: no target is in both. Compare two scans of the same targets.".format(
                *(word for pair in zip((before, after), targets, strict=True) for word in pair)
            )
        )
    if max(posture.began for posture in new) < min(posture.began for posture in old):
        complain(f"{after} was scanned before {before}: perhaps they are the wrong way round.")
    if not printed:
        _show(compared)
    if json_file:
        write(json_file, json.dumps(_document(before, after, compared), indent=1) + "\n")
    if junit_file:
        _save_junit(junit_file, compared)
    rows = [change for _, changed in compared for change in changed]
    code = exit_code(deviates=any(row.known for row in rows), unknown=any(row.unknown for row in rows))
    if code:
        raise click.exceptions.Exit(code)


def _show(compared: Sequence[tuple[Pair, Sequence[Change]]]) -> None:
    for pair, rows in compared:
        report.print(f"[bold]{escape(plain(pair.name))}[/]")
        if pair.how:
            report.print(escape(plain(pair.how)))
        report.print(terminal.changes(rows))


def _document(before: str, after: str, compared: Sequence[tuple[Pair, Sequence[Change]]]) -> document.Json:
    """Return what changed as JSON: for each target how it was paired, and the rows."""
    return {
        "before": before,
        "after": after,
        "targets": [
            {
                "target": pair.name,
                "before": str(pair.before.target) if pair.before else None,
                "after": str(pair.after.target) if pair.after else None,
                "paired": pair.how,
                "changes": [row._asdict() | {"unknown": row.unknown} for row in rows],
            }
            for pair, rows in compared
        ],
    }


def _save_junit(file: Path, compared: Sequence[tuple[Pair, Sequence[Change]]]) -> None:
    from meshproof.report.junit import Case, junit_xml  # noqa: PLC0415 - most need none

    nothing = [Case("nothing changed")]
    write(file, junit_xml((pair.name, [*map(Case.of_change, rows)] or nothing) for pair, rows in compared))
