"""The containers that are the nodes of clusters, and their removal from this machine."""

from __future__ import annotations

from meshproof.docker import Docker, leftovers
from meshproof.errors import ClusterError, CommandFailed
from meshproof.machine.wait import until
from meshproof.settings import TIMEOUTS


def remove_nodes(docker: Docker, cluster: str, nodes: list[str]) -> None:
    """Remove the nodes of a cluster, and wait until they are gone from this machine, not only from Docker's list.

    Raises:
        ClusterError: Docker could not remove one.
        NotSettled: Something of one is still there.
    """
    ends = {node: leftovers.interfaces(node) for node in nodes}
    for node in nodes:
        try:
            docker.run("rm", "--force", "--volumes", node, timeout=TIMEOUTS.cluster_delete)
        except CommandFailed:
            leftovers.end(node)
            _remove_again(docker, cluster, node)

        def observe(node: str = node) -> str:
            if left := leftovers.left(node, ends[node]):
                leftovers.end(node)
            return left or "nothing"

        until(
            observe,
            "nothing",
            what=f"What is left on this machine of {node[:12]}, a node of the cluster {cluster},",
            timeout=TIMEOUTS.cluster_delete,
            hint=lambda: "Docker removed it and did not end it. As root, end what is left; then run again.",
        )


def _remove_again(docker: Docker, cluster: str, node: str) -> None:
    try:
        docker.run("rm", "--force", "--volumes", node, timeout=TIMEOUTS.cluster_delete)
    except CommandFailed as error:
        raise ClusterError(
            f"Docker could not remove {node[:12]}, a node of the cluster {cluster}: {error.last}. "
            f"Mend that, then run `meshproof down --cluster-name {cluster}`."
        ) from error
