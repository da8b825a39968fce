"""What is done to a mesh on its way, each step as a person would do it with istioctl and kubectl.

Source: https://istio.io/latest/docs/setup/upgrade/canary/ and https://istio.io/latest/docs/setup/upgrade/in-place/; for
revision tags https://istio.io/latest/blog/2021/revision-tags/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document, name_of
from meshproof.mesh import istio
from meshproof.mesh.gateways import DEPLOYMENTS
from meshproof.mesh.istio import Installation
from meshproof.mesh.manifests import FIRST, LAST, TURN

_TAG = "default"
"""The revision tag of namespaces with the label ``istio-injection: enabled``."""
_COMPONENT = "operator.istio.io/component"
_OF_GATEWAYS = {"IngressGateways", "EgressGateways"}
_OF_A_USER = {"annotations", "labels", "name", "namespace"}
_INJECTS = "MutatingWebhookConfiguration"
_KINDS_FIRST = ("Namespace", "CustomResourceDefinition", "ServiceAccount", "ClusterRole", "Role")


def revision_of(release: str) -> str:
    """Return what the control plane of a release of Istio is called while an older one is there."""
    return release.replace(".", "-")


class Steps:
    """The steps of one upgrade.

    Attributes:
        before: The mesh that is there.
        after: The one that is to be.
        applied: What is applied when the new gateways come.
        revision: What the new control plane is called while both are there.
    """

    def __init__(
        self, before: Installation, after: Installation, applied: Sequence[Document], kube: Kube, kubeconfig: Path
    ) -> None:
        self.before = before
        self.after = after
        self.applied = applied
        self._replaced: list[Document] = []
        self._first: list[Document] | None = None  # the first half, as it was when it was restarted first
        self.revision = revision_of(after.images.istio)
        self._beside = replace(after, revision=self.revision)
        self._kube = kube
        self._kubeconfig = kubeconfig

    def install_beside(self) -> None:
        """Install the new control plane under its revision, beside the old one, without gateways."""
        istio.install(replace(self._beside, gateways=False), self._kubeconfig)

    def replace_gateways(self) -> None:
        """Have the new control plane's gateways: the Deployments keep their names, and their pods go over."""
        self._install(self._beside)

    def apply(self) -> None:
        """Apply what the new side has beside its mesh; remember what was there."""
        there = [
            self._kube.get(document["apiVersion"], document["kind"], *_place(document)) for document in self.applied
        ]
        self._replaced = [_as_applied(document) for document in there if document]
        self._kube.apply(self.applied)

    def apply_back(self) -> None:
        """Have everything as it was before ``apply``."""
        names = {name_of(document) for document in self._replaced}
        self._kube.delete([document for document in self.applied if name_of(document) not in names])
        self._kube.replace(self._replaced)

    def move_tag(self) -> None:
        """Have the new control plane inject the sidecars of namespaces with ``istio-injection: enabled``."""
        self._lead_tag_to(self.revision)

    def move_tag_back(self) -> None:
        """Have the old control plane inject them again."""
        self._lead_tag_to("default")

    def restart_first(self) -> None:
        """Replace the pods of the first half of the Deployments that have sidecars: of the same ones each time."""
        there = self._with_sidecars()
        if self._first is None:
            self._first, _ = halves(there)
        self._restart(parted(there, self._first)[0])

    def restart_last(self) -> None:
        """Replace those of all others, also of those that have come since."""
        self._restart(parted(self._with_sidecars(), self._first or [])[1])

    def uninstall_before(self) -> None:
        """Remove the old control plane."""
        self._istioctl("uninstall", "--skip-confirmation", "--revision=default")
        self._kube.deployments.gone(istio.NAMESPACE, "istiod")

    def uninstall_after(self) -> None:
        """Remove the new control plane.

        The tag leads to the old one, and stays: with it ``istioctl tag remove`` would take the validation.
        """
        self._istioctl("uninstall", "--skip-confirmation", f"--revision={self.revision}")
        self._kube.deployments.gone(istio.NAMESPACE, f"istiod-{self.revision}")

    def install_before(self) -> None:
        """Install the old mesh over whatever is there."""
        self._install(self.before)

    def install_after(self) -> None:
        """Install the new mesh over the old one."""
        self._install(self.after)

    def replace_control_plane(self) -> None:
        """Apply what the new control plane is made of, and leave the gateways as they are.

        istioctl itself replaces both in one go; Helm's charts are upgraded one after the other, as here. The webhooks
        that inject are left to istioctl: it deactivates those of the revision where those of a tag are in force, and
        prints them active.
        """
        documents = istio.generated(self.after, self._kubeconfig)
        control_plane = [
            document for document in documents if not _is_of_a_gateway(document) and document["kind"] != _INJECTS
        ]
        self._kube.apply(sorted(control_plane, key=lambda document: document["kind"] not in _KINDS_FIRST))
        self._kube.deployments.rolled_out(istio.NAMESPACE, "istiod")

    def _install(self, installation: Installation) -> None:
        """Install a mesh, and wait until the gateways' old pods are gone."""
        istio.install(installation, self._kubeconfig)
        self._kube.deployments.settled(istio.NAMESPACE, *DEPLOYMENTS)

    def _lead_tag_to(self, revision: str) -> None:
        self._istioctl("tag", "set", _TAG, f"--revision={revision}", "--overwrite", "--skip-confirmation")

    def _istioctl(self, *words: str) -> None:
        istio.istioctl(self.after.images, self._kubeconfig, *words)

    def _with_sidecars(self) -> list[Document]:
        """Return the Deployments outside of Istio's namespace whose pods have sidecars, in the order of their names."""
        return sorted(
            (
                deployment
                for deployment in self._kube.deployments.with_container(istio.PROXY)
                if deployment["metadata"]["namespace"] != istio.NAMESPACE
            ),
            key=lambda deployment: (deployment["metadata"]["namespace"], deployment["metadata"]["name"]),
        )

    def _restart(self, deployments: Sequence[Document]) -> None:
        names: dict[str, list[str]] = {}
        for deployment in deployments:
            names.setdefault(deployment["metadata"]["namespace"], []).append(deployment["metadata"]["name"])
        self._kube.deployments.restart_in_turn(names)


def halves(deployments: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """Return which Deployments go over first, and which last: as their label says, or else by turns."""
    first: list[Document] = []
    last: list[Document] = []
    free: list[Document] = []
    sides = {FIRST: first, LAST: last}
    for deployment in deployments:
        turn = deployment["metadata"].get("labels", {}).get(TURN, "")
        sides.get(turn, free).append(deployment)
    return [*first, *free[::2]], [*last, *free[1::2]]


def parted(deployments: Sequence[Document], first: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """Return which Deployments are of the first half, by their names, and all others, new ones too."""
    names = [_place(deployment) for deployment in first]
    among, others = (
        [deployment for deployment in deployments if (_place(deployment) in names) is there] for there in (True, False)
    )
    return among, others


def _is_of_a_gateway(document: Document) -> bool:
    return document["metadata"].get("labels", {}).get(_COMPONENT) in _OF_GATEWAYS


def _place(document: Document) -> tuple[str, str | None]:
    """Return the name and the namespace of a document."""
    return document["metadata"]["name"], document["metadata"].get("namespace")


def _as_applied(document: Document) -> Document:
    """Return an object without what the cluster has written into it, so that it can be applied again."""
    metadata = {name: value for name, value in document["metadata"].items() if name in _OF_A_USER}
    return {name: value for name, value in document.items() if name != "status"} | {"metadata": metadata}
