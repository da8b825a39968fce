"""What the commands on postures print and write."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.console import Console

from meshproof.errors import MachineError

DEVIATES = 1
"""The exit code when something is known to be other than expected, or than before."""

UNKNOWN = 14
"""The exit code when something could not be found out, and nothing worse is known."""

STANDARD_OUTPUT = Path("-")

report = Console(highlight=False)


def write(path: Path, text: str) -> None:
    """Write a file as a whole or not at all; ``-`` is standard output.

    Raises:
        MachineError: It can't be written.
    """
    if path == STANDARD_OUTPUT:
        sys.stdout.write(text)
        return
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise MachineError(f"Tried to write {path}: {error.strerror}. Nothing was written.") from error
