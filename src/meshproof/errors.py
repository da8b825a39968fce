"""Everything that can go wrong for a reason a user can act on, and the exit codes.

MeshproofError
├── BadInput              what was asked for can't be understood, or can't be had
│   ├── FaultyManifests   manifests that can't be applied as they are written
│   ├── BadName           a name that no cluster can have
│   ├── BadProject        a pyproject.toml that can't be understood
│   ├── UnknownVersion    a version that is in no list of ours
│   ├── Unreadable        a file that is not there, or not what it should be
│   ├── ClientsUnreadable a file of clients that can't be understood, or lacks the one that is asked for
│   ├── BadTarget         a target of a scan, or an option that goes with it, that can't be understood
│   ├── BadOutput         a file that can't be written where it is asked for
│   ├── NotThere          a name in a test or a manifest that nothing has
│   ├── NothingInCommon   two scans without a common target
│   └── NoProgram         what is to be run is no program
├── MachineError          the machine lacks something: Docker, disk space, a port, the network
│   └── ToolMissing       a program is not installed, or can't be run
├── CommandFailed         a program that we ran ended with an error
├── BuildFailed           an image could not be built; the log is kept
├── CaptureFailed         a command did not send a ClientHello
├── NotSettled            something did not become true within its deadline
├── ClusterError          the cluster or the mesh cannot be made or used as asked
├── TrafficUnknown        a sender of traffic did not say what became of all its requests
├── ScanFailed            sslyze could not judge a target
└── ReaderLeft            whoever read what we print reads no more

Each message is one sentence on what was tried, on what, and what was seen, and
one on what to do.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import ClassVar


class ExitCode(IntEnum):
    """How a command or a run of pytest ends. Those up to 5 mean the same as pytest's own.

    Source: https://docs.pytest.org/en/stable/reference/exit-codes.html
    """

    DONE = 0
    DEVIATES = 1
    """Something is known to be other than expected, promised, or before."""
    RUN_INTERRUPTED = 2
    """A run of pytest was interrupted; a command ends with INTERRUPTED."""
    BAD_INPUT = 4
    NO_TESTS = 5
    MACHINE = 11
    PROGRAM = 12
    CLUSTER = 13
    UNKNOWN = 14
    """Something could not be found out, and nothing worse is known."""
    FAIL_OPEN = 21
    """During an upgrade, something that must be refused was let through."""
    DID_NOT_FINISH = 22
    """An upgrade could not be done, or not to its end."""
    DISRUPTION = 23
    """An upgrade lost more requests, or had longer gaps, than its budget allows."""
    CHANGED = 24
    """After an upgrade the mesh does something otherwise, and nobody has acknowledged that."""
    INTERRUPTED = 130
    """Ctrl-C, SIGTERM or a closed terminal ended a command: what a shell makes of SIGINT."""
    READER_LEFT = 141
    """What a shell makes of SIGPIPE."""


class MeshproofError(Exception):
    """The root of the tree: what a caller catches to report instead of crash. Only what derives from it is raised."""

    exit_code: ClassVar[ExitCode]


class BadInput(MeshproofError):
    """What was asked for can't be understood, or can't be had."""

    exit_code = ExitCode.BAD_INPUT


class FaultyManifests(BadInput):
    """Manifests that can't be applied as they are written: a sentence a fault, each on a line of its own."""


class BadName(BadInput):
    """A name that no kind cluster can have."""


class BadProject(BadInput):
    """A pyproject.toml whose ``[tool.meshproof]`` can't be understood."""


class UnknownVersion(BadInput):
    """A version of Istio, Envoy or Kubernetes that is not in ``images/versions.toml``."""


class Unreadable(BadInput):
    """A file is not there, or is not what it should be."""


class ClientsUnreadable(BadInput):
    """A file of clients is not what it should be, or lacks the client that was asked for."""


class BadTarget(BadInput):
    """A target, or an option that goes with it, can't be understood."""


class BadOutput(BadInput):
    """A file can't be written where it is asked for."""


class NotThere(BadInput):
    """A test or a manifest names something that is not there: a certificate, an authority, a port, a step."""


class NothingInCommon(BadInput):
    """Two scans have no target in common."""


class NoProgram(BadInput):
    """What is to be run is no program."""


class MachineError(MeshproofError):
    """The machine cannot run a cluster as it is."""

    exit_code = ExitCode.MACHINE


class ToolMissing(MachineError):
    """A program that is needed is not on the PATH, or can't be run."""


class CommandFailed(MeshproofError):
    """A program ended with an error.

    Attributes:
        argv: The command as it was run.
        returncode: Its exit status; negative for a signal.
        tail: The last lines that it printed.
        last: The last of them.
    """

    exit_code = ExitCode.PROGRAM

    def __init__(self, argv: list[str], returncode: int, tail: str, hint: str = "") -> None:
        self.argv = argv
        self.returncode = returncode
        self.tail = tail
        self.last = tail.strip().splitlines()[-1] if tail.strip() else "it printed nothing"
        super().__init__(f"`{' '.join(argv[:6])}` ended with status {returncode}: {self.last}. {hint}".strip())


class BuildFailed(MeshproofError):
    """An image could not be built.

    Attributes:
        log: Where all the output of the build is.
    """

    exit_code = ExitCode.PROGRAM

    def __init__(self, what: str, tail: str, log: Path) -> None:
        self.log = log
        lines = "\n".join(f"    {line}" for line in tail.strip().splitlines()[-12:])
        super().__init__(f"Building {what} failed; its last lines were:\n{lines}\nThe whole log is {log}.")


class CaptureFailed(MeshproofError):
    """The command did not send a ClientHello."""

    exit_code = ExitCode.PROGRAM


class NotSettled(MeshproofError):
    """Something was observed until its deadline and never was as expected, often enough in a row."""

    exit_code = ExitCode.CLUSTER


class ClusterError(MeshproofError):
    """The cluster or the mesh cannot be made, reached or used."""

    exit_code = ExitCode.CLUSTER


class TrafficUnknown(MeshproofError):
    """A sender of traffic did not tell what became of all its requests: what was lost is not known."""

    exit_code = ExitCode.UNKNOWN


class ScanFailed(MeshproofError):
    """sslyze could not judge a target: nothing is known about its versions."""

    exit_code = ExitCode.CLUSTER


class ReaderLeft(MeshproofError):
    """Whoever read what we print reads no more: that is no fault, and nobody is told."""

    exit_code = ExitCode.READER_LEFT
