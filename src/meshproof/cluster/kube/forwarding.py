"""A port of a pod, forwarded by the API server: HTTP to what listens in the pod, on its loopback too.

Each message of the WebSocket begins with its channel: 0 is what the port sends and gets, 1 says why it can't be
forwarded. The first message of each has the port's number.

Source: https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/kubelet/pkg/cri/streaming/portforward/
(websocket.go), and ``kubectl port-forward``
"""

from __future__ import annotations

import io
from http.client import HTTPConnection
from typing import Any

from meshproof.errors import ClusterError

_DATA, _ERROR = 0, 1


class Forwarded(io.RawIOBase):
    """What http.client needs of a socket, on the WebSocket of one port."""

    def __init__(self, websocket: Any) -> None:  # noqa: ANN401 - the package websocket has no types
        self._websocket = websocket
        self._begun = set[int]()
        self._left = b""

    def sendall(self, octets: bytes) -> None:
        """Send to the port."""
        self._websocket.send_binary(bytes([_DATA]) + octets)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return what the port sends, to be read as a file."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Return True: it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - a buffer has no type before Python 3.12
        """Wait for what the port sends; return how many octets came, none when it sends no more.

        Raises:
            ClusterError: The port can't be forwarded.
        """
        while not self._left:
            message = self._websocket.recv()
            if not message:
                return 0
            channel = message[0]
            if channel in self._begun and channel == _ERROR:
                raise ClusterError(message[1:].decode().strip())
            self._left = message[1:] if channel in self._begun else b""
            self._begun.add(channel)
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count

    def close(self) -> None:
        """End the forwarding."""
        super().close()
        self._websocket.shutdown()


def get(websocket: Any, path: str) -> tuple[int, str]:  # noqa: ANN401
    """Ask the HTTP server at a forwarded port for a page; return the status and the body, and end the forwarding.

    Raises:
        ClusterError: The port can't be forwarded.
        HTTPException: What came is no whole answer.
    """
    server = HTTPConnection("localhost")
    server.sock = port = Forwarded(websocket)
    try:
        server.request("GET", path)
        answer = server.getresponse()
        return answer.status, answer.read().decode()
    finally:
        port.close()
