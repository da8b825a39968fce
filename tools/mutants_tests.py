"""Runs tests for `mutants.py`: a plugin of pytest that notes which functions each test enters, and keeps an order."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

_entered: dict[str, tuple[float, list[str]]] = {}
_caches: list[Any] = []


OURS = {"meshproof", "tests", "tools", "__main__", "__mp_main__"}
PLUGINS = ["-p", "no:cacheprovider", "-p", "tools.mutants_tests", "-W", "ignore::pytest.PytestAssertRewriteWarning"]


def run(checkout: str, arguments: list[str], output: str) -> None:
    """Run tests in a copy of the checkout, in a fork of a process that has imported all but the copy.

    Args:
        checkout: The copy.
        arguments: For pytest.
        output: The file for what is printed.

    Raises:
        SystemExit: Always, with the exit code of pytest.
    """
    os.setsid()
    os.chdir(checkout)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
        del sys.modules[name]
    ours = [f"{checkout}/src", checkout]
    sys.path[:] = [*ours, *(path for path in sys.path if "site-packages" in path or "/lib/python" in path)]
    os.environ |= {"PYTHONPATH": os.pathsep.join(ours), "CHOSEN_TESTS": f"{checkout}/{CHOSEN}"}
    raise SystemExit(int(pytest.main([*PLUGINS, *arguments])))


CHOSEN = "chosen-tests.json"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that asks for the map."""
    parser.addoption("--mutants-map", action="store_true", help="note which functions each test enters")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the chosen tests, in the order in which they are listed."""
    choice = json.loads(Path(os.environ["CHOSEN_TESTS"]).read_text())
    if "only" in choice:
        places = {test: place for place, test in enumerate(choice["only"])}
        items[:] = sorted((item for item in items if item.nodeid in places), key=lambda item: places[item.nodeid])
    left_out = set(choice.get("without", ()))
    items[:] = [item for item in items if item.nodeid not in left_out]


def pytest_collection_finish() -> None:
    """Find what remembers results: each test has to enter a function anew."""
    cached = (each for each in gc.get_objects() if isinstance(each, type(cache(len))))
    _caches[:] = [each for each in cached if each.__module__.startswith(("meshproof", "tests"))]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Note the functions that a test enters, in all threads."""
    if not item.config.getoption("--mutants-map"):
        return (yield)
    functions: set[str] = set()
    source = str(item.config.rootpath / "src")

    def note(frame: FrameType, _event: str, _argument: object) -> None:
        file = frame.f_code.co_filename
        if file.startswith(source):
            functions.add(f"src{file.removeprefix(source)}:{frame.f_code.co_qualname}")

    for cached in _caches:
        if not cached.__module__.endswith(".registry"):  # what it gives is compared by identity
            cached.cache_clear()
    began = time.monotonic()
    threading.settrace(note)
    sys.settrace(note)
    try:
        return (yield)
    finally:
        sys.settrace(None)
        threading.settrace(None)
        _entered[item.nodeid] = time.monotonic() - began, sorted(functions)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what was noted."""
    if _entered:
        (session.config.rootpath / f"entered-{os.getpid()}.json").write_text(json.dumps(_entered))
