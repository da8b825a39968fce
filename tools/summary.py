"""Print what became of the last run's promises as Markdown, for the summary of a job."""

from __future__ import annotations

import json
from collections.abc import Iterable

from meshproof.project import current_project


def main() -> None:
    """Print a table of the versions, one of the promises, and the rows that failed."""
    file = current_project().artifacts / "promises.json"
    if not file.exists():
        print("There is no result: the run ended before its first test. Its log says why.")
        return
    result = json.loads(file.read_text(encoding="utf-8"))
    if result["versions"]:
        _print_table(result["versions"], [result["versions"].values()])
    columns = result["promises"][0]["rows"]
    rows = [(each["area"], each["promise"], *each["rows"].values()) for each in result["promises"]]
    _print_table(("area", "promise", *columns), rows)
    for each in result["instead"]:
        print(f"- {each['row']}: expected {each['expected']}, as before {each['since']} ({each['source']})")
    for row, verdict in result["failures"].items():
        print(f"- **{row}**: {verdict}")


def _print_table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table and an empty line."""
    names = list(head)
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for row in rows:
        print(f"| {' | '.join(map(_escaped, row))} |")
    print()


def _escaped(cell: object) -> str:
    return str(cell).replace("|", "\\|")


if __name__ == "__main__":
    main()
