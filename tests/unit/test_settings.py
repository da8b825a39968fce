"""The name of a run's cluster, and where its files go."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from meshproof.errors import BadName
from meshproof.machine.process import run
from meshproof.settings import TIMEOUTS, Settings, cache_directory, default_cluster_name

SHOW_NAME = "from meshproof.settings import default_cluster_name; print(default_cluster_name())"


@pytest.mark.parametrize("name", ["a", "meshproof-f2af6c", "1.2-3", "a--b", "a" * 49])
def test_a_name_for_a_cluster(name: str) -> None:
    """What kind, Docker and Kubernetes take is taken."""
    assert Settings(name).cluster_name == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Bad Name",
        "UPPER",
        "under_score",
        "-a",
        "a-",
        ".a",
        "a.",
        "a..b",
        "a.-b",
        "..",
        "../up",
        "a/b",
        "a\n",
        "ä",
        "a" * 50,
    ],
)
def test_no_name_for_a_cluster(name: str) -> None:
    """What would not be a host name, or be a path, is refused before anything is made."""
    with pytest.raises(BadName, match=re.escape(repr(name))):
        Settings(name)


@pytest.mark.parametrize("value", ["cache", "/var/cache/meshproof"], ids=["relative", "absolute"])
def test_the_cache_can_be_elsewhere(value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """MESHPROOF_CACHE moves everything into a directory of its own there, wherever a program runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MESHPROOF_CACHE", value)
    assert cache_directory() == tmp_path / value / "meshproof-cache"


@pytest.mark.parametrize("value", [None, ""], ids=["not set", "empty"])
def test_the_cache_is_the_users(value: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Unless told otherwise, files go where the user's caches are."""
    monkeypatch.delenv("MESHPROOF_CACHE", raising=False)
    if value is not None:
        monkeypatch.setenv("MESHPROOF_CACHE", value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "meshproof"


def test_each_checkout_has_a_cluster_of_its_own(tmp_path: Path) -> None:
    """The same code in two projects brings up two clusters, with names that kind takes."""
    names = [default_cluster_name()]
    for checkout in ("one", "two"):
        (tmp_path / checkout / "below").mkdir(parents=True)
        (tmp_path / checkout / "pyproject.toml").write_text("[tool.meshproof]\n")
        found = run([sys.executable, "-c", SHOW_NAME], cwd=tmp_path / checkout / "below", timeout=TIMEOUTS.program)
        names.append(found.strip())
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"meshproof-[0-9a-f]{6}", name) for name in names)
