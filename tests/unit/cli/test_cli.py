"""The command line, as a process: what it prints, where, and how it ends."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import pytest

from meshproof.cli.main import COMMANDS, real
from meshproof.errors import CommandFailed
from meshproof.machine.process import run
from meshproof.report.document import to_json
from meshproof.settings import TIMEOUTS
from meshproof.versions import ImageSource, known_versions
from tests.support.certificates import HOST, SERVER
from tests.support.checkout import ROOT
from tests.support.postures import GOOD
from tests.support.programs import PATIENCE, shell
from tests.support.servers import serving, tls

PACKAGES, REGISTRY = ImageSource.PACKAGES, ImageSource.REGISTRY

SLOW = {"asyncio", "cryptography", "httpx", "kubernetes", "pydantic", "pykube", "pytest", "pytest_kind"}
NOT_FOR_A_SCAN = SLOW - {"asyncio", "cryptography"} | {"filelock", "jinja2", "psutil", "trustme", "yaml"}

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


def imports(*arguments: str) -> set[str]:
    """Run Python; return the names of all the modules that it imported."""
    lines: list[str] = []
    with suppress(CommandFailed):
        argv = [sys.executable, "-X", "importtime", *arguments]
        run(argv, env=PLAIN, timeout=TIMEOUTS.program, on_line=lines.append)
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


def test_help_names_every_command(tmp_path: Path) -> None:
    """A newcomer finds all that can be done, and nothing is done meanwhile."""
    status, printed = command("--help", cache=tmp_path / "cache")
    assert status == 0
    for word in ("doctor", "up", "down", "status", "images"):
        assert f" {word} " in printed
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_its_own_help_says(name: str) -> None:
    """The list is printed without the command's module, so it has the first sentence a second time."""
    assert " ".join((real(name).help or "").split("\n\n")[0].split()) == COMMANDS[name][1]


@pytest.mark.parametrize("arguments", [["--help"], ["no-such-command"]])
def test_nobody_waits_for_a_command_that_is_not_run(arguments: list[str]) -> None:
    """What takes long to import is left alone until a command that needs it is run."""
    imported = imports("-m", "meshproof", *arguments)
    assert "click" in imported
    assert {name.split(".")[0] for name in imported} & SLOW == set()
    assert {f"meshproof.cli.{where.partition(':')[0]}" for where, _ in COMMANDS.values()} & imported == set()


@pytest.mark.parametrize(
    "arguments", [["-m", "meshproof", "scan"], ["-c", "import meshproof.tls"]], ids=["scan", "tls"]
)
def test_a_scan_imports_what_a_scan_needs(arguments: list[str]) -> None:
    """`meshproof` installed alone scans: nothing of a cluster, of pytest or of a file format is loaded."""
    with serving(tls(SERVER)) as address:
        imported = imports(*arguments, *([f"{HOST}@{address}"] if "-m" in arguments else []))
    assert "meshproof.tls.scanner.many_targets" in imported
    assert ("meshproof.report.terminal" in imported) == ("-m" in arguments)
    assert {name.split(".")[0] for name in imported} & NOT_FOR_A_SCAN == set()


def test_a_command_without_its_packages(tmp_path: Path) -> None:
    """Where `meshproof` is installed alone, a command for clusters says in one line what to install."""
    (tmp_path / "kubernetes.py").write_text("raise ModuleNotFoundError('No module', name='kubernetes')\n")
    status, printed = command("status", cache=tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT / 'src'}")
    sentence = (
        "`meshproof status` needs kubernetes, which is not installed: install meshproof with its extra `cluster`."
    )
    assert (status, printed) == (11, f"meshproof: {sentence}")


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
    status, printed = command("images", "build", "--images=packages", "--istio-version", version, cache=tmp_path)
    assert (status, len(printed.splitlines())) == (4, 1)
    assert printed.startswith(f"meshproof: Istio {version} ")
    assert known_versions(PACKAGES)["istio"][-1] in printed
    assert "[packages] of " in printed


def test_a_version_that_only_the_other_source_has(tmp_path: Path) -> None:
    """Without a daemon images are from packages; whoever asks for what these do not have is told all of that."""
    version = known_versions(REGISTRY)["istio"][0]
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    status, printed = command("up", "--istio-version", version, cache=tmp_path, PATH=str(tmp_path))
    assert (status, len(printed.splitlines())) == (4, 1)
    assert "images=auto chose that: no Docker daemon answers" in printed
    assert f"With images=registry there is {version}; that needs" in printed


