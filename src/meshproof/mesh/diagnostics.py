"""What helps to find out why something failed, in one directory; no Secret is ever read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from meshproof.cluster.kube import Kube
from meshproof.errors import ClusterError
from meshproof.mesh import istio

_PAGES = ("config_dump", "clusters")


def collect(kube: Kube, directory: Path) -> None:
    """Write the state of the pods, the events, the logs and the configuration of the proxies.

    Envoy puts "[redacted]" in place of private keys in its dump.

    Args:
        kube: The cluster.
        directory: Where to write; made if need be.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for namespace in kube.pods.namespaces():
        _write(directory / f"{namespace}-pods.txt", kube.pods.describe, namespace)
        _write(directory / f"{namespace}-events.txt", kube.pods.events, namespace)
        for pod, container in kube.pods.containers(namespace):
            _write(directory / f"{namespace}-{pod}-{container}.log", kube.pods.log, namespace, pod, container)
            for page in _PAGES if container == istio.PROXY else ():
                _write(directory / f"{namespace}-{pod}-{page}.txt", istio.pod_request, kube, namespace, pod, page)


def _write(file: Path, get: Callable[..., str], *args: object) -> None:
    """Write one piece of evidence, or why there is none: the others are as valuable without it."""
    try:
        file.write_text(get(*args))
    except ClusterError as error:
        file.write_text(f"{error}\n")
