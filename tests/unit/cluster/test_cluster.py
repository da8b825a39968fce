"""Clusters, as far as they can be judged without one: whose they are, and what is removed."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
from filelock import FileLock

from meshproof.cli.output import program
from meshproof.cluster.gateway_ports import NODES
from meshproof.cluster.kind import Cluster, Record, delete_cluster, mirrors
from meshproof.cluster.kind.configuration import kind_configuration
from meshproof.docker import Docker
from meshproof.errors import ClusterError
from meshproof.machine.cache import claim
from meshproof.machine.process import run
from tests.support.programs import PATIENCE, shell

NOT_ASKED = Docker("0.0.0")  # a daemon that nobody gets as far as asking
OURS, THEIRS, NETWORK = "a" * 64, "b" * 64, "c" * 64
DOCKER = """#!/bin/sh
cd "$STATE"
case "$*" in
  version*) echo 1.0 ;;
  info*) echo this-daemon ;;
  "ps "*label=io.x-k8s.kind.cluster=ours) cat named ;;
  inspect*) cat ports ;;
  "ps "*network=*) cat attached ;;
  "ps --quiet --no-trunc") cat named ;;
  "network ls "*label=meshproof.cluster=*) cat network ;;
  "rm "*|"network rm "*) echo "$@" >> removed; sed -i "/^$4$/d" named attached ;;
