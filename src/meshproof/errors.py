"""Everything that can go wrong for a reason a user can act on.

MeshproofError
├── FaultyManifests    manifests that can't be applied as they are written
├── BadName            a name that no cluster can have
├── UnknownVersion     a version that is in no list of ours
├── MachineError       the machine lacks something: Docker, disk space, a port, the network
│   └── ToolMissing    a program is not installed
├── CommandFailed      a program that we ran ended with an error
│   └── BuildFailed    … while it built an image; its log is kept
├── ScanFailed         sslyze could not tell (tls/scanner/sslyze.py)
├── NotSettled         something did not become true within its deadline
└── ClusterError       the cluster or the mesh cannot be made or used as asked

Each message is one sentence on what was tried, on what, and what was seen, and
one on what to do. The exit codes do not overlap with those of pytest (0 to 5).
"""

from __future__ import annotations

from pathlib import Path


class MeshproofError(Exception):
    """The root of the tree: what a caller catches to report instead of crash."""

    exit_code = 10


class FaultyManifests(MeshproofError):
    """Manifests that can't be applied as they are written: a sentence a fault, each on a line of its own."""

    exit_code = 4  # pytest's own code for a usage error


class BadName(MeshproofError):
    """A name that no kind cluster can have."""

    exit_code = 4  # pytest's own code for a usage error


class UnknownVersion(MeshproofError):
    """A version of Istio, Envoy or Kubernetes that is not in ``[tool.meshproof]``."""

    exit_code = 4  # pytest's own code for a usage error


class MachineError(MeshproofError):
    """The machine cannot run a cluster as it is."""

    exit_code = 11


class ToolMissing(MachineError):
    """A program that is needed is not on the PATH."""


class CommandFailed(MeshproofError):
    """A program ended with an error.

    Attributes:
        argv: The command as it was run.
        returncode: Its exit status; negative for a signal.
        tail: The last lines that it printed.
        last: The last of them.
    """

    exit_code = 12

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

    exit_code = 12

    def __init__(self, what: str, tail: str, log: Path) -> None:
        self.log = log
        lines = "\n".join(f"    {line}" for line in tail.strip().splitlines()[-12:])
        super().__init__(f"Building {what} failed; its last lines were:\n{lines}\nThe whole log is {log}.")


class NotSettled(MeshproofError):
    """Something was observed until its deadline and never was as expected, often enough in a row."""

    exit_code = 13


class ClusterError(MeshproofError):
    """The cluster or the mesh cannot be made, reached or used."""

    exit_code = 13
