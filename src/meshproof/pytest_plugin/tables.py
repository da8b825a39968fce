"""Tables of what was measured, for people: a file in the artifacts, and the end of the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from rich.console import Console
from rich.table import Table

from meshproof.machine import cache
from meshproof.mesh.scenario import name_of_scenario
from meshproof.project import current_project
from meshproof.pytest_plugin.scenarios import manifest_of

_TABLES = pytest.StashKey[dict[str, "Measured"]]()


@dataclass(slots=True)
class Measured:
    """What the rows of a module have measured.

    Attributes:
        columns: What stands above it.
        rows: By the first cells, which tell what was measured, the others.
    """

    columns: Sequence[str] = ()
    rows: dict[tuple[str, ...], dict[str, str]] = field(default_factory=dict)

    def note(self, what: Sequence[tuple[str, str]], column: str, value: object) -> None:
        """Note a value.

        Args:
            what: What was measured: cells, each with its column.
            column: The column of the value.
            value: What came.
        """
        names = [*(name for name, _ in what), column]
        self.columns = [*self.columns, *(name for name in names if name not in self.columns)]
        self.rows.setdefault(tuple(cell for _, cell in what), dict(what))[column] = str(value)

    def cells(self) -> list[list[str]]:
        """Return the cells of each row; one that was not measured is empty."""
        return [[row.get(column, "") for column in self.columns] for row in self.rows.values()]

    def markdown(self) -> str:
        """Return it as a table of Markdown."""
        lines = [self.columns, ["---"] * len(self.columns), *self.cells()]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@pytest.fixture(scope="module")
def measured(request: pytest.FixtureRequest) -> Iterator[Measured]:
    """A table that the module's rows fill: a file in the artifacts, of the scenario's name, and at a run's end.

    Where two areas have a scenario of that name, the area is in the file's.
    """
    table, manifest = Measured(), manifest_of(request.node)
    namesakes = [*current_project().scenarios.rglob(manifest.name)]
    name = manifest.stem if len(namesakes) < 2 else name_of_scenario(manifest).replace("/", "-")  # noqa: PLR2004
    yield table
    if table.rows:
        request.config.stash.setdefault(_TABLES, {})[name] = table
        artifacts = current_project().artifacts
        cache.mark(artifacts)
        (artifacts / f"{name}.md").write_text(table.markdown())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the tables."""
    for name, table in terminalreporter.config.stash.get(_TABLES, {}).items():
        shown = Table(*table.columns, title=f"Measured: {name}")
        for cells in table.cells():
            shown.add_row(*cells)
        console = Console(width=100, no_color=True)
        with console.capture() as captured:
            console.print(shown)
        terminalreporter.write_line(captured.get())
