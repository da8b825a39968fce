"""Pods, and what keeps them: a Deployment, a CronJob, nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from meshproof.cluster.objects import Document, containers_of
from meshproof.mesh import istio

_SIDECAR = "sidecar"
_AMBIENT = "ambient.istio.io/redirection"
_OF_CRON_JOB = re.compile(r"(.+)-\d{8,}")
"""The name of a Job that a CronJob made: with the minute that it was for."""


@dataclass(frozen=True, slots=True)
class Owner:
    """What keeps some pods.

    Attributes:
        namespace: Where they are.
        kind: Its kind, such as ``Deployment``; ``Pod`` if nothing keeps them.
        name: Its name.
        pods: The pods.
    """

    namespace: str
    kind: str
    name: str
    pods: tuple[Document, ...]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def pod_names(self) -> list[str]:
        """The names of its pods."""
        return sorted(pod["metadata"]["name"] for pod in self.pods)

    @property
    def restart(self) -> str:
        """What replaces its pods."""
        if self.kind in {"Deployment", "StatefulSet", "DaemonSet"}:
            return f"kubectl rollout restart {self.kind.lower()}/{self.name} -n {self.namespace}"
        return "its next Job gets one" if self.kind == "CronJob" else f"make the {self.kind} anew"


def owners_of(pods: Iterable[Document]) -> list[Owner]:
    """Return what keeps some pods, by name."""
    groups: dict[tuple[str, str, str], list[Document]] = {}
    for pod in pods:
        groups.setdefault((pod["metadata"]["namespace"], *_owner(pod)), []).append(pod)
    return [Owner(*key, tuple(members)) for key, members in sorted(groups.items())]


def _owner(pod: Document) -> tuple[str, str]:
    """Return the kind and the name of what keeps a pod: of a ReplicaSet or a Job, of what its own name comes from."""
    owners = [owner for owner in pod["metadata"].get("ownerReferences") or [] if owner.get("controller")]
    if not owners:
        return "Pod", pod["metadata"]["name"]
    kind, name = owners[0]["kind"], owners[0]["name"]
    template = labels_of(pod).get("pod-template-hash")
    if kind == "ReplicaSet" and template and name.endswith(f"-{template}"):
        return "Deployment", name.removesuffix(f"-{template}")
    if kind == "Job" and (of_cron_job := _OF_CRON_JOB.fullmatch(name)):
        return "CronJob", of_cron_job[1]
    return kind, name


def labels_of(document: Document) -> Mapping[str, str]:
    """Return an object's labels."""
    labels: Mapping[str, str] = document["metadata"].get("labels") or {}
    return labels


def annotations_of(document: Document) -> Mapping[str, str]:
    """Return an object's annotations."""
    annotations: Mapping[str, str] = document["metadata"].get("annotations") or {}
    return annotations


def has_sidecar(pod: Document) -> bool:
    """Return whether a pod has the proxy of an application; that of a gateway is none."""
    return any(
        container["name"] == istio.PROXY and _SIDECAR in (container.get("args") or [])
        for container in containers_of(pod)
    )


def has_proxy_alone(pod: Document) -> bool:
    """Return whether a pod is a proxy that is nobody's sidecar, such as a gateway, in whatever namespace."""
    return not has_sidecar(pod) and any(container["name"] == istio.PROXY for container in containers_of(pod))


def is_in_ambient(pod: Document) -> bool:
    """Return whether the ztunnel of its node carries a pod's traffic.

    Source: https://istio.io/latest/docs/ambient/architecture/traffic-redirection/
    """
    return annotations_of(pod).get(_AMBIENT) == "enabled"


def is_there(pod: Document) -> bool:
    """Return whether a pod has not ended, and was not told to; it need not have begun."""
    ended = pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}
    return not ended and "deletionTimestamp" not in pod["metadata"]


def is_running(pod: Document) -> bool:
    """Return whether a pod has begun."""
    return bool(pod.get("status", {}).get("phase") == "Running")


def full_name(document: Document) -> str:
    """Return the name of an object with its namespace."""
    return f"{document['metadata']['namespace']}/{document['metadata']['name']}"
