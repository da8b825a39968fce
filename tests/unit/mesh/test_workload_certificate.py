"""A workload's certificate: what is said of it, and of its chain, is as it is."""

from __future__ import annotations

import pytest

from meshproof.certificates.authority import Authority
from meshproof.mesh.workload_certificate import WorkloadCertificate

NAME = "spiffe://cluster.local/ns/default/sa/shop"


def test_what_it_says_of_itself() -> None:
    """Its serial number, its only name, until when it is valid, and its fingerprint."""
    authority = Authority()
    leaf = authority.client(NAME)
    seen = WorkloadCertificate.from_pem(leaf.chain_pem + authority.pem)
    assert (seen.serial, seen.names, seen.not_after) == (leaf.serial, (NAME,), leaf.not_after)
    assert seen.fingerprint == leaf.fingerprint


@pytest.mark.parametrize("with_root", [True, False], ids=["its proxy shows the root", "it does not"])
def test_its_root_is_known_by_its_signature(*, with_root: bool) -> None:
    """A root of the same name with another key has not signed it."""
    authority, namesake = Authority("mesh"), Authority("mesh")
    leaf = authority.client(NAME)
    seen = WorkloadCertificate.from_pem(leaf.chain_pem + (authority.pem if with_root else b""))
    assert seen.is_signed_by(authority.pem)
    assert seen.is_signed_by(namesake.pem + authority.pem)
    assert not seen.is_signed_by(namesake.pem)


def test_a_chain_that_does_not_hold_together_leads_nowhere() -> None:
    """A trusted root at the end of the chain says nothing of a certificate that it did not sign."""
    authority = Authority("mesh")
    stranger = Authority("mesh").client(NAME)
    assert not WorkloadCertificate.from_pem(stranger.chain_pem + authority.pem).is_signed_by(authority.pem)


def test_what_a_proxy_shows_beside_its_chain_does_not_count() -> None:
    """While the mesh has two roots a proxy shows both, and its certificate leads only to the one that signed it."""
    authority, other = Authority("mesh"), Authority("other")
    seen = WorkloadCertificate.from_pem(authority.client(NAME).chain_pem + authority.pem + authority.pem + other.pem)
    assert seen.is_signed_by(authority.pem)
    assert not seen.is_signed_by(other.pem)
