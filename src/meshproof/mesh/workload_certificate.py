"""The certificate that a workload's proxy shows in the mesh, and whether the mesh's root signed it.

Istio calls the proxy's own certificate ``default``, with the chain up to its authority, and those that it trusts
``ROOTCA``.

Source: https://spiffe.io/docs/latest/spiffe-specs/x509-svid/ (what a workload's certificate has to have) and
https://istio.io/latest/docs/concepts/security/#pki
"""

from __future__ import annotations

import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256

from meshproof.certificates.authority import Authority
from meshproof.certificates.leaf import names_of
from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document
from meshproof.errors import ClusterError
from meshproof.mesh import istio
from meshproof.mesh.envoy import Proxies

_OWN, _TRUSTED = "default", "ROOTCA"
_AT_ONCE = 8  # proxies that are asked side by side
_LAST_REFUSAL = re.compile(r"failed to sign CSR: .*\bcode = (\w+)")
_SECRETS = f"config_dump?resource=dynamic_active_secrets&name_regex=^({_OWN}|{_TRUSTED})$"
ROOTS = "istio-ca-root-cert"
"""The ConfigMap of each namespace that has the authorities that the mesh trusts."""


@dataclass(frozen=True)
class WorkloadCertificate:
    """The certificate that a proxy shows to others in the mesh.

    Attributes:
        chain: The certificate, then those of the authorities that its proxy shows with it.
    """

    chain: tuple[x509.Certificate, ...] = field(repr=False)

    @classmethod
    def of(cls, kube: Kube, namespace: str, pod: str) -> WorkloadCertificate | None:
        """Ask the proxy of a pod, which need not be ready; None where it has no certificate.

        Raises:
            ClusterError: There is no such pod, or its proxy did not answer.
        """
        chain = _secrets(kube, namespace, pod).get(_OWN)
        return cls.from_pem(chain) if chain else None

    @classmethod
    def from_pem(cls, pem: bytes) -> WorkloadCertificate:
        """Read a chain of certificates.

        Raises:
            ValueError: There is no certificate in it.
        """
        return cls(tuple(x509.load_pem_x509_certificates(pem)))

    @property
    def serial(self) -> int:
        """The serial number."""
        return self.chain[0].serial_number

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All its subject alternative names, such as ``spiffe://cluster.local/ns/default/sa/httpbin``."""
        return names_of(self.chain[0])

    @property
    def fingerprint(self) -> str:
        """Its SHA-256 in hex: what ``Hash`` in X-Forwarded-Client-Cert says of it."""
        return self.chain[0].fingerprint(SHA256()).hex()

    @property
    def not_after(self) -> datetime:
        """The last moment that it is valid, in UTC."""
        return self.chain[0].not_valid_after_utc

    def is_signed_by(self, roots: bytes) -> bool:
        """Return whether its chain leads to one of some roots: by the signatures, and not only by the names.

        Args:
            roots: Certificates of authorities in PEM, such as those of ``mesh_roots``.
        """
        trusted = x509.load_pem_x509_certificates(roots)
        last, others = self.chain[0], list(self.chain[1:])
        while last not in trusted and not any(_signed(last, root) for root in trusted):
            # A proxy also shows the roots that it was told of, which need not have signed anything.
            issuer = next((one for one in others if _signed(last, one)), None)
            if issuer is None:
                return False
            others.remove(issuer)
            last = issuer
        return True

    def __str__(self) -> str:
        return f"{', '.join(self.names)}, serial number {self.serial:x}, until {self.not_after:%H:%M:%S} UTC"


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

    def is_exactly(self, signer: Authority, *trusted: Authority) -> bool:
        """Return whether its certificate leads to an authority, by the signatures, and it trusts these and no other."""
        roots = {x509.load_pem_x509_certificate(authority.pem) for authority in trusted}
        return self.certificate.is_signed_by(signer.pem) and {*self.roots} == roots


def trust_of(kube: Kube, proxies: Proxies = Proxies()) -> list[Trust]:  # noqa: B008 - it never changes
    """Ask some proxies, by default all of the mesh, what they show and whom they trust.

    Raises:
        ClusterError: No proxy is ready, one did not answer, or one has no certificate yet.
    """

    def ask(pod: Document) -> Trust:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        secrets = _secrets(kube, namespace, name)
        if not secrets.get(_OWN) or not secrets.get(_TRUSTED):
            raise ClusterError(f"The proxy of {namespace}/{name} has no certificate of the mesh, or no root.")
        roots = tuple(x509.load_pem_x509_certificates(secrets[_TRUSTED]))
        return Trust(f"{namespace}/{name}", WorkloadCertificate.from_pem(secrets[_OWN]), roots)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(ask, proxies.pods(kube)))


def _secrets(kube: Kube, namespace: str, pod: str) -> dict[str, bytes]:
    """Return the certificates, in PEM, that the proxy of a pod shows and trusts, by what Istio calls them."""
    dump = json.loads(istio.pod_request(kube, namespace, pod, _SECRETS))
    pems = {}
    for entry in dump.get("configs", []):
        secret = entry["secret"]
        chain = secret.get("tls_certificate", {}).get("certificate_chain", {})
        roots = secret.get("validation_context", {}).get("trusted_ca", {})
        pems[entry["name"]] = base64.b64decode((chain or roots).get("inline_bytes", ""))
    return pems


class Provisioning(Enum):
    """What became of a proxy's request for a certificate.

    ``TOKEN_REFUSED`` is istiod's answer with the gRPC status UNAUTHENTICATED: it does not accept the token of the pod's
    ServiceAccount. ``UNKNOWN`` is that nothing is known of an answer yet.

    Source: https://grpc.io/docs/guides/status-codes/
    """

    ISSUED = "issued"
    TOKEN_REFUSED = "token refused"  # noqa: S105 - no password
    REFUSED = "refused for another reason"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.name


def provisioning(kube: Kube, namespace: str, pod: str) -> Provisioning:
    """Return what became of the request of a pod's proxy, as its agent tells in its log; the pod need not be ready."""
    try:
        if WorkloadCertificate.of(kube, namespace, pod):
            return Provisioning.ISSUED
        codes = _LAST_REFUSAL.findall(kube.pods.log(namespace, pod, istio.PROXY))
    except ClusterError:  # it is not up yet
        return Provisioning.UNKNOWN
    if not codes:
        return Provisioning.UNKNOWN
    return Provisioning.TOKEN_REFUSED if codes[-1] == "Unauthenticated" else Provisioning.REFUSED


def mesh_roots(kube: Kube, namespace: str = istio.NAMESPACE) -> bytes:
    """Return the certificates of the authorities that the mesh trusts, in PEM, as istiod has told a namespace.

    Raises:
        ClusterError: istiod has told it none.
    """
    config_map = kube.get("v1", "ConfigMap", ROOTS, namespace)
    if config_map is None:
        raise ClusterError(f"The namespace {namespace} has no ConfigMap {ROOTS}, which istiod makes. Does it run?")
    roots: str = config_map["data"]["root-cert.pem"]
    return roots.encode()


def _signed(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    """Return whether a certificate was signed by the key of another one, and names it as its issuer."""
    try:
        certificate.verify_directly_issued_by(by)
    except (InvalidSignature, ValueError, TypeError):  # another key, another name, another kind of key
        return False
    return True
