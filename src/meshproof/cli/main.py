"""The `meshproof` command."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from contextlib import suppress
from importlib import import_module
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING, TextIO

import click

from meshproof.cli.options import InOrder
from meshproof.errors import ExitCode, MachineError, MeshproofError, ReaderLeft
from meshproof.machine import interrupts

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

COMMANDS = {
    "scan": (
        "scan.command:command",
        "Show what TLS an endpoint offers, which clients get in, why others do not, and what is weak.",
    ),
    "diff": ("diff:command", "Show what changed between two scans, row by row."),
    "clients": ("clients:command", "The named clients that a scan simulates."),
    "init": (
        "init:command",
        "Write the smallest project: one manifest, one test, what pyproject.toml has to say of them, and a .gitignore.",
    ),
    "doctor": ("doctor:command", "Check whether this machine can run a cluster, and say what to do where it can't."),
    "up": ("cluster:up", "Bring up a cluster with Istio and the applications, and leave it running."),
    "down": (
        "cluster:down",
        "Delete a cluster that `up` or a test run left, and end the private Docker daemon when nothing runs on it.",
    ),
    "status": ("cluster:status", "List the clusters that were left running, and where their gateways are."),
    "apply": (
        "scenarios:apply",
        "Have scenarios in force on the kept cluster, in place of those that were, and show how to reach them.",
    ),
    "remove": (
        "scenarios:remove",
        "Remove the scenarios that `apply` has put in force.",
    ),
    "readiness": (
        "readiness:command",
        "Tell who would lose connectivity if STRICT were switched on now, and why.",
    ),
    "upgrade": (
        "upgrade:command",
        "Upgrade a mesh on a cluster of its own, look at it in each state, and say whether that is safe.",
    ),
    "images": ("images:command", "The images that a cluster is made of."),
}
"""By the name of a command: the module of ``cli`` with it, and what it is called there; and the first sentence of its
help, said once more here, so that the list of the commands needs none of the modules."""


class Commands(InOrder):
    """The commands: the module of one is imported when it is run, or asked for its own help."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Import the command that is to be run."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, real(name) if name else None, rest


def real(name: str) -> click.Command:
    """Import a command.

    Args:
        name: What it is called in ``COMMANDS``.

    Raises:
        MachineError: It needs a package that is not installed, for meshproof was installed alone.
    """
    module, _, attribute = COMMANDS[name][0].partition(":")
    try:
        command = getattr(import_module(f"meshproof.cli.{module}"), attribute)
    except ModuleNotFoundError as error:
        raise MachineError(
            f"`meshproof {name}` needs {error.name}, which is not installed: "
            "install meshproof with its extra `cluster`."
        ) from error
    assert isinstance(command, click.Command)
    return command


@click.group(
    cls=Commands, commands={name: click.Command(name, short_help=line) for name, (_, line) in COMMANDS.items()}
)
@click.version_option(package_name="meshproof", message="%(prog)s %(version)s")
def app() -> None:
    """Proves on a real cluster what a service mesh promises about TLS, and tells what TLS an endpoint offers."""


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


def main() -> None:
    """Run the command; what a user or a machine can cause ends in one sentence and an exit code."""
    interrupts.raise_keyboard_interrupt()
    # A certificate with the serial number 0, as the commands of many instructions make it, is shown like any other.
    warnings.filterwarnings("ignore", "Parsed a serial number which wasn't positive")
    sys.stdout = guarded(sys.stdout, 1, os.O_RDONLY)  # a closed one can't be written
    sys.stderr = guarded(sys.stderr, 2, os.O_WRONLY)
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()
            gc.freeze()  # the process ends: there is nothing to look for any more
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.UsageError as error:
        with suppress(MeshproofError):  # as below
            _complain_of_usage(error)
        sys.exit(ExitCode.BAD_INPUT)  # click's own is 2, which is an interrupted run of pytest
    except MeshproofError as error:
        if not isinstance(error, ReaderLeft):
            with suppress(MeshproofError):  # standard error may be closed or full
                _complain(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


def _run() -> None:
    with app.make_context("meshproof", sys.argv[1:]) as context:
        app.invoke(context)


def _complain_of_usage(error: click.UsageError) -> None:
    """Say in one line what is wrong and where to look; a command of which nothing is asked shows its help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    asked = error.ctx.command_path if error.ctx else "meshproof"
    _complain(f"{error.format_message()} `{asked} --help` shows what can be written.")


def _complain(sentence: str) -> None:
    from meshproof.machine.console import complain  # noqa: PLC0415 - rich takes longer than some commands may

    complain(sentence)
