"""Time `make e2e` from Enter to the prompt, with a cluster of its own and against a kept one.

The two are run in turn, so that a machine that gets slower does so for both. The result is a
JSON document with the seconds of each run.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from pathlib import Path

from meshproof.machine import process
from meshproof.machine.console import console
from meshproof.settings import TIMEOUTS

ROOT = Path(__file__).resolve().parents[1]

RESULT = Path("artifacts/bench.json")
ROUNDS = int(os.environ.get("ROUNDS", "3"))


def timed(*command: str, **env: str) -> float:
    """Run a command; return how many seconds it took."""
    began = time.monotonic()
    process.run(command, cwd=ROOT, env=env, timeout=TIMEOUTS.image_build, on_line=lambda _: None)
    return round(time.monotonic() - began, 1)


def main() -> None:
    """Run the rounds and write the result."""
    fresh, kept = [], []
    for number in range(1, ROUNDS + 1):
        fresh.append(timed("make", "e2e"))
        timed("make", "up")
        try:
            kept.append(timed("make", "e2e", PYTEST_ADDOPTS="--keep-cluster"))
        finally:
            timed("make", "down")
        console.print(
            f"round {number} of {ROUNDS}: {fresh[-1]} s with a cluster of its own, {kept[-1]} s against a kept one"
        )
    medians = {"fresh cluster": statistics.median(fresh), "kept cluster": statistics.median(kept)}
    document = {
        "machine": {"processors": os.cpu_count(), "system": platform.platform()},
        "seconds": {"fresh cluster": fresh, "kept cluster": kept},
        "median seconds": medians,
        "ratio": round(medians["kept cluster"] / medians["fresh cluster"], 2),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(document, indent=2) + "\n")
    console.print(f"{json.dumps(document, indent=2)}\nwritten to {RESULT}")


if __name__ == "__main__":
    main()
