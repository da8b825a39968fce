"""The authority of the mesh, plugged in: whose key signs what proxies show, and which roots they trust.

istiod has made a root of its own. Where it finds the Secret ``cacerts`` when it starts, it takes that one instead; and
with ISTIO_MULTIROOT_MESH it then takes every change of the Secret that adds roots or takes some away while it runs. A
proxy whose agent has PROXY_CONFIG_XDS_AGENT is told at once and asks for a new certificate, whenever the list of roots
has changed, be it in its order only. So the root that signs is the first one of the list.

Source: https://istio.io/latest/docs/tasks/security/cert-management/plugin-ca-cert/, and handleEvent in Istio's
pilot/pkg/bootstrap/istio_ca.go
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from meshproof.certificates.authority import Authority
from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document
from meshproof.errors import ClusterError
from meshproof.machine.console import stage
from meshproof.machine.undoing import afterwards
from meshproof.machine.wait import until
from meshproof.mesh import istio
from meshproof.mesh.envoy import Proxies
from meshproof.mesh.workload_certificate import ROOTS, Trust, trust_of
from meshproof.settings import TIMEOUTS

_PLUGGED_IN = (
    "meshproof/plugged-in"  # the label of our cacerts, and the annotation of the pods of an istiod that read it
)
_REFRESHED = "meshproof/refreshed"
_SELF_SIGNED, _CACERTS = "istio-ca-secret", "cacerts"
_ANY = ""  # a selector that every pod meets
_OURS: Document = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": _CACERTS, "namespace": istio.NAMESPACE, "labels": {_PLUGGED_IN: ""}},
}


class PluggedAuthority:
    """The authority of a mesh that reads ``cacerts``.

    Attributes:
        own: The root that istiod has made itself, which the mesh begins and ends with.
    """

    def __init__(self, kube: Kube) -> None:
        """Read istiod's own root; its key stays in memory.

        Raises:
            ClusterError: The mesh has none, for its authority has been plugged in by somebody else.
        """
        self._kube = kube
        secret = kube.get("v1", "Secret", _SELF_SIGNED, istio.NAMESPACE)
        if secret is None or (self._cacerts() or _OURS)["metadata"].get("labels", {}).get(_PLUGGED_IN) is None:
            raise ClusterError(
                f"istiod has no root of its own (Secret {_SELF_SIGNED}), or a Secret {_CACERTS} that meshproof has not "
                "made: the authority of the mesh is left as it is. Delete that Secret and restart istiod, or take "
                "a new cluster."
            )
        self.own = _authority("istiod", secret)

    def plug_in(self) -> None:
        """Have istiod read its own root from ``cacerts``; nothing changes for the proxies, which all call it anew.

        Raises:
            NotSettled: istiod, or a proxy, did not do so.
        """
        self.write_cacerts(self.own)
        self._restart({_PLUGGED_IN: ""})

    def sign_with(self, signer: Authority, *also_trusted: Authority) -> list[Trust]:
        """Have every proxy show what an authority signed, and trust it and some others; return what they show.

        Raises:
            NotSettled: Which proxy does not.
        """
        trusts: list[Trust] = []
        trusted = [signer, *also_trusted]

        def not_yet() -> list[str]:
            trusts[:] = trust_of(self._kube)
            pods = [trust.pod for trust in trusts if not trust.is_exactly(signer, *trusted)]
            if pods:
                self.refresh_files()
            return pods

        self.write_cacerts(signer, *also_trusted)
        until(
            not_yet,
            [],
            what=f"Proxies that do not yet show a certificate of {signer} and trust exactly "
            f"{' and '.join(map(str, trusted))}: the list",
            timeout=TIMEOUTS.rollout,
            hint=lambda: f"See the log of istiod in {istio.NAMESPACE}.",
        )
        return trusts

    def write_cacerts(self, signer: Authority, *also_trusted: Authority) -> None:
        """Put an authority that is to sign, and others that are to be trusted beside it, into ``cacerts``.

        istiod may not take it. It looks when the kubelet has brought it the files: see ``refresh_files``.
        """
        files = {
            "ca-cert.pem": signer.pem,
            "ca-key.pem": signer.key_pem,
            "cert-chain.pem": signer.pem,
            "root-cert.pem": b"".join(authority.pem for authority in (signer, *also_trusted)),
        }
        data = {name: base64.b64encode(content).decode() for name, content in files.items()}
        self._kube.apply([{**_OURS, "data": data}])

    def refresh_files(self) -> None:
        """Have the kubelet bring istiod the files of ``cacerts`` now; by itself it may take a minute and a half."""
        self._refresh_files_of("app=istiod")

    def restore(self) -> None:
        """Have istiod go on with its own root, and every proxy with it, whatever was in ``cacerts`` last.

        Raises:
            NotSettled: istiod, or a proxy, did not do so.
        """
        if cacerts := self._cacerts():
            last = _authority("the last root", cacerts)
            if last.pem != self.own.pem:
                self.sign_with(last, self.own)
                self.sign_with(self.own, last)
            self.sign_with(self.own)
            self._refresh_files_of(_ANY)  # proxies call an istiod that is new, and know it by a file
            self._kube.delete([cacerts])
        self._restart({})

    def _cacerts(self) -> Document | None:
        return self._kube.get("v1", "Secret", _CACERTS, istio.NAMESPACE)

    def _refresh_files_of(self, selector: str) -> None:
        """Have the kubelet look now at the files of the pods with some labels, as it does whenever a pod changes."""
        for pod in self._kube.labelled(selector, {"Pod": ("v1",)}):
            metadata = pod["metadata"]
            if any(map(_is_of_the_authority, pod["spec"].get("volumes") or [])) and "deletionTimestamp" not in metadata:
                names = {"name": metadata["name"], "namespace": metadata["namespace"]}
                for annotations in ({_REFRESHED: ""}, {}):
                    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {**names, "annotations": annotations}}
                    with suppress(ClusterError):  # it is gone meanwhile
                        self._kube.apply([document])

    def _restart(self, annotations: dict[str, str]) -> None:
        """Have istiod's pods with some annotations and no other of ours, and wait until every proxy has called them."""
        template = {"metadata": {"annotations": annotations}}
        metadata = {"name": "istiod", "namespace": istio.NAMESPACE}
        self._kube.apply(
            [{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"template": template}}]
        )
        self._kube.deployments.rolled_out(istio.NAMESPACE, "istiod")
        until(
            partial(_without_istiod, self._kube),
            [],
            what="The list of proxies that have no connection to istiod",
            timeout=TIMEOUTS.rollout,
        )


