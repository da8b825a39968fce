"""`meshproof readiness`: what it prints, and what is in its JSON."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from meshproof.cli.readiness import document, show
from meshproof.mesh.readiness import Client, Readiness, Server
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


def test_who_may_be_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """It is listed apart with the reason and without a remedy; the verdict names it; so is what is accepted in vain."""
    accepted = Readiness(
        [], [], [], [], [], [], accepted=[client("legacy/client")], not_refused=["shop/cart"], applications=[]
    )
    show(accepted, KUBECONFIG)
    output = capsys.readouterr().out
    assert "STRICT for the whole mesh: ready (legacy/client may be refused)" in output
    table = output[output.index("Accepted: ") :]
    assert re.search(r"^legacy/client +Why\.$", table, re.MULTILINE)
    assert re.search(r"^shop/cart +It is not known to be refused", table, re.MULTILINE)
    assert "Do: " not in output
    written = document(accepted, KUBECONFIG)
    assert [entry["client"] for entry in written["accepted"]] == ["legacy/client"]
    assert (written["clients"], written["accepted_but_not_refused"]) == ([], ["shop/cart"])


def test_what_comes_with_the_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a workload that meshproof put there the answer says so, and of a client how to leave it out."""
    servers = [Server("default/httpbin", [], [80]), Server("shop/cart", [], [80])]
    clients = [client("legacy/client"), client("shop/till")]
    answer = Readiness([], clients, servers, [], [], [], applications={"legacy/client", "default/httpbin"})
    show(answer, KUBECONFIG)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if "comes with" in line] == [
        "It comes with meshproof's clusters; `--accept legacy/client` leaves it out.",
        "It comes with meshproof's clusters.",
    ]
    written = document(answer, KUBECONFIG)
    assert [entry["comes_with_cluster"] for entry in (*written["clients"], *written["servers"])] == [
        True,
        False,
        True,
        False,
    ]
