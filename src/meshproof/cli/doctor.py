"""`meshproof doctor`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from meshproof.cli.output import report
from meshproof.cluster import doctor as machine


def doctor(
    *, fix: Annotated[bool, typer.Option("--fix", help="Install what is missing, where we may.")] = False
) -> None:
    """Tell whether this machine can run a cluster, and what to do where it can't."""
    findings = machine.examine()
    if fix:
        machine.fix(findings)
        findings = machine.examine()
    for finding in findings:
        mark = "[green]✓[/]" if finding.good else "[red]✗[/]" if finding.required else "[yellow]-[/]"
        told = finding.what if finding.good else f"{finding.what}: {finding.remedy}"
        report.print(f"{mark} {escape(told)}", soft_wrap=True)
    if not all(finding.good or not finding.required for finding in findings):
        raise typer.Exit(code=11)
