"""`make matrix-e2e`: every pair of the catalogue is in its table, and one exit code says what became of them.

The programs that it runs are real ones in a directory of the test, which end as the test says.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from meshproof.catalogue import VERSIONS
from meshproof.errors import CommandFailed
from meshproof.machine.process import run
from meshproof.settings import TIMEOUTS
from tests.support.checkout import ROOT
from tests.support.programs import PATIENCE, line_of, python

COMMAND = ["-m", "tools.matrix_e2e", "--images=packages"]
ROW, OTHER = "tests/e2e/gateway/test_a.py::test_it[x|y]", "tests/e2e/gateway/test_a.py::test_old"
RELEASES = """[packages.istio]
"1.30" = { module = "v0.0.0-20260826214018-9739e10eb9d7", envoy = "1.38.3", kubernetes = ["1.33.13", "1.34.4"] }
"1.31.0" = { module = "v0.0.0-20260827124520-eed52ebb66ad", envoy = "1.39.3", kubernetes = ["1.33.13"] }
"9.9.9" = { module = "v0", envoy = "1.39.3", kubernetes = ["1.34.4"], locked = false }
"""
PYTEST = """#!/bin/sh
# What a run leaves, and how it ends: as the script of its pair says.
for option; do case $option in
  --mesh-istio=*) istio=${option#*=};; --mesh-kubernetes=*) kubernetes=${option#*=};; --junitxml=*) junit=${option#*=};;
esac; done
echo "pytest $*" >> calls
echo "a line of the run"
touch "$junit"
. "./$istio-$kubernetes"
"""
MESHPROOF = """#!/bin/sh
echo "meshproof $*" >> calls
echo "a line of the build"
case $* in *--istio-version=1.31.0*) test ! -e no-images || { echo 'Docker could not pull it.'; exit 11; };; esac
"""
INTERRUPTED = """
trap 'echo "the cluster is deleted"; touch deleted; cp kept.json "$MESHPROOF_ARTIFACTS/promises.json"; exit 2' TERM
echo "it goes on"
sleep 20 & wait
"""


def promises(instead: Sequence[object] = (), *, rows: int = 10, **others: str) -> dict[str, object]:
    """Return a promises.json of ten rows, which were kept but for those that are named here by ``row`` or ``old``."""
    names = [ROW, OTHER, *(f"{ROW}-{number}" for number in range(rows - 2))]
    verdicts = dict.fromkeys(names, "kept") | {{"row": ROW, "old": OTHER}[name]: said for name, said in others.items()}
    counts = {name: list(verdicts.values()).count(name) for name in ("kept", "broken", "not tried")}
    return {
        "versions": {"istio": "1.x"},
        "promises": [{"area": "gateway", "promise": "A gateway is one.", "rows": counts}],
        "instead": instead,
        "failures": {row: said for row, said in verdicts.items() if said != "kept"},
        "rows": verdicts,
    }


def ends(pair: str, status: int = 0, left: dict[str, object] | None = None, last: str = "") -> None:
    """Have the run of a pair leave a promises.json, print a last line, and end so."""
    lines = [f"echo '{last}'", f"exit {status}"]
    if left:
        Path(f"{pair}.json").write_text(json.dumps(left))
        lines.insert(0, f'cp {pair}.json "$MESHPROOF_ARTIFACTS/promises.json"')
    Path(pair).write_text("\n".join(lines))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own with a catalogue of its own: of 1.30, 1.31.0, and 9.9.9, which has no lock. All is kept."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.meshproof]\n")
    before, _, others = VERSIONS.read_text().partition("[packages.istio]\n")
    (tmp_path / "versions.toml").write_text(before + RELEASES + others[others.index("[packages.envoy]") :])
    for name, text in (("pytest", PYTEST), ("meshproof", MESHPROOF)):
        program = tmp_path / "programs" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o700)
    for pair in ("1.30-1.33.13", "1.30-1.34.4", "1.31.0-1.33.13"):
        ends(pair, left=promises())
    Path("kept.json").write_text(json.dumps(promises()))
    monkeypatch.setenv("MESHPROOF_VERSIONS", str(tmp_path / "versions.toml"))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}{os.pathsep}{ROOT}")
    return tmp_path


def matrix(*options: str) -> tuple[int, list[str]]:
    """Run the matrix; return how it ends, and what it prints."""
    lines: list[str] = []
    command = [sys.executable, *COMMAND, "--programs=programs", *options, "--", "tests/e2e", "-p", "no:other"]
    try:
        run(command, env={"COLUMNS": "200"}, timeout=TIMEOUTS.program, on_line=lines.append)
    except CommandFailed as error:
        return error.returncode, lines
    return 0, lines


def last(lines: list[str]) -> str:
    """Return the last line, without how long it took."""
    return re.sub(r" \(runs of [0-9.]+ s\)", "", lines[-1])


def document() -> Any:  # noqa: ANN401 - JSON
    """Return what is written for programs."""
    return json.loads(Path("artifacts/matrix.json").read_text())


def verdicts() -> dict[tuple[str, str], str]:
    """Return the verdict on each pair."""
    return {(pair["istio"], pair["kubernetes"]): pair["verdict"] for pair in document()["pairs"]}


@pytest.mark.usefixtures("checkout")
def test_every_pair_is_tried_and_what_is_not_is_said() -> None:
    """All is kept: the run ends with 0. A release without a lock is in the table, and the last line counts it."""
    status, lines = matrix()
    assert status == 0
    assert [line.split()[0] for line in Path("calls").read_text().splitlines()] == ["meshproof"] * 3 + ["pytest"] * 3
    build, _, _, proof, *_ = Path("calls").read_text().splitlines()
    assert build == "meshproof images build --images=packages --istio-version=1.30 --kubernetes-version=1.33.13"
    asked = "pytest tests/e2e -p no:other --mesh-images=packages --mesh-istio=1.30 --mesh-kubernetes=1.33.13"
    junit = Path("artifacts/matrix/istio-1.30-kubernetes-1.33.13/junit.xml").absolute()
    assert proof == f"{asked} --junitxml={junit}"
    markdown = Path("artifacts/matrix.md").read_text()
    assert "| Istio | Kubernetes 1.33.13 | Kubernetes 1.34.4 |\n|---|---|---|\n" in markdown
    assert "| 9.9.9 | not in the catalogue | not tried: no lock |" in markdown
    assert "Without a lock file, so not to be built: Istio 9.9.9." in markdown
    assert last(lines) == "Pairs: 3 kept; not tried: 1 of the catalogue's 4 (1 without a lock)."
    assert verdicts()["9.9.9", "1.34.4"] == "not tried: no lock"


@pytest.mark.usefixtures("checkout")
def test_what_a_pair_leaves_is_kept_apart() -> None:
    """Its log, its rows and its JUnit are in a directory of its own, which the next run empties; the console has none
    of the log, unless it is asked for.
    """
    directory = Path("artifacts/matrix/istio-1.30-kubernetes-1.34.4")
    for options in ([], ["--verbose"]):
        _, lines = matrix("--istio=1.30", "--kubernetes=1.34.4", *options)
        assert (directory / "run.log").read_text().splitlines()[0] == "a line of the run"
        assert ("a line of the run" in lines) == bool(options)
        assert f"… Istio 1.30, Kubernetes 1.34.4 (1 of 1); its log is {directory}/run.log" in lines
        assert {file.name for file in directory.iterdir()} >= {"junit.xml", "promises.json", "images.log"}
        assert not (directory / "failures").exists()
        (directory / "failures").mkdir()
    assert document()["pairs"][0]["artifacts"] == str(directory)


@pytest.mark.usefixtures("checkout")
def test_a_matrix_can_be_restricted() -> None:
    """By releases of either, with commas or spaces; the last line says how many were not asked for."""
    status, lines = matrix("--istio=1.30, 1.31.0", "--kubernetes=1.33.13", "--envoy=1.40.0")
    assert status == 0
    assert set(verdicts()) == {("1.30", "1.33.13"), ("1.31.0", "1.33.13")}
    assert last(lines) == "Pairs: 2 kept; not tried: 2 of the catalogue's 4 (2 not asked for)."
    calls = Path("calls").read_text().splitlines()
    assert all("--envoy-version=1.40.0" in call or "--mesh-envoy=1.40.0" in call for call in calls)
    assert document()["envoy"] == "1.40.0"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(["--istio=1.30,0.0.1"], "Istio 0.0.1 was asked for, and is not known", id="unknown"),
        pytest.param(["--istio=9.9.9"], "it has no lock file", id="no lock"),
        pytest.param(["--kubernetes=v1.34.4"], "Did you mean 1.34.4?", id="Kubernetes"),
        pytest.param(["--images=docker"], "choose from auto, registry, packages", id="source"),
        pytest.param(["--envoy=1"], "Envoy 1 was asked for", id="Envoy"),
        pytest.param(
            ["--istio=1.30,1.31.0", "--kubernetes=1.34.4"],
            "None of the pairs that were asked for has Istio 1.31.0. Istio is tried so: 1.30 on 1.33.13, 1.34.4; ",
            id="a release without a pair",
        ),
        pytest.param(
            ["--istio=1.31.0", "--kubernetes=1.33.13,1.34.4"], "has Kubernetes 1.34.4.", id="a Kubernetes without one"
        ),
        pytest.param(["--istoi=1.30"], "unrecognized arguments: --istoi=1.30. `--help` shows", id="option"),
    ],
)
@pytest.mark.usefixtures("checkout")
def test_what_can_not_be_had_is_one_sentence(options: list[str], words: str) -> None:
    """Nothing is run, and it ends with 4."""
    status, lines = matrix(*options)
    assert (status, len(lines)) == (4, 1)
    assert words in lines[0]
    assert not Path("calls").exists()


@pytest.mark.usefixtures("checkout")
def test_rows_that_differ_are_shown_by_release() -> None:
    """A row that is broken on one, or held to something else because it is older, is in a list; the others went on."""
    instead = [{"row": OTHER, "since": "Envoy 1.39", "expected": "RESET", "source": "its release note"}]
    ends("1.30-1.33.13", left=promises(instead))
    ends("1.30-1.34.4", 1, promises(instead, row="broken"))
    status, lines = matrix()
    assert status == 1
    markdown = Path("artifacts/matrix.md").read_text()
    name = ROW.replace("|", "\\|")
    assert f"| {name} | kept on Kubernetes 1.33.13; broken on Kubernetes 1.34.4 | kept |" in markdown
    assert f"| {OTHER} | RESET (before Envoy 1.39) | kept |" in markdown
    assert "Since Envoy 1.39: its release note\n" in markdown
    assert any("9 kept, 1 broken" in line and line.startswith("✗") for line in lines)
    assert any(ROW in line for line in lines)
    assert last(lines).startswith("Pairs: 2 kept, 1 broken; ")
    (pair,) = (pair for pair in document()["pairs"] if pair["exit_code"] == 1)
    assert (pair["rows"], pair["failures"]) == ({"kept": 9, "broken": 1}, {ROW: "broken"})


@pytest.mark.usefixtures("checkout")
def test_what_has_no_result_says_why_in_a_word() -> None:
    """By how the run ended; a build that failed is no run. The highest code is that of the whole."""
    Path("no-images").touch()
    ends("1.30-1.33.13", 13, last="The cluster did not come up.")
    ends("1.30-1.34.4", 0)
    status, lines = matrix()
    assert status == 13
    assert verdicts() == {
        ("1.30", "1.33.13"): "cluster",
        ("1.30", "1.34.4"): "no rows",
        ("1.31.0", "1.33.13"): "images",
        ("9.9.9", "1.34.4"): "not tried: no lock",
    }
    assert Path("calls").read_text().count("pytest ") == 2
    assert {"    The cluster did not come up.", "    Docker could not pull it."} <= set(lines)
    assert document()["pairs"][2]["exit_code"] == 11


@pytest.mark.usefixtures("checkout")
def test_each_pair_that_was_asked_for_has_a_cell() -> None:
    """Also one that the catalogue does not have, of two releases that have others."""
    assert matrix("--istio=1.30,1.31.0", "--kubernetes=1.33.13,1.34.4")[0] == 0
    assert re.search(r"\| 1\.31\.0 \| [^|]* \| not in the catalogue \|", Path("artifacts/matrix.md").read_text())


def test_a_lock_file_that_was_lost_is_a_fault(checkout: Path) -> None:
    """Only the catalogue says that a release has none. The others are tried, and the whole ends with 11."""
    catalogue = checkout / "versions.toml"
    catalogue.write_text(catalogue.read_text().replace(", locked = false", ""))
    status, lines = matrix()
    assert status == 11
    assert verdicts()["9.9.9", "1.34.4"] == "not tried: lock file missing"
    assert any(line.startswith("A lock file is missing in this checkout: Istio 9.9.9.") for line in lines)
    assert last(lines) == "Pairs: 3 kept; not tried: 1 of the catalogue's 4 (1 whose lock file is missing)."
    assert "Its lock file is missing in " in matrix("--istio=9.9.9")[1][0]


@pytest.mark.usefixtures("checkout")
def test_a_row_that_was_not_tried_is_not_kept() -> None:
    """A run that stops early has not kept the rest, nor has one that ends with 0 all the same."""
    ends("1.30-1.33.13", 1, promises(row="broken", old="not tried"))
    ends("1.31.0-1.33.13", 0, promises(old="not tried"))
    assert matrix()[0] == 1
    assert verdicts()["1.31.0", "1.33.13"] == "incomplete"
    line = f"| {OTHER} | not tried on Kubernetes 1.33.13; kept on Kubernetes 1.34.4 | not tried |"
    assert line in Path("artifacts/matrix.md").read_text()


@pytest.mark.usefixtures("checkout")
def test_a_pair_with_fewer_rows_is_incomplete() -> None:
    """All pairs run the same tests: who has fewer rows has not tried the others, whatever became of its own."""
    ends("1.30-1.34.4", 0, promises(rows=4))
    status, lines = matrix()
    assert status == 1
    assert "Istio 1.30, Kubernetes 1.34.4: 4 rows, others have 10." in lines
    assert list(verdicts().values())[:3] == ["kept", "incomplete", "kept"]
    missing = f"| {ROW}-7 | kept on Kubernetes 1.33.13; unknown on Kubernetes 1.34.4 | kept |".replace("x|y", "x\\|y")
    assert missing in Path("artifacts/matrix.md").read_text()


@pytest.mark.parametrize("left", ['{"versions": {', "[]", "{}"], ids=["truncated", "another", "empty"])
@pytest.mark.usefixtures("checkout")
def test_a_result_that_can_not_be_read_is_that_of_one_pair(left: str) -> None:
    """It has no result, and the others have theirs."""
    ends("1.30-1.33.13", left=promises())
    Path("1.30-1.33.13.json").write_text(left)
    status, lines = matrix()
    assert status == 14
    assert list(verdicts().values())[:3] == ["no result", "kept", "kept"]
    assert any("promises.json: this is not " in line for line in lines)


@pytest.mark.parametrize(
    ("script", "status", "verdict"),
    [
        pytest.param("kill -9 $$", 137, "status 137", id="killed"),
        pytest.param("exit 2", 2, "interrupted", id="interrupted"),
        pytest.param("exit 3", 3, "status 3", id="error inside of pytest"),
        pytest.param("exit 4", 4, "bad input", id="bad input"),
        pytest.param("exit 5", 5, "no rows", id="no rows"),
        pytest.param("exit 1", 5, "no rows", id="nothing is left"),
    ],
)
@pytest.mark.usefixtures("checkout")
def test_each_end_of_a_run_has_its_code(script: str, status: int, verdict: str) -> None:
    """A signal is as in a shell; the others go on."""
    Path("1.30-1.33.13").write_text(script)
    assert matrix()[0] == status
    assert list(verdicts().values())[:3] == [verdict, "kept", "kept"]


def test_a_build_that_crashes_has_broken_no_promise(checkout: Path) -> None:
    """A program that ends with 1 because of an error of its own tells of no promise; one that is missing neither."""
    program = checkout / "programs" / "meshproof"
    program.write_text("#!/bin/sh\nexit 1\n")
    assert matrix()[0] == 12
    assert list(verdicts().values())[:3] == ["images"] * 3
    program.unlink()
    assert matrix()[0] == 11
    assert list(verdicts().values())[:3] == ["images"] * 3


@pytest.mark.parametrize("end", ["| head -1", "2>&1 | head -1", "2>&-", ">&-", "2>&1 | true"])
@pytest.mark.usefixtures("checkout")
def test_a_matrix_goes_on_where_nobody_reads_it(end: str) -> None:
    """Every pair is tried, and what became of it is written."""
    command = (
        f"{{ {sys.executable} {' '.join(COMMAND)} --programs=programs --verbose -- tests/e2e; echo $? > ended; }} {end}"
    )
    run(["sh", "-c", command], timeout=TIMEOUTS.program)
    assert Path("ended").read_text() == "0\n"
    assert list(verdicts().values())[:3] == ["kept"] * 3


@pytest.mark.usefixtures("checkout")
def test_nothing_is_left_of_an_earlier_matrix() -> None:
    """Its pairs are removed, also those that are not asked for; what others have put there stays."""
    matrix()
    Path("artifacts/matrix/mine").mkdir()
    Path("artifacts/matrix/mine/letter").touch()
    matrix("--istio=1.31.0")
    assert {path.name for path in Path("artifacts/matrix").iterdir()} - {"lock"} == {
        "istio-1.31.0-kubernetes-1.33.13",
        "mine",
    }
    assert Path("artifacts/matrix/mine/letter").exists()


@pytest.mark.usefixtures("checkout")
def test_the_directory_of_another_is_not_used() -> None:
    """What is in the place of a pair's directory, and is not ours, is named; nothing is run, written or removed."""
    matrix("--istio=1.31.0")
    letter = Path("artifacts/matrix/istio-1.30-kubernetes-1.34.4/letter")
    letter.parent.mkdir()
    letter.touch()
    Path("calls").unlink()
    status, lines = matrix()
    assert (status, len(lines)) == (11, 1)
    assert f"{letter.parent} has something in it that no matrix has put there." in lines[0]
    assert not Path("calls").exists()
    assert letter.exists()
    assert list(verdicts().values()) == ["kept"]
    assert list(letter.parent.iterdir()) == [letter]


