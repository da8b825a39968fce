"""What became of the pairs of a matrix: its table, the rows that differ, the Markdown, the JSON and the exit code."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshproof.errors import ExitCode
from meshproof.machine.console import duration
from meshproof.project import as_typed_here
from tools.summary import table, tables

KEPT, BROKEN, IMAGES = "kept", "broken", "images"
NO_LOCK, NOT_REACHED = "not tried: no lock", "not tried: interrupted"
_NO_PAIR = "-"
_VERDICTS: Mapping[int, str] = {
    ExitCode.DONE: KEPT,
    ExitCode.DEVIATES: BROKEN,
    ExitCode.RUN_INTERRUPTED: "interrupted",
    ExitCode.BAD_INPUT: "bad input",
    ExitCode.NO_TESTS: "no rows",
    ExitCode.MACHINE: "machine",
    ExitCode.PROGRAM: "program",
    ExitCode.CLUSTER: "cluster",
}
"""The verdict on a pair, or why it has none, by how pytest ended."""


@dataclass
class Pair:
    """A release of Istio on one of Kubernetes, and what became of it.

    Attributes:
        istio: The release of Istio.
        kubernetes: The release of Kubernetes.
        directory: Where its artifacts are.
        verdict: ``kept``, ``broken``, or in a few words why it has no result.
        exit_code: How its run ended, or the build of its images; None where neither did.
        seconds: How long its run took; without its images.
        said: The last lines that were printed, where it has no result.
        promises: What its promises.json says; empty where there is none.
    """

    istio: str
    kubernetes: str
    directory: Path
    verdict: str = NOT_REACHED
    exit_code: int | None = None
    seconds: float = 0.0
    said: list[str] = field(default_factory=list)
    promises: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"Istio {self.istio}, Kubernetes {self.kubernetes}"

    @property
    def rows(self) -> Counter[str]:
        """How many rows have which verdict; none that no row has."""
        return sum((Counter(each["rows"]) for each in self.promises.get("promises", ())), Counter())

    @property
    def cell(self) -> str:
        """What the table says of it: why it has no result, the rows by their verdicts, and the seconds."""
        why = [] if self.verdict in {KEPT, BROKEN} else [self.verdict]
        seconds = [f"{self.seconds:.0f} s"] if self.seconds else []
        return ", ".join([*why, *(f"{count} {verdict}" for verdict, count in self.rows.items()), *seconds])

    def not_built(self, exit_code: int, said: str) -> None:
        """Note that its images could not be had."""
        self.verdict, self.exit_code, self.said = IMAGES, _as_of_a_shell(exit_code), _last(said)

    def ended(self, exit_code: int, said: str) -> None:
        """Note how its run ended, and read what it has left."""
        file = self.directory / "promises.json"
        self.promises = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if exit_code in {ExitCode.DONE, ExitCode.DEVIATES} and not self.rows:
            exit_code = ExitCode.NO_TESTS  # such as with --collect-only: nothing was proved
        self.exit_code = _as_of_a_shell(exit_code)
        self.verdict = _VERDICTS.get(exit_code, f"status {self.exit_code}")
        self.said = [] if self.verdict in {KEPT, BROKEN} else _last(said)

    @property
    def special_rows(self) -> dict[str, str]:
        """What became of the rows that are not just kept: they failed, or an older release was held to something else.

        The latter are in ``instead`` of promises.json.
        """
        older: dict[str, list[str]] = defaultdict(list)
        for each in self.promises.get("instead", ()):
            older[each["row"]].append(f"{each['expected']} (before {each['since']})")
        failures: dict[str, str] = self.promises.get("failures", {})
        return {row: "; ".join(said) for row, said in older.items()} | failures

    def verdict_on(self, row: str) -> str:
        """Return what became of a row; one of which nothing is said is kept where the run has a result."""
        return self.special_rows.get(row, KEPT if self.verdict in {KEPT, BROKEN} else "unknown")


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
        if any(pair.exit_code == ExitCode.DEVIATES or pair.rows["broken"] for pair in self.pairs):
            return ExitCode.DEVIATES
        return max(pair.exit_code or 0 for pair in self.pairs)

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
            if pair.exit_code is not None:
                tried[pair.istio].append(pair)
        rows = sorted({row for pairs in tried.values() for pair in pairs for row in pair.special_rows})
        return ["row", *(f"Istio {istio}" for istio in tried)], [
            [row, *(_verdict_of_release(row, pairs) for pairs in tried.values())] for row in rows
        ]

    @property
    def remarks(self) -> list[str]:
        """Sentences on what has no result, and where older releases differ; the last one counts the pairs."""
        remarks = ["Interrupted: this is what was known by then."] if self.interrupted else []
        instead = [each for pair in self.pairs for each in pair.promises.get("instead", ())]
        remarks += sorted({f"Since {each['since']}: {each['source']}" for each in instead})
        if unlocked := dict.fromkeys(pair.istio for pair in self.pairs if pair.verdict == NO_LOCK):
            remarks.append(
                f"Istio {', '.join(unlocked)} has no lock file, so that it can't be built: `make lock` writes one "
                "where the Go module proxy serves its module."
            )
        verdicts = Counter(pair.verdict for pair in self.pairs)
        untried = {
            "without a lock": verdicts.pop(NO_LOCK, 0),
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
            if pair.exit_code is not None:
                said = "\n".join(["```text", *pair.said, "```\n\n"]) if pair.said else ""
                promises = tables(pair.promises) if pair.promises else ""
                parts.append(f"### {pair}: {pair.verdict}\n\n{said}{promises}")
        return "".join(parts).rstrip("\n") + "\n"

    @property
    def document(self) -> str:
        """The whole for programs, in JSON."""
        whole = {"interrupted": self.interrupted, "exit_code": int(self.exit_code), "catalogue": self.catalogue}
        pairs = [
            {name: getattr(pair, name) for name in ("istio", "kubernetes", "verdict", "exit_code", "said")}
            | {"seconds": round(pair.seconds, 1), "rows": pair.rows, "artifacts": str(as_typed_here(pair.directory))}
            | {name: pair.promises.get(name, kind()) for name, kind in _OF_PROMISES.items()}
            for pair in self.pairs
        ]
        return json.dumps(self.about | whole | {"pairs": pairs}, indent=2) + "\n"


_OF_PROMISES = {"versions": dict, "instead": list, "failures": dict}
"""What is taken over from promises.json as it is."""


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
