"""Print what became of the last run's promises as Markdown, for the summary of a job; after a matrix, its table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from meshproof.project import current_project
from meshproof.pytest_plugin.promises import part_of


def main() -> None:
    """Print what a matrix has written, or a table of the versions, one of the promises, and the rows that failed."""
    file = current_project().artifacts / "promises.json"
    matrix = current_project().artifacts / "matrix.md"
    if file.exists():
        result = json.loads(file.read_text(encoding="utf-8"))
        print(tables(result), end="")
        for each in result["instead"]:
            print(f"- {each['row']}: expected {each['expected']}, as before {each['since']} ({each['source']})")
        for row, verdict in result["failures"].items():
            print(f"- **{row}**: {verdict}")
    elif matrix.exists():
        print(matrix.read_text(encoding="utf-8"), end="")
    else:
        print("There is no result: the run ended before its first test. Its log says why.")


def tables(result: Mapping[str, Any]) -> str:
    """Return the versions and the promises that a promises.json has in it, as two tables in Markdown.

    Where only some rows were asked for, a sentence behind them says so.
    """
    columns = result["promises"][0]["rows"]
    rows = [(each["area"], each["promise"], *each["rows"].values()) for each in result["promises"]]
    versions = table(result["versions"], [result["versions"].values()]) if result["versions"] else ""
    part = part_of(result.get("part", {}))
    return versions + table(("area", "promise", *columns), rows) + (f"{part}\n\n" if part else "")


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table in Markdown, and an empty line after it."""
    names = list(head)
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(map(_escaped, row))} |" for row in rows]
    return "\n".join(lines) + "\n\n"


def _escaped(cell: object) -> str:
    return str(cell).replace("|", "\\|")


if __name__ == "__main__":
    main()
