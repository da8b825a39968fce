"""Ask Go about modules, and tell apart what is not served, what could not be asked for, and what is not as it was."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NoReturn

from meshproof.errors import CommandFailed, ExitCode, MachineError, MeshproofError
from meshproof.images import golang
from meshproof.machine import process
from meshproof.machine.console import console
from meshproof.settings import TIMEOUTS, cache_directory

_PASSWORD = re.compile(r"(?<=//)[^/@,|]*@")
_MISMATCH = re.compile(r"^.*(?:checksum mismatch|SECURITY ERROR).*$", re.MULTILINE)
_UNREACHED = re.compile(
    r"^.*(?:Get \"|dial tcp|read tcp|\bEOF\b|i/o timeout|timed out|no end within|Could not resolve host|GOPROXY=off"
    r"|: (?:4(?!03|04|10)\d\d|5\d\d) [A-Z]"
    # The checksum database says 404 or 410 of what it does not have; another answer of it says nothing of a module.
    r"|verifying .*reading \S+/lookup/\S+: (?!404|410)\d{3} |verifying .*reading (?:(?!/lookup/)\S)+: \d{3} ).*$",
    re.MULTILINE,
)
_REFUSED = re.compile(
    r": (?:403|404|410) |This module version is not available|unknown revision|no matching versions"
    r"|: not found\b|no such entry"
)
_MODULE = re.compile(
    r"(?:^|\s)(\S+\.\S+/\S+?)@(v[^:\s]+): ((?:reading|verifying|invalid)[^\n]*(?:\n\s+server response:[^\n]*)?)"
)


class NotServed(MeshproofError):
    """The proxy does not serve a module, or the checksum database does not have it.

    Attributes:
        modules: The modules and the versions of them that Go named.
    """

    exit_code = ExitCode.UNKNOWN

    def __init__(self, message: str, modules: tuple[tuple[str, str], ...] = ()) -> None:
        self.modules = modules
        super().__init__(message)


class Tampered(MeshproofError):
    """A module has not the content that the checksum database has of it."""

    exit_code = ExitCode.DEVIATES


def run_go(directory: Path, *arguments: str | Path) -> str:
    """Run Go in a directory, with the user's proxy and never without the checksum database.

    Returns:
        What it printed.

    Raises:
        Tampered: A module is not what the checksum database has.
        NotServed: A module is refused: 403, 404 or 410 of the proxy, or no entry in the checksum database.
        MachineError: The proxy or the checksum database could not be asked.
        CommandFailed: Go ended with another error.
    """
    program = golang.go(cache_directory())
    try:
        return process.run([program, *arguments], cwd=directory, env=environment(), timeout=TIMEOUTS.image_build)
    except CommandFailed as error:
        explain(error)


def explain(error: CommandFailed) -> NoReturn:
    """Raise what an error of Go means; see `run_go`."""
    if mismatch := _MISMATCH.search(error.tail):
        raise Tampered(
            f"A module is not what the checksum database has of it: {mismatch[0].strip()}. "
            "Find out what is between you and the module's source before you trust this proxy or this cache again."
        ) from error
    if unreached := _UNREACHED.search(error.tail):
        raise MachineError(
            "The Go module proxy or the checksum database could not be asked: "
            f"{unreached[0].strip()}. See to the network and to GOPROXY, and run `make lock` again."
        ) from error
    if _REFUSED.search(error.tail):
        modules = tuple((name, version) for name, version, why in _MODULE.findall(error.tail) if _REFUSED.search(why))
        raise NotServed(f"{error.last.strip()}.", modules) from error
    raise error


@cache
def environment() -> dict[str, str]:
    """Return what Go is run with: our caches, the user's GOPROXY, which is shown, and the public checksum database.

    Other settings of the user, in the environment or by `go env -w`, could switch the checksum database off.

    Raises:
        MachineError: There is no Go, and none can be had.
        CommandFailed: Go does not say which proxy it uses.
    """
    directory = cache_directory()
    program = golang.go(directory)
    proxy = process.run([program, "env", "GOPROXY"], env={"GOFLAGS": ""}, timeout=TIMEOUTS.program).strip()
    console.print(f"Go modules come from GOPROXY={_PASSWORD.sub('', proxy)}.")
    unset = ("GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GONOSUMCHECK", "GOINSECURE")
    return {
        **golang.environment(directory),
        **dict.fromkeys(unset, ""),
        "GOENV": "off",
        "GOPROXY": proxy,
        "GOSUMDB": "sum.golang.org",
    }


@contextmanager
def written_whole(lock: Path) -> Iterator[Path]:
    """Give the name of a module file to write; it is put in its place with its ``.sum`` if the block ends well.

    Args:
        lock: Its place. What is there stays until then.
    """
    lock.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=lock.parent.parent, prefix="unfinished-") as directory:
        unfinished = Path(directory, lock.name)
        yield unfinished
        for end in (".sum", ".mod"):
            unfinished.with_suffix(end).replace(lock.with_suffix(end))
