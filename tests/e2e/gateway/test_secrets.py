"""Secrets: the keys of a Secret say which certificate a gateway shows, and whose clients it lets in."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from meshproof.testing import WORDLESS, Certificates, Eventually, Outcome, Scenario, Testbed, between, held, istio, tls

pytestmark = [pytest.mark.slow, pytest.mark.seed(number=0), pytest.mark.seed(number=1)]

OURS, STRANGER = "test.client", "stranger"  # clients of two authorities


@dataclass(frozen=True, slots=True)
class Case:
    """A server, the certificate that it is to show, and whom it lets in; None where it asks for no certificate."""

    server: str
    shown: str
    client: str | None
    others: str | None = None

    def __str__(self) -> str:
        return f"{self.server}: {self.shown}, lets in {self.client or 'anybody'}"


CASES = [
    Case("tls", "tls.secrets.test", None),
    Case("opaque", "opaque.secrets.test", OURS, STRANGER),
    Case("generic", "generic.secrets.test", OURS, STRANGER),
    # Of two certificates and authorities those under cert, key and cacert count.
    Case("both", "under cert", OURS, STRANGER),
    Case("beside", "beside.secrets.test", STRANGER, OURS),
]
BESIDE = Case("beside", "beside.secrets.test", OURS, STRANGER)


def handshake(server: str, client: str | None, scenario: Scenario, certificates: Certificates) -> tls.Observation:
    """Knock at a server, and show it a certificate if there is one to show."""
    return tls.handshake(
        scenario.address(443),
        sni=f"{server}.secrets.test",
        trust=certificates.authority("meshproof").pem,
        client=certificates[client] if client else None,
    )


def check(case: Case, scenario: Scenario, certificates: Certificates, eventually: Eventually) -> None:
    """See which certificate is shown to whom is let in, and that nobody else is."""

    def knock(client: str | None) -> tls.Observation:
        return handshake(case.server, client, scenario, certificates)

    observation = eventually(lambda: knock(case.client), lambda observation: observation.outcome, Outcome.ESTABLISHED)
    assert observation.peer
    assert certificates.name_of(observation.peer.serial) == case.shown
    if case.client:
        expected = [Outcome.CLIENT_CERT_UNKNOWN_CA, Outcome.CLIENT_CERT_REQUIRED, Outcome.ESTABLISHED]
        assert [knock(client).outcome for client in (case.others, None, case.client)] == expected


@pytest.mark.parametrize("case", CASES, ids=str)
def test_keys(case: Case, scenario: Scenario, certificates: Certificates, eventually: Eventually) -> None:
    """Both families of keys do, whatever the type of the Secret; ``cert``, ``key`` and ``cacert`` go before the others.

    Source: https://istio.io/latest/docs/tasks/traffic-management/ingress/secure-ingress/#key-formats
    """
    check(case, scenario, certificates, eventually)


@pytest.mark.step("beside")
def test_authority_beside(scenario: Scenario, certificates: Certificates, eventually: Eventually) -> None:
    """The authority in the Secret with ``-cacert`` behind its name goes before the one in the Secret itself."""
    check(BESIDE, scenario, certificates, eventually)


@pytest.mark.step("no-authority")
def test_no_authority_beside(scenario: Scenario, certificates: Certificates, eventually: Eventually) -> None:
    """Where such a Secret has none, nobody is let in, though the Secret itself has one: its own is not asked for.

    The control is a server whose Secret is alike, with none beside it.
    Source: https://github.com/istio/istio/issues/47315
    """

    def ended(server: str) -> Outcome:
        return handshake(server, OURS, scenario, certificates).outcome

    expected = [held(Outcome.ESTABLISHED, end) for end in WORDLESS]
    eventually(lambda: between(lambda: ended("opaque"), lambda: ended("late")), str, *expected)


@pytest.mark.step("authority-gone")
def test_no_authority_beside_later(
    scenario: Scenario, certificates: Certificates, testbed: Testbed, eventually: Eventually
) -> None:
    """Where such a Secret comes later, the gateway goes on with the authority that it has: istiod has no other."""

    def istiod_knows() -> bool:
        log = istio.control_plane_log(testbed.kube)
        return (
            "ca certificate for kubernetes://secrets-beside-cacert: found secret, but didn't have expected keys" in log
        )

    eventually(istiod_knows, bool, True)
    check(CASES[-1], scenario, certificates, eventually)
