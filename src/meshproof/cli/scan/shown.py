"""What a scan prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape

from meshproof.cli.output import report
from meshproof.cli.scan.asked import Found
from meshproof.machine.console import complain, console
from meshproof.posture import comparison
from meshproof.posture.comparison import Row
from meshproof.report import terminal
from meshproof.report.wording import plain
from meshproof.tls import Outcome, Posture


def show(postures: Sequence[Posture]) -> None:
    """Print the tables of one target, or a line for each of several."""
    if len(postures) == 1:
        report.print(terminal.picture(postures[0]))
    else:
        report.print(terminal.summary(postures))
        report.print("[dim]`meshproof scan TARGET` shows all of one; --html and --json save all of each.[/]")


def tell(found: Found, *, aside: bool) -> None:
    """Print what is not as it should be, below the name of the target where there are several.

    Args:
        found: What came out of it all.
        aside: Whether standard output is a document, so that this goes to standard error.
    """
    printed = console if aside else report
    if found.manifest:
        printed.print(terminal.gateway(found.manifest.file, found.manifest.findings))
    if found.asked.expectations or found.asked.fail_on:
        together = [row for _, rows in found.compared for row in rows]
        wrong = [(name, rows) for name, rows in found.compared if any(not row.met for row in rows)]
        for name, rows in wrong or [("", together)]:
            if wrong and found.compared[1:]:
                printed.print(escape(plain(name)))
            printed.print(terminal.deviations(rows))
    if found.asked.certificate:
        _tell_of_certificate(found.compared)


def _tell_of_certificate(rows: Sequence[tuple[str, Sequence[Row]]]) -> None:
    """Print what became of the client certificate, where it is not what the user had in mind."""
    ours = [
        (plain(name), row)
        for name, rows_of_one in rows
        for row in rows_of_one
        if row.what == comparison.CLIENT_CERTIFICATE
    ]
    for name, row in ours:
        if row.seen == Outcome.CLIENT_CERT_NOT_REQUESTED.value:
            complain(f"{name} asked for no client certificate, so that the one of --cert was not sent.")
        elif row.expected == comparison.ACCEPTED and not row.met:
            end = f"it is not known what {name} makes of it" if row.unknown else f"{name} refuses it"
            complain(f"Tried the client certificate (--cert): {end}: {row.seen.removeprefix('refused: ')}.")
