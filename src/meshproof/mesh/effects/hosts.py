"""Hosts of Gateways and VirtualServices: names, and names with ``*`` for their beginning."""

from __future__ import annotations

CLUSTER_SUFFIX = ".svc.cluster.local"
"""How the whole name of a Service ends."""


def bare(host: str) -> str:
    """Return a host of a Gateway's server without the namespace that may bind to it."""
    return host.rpartition("/")[2]


def hosts_meet(one: str, other: str) -> bool:
    """Return whether two hosts, each a name or one with ``*`` for its beginning, have a name in common."""
    one_end, other_end = one.removeprefix("*"), other.removeprefix("*")
    if one != one_end and other != other_end:
        return one_end.endswith(other_end) or other_end.endswith(one_end)
    return (
        one == other or (one != one_end and other.endswith(one_end)) or (other != other_end and one.endswith(other_end))
    )


def whole_host(host: str, namespace: str) -> str:
    """Return the whole name of a host: one without a dot is a Service in the namespace of the document."""
    return host if "." in host or host == "*" else f"{host}.{namespace}{CLUSTER_SUFFIX}"


def is_within(host: str, other: str) -> bool:
    """Return whether all names of a host are names of another one, too."""
    end = other.removeprefix("*")
    return host == other or (end != other and host.removeprefix("*").endswith(end))
