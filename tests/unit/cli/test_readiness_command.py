"""`meshproof readiness`: what it prints, and what is in its JSON."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from meshproof.cli.readiness import document, show
from meshproof.mesh.readiness import Client, Readiness
from meshproof.mesh.readiness.answer import Evidence
from meshproof.mesh.readiness.clients import Cause

KUBECONFIG = Path("/a long home of somebody's/.cache/meshproof/clusters/meshproof-f2af6c/kubeconfig")


def client(name: str) -> Client:
    """Return a client that a server would refuse."""
    return Client(name, ["p"], ["shop/cart"], Cause("Why.", "what to do"), {Evidence.CONFIGURATION})


def test_which_cluster_the_remedies_are_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is pasted goes to the kept cluster: the first line says so to a shell, whole, however narrow the screen."""
    monkeypatch.setenv("COLUMNS", "60")
    answer = Readiness([], [client("shop/till")], [], [], [], [])
    show(answer, KUBECONFIG)
    first, *others = capsys.readouterr().out.splitlines()
    assert shlex.split(first) == ["export", f"KUBECONFIG={KUBECONFIG}"]
    assert any("Do: what to do" in line for line in others)
    assert document(answer, KUBECONFIG)["kubeconfig"] == str(KUBECONFIG)