esac
"""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a daemon has, a file for each question; its `docker` writes down what it is told to remove."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(DOCKER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("STATE", str(tmp_path))
    for name in ("named", "attached", "network", "removed"):
        (tmp_path / name).touch()
    return tmp_path


def recorded(cache: Path, *nodes: str, daemon: str = "this-daemon", mesh: str = "") -> Path:
    """Write down a cluster of ours; return its directory."""
    directory = cache / "clusters" / "ours"
    directory.mkdir(parents=True)
    record = {"image": "node", "keep": True, "mesh": mesh, "nodes": nodes, "daemon": daemon}
    (directory / "record.json").write_text(json.dumps(record))
    return directory


def cluster(directory: Path) -> Cluster:
    """Return the cluster of a directory."""
    return Cluster("ours", image="node", own_cni=True, kind_path=Path("kind"), docker=NOT_ASKED, directory=directory)


def test_a_node_is_told_of_mirrors(tmp_path: Path) -> None:
    """Each registry with a mirror has a file in a directory that the node has mounted; one that is gone has none."""
    claim(tmp_path)
    files = tmp_path / "certs.d"
    mirrors.write(files, {"docker.io": "http://10.0.0.5:5000", "127.0.0.1:4000": "http://10.0.0.5:5000"})
    mirrors.write(files, {"127.0.0.1:4000": "https://mirror.example"})
    assert [path.relative_to(files).as_posix() for path in files.rglob("*.toml")] == ["127.0.0.1:4000/hosts.toml"]
    assert tomllib.loads((files / "127.0.0.1:4000" / "hosts.toml").read_text()) == {
        "host": {"https://mirror.example": {"capabilities": ["pull", "resolve"]}}
    }
    (node,) = kind_configuration(own_cni=True, mirrors=files)["nodes"]
    (mount,) = node["extraMounts"]
    assert (mount["hostPath"], mount["containerPath"]) == (str(files), "/etc/containerd/certs.d")
    mirrors.remove(files)
    assert not files.exists()


def test_a_node_without_mirrors_has_nothing_mounted() -> None:
    """What a node image has there itself stays."""
    (node,) = kind_configuration(own_cni=True)["nodes"]
    assert "extraMounts" not in node


def status(state: Path, columns: str = "") -> list[str]:
    """Run `meshproof status` as a program; return the lines that it prints on standard output, into a pipe."""
    script = f'{f"export COLUMNS={columns};" if columns else "unset COLUMNS;"} "$@" 2>&- | cat'
    lines: list[str] = []
    argv = shell(script, sys.executable, "-m", "meshproof", "status")
    run(argv, env={"MESHPROOF_CACHE": str(state)}, timeout=PATIENCE, on_line=lines.append)
    return lines


@pytest.mark.parametrize("columns", ["", "80", "40"])
def test_the_status_is_whole(columns: str, state: Path) -> None:
    """It says of a cluster all that a user needs, a fact a line, and cuts nothing: names can be copied from it."""
    directory = recorded(state / "meshproof-cache", OURS, mesh="docker.io/istio:1.31.1 0123456789abcdef")
    (state / "named").write_text(f"{OURS}\n")
    bound = {f"{node}/tcp": [{"HostPort": str(50000 + port)}] for port, node in NODES.items()}
    (state / "ports").write_text(json.dumps(bound))
    assert status(state, columns) == [
        "ours",
        "  state       kept",
        "  node image  node",
        "  mesh        docker.io/istio:1.31.1",
        f"  kubeconfig  {directory / 'kubeconfig'}",
        *(f"  gateway     port {port} is 127.0.0.1:{50000 + port}" for port in (80, 443)),
        "  test it     pytest --cluster-name ours",
        f"  delete it   {program('meshproof')} down --cluster-name ours",
    ]


@pytest.mark.parametrize(
    ("daemon", "told"),
    [
        ("this-daemon", "not running"),
        ("that-daemon", "unknown: it was made on another Docker daemon than the one that answers now"),
    ],
)
def test_the_status_of_a_cluster_that_is_not_there(daemon: str, told: str, state: Path) -> None:
    """Nobody is sent to a gateway that is not there; how to be rid of what is known of the cluster is still said."""
    recorded(state / "meshproof-cache", OURS, daemon=daemon)
    lines = status(state)
    assert (lines[1], lines[-1]) == (
        f"  state       {told}",
        f"  delete it   {program('meshproof')} down --cluster-name ours",
    )
    assert not [line for line in lines if "gateway" in line]


def test_down_without_such_a_cluster(state: Path) -> None:
    """As with `kind delete cluster` that is no error; the clusters that are there are named."""
    recorded(state / "meshproof-cache", OURS)
    lines: list[str] = []
    argv = [sys.executable, "-m", "meshproof", "down", "--cluster-name", "other"]
    run(argv, env={"MESHPROOF_CACHE": str(state)}, timeout=PATIENCE, on_line=lines.append)
    (line,) = lines
    assert line.startswith(
        "There is no cluster called 'other' of ours, and nothing was deleted. Those that are: ours; "
    )


def test_a_cluster_in_use_is_not_deleted(tmp_path: Path) -> None:
    """`meshproof down` beside a test run is told so in one sentence."""
    directory = recorded(tmp_path)
    with FileLock(directory / "lock"), pytest.raises(ClusterError, match=re.escape("ours is in use by another run")):
        delete_cluster("ours", tmp_path, NOT_ASKED)


def test_a_cluster_of_somebody_else_is_not_deleted(tmp_path: Path) -> None:
    """Of a cluster without our record nothing is touched."""
    assert not delete_cluster("theirs", tmp_path, NOT_ASKED)


def test_a_later_cluster_of_the_same_name_is_not_touched(state: Path) -> None:
    """Ours was deleted by somebody, who then made one of that name: only what we wrote down goes."""
    directory = recorded(state, OURS)
    (state / "named").write_text(f"{THEIRS}\n")
    (state / "attached").write_text(f"{THEIRS}\n")
    assert not cluster(directory).exists()
    assert delete_cluster("ours", state, NOT_ASKED)
    assert ((state / "removed").read_text(), (directory / "record.json").exists()) == ("", False)


def test_a_run_does_not_take_over_a_cluster_of_its_name(state: Path) -> None:
    """A run that would make the cluster ends, and neither uses nor deletes the other one."""
    directory = recorded(state, OURS)
    (state / "named").write_text(f"{THEIRS}\n")
    with pytest.raises(ClusterError, match="ours that meshproof did not create; it was not touched"):
        cluster(directory).create()
    assert (state / "removed").read_text() == ""


def test_a_kept_cluster_of_another_configuration_is_not_used(state: Path) -> None:
    """What kind was told can't be changed afterwards: a run that would need it ends, and says what to do."""
    directory = recorded(state, OURS)
    (state / "named").write_text(f"{OURS}\n")
    asked = state / "asked.yaml"
    asked.write_text("kind: Cluster # of one node")
    (directory / "kind.yaml").write_text("kind: Cluster\nnetworking: {ipFamily: ipv6}\n")
    with pytest.raises(ClusterError, match=r"another kind configuration .* `meshproof down --cluster-name ours`"):
        cluster(directory).create(asked)
    assert (state / "removed").read_text() == ""


