"""Check the workflows with actionlint, built from its Go module the first time."""

from __future__ import annotations

from pathlib import Path

from meshproof.errors import CommandFailed
from meshproof.images import golang
from meshproof.images.steps import build, missing
from meshproof.machine import process
from meshproof.machine.console import BuildProgress
from meshproof.settings import TIMEOUTS, cache_directory

ROOT = Path(__file__).resolve().parents[1]


if __name__ == "__main__":
    cache = cache_directory()
    actionlint = golang.tool("actionlint", cache, ROOT / "tools")
    with BuildProgress(len(missing([actionlint], cache))) as progress:
        build([actionlint], cache, progress)
    try:
        process.run([actionlint.directory(cache) / "actionlint"], cwd=ROOT, timeout=TIMEOUTS.program, on_line=print)
    except CommandFailed as error:
        raise SystemExit(1) from error
