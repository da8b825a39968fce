"""Istio: install it, and ask a proxy what it has been told.

Source of the installation's options: https://istio.io/latest/docs/reference/config/istio.operator.v1alpha1/
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from meshproof.cluster.gateway_ports import PORTS
from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document
from meshproof.errors import ClusterError, CommandFailed
from meshproof.images import MeshImages
from meshproof.machine import process
from meshproof.machine.wait import until
from meshproof.mesh.overlays import laid_over
from meshproof.settings import TIMEOUTS

_INSTALLATION = Path(__file__).with_name("installation")
_NAMES = {80: "http2", 443: "https"}  # of ports of the Service: Istio takes their protocols from them
NAMESPACE = "istio-system"
PROXY = "istio-proxy"
"""The container of a pod that is its proxy."""
_ISTIOD = "discovery"  # the container of istiod's pods
REVISION = "istio.io/rev"
"""The label of pods of istiod and of gateways that says of which revision they are."""
_NAMELESS = "default"  # the revision that has no name
_ADMIN_PORT, _DEBUGGING_PORT = 15000, 15014  # of a proxy, and of istiod
_ANSWER = 15.0  # seconds; a proxy or an istiod that hangs never does


@dataclass(frozen=True, slots=True)
class Installation:
    """A mesh as it is asked for.

    Attributes:
        images: What it is made of.
        overlays: Documents of the kind IstioOperator, in YAML, that are added to ours, the last one last.
        revision: What its control plane is called; empty for the one that has no name.
        gateways: Whether it brings its gateways.
    """

    images: MeshImages
    overlays: tuple[str, ...] = ()
    revision: str = ""
    gateways: bool = True


def install(installation: Installation, kubeconfig: Path) -> None:
    """Install the control plane and the gateways, and wait until they are ready.

    Raises:
        ClusterError: istioctl failed; with its last words.
    """
    with _options(installation) as options:
        istioctl(
            installation.images,
            kubeconfig,
            "install",
            "--skip-confirmation",
            f"--readiness-timeout={TIMEOUTS.mesh_install:.0f}s",
            *options,
        )


def generated(installation: Installation, kubeconfig: Path) -> list[Document]:
    """Return all documents of an installation, and install nothing.

    Raises:
        ClusterError: istioctl failed; with its last words.
    """
    with _options(installation) as options:
        printed = istioctl(installation.images, kubeconfig, "manifest", "generate", *options)
    return [document for document in yaml.safe_load_all(printed) if document]


def istioctl(mesh: MeshImages, kubeconfig: Path, *words: str) -> str:
    """Run the istioctl of a mesh on a cluster, and return what it printed.

    Raises:
        ClusterError: It failed; with its last words, and what is wrong with the pods of Istio.
    """
    command: list[str | Path] = [mesh.istioctl, *words, f"--kubeconfig={kubeconfig}"]
    explained = ""
    try:
        return process.run(command, timeout=TIMEOUTS.mesh_install + TIMEOUTS.program)
    except CommandFailed as error:
        with suppress(ClusterError):
            explained = Kube(kubeconfig).pods.explain(NAMESPACE)
        message = error.tail[max(error.tail.rfind("Error:"), 0) :]  # before it istioctl has drawn a ship
        raise ClusterError(f"`istioctl {words[0]}` failed: {message.strip()[-400:]}. {explained}") from error


def refusal_of_file(mesh: MeshImages, file: Path) -> str:
    """Return what the istioctl of a mesh says against the documents of a file; empty where it says nothing.

    It knows the fields of an IstioOperator and of Istio's own kinds, but no kind that is not Istio's.

    Raises:
        ToolMissing: It can't be run.
        CommandFailed: It was ended before it could say, or ended with an error and said nothing.

    Source: https://istio.io/latest/docs/reference/commands/istioctl/#istioctl-validate
    """
    return _refusal(mesh, "validate", f"--filename={file}")


def refusal_of(installation: Installation) -> str:
    """Return why the istioctl of a mesh could not make its documents; empty where it can.

    Raises:
        ToolMissing: It can't be run.
        CommandFailed: It was ended before it could say, or ended with an error and said nothing.
    """
    with _options(installation) as options:
        return _refusal(installation.images, "manifest", "generate", *options)


def _refusal(mesh: MeshImages, *words: str) -> str:
    """Run the istioctl of a mesh on no cluster."""
    try:
        process.run([mesh.istioctl, *words], env={"KUBECONFIG": os.devnull}, timeout=TIMEOUTS.program)
    except CommandFailed as error:
        if error.returncode < 0 or not error.tail.strip():  # a signal, or no end in time
            raise
        items = [line.strip().removeprefix("* ") for line in error.tail.splitlines() if line.startswith("\t* ")]
        return "; ".join(items) or error.last.removeprefix("Error: ")
    return ""


@contextmanager
def _options(installation: Installation) -> Iterator[list[str]]:
    """Write the files that istioctl is given; give the options that name them."""
    mesh = installation.images
    options = [f"--set=hub={mesh.hub}", f"--set=tag={mesh.tag}"]
    if installation.revision:
        options.append(f"--set=revision={installation.revision}")
    with TemporaryDirectory(prefix="meshproof-") as directory:
        file = Path(directory, "operator.yaml")
        file.write_text(operator(installation))
        yield [*options, f"--filename={file}"]


def renew(kube: Kube) -> None:
    """Have the pods of a mesh that was installed over another one as a new mesh has them.

    ``istioctl install`` removes what is no longer asked for, but istiod goes on with the configuration and the template
    of sidecars that it has read, and gateways with what was injected into them.

    Raises:
        NotSettled: A pod is not ready again.
    """
    for name in sorted(
        kube.deployments.names(NAMESPACE), key=lambda name: name != "istiod"
    ):  # istiod injects into the others
        kube.deployments.rolled_out(NAMESPACE, name)
        kube.deployments.renew_pods(NAMESPACE, name)


def identity(installation: Installation) -> str:
    """Name what `install` would install: the images and the options, by their content."""
    mesh = installation.images
    content = hashlib.sha256(operator(installation).encode())
    return f"{mesh.hub}:{mesh.tag} {content.hexdigest()[:16]}"


def operator(installation: Installation) -> str:
    """Return the document that `istioctl install` is given."""
    mesh = installation.images
    document = yaml.safe_load((_INSTALLATION / "operator.yaml").read_text())
    (ingress,) = document["spec"]["components"]["ingressGateways"]
    ingress["k8s"]["service"]["ports"] = [
        {
            "name": _NAMES.get(port.number, f"https-{port.number}"),
            "port": port.number,
            "targetPort": port.target,
            "nodePort": port.node,
        }
        for port in PORTS
    ]
    if mesh.pinned:
        document["spec"]["values"]["pilot"]["image"] = mesh.pinned["pilot"]
        document["spec"]["values"]["global"]["proxy"]["image"] = mesh.pinned["proxyv2"]
        document["spec"]["values"]["global"]["proxy_init"] = {"image": mesh.pinned["proxyv2"]}
    upstream = [(_INSTALLATION / "upstream-envoy.yaml").read_text()] if mesh.upstream_envoy else []
    without = [] if installation.gateways else [(_INSTALLATION / "no-gateways.yaml").read_text()]
    for overlay in (*upstream, *installation.overlays, *without):
        document = laid_over(document, yaml.safe_load(overlay))
    return yaml.safe_dump(document)


def tls_defaults(kube: Kube, revision: str) -> dict[str, Any]:
    """Return what a control plane gives servers of gateways that say nothing: its ``meshConfig.tlsDefaults``.

    Args:
        kube: The cluster.
        revision: What the control plane is called; ``default`` is the one without a name.

    Source: https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#MeshConfig-TLSConfig
    """
    name = "istio" if revision == _NAMELESS else f"istio-{revision}"
    there = kube.get("v1", "ConfigMap", name, NAMESPACE) or {}
    mesh = yaml.safe_load(there.get("data", {}).get("mesh", "")) or {}
    defaults: dict[str, Any] = mesh.get("tlsDefaults") or {}
    return defaults


def control_plane_ready(kube: Kube, installing: Future[None]) -> None:
    """Wait until istiod can inject sidecars.

    Args:
        kube: The cluster.
        installing: The installation that goes on meanwhile; when it fails there is nothing to wait for.
    """

    def observe() -> str:
        if installing.done():
            installing.result()
        return "ready" if kube.deployments.is_rolled_out(NAMESPACE, "istiod") else "not rolled out"

    until(observe, "ready", what="istiod", timeout=TIMEOUTS.mesh_install, hint=lambda: kube.pods.explain(NAMESPACE))


def control_plane_log(kube: Kube) -> str:
    """Return the whole log of istiod, of all its pods that are ready.

    Raises:
        ClusterError: None is ready.
    """
    return "\n".join(kube.pods.log(NAMESPACE, pod, _ISTIOD, lines=None) for pod in kube.pods.ready(NAMESPACE, "istiod"))


def control_plane_pages(kube: Kube, path: str) -> list[str]:
    """Ask each ready pod of istiod for a page of its port for debugging and metrics, such as ``metrics``.

    Source: https://istio.io/latest/docs/ops/deployment/application-requirements/ (the ports of istiod)

    Raises:
        ClusterError: None is ready, or one did not answer.
    """
    pods = kube.pods.ready(NAMESPACE, "istiod")
    return [kube.pods.page(NAMESPACE, pod, _DEBUGGING_PORT, f"/{path}", timeout=_ANSWER) for pod in pods]


def control_plane_releases(kube: Kube) -> list[tuple[str, str]]:
    """Ask each ready pod of istiod which release it runs; return it after the pod's revision.

    The answer ends with the revision of the source and the state of the build, as in ``1.31.0-eed52eb-Clean``.

    Source: https://istio.io/latest/docs/reference/commands/istioctl/#istioctl-version, which asks the same

    Raises:
        ClusterError: None is ready, or one did not answer.
    """
    revisions = {
        pod["metadata"]["name"]: pod["metadata"]["labels"].get(REVISION, "none")
        for pod in kube.pods.of(NAMESPACE, "istiod")
    }
    pages = {
        pod: kube.pods.page(NAMESPACE, pod, _DEBUGGING_PORT, "/version", timeout=_ANSWER)
        for pod in kube.pods.ready(NAMESPACE, "istiod")
        if pod in revisions
    }
    return [(revisions[pod], page.strip().rsplit("-", 2)[0]) for pod, page in pages.items()]


def proxy_request(kube: Kube, namespace: str, app: str, path: str) -> str:
    """Ask the Envoy of one of an application's pods for a page of its admin interface.

    Raises:
        ClusterError: There is no ready pod, or its proxy did not answer.
    """
    return pod_request(kube, namespace, kube.pods.any_ready(namespace, app), path)


def pod_request(kube: Kube, namespace: str, pod: str, path: str) -> str:
    """Ask the Envoy of a pod; see ``proxy_request``.

    Source: https://istio.io/latest/docs/ops/deployment/application-requirements/ (the ports of a proxy)
    """
    return kube.pods.page(namespace, pod, _ADMIN_PORT, f"/{path}", timeout=_ANSWER)
