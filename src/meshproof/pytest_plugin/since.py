"""Rows that differ between releases: what holds since one, and what is seen on older ones instead.

A ``Since`` stands for a value in a table of rows. The test gets the value that holds for the mesh that runs, as soon as
the fixture `testbed` knows its versions; what was expected of an older release instead is said by ``promises``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any, Generic, Literal, TypeVar

import pytest

from meshproof.catalogue import current_catalogue
from meshproof.errors import ClusterError
from meshproof.pytest_plugin.promises import INSTEAD, VERSIONS, Instead
from meshproof.pytest_plugin.scenarios import in_one_sentence, is_row

Value = TypeVar("Value")

_ROW = pytest.StashKey[pytest.Item]()
"""The row that runs."""
EXPECTED_INSTEAD = "expected instead"
"""The JUnit property of a row that was run on an older release."""
_RELEASE = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_ADDRESS = re.compile(r"https://[^\s/]+\S*")
_VERSION = re.compile(_RELEASE.pattern + r"(-\S+)?")


@dataclass(frozen=True, slots=True)
class Since(Generic[Value]):
    """What a row expects since a release, and what it expects of older ones.

    It stands for a value that a test is parametrized with: a whole row, or one of its values. Its text is that of
    ``now``, so that a test is called the same on every release.

    Attributes:
        release: The first release that ``now`` holds for, such as ``1.31.1``; ``1.31`` means ``1.31.0``.
        now: What the test gets on this release and on newer ones.
        before: What it gets on an older one; another ``Since`` where older ones differ as well.
        source: The address (https) of the release note or the change that the difference comes from.
        component: Whose release decides: ``istio`` or ``envoy``.
    """

    release: str
    now: Value
    before: Value | Since[Value] = field(kw_only=True)
    source: str = field(kw_only=True)
    component: Literal["istio", "envoy"] = field(default="istio", kw_only=True)

    def __str__(self) -> str:
        return str(self.now)


def reached(running: str, release: str, *, after: str | None = None) -> bool:
    """Return whether a version that runs has what is there since a release.

    Versions are compared as numbers. A version of two numbers, such as Istio's ``1.30``, is some commit of that branch:
    older than 1.31.0, and of the branch's releases it has what those have that it is known to come after.

    Args:
        running: The version, as the mesh tells it.
        release: A release: two or three numbers.
        after: The newest release that a commit of a branch comes after, such as ``1.30.3``.

    Raises:
        ValueError: It can't be told: the version is no number; or it has two numbers or a suffix (``1.39.0-dev``), its
            numbers are those of the release, and it is not known to come after it.
    """
    version = _VERSION.fullmatch(running)
    if not version:
        raise ValueError(running)
    *numbers, suffix = version.groups()
    runs = [int(number) for number in numbers if number]
    since = _numbers(release)
    if since[: len(runs)] == runs and (suffix or runs != since):
        if after and since <= _numbers(after):
            return True
        raise ValueError(running)
    return runs >= since


def _numbers(release: str) -> list[int]:
    return [int(number) for number in (*release.split("."), "0")][:3]


def pytest_collection_finish(session: pytest.Session) -> None:
    """End the run with a sentence if a ``Since`` can't be one."""
    for item in session.items:
        for name, value in _params(item).items():
            if inside := _inside(value):
                raise pytest.UsageError(
                    f"{item.nodeid}: `{name}` has a Since in its field `{inside}`: it should stand for the whole row, "
                    "as in Since(release, row, before=another row, source=…)."
                )
            for since in _chain(value):
                if fault := _fault(since, is_row=is_row(item)):
                    raise pytest.UsageError(f"{item.nodeid}: the Since of `{name}` {fault}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Put the values that hold into a row, or leave that to the fixture `testbed`, if it is not there yet.

    A row of which that can't be told fails here: it is not tried.
    """
    item.config.stash[_ROW] = item
    if VERSIONS in item.config.stash:
        _put_in(item)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Put the values that hold into the row that brings the mesh up, as soon as its versions are known."""
    result = yield
    if not request.config.option.setupplan:
        if isinstance(getattr(request, "param", None), Since):
            pytest.fail(
                f"The fixture {fixturedef.argname} is set up before `testbed`: it can't have a Since.", pytrace=False
            )
        if fixturedef.argname == "testbed":
            request.config.stash.setdefault(VERSIONS, {})
            _put_in(request.config.stash[_ROW])
    return result


def _put_in(row: pytest.Item) -> None:
    """Replace each ``Since`` in the parameters of a row, and note what is expected of an older release instead."""
    params = _params(row)
    for name, value in params.items():
        newer, holding = None, value
        with in_one_sentence():
            while isinstance(holding, Since):
                if _holds(holding, row.config):
                    holding = holding.now
                else:
                    newer, holding = holding, holding.before
        if newer:
            _note(row, name, newer, holding)
        params[name] = holding


def _holds(since: Since[Any], config: pytest.Config) -> bool:
    """Return whether what is there since a release holds for the mesh that runs.

    Raises:
        ClusterError: It can't be told by the version of the mesh.
    """
    running = _running(since, config)
    built = current_catalogue().packages.istio.get(running) if since.component == "istio" else None
    try:
        return reached(running, since.release, after=built.after if built else None)
    except ValueError:
        raise ClusterError(
            f"The version of the mesh's {since.component.capitalize()} is {running!r}: whether it has what holds since "
            f"{since.release} can't be told by that. Run the row on a release."
        ) from None


def _running(since: Since[Any], config: pytest.Config) -> str:
    return config.stash.get(VERSIONS, {}).get(since.component, "unknown")


def _note(row: pytest.Item, name: str, newer: Since[Any], expected: object) -> None:
    """Note what a row expects instead of what holds since a release."""
    instead = Instead(
        component=newer.component.capitalize(),
        running=_running(newer, row.config),
        release=newer.release,
        expected=_difference(name, newer.now, expected),
        source=newer.source,
    )
    row.config.stash.setdefault(INSTEAD, {}).setdefault(row.nodeid, []).append(instead)
    row.user_properties.append((EXPECTED_INSTEAD, f"{instead.expected} ({instead})"))


def _difference(name: str, now: object, before: object) -> str:
    """Say what a value was before: of a row that is a dataclass the fields that differ."""
    if is_dataclass(now) and type(now) is type(before):
        pairs = [(each.name, getattr(now, each.name), getattr(before, each.name)) for each in fields(now)]
        return "; ".join(f"{field}: {_told(then)}" for field, today, then in pairs if today != then)
    return f"{name}: {_told(before)}"


def _told(value: object) -> str:
    """Return a value as text; of several, that they are possible."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping):
        return " or ".join(sorted(map(_told, value))) or "none"
    return str(value)


def _fault(since: Since[Any], *, is_row: bool) -> str | None:
    """Say what is wrong with a ``Since``."""
    if not is_row:
        return "depends on the mesh that runs: the test should ask for the fixture `testbed`, or one that does."
    if not isinstance(since.release, str) or not _RELEASE.fullmatch(since.release):
        return f"has the release {since.release!r}: it should be two or three numbers, as in '1.31.1'."
    if since.component not in ("istio", "envoy"):
        return f"has the component {since.component!r}: it should be istio or envoy."
    if not isinstance(since.source, str) or not _ADDRESS.fullmatch(since.source):
        return f"has the source {since.source!r}: it should be the https address of a release note or a change."
    if isinstance(since.before, Since) and since.before.component == since.component and _is_newer(since.before, since):
        return f"has a `before` since {since.before.release}, which is not older than {since.release}."
    if since.now == since.before:
        return f"expects {since.now} before {since.release} as well: then the row needs none."
    return None


def _is_newer(older: Since[Any], newer: Since[Any]) -> bool:
    """Return whether the release of what should be older is not."""
    if not isinstance(older.release, str) or not _RELEASE.fullmatch(older.release):
        return False  # that is told for itself
    before, since = ([*map(int, each.release.split(".")), 0][:3] for each in (older, newer))
    return before >= since


def _inside(value: object) -> str | None:
    """Return the field of a row, or of one that a ``Since`` stands for, that is a ``Since``: nobody would see it."""
    rows = [value, *(row for since in _chain(value) for row in (since.now, since.before))]
    cases = [row for row in rows if is_dataclass(row) and not isinstance(row, Since | type)]
    names = [each.name for case in cases for each in fields(case) if isinstance(getattr(case, each.name, None), Since)]
    return names[0] if names else None


def _chain(value: object) -> Iterator[Since[Any]]:
    """Give a ``Since``, and those that it has of older releases."""
    while isinstance(value, Since):
        yield value
        value = value.before


def _params(item: pytest.Item) -> dict[str, object]:
    """Return what a test is parametrized with, to be changed; empty where it is not."""
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec else {}
