"""Learning a client from itself: run it against a port on loopback, and read its first ClientHello."""

from __future__ import annotations

import shlex
import socket
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress

from meshproof.errors import CaptureFailed, CommandFailed, ToolMissing
from meshproof.machine.process import beside
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.recognition import profile_of

LOOPBACK = "127.0.0.1"
NAME = "localhost"
EXAMPLE = "curl -k {url}"
_WHERE_TO = "Is {url} or {port} where the command takes them? They are in MESHPROOF_URL and MESHPROOF_PORT, too."
_TURN = 0.1  # seconds between two looks at whether the command still runs
_LONGEST = 1 << 17  # octets; more than any ClientHello
_GOODBYE = bytes([21, 3, 3, 0, 2, 2, 40])  # a fatal handshake_failure: the client need not wait


def capture_client(command: Sequence[str], name: str, *, provenance: str, timeout: float) -> Profile:
    """Run a command and return the client that it is.

    In its words, ``{port}`` stands for the port to connect to, and ``{url}`` for ``https://localhost:PORT/``; both are
    also in its environment, as ``MESHPROOF_PORT`` and ``MESHPROOF_URL``. It is ended as soon as its hello is here.

    Args:
        command: The program and its arguments.
        name: What to call the client.
        provenance: Where its facts come from, for the file.
        timeout: Seconds until it must have sent its hello.

    Raises:
        ToolMissing: There is no such program.
        CaptureFailed: It sent nothing in time, or something else than a ClientHello.
    """
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        url = f"https://{NAME}:{port}/"
        words = [word.replace("{port}", str(port)).replace("{url}", url) for word in command]
        environment = {"MESHPROOF_PORT": str(port), "MESHPROOF_URL": url}
        try:
            with beside(words, timeout=timeout, env=environment) as output:
                hello = _first_hello(listener, output, words, timeout)
        except ToolMissing as error:
            raise ToolMissing(
                f"Tried to run `{shlex.join(words)}`: there is no program {words[0]}, neither on the PATH nor as a "
                f"file that can be run. Name the program first: meshproof clients capture NAME -- {EXAMPLE}."
            ) from error
    try:
        return profile_of(hello, name, provenance=provenance)
    except ValueError as error:
        raise CaptureFailed(
            f"`{shlex.join(words)}` connected to port {port}, but sent no ClientHello ({error}): {hello[:20]!r}."
        ) from error


def _first_hello(listener: socket.socket, output: Future[str], words: Sequence[str], timeout: float) -> bytes:
    """Return what the first client sends until its hello is whole, or can't become one."""
    deadline = time.monotonic() + timeout
    listener.settimeout(_TURN)
    port = listener.getsockname()[1]
    while time.monotonic() < deadline:
        ended = output.done()
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            if ended:
                raise _never(words, port, output) from output.exception()
            continue
        with connection:
            connection.settimeout(max(deadline - time.monotonic(), _TURN))
            received = b""
            with suppress(OSError):
                while not _whole(received) and (data := connection.recv(_LONGEST)):
                    received += data
                connection.sendall(_GOODBYE)
        if received:  # browsers open connections that they may not need
            return received
    late = f"`{shlex.join(words)}` did not connect to port {port} of {LOOPBACK} within {timeout:g} s"
    raise CaptureFailed(f"{late}. {_WHERE_TO} --timeout gives it more time.")


def _never(words: Sequence[str], port: int, output: Future[str]) -> CaptureFailed:
    error = output.exception()
    if isinstance(error, CommandFailed):
        ended = f"ended with status {error.returncode} and never connected"
        return CaptureFailed(f"`{shlex.join(words)}` {ended} to port {port} of {LOOPBACK}: {error.last}. {_WHERE_TO}")
    return CaptureFailed(f"`{shlex.join(words)}` ended and never connected to port {port} of {LOOPBACK}. {_WHERE_TO}")


def _whole(received: bytes) -> bool:
    """Return whether the hello is complete, or too long, or none at all; the length is in the first message."""
    if not received:
        return False
    try:
        profile_of(received, "")
    except ValueError:
        return len(received) >= _LONGEST or not (received[0] & 0x80 or received[0] == 22)  # noqa: PLR2004 - handshake
    return True
