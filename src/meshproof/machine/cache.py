"""The directory where things outlive a run, and the mark that tells that it is ours.

`MESHPROOF_CACHE` and the user's cache directory are places that others use too.
What meshproof keeps there is in a directory of its own with a mark in it, and
`discard`, through which all that is removed for good goes, touches nothing that
is not below a mark.

Source of the mark, which programs that make backups know too: https://bford.info/cachedir/
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from meshproof.errors import MachineError

MARK = "CACHEDIR.TAG"
_TEXT = """Signature: 8a477f597d28d172789f06886806bc55
# This directory is meshproof's: it makes what is in it, and removes it again.
"""
_LAYOUT = {"build", "build.lock", "clusters", "docker", "go", "logs", "node-image.lock", "programs", "scratch"}
_LAYOUT |= {"debian.lock", "in-use.lock", "toolchain", MARK}
"""What meshproof has ever put there; before there was a mark too."""
_TEMPORARY = "tmp[a-z0-9_]{8}"  # what `tempfile` leaves of a run that was killed
_REMEDY = "Set MESHPROOF_CACHE to a directory that you can write to"
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR}


def fault(directory: Path) -> str | None:
    """Return, as a sentence, why a directory can't be the cache; None if it can. Nothing is changed."""
    existing = next(path for path in (directory, *directory.parents) if os.path.lexists(path))
    if not existing.is_dir():
        return f"{directory} can't be the cache: {existing} is not a directory. {_REMEDY}."
    if not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        return f"{directory} can't be the cache: {existing} can't be written. {_REMEDY}."
    if existing == directory and not is_ours(directory) and (foreign := _foreign(directory)):
        return (
            f"{directory} can't be the cache: {', '.join(foreign[:3])} in it is not meshproof's. Nothing was touched. "
            "Set MESHPROOF_CACHE to another directory; the cache is a directory of its own in it."
        )
    return None


def claim(directory: Path) -> None:
    """Make the cache, if it is not there, and mark it as ours.

    One that was made before there was a mark is known by what is in it, which is nothing but what meshproof makes.

    Raises:
        MachineError: It can't be written, or holds what is not ours.
    """
    if (sentence := fault(directory)) is not None:
        raise MachineError(sentence)
    if is_ours(directory):
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / MARK).write_text(_TEXT)
    except OSError as error:  # such as one of the kernel's: /proc takes no file, whoever asks
        raise MachineError(f"{directory} can't be the cache: {error.strerror}. {_REMEDY}.") from error


@contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Use the cache. If it, or a part of it, can't be written, the error is one sentence.

    Raises:
        MachineError: It names what could not be written, and MESHPROOF_CACHE.
    """
    claim(directory)
    with _in_a_sentence(directory):
        yield


@contextmanager
def in_use(directory: Path, *, alone: bool = False) -> Iterator[None]:
    """Keep what is in the cache from being removed, for as long as a run needs it.

    Args:
        directory: The cache.
        alone: Be the one who removes: nobody else may be there, and whoever comes waits.

    Raises:
        MachineError: Somebody else is there.
    """
    claim(directory)
    with (directory / "in-use.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
        except BlockingIOError as error:
            raise MachineError(
                f"Another run of meshproof uses {directory}, and nothing was removed from it. Wait for its end."
            ) from error
        yield


@contextmanager
def _in_a_sentence(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
        if error.errno not in _NOT_WRITABLE or where is None or not where.is_relative_to(directory):
            raise
        owner = "; it belongs to another user" if _of_another(where) else ""
        raise MachineError(
            f"{where} could not be written: {error.strerror}{owner}. Mend that, or set MESHPROOF_CACHE to another "
            "directory."
        ) from error


def is_ours(directory: Path) -> bool:
    """Return whether a directory has our mark; a file of the same name by another program is none."""
    with suppress(OSError, UnicodeDecodeError):
        return (directory / MARK).read_text() == _TEXT
    return False


def discard(path: Path) -> None:
    """Remove a file or a directory with all that is in it, below our mark; one that is not there is no error.

    A symbolic link is removed, and not what it leads to.

    Raises:
        ValueError: There is no mark above it.
    """
    if not any(is_ours(parent) for parent in path.absolute().parents):
        raise ValueError(f"{path} is not in a cache of meshproof's.")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def mark(directory: Path) -> None:
    """Make a directory for what a run leaves, with our mark, so that the next run may empty it."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MARK).write_text(_TEXT)


def empty(directory: Path) -> None:
    """Remove what is in a directory that has our mark; another one, or none, is left alone."""
    if is_ours(directory):
        for path in directory.iterdir():
            if path.name != MARK:
                discard(path)


def _foreign(directory: Path) -> list[str]:
    """Return the names in a directory that meshproof does not make."""
    names = (path.name for path in directory.iterdir())
    known = (*map(re.escape, _LAYOUT), r"debian-[0-9a-f]{16}\.json", _TEMPORARY)
    return sorted(name for name in names if not re.fullmatch(rf"({'|'.join(known)})(\.unfinished)?", name))


def _of_another(path: Path) -> bool:
    with suppress(OSError):
        existing = next(place for place in (path, *path.parents) if place.exists())
        return existing.stat().st_uid != os.geteuid()
    return False
