"""Kubernetes, as far as we need it.

connection   the API's clients, and its errors in our words
api          documents: applied, tried, replaced, removed, listed
deployments  rollouts, and the replacement of outdated pods
pods         which are ready, commands in them, what they say
forwarding   HTTP to a port of a pod
snapshot     all objects at one moment, and what differs from another one
same_pod     whether a pod is the one that would be made now
"""

from meshproof.cluster.kube.api import Kube
from meshproof.cluster.kube.pods import Output
from meshproof.cluster.kube.snapshot import Snapshot

__all__ = ["Kube", "Output", "Snapshot"]
