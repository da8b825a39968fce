"""A kind cluster that belongs to us, or was kept for us; never anybody else's.

`Cluster` is pytest-kind's `KindCluster` with its rough edges mended: nothing is
downloaded, the cluster is made from a kind configuration within a bounded
time, and the kubeconfig is a file of our own (mode 0600). It has a Docker
network of its own.

A name proves nothing: whoever deletes our cluster may make one of the same
name. Ours are the containers whose ids are on record, and before they are
recorded those on our network. Nothing else is ever removed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml
from pytest_kind.cluster import KindCluster

from meshproof.cluster.external import ExternalServers
from meshproof.cluster.kind import mirrors as mirror_files
from meshproof.cluster.kind.configuration import CONFIGURATION, kind_configuration
from meshproof.cluster.kind.network import Network
from meshproof.cluster.kind.nodes import remove_nodes
from meshproof.cluster.kind.record import Record, RecordFile
from meshproof.docker import Docker
from meshproof.errors import ClusterError, CommandFailed, MachineError, ToolMissing
from meshproof.machine import cache, process
from meshproof.machine.console import stage
from meshproof.settings import TIMEOUTS

_COMES_FIRST = 8192
"""Shares of the processors, of which a container has 1024 by default, and so has a single process outside of all."""


class Cluster(KindCluster):  # type: ignore[misc]  # pytest-kind has no types
    """One kind cluster.

    Attributes:
        name: Its name for kind.
        docker: The daemon that it runs on.
        directory: Where its kubeconfig and record are.
        created: Whether this run created it.
        external: What is outside of it, and of its mesh.
    """

    def __init__(
        self,
        name: str,
        *,
        image: str,
        own_cni: bool,
        kind_path: Path,
        docker: Docker,
        directory: Path,
        mirrors: Mapping[str, str] | None = None,
    ) -> None:
        # Not the constructor of KindCluster: it makes a directory where the user happens to be.
        self.name = name
        self.image = image
        self._own_cni = own_cni
        self._mirrors = mirrors or {}
        self.kind_path = kind_path
        self.docker = docker
        self.path = self.directory = directory
        self.kubeconfig_path = directory / "kubeconfig"
        self.kubectl_path = Path("kubectl")
        self.created = False
        self._loaded: set[str] = set()
        self._network = Network(name, docker, directory)
        self.external = ExternalServers(name, self._network.name, docker, directory)
        self._record = RecordFile(directory, name, image)

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
        asked = Path(config_file).read_text() if config_file else self._our_configuration()
        configuration = self.directory / "kind.yaml"
        if record and record.keep and ours and self._running(ours):
            # A cluster that an older release made with a configuration of the user's own has no copy of it.
            made_with = configuration.read_text() if configuration.exists() else asked
            self._use_again(record, made_with=made_with, asked=asked)
            mirror_files.write(self._mirror_files, self._mirrors)
            return
        self.external.remove()
        remove_nodes(self.docker, self.name, ours)
        self.created = True
        self._record.write(image=self.image, keep=False, mesh="", nodes=(), daemon=self.docker.identity())
        configuration.write_text(asked)
        mirror_files.write(self._mirror_files, self._mirrors)
        self.kubeconfig_path.touch(0o600)
        self._network.make()
        self._kind(
            *("create", "cluster", f"--name={self.name}", f"--kubeconfig={self.kubeconfig_path}"),
            *(f"--image={self.image}", f"--config={configuration}"),
        )
        self.kubeconfig_path.chmod(0o600)
        self._record.write(nodes=tuple(self.nodes()))

    @property
    def applied(self) -> Path:
        """Where the certificates of what `meshproof apply` has put in force are, for people."""
        return self.directory / "applied"

    @property
    def _mirror_files(self) -> Path:
        return self.directory / "certs.d"

    def forget_applied(self) -> None:
        """Remove these certificates, if there are any: keys don't outlive what they are for."""
        if self.applied.exists():
            cache.discard(self.applied)

    def look_for_it_here(self) -> None:
        """Check that the daemon is the one that the cluster was made on: on another one it only seems to be gone.

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

    def _our_configuration(self) -> str:
        mirrors = self._mirror_files if self._mirrors else None
        return yaml.safe_dump(kind_configuration(own_cni=self._own_cni, mirrors=mirrors))

    def _use_again(self, record: Record, *, made_with: str, asked: str) -> None:
        if record.image != self.image:
            raise ClusterError(
                f"The kept cluster {self.name} runs {record.image}, and {self.image} is asked for. "
                f"Delete it with `meshproof down --cluster-name {self.name}`, or choose another name."
            )
        if yaml.safe_load(made_with) != yaml.safe_load(asked):
            raise ClusterError(
                f"The kept cluster {self.name} was made with another kind configuration than the one that is asked for "
                f"now ({CONFIGURATION} was changed, this machine's capabilities, or whether there are mirrors). "
                f"Delete it with `meshproof down --cluster-name {self.name}`, or choose another name."
            )
        self._kind("export", "kubeconfig", f"--name={self.name}", f"--kubeconfig={self.kubeconfig_path}")
        self.kubeconfig_path.chmod(0o600)

    def _running(self, nodes: list[str]) -> bool:
        """Return whether its nodes run; one that was stopped has lost its etcd, which is in memory."""
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
        self.external.remove()
        remove_nodes(self.docker, self.name, self.nodes())
        self._network.remove()
        self.forget_applied()
        mirror_files.remove(self._mirror_files)
        for file in ("kubeconfig", "kubeconfig.lock", "kind.yaml", "record.json"):
            (self.directory / file).unlink(missing_ok=True)

    def exists(self) -> bool:
        """Return whether Docker has a node of this cluster of ours, and not only one of its name."""
        return bool(self.nodes())

    def nodes(self) -> list[str]:
        """Return the ids of the containers that are ours: those on record, or on our network if none is."""
        record = self.record()
        ours = record.nodes if record and record.nodes else self._network.containers()
        return [node for node in self._of_this_name() if node in ours]

    def address(self) -> str:
        """Return the node's own address, which this machine reaches where Docker's containers are on it."""
        node = f"{self.name}-control-plane"
        addresses = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        return self.docker.run("inspect", f"--format={addresses}", node).split()[0]

    def come_first(self) -> None:
        """Have the nodes come first where processors are short: what is measured in them is not to wait for our tools.

        Source: https://docs.docker.com/engine/containers/resource_constraints/#cpu
        """
        self.docker.run("update", f"--cpu-shares={_COMES_FIRST}", *self.nodes())

    def forget_reset_connections(self) -> None:
        """Have the nodes forget a connection that was reset after a second, and not after ten.

        All clients on this machine have one address to a node, and so a port of it is soon used again. As long as the
        connection before is remembered, the new one is led to the same pod, also to one that is gone.

        Source: https://docs.kernel.org/networking/nf_conntrack-sysctl.html (nf_conntrack_tcp_timeout_close)
        """
        for node in self.nodes():
            self.docker.run("exec", node, "sysctl", "--write", "net.netfilter.nf_conntrack_tcp_timeout_close=1")

    def _of_this_name(self) -> list[str]:
        return self.docker.containers(f"label=io.x-k8s.kind.cluster={self.name}")

    def record(self) -> Record | None:
        """Return what we wrote down of the cluster; None if we did not create it.

        Raises:
            ClusterError: It can't be understood.
        """
        return self._record.read()

    def keep(self) -> None:
        """Let the cluster outlive this run, now that it is whole."""
        self._record.write(keep=True)

    def kept(self) -> bool:
        """Return whether it is to outlive this run."""
        record = self.record()
        return record is not None and record.keep

    def debian(self) -> str:
        """Return the versions of Debian's packages that it was made with, if it is kept and runs; or else nothing."""
        record = self.record()
        kept = record is not None and record.keep and (nodes := self.nodes()) and self._running(nodes)
        return record.debian if record and kept else ""

    def write_debian(self, versions: str) -> None:
        """Write down the versions of Debian's packages that it was made with."""
        self._record.write(debian=versions)

    def mesh(self) -> str:
        """Return what was installed to the end in it; empty for nothing."""
        record = self.record()
        return record.mesh if record else ""

    def write_mesh(self, mesh: str) -> None:
        """Write down what was installed."""
        self._record.write(mesh=mesh)

    def ports(self) -> dict[int, int]:
        """Return the ports on 127.0.0.1 by the node port that they lead to."""
        node = f"{self.name}-control-plane"
        ports = json.loads(self.docker.run("inspect", "--format={{json .NetworkSettings.Ports}}", node))
        return {int(port.split("/")[0]): int(bound[0]["HostPort"]) for port, bound in ports.items() if bound}

    def ensure_kind(self) -> None:
        """Look for kind, and download none.

        Raises:
            ToolMissing: It is not there.
        """
        if not self.kind_path.exists():
            raise ToolMissing(
                f"Tried to run kind: there is none at {self.kind_path}. Leave --kind-bin away to use ours."
            )

    def kubectl(self, *args: str, **_: Any) -> str:  # noqa: ANN401 - pytest-kind's signature
        """Run the node's own kubectl, of the cluster's release, and return what it printed."""
        admin = "--kubeconfig=/etc/kubernetes/admin.conf"
        return self.docker.run("exec", f"{self.name}-control-plane", "kubectl", admin, *args)

    def load_docker_image(self, docker_image: str) -> None:
        """Copy an image from the Docker daemon into the node, once: kind would do so each time."""
        if (image := self.docker.image_id(docker_image)) not in self._loaded:
            with stage(f"image {docker_image} copied into the cluster"):
                self._kind("load", "docker-image", f"--name={self.name}", docker_image)
            self._loaded.add(image)

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
        env = {**self.docker.env, "KIND_EXPERIMENTAL_DOCKER_NETWORK": self._network.name}
        try:
            process.run([self.kind_path, *args], env=env, timeout=timeout)
        except CommandFailed as error:
            if not self.docker.answers():
                raise self.docker.gone(f"`kind {args[0]} cluster`") from error
            reason = next((line for line in error.tail.splitlines() if line.startswith("ERROR")), error.tail[-300:])
            raise ClusterError(f"`kind {args[0]} cluster --name={self.name}` failed: {reason.strip()}") from error
