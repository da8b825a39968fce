"""Run the proofs on each pair of releases of Istio and Kubernetes, one after the other, and show what became of each.

The images of all pairs come first, so that a pair's time is that of its run. A pair that fails is red, and the others
go on. What each leaves is in a directory of its own in artifacts/matrix, the whole in artifacts/matrix.md and
matrix.json. It ends with

0           every promise was kept on every pair that was tried
1           a promise was broken, or could not be tried
4           a wrong option, a version that is in no list, or one that no pair has
130         it was interrupted; what was known by then is written
others      a pair has no result, or none was tried: docs/clusters.md has them all
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from filelock import FileLock, Timeout
from rich.markup import escape
from rich.table import Table

from meshproof.catalogue import current_catalogue
from meshproof.cli.main import guarded
from meshproof.cli.output import report, write
from meshproof.errors import (
    BadInput,
    ClusterError,
    CommandFailed,
    ExitCode,
    MachineError,
    MeshproofError,
    ReaderLeft,
    ToolMissing,
)
from meshproof.images.choice import resolved
from meshproof.machine import cache, interrupts, process
from meshproof.machine.console import complain, console
from meshproof.project import as_typed_here, current_project
from meshproof.settings import TIMEOUTS
from meshproof.versions import Asked, ImageSource, choose, pairs, releases_of_istio
from tools.matrix_result import KEPT, NO_LOCK, NOT_REACHED, Matrix, Pair

_SOURCES = [source.value for source in ImageSource]
_LONGEST = 4 * TIMEOUTS.image_build  # of a run, and of a build from nothing on a slow machine
_SHOWN = 20  # rows that differ or fail; all of them are in matrix.md


def main() -> int:
    """Run the matrix, and return how it ends. It goes on where nobody reads what is printed."""
    interrupts.raise_keyboard_interrupt()
    sys.stdout = guarded(sys.stdout, 1, os.O_WRONLY)
    sys.stderr = guarded(sys.stderr, 2, os.O_WRONLY)
    try:
        matrix = _matrix(_options())
        with suppress(ReaderLeft):
            _show(matrix)
            sys.stdout.flush()
    except MeshproofError as error:
        with suppress(MeshproofError):
            complain(str(error))
        return error.exit_code
    except OSError as error:
        with suppress(MeshproofError):
            complain(f"{error.filename} could not be written: {error.strerror}.")
        return ExitCode.MACHINE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    finally:
        with suppress(MeshproofError):
            sys.stdout.flush()
    return matrix.exit_code


def _matrix(options: argparse.Namespace) -> Matrix:
    """Run what is asked for, and write what became of it."""
    matrix = asked_for(options)
    directory = current_project().artifacts / "matrix"
    with _alone(directory):
        _make_room(directory, matrix)
        try:
            _run(matrix, options)
        except KeyboardInterrupt:
            matrix.interrupted = True
        finally:
            matrix.compare()
            write(directory.with_suffix(".md"), matrix.markdown)
            write(directory.with_suffix(".json"), matrix.document)
    return matrix


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Refuse a wrong option; argparse's own exit code is that of an interrupted run of pytest."""
        raise BadInput(f"{message}. `--help` shows what can be written.")


def _options() -> argparse.Namespace:
    def versions(text: str) -> list[str]:
        return re.findall(r"[^,\s]+", text)

    parser = _Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", default="auto", help=", ".join(_SOURCES))
    parser.add_argument("--istio", type=versions, default=[], help="only these releases of Istio")
    parser.add_argument("--kubernetes", type=versions, default=[], help="only these releases of Kubernetes")
    parser.add_argument("--envoy", help="another Envoy than that which goes with each Istio")
    parser.add_argument("--verbose", action="store_true", help="show what the runs print")
    parser.add_argument("--programs", type=Path, default=Path(sys.executable).parent, help="where to find pytest")
    parser.add_argument("tests", nargs="+", help="what pytest is given")
    return parser.parse_args()


