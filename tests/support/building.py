"""Steps to build, one of which can be watched and held; also a program that builds that one in a directory."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from meshproof.images.steps import Step, build
from meshproof.machine.process import run
from meshproof.machine.wait import until

_PATIENCE = 20.0  # seconds; never used up


class Record:
    """Notes how a build goes on."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []

    def began(self, name: str, expected: float) -> None:  # noqa: ARG002 - who builds passes it
        """Note a step that begins."""
        self.begun.append(name)

    def waiting(self) -> None:
        """Note that another run is waited for."""
        self.waited = True

    def ended(self, name: str, seconds: float) -> None:  # noqa: ARG002 - who builds passes it
        """Note a step that is done."""
        self.done.append(name)


def command(script: str) -> Step:
    """Return a step that runs a script, its first argument the directory of the result."""

    def make(out: Path, on_line: Callable[[str], None]) -> None:
        run(["sh", "-c", script, "sh", out], timeout=_PATIENCE, env={"LC_ALL": "C"}, on_line=on_line)

    return Step("a step", [script], make, seconds=1)


def held_step(directory: Path) -> Step:
    """Return a step that notes each build in ``builds`` and, half-way, waits for ``go`` to appear."""

    def make(out: Path, _: Callable[[str], None]) -> None:
        (out / "first").touch()
        with (directory / "builds").open("a") as builds:
            print("half-way", file=builds)
        until((directory / "go").exists, "there", bool, what="The sign to go on", timeout=_PATIENCE, interval=0.01)
        (out / "second").touch()

    return Step("held", ["an input"], make, seconds=1)


if __name__ == "__main__":
    with Path(sys.argv[1], "arrived").open("a") as arrived:
        print("at the door", file=arrived)
    build([held_step(Path(sys.argv[1]))], Path(sys.argv[1]) / "cache", Record())
