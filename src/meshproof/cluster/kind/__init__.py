"""A kind cluster that is ours.

configuration  what kind is given
record         what a later run has to know of a cluster, and the lock against a second run
mirrors        what a node asks in place of a registry
network        the Docker network of a cluster
nodes          its containers, and their removal
kind_cluster   the cluster itself
lifetime       a cluster for a run, and its deletion
"""

from meshproof.cluster.kind.configuration import CONFIGURATION
from meshproof.cluster.kind.kind_cluster import Cluster
from meshproof.cluster.kind.lifetime import cluster_named, cluster_of_run, delete_cluster, kept_cluster
from meshproof.cluster.kind.record import Record, clusters, used_by_us

__all__ = [
    "CONFIGURATION",
    "Cluster",
    "Record",
    "cluster_named",
    "cluster_of_run",
    "clusters",
    "delete_cluster",
    "kept_cluster",
    "used_by_us",
]
