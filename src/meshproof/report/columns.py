"""Cells beside each other on a terminal.

A table of rich's measures and renders each cell by itself, and takes ten times as long; it is for tables in which
several columns have to give way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

BETWEEN = "  "
"""Between two columns."""


class TwoColumns:
    """Rows of two cells: the first as wide as it has to be, the second folded where it is wider than the rest.

    Args:
        rows: The rows.
        head: What is above the columns, if anything is; a line is below it.
    """

    def __init__(self, rows: Sequence[tuple[Text, Text]], head: tuple[str, str] | None = None) -> None:
        self._rows = rows
        self._head = head

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        head = [tuple(Text(word, "bold") for word in self._head)] if self._head else []
        lengths = [[_width(cell) for cell in row] for row in (*head, *self._rows)]
        first, second = map(max, zip(*lengths, strict=True)) if lengths else (0, 0)
        widths = [first, min(second, max(options.max_width - first - len(BETWEEN), 1))]
        for row in (*head, *self._rows):
            yield from beside(row, widths, console)
            if row in head:
                yield Text("─" * (sum(widths) + len(BETWEEN)))


def beside(cells: Sequence[Text], widths: Sequence[int], console: Console, *, between: str = BETWEEN) -> Iterator[Text]:
    """Give the lines of cells beside each other; one that is wider than its column is folded, between words.

    Args:
        cells: The cells; one may have several lines.
        widths: The width of each column.
        console: What they are printed on.
        between: What is between two columns.
    """
    columns = [
        cell.wrap(console, width, overflow="fold") if cell.cell_len > width or "\n" in cell.plain else [cell]
        for cell, width in zip(cells, widths, strict=True)
    ]
    for parts in zip_longest(*columns, fillvalue=Text()):
        line, end = Text(no_wrap=True, overflow="ignore"), 0
        for part, width in zip(parts, widths, strict=True):
            if part:
                line.append(" " * (end - line.cell_len)).append_text(part)
            end += width + len(between)
        yield line


def _width(cell: Text) -> int:
    return max(map(cell_len, cell.plain.split("\n")))
