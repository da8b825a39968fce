"""A command in a pod beside a block, by an API server on loopback that speaks WebSocket and runs nothing."""

from __future__ import annotations

import base64
import hashlib
import socket
import time
from pathlib import Path

import pytest

from meshproof.cluster.kube import Kube
from meshproof.errors import CommandFailed
from tests.support.servers import Behaviour, serving

SAID = '{"began": 1}'
ENDED = b'{"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}}'
STDOUT, ERROR = b"\x01", b"\x03"
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{{name: it, cluster: {{server: "http://{address}"}}}}]
users: [{{name: it, user: {{}}}}]
contexts: [{{name: it, context: {{cluster: it, user: it}}}}]
current-context: it
"""


def frame(channel: bytes, text: bytes) -> bytes:
    """Return what a command has said, as a frame. Source: RFC 6455, 5.2."""
    return bytes([0x82, len(text) + 1]) + channel + text


def api(*frames: bytes, until_it_ends: bool) -> Behaviour:
    """Take a command, say what it says, and wait until the client has gone, or go at once."""

    def behave(connection: socket.socket) -> None:
        asked = connection.recv(65536).decode()
        (key,) = [line.split(": ")[1] for line in asked.split("\r\n") if line.lower().startswith("sec-websocket-key")]
        accepted = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())  # noqa: S324 - RFC 6455, 4.2.2
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: v4.channel.k8s.io\r\nSec-WebSocket-Accept: " + accepted + b"\r\n\r\n"
        )
        connection.sendall(b"".join(frames))
        while until_it_ends and connection.recv(65536):
            pass

    return behave


def kube(address: object, directory: Path) -> Kube:
    """Return the client of a cluster whose API is there."""
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG.format(address=address))
    return Kube(kubeconfig)


def test_an_error_in_the_block_is_raised_and_the_command_ended(tmp_path: Path) -> None:
    """An error of the block's own, also one of a socket, comes out at once, and standard input ends."""
    lines: list[str] = []
    with serving(api(frame(STDOUT, f"{SAID}\n".encode()), until_it_ends=True)) as address:
        began = time.monotonic()
        with (
            pytest.raises(ConnectionRefusedError, match="of the block"),
            kube(address, tmp_path).pods.conversation(
                "ns", "pod", "traffic", ["/it"], said="x\n", on_line=lines.append, timeout=30
            ),
        ):
            raise ConnectionRefusedError("of the block")
    assert time.monotonic() - began < 10


def test_a_command_that_has_ended_is_told_by_its_status(tmp_path: Path) -> None:
    """Where it can't be told to end any more, its exit status is what counts."""
    with (
        serving(api(frame(ERROR, ENDED), until_it_ends=False)) as address,
        pytest.raises(CommandFailed, match="3"),
        kube(address, tmp_path).pods.conversation(
            "ns", "pod", "traffic", ["/it"], said="x\n", on_line=print, timeout=30
        ),
    ):
        pass