@pytest.mark.usefixtures("checkout")
def test_what_is_broken_goes_before_what_is_not_known() -> None:
    """A promise that is known to be broken is not hidden behind a machine that failed, not even of the same pair."""
    ends("1.30-1.33.13", 13, promises(row="broken"))
    status, _ = matrix()
    assert status == 1
    assert verdicts()["1.30", "1.33.13"] == "cluster"
    assert "| 1.30 | cluster, 9 kept, 1 broken, " in Path("artifacts/matrix.md").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.usefixtures("checkout")
def test_an_interrupted_matrix_has_a_table(number: signal.Signals) -> None:
    """The run under way comes to its end in order, the others are not reached, and what is known is written."""
    Path("1.30-1.34.4").write_text(INTERRUPTED)
    arguments = [*COMMAND, "--programs=programs", "--", "tests/e2e"]
    with python(Path("log"), *arguments) as program:
        log = Path(
            "artifacts/matrix/istio-1.30-kubernetes-1.34.4/run.log"
        )  # what is in it was read: the run is waited for
        assert line_of(log, 2) == "it goes on"
        program.send_signal(number)
        assert program.wait(PATIENCE) == 130
    assert Path("deleted").exists()
    assert list(verdicts().values()) == ["kept", "interrupted", "not tried: interrupted", "not tried: no lock"]
    assert document()["interrupted"]
    assert "Interrupted: " in Path("artifacts/matrix.md").read_text()
    counted = last(Path("log").read_text().splitlines())
    assert counted.endswith("; not tried: 2 of the catalogue's 4 (1 without a lock, 1 not reached).")
    assert "the cluster is deleted" in log.read_text()


def test_a_second_matrix_is_refused(checkout: Path) -> None:
    """It would write into the files of the first."""
    (checkout / "artifacts" / "matrix").mkdir(parents=True)
    with FileLock(checkout / "artifacts" / "matrix" / "lock"):
        assert matrix() == (13, ["meshproof: Another matrix runs in artifacts/matrix. Wait for its end."])
    assert not Path("artifacts/matrix.md").exists()


@pytest.mark.usefixtures("checkout")
def test_the_summary_is_that_of_the_last_matrix() -> None:
    """Unless there is a run after it; the result of a run before it is gone."""
    Path("artifacts").mkdir(exist_ok=True)
    Path("artifacts/promises.json").write_text(json.dumps(promises(row="broken")))
    matrix("--istio=1.31.0")
    summary = [sys.executable, "-m", "tools.summary"]
    assert run(summary, timeout=TIMEOUTS.program) == Path("artifacts/matrix.md").read_text()
    Path("artifacts/promises.json").write_text(json.dumps(promises(row="broken")))
    assert f"- **{ROW}**: broken" in run(summary, timeout=TIMEOUTS.program)