def restore_left(kube: Kube) -> None:
    """Give the mesh its own root back where a killed run left another one.

    Raises:
        NotSettled: istiod, or a proxy, did not take it.
    """
    secret = kube.get("v1", "Secret", _CACERTS, istio.NAMESPACE)
    if secret is not None and _PLUGGED_IN in secret["metadata"].get("labels", {}):
        with stage("gave the mesh its own root back"):
            PluggedAuthority(kube).restore()


@contextmanager
def plugged_in(kube: Kube) -> Iterator[PluggedAuthority]:
    """Have istiod read its root from ``cacerts`` for as long as the context lasts, and then the mesh as it was before.

    What a killed run left is put right first.

    Raises:
        ClusterError: See ``PluggedAuthority``.
        NotSettled: istiod or a proxy did not take what it was told.
    """
    authority = PluggedAuthority(kube)
    with afterwards(authority.restore):
        authority.restore()
        authority.plug_in()
        yield authority


def _authority(name: str, secret: Document) -> Authority:
    certificate, key = (base64.b64decode(secret["data"][file]) for file in ("ca-cert.pem", "ca-key.pem"))
    return Authority.from_pem(name, certificate, key)


def _is_of_the_authority(volume: Document) -> bool:
    """Return whether a volume of a pod has the files of the mesh's authority, or of the roots to trust."""
    secret: str | None = volume.get("secret", {}).get("secretName")
    config_map: str | None = volume.get("configMap", {}).get("name")
    return secret == _CACERTS or config_map == ROOTS


def _without_istiod(kube: Kube) -> list[str]:
    """Return the proxies that have no connection to an istiod that is to stay."""
    connected: list[str] = []
    for page in istio.control_plane_pages(kube, "debug/connections"):
        connected += [client["connectionId"] for client in json.loads(page).get("clients") or []]
    proxies = [pod["metadata"] for pod in Proxies().pods(kube)]
    ids = [f"{metadata['name']}.{metadata['namespace']}-" for metadata in proxies]
    return [name for name in ids if not any(connection.startswith(name) for connection in connected)]
