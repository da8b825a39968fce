"""The `meshproof` command."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING, TextIO

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from meshproof.cli.quick import Quick
from meshproof.errors import MachineError, MeshproofError
from meshproof.machine import interrupts

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from typer._click import Command, Context  # a typer that has no click of its own has no such module

COMMANDS = {
    "scan": ("scan", "Tell what TLS an endpoint offers, which clients get in, why others do not, and what is weak."),
    "diff": ("diff", "Tell what changed between two scans, row by row."),
    "clients": ("clients", "The named clients that a scan simulates."),
    "doctor": ("doctor", "Tell whether this machine can run a cluster, and what to do where it can't."),
    "up": ("cluster", "Bring up a cluster with Istio and the applications, and leave it running."),
    "down": (
        "cluster",
        "Delete a cluster that `up` or a test run left, and end the private Docker daemon when nothing runs on it.",
    ),
    "status": ("cluster", "List the clusters that were left running, and where their gateways are."),
    "images": ("images", "The images that a cluster is made of."),
}
"""By the name of a command: the module of ``cli`` that has a function, or a Typer with more commands, of that
name; and its help, said once more here, so that the list of the commands needs none of the modules."""


_USAGE_OF_CLICK, _USAGE = 2, 4
"""What typer ends with after a mistake on the command line, and what we do: 2 is an interrupted run of pytest."""


class Later(TyperCommand):
    """A command whose module is imported when it is run, or asked for its own help.

    It has a name and a line of help until a context is made, which is the first thing that is done to run a command:
    that context is the real command's, so the real one goes on from there. What is quick does not pay for what is not.
    """

    def __init__(self, name: str, module: str, line: str) -> None:
        """Stand for the command of that name."""
        super().__init__(name, help=line)
        self._module = module

    def make_context(
        self, info_name: str | None, args: list[str], parent: Context | None = None, **extra: object
    ) -> Context:
        """Import the command, and let it read its arguments."""
        return self.real().make_context(info_name, args, parent, **extra)

    def real(self) -> Command:
        """Return the command."""
        assert self.name
        found = getattr(import_module(f"meshproof.cli.{self._module}"), self.name)
        app = typer.Typer()
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=self.name)
        else:
            app.command(self.name, cls=Quick)(found)
        return get_group(app).commands[self.name]


app = TyperGroup(
    commands=[Later(name, *where) for name, where in COMMANDS.items()],
    context_settings={"default_map": {"help": False}},  # spares it pydantic: see commands.quick
    no_args_is_help=True,
    help="Proves on a real cluster what a service mesh promises about TLS, and tells what TLS an endpoint offers.\n\n"
    "`meshproof --version` prints the version.",
)


class ReaderLeft(MeshproofError):
    """Whoever read what we print reads no more: that is no fault, and nobody is told."""

    exit_code = 141  # what a shell makes of SIGPIPE


class Output(FileIO):
    """Standard output or standard error: what can't be written to it ends the command, and is dropped."""

    def write(self, octets: ReadableBuffer, /) -> int:
        """Write octets.

        Raises:
            ReaderLeft: It is a pipe that nobody reads.
            MachineError: It can't be written for another reason.
        """
        try:
            return super().write(octets)
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())  # for what is still to come
            if isinstance(error, BrokenPipeError):
                raise ReaderLeft("Nobody reads what is printed.") from error
            raise MachineError(f"Tried to write to standard output: {error.strerror}.") from error


def guarded(stream: TextIO | None, number: int, closed: int) -> TextIO:
    """Return a stream with the same settings that tells our errors from others.

    Args:
        stream: Standard output or standard error; None when it was closed.
        number: Its file descriptor.
        closed: How to open /dev/null in the place of a closed one, so that no connection gets its number.
    """
    if stream is None:
        os.dup2(os.open(os.devnull, closed), number)
        stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - it is open to the end
    assert isinstance(stream, TextIOWrapper)  # as Python opens them
    return TextIOWrapper(
        BufferedWriter(Output(number, "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _run() -> None:
    if sys.argv[1:] == ["--version"]:  # as an option of typer it would cost every command the import of pydantic
        from importlib.metadata import version  # noqa: PLC0415 - takes long

        typer.echo(f"meshproof {version('meshproof')}")
        return
    app()


def main() -> None:
    """Run the command; what a user or a machine can cause ends in one sentence and an exit code."""
    interrupts.raise_keyboard_interrupt()
    sys.stdout = guarded(sys.stdout, 1, os.O_RDONLY)  # a closed one can't be written
    sys.stderr = guarded(sys.stderr, 2, os.O_WRONLY)
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()
    except SystemExit as end:
        sys.exit(_USAGE if end.code == _USAGE_OF_CLICK else end.code)
    except MeshproofError as error:
        if not isinstance(error, ReaderLeft):
            from meshproof.machine.console import complain  # noqa: PLC0415 - rich takes longer than some commands may

            with suppress(MeshproofError):  # standard error may be closed or full
                complain(str(error))
        sys.exit(error.exit_code)
