"""What became of the pairs of a matrix: its table, the rows that differ, the Markdown, the JSON and the exit code."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshproof.errors import ExitCode, Unreadable
from meshproof.input_files import json_document
from meshproof.machine.console import duration
from meshproof.project import as_typed_here
from tools.summary import table, tables

KEPT, BROKEN, INCOMPLETE, IMAGES = "kept", "broken", "incomplete", "images"
NO_LOCK, LOST_LOCK, NOT_REACHED = "not tried: no lock", "not tried: lock file missing", "not tried: interrupted"
_UNTRIED = {NO_LOCK, LOST_LOCK, NOT_REACHED}
_NO_PAIR = "not in the catalogue"
_AS_PROMISED = {"kept", "known broken"}
_VERDICTS: Mapping[int, str] = {
    ExitCode.DONE: KEPT,
    ExitCode.DEVIATES: BROKEN,
    ExitCode.RUN_INTERRUPTED: "interrupted",
    ExitCode.BAD_INPUT: "bad input",
    ExitCode.NO_TESTS: "no rows",
    ExitCode.MACHINE: "machine",
    ExitCode.PROGRAM: "program",
    ExitCode.CLUSTER: "cluster",
    ExitCode.UNKNOWN: "no result",
}
"""The verdict on a pair, or why it has none, by how pytest ended."""


@dataclass
class Pair:
    """A release of Istio on one of Kubernetes, and what became of it.

    Attributes:
        istio: The release of Istio.
        kubernetes: The release of Kubernetes.
        directory: Where its artifacts are.
        verdict: ``kept``; ``broken``; ``incomplete``, where nothing is known to be broken, and a row was not tried or
            skipped, or is missing, or another test failed; or in a few words why it has no result.
        exit_code: What it adds to that of the matrix; None where it was not tried, and that is no fault.
        seconds: How long its run took; without its images.
        said: The last lines that were printed, where it has no result.
        promises: What its promises.json says; empty where there is none.
        fewer_rows: How many rows it has, where others have more.
    """

    istio: str
    kubernetes: str
    directory: Path
    verdict: str = NOT_REACHED
    exit_code: int | None = None
    seconds: float = 0.0
    said: list[str] = field(default_factory=list)
    promises: Mapping[str, Any] = field(default_factory=dict)
    fewer_rows: str = ""

    def __str__(self) -> str:
        return ", ".join(self.releases)

    @property
    def releases(self) -> tuple[str, str]:
        """Its two releases, each with the name of what it is a release of."""
        return f"Istio {self.istio}", f"Kubernetes {self.kubernetes}"

    @property
    def rows(self) -> dict[str, str]:
        """The verdict on each row."""
        rows: dict[str, str] = self.promises.get("rows", {})
        return rows

    @property
    def counts(self) -> Counter[str]:
        """How many rows have which verdict; none that no row has."""
        return Counter(self.rows.values())

    @property
    def was_tried(self) -> bool:
        """Whether its run, or the build of its images, came to an end."""
        return self.verdict not in _UNTRIED

    @property
    def cell(self) -> str:
        """What the table says of it: why it has no result, the rows by their verdicts, and the seconds."""
        why = [] if self.verdict in {KEPT, BROKEN} else [self.verdict]
        fewer = [self.fewer_rows] if self.fewer_rows else []
        seconds = [f"{self.seconds:.0f} s"] if self.seconds else []
        counts = (f"{count} {verdict}" for verdict, count in self.counts.most_common())
        return ", ".join([*why, *fewer, *counts, *seconds])

    def lacks_its_lock(self, *, lost: bool) -> None:
        """Note that there is no lock file to build it by; one that was lost is a fault."""
        self.verdict, self.exit_code = (LOST_LOCK, ExitCode.MACHINE) if lost else (NO_LOCK, None)

    def not_built(self, exit_code: int, said: str) -> None:
        """Note that its images could not be had. A build that ends with 1 has crashed: it tells of no promise."""
        self.verdict, self.said = IMAGES, _last(said)
        self.exit_code = ExitCode.PROGRAM if exit_code == ExitCode.DEVIATES else _as_of_a_shell(exit_code)

    def ended(self, exit_code: int, said: str) -> None:
        """Note how its run ended, and read what it has left."""
        without_rows = ExitCode.NO_TESTS  # such as with --collect-only: nothing was proved
        try:
            self.promises = _promises(self.directory / "promises.json")
        except Unreadable as error:
            without_rows, said = ExitCode.UNKNOWN, f"{said}\n{error}"
        if exit_code in {ExitCode.DONE, ExitCode.DEVIATES}:
            if not self.rows:
                exit_code = without_rows
            elif not self.counts.keys() <= _AS_PROMISED:
                exit_code = ExitCode.DEVIATES
        self.exit_code = _as_of_a_shell(exit_code)
        self.verdict = _VERDICTS.get(exit_code, f"status {self.exit_code}")
        if self.verdict == BROKEN and not self.counts[BROKEN]:
            self.verdict = INCOMPLETE
        self.said = [] if self.verdict in {KEPT, BROKEN} else _last(said)

    def verdict_on(self, row: str) -> str:
        """Return what became of a row: its verdict, or what an older release, which kept it, was held to instead."""
        verdict = self.rows.get(row, "unknown")
        older = [each for each in self.promises.get("instead", ()) if each["row"] == row]
        if verdict != KEPT or not older:
            return verdict
        return "; ".join(f"{each['expected']} (before {each['since']})" for each in older)


@dataclass
class Matrix:
    """The pairs of a run, and what became of them.

    Attributes:
        pairs: Those that were asked for, in the order of the catalogue, also those that can't be tried.
        catalogue: How many pairs the catalogue has.
        about: What they have in common: the source of images, the commit, and the like.
        interrupted: Whether the run was ended before its end.
    """

    pairs: list[Pair]
    catalogue: int
    about: dict[str, str]
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """How the whole ends: see `matrix_e2e`."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if any(pair.exit_code == ExitCode.DEVIATES or pair.counts[BROKEN] for pair in self.pairs):
            return ExitCode.DEVIATES
        codes = [pair.exit_code for pair in self.pairs if pair.exit_code is not None]
        return max(codes, default=ExitCode.NO_TESTS)

    def compare(self) -> None:
        """Note which pairs have fewer rows than others: they ran the same tests, so these rows were not tried."""
        most = max((len(pair.rows) for pair in self.pairs), default=0)
        for pair in self.pairs:
            if pair.rows and len(pair.rows) < most:
                pair.fewer_rows = f"{len(pair.rows)} rows, others have {most}"
                if pair.verdict == KEPT:
                    pair.verdict, pair.exit_code = INCOMPLETE, ExitCode.DEVIATES

    @property
    def grid(self) -> tuple[list[str], list[list[str]]]:
        """The table's head and its rows, one for each release of Istio."""
        kubernetes = dict.fromkeys(pair.kubernetes for pair in self.pairs)
        cells = {(pair.istio, pair.kubernetes): pair.cell for pair in self.pairs}
        releases = dict.fromkeys(pair.istio for pair in self.pairs)
        lines = [[istio, *(cells.get((istio, each), _NO_PAIR) for each in kubernetes)] for istio in releases]
        return ["Istio", *(f"Kubernetes {each}" for each in kubernetes)], lines

    @property
    def differences(self) -> tuple[list[str], list[list[str]]]:
        """As `grid`, of the rows that differ or fail, by release of Istio."""
        tried: dict[str, list[Pair]] = defaultdict(list)
        for pair in self.pairs:
            if pair.was_tried:
                tried[pair.istio].append(pair)
        with_rows = [pair for pair in self.pairs if pair.rows]
        verdicts = {row: {pair.verdict_on(row) for pair in with_rows} for pair in with_rows for row in pair.rows}
        rows = sorted(row for row, several in verdicts.items() if len(several) > 1 or not several <= _AS_PROMISED)
        return ["row", *(f"Istio {istio}" for istio in tried)], [
            [row, *(_verdict_of_release(row, pairs) for pairs in tried.values())] for row in rows
        ]

    @property
    def remarks(self) -> list[str]:
        """Sentences on what has no result, and where older releases differ; the last one counts the pairs."""
        remarks = ["Interrupted: this is what was known by then."] if self.interrupted else []
        instead = [each for pair in self.pairs for each in pair.promises.get("instead", ())]
        remarks += sorted({f"Since {each['since']}: {each['source']}" for each in instead})
        for verdict, remark in _LOCKS.items():
            if releases := dict.fromkeys(pair.istio for pair in self.pairs if pair.verdict == verdict):
                remarks.append(remark.format(", ".join(releases)))
        remarks += [f"{pair}: {pair.fewer_rows}." for pair in self.pairs if pair.fewer_rows]
        verdicts = Counter(pair.verdict for pair in self.pairs)
        untried = {
            "without a lock": verdicts.pop(NO_LOCK, 0),
            "whose lock file is missing": verdicts.pop(LOST_LOCK, 0),
            "not reached": verdicts.pop(NOT_REACHED, 0),
            "not asked for": self.catalogue - len(self.pairs),
        }
        why = ", ".join(f"{count} {reason}" for reason, count in untried.items() if count)
        tried = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()) or "none tried"
        seconds = sum(pair.seconds for pair in self.pairs)
        left = f"not tried: {sum(untried.values())} of the catalogue's {self.catalogue}" + (f" ({why})" if why else "")
        return [*remarks, f"Pairs: {tried} (runs of {duration(seconds)}); {left}."]

    @property
    def markdown(self) -> str:
        """The whole for people: what is shown at the end of the run, and each pair's promises."""
        about = ", ".join(f"{what}: {value}" for what, value in self.about.items())
        parts = ["## Istio × Kubernetes\n\n", f"{about}\n\n", table(*self.grid)]
        parts += [f"{remark}\n\n" for remark in self.remarks]
        head, rows = self.differences
        if rows:
            parts += ["### Rows that differ or fail\n\n", table(head, rows)]
        for pair in self.pairs:
            if pair.was_tried:
                said = "\n".join(["```text", *pair.said, "```\n\n"]) if pair.said else ""
                promises = tables(pair.promises) if pair.rows else ""
                parts.append(f"### {pair}: {pair.verdict}\n\n{said}{promises}")
        return "".join(parts).rstrip("\n") + "\n"

    @property
    def document(self) -> str:
        """The whole for programs, in JSON."""
        whole = {"interrupted": self.interrupted, "exit_code": int(self.exit_code), "catalogue": self.catalogue}
        pairs = [
            {name: getattr(pair, name) for name in ("istio", "kubernetes", "verdict", "exit_code", "said")}
            | {"seconds": round(pair.seconds, 1), "rows": pair.counts, "artifacts": str(as_typed_here(pair.directory))}
            | {name: pair.promises.get(name, kind()) for name, kind in _OF_PROMISES.items()}
            for pair in self.pairs
        ]
        return json.dumps(self.about | whole | {"pairs": pairs}, indent=2) + "\n"


