"""Provisioning: a proxy gets a certificate of the mesh for its ServiceAccount, if istiod accepts its token."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from meshproof.testing import (
    Eventually,
    Provisioning,
    Scenario,
    Testbed,
    WorkloadCertificate,
    between,
    has_ready_proxy,
    held,
    istio,
    mesh_roots,
    provisioning,
)

pytestmark = [pytest.mark.slow, pytest.mark.seed(number=3)]

AUDIENCE = "somebody else"  # of the token that is not for Istio


@dataclass(frozen=True, slots=True)
class Case:
    """A workload and its ServiceAccount."""

    namespace: str
    app: str
    account: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.app}: {self.account}"


CASES = [
    Case("default", "client", "client"),
    Case("default", "httpbin", "httpbin"),
    Case("default", "accepted", "accepted"),
    Case("istio-system", "istio-ingressgateway", "istio-ingressgateway-service-account"),
    Case("istio-system", "istio-egressgateway", "istio-egressgateway-service-account"),
]


def certificates_of(testbed: Testbed, case: Case) -> list[WorkloadCertificate]:
    """Return the certificate of each ready pod of a workload."""
    pods = testbed.kube.pods.ready(case.namespace, case.app)
    certificates = [WorkloadCertificate.of(testbed.kube, case.namespace, pod) for pod in pods]
    return [certificate for certificate in certificates if certificate]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_identity(case: Case, scenario: Scenario, testbed: Testbed) -> None:
    """A workload's certificate has one name, that of its ServiceAccount, and the mesh's root has signed it."""
    (certificate, *_) = certificates_of(testbed, case)
    assert certificate.names == (f"spiffe://cluster.local/ns/{case.namespace}/sa/{case.account}",)
    assert certificate.is_signed_by(mesh_roots(testbed.kube, case.namespace))


def test_pods_of_one_account(scenario: Scenario, testbed: Testbed) -> None:
    """Two pods of one ServiceAccount have its name, and each a certificate and a key of its own."""
    one, other = certificates_of(testbed, Case("default", "accepted", "accepted"))
    assert one.names == other.names
    assert one.serial != other.serial
    assert one.chain[0].public_key() != other.chain[0].public_key()


def test_token_refused(scenario: Scenario, testbed: Testbed, eventually: Eventually) -> None:
    """Whose token is for somebody else gets no certificate, is told that he is not known, and never gets ready."""

    def of(app: str) -> Provisioning:
        (pod, *_) = testbed.kube.pods.of("default", app)
        return provisioning(testbed.kube, "default", pod["metadata"]["name"])

    expected = held(Provisioning.ISSUED, Provisioning.TOKEN_REFUSED)
    eventually(lambda: between(lambda: of("accepted"), lambda: of("refused")), str, expected)
    (pod,) = testbed.kube.pods.of("default", "refused")
    assert not has_ready_proxy(pod)
    log = istio.control_plane_log(testbed.kube)
    reasons = [line for line in log.splitlines() if f"from {pod['status']['podIP']}:" in line]
    assert any(f'token audiences ["{AUDIENCE}"] is invalid for the target audiences ["istio-ca"]' in r for r in reasons)
