"""Chromium without a window, asked by its DevTools protocol.

Source: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import websocket

from meshproof.machine import process
from meshproof.settings import TIMEOUTS

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_LONGEST = 600.0  # seconds that it runs at most
_OPTIONS = ("--headless", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0")


class Tab:
    """One page of a browser.

    Args:
        address: Of its WebSocket.
    """

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=TIMEOUTS.program, suppress_origin=True)
        self._number = 0
        self._session: str | None = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Page.enable")

    def ask(self, method: str, **parameters: object) -> dict[str, Any]:
        """Ask for something, and return the answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        answer = self._next(lambda heard: heard.get("id") == self._number)
        assert "error" not in answer, answer["error"]
        result: dict[str, Any] = answer["result"]
        return result

    def show(self, file: Path, *, width: int, scheme: str, media: str = "screen") -> None:
        """Show a file.

        Args:
            file: A page.
            width: Of the window, in pixels.
            scheme: ``light`` or ``dark``, which the person prefers.
            media: ``screen`` or ``print``.
        """
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", media=media, features=features)
        self.ask("Page.navigate", url=file.as_uri())
        self._next(lambda heard: heard.get("method") == "Page.loadEventFired")

    def value(self, expression: str) -> Any:  # noqa: ANN401 - whatever it is
        """Return the value of an expression of JavaScript on the page."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"]["value"]

    def picture(self, file: Path) -> None:
        """Save what the whole page looks like."""
        answer = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(answer["data"]))

    def close_browser(self) -> None:
        """End the browser."""
        self._session = None
        self.ask("Browser.close")
        self._socket.close()

    def _next(self, is_it: Any) -> dict[str, Any]:  # noqa: ANN401 - a function
        while True:
            heard: dict[str, Any] = json.loads(self._socket.recv())
            if is_it(heard):
                return heard


@contextmanager
def chromium(directory: Path) -> Iterator[Tab]:
    """Run Chromium beside a block.

    Args:
        directory: One of its own, for what it keeps.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), PROGRAMS[0])
    lines: Queue[str] = Queue()
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # it refuses to run as root with one
    command = [program, *_OPTIONS, *sandbox, f"--user-data-dir={directory}", "about:blank"]
    with process.conversation(command, said="", on_line=lines.put, timeout=_LONGEST):
        while not (address := re.search(r"ws://\S+", lines.get(timeout=TIMEOUTS.program))):
            pass
        tab = Tab(address[0])
        try:
            yield tab
        finally:
            tab.close_browser()