_OF_PROMISES = {"versions": dict, "instead": list, "failures": dict}
"""What is taken over from promises.json as it is."""
_LOCKS = {
    NO_LOCK: "Without a lock file, so not to be built: Istio {}. `make lock` writes one where the Go module proxy "
    "serves its module.",
    LOST_LOCK: "A lock file is missing in this checkout: Istio {}. Take it from the repository again, or say "
    "`locked = false` in the catalogue.",
}


def _promises(file: Path) -> Mapping[str, Any]:
    """Return what a run has left; nothing where it left nothing.

    Raises:
        Unreadable: It is not the whole of what a run writes.
    """
    if not file.exists():
        return {}
    promises = json_document(file)
    if not isinstance(promises, dict) or not {"rows", "promises", *_OF_PROMISES} <= promises.keys():
        raise Unreadable(f"{file}: this is not the whole result of a run.")
    return promises


def _verdict_of_release(row: str, pairs: list[Pair]) -> str:
    """Return what became of a row on the pairs of one release of Istio; by Kubernetes where that differs."""
    by_verdict: dict[str, list[str]] = defaultdict(list)
    for pair in pairs:
        by_verdict[pair.verdict_on(row)].append(pair.kubernetes)
    if len(by_verdict) == 1:
        return next(iter(by_verdict))
    return "; ".join(f"{verdict} on Kubernetes {', '.join(on)}" for verdict, on in by_verdict.items())


def _as_of_a_shell(exit_code: int) -> int:
    """Return an exit code as a shell has it: a program that a signal ended has 128 and the signal's number."""
    return int(exit_code) if exit_code >= 0 else 128 - exit_code


def _last(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.strip()][-3:]
