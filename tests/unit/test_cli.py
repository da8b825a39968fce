"""The command line, as a process: what it prints, where, and how it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from meshproof.errors import CommandFailed
from meshproof.process import run
from meshproof.settings import TIMEOUTS, ImageSource, known_versions

PACKAGES, REGISTRY = ImageSource.PACKAGES, ImageSource.REGISTRY

PLAIN = {"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}


def command(*arguments: str, cache: Path, **env: str) -> tuple[int, str]:
    """Run the command; return its status and what it printed, both streams."""
    lines: list[str] = []
    try:
        run(
            [sys.executable, "-m", "meshproof", *arguments],
            env={**PLAIN, "MESHPROOF_CACHE": str(cache), **env},
            timeout=TIMEOUTS.program,
            on_line=lines.append,
        )
    except CommandFailed as error:
        return error.returncode, "\n".join(lines)
    return 0, "\n".join(lines)


def test_help_names_every_command(tmp_path: Path) -> None:
    """A newcomer finds all that can be done, and nothing is done meanwhile."""
    status, printed = command("--help", cache=tmp_path / "cache")
    assert status == 0
    for word in ("doctor", "up", "down", "status", "images"):
        assert f" {word} " in printed
    assert not (tmp_path / "cache").exists()


def test_the_versions_can_be_listed(tmp_path: Path) -> None:
    """Every version that can be asked for is in the list."""
    status, printed = command("images", "list", cache=tmp_path)
    known = [known_versions(source)[part] for source in (PACKAGES, REGISTRY) for part in ("istio", "kubernetes")]
    assert status == 0
    for version in (version for versions in known for version in versions):
        assert version in printed


def test_the_matrix_is_of_known_versions(tmp_path: Path) -> None:
    """Continuous integration gets JSON: pairs that can be asked for, none twice, and in them every version."""
    status, printed = command("images", "matrix", cache=tmp_path)
    pairs = [(pair["istio"], pair["kubernetes"]) for pair in json.loads(printed)["include"]]
    assert status == 0
    assert len(set(pairs)) == len(pairs)
    assert {istio for istio, _ in pairs} == set(known_versions(REGISTRY)["istio"])
    assert {kubernetes for _, kubernetes in pairs} == set(known_versions(REGISTRY)["kubernetes"])


def test_an_unknown_version_is_one_sentence(tmp_path: Path) -> None:
    """A mistake ends with the status of a usage error and one line, whatever is in it, with what to choose from."""
    version = "[/v1]"
    status, printed = command("images", "build", "--istio-version", version, cache=tmp_path)
    assert (status, len(printed.splitlines())) == (4, 1)
    assert printed.startswith(f"meshproof: Istio {version} ")
    assert known_versions(PACKAGES)["istio"][-1] in printed
    assert "[tool.meshproof.packages]" in printed


def test_an_unknown_option_is_a_usage_error(tmp_path: Path) -> None:
    """An option that there is none of is named."""
    status, printed = command("up", "--no-such-option", cache=tmp_path)
    assert status == 2
    assert "No such option: --no-such-option" in printed
    assert "Traceback" not in printed


def test_the_doctor_examines_this_machine(tmp_path: Path) -> None:
    """All is well, or something is lacking and its line says what to do; either way nothing is changed."""
    status, printed = command("doctor", cache=tmp_path / "cache")
    lacking = [line for line in printed.splitlines() if line.startswith("✗")]
    assert status == (11 if lacking else 0)
    assert all(": " in line for line in lacking)
    assert not (tmp_path / "cache").exists()


def test_the_doctor_finds_what_is_lacking(tmp_path: Path) -> None:
    """Without Docker the status is that of a machine that lacks something, and the remedy can be typed."""
    status, printed = command("doctor", cache=tmp_path, PATH=str(tmp_path))
    assert status == 11
    assert "✗ Docker is not installed: run `apt-get install " in printed
