"""An environment that has the built package and nothing of this checkout, and a kept cluster."""

from __future__ import annotations

import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshproof.machine.process import run
from meshproof.settings import TIMEOUTS
from tests.support.checkout import ROOT

CLUSTER = "meshproof-own"


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with ``meshproof[pytest]``, from the wheel and a package index."""
    directory = tmp_path_factory.mktemp("environment")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    run(build, cwd=ROOT, timeout=TIMEOUTS.program)
    (wheel,) = directory.glob("*.whl")
    pinned = [line.split()[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line]
    constraints = directory / "constraints.txt"
    constraints.write_text("\n".join(pinned))
    venv.create(directory / "venv")
    programs = directory / "venv" / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--quiet"]
    run([*pip, f"--constraint={constraints}", f"{wheel}[pytest]"], timeout=TIMEOUTS.mesh_install)
    return programs


@pytest.fixture(scope="session")
def kept_cluster(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a cluster that was brought up to be kept; it is deleted at the end."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    meshproof, named = str(programs / "meshproof"), f"--cluster-name={CLUSTER}"
    try:
        run([meshproof, "up", named], cwd=elsewhere, timeout=TIMEOUTS.image_build, grace=TIMEOUTS.orderly_end)
        yield CLUSTER
    finally:
        run([meshproof, "down", named], cwd=elsewhere, timeout=TIMEOUTS.image_build)
