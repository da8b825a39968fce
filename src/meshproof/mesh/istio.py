"""Istio: install it, and ask a proxy what it has been told.

Source of the installation's options: https://istio.io/latest/docs/reference/config/istio.operator.v1alpha1/
"""

from __future__ import annotations

import hashlib
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from meshproof.cluster.kube import Kube
from meshproof.errors import ClusterError, CommandFailed
from meshproof.images import ImageSet
from meshproof.machine import process
from meshproof.machine.wait import until
from meshproof.settings import TIMEOUTS

MANIFESTS = Path(__file__).with_name("installation")
NAMESPACE = "istio-system"
_PROXY_ANSWER = 15.0  # seconds; a proxy that hangs never does


def install(images: ImageSet, kubeconfig: Path) -> None:
    """Install the control plane and both gateways, and wait until they are ready.

    Raises:
        ClusterError: istioctl failed; with its last words.
    """
    command: list[str | Path] = [images.istioctl, "install", "--skip-confirmation", f"--kubeconfig={kubeconfig}"]
    command += [f"--filename={file}" for file in _operator_files(images)]
    command += [f"--set=hub={images.istio_hub}", f"--set=tag={images.istio_tag}"]
    explained = ""
    command += [f"--readiness-timeout={TIMEOUTS.mesh_install:.0f}s"]
    try:
        process.run(command, timeout=TIMEOUTS.mesh_install + TIMEOUTS.program)
    except CommandFailed as error:
        with suppress(ClusterError):
            explained = Kube(kubeconfig).explain(NAMESPACE)
        raise ClusterError(f"`istioctl install` failed: {error.tail.strip()[-400:]}. {explained}") from error


def renew(kube: Kube) -> None:
    """Have the pods of a mesh that was installed over another one as a new mesh has them.

    ``istioctl install`` removes what is no longer asked for, but istiod goes on with the configuration and the template
    of sidecars that it has read, and gateways with what was injected into them.

    Raises:
        NotSettled: A pod is not ready again.
    """
    for name in sorted(
        kube.deployments(NAMESPACE), key=lambda name: name != "istiod"
    ):  # istiod injects into the others
        kube.rolled_out(NAMESPACE, name)
        kube.renew_pods(NAMESPACE, name)


def identity(images: ImageSet) -> str:
    """Name what `install` would install: the images and the options, by their content."""
    content = hashlib.sha256("".join(file.read_text() for file in _operator_files(images)).encode())
    return f"{images.istio_hub}:{images.istio_tag} {content.hexdigest()[:16]}"


def _operator_files(images: ImageSet) -> list[Path]:
    return [MANIFESTS / "operator.yaml", *([MANIFESTS / "vanilla-envoy.yaml"] if images.vanilla_envoy else [])]


def control_plane_ready(kube: Kube, installing: Future[None]) -> None:
    """Wait until istiod can inject sidecars.

    Args:
        kube: The cluster.
        installing: The installation that goes on meanwhile; when it fails there is nothing to wait for.
    """

    def observe() -> str:
        if installing.done():
            installing.result()
        return "ready" if kube.is_rolled_out(NAMESPACE, "istiod") else "not rolled out"

    until(observe, "ready", what="istiod", timeout=TIMEOUTS.mesh_install, hint=lambda: kube.explain(NAMESPACE))


def gateway_ports() -> dict[int, int]:
    """Return the node ports of the ingress gateway by the port of its Service."""
    return {port["port"]: port["nodePort"] for port in _ingress_service()}


def gateway_target_ports() -> dict[int, int]:
    """Return the ports of the ingress gateway's pod by the port of its Service."""
    return {port["port"]: port["targetPort"] for port in _ingress_service()}


@cache
def _ingress_service() -> list[dict[str, Any]]:
    operator = yaml.safe_load((MANIFESTS / "operator.yaml").read_text())
    (ingress,) = operator["spec"]["components"]["ingressGateways"]
    ports: list[dict[str, Any]] = ingress["k8s"]["service"]["ports"]
    return ports


def proxy_request(kube: Kube, namespace: str, app: str, path: str) -> str:
    """Ask the Envoy of one of an application's pods for a page of its admin interface.

    Raises:
        ClusterError: There is no ready pod, or its agent refused.
    """
    return pod_request(kube, namespace, kube.pod(namespace, app), path)


def pod_request(kube: Kube, namespace: str, pod: str, path: str) -> str:
    """Ask the Envoy of a pod; see ``proxy_request``."""
    command = ["pilot-agent", "request", "GET", path]
    output = kube.run_in_pod(namespace, pod, "istio-proxy", command, timeout=_PROXY_ANSWER)
    if output.status != 0:
        raise ClusterError(f"The proxy of {namespace}/{pod} did not give its {path}: {output.err.strip()[-200:]}")
    return output.out
