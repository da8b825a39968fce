"""Time `make e2e` from Enter to the prompt, with a cluster of its own and against a kept one, and say where it goes.

The two are run in turn, so that a machine that gets slower does so for both. The result is a JSON document with the
seconds of each run, and of each of its phases: what comes before the cluster is called the machine (the environment,
`meshproof doctor`, Docker and the images), and the last phase ends at the prompt.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from rich.table import Table

from meshproof.machine import process
from meshproof.machine.console import console
from meshproof.settings import TIMEOUTS, default_cluster_name

ROOT = Path(__file__).resolve().parents[1]

RESULT = Path("artifacts/bench.json")
ROUNDS = int(os.environ.get("ROUNDS", "3"))
Phases = dict[str, float]
"""Seconds by phase, in their order."""


def run(*command: str, **env: str) -> None:
    """Run a command and show nothing of it."""
    process.run(
        command, cwd=ROOT, env=env, timeout=TIMEOUTS.image_build, grace=TIMEOUTS.orderly_end, on_line=lambda _: None
    )


def timed(options: str = "") -> Phases:
    """Run `make e2e` with options of pytest; return how many seconds each phase took."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "phases.json")
        began = time.monotonic()
        plugin = f"-p tools.phases {options}"
        run("make", "e2e", PYTEST_ADDOPTS=plugin, PYTHONPATH=str(ROOT), PHASES=str(file))
        ended = time.monotonic()
        # time.monotonic is one clock for all processes of a machine.
        marks = [("machine", began), *json.loads(file.read_text()), ("", ended)]
    phases: Phases = {}
    for (phase, since), (_, until) in pairwise(marks):
        name = phase.replace(f" {default_cluster_name()}", "")
        phases[name] = round(phases.get(name, 0) + until - since, 2)
    return phases


def medians(rounds: list[Phases]) -> Phases:
    """Return the median of each phase."""
    return {phase: round(statistics.median(each.get(phase, 0) for each in rounds), 2) for phase in rounds[0]}


def show(title: str, phases: Phases) -> None:
    """Print the phases with bars; the longest has 40 marks."""
    longest = max(phases.values())
    table = Table("phase", "seconds", "", title=title, title_justify="left", box=None)
    for phase, seconds in phases.items():
        table.add_row(phase, f"{seconds:.1f}", "▇" * round(40 * seconds / longest))
    console.print(table)


def main() -> None:
    """Run the rounds and write the result."""
    runs: dict[str, list[Phases]] = {"fresh cluster": [], "kept cluster": []}
    for number in range(1, ROUNDS + 1):
        runs["fresh cluster"].append(timed())
        run("make", "up")
        try:
            runs["kept cluster"].append(timed("--keep-cluster"))
        finally:
            run("make", "down")
        fresh, kept = (sum(rounds[-1].values()) for rounds in runs.values())
        console.print(
            f"round {number} of {ROUNDS}: {fresh:.1f} s with a cluster of its own, {kept:.1f} s with a kept one"
        )
    seconds = {how: [round(sum(phases.values()), 1) for phases in rounds] for how, rounds in runs.items()}
    medians_of_runs = {how: statistics.median(each) for how, each in seconds.items()}
    phases = {how: medians(rounds) for how, rounds in runs.items()}
    document = {
        "machine": {"processors": os.cpu_count(), "system": platform.platform()},
        "seconds": seconds,
        "median seconds": medians_of_runs,
        "ratio": round(medians_of_runs["kept cluster"] / medians_of_runs["fresh cluster"], 2),
        "median seconds by phase": phases,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(document, indent=2) + "\n")
    for how, each in phases.items():
        show(f"{how}: {medians_of_runs[how]:.1f} s", each)
    console.print(f"written to {RESULT}")


if __name__ == "__main__":
    main()
