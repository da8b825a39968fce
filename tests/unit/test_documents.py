"""What the documents show is as they say."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import yaml

from meshproof.certificates.tree import read
from meshproof.cli.main import app
from meshproof.machine.process import run
from meshproof.project import COMPONENTS, PLACES
from meshproof.settings import TIMEOUTS
from tests.support.checkout import APPLICATIONS, ROOT
from tests.support.shown import example, shown, write_buyers, write_rollout

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
DOCUMENTS = {
    str(file.relative_to(ROOT)): file.read_text()
    for file in (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")))
}
COMMANDS = [
    pytest.param(line, id=f"{name}: {line}")
    for name, text in DOCUMENTS.items()
    for block in re.findall(r"^```(?:sh|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for line in re.findall(
        r"^(?:\$ )?((?:[A-Z_]+=\S+ )?(?:\.venv/bin/)?(?:make|meshproof|pytest)\b[^#\n]*)", block, re.MULTILINE
    )
]


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


@pytest.mark.parametrize(
    ("name", "text"), re.findall(r"in `(\w+\.py)`[^`]*:\n\n```text\n(.*?)^```$", CONTRIBUTING, re.MULTILINE | re.DOTALL)
)
def test_a_text_that_is_said_to_be_in_a_module_is_there(name: str, text: str) -> None:
    """What CONTRIBUTING shows as an example is what a reader finds there."""
    (module,) = (ROOT / "tests" / "e2e").rglob(name)
    assert text in module.read_text()


def test_the_scenarios_of_readme_are_those_that_there_are() -> None:
    """Each scenario is there once, with its promise, the number of its rows, its tests and its manifest."""
    command = [sys.executable, "-m", "pytest", "tests/e2e", "--collect-only", "-q", "-p", "no:cacheprovider"]
    printed = run(command, cwd=ROOT, timeout=TIMEOUTS.program).splitlines()
    rows = Counter(line.partition("::")[0] for line in printed if "::" in line)
    expected, quick = [], 0
    for module in (ROOT / "tests" / "e2e").rglob("test_*.py"):
        text, area, name = module.read_text(), module.parent.name, module.stem.removeprefix("test_")
        promise = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
        path = str(module.relative_to(ROOT))
        slow = "mark.slow" in text
        quick += 0 if slow else rows[path]
        number = f"{rows[path]}{', slow' * slow}"
        manifest = f"[{name}.yaml](manifests/scenarios/{area}/{name}.yaml)"
        expected.append(f"| {promise} | {number} | [{module.name}]({path}) | {manifest} |")
    rows_shown = re.findall(r"^\| .* \| \d+(?:, slow)? \| .*$", DOCUMENTS["README.md"], re.MULTILINE)
    assert sorted(rows_shown) == sorted(expected)
    assert f" {quick} passed, {rows.total() - quick} deselected in " in DOCUMENTS["README.md"]


def test_the_number_of_mutants_is_as_contributing_says() -> None:
    """It says in how many ways `make mesh-mutants` breaks the manifests."""
    mutants = yaml.safe_load((ROOT / "tools" / "mesh_mutants.yaml").read_text())
    assert f", {len(mutants)} ways," in CONTRIBUTING


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_link_leads_somewhere(name: str) -> None:
    """What a document names beside itself is there."""
    links = [link.partition("#")[0] for link in re.findall(r"\]\((?!https?:)([^)]+)\)", DOCUMENTS[name])]
    assert [link for link in links if link and not ((ROOT / name).parent / link).exists()] == []


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_can_be_given_so(line: str) -> None:
    """Each command in a document is one that there is, with options that it has.

    Those of `meshproof scan`, `diff` and `clients` are run by `test_scan_document.py`, those for a repository of one's
    own by `make own`, and the targets that continuous integration runs by it.
    """
    words = [word for word in shlex.split(line) if not re.fullmatch(r"[A-Z_]+=.*", word)]
    program, *arguments = words
    match Path(program).name:
        case "make":
            targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert set(arguments) <= set(targets)
        case "pytest":
            options = {word.partition("=")[0] for word in arguments if word.startswith("-")}
            known = run([sys.executable, "-m", "pytest", "--help"], cwd=ROOT, timeout=TIMEOUTS.program)
            assert [option for option in options if option not in known] == []
        case "meshproof":
            command: click.Command | None = app
            context = click.Context(app)
            while isinstance(command, click.Group):
                name, command, arguments = command.resolve_command(context, arguments)
                context = click.Context(command or app, parent=context, info_name=name)
            assert command
            command.make_parser(context).parse_args([*arguments])


def test_the_keys_of_a_project_are_those_that_it_can_have() -> None:
    """The table says each key once, with its default."""
    table = re.findall(
        r"^\| (`\w+`(?:, `\w+`)*) \| (?:`([^`]+)`)? *\|", DOCUMENTS["docs/own-repository.md"], re.MULTILINE
    )
    keys = {key: default for names, default in table for key in re.findall(r"`(\w+)`", names)}
    assert keys == {**PLACES, **dict.fromkeys(COMPONENTS, "")}


def test_the_certificates_that_are_shown_can_be_had(tmp_path: Path) -> None:
    """The file is without fault, and its certificates are as the text says."""
    file = tmp_path / "certificates.yaml"
    file.write_text(example("yaml", "shop: "))
    certificates = read(file)
    assert certificates["shop.example"].names == ("shop.example", "www.shop.example")
    assert certificates["late buyer"].not_after < certificates["buyer"].not_after


@pytest.mark.parametrize(("write", "rows"), [(write_buyers, 4), (write_rollout, 1)], ids=["buyers", "rollout"])
def test_an_example_that_is_shown_is_whole(write: Callable[[Path], None], rows: int, tmp_path: Path) -> None:
    """In a project that `init` has made its manifest is without fault, and its rows are collected."""
    run([sys.executable, "-m", "meshproof", "init"], cwd=tmp_path, timeout=TIMEOUTS.program)
    write(tmp_path)
    (tmp_path / "tests" / "test_shop.py").unlink()
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    printed = run(command, cwd=tmp_path, timeout=TIMEOUTS.program).splitlines()
    assert len([line for line in printed if "::" in line]) == rows
