"""Learning a client from itself: a real one, and commands that are none."""

from __future__ import annotations

import sys
import time

import pytest

from meshproof.errors import CaptureFailed, ToolMissing
from meshproof.tls.probe.capture import capture_client
from meshproof.tls.protocol.version import ProtocolVersion
from tests.support.programs import shell

PATIENCE = 20.0  # seconds; never used up
HINT = "Is {url} or {port} where the command takes them? They are in MESHPROOF_URL and MESHPROOF_PORT, too."

CLIENT = """
import os, socket, ssl, sys
context = ssl.create_default_context()
port = sys.argv[1] or os.environ["MESHPROOF_PORT"]
assert os.environ["MESHPROOF_URL"] == f"https://localhost:{port}/" == (sys.argv[2] or os.environ["MESHPROOF_URL"])
with socket.create_connection(("127.0.0.1", int(port))) as plain:
    context.wrap_socket(plain, server_hostname="localhost")
"""


@pytest.mark.parametrize("words", [("{port}", "{url}"), ("", "")])
def test_a_client_is_learnt_from_its_hello(words: tuple[str, str]) -> None:
    """The port and the URL are where the command asks for them, or in its environment."""
    began = time.monotonic()
    profile = capture_client([sys.executable, "-c", CLIENT, *words], "Python", provenance="a test", timeout=PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2  # it is over as soon as the hello is whole
    assert (profile.name, profile.provenance) == ("Python", "a test")
    assert ProtocolVersion.TLS_1_3 in profile.accepted_versions


def test_a_program_that_is_not_there() -> None:
    """It is named, with where it was looked for and how to write the command."""
    with pytest.raises(ToolMissing) as error:
        capture_client(["no-such-program", "{url}"], "x", provenance="", timeout=PATIENCE)
    assert str(error.value).startswith("Tried to run `no-such-program https://localhost:")
    assert "there is no program no-such-program, neither on the PATH nor as a file that can be run" in str(error.value)
    assert "meshproof clients capture NAME -- curl -k {url}" in str(error.value)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("true", "` ended and never connected to port "),
        ("echo no such option >&2; exit 3", "` ended with status 3 and never connected to port "),
        ("echo no such option >&2; exit 3", " of 127.0.0.1: no such option. "),
    ],
)
def test_a_program_that_never_connects(script: str, words: str) -> None:
    """How it ended and what it said, and where it should have been told the port."""
    with pytest.raises(CaptureFailed) as error:
        capture_client(list(map(str, shell(script))), "x", provenance="", timeout=PATIENCE)
    assert words in str(error.value)
    assert str(error.value).endswith(HINT)
    assert error.value.exit_code == 12


def test_a_program_that_takes_its_time() -> None:
    """It is ended, and the sentence says for how long it was waited for."""
    with pytest.raises(
        CaptureFailed, match=r"`sleep 60` did not connect to port \d+ of 127.0.0.1 within 0.3 s"
    ) as error:
        capture_client(["sleep", "60"], "x", provenance="", timeout=0.3)
    assert str(error.value).endswith(f"{HINT} --timeout gives it more time.")


def test_a_program_that_says_something_else() -> None:
    """What it sent is shown."""
    script = (
        'import os, socket; socket.create_connection(("127.0.0.1", int(os.environ["MESHPROOF_PORT"]))).send(b"GET /")'
    )
    with pytest.raises(CaptureFailed, match="sent no ClientHello") as error:
        capture_client([sys.executable, "-c", script], "x", provenance="", timeout=PATIENCE)
    assert "b'GET /'" in str(error.value)


def test_a_client_that_takes_its_time() -> None:
    """Its hello may come in pieces, as long as it is there in time; then it need not wait for an answer."""
    script = """
import os, socket, ssl, time
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
session = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
try:
    session.do_handshake()
except ssl.SSLWantReadError:
    hello = outgoing.read()
with socket.create_connection(("127.0.0.1", int(os.environ["MESHPROOF_PORT"]))) as plain:
    plain.sendall(hello[:20])
    time.sleep(0.3)
    plain.sendall(hello[20:])
    assert plain.recv(100) == bytes([21, 3, 3, 0, 2, 2, 40])
"""
    profile = capture_client([sys.executable, "-c", script], "slow", provenance="", timeout=PATIENCE)
    assert ProtocolVersion.TLS_1_2 in profile.accepted_versions