def asked_for(options: argparse.Namespace) -> Matrix:
    """Return the pairs of the catalogue that are asked for, also those that can't be built.

    Raises:
        UnknownVersion: One of the versions is in no list.
        BadInput: There is no such source of images, or a release that is asked for has no pair.
    """
    if options.images not in _SOURCES:
        raise BadInput(f"Images can't come from {options.images!r}: choose from {', '.join(_SOURCES)}.")
    source, because = resolved(ImageSource(options.images))
    options.images = source.value
    for istio in options.istio or [None]:
        for kubernetes in options.kubernetes or [None]:
            choose(source, Asked(istio, kubernetes, options.envoy), because=because)
    releases = releases_of_istio(source)
    known = [(istio, kubernetes) for istio, release in releases.items() for kubernetes in release.kubernetes]
    there = [
        Pair(istio, kubernetes, current_project().artifacts / "matrix" / f"istio-{istio}-kubernetes-{kubernetes}")
        for istio, kubernetes in known
        if (not options.istio or istio in options.istio) and kubernetes in (options.kubernetes or [kubernetes])
    ]
    for pair in there:
        if pair.istio not in pairs(source):
            pair.lacks_its_lock(lost=current_catalogue().packages.istio[pair.istio].locked)
    had = {name for pair in there if pair.verdict != NO_LOCK for name in pair.releases}
    asked = [f"Istio {istio}" for istio in options.istio] + [f"Kubernetes {each}" for each in options.kubernetes]
    if without := [name for name in asked if name not in had]:
        tried = "; ".join(f"{istio} on {', '.join(versions)}" for istio, versions in pairs(source).items())
        raise BadInput(
            f"None of the pairs that were asked for has {' or '.join(without)}. Istio is tried so: {tried} "
            f"(see [{source.value}.istio] of {current_catalogue().file})."
        )
    about = {"images": source.value, "meshproof": version("meshproof"), "commit": _commit()}
    about |= {"began": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    return Matrix(there, len(known), about | ({"envoy": options.envoy} if options.envoy else {}))


def _commit() -> str:
    """Return the commit of the checkout; ``-dirty`` after it where files were changed."""
    describe = ["git", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=40"]
    try:
        return process.run(describe, cwd=current_project().root, timeout=TIMEOUTS.program).strip()
    except (CommandFailed, ToolMissing):
        return "unknown"


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep another matrix off the directory; whatever ends this process ends that."""
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(directory / "lock", timeout=0):
            yield
    except Timeout as error:
        raise ClusterError(f"Another matrix runs in {as_typed_here(directory)}. Wait for its end.") from error


def _make_room(directory: Path, matrix: Matrix) -> None:
    """Remove what an earlier matrix or run has left; what has not our mark is not touched.

    Raises:
        MachineError: The directory of a pair has something in it that is not ours.
    """
    for pair in matrix.pairs:
        if pair.directory.exists() and not cache.is_ours(pair.directory) and any(pair.directory.iterdir()):
            raise MachineError(
                f"{as_typed_here(pair.directory)} has something in it that no matrix has put there. "
                "Nothing was touched: move it away."
            )
    for earlier in directory.iterdir():
        if cache.is_ours(earlier):
            cache.empty(earlier)
            (earlier / cache.MARK).unlink()
            earlier.rmdir()
    # A run's own result, too: `make summary` would show it as the last one.
    for result in ("matrix.md", "matrix.json", "promises.json", "junit.xml"):
        (directory.parent / result).unlink(missing_ok=True)


def _run(matrix: Matrix, options: argparse.Namespace) -> None:
    """Build the images of all pairs, and run the proofs on those that have theirs."""
    runnable = [pair for pair in matrix.pairs if pair.verdict == NOT_REACHED]
    for pair in runnable:
        cache.mark(pair.directory)
    for number, pair in enumerate(runnable, 1):
        _tell(f"… images of {pair} ({number} of {len(runnable)})")
        command = [options.programs / "meshproof", "images", "build", *_versions("", "-version", pair, options)]
        status, said = _logged(command, pair.directory / "images.log", show=True)
        if status:
            pair.not_built(status, said)
    for number, pair in enumerate(runnable, 1):
        if pair.exit_code is None:
            log = as_typed_here(pair.directory / "run.log")
            _tell(f"… {pair} ({number} of {len(runnable)}); its log is {log}")
            _prove(pair, options)
        _tell(f"{'[green]✓' if pair.verdict == KEPT else '[red]✗'}[/] {pair}: {pair.cell}")
        for line in pair.said:
            _tell(f"    [dim]{escape(line)}[/]")


def _tell(line: str, *, markup: bool = True) -> None:
    """Print how the matrix goes on. Where that can't be printed it goes on all the same."""
    with suppress(MeshproofError):
        console.print(line, markup=markup)


def _prove(pair: Pair, options: argparse.Namespace) -> None:
    """Run the proofs on a pair, and note what became of it."""
    command = [options.programs / "pytest", *options.tests, *_versions("mesh-", "", pair, options)]
    command.append(f"--junitxml={pair.directory / 'junit.xml'}")
    began = time.monotonic()
    try:
        pair.ended(*_logged(command, pair.directory / "run.log", show=options.verbose))
    except KeyboardInterrupt:
        pair.ended(ExitCode.RUN_INTERRUPTED, "")
        raise
    finally:
        pair.seconds = time.monotonic() - began


def _versions(before: str, after: str, pair: Pair, options: argparse.Namespace) -> list[str]:
    """Return the options that ask for a pair, as a command or pytest calls them."""
    asked = {"istio": pair.istio, "kubernetes": pair.kubernetes, "envoy": options.envoy}
    versions = [f"--{before}{name}{after}={release}" for name, release in asked.items() if release]
    return [f"--{before}images={options.images}", *versions]


def _logged(command: Sequence[str | Path], log: Path, *, show: bool) -> tuple[int, str]:
    """Run a program with its output in a file; return its status, and its last lines if it failed."""
    env = {"MESHPROOF_ARTIFACTS": str(log.parent), "PYTHONUNBUFFERED": "1"}
    with log.open("w", encoding="utf-8", buffering=1) as file:

        def on_line(line: str) -> None:
            file.write(f"{line}\n")
            if show and line:
                _tell(line, markup=False)

        try:
            process.run(command, env=env, timeout=_LONGEST, grace=TIMEOUTS.orderly_end, on_line=on_line)
        except CommandFailed as error:
            return error.returncode, error.tail
        except ToolMissing as error:
            return error.exit_code, str(error)
    return 0, ""


def _show(matrix: Matrix) -> None:
    """Print the table, the rows that differ or fail, and how many pairs were not tried."""
    _print_table("Istio × Kubernetes", *matrix.grid)
    head, rows = matrix.differences
    if rows:
        _print_table("Rows that differ or fail", head, rows[:_SHOWN])
    if rows[_SHOWN:]:
        report.print(f"… and {len(rows) - _SHOWN} more")
    artifacts = as_typed_here(current_project().artifacts)
    for line in (f"The whole is in {artifacts}/matrix.md and matrix.json.", *matrix.remarks):
        report.print(line, markup=False, soft_wrap=True)


def _print_table(title: str, head: list[str], rows: list[list[str]]) -> None:
    table = Table(*head, title=title, title_justify="left")
    for row in rows:
        table.add_row(*map(escape, row))
    report.print(table)


if __name__ == "__main__":
    sys.exit(main())