@pytest.mark.parametrize("name", ["Bad Name", "../up"])
@pytest.mark.parametrize("which", ["up", "down"])
def test_a_name_that_no_cluster_can_have(which: str, name: str, tmp_path: Path) -> None:
    """It is one sentence; nothing is made, and nothing is said to be deleted."""
    status, printed = command(which, "--cluster-name", name, cache=tmp_path / "cache")
    assert (status, len(printed.splitlines())) == (4, 1)
    assert printed.startswith(f"meshproof: No cluster can be called {name!r}: ")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param("--cluster-name=Bad_Name", "No cluster can be called 'Bad_Name': ", id="a name"),
        pytest.param("--kubeconfig=x", "To test one again and again, make it with `meshproof up`", id="a kubeconfig"),
        pytest.param("--mesh-shuffle=x", "argument --mesh-shuffle: invalid int value: 'x'", id="an order"),
        pytest.param("--mesh-images=foo", "argument --mesh-images: invalid choice: 'foo'", id="a source of images"),
    ],
)
def test_a_wrong_option_of_pytest(options: str, sentence: str, tmp_path: Path) -> None:
    """It ends with the code of a usage error before a test is looked for, and says what is wrong."""
    lines: list[str] = []
    with pytest.raises(CommandFailed) as failure:
        run(
            [sys.executable, "-m", "pytest", "tests/e2e", options],
            env={**PLAIN, "MESHPROOF_CACHE": str(tmp_path)},
            cwd=ROOT,
            timeout=TIMEOUTS.program,
            on_line=lines.append,
        )
    assert failure.value.returncode == 4
    assert sentence in " ".join(lines)
    assert "Traceback" not in " ".join(lines)


@pytest.mark.parametrize("line", ["images list", "doctor"])
def test_what_is_asked_for_is_on_standard_output(line: str, tmp_path: Path) -> None:
    """It can be piped, and in a pipe no line is folded; standard error is for what happens meanwhile."""
    unfolded, piped = (
        ended(f'{width} "$@" 2>&- | cat', *line.split(), directory=tmp_path)
        for width in ("export COLUMNS=500;", "unset COLUMNS;")
    )
    assert piped == unfolded != []


def ended(script: str, *arguments: str | Path, directory: Path) -> list[str]:
    """Run the command as ``"$@"`` of a shell script; return the lines that come out on either stream."""
    lines: list[str] = []
    argv = shell(f"exec 2>&1; {script}", sys.executable, "-m", "meshproof", *arguments)
    run(argv, env={**PLAIN, "MESHPROOF_CACHE": str(directory)}, cwd=directory, timeout=PATIENCE, on_line=lines.append)
    return lines


PRINTING = pytest.mark.parametrize(
    "arguments", [("--help",), ("clients", "list"), ("diff", "saved", "saved", "--json", "-")]
)


@PRINTING
@pytest.mark.parametrize(
    ("script", "why"),
    [
        ('"$@" >&- <&-; echo "code $?"', "Bad file descriptor"),
        ('"$@" > /dev/full; echo "code $?"', "No space left on device"),
    ],
)
def test_standard_output_that_takes_nothing(tmp_path: Path, arguments: tuple[str, ...], script: str, why: str) -> None:
    """Closed or full, it is the machine's fault: one sentence and code 11, never that of a deviation."""
    (tmp_path / "saved").write_text(json.dumps(to_json([GOOD], clients="2026-11-21")))
    lines = ended(script, *arguments, directory=tmp_path)
    assert lines == [f"meshproof: Tried to write to standard output: {why}.", "code 11"]


@PRINTING
def test_a_reader_that_left(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Whoever closes our pipe wants no more of us: the end is quiet, with the code that a shell gives SIGPIPE."""
    (tmp_path / "saved").write_text(json.dumps(to_json([GOOD], clients="2026-11-21")))
    script = 'mkfifo gone; (read -r line < gone; "$@" || echo "code $?" >&2) | (exec <&-; echo > gone)'
    assert ended(script, *arguments, directory=tmp_path) == ["code 141"]


@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full"])
def test_standard_error_that_takes_nothing(tmp_path: Path, closed: str) -> None:
    """A sentence that nobody can be told changes no code."""
    assert ended(f'"$@" {closed}; echo "code $?"', "diff", "none", "none", directory=tmp_path) == ["code 4"]


def test_an_unknown_option_is_a_usage_error(tmp_path: Path) -> None:
    """An option that there is none of is named."""
    status, printed = command("up", "--no-such-option", cache=tmp_path)
    assert status == 4
    assert "No such option '--no-such-option'." in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("line", ["no-such-command", "scan --timeout soon", "diff", "clients show", "clients remov x"])
def test_a_mistake_on_the_command_line_ends_with_4(tmp_path: Path, line: str) -> None:
    """As any other mistake of a user does, whichever command it is."""
    status, printed = command(*line.split(), cache=tmp_path)
    assert (status, len(printed.splitlines())) == (4, 1)
    assert printed.startswith("meshproof: ")
    assert printed.endswith(" --help` shows what can be written.")


def test_the_version(tmp_path: Path) -> None:
    """It can be asked for, and the help says so."""
    assert command("--version", cache=tmp_path) == (0, f"meshproof {metadata.version('meshproof')}")
    assert "--version" in command("--help", cache=tmp_path)[1]


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
