"""What the documents show is as they say."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from meshproof.machine.process import run
from meshproof.settings import TIMEOUTS
from tests.support.checkout import APPLICATIONS, ROOT

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def shown(document: str, name: str) -> str:
    """Return the content of a file that a document shows after its name."""
    found = re.search(rf"^`{re.escape(name)}`:\n\n```\w+\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)
    assert found, f"{name} is not shown"
    return found[1]


def test_the_scenario_of_contributing_is_whole(tmp_path: Path) -> None:
    """In a project of its own the manifest is without fault, and both tests are found: no cluster is needed."""
    shutil.copytree(APPLICATIONS.parent, tmp_path / "manifests", ignore=shutil.ignore_patterns("scenarios"))
    (tmp_path / "pyproject.toml").write_text("[tool.meshproof]\n[tool.pytest.ini_options]\n")
    for name in ("manifests/scenarios/gateway/server_name.yaml", "tests/e2e/gateway/test_server_name.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(shown(CONTRIBUTING, name))
    command = [sys.executable, "-m", "pytest", "tests/e2e", "--collect-only", "-q", "-p", "no:cacheprovider"]
    printed = run(command, cwd=tmp_path, timeout=TIMEOUTS.program).splitlines()
    assert [line for line in printed if "::" in line] == [
        "tests/e2e/gateway/test_server_name.py::test_its_name",
        "tests/e2e/gateway/test_server_name.py::test_another_name",
    ]