@pytest.mark.parametrize("copy", [True, False], ids=["a copy", "no copy"])
def test_a_kept_cluster_of_the_same_configuration_is_used(state: Path, *, copy: bool) -> None:
    """A comment makes no other configuration; of a cluster without a copy of its configuration it is not known."""
    directory = recorded(state, OURS)
    (state / "named").write_text(f"{OURS}\n")
    asked = state / "asked.yaml"
    asked.write_text("kind: Cluster # of one node")
    if copy:
        (directory / "kind.yaml").write_text("kind: Cluster\n")
    (directory / "kubeconfig").touch()
    kept = cluster(directory)
    kept.kind_path = Path("/bin/true")
    kept.create(asked)
    assert not kept.created


def test_the_containers_on_record_are_removed(state: Path) -> None:
    """Of two containers with the cluster's name the one on record goes; the network stays while the other has it."""
    directory = recorded(state, OURS)
    (state / "named").write_text(f"{OURS}\n{THEIRS}\n")
    (state / "attached").write_text(f"{THEIRS}\n")
    (state / "network").write_text(f"{NETWORK}\n")
    assert delete_cluster("ours", state, NOT_ASKED)
    assert (state / "removed").read_text() == f"rm --force --volumes {OURS}\n"
    assert not (directory / "record.json").exists()


def test_a_cluster_on_another_daemon_is_not_gone(state: Path) -> None:
    """Where Docker was started or stopped since, the record stays and the user is told which daemon has the cluster."""
    directory = recorded(state, OURS, daemon="that-daemon")
    with pytest.raises(ClusterError, match="made on another Docker daemon than the one that answers now"):
        delete_cluster("ours", state, NOT_ASKED)
    with pytest.raises(ClusterError, match="made on another Docker daemon"):
        cluster(directory).create()
    assert ((state / "removed").read_text(), (directory / "record.json").exists()) == ("", True)


def test_what_a_killed_run_left_is_known_by_its_network(state: Path) -> None:
    """A run that was killed before it wrote an id down left containers on a network with the label of its directory."""
    directory = recorded(state)
    (state / "named").write_text(f"{OURS}\n{THEIRS}\n")
    (state / "attached").write_text(f"{OURS}\n")
    (state / "network").write_text(f"{NETWORK}\n")
    assert cluster(directory).nodes() == [OURS]
    assert delete_cluster("ours", state, NOT_ASKED)
    assert (state / "removed").read_text() == f"rm --force --volumes {OURS}\nnetwork rm {NETWORK}\n"


def test_a_record_of_another_release_is_read(tmp_path: Path) -> None:
    """What is not known in it is left out, and what it lacks is empty."""
    directory = recorded(tmp_path, OURS)
    record = {"image": "node", "keep": True, "colour": "green"}
    (directory / "record.json").write_text(json.dumps(record))
    assert cluster(directory).record() == Record("node", keep=True)


@pytest.mark.parametrize(
    "written",
    [
        b"", b'{"image": "no', b"\xff", b"[]", b"{}", b'{"image": "node", "keep": "no"}',
        b'{"image": "node", "keep": true, "nodes": "abc"}', b'{"image": "node", "keep": true, "nodes": null}',
        b'{"image": "node", "keep": true, "daemon": 1}',
    ],
)  # fmt: skip
def test_a_damaged_record_is_told(written: bytes, tmp_path: Path) -> None:
    """A record that can't be read is one sentence, with its file and what to do; nothing is made of half of it."""
    directory = recorded(tmp_path, OURS)
    (directory / "record.json").write_bytes(written)
    sentence = f"{directory}/record.json should say what the cluster ours is, and can't be read"
    with pytest.raises(ClusterError, match=re.escape(sentence)):
        cluster(directory).record()


def test_a_cluster_whose_record_was_removed_is_ours(state: Path) -> None:
    """Who removes a damaged record, as is told, has the cluster made anew: its network still says whose it is."""
    directory = recorded(state, OURS)
    (directory / "record.json").unlink()
    for name in ("named", "attached"):
        (state / name).write_text(f"{OURS}\n")
    (state / "network").write_text(f"{NETWORK}\n")
    mine = cluster(directory)
    mine.kind_path = Path("/bin/true")
    mine.create()
    assert (mine.created, (state / "removed").read_text()) == (True, f"rm --force --volumes {OURS}\n")
