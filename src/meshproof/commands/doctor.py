"""`meshproof doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from meshproof import doctor as machine
from meshproof.console import console


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
        console.print(f"{mark} {finding.what}{'' if finding.good else f': {finding.remedy}'}")
    if not all(finding.good or not finding.required for finding in findings):
        raise typer.Exit(code=11)
