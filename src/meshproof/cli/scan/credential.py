"""The client certificate of --cert and --key."""

from __future__ import annotations

import ssl
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from meshproof.certificates.leaf import Leaf
from meshproof.errors import BadTarget


def read_credential(cert: str | None, key: str | None) -> Leaf | None:
    """Read the client certificate, and try it: what is wrong with it is said before any connection is made.

    Args:
        cert: The file of --cert.
        key: The file of --key.

    Returns:
        The certificate with its key; None where neither was given.

    Raises:
        BadTarget: One of them can't be read or used, or was not given.
    """
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise BadTarget("--cert and --key go together: a certificate and its private key, both in PEM.")
    chain, private = _octets("--cert", cert), _octets("--key", key)
    try:
        leaf = Leaf.from_pem(chain, private)
    except ValueError as error:
        raise BadTarget(f"--cert {cert} is no certificate in PEM.") from error
    try:
        load_pem_private_key(private, password=None)
    except TypeError as error:
        raise BadTarget(f"--key {key} is encrypted: give a private key without a passphrase.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadTarget(f"--key {key} is no private key in PEM.") from error
    try:
        leaf.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    except ssl.SSLError as error:
        what = f"it is not the key of that certificate, or OpenSSL can't use them ({error.reason or error.strerror})"
        raise BadTarget(f"Tried --cert {cert} with --key {key}: {what}.") from error
    return leaf


def _octets(option: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise BadTarget(f"Tried to read {option} {file}: {error.strerror}.") from error
