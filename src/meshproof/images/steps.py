"""Build steps whose results are kept by the content of what they are made from.

A step's directory is named after the hash of its inputs. It is made under a
name of its own and renamed when it is whole, so an interrupted build leaves
nothing that looks finished, and the next run goes on after the last whole
step. Two runs share a build: the second one waits and then finds the results.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from meshproof.errors import BuildFailed, CommandFailed, MachineError
from meshproof.machine import process
from meshproof.machine.cache import claim, discard

DISK_NEEDED = 10_000_000_000
"""Bytes that a build of everything takes, its caches included."""
_OFFLINE = (
    "network is unreachable",
    "no such host",
    "Network is unreachable",
    "Could not resolve",
    "Temporary failure in name resolution",
    "Temporary failure resolving",
    "connection refused",
    "i/o timeout",
    "No matching distribution found",
)
_WHOLE_BUILD = 870.0
"""Seconds that it takes on two processors, if one step ran after the other."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is built once.

    Attributes:
        name: What a person calls it.
        inputs: Files, directories and strings that decide what comes out.
        build: Makes the result in the directory that it is given, and calls the function that it is
            given with each line of output.
        seconds: How long it takes on two processors, for the estimate of what is left.
        compiles: Whether it keeps both processors busy; others wait for the network most of the time.
    """

    name: str
    inputs: Sequence[Path | str]
    build: Callable[[Path, Callable[[str], None]], None]
    seconds: float
    compiles: bool = False

    @property
    def digest(self) -> str:
        """The hash of the step's inputs."""
        return digest(self.inputs)

    def directory(self, cache: Path) -> Path:
        """Return where the result is, or will be."""
        return cache / "build" / f"{self.name}-{self.digest}"


class Progress(Protocol):
    """What is told how a build goes on."""

    def began(self, name: str, expected: float) -> None:
        """Note that a step has begun, and how many seconds it is expected to take."""

    def waiting(self) -> None:
        """Note that another run builds, and is waited for."""

    def ended(self, name: str, seconds: float) -> None:
        """Note how many seconds a step took."""


def digest(inputs: Iterable[Path | str]) -> str:
    """Return a hash of files, directories and strings.

    Raises:
        FileNotFoundError: A file is not there.
    """
    content = hashlib.sha256()
    for item in inputs:
        for part in _parts(item):
            content.update(len(part).to_bytes(8, "big") + part)
    return content.hexdigest()[:16]


def _parts(item: Path | str) -> list[bytes]:
    if isinstance(item, str):
        return [item.encode()]
    files = [item] if not item.is_dir() else sorted(path for path in item.rglob("*") if path.is_file())
    parts = []
    for path in files:
        executable = "x" if path.stat().st_mode & 0o100 else "-"
        parts += [f"{path.relative_to(item.parent)} {executable}".encode(), path.read_bytes()]
    return parts


def missing(steps: Sequence[Step], cache: Path) -> list[Step]:
    """Return the steps that are not built yet."""
    return [step for step in steps if not step.directory(cache).exists()]


def build(
    steps: Sequence[Step], cache: Path, progress: Progress, *, afterwards: Callable[[], None] = lambda: None
) -> None:
    """Build what is missing; a run that comes while another one builds waits for it.

    One step compiles at a time, for each takes both processors and gigabytes of memory; what fetches goes on beside it.

    Args:
        steps: What is to be there in the end.
        cache: Where it is to be.
        progress: Who wants to know.
        afterwards: Called when something was built, before anybody else builds.

    Raises:
        BuildFailed: With the last lines of the step's output and the path of its log.
        MachineError: No space left on the disk.
    """
    if not missing(steps, cache):
        return
    claim(cache)
    for name in ("logs", "build"):
        (cache / name).mkdir(parents=True, exist_ok=True)
    with in_turn(cache / "build.lock", progress):
        todo = missing(steps, cache)
        needed, free = DISK_NEEDED * sum(step.seconds for step in todo) / _WHOLE_BUILD, shutil.disk_usage(cache).free
        if free < needed:
            raise MachineError(
                f"Building {', '.join(step.name for step in todo)} takes about {needed / 1e9:.0f} GB on the disk of "
                f"{cache}, and {free / 1e9:.1f} GB are free. Free some or set MESHPROOF_CACHE to another disk."
            )
        with ThreadPoolExecutor(max_workers=2) as pool:
            queues = ([step for step in todo if step.compiles], [step for step in todo if not step.compiles])
            given_up = threading.Event()
            futures = [pool.submit(_build_in_turn, queue, cache, progress, given_up) for queue in queues]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                given_up.set()
                process.end_all()
                raise
        if todo:
            afterwards()


@contextmanager
def in_turn(lock_file: Path, progress: Progress) -> Iterator[None]:
    """Do something while no other run does; say so when that takes waiting."""
    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _build_in_turn(steps: Sequence[Step], cache: Path, progress: Progress, given_up: threading.Event) -> None:
    for step in steps:
        if not given_up.is_set():
            _build_one(step, cache, progress)


def _build_one(step: Step, cache: Path, progress: Progress) -> None:
    result = step.directory(cache)
    log = cache / "logs" / f"{result.name}.log"
    unfinished = result.with_name(f"{result.name}.unfinished")
    discard(unfinished)
    progress.began(step.name, step.seconds)
    began = time.monotonic()
    try:
        unfinished.mkdir()
        with log.open("w", buffering=1) as output:
            step.build(unfinished, lambda line: print(line, file=output))
    except CommandFailed as error:
        if is_disk_full(error):
            raise disk_full(step.name, cache) from error
        if (said := _network_failure(error)) is not None:
            raise MachineError(
                f"Building {step.name} needs a package registry, and none was reached: {said}. See to the network (or "
                f"the proxy), then run again; it goes on where it ended. The whole log is {log}."
            ) from error
        raise BuildFailed(step.name, error.tail, log) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise disk_full(step.name, cache) from error
        raise
    else:
        unfinished.rename(result)
        progress.ended(step.name, time.monotonic() - began)
    finally:
        discard(unfinished)


def _network_failure(error: CommandFailed) -> str | None:
    """Return how Go, pip or apt said that there is no network; None if they said something else."""
    for line in error.tail.splitlines():
        for mark in _OFFLINE:
            if mark in line:
                return mark
    return None


def is_disk_full(error: CommandFailed) -> bool:
    """Return whether a program failed for lack of disk space."""
    return "no space left on device" in error.tail.lower()


def disk_full(what: str, cache: Path) -> MachineError:
    """Return the error for a disk that filled up while something was built."""
    free = shutil.disk_usage(cache).free / 1e9
    return MachineError(
        f"No space was left on the disk of {cache} while {what} was built ({free:.1f} GB are free now; building all "
        f"takes about {DISK_NEEDED / 1e9:.0f} GB). Free some or set MESHPROOF_CACHE to another disk; "
        "the next run goes on where this one ended."
    )
