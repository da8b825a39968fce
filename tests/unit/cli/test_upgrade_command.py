"""`meshproof upgrade`: its plan, and what it refuses before anything is brought up."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from meshproof.cli.upgrade import command
from meshproof.errors import BadInput

pytest_plugins = ["pytester"]
NEW_CLUSTER = ("--from=1.31.0", "--kubernetes-version=1.33.13", "--to-kubernetes=1.34.4")


@pytest.mark.parametrize(
    ("test", "sentence"),
    [
        ("def test_row(): pass", "`pytest -m upgrade` has no test: mark those to be tried, or name their directory."),
        ("import nobody_has_this", "No module named 'nobody_has_this'"),
    ],
    ids=["no row is marked", "a test can't be read"],
)
def test_rows_are_looked_for_first(test: str, sentence: str, own_project: Path, pytester: pytest.Pytester) -> None:
    """An upgrade without a row to try would cost a cluster, and be told of it in its first state."""
    (own_project / "tests" / "unit" / "test_shop.py").write_text(test)
    result = pytester.run(sys.executable, "-m", "meshproof", "upgrade", "--from=1.31.0", "--to=1.31.0")
    assert result.ret == 4
    assert sentence in result.stderr.str()


@pytest.mark.parametrize(
    ("words", "kind", "sentence"),
    [
        (["--marks=foo"], "Namespace", "`pytest -m foo` has no test: mark those to be tried, or name their directory."),
        (["--marks=a b"], "Namespace", "`pytest -m a b` can't be begun: Wrong expression passed to '-m': a b: "),
        (
            [],
            "Namespac",
            "`pytest -m upgrade` can't be begun: manifests/scenarios/shop.yaml, line 2: kind has 'Namespac'",
        ),
        (["tests/nobody"], "Namespace", "`pytest -m upgrade tests/nobody` can't be begun: file or directory not found"),
    ],
    ids=["a mark that no row has", "marks that are no expression", "a fault in a manifest", "no such tests"],
)
def test_what_keeps_rows_from_being_tried_is_one_sentence(
    words: list[str], kind: str, sentence: str, own_project: Path, pytester: pytest.Pytester
) -> None:
    """It stands alone: nobody has to look for it beside the names of all rows."""
    row = "import pytest\n@pytest.mark.upgrade\ndef test_row(scenario): pass\n"
    (own_project / "tests" / "test_shop.py").write_text(row)
    manifest = f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: shop}}\n"
    (own_project / "manifests" / "scenarios" / "shop.yaml").write_text(manifest)
    (own_project / "manifests" / "apps").mkdir()
    words = ["upgrade", "--from=1.31.0", "--to=1.31.0", "--images=packages", "--plan", *words]
    result = pytester.run(sys.executable, "-m", "meshproof", *words)
    assert result.ret == 4
    (line,) = filter(None, [*result.outlines, *result.errlines])
    assert line.startswith(f"meshproof: {sentence}")


@pytest.fixture
def plan(own_project: Path, pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Print what would be done of an upgrade, in a project with two rows."""
    test = "import pytest\n@pytest.mark.upgrade\n@pytest.mark.parametrize('n', [1, 2])\ndef test_row(n): pass\n"
    (own_project / "tests" / "unit" / "test_shop.py").write_text(test)
    (own_project / "manifests" / "apps").mkdir()

    def run(*words: str) -> pytest.RunResult:
        options = ["--images=packages", "--plan"]
        return pytester.run(sys.executable, "-m", "meshproof", "upgrade", *words, *options)

    return run


def test_what_is_acknowledged_is_not_in_what_an_upgrade_removes(
    plan: Callable[..., pytest.RunResult], own_project: Path
) -> None:
    """The file that a report has is to be copied: the reasons in it would be gone with the report. A copy will do."""
    for name, code in (("artifacts/upgrade/acknowledge.yaml", 4), ("acknowledge.yaml", 0)):
        file = own_project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("- fact: ALPN\n  reason: TICKET-12\n")
        result = plan("--from=1.31.0", "--to=1.31.0", f"--acknowledge={name}")
        assert result.ret == code
        assert ("copy it" in result.stderr.str()) is bool(code)


def text_of(result: pytest.RunResult) -> str:
    """Return what was printed in one line, without what a table is drawn with."""
    assert result.ret == 0, result.stderr.str()
    return " ".join(re.sub("[│┃]", " ", result.stdout.str()).split())


def test_the_plan_says_all(plan: Callable[..., pytest.RunResult], monkeypatch: pytest.MonkeyPatch) -> None:
    """The states, what is done and observed in each, for how long, what is sent meanwhile, and the time of all."""
    monkeypatch.setenv("COLUMNS", "200")
    text = text_of(plan("--from=1.30", "--to=1.31.0"))
    for part in (
        "1.30 → 1.31.0, canary",
        "S0 all old",
        "S4 all new",
        "Time: About 5 to 8 min on two processors, with bringing the cluster up, once the images are there.",
        "Before: Istio 1.30, Envoy 1.38.3, Kubernetes 1.34.4; overlays: none.",
        "After: Istio 1.31.0, Envoy 1.39.3, Kubernetes 1.34.4; overlays: none.",
        "1.30 is a commit of that branch (9739e10eb9d7), which comes after 1.30.3. Images are built from packages",
        "it is not a cluster of yours.",
        "Rows in each state: 2 rows of 1 module (unit/shop 2).",
        "The mesh in each state: the posture of each listener, istioctl analyze",
        "Traffic all the while: gateway, new connections; gateway, HTTP/1.1 keep-alive;",
        "From a pod nothing is sent while its half is restarted.",
        "What must be refused, all the while: a principal that a policy denies;",
        "How often: 50 requests a second of each flow on kept connections, 10 of each on new ones, and 15 tries of",
        "fewer where that leaves the processors less than 50% of their time.",
        "Budget of each flow: 0 requests lost (--lost), and no gap above 5,000 ms (--gap).",
        "Acknowledged: 0 of yours (--acknowledge); and what is known of such upgrades: ",
        "common_lb_config.healthy_panic_threshold.",
    ):
        assert part in text
    assert "Istio supports" not in text


