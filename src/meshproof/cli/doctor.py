"""`meshproof doctor`."""

from __future__ import annotations

import click
from rich.markup import escape

from meshproof.cli.output import report
from meshproof.cluster import doctor as machine
from meshproof.errors import ExitCode


@click.command("doctor")
@click.option("--fix", is_flag=True, help="Install what is missing, where we may.")
def command(*, fix: bool) -> None:
    """Check whether this machine can run a cluster, and say what to do where it can't."""
    findings = machine.examine()
    if fix:
        machine.fix(findings)
        findings = machine.examine()
    for finding in findings:
        mark = "[green]✓[/]" if finding.good else "[red]✗[/]" if finding.required else "[yellow]-[/]"
        sentence = finding.what if finding.good else f"{finding.what}: {finding.remedy}"
        report.print(f"{mark} {escape(sentence)}", soft_wrap=True)
    if not all(finding.good or not finding.required for finding in findings):
        raise click.exceptions.Exit(ExitCode.MACHINE)
