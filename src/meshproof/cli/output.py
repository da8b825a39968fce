"""What the commands on postures print and write."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console, RenderableType

from meshproof.errors import BadOutput, ExitCode
from meshproof.machine import files
from meshproof.project import as_typed_here

STANDARD_OUTPUT = Path("-")

_NO_WIDTH = 1 << 16  # columns; more than any line has


class Report:
    """Standard output. In a pipe or a file lines have no width: nothing is folded, and no line ends in blanks."""

    def print(self, shown: RenderableType, *, markup: bool = True, soft_wrap: bool = False) -> None:
        """Print; COLUMNS says how wide a line is, whatever the output is."""
        screen = Console(highlight=False)
        if not (screen.is_terminal or "COLUMNS" in os.environ):
            screen = Console(highlight=False, width=_NO_WIDTH)
        with screen.capture() as captured:
            screen.print(shown, markup=markup, soft_wrap=soft_wrap)
        lines = captured.get().split("\n")
        sys.stdout.write("\n".join(lines if screen.is_terminal else map(str.rstrip, lines)))


report = Report()


def exit_code(*, deviates: bool, unknown: bool) -> ExitCode:
    """Return how a command ends: what is known to be wrong goes before what is not known."""
    return ExitCode.DEVIATES if deviates else ExitCode.UNKNOWN if unknown else ExitCode.DONE


def check(paths: Iterable[Path | None]) -> Sequence[Path]:
    """Return the files to be written that are asked for, before a scan whose result could not be kept.

    Raises:
        BadOutput: One is a directory, or in none; or two are the same.
    """
    wanted = [file for file in paths if file is not None]
    if wanted.count(STANDARD_OUTPUT) > 1:
        raise BadOutput("Only one thing can be printed on standard output: give the others a file instead of -.")
    spellings: dict[str, Path] = {}
    for file in wanted:
        place = os.path.realpath("/dev/stdout" if file == STANDARD_OUTPUT else file)
        if place in spellings:
            raise BadOutput(
                f"Two things can't be written to the same file: {spellings[place]} and {file}. Name another."
            )
        spellings[place] = file
    for file in wanted:
        try:
            if file != STANDARD_OUTPUT and file.is_dir():
                raise BadOutput(f"{file} is a directory, and can't be written as a file: name a file.")
            if not file.parent.is_dir():
                raise BadOutput(f"{file} can't be written: there is no directory {file.parent}.")
        except OSError as error:
            raise BadOutput(f"{file} can't be written: {error.strerror}.") from error
    return wanted


def write(path: Path, text: str) -> None:
    """Write a file as ``files.write`` does; ``-`` is standard output.

    Raises:
        MachineError: It can't be written.
    """
    if path == STANDARD_OUTPUT:
        sys.stdout.write(text)
    else:
        files.write(path, text)


def program(name: str) -> str:
    """Return how a program of our environment is called from here: by its name, if the shell would find it."""
    ours = Path(sys.executable).with_name(name)
    if shutil.which(name) or not ours.exists():
        return name
    return str(as_typed_here(ours))
