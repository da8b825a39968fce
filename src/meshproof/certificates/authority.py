"""Certificates for tests, made in memory and named after their role or their defect.

    Authority ─┬─ server(host)                  what a server shows; may also be shown by a client
               ├─ client(identity)              what a client with a URI identity shows
               └─ …, lifetime=Lifetime.EXPIRED  the same with a defect

A second ``Authority`` is the unknown issuer. Keys are RSA-2048; that of a leaf may be ECDSA on P-256.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Self

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from trustme import KeyType

from meshproof.certificates.leaf import Leaf
from meshproof.certificates.names import is_common_name

ECDSA = KeyType.ECDSA
"""The kind of a key that signs quickly, for who makes many connections."""
_KEY_BITS = 2048
_SIGNING_ONLY = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


class Lifetime(Enum):
    """When a leaf is valid: begin and end, counted from its issue."""

    CURRENT = (timedelta(hours=-1), timedelta(days=30))
    EXPIRED = (timedelta(days=-30), timedelta(hours=-1))
    NOT_YET_VALID = (timedelta(days=30), timedelta(days=60))

    def around(self, issued: datetime) -> tuple[datetime, datetime]:
        """Return the first and the last moment of validity, to the second (RFC 5280 4.1.2.5)."""
        begin, end = self.value
        whole = issued.replace(microsecond=0)
        return whole + begin, whole + end


class Authority:
    """A root certificate authority that issues leaves.

    Args:
        name: The organization in its subject, to tell two authorities apart in a log.
        ca: One that is there already; by default a new one.
    """

    def __init__(self, name: str = "meshproof", ca: trustme.CA | None = None) -> None:
        self._name = name
        self._ca = ca or trustme.CA(organization_name=name, key_type=KeyType.RSA)
        self._certificate = x509.load_pem_x509_certificate(self.pem)

    @classmethod
    def from_pem(cls, name: str, certificate: bytes, key: bytes) -> Self:
        """Take an authority that is there already, such as that of a mesh.

        Args:
            name: The organization in the subjects of what it issues from now on.
            certificate: Its own certificate in PEM.
            key: That certificate's RSA key in PEM, not encrypted.

        Raises:
            ValueError: One of them can't be read.
        """
        return cls(name, trustme.CA.from_pem(certificate, key))

    @property
    def pem(self) -> bytes:
        """The authority's own certificate: what one trusts."""
        return self._ca.cert_pem.bytes()

    @property
    def key_pem(self) -> bytes:
        """The authority's private key, not encrypted: for whoever is to sign in its name, such as a mesh."""
        return self._ca.private_key_pem.bytes()

    def __str__(self) -> str:
        return self._name

    def server(
        self,
        *hosts: str,
        common_name: str | None = None,
        lifetime: Lifetime = Lifetime.CURRENT,
        key: KeyType = KeyType.RSA,
    ) -> Leaf:
        """Issue a leaf for a server; its extended key usage admits it as a client's certificate too.

        Args:
            hosts: The DNS names or IP addresses in the subject alternative name.
            common_name: The CN of the subject; by default the first host, or none where that is too long for one.
            lifetime: When it is valid.
            key: The kind of its key; the authority's is RSA all the same.
        """
        begin, end = lifetime.around(datetime.now(UTC))
        default = hosts[0] if is_common_name(hosts[0]) else None
        issued = self._ca.issue_cert(
            *hosts,
            common_name=common_name or default,
            organization_name=self._name,
            not_before=begin,
            not_after=end,
            key_type=key,
        )
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        return Leaf.from_pem(chain, issued.private_key_pem.bytes())

    def client(
        self,
        *identities: str,
        common_name: str | None = None,
        lifetime: Lifetime = Lifetime.CURRENT,
        key: KeyType = KeyType.RSA,
    ) -> Leaf:
        """Issue a leaf for a client whose identity is a URI, as SPIFFE asks (X509-SVID, section 2).

        trustme issues DNS names, addresses and e-mail addresses only.

        Args:
            identities: The URIs in the subject alternative name, such as ``spiffe://test.client``. SPIFFE has one only.
            common_name: The CN of the subject; none by default.
            lifetime: When it is valid.
            key: The kind of its key.
        """
        own_key = _key(key)
        begin, end = lifetime.around(datetime.now(UTC))
        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, self._name)]
        if common_name is not None:
            subject.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
        uris = [x509.UniformResourceIdentifier(identity) for identity in identities]
        issuer_key = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(self._certificate.subject)
            .public_key(own_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(uris), critical=False)
            .add_extension(_SIGNING_ONLY, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own_key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), critical=False)
            .sign(self._signing_key(), hashes.SHA256())
        )
        return Leaf.from_pem(
            certificate.public_bytes(Encoding.PEM),
            own_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )

    def _signing_key(self) -> rsa.RSAPrivateKey:
        key = load_pem_private_key(self._ca.private_key_pem.bytes(), password=None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key


def _key(kind: KeyType) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    if kind is KeyType.ECDSA:
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
