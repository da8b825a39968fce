"""Servers outside of the mesh: containers on a Docker network of their own, each at a port that pods reach.

A port of such a container is published on this machine's address in the network of the cluster, and nowhere else: what
a pod sends there leaves its node. The two networks are not connected, so it is the same with a daemon that forwards
nothing between containers, as ours does, and the node keeps the one way out that it has.

Source: https://docs.docker.com/engine/network/port-publishing/
"""

from __future__ import annotations

import json
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from meshproof.certificates.leaf import Leaf
from meshproof.docker import Docker
from meshproof.errors import ClusterError, CommandFailed
from meshproof.machine.wait import until
from meshproof.settings import TIMEOUTS

_OWNER = "meshproof.external"
"""The label of what is ours; its value is the directory of the cluster."""
_PORT = 8443
_NO_TLS = "tls: first record does not look like a TLS handshake"
"""What the server writes of octets that are neither TLS nor HTTP."""
_FILES = "/certificate"  # where the container has its certificate, its key and the authority of its clients


@dataclass(frozen=True, slots=True)
class ExternalServer:
    """A server outside of the mesh, which requires a certificate of its clients if it was given their authority.

    Attributes:
        docker: The daemon that it runs on.
        container: Its id.
        host: The IP address at which pods reach it.
        port: The port there.
    """

    docker: Docker
    container: str
    host: str
    port: int

    def log(self) -> list[dict[str, Any]]:
        """Return what it has written: an object for each request and each handshake that failed, the oldest first.

        A request has ``path``, ``headers``, ``protocol`` and ``tls`` (``version``, ``server_name`` and ``peer``, the
        client's certificate, with ``serial``, a decimal number in a string, and ``names``); a handshake that failed has
        ``handshake_failed``, the reason.

        What was answered or refused before this call is in it: Docker has a line a moment after the client has its
        answer, so something is sent that is no TLS, and its line, which is not returned, is waited for.

        Raises:
            NotSettled: That line did not come.
        """
        before = self._lines_of_no_tls()
        with suppress(OSError), socket.create_connection((self.host, self.port), TIMEOUTS.program) as connection:
            connection.sendall(b"this is no TLS\n")
            connection.recv(1)
        until(
            self._lines_of_no_tls,
            f"more than {before}",
            lambda number: number > before,
            what="The number of lines on what is no TLS in the log of the server outside of the mesh",
            timeout=TIMEOUTS.program,
        )
        lines = _lines(self.docker, self.container)
        return [line for line in lines if "listening" not in line and line.get("handshake_failed") != _NO_TLS]

    def _lines_of_no_tls(self) -> int:
        return sum(line.get("handshake_failed") == _NO_TLS for line in _lines(self.docker, self.container))

    def requests(self, path: str) -> list[dict[str, Any]]:
        """Return the requests for a path, the oldest first."""
        return [line for line in self.log() if line.get("path") == path]

    def refusals(self) -> list[str]:
        """Return why handshakes failed, the oldest first."""
        return [str(line["handshake_failed"]) for line in self.log() if "handshake_failed" in line]


class ExternalServers:
    """What is outside of one cluster's mesh."""

    def __init__(self, cluster: str, network: str, docker: Docker, directory: Path) -> None:
        """Look at nothing yet.

        Args:
            cluster: The name of the cluster.
            network: The name of its Docker network.
            docker: The daemon that it is on.
            directory: That of the cluster, which tells whose a container is.
        """
        self._cluster = cluster
        self._cluster_network = network
        self._network = f"{cluster}-external"
        self._docker = docker
        self._directory = directory
        self._label = f"{_OWNER}={directory}"

    def start(self, image: str, certificate: Leaf, client_ca: bytes | None) -> ExternalServer:
        """Start a server, and wait until it listens.

        Args:
            image: That of the role ``traffic``, which Docker has.
            certificate: What it shows.
            client_ca: The authority whose clients it lets in, in PEM; without one it asks for no certificate.

        Raises:
            ClusterError: Docker could not start it, or it ended at once.
        """
        host = self._host()
        command = ["serve", f"--tls=:{_PORT}", f"--certificate={_FILES}/chain.pem", f"--key={_FILES}/key.pem", "--log"]
        command += [f"--client-authority={_FILES}/clients.pem"] if client_ca else []
        name = f"{self._cluster}-external-{secrets.token_hex(3)}"
        try:
            self._make_network()
            container = self._docker.run(
                *("create", f"--name={name}", f"--label={self._label}", f"--network={self._network}"),
                *(f"--publish={host}::{_PORT}", image, *command),
            ).strip()
            with TemporaryDirectory(prefix="outside-", dir=self._directory) as files:
                directory = Path(files)  # of mode 0700
                certificate.write_to(directory / "chain.pem", directory / "key.pem")
                (directory / "clients.pem").write_bytes(client_ca or b"")
                self._docker.run("cp", files, f"{container}:{_FILES}")
            self._docker.run("start", container)
            published = self._docker.run("port", container, str(_PORT)).split()
        except CommandFailed as error:
            raise ClusterError(
                f"A server outside of the mesh of {self._cluster} could not be started at {host}: {error.last}."
            ) from error
        until(
            lambda: self._state(container),
            "listening",
            what=f"The server outside of the mesh, in the container {name},",
            timeout=TIMEOUTS.program,
            hint=lambda: f"`docker logs {name}` ends with: {self._last_words(container)}",
        )
        return ExternalServer(self._docker, container, host, int(published[0].rpartition(":")[2]))

    def remove(self) -> None:
        """Remove all servers, those that a killed run left among them, and their network.

        Raises:
            ClusterError: Docker could not remove one.
        """
        try:
            if doomed := self._docker.containers(f"label={self._label}"):
                self._docker.run("rm", "--force", "--volumes", *doomed)
            if network := self._network_id():
                self._docker.run("network", "rm", network)
        except CommandFailed as error:
            raise ClusterError(
                f"What is outside of the mesh of {self._cluster} could not be removed: {error.last}. "
                f"Mend that, then run `meshproof down --cluster-name {self._cluster}`."
            ) from error

    def _make_network(self) -> None:
        if not self._network_id():
            self._docker.run("network", "create", f"--label={self._label}", self._network)

    def _network_id(self) -> str:
        return self._docker.run("network", "ls", "--quiet", "--no-trunc", f"--filter=label={self._label}").strip()

    def _host(self) -> str:
        """Return this machine's IPv4 address in the network of the cluster."""
        pools_only = "--format={{json .IPAM.Config}}"
        pools = json.loads(self._docker.run("network", "inspect", pools_only, self._cluster_network))
        for pool in pools:
            if "." in (gateway := pool.get("Gateway", "")):
                return str(gateway)
        raise ClusterError(
            f"The Docker network {self._cluster_network} has no gateway with an IPv4 address, so that pods reach no "
            "server outside of the mesh. Delete the cluster, and run again."
        )

    def _state(self, container: str) -> str:
        if any("listening" in line for line in _lines(self._docker, container)):
            return "listening"
        return self._docker.run("inspect", "--format={{.State.Status}}", container).strip()

    def _last_words(self, container: str) -> str:
        words: list[str] = []
        self._docker.run("logs", "--tail=1", container, on_line=words.append)
        return " ".join(words) or "nothing"


def _lines(docker: Docker, container: str) -> list[dict[str, Any]]:
    """Return the objects in a container's log; what it says on standard error is for people."""
    return [json.loads(line) for line in docker.run("logs", container).splitlines() if line.startswith("{")]
