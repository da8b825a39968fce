"""A kind cluster that belongs to us, or was kept for us; never anybody else's.

`Cluster` is pytest-kind's `KindCluster` with its rough edges mended: nothing is
downloaded, the cluster is made from a kind configuration within a bounded
time, and the kubeconfig is a file of our own (mode 0600). It has a Docker
network of its own, with a label that names our directory; kind's is left alone.

A name proves nothing: whoever deletes our cluster may make one of the same
name. Ours are the containers whose ids are on record, and before they are
recorded those on our network. Nothing else is ever removed.

Source of the configuration: https://kind.sigs.k8s.io/docs/user/configuration/
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import yaml
from filelock import FileLock, Timeout
from pytest_kind.cluster import KindCluster

from meshproof.cluster.ports import PORTS
from meshproof.docker import capability_runtime, leftovers
from meshproof.docker.engine import Docker
from meshproof.errors import ClusterError, CommandFailed, MachineError, ToolMissing
from meshproof.images import ImageSet, golang
from meshproof.machine import process
from meshproof.machine.console import console, stage
from meshproof.machine.undoing import afterwards
from meshproof.machine.wait import until
from meshproof.settings import TIMEOUTS, Settings

_OWNER = "meshproof.cluster"
"""The label of a network of ours; its value is the directory of the cluster."""
CONFIGURATION = Path(__file__).with_name("kind.yaml")


@dataclass(frozen=True, slots=True)
class Record:
    """What a later run has to know of a cluster.

    Attributes:
        image: The node image that it runs.
        keep: Whether it is to outlive the run that created it.
        mesh: The mesh that was installed to the end, as its installer names it; empty until then.
        nodes: The ids of its containers; none until kind is done.
        daemon: The identity of the Docker daemon that it is on.
    """

    image: str
    keep: bool
    mesh: str = ""
    nodes: tuple[str, ...] = ()
    daemon: str = ""


class Cluster(KindCluster):  # type: ignore[misc]  # pytest-kind has no types
    """One kind cluster.

    Attributes:
        name: Its name for kind.
        docker: The daemon that it runs on.
        directory: Where its kubeconfig and record are.
        created: Whether this run created it.
    """

    def __init__(self, name: str, *, image: str, kind_path: Path, docker: Docker, directory: Path) -> None:
        # Not the constructor of KindCluster: it makes a directory where the user happens to be.
        self.name = name
        self.image = image
        self.kind_path = kind_path
        self.docker = docker
        self.path = self.directory = directory
        self.kubeconfig_path = directory / "kubeconfig"
        self.kubectl_path = Path("kubectl")
        self.created = False

    def create(self, config_file: str | Path | None = None) -> None:
        """Create the cluster, or use the one that was kept under its name.

        Args:
            config_file: A kind configuration; ours by default.

        Raises:
            ClusterError: The name is taken, or kind failed.
            MachineError: The Docker daemon is gone.
        """
        self.look_for_it_here()
        ours, record = self.nodes(), self.record()
        if set(self._of_this_name()) - set(ours):
            raise ClusterError(
                f"There is a kind cluster named {self.name} that meshproof did not create; it was not touched. "
                f"Choose another name with --cluster-name, or run `kind delete cluster --name {self.name}`."
            )
        asked = Path(config_file).read_text() if config_file else self._configuration()
        configuration = self.directory / "kind.yaml"
        if record and record.keep and ours and self._running(ours):
            # A cluster that an older release made with a configuration of the user's own has no copy of it.
            made_with = configuration.read_text() if configuration.exists() else asked
            self._use_again(record, made_with=made_with, asked=asked)
            return
        self._remove(ours)
        self.created = True
        self._write(image=self.image, keep=False, mesh="", nodes=(), daemon=self.docker.identity())
        configuration.write_text(asked)
        self.kubeconfig_path.touch(0o600)
        self._make_network()
        self._kind(
            *("create", "cluster", f"--name={self.name}", f"--kubeconfig={self.kubeconfig_path}"),
            *(f"--image={self.image}", f"--config={configuration}"),
        )
        self.kubeconfig_path.chmod(0o600)
        self._write(nodes=tuple(self.nodes()))

    def look_for_it_here(self) -> None:
        """See to it that the daemon is the one that the cluster was made on: on another one it only seems to be gone.

        Raises:
            ClusterError: It is on another one.
        """
        record = self.record()
        if record and record.daemon and record.daemon != self.docker.identity():
            raise ClusterError(
                f"The cluster {self.name} was made on another Docker daemon than the one that answers now. Start that "
                f"one (or set DOCKER_HOST), and delete it with `meshproof down --cluster-name {self.name}`; if that "
                f"daemon is gone for good, remove {self.directory}."
            )

    def _configuration(self) -> str:
        """Return our configuration as kind reads it."""
        return yaml.safe_dump(configuration(packages=self.image.startswith("meshproof/")))

    def _use_again(self, record: Record, *, made_with: str, asked: str) -> None:
        if record.image != self.image:
            raise ClusterError(
                f"The kept cluster {self.name} runs {record.image}, and {self.image} is asked for. "
                f"Delete it with `meshproof down --cluster-name {self.name}`, or choose another name."
            )
        if yaml.safe_load(made_with) != yaml.safe_load(asked):
            raise ClusterError(
                f"The kept cluster {self.name} was made with another kind configuration than the one that is asked for "
                f"now ({CONFIGURATION} was changed, or this machine's capabilities). "
                f"Delete it with `meshproof down --cluster-name {self.name}`, or choose another name."
            )
        self._kind("export", "kubeconfig", f"--name={self.name}", f"--kubeconfig={self.kubeconfig_path}")
        self.kubeconfig_path.chmod(0o600)

    def _running(self, nodes: list[str]) -> bool:
        """Tell whether its nodes run; one that was stopped has lost its etcd, which is in memory."""
        return set(nodes) <= set(self.docker.run("ps", "--quiet", "--no-trunc").split())

    def delete(self) -> None:
        """Delete the cluster and all that is known of it.

        Raises:
            ClusterError: Docker could not delete it, or something of it is still there.
            MachineError: The Docker daemon is gone and can't be brought back.
        """
        if not self.docker.revived():
            raise MachineError(
                f"The cluster {self.name} could not be deleted: its Docker daemon no longer answers. "
                f"Start it again, then run `meshproof down --cluster-name {self.name}`."
            )
        self._remove(self.nodes())
        if (network := self._network()) and not self._containers(f"network={network}"):
            self.docker.run("network", "rm", network)
        for file in ("kubeconfig", "kubeconfig.lock", "kind.yaml", "record.json"):
            (self.directory / file).unlink(missing_ok=True)

    def _remove(self, nodes: list[str]) -> None:
        """Remove containers, and see to it that they are gone from this machine, not only from Docker's list."""
        ends = {node: leftovers.interfaces(node) for node in nodes}
        for node in nodes:
            try:
                self.docker.run("rm", "--force", "--volumes", node, timeout=TIMEOUTS.cluster_delete)
            except CommandFailed:
                leftovers.end(node)
                self._remove_by_force(node)

            def observe(node: str = node) -> str:
                if left := leftovers.left(node, ends[node]):
                    leftovers.end(node)
                return left or "nothing"

            until(
                observe,
                "nothing",
                what=f"What is left on this machine of {node[:12]}, a node of the cluster {self.name},",
                timeout=TIMEOUTS.cluster_delete,
                hint=lambda: "Docker removed it and did not end it. As root, end what is left; then run again.",
            )

    def _remove_by_force(self, node: str) -> None:
        try:
            self.docker.run("rm", "--force", "--volumes", node, timeout=TIMEOUTS.cluster_delete)
        except CommandFailed as error:
            raise ClusterError(
                f"Docker could not remove {node[:12]}, a node of the cluster {self.name}: {error.last}. "
                f"Mend that, then run `meshproof down --cluster-name {self.name}`."
            ) from error

    def _make_network(self) -> None:
        """Make the network that the nodes are to be in, or use the one that a killed run left."""
        if self._network():
            return
        command = ["create", f"--label={_OWNER}={self.directory}", *self._mtu()]
        try:
            self.docker.run("network", *command, self._network_name)
        except CommandFailed as error:
            raise ClusterError(
                f"The Docker network {self._network_name} could not be made: {error.last}. "
                "If there is one of that name, remove it, or choose another --cluster-name."
            ) from error

    def _mtu(self) -> list[str]:
        """Return the option for the size of packets that the daemon's own network has, as kind does for its network."""
        option = "com.docker.network.driver.mtu"
        bridge = self.docker.run("network", "ls", "--quiet", "--filter=name=^bridge$").strip()
        found = bridge and self.docker.run(
            "network", "inspect", f'--format={{{{with index .Options "{option}"}}}}{{{{.}}}}{{{{end}}}}', bridge
        )
        return [f"--opt={option}={found.strip()}"] if found.strip() else []

    @property
    def _network_name(self) -> str:
        return f"{self.name}-network"

    def _network(self) -> str:
        """Return the id of our network; empty where there is none."""
        label = f"--filter=label={_OWNER}={self.directory}"
        return self.docker.run("network", "ls", "--quiet", "--no-trunc", label).strip()

    def exists(self) -> bool:
        """Tell whether Docker has a node of this cluster of ours, and not only one of its name."""
        return bool(self.nodes())

    def nodes(self) -> list[str]:
        """Return the ids of the containers that are ours: those on record, or on our network if none is."""
        there, record = self._of_this_name(), self.record()
        if record and record.nodes:
            return [node for node in there if node in record.nodes]
        network = self._network()
        attached = self._containers(f"network={network}") if network else []
        return [node for node in there if node in attached]

    def _of_this_name(self) -> list[str]:
        return self._containers(f"label=io.x-k8s.kind.cluster={self.name}")

    def _containers(self, condition: str) -> list[str]:
        return self.docker.run("ps", "--all", "--quiet", "--no-trunc", f"--filter={condition}").split()

    def record(self) -> Record | None:
        """Return what we wrote down of the cluster; None if we did not create it.

        What another release wrote down beside it is ignored.

        Raises:
            ClusterError: It can't be understood.
        """
        file = self.directory / "record.json"
        try:
            return _understood(json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:  # no JSON, no UTF-8, or not what a record is
            raise ClusterError(
                f"{file} should say what the cluster {self.name} is, and can't be read: it is damaged, or not yours. "
                f"Remove it; then `meshproof up --cluster-name {self.name}` makes the cluster anew."
            ) from error

    def keep(self) -> None:
        """Let the cluster outlive this run, now that it is whole."""
        self._write(keep=True)

    def kept(self) -> bool:
        """Tell whether it is to outlive this run."""
        record = self.record()
        return record is not None and record.keep

    def mesh(self) -> str:
        """Return what was installed to the end in it; empty for nothing."""
        record = self.record()
        return record.mesh if record else ""

    def write_mesh(self, mesh: str) -> None:
        """Write down what was installed."""
        self._write(mesh=mesh)

    def _write(self, **changed: Any) -> None:  # noqa: ANN401
        record = replace(self.record() or Record(self.image, keep=False), **changed)
        unfinished = self.directory / "record.unfinished"
        unfinished.write_text(json.dumps(asdict(record)))
        unfinished.rename(self.directory / "record.json")

    def ports(self) -> dict[int, int]:
        """Return the ports on 127.0.0.1 by the node port that they lead to."""
        node = f"{self.name}-control-plane"
        found = json.loads(self.docker.run("inspect", "--format={{json .NetworkSettings.Ports}}", node))
        return {int(port.split("/")[0]): int(bound[0]["HostPort"]) for port, bound in found.items() if bound}

    def ensure_kind(self) -> None:
        """Say that kind is missing, rather than download one."""
        if not self.kind_path.exists():
            raise ToolMissing(
                f"Tried to run kind: there is none at {self.kind_path}. Leave --kind-bin away to use ours."
            )

    def kubectl(self, *args: str, **_: Any) -> str:  # noqa: ANN401 - pytest-kind's signature
        """Run the node's own kubectl, of the cluster's release, and return what it printed."""
        admin = "--kubeconfig=/etc/kubernetes/admin.conf"
        return self.docker.run("exec", f"{self.name}-control-plane", "kubectl", admin, *args)

    def load_docker_image(self, docker_image: str) -> None:
        """Copy an image from the Docker daemon into the node."""
        self._kind("load", "docker-image", f"--name={self.name}", docker_image)

    def port_forward(self, service_or_pod_name: str, *_: Any, **__: Any) -> NoReturn:  # noqa: ANN401
        """Refuse: a forward ends with its pod and hides how a connection ended.

        Raises:
            ClusterError: Always; it names what to use.
        """
        raise ClusterError(
            f"A port of {service_or_pod_name} was to be forwarded, and meshproof forwards none: it would hide how a "
            "connection ends. Use the fixture `gateway`, or a Workload inside the cluster."
        )

    def _kind(self, *args: str) -> None:
        self.ensure_kind()
        timeout = TIMEOUTS.cluster_create if args[0] == "create" else TIMEOUTS.program
        env = {**self.docker.env, "KIND_EXPERIMENTAL_DOCKER_NETWORK": self._network_name}
        try:
            process.run([self.kind_path, *args], env=env, timeout=timeout)
        except CommandFailed as error:
            if not self.docker.answers():
                raise self.docker.gone(f"`kind {args[0]} cluster`") from error
            reason = next((line for line in error.tail.splitlines() if line.startswith("ERROR")), error.tail[-300:])
            raise ClusterError(f"`kind {args[0]} cluster --name={self.name}` failed: {reason.strip()}") from error


@contextmanager
def cluster(settings: Settings, images: ImageSet, docker: Docker) -> Iterator[Cluster]:
    """Have a cluster for as long as the context lasts; it ends with it unless it was there before or is to be kept.

    Raises:
        ClusterError: Another run uses it, its name is taken, or kind failed.
    """
    directory = settings.cache / "clusters" / settings.cluster_name
    directory.mkdir(parents=True, exist_ok=True)
    mine = Cluster(
        settings.cluster_name,
        image=settings.kind_image or images.node,
        kind_path=settings.kind_path or images.kind,
        docker=docker,
        directory=directory,
    )
    with _used_by_us(mine.name, directory):

        def delete() -> None:
            if mine.created and not mine.kept():
                with stage(f"cluster {mine.name} deleted"):
                    mine.delete()

        with afterwards(delete):
            with stage(f"cluster {mine.name}"):
                mine.create()
            yield mine


@contextmanager
def _used_by_us(name: str, directory: Path) -> Iterator[None]:
    """Keep other runs off the cluster; whatever ends this process ends that."""
    lock = FileLock(directory / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise ClusterError(
            f"The cluster {name} is in use by another run of meshproof. Wait for its end, or choose another name "
            "with --cluster-name."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _understood(written: object) -> Record:
    """Return the record that a file has in it.

    Raises:
        ValueError: Something is missing, or not of its kind.
    """
    match {"mesh": "", "nodes": [], "daemon": "", **written} if isinstance(written, dict) else None:
        case {"image": str(image), "keep": bool(keep), "mesh": str(mesh), "nodes": list(nodes), "daemon": str(daemon)}:
            if all(isinstance(node, str) for node in nodes):
                return Record(image, keep, mesh, tuple(nodes), daemon)
    raise ValueError("it is no record")


def configuration(*, packages: bool) -> dict[str, Any]:
    """Return kind's configuration for this machine and this kind of node image."""
    configuration: dict[str, Any] = yaml.safe_load(CONFIGURATION.read_text())
    (node,) = configuration["nodes"]
    # A host port of -1 lets Docker choose a free one.
    node["extraPortMappings"] = [
        {"containerPort": port.node, "hostPort": -1, "listenAddress": "127.0.0.1"} for port in PORTS
    ]
    if packages:
        configuration.setdefault("networking", {})["disableDefaultCNI"] = True  # our node image brings its own
    if capability_runtime.missing_capabilities():
        # Without CAP_SYS_RESOURCE the kubelet can't raise limits; this gate makes it carry on.
        gates = {"featureGates": {"KubeletInUserNamespace": True}}
        kubelet = {"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1", **gates}
        configuration.setdefault("kubeadmConfigPatches", []).append(yaml.safe_dump(kubelet))
    return configuration


def clusters(cache: Path) -> list[str]:
    """Return the names of the clusters that we have a record of."""
    return sorted(file.parent.name for file in (cache / "clusters").glob("*/record.json"))


def kind_program(cache: Path) -> Path:
    """Return where our kind is, or will be once it is built."""
    return golang.tool("kind", cache).directory(cache) / "kind"


def delete_cluster(name: str, cache: Path, docker: Docker) -> bool:
    """Delete a cluster of ours, whichever run created it; tell whether there was one."""
    directory = cache / "clusters" / name
    doomed = Cluster(name, image="", kind_path=kind_program(cache), docker=docker, directory=directory)
    if doomed.record() is None:
        return False
    with _used_by_us(name, directory):
        doomed.look_for_it_here()
        if doomed.nodes():
            with stage(f"cluster {name} deleted"):
                doomed.delete()
        else:
            doomed.delete()
            console.print(f"The cluster {name} of ours was gone already; what was written down of it is removed.")
    return True