def test_the_plan_of_a_new_cluster(plan: Callable[..., pytest.RunResult], monkeypatch: pytest.MonkeyPatch) -> None:
    """It names both releases of Kubernetes, two states, and when traffic flows; the mesh is the same."""
    monkeypatch.setenv("COLUMNS", "240")
    text = text_of(plan(*NEW_CLUSTER))
    for part in (
        "1.31.0 on Kubernetes 1.33.13 → 1.31.0 on Kubernetes 1.34.4, new-cluster",
        "S0 all old",
        "bring up a cluster with 1.31.0 on Kubernetes 1.33.13",
        "S6 the mesh on a new cluster",
        "delete that cluster, and bring up one with 1.31.0 on Kubernetes 1.34.4",
        "Traffic while it is looked at: gateway, new connections",
    ):
        assert part in text
    assert "S1" not in text


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (
            ["--from=1.30", "--to=1.31.0", "--strategy=new-cluster"],
            "1.30 on Kubernetes 1.34.4 → 1.31.0 on Kubernetes 1.34.4, new-cluster",
        ),
        (["--from=1.31.0", "--to=1.30"], "1.31.0 to 1.30 is a downgrade by 1 minor release: Istio supports that only"),
        (["--from=1.31.0", "--to=1.31.0/envoy-1.40.0"], "1.31.0 → 1.31.0/envoy-1.40.0, canary"),
        (["--from=1.31.0", "--to=1.31.0", "--to-overlay=new.yaml"], "1.31.0 → 1.31.0 with new.yaml, canary"),
    ],
    ids=["another mesh on a new cluster", "a downgrade", "another Envoy", "another configuration"],
)
def test_a_plan_of_another_kind(plan: Callable[..., pytest.RunResult], words: list[str], part: str) -> None:
    """What is asked for is what is planned; what Istio does not support is said."""
    Path("new.yaml").write_text("apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {name: new}\n")
    assert part in text_of(plan(*words))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--from=nonsense", "--to=1.31.0"], "Istio nonsense was asked for, and is not known"),
        (["--from=1.30/envoy-9", "--to=1.31.0"], "Envoy 9 was asked for, and is not known"),
        (["--from=1.30", "--to=1.31.0", "--kubernetes-version=1.2"], "Kubernetes 1.2 was asked for, and is not known"),
        (
            ["--from=1.29.2", "--to=1.31.1", "--strategy=in-place"],
            "in place Istio supports one minor release at a time",
        ),
        (["--from=1.30", "--to=1.31.0", "--marks=a b c"], "`pytest -m a b c` can't be begun"),
        (["--from=1.30", "--to=1.31.0", "tests/nobody"], "can't be begun"),
        (["--from=1.30", "--to=1.31.0", "--marks= "], "--marks names no mark"),
        (["--from=1.30", "--to=1.31.0", "--gap=nan"], "--gap nan would let every gap pass"),
        (["--from=1.30", "--to=1.31.0", "--gap=inf"], "--gap inf would let every gap pass"),
        (["--from=1.30", "--to=1.31.0", "--gap=399"], "--gap 399 is less than can be told"),
    ],
    ids=[
        "no such Istio",
        "no such Envoy",
        "no such Kubernetes",
        "a skip in place",
        "marks that are no expression",
        "no such tests",
        "no marks",
        "a gap that is no number",
        "a gap without end",
        "a gap that is too short",
    ],
)
def test_a_plan_refuses_what_the_upgrade_would(
    plan: Callable[..., pytest.RunResult], words: list[str], sentence: str
) -> None:
    """In a sentence, with the exit code of bad input."""
    result = plan(*words)
    assert result.ret == 4
    assert sentence in " ".join(result.stderr.str().split())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--from=1.31.0"], "--to is missing"),
        ([*NEW_CLUSTER, "--strategy=canary"], "--strategy canary stays on the one that is there"),
        ([*NEW_CLUSTER, "--strategy=in-place"], "--strategy in-place stays on the one that is there"),
        ([*NEW_CLUSTER, "--rollback"], "--rollback is for an upgrade on one cluster"),
        (["--from=1.31.0", "--to-kubernetes=1.34.4"], "say with --kubernetes-version which one the old cluster has"),
    ],
    ids=["no Istio after", "a canary on a new cluster", "in place on a new cluster", "rolled back", "from nowhere"],
)
def test_options_that_contradict_each_other(words: list[str], sentence: str) -> None:
    """One sentence says which, and what to do."""
    error = CliRunner().invoke(command, [*words, "--plan"]).exception
    assert isinstance(error, BadInput)
    assert sentence in str(error)
