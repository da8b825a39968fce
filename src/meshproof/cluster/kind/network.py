"""The Docker network of a cluster of ours, with a label that names the cluster's directory; kind's is left alone."""

from __future__ import annotations

from pathlib import Path

from meshproof.docker import Docker
from meshproof.errors import ClusterError, CommandFailed

_OWNER = "meshproof.cluster"
"""The label of a network of ours; its value is the directory of the cluster."""


class Network:
    """The network of one cluster.

    Attributes:
        name: Its name for Docker.
    """

    def __init__(self, cluster: str, docker: Docker, directory: Path) -> None:
        self.name = f"{cluster}-network"
        self._docker = docker
        self._label = f"{_OWNER}={directory}"

    def id(self) -> str:
        """Return its id; empty where there is none."""
        command = ("network", "ls", "--quiet", "--no-trunc", f"--filter=label={self._label}")
        return self._docker.run(*command).strip()

    def containers(self) -> list[str]:
        """Return the ids of the containers on it."""
        network = self.id()
        return self._docker.containers(f"network={network}") if network else []

    def make(self) -> None:
        """Make it, or use the one that a killed run left.

        Raises:
            ClusterError: Docker could not make it.
        """
        if self.id():
            return
        try:
            self._docker.run("network", "create", f"--label={self._label}", *self._mtu(), self.name)
        except CommandFailed as error:
            raise ClusterError(
                f"The Docker network {self.name} could not be made: {error.last}. "
                "If there is one of that name, remove it, or choose another --cluster-name."
            ) from error

    def remove(self) -> None:
        """Remove it if it is there, unless a container is on it."""
        if (network := self.id()) and not self._docker.containers(f"network={network}"):
            self._docker.run("network", "rm", network)

    def _mtu(self) -> list[str]:
        """Return the option for the size of packets that the daemon's own network has, as kind does for its network."""
        option = "com.docker.network.driver.mtu"
        bridge = self._docker.run("network", "ls", "--quiet", "--filter=name=^bridge$").strip()
        size = bridge and self._docker.run(
            "network", "inspect", f'--format={{{{with index .Options "{option}"}}}}{{{{.}}}}{{{{end}}}}', bridge
        )
        return [f"--opt={option}={size.strip()}"] if size.strip() else []
