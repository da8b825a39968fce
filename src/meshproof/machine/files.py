"""Files that are written as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from meshproof.errors import MachineError


def write(path: Path, text: str) -> None:
    """Write a file as a whole or not at all.

    Who may read a file that is there stays the same. A device, a pipe or a symbolic link stays what it is: the text is
    written to it, or to where it leads, as it comes.

    Raises:
        MachineError: It can't be written.
    """
    replaceable = not path.is_symlink() and (path.is_file() or not path.exists())
    unfinished = path.with_name(f".{path.name}.{os.getpid()}") if replaceable else path
    try:
        try:
            unfinished.write_text(text, encoding="utf-8", newline="")
            if replaceable:
                if path.exists():
                    unfinished.chmod(path.stat().st_mode)
                unfinished.replace(path)
        finally:
            if replaceable:
                unfinished.unlink(missing_ok=True)
    except OSError as error:
        nothing = " Nothing was written." if replaceable else ""
        raise MachineError(f"Tried to write {path}: {error.strerror}.{nothing}") from error
