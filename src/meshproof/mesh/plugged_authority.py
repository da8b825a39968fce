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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from cryptography import x509

from meshproof.certificates.authority import Authority
from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document
from meshproof.errors import ClusterError
from meshproof.machine.undoing import afterwards
from meshproof.machine.wait import until
from meshproof.mesh import istio
from meshproof.mesh.envoy import Proxies
from meshproof.mesh.workload_certificate import WorkloadCertificate
from meshproof.settings import TIMEOUTS

_AT_ONCE = 8  # proxies that are asked side by side
_SECRETS = "config_dump?resource=dynamic_active_secrets&name_regex=^(default|ROOTCA)$"
_PLUGGED_IN = (
    "meshproof/plugged-in"  # the label of our cacerts, and the annotation of the pods of an istiod that read it
)
_READ_ANEW = "meshproof/read-anew"
_SELF_SIGNED, _CACERTS = "istio-ca-secret", "cacerts"
_OURS: Document = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": _CACERTS, "namespace": istio.NAMESPACE, "labels": {_PLUGGED_IN: ""}},
}


@dataclass(frozen=True)
class Trust:
    """What one proxy shows to others in the mesh, and whom it trusts.

    Attributes:
        pod: Its namespace and name, ``default/client``.
        certificate: What it shows.
        roots: The authorities that it trusts.
    """

    pod: str
    certificate: WorkloadCertificate
    roots: tuple[x509.Certificate, ...]

    def is_of(self, signs: Authority, trusted: Sequence[Authority]) -> bool:
        """Return whether its certificate leads to an authority, by the signatures, and it trusts these and no other."""
        roots = {x509.load_pem_x509_certificate(authority.pem) for authority in trusted}
        return self.certificate.is_signed_by(signs.pem) and {*self.roots} == roots


def trust_of(kube: Kube, proxies: Proxies = Proxies()) -> list[Trust]:  # noqa: B008 - it never changes
    """Ask some proxies, by default all of the mesh, what they show and whom they trust.

    Raises:
        ClusterError: No proxy is ready, one did not answer, or one has no certificate yet.
    """

    def ask(pod: Document) -> Trust:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        dump = json.loads(istio.pod_request(kube, namespace, name, _SECRETS))
        secrets = {entry["name"]: entry["secret"] for entry in dump.get("configs", [])}
        try:
            shown = secrets["default"]["tls_certificate"]["certificate_chain"]["inline_bytes"]
            trusted = secrets["ROOTCA"]["validation_context"]["trusted_ca"]["inline_bytes"]
        except KeyError as error:
            raise ClusterError(
                f"The proxy of {namespace}/{name} has no certificate of the mesh, or no root."
            ) from error
        roots = x509.load_pem_x509_certificates(base64.b64decode(trusted))
        return Trust(f"{namespace}/{name}", WorkloadCertificate.from_pem(base64.b64decode(shown)), tuple(roots))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(ask, proxies.pods(kube)))


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
        if secret is None or (self._there() or _OURS)["metadata"].get("labels", {}).get(_PLUGGED_IN) is None:
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
        self.offer(self.own)
        self._restart({_PLUGGED_IN: ""})

    def have(self, signs: Authority, *others: Authority) -> list[Trust]:
        """Have every proxy show what an authority signed, and trust it and some others; return what they show.

        Raises:
            NotSettled: Which proxy does not.
        """
        shown: list[Trust] = []

        def observe() -> list[str]:
            shown[:] = trust_of(self._kube)
            unlike = [trust.pod for trust in shown if not trust.is_of(signs, [signs, *others])]
            if unlike:
                self.have_read()
            return unlike

        self.offer(signs, *others)
        until(
            observe,
            [],
            what=f"The list of proxies that are not of {signs}, with trust in {', '.join(map(str, [signs, *others]))},",
            timeout=TIMEOUTS.rollout,
            hint=lambda: f"See the log of istiod in {istio.NAMESPACE}.",
        )
        return shown

    def offer(self, signs: Authority, *others: Authority) -> None:
        """Put an authority that is to sign, and others that are to be trusted beside it, into ``cacerts``.

        istiod may not take it. It looks when the kubelet has brought it the files: see ``have_read``.
        """
        files = {
            "ca-cert.pem": signs.pem,
            "ca-key.pem": signs.key_pem,
            "cert-chain.pem": signs.pem,
            "root-cert.pem": b"".join(authority.pem for authority in (signs, *others)),
        }
        data = {name: base64.b64encode(content).decode() for name, content in files.items()}
        self._kube.apply([{**_OURS, "data": data}])

    def have_read(self) -> None:
        """Have the kubelet bring istiod the files of ``cacerts`` now; by itself it may take a minute and a half."""
        self._read_anew("app=istiod")

    def unplug(self) -> None:
        """Have istiod go on with its own root, and every proxy with it, whatever was in ``cacerts`` last.

        Raises:
            NotSettled: istiod, or a proxy, did not do so.
        """
        if there := self._there():
            last = _authority("the last root", there)
            if last.pem != self.own.pem:
                self.have(last, self.own)
                self.have(self.own, last)
            self.have(self.own)
            self._read_anew("")  # proxies call an istiod that is new, and know it by a file
            self._kube.delete([there])
        self._restart({})

    def _there(self) -> Document | None:
        return self._kube.get("v1", "Secret", _CACERTS, istio.NAMESPACE)

    def _read_anew(self, selector: str) -> None:
        """Have the kubelet look at the files of some pods now, as it does whenever a pod changes."""
        for pod in self._kube.labelled(selector, {"Pod": ("v1",)}):
            metadata = pod["metadata"]
            read = any(
                f"{_CACERTS}" in str(volume) or "istio-ca-root-cert" in str(volume) for volume in pod["spec"]["volumes"]
            )
            if read and "deletionTimestamp" not in metadata:
                names = {"name": metadata["name"], "namespace": metadata["namespace"]}
                for annotations in ({_READ_ANEW: ""}, {}):
                    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {**names, "annotations": annotations}}
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


@contextmanager
def plugged_in(kube: Kube) -> Iterator[PluggedAuthority]:
    """Have istiod read its root from ``cacerts`` for as long as the context lasts, and then the mesh as it was before.

    What a killed run left is put right first.

    Raises:
        ClusterError: See ``PluggedAuthority``.
        NotSettled: istiod or a proxy did not take what it was told.
    """
    authority = PluggedAuthority(kube)
    with afterwards(authority.unplug):
        authority.unplug()
        authority.plug_in()
        yield authority


def _authority(name: str, secret: Document) -> Authority:
    certificate, key = (base64.b64decode(secret["data"][file]) for file in ("ca-cert.pem", "ca-key.pem"))
    return Authority.from_pem(name, certificate, key)


def _without_istiod(kube: Kube) -> list[str]:
    """Return the proxies that have no connection to an istiod that is to stay."""
    connected: list[str] = []
    for page in istio.control_plane_pages(kube, "debug/connections"):
        connected += [client["connectionId"] for client in json.loads(page).get("clients") or []]
    there = [pod["metadata"] for pod in Proxies().pods(kube)]
    ids = [f"{metadata['name']}.{metadata['namespace']}-" for metadata in there]
    return [name for name in ids if not any(connection.startswith(name) for connection in connected)]
