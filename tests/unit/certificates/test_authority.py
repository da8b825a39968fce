"""Certificates: what is in them, and that a strict verifier takes them."""

from __future__ import annotations

import os
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from trustme import KeyType

from meshproof.certificates.authority import Authority, Lifetime
from meshproof.certificates.leaf import Leaf
from tests.support.certificates import EXPIRED, HOST, IDENTITY, OURS, SERVER, TRUSTED, UNKNOWN

LEAVES = [pytest.param(SERVER, id="server"), pytest.param(TRUSTED, id="client")]
MODE_PRIVATE_FILE = 0o600
MODE_PRIVATE_DIRECTORY = 0o700


def context(purpose: int, leaf: Leaf) -> ssl.SSLContext:
    """Make a context that verifies as strictly as RFC 5280 and Python 3.13 do."""
    made = ssl.SSLContext(purpose)
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.load_verify_locations(cadata=OURS.pem.decode())
    leaf.load_into(made)
    return made


def meet(server: Leaf, client: Leaf) -> None:
    """Let both complete a handshake in memory."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    accepting = context(ssl.PROTOCOL_TLS_SERVER, server).wrap_bio(up, down, server_side=True)
    calling = context(ssl.PROTOCOL_TLS_CLIENT, client).wrap_bio(down, up, server_hostname=HOST)
    for side in (calling, accepting, calling, accepting):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert accepting.getpeercert()


@pytest.mark.parametrize("client", LEAVES)
def test_a_strict_verifier_accepts_a_leaf(client: Leaf) -> None:
    """A client's and a server's certificate both pass as a client's under strict verification."""
    meet(SERVER, client)


def test_a_verifier_refuses_another_authority() -> None:
    """The same handshake fails as soon as the issuer is not the trusted one."""
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        meet(SERVER, UNKNOWN)


def test_a_verifier_refuses_an_expired_leaf() -> None:
    """The same handshake fails as soon as the certificate is too old."""
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        meet(SERVER, EXPIRED)


def test_a_client_is_its_uri_and_nothing_else() -> None:
    """A client's certificate names one URI, and no host."""
    assert (TRUSTED.names, TRUSTED.common_name) == ((IDENTITY,), None)


def test_a_server_has_its_host_as_common_name() -> None:
    """A server's certificate names its host twice: as alternative name and as CN."""
    assert (SERVER.names, SERVER.common_name) == ((HOST,), HOST)


def test_the_common_name_can_be_chosen() -> None:
    """A CN of its own does not change the alternative name."""
    leaf = OURS.server("*.aliyun.com", common_name="aliyun.com")
    assert (leaf.names, leaf.common_name) == (("*.aliyun.com",), "aliyun.com")


@pytest.mark.parametrize("lifetime", Lifetime, ids=lambda lifetime: lifetime.name.lower())
def test_a_lifetime_is_what_its_name_says(lifetime: Lifetime) -> None:
    """Only the current lifetime contains its moment of issue."""
    begin, end = lifetime.around(datetime.now(UTC))
    assert (begin < datetime.now(UTC) < end) == (lifetime is Lifetime.CURRENT)
    assert end - begin > timedelta(days=1)


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_leaf_knows_its_certificate(leaf: Leaf) -> None:
    """Serial and expiry are those of the certificate."""
    certificate = x509.load_pem_x509_certificate(leaf.chain_pem)
    assert (leaf.serial, leaf.not_after) == (certificate.serial_number, certificate.not_valid_after_utc)


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_key_is_rsa_2048(leaf: Leaf) -> None:
    """Keys are RSA of 2048 bits, where nothing else is asked for."""
    key = load_pem_private_key(leaf.key_pem, password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 2048


def test_a_server_may_have_an_ecdsa_key() -> None:
    """A server's key may be ECDSA on P-256; a strict verifier takes its certificate too."""
    leaf = OURS.server(HOST, key=KeyType.ECDSA)
    key = load_pem_private_key(leaf.key_pem, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"
    meet(leaf, TRUSTED)


def test_a_repr_shows_no_key() -> None:
    """A leaf in a traceback or a log gives nothing away."""
    assert "PRIVATE" not in repr(TRUSTED)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the system has no files in memory")
def test_a_key_is_on_no_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A context gets its certificate where no temporary file can be written, and no file is left open."""
    (tmp_path / "no directory").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no directory"))
    before = len(list(Path("/proc/self/fd").iterdir()))
    meet(SERVER, TRUSTED)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_files_are_private_and_short_lived() -> None:
    """The files of a leaf are for their owner only, and gone after the block."""
    with TRUSTED.files() as paths:
        modes = [path.stat().st_mode & 0o777 for path in paths]
        assert modes == [MODE_PRIVATE_FILE, MODE_PRIVATE_FILE]
        assert paths[0].parent.stat().st_mode & 0o777 == MODE_PRIVATE_DIRECTORY
    assert not paths[0].parent.exists()


def test_an_authority_that_is_there_already_signs_as_before() -> None:
    """What is issued with the certificate and the key of one is trusted by who trusts it."""
    again = Authority.from_pem("again", OURS.pem, OURS.key_pem)
    assert again.pem == OURS.pem
    meet(again.server(HOST), again.client(IDENTITY))
