"""The program of both ends of traffic, run on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from meshproof.images import TRAFFIC
from meshproof.images.steps import build
from meshproof.images.traffic import program
from meshproof.machine import process
from meshproof.machine.console import BuildProgress
from meshproof.settings import cache_directory
from meshproof.tls import Address
from tests.support.programs import line_of


@cache
def traffic_program() -> Path:
    """Return the program, compiled if it is not yet."""
    step = program(cache_directory())
    with BuildProgress(1) as progress:
        build([step], cache_directory(), progress)
    return step.directory(cache_directory()) / TRAFFIC


@contextmanager
def traffic_server(log: Path, *options: str) -> Iterator[dict[str, Address]]:
    """Run ``traffic serve`` with its log in a file; give where it listens, by the name of the option."""
    server = process.start([traffic_program(), "serve", "--log", *options], log=log)
    try:
        listening: dict[str, str] = json.loads(line_of(log))["listening"]
        yield {
            option: Address(host, int(port))
            for option, (host, _, port) in ((name, where.rpartition(":")) for name, where in listening.items())
        }
    finally:
        server.terminate()
        server.wait()


def logged(log: Path, number: int) -> list[dict[str, Any]]:
    """Return what a server has logged after its first line, as soon as that is a number of lines."""
    line_of(log, number + 1)
    return [json.loads(line) for line in log.read_text().splitlines()[1:]]
