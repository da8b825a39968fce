"""`meshproof upgrade`: its plan, and what it refuses before anything is brought up."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

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


def plan(*words: str) -> Result:
    """Return what is printed of an upgrade that is not done."""
    return CliRunner().invoke(command, [*words, "--plan"], env={"COLUMNS": "140"})


def test_the_plan_of_a_new_cluster() -> None:
    """It names both releases of Kubernetes, two states, and when traffic flows; the mesh is the same."""
    result = plan(*NEW_CLUSTER)
    assert result.exit_code == 0
    for text in (
        "1.31.0 on Kubernetes 1.33.13 → 1.31.0 on Kubernetes 1.34.4, new-cluster",
        "S0 all old",
        "bring up a cluster with 1.31.0 on Kubernetes 1.33.13",
        "S6 the mesh on a new cluster",
        "delete that cluster, and bring up one with 1.31.0 on Kubernetes 1.34.4",
        "While it is looked at: traffic",
    ):
        assert text in result.output
    assert "S1" not in result.output


def test_another_mesh_on_a_new_cluster() -> None:
    """With the same Kubernetes, too."""
    result = plan("--from=1.30", "--to=1.31.0", "--strategy=new-cluster")
    assert "1.30 → 1.31.0, new-cluster" in result.output


def test_a_canary_without_being_asked_for() -> None:
    """As long as there is one cluster."""
    assert "1.30 → 1.31.0, canary" in plan("--from=1.30", "--to=1.31.0").output


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
    error = plan(*words).exception
    assert isinstance(error, BadInput)
    assert sentence in str(error)
