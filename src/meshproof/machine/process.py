"""The only door to other programs."""

from __future__ import annotations

import errno
import os
import signal
import subprocess  # noqa: TID251 - this is the door
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from meshproof.errors import CommandFailed, ToolMissing

_TAIL_LINES = 40
_TERMINATION_GRACE = 10.0  # seconds between SIGTERM and SIGKILL
_running: set[subprocess.Popen[str]] = set()
_starting = threading.Lock()


def run(
    argv: Sequence[str | Path],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    on_line: Callable[[str], None] | None = None,
    grace: float = _TERMINATION_GRACE,
) -> str:
    """Run a program to its end and return what it printed on standard output.

    The program gets a process group of its own: Ctrl-C reaches us first, and we
    end the group, so that no grandchild outlives the run.

    Args:
        argv: The program and its arguments; never a shell line.
        timeout: Seconds after which the program is ended.
        env: What to add to the environment.
        cwd: The directory to run it in.
        stdin: What to feed it; nothing by default.
        on_line: Called with each line as it is printed, both streams joined; the
            result is then the last lines only.
        grace: Seconds that it has to put things in order when we are interrupted or it
            takes too long, before it is killed.

    Raises:
        ToolMissing: The program is not installed, or can't be run.
        CommandFailed: It ended with a status other than 0, or not in time.
    """
    process = _begin(argv, env=env, cwd=cwd, stdin=stdin is not None, joined=on_line is not None)
    return _finish(process, timeout=timeout, stdin=stdin, on_line=on_line, grace=grace)


@contextmanager
def beside(
    argv: Sequence[str | Path], *, timeout: float, env: Mapping[str, str] | None = None
) -> Iterator[Future[str]]:
    """Run a program beside a block, and end it with the block.

    Args:
        argv: The program and its arguments; never a shell line.
        timeout: Seconds after which the program is ended.
        env: What to add to the environment.

    Returns:
        What it will have printed on standard output, or CommandFailed; see ``run``.

    Raises:
        ToolMissing: The program is not installed, or can't be run.
    """
    process = _begin(argv, env=env)
    with ThreadPoolExecutor(1) as pool:
        output = pool.submit(_finish, process, timeout=timeout)
        try:
            yield output
        finally:
            if process in _running:
                _end(process)


@contextmanager
def conversation(
    argv: Sequence[str | Path],
    *,
    said: str,
    on_line: Callable[[str], None],
    timeout: float,
) -> Iterator[None]:
    """Run a program beside a block; at the block's end its standard input ends, and the program is waited for.

    Args:
        argv: The program and its arguments; never a shell line.
        said: What its standard input begins with.
        on_line: Called in another thread with each line as it is printed, both streams joined.
        timeout: Seconds after which it is ended.

    Raises:
        ToolMissing: The program is not installed, or can't be run.
        CommandFailed: It ended with a status other than 0, or not in time.
    """
    process = _begin(argv, env=None, stdin=True, joined=True)
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        output = pool.submit(_finish, process, timeout=timeout, stdin=said, on_line=on_line, hold=over.wait)
        try:
            yield
        except BaseException:
            _end(process)
            raise
        finally:
            over.set()
        output.result()


def start(argv: Sequence[str | Path], *, log: Path) -> psutil.Process:
    """Start a program that outlives us, its output in a file.

    Raises:
        ToolMissing: The program is not installed, or can't be run.
    """
    words = [str(word) for word in argv]
    output = (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    files = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), output, (os.POSIX_SPAWN_DUP2, 1, 2)]
    try:
        return psutil.Process(os.posix_spawnp(words[0], words, os.environ, file_actions=files, setsid=True))
    except OSError as error:
        raise _missing(f"Tried to start `{words[0]}`", error) from error


def end_all() -> None:
    """End every program that any thread still runs; each of those calls then raises CommandFailed."""
    with _starting:
        running = list(_running)
    for process in running:
        _end(process)


def _begin(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None,
    cwd: Path | None = None,
    stdin: bool = False,
    joined: bool = False,
) -> subprocess.Popen[str]:
    """Start a program in a process group of its own; ``joined`` joins its two streams."""
    words = [str(word) for word in argv]
    try:
        with _starting:
            process = subprocess.Popen(
                words,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if joined else subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            _running.add(process)
    except OSError as error:
        raise _missing(f"Tried to run `{words[0]}`", error) from error
    return process


def _missing(tried: str, error: OSError) -> ToolMissing:
    if error.errno == errno.ENOEXEC:
        return ToolMissing(
            f"{tried}: {error.strerror}. The file is incomplete, or a program for another kind of machine: delete it, "
            "and install or build it again."
        )
    return ToolMissing(f"{tried}: {error.strerror}. Run `meshproof doctor`.")


def _finish(
    process: subprocess.Popen[str],
    *,
    timeout: float,
    stdin: str | None = None,
    on_line: Callable[[str], None] | None = None,
    grace: float = _TERMINATION_GRACE,
    hold: Callable[[], object] = lambda: None,
) -> str:
    """Wait for a program's end, and return what it printed."""
    assert isinstance(process.args, list)
    words: list[str] = process.args
    try:
        if on_line:
            out, err = _stream(process, words, on_line, timeout, stdin, grace, hold), ""
        else:
            out, err = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as expired:
        raise CommandFailed(words, -signal.SIGTERM, f"no end within {timeout:g} s") from expired
    finally:
        _end(process, grace)
        _running.discard(process)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                with suppress(OSError):
                    pipe.close()
    if process.returncode != 0:
        raise CommandFailed(words, process.returncode, _last_lines(err or out))
    return out


def _stream(  # noqa: PLR0917 - what `run` is given
    process: subprocess.Popen[str],
    words: list[str],
    on_line: Callable[[str], None],
    timeout: float,
    stdin: str | None,
    grace: float,
    hold: Callable[[], object],
) -> str:
    """Hand each line over as it comes, also those of an end that we ask for; return the last ones."""
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _end(process, grace)

    def read() -> None:
        for line in process.stdout or ():
            tail.append(line)
            on_line(line.rstrip("\n"))

    late = threading.Timer(timeout, expire)
    late.daemon = True
    feeder = threading.Thread(target=_feed, args=[process, stdin, hold], daemon=True)
    try:
        late.start()
        feeder.start()
        read()
        process.wait()
    except KeyboardInterrupt:
        ending = threading.Thread(target=_end, args=[process, grace])
        ending.start()
        read()  # a program whose output nobody reads would wait for us, and not come to its end
        ending.join()
        raise
    finally:
        late.cancel()
    feeder.join()
    if expired.is_set():
        raise CommandFailed(words, -signal.SIGTERM, f"no end within {timeout:g} s")
    return "".join(tail)


def _feed(process: subprocess.Popen[str], stdin: str | None, hold: Callable[[], object]) -> None:
    """Write what the program is to read, and end that after ``hold``; one that has ended reads no more."""
    if process.stdin:
        with suppress(OSError), process.stdin:
            process.stdin.write(stdin or "")
            process.stdin.flush()
            hold()


def _end(process: subprocess.Popen[str], grace: float = _TERMINATION_GRACE) -> None:
    """End the whole process group, if any of it is left."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_lines(text: str) -> str:
    return "\n".join(text.splitlines()[-_TAIL_LINES:])
