"""meshproof in a repository of one's own: from the package, in an empty directory, to a row that is proven."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from pathlib import Path

import pytest

from meshproof import http
from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document
from meshproof.errors import CommandFailed
from meshproof.machine.process import run
from meshproof.settings import TIMEOUTS, cache_directory
from meshproof.tls import Address
from tests.support.shown import write_buyers, write_rollout


@pytest.fixture
def shop(programs: Path, tmp_path: Path) -> Path:
    """A project that `meshproof init` has just made."""
    run([programs / "meshproof", "init"], cwd=tmp_path, timeout=TIMEOUTS.program)
    return tmp_path


def test_it_is_collected(programs: Path, shop: Path) -> None:
    """Its manifest is without fault and its test is found; that takes no cluster."""
    command = [str(programs / "pytest"), "--collect-only", "-q"]
    lines = run(command, cwd=shop, timeout=TIMEOUTS.program).splitlines()
    assert [line for line in lines if "::" in line] == ["tests/test_shop.py::test_it_is_the_shop"]


def test_it_is_kept(programs: Path, shop: Path, kept_cluster: str) -> None:
    """Its promise is kept on a cluster that was kept, which has just its applications then."""
    run([programs / "pytest", f"--cluster-name={kept_cluster}"], cwd=shop, timeout=TIMEOUTS.mesh_install)
    result = json.loads((shop / "artifacts" / "promises.json").read_text())
    assert [(promise["rows"]["kept"], sum(promise["rows"].values())) for promise in result["promises"]] == [(1, 1)]


def test_the_rows_that_are_shown_are_kept(programs: Path, shop: Path, kept_cluster: str) -> None:
    """Mutual TLS for a shop, as docs/own-repository.md shows it."""
    write_buyers(shop)
    command = [str(programs / "pytest"), "tests/test_buyers.py", f"--cluster-name={kept_cluster}"]
    run(command, cwd=shop, timeout=TIMEOUTS.mesh_install)


def test_traffic_that_is_recorded_loses_nothing(programs: Path, shop: Path, kept_cluster: str) -> None:
    """A rollout under traffic, as docs/traffic.md shows it, leaves a picture of flows that lost nothing."""
    write_rollout(shop)
    command = [str(programs / "pytest"), "tests/test_rollout.py", f"--cluster-name={kept_cluster}"]
    lines: list[str] = []
    run(command, cwd=shop, timeout=TIMEOUTS.image_build, on_line=lines.append)
    assert any(line.startswith("  rollout: ") and " of 5 flows, none lost, " in line for line in lines)
    assert (shop / "artifacts" / "traffic" / "rollout.svg").exists()


def test_a_broken_promise_is_noticed(programs: Path, shop: Path, kept_cluster: str) -> None:
    """With another path in its manifest the same test fails, for what it says."""
    manifest = shop / "manifests" / "scenarios" / "shop.yaml"
    manifest.write_text(manifest.read_text().replace("prefix: /anything", "prefix: /nothing"))
    lines: list[str] = []
    command = [str(programs / "pytest"), f"--cluster-name={kept_cluster}", "--mesh-shuffle=1"]
    with pytest.raises(CommandFailed, match="ended with status 1"):
        run(command, cwd=shop, timeout=TIMEOUTS.mesh_install, on_line=lines.append)
    assert any("The answer was to be 200 and was not" in line for line in lines)


def test_what_is_replaced_is_never_gone(kept_cluster: str) -> None:
    """A Gateway that is replaced is the same object with other fields: deleted and made anew it would lose requests."""
    kube = Kube(cache_directory() / "clusters" / kept_cluster / "kubeconfig")
    gateway: Document = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "replaced", "namespace": "default"},
        "spec": {"servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["one.example"]}]},
    }
    kube.replace([gateway])
    try:
        first = kube.get("networking.istio.io/v1", "Gateway", "replaced", "default")
        gateway["spec"]["servers"][0]["hosts"] = ["two.example"]
        kube.replace([gateway])
        last = kube.get("networking.istio.io/v1", "Gateway", "replaced", "default")
    finally:
        kube.delete([gateway])
    assert first
    assert last
    assert last["spec"] == gateway["spec"]
    assert last["metadata"]["uid"] == first["metadata"]["uid"]


def test_a_scenario_by_hand(programs: Path, shop: Path, kept_cluster: str) -> None:
    """`apply` has it in force, with files for whoever asks; `remove` has neither; another name is told."""
    meshproof, named = str(programs / "meshproof"), f"--cluster-name={kept_cluster}"
    printed = run([meshproof, "apply", "shop", named], cwd=shop, timeout=TIMEOUTS.mesh_install)
    (where,) = re.findall(r"^gateway +shop\.example at port 443 is (.*)$", printed, re.MULTILINE)
    (files,) = map(Path, re.findall(r"^files +(.*) \(until", printed, re.MULTILINE))
    trust = (files / "authorities" / "meshproof.pem").read_bytes()
    assert {file.stat().st_mode & 0o077 for file in (files, *files.glob("*.key"))} == {0}
    host, _, port = where.partition(":")
    address = Address(host, int(port))
    assert http.get(address, "/anything", host="shop.example", trust=trust).status == HTTPStatus.OK
    with pytest.raises(CommandFailed, match=r"There is no scenario shops in .* the nearest is 'shop'"):
        run([meshproof, "apply", "shops", named], cwd=shop, timeout=TIMEOUTS.mesh_install)
    run([meshproof, "remove", named], cwd=shop, timeout=TIMEOUTS.mesh_install)
    assert http.get(address, "/anything", host="shop.example", trust=trust).status is None
    assert not files.exists()
    printed = run([meshproof, "remove", named], cwd=shop, timeout=TIMEOUTS.mesh_install)
    assert printed == f"Nothing is in force on {kept_cluster}.\n"


def test_elsewhere_the_plugin_is_silent(programs: Path, tmp_path: Path) -> None:
    """In a repository that is no project of meshproof's, a test may have fixtures and marks of the same names."""
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = ["--strict-markers"]\n')
    (tmp_path / "test_other.py").write_text(
        "import pytest\n@pytest.fixture\ndef gateway(): return 1\ndef test_it(gateway): assert gateway == 1\n"
    )
    run([programs / "pytest", "-q", "-W", "error"], cwd=tmp_path, timeout=TIMEOUTS.program)
    there = {path.name for path in tmp_path.iterdir()}
    assert there <= {"pyproject.toml", "test_other.py", ".pytest_cache", "__pycache__"}
