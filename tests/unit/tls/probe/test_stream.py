"""A connection's end: what had arrived before a reset is read first."""

from __future__ import annotations

import socket
from threading import Event

import pytest

from meshproof.tls import Outcome
from meshproof.tls.probe.stream import Deadline, Ended, Stream
from tests.support.servers import reset, serving

PATIENCE = 5.0  # seconds; never used up
LAST_WORDS = b"last words"


@pytest.mark.parametrize("said", [b"", LAST_WORDS], ids=["nothing", "last words"])
def test_a_reset_while_sending_hides_nothing(said: bytes) -> None:
    """A send that fails is no end yet: the peer's last words are received, and then the reset."""
    gone = Event()

    def behave(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(said)
        reset(connection)
        gone.set()

    with serving(behave) as address, Stream(address, Deadline(PATIENCE)) as stream:
        stream.send(b"x")
        assert gone.wait(PATIENCE)
        stream.send(b"y")
        assert said == (stream.receive() if said else b"")
        with pytest.raises(Ended) as ended:
            stream.receive()
    assert ended.value.outcome is Outcome.RESET


def test_a_deadline_lies_ahead() -> None:
    """No time at all is a mistake of the caller, not a silent peer."""
    with pytest.raises(ValueError, match="leaves no time"):
        Deadline(0)
