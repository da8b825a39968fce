"""A certificate with its key, as Python's `ssl` takes it; and the names in a certificate."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Leaf:
    """An end-entity certificate with its key; the repr shows neither PEM.

    Attributes:
        chain_pem: The certificate, then its intermediates; the root is not in it.
        key_pem: The private key, not encrypted.
        serial: The certificate's serial number.
        not_after: When it expires, in UTC.
        common_name: The CN of its subject; None when it has none.
        names: Its subject alternative names: host names and URIs.
        fingerprint: The SHA-256 of its DER in lower-case hex: the ``Hash`` of Envoy's ``x-forwarded-client-cert``.
    """

    chain_pem: bytes = field(repr=False)
    key_pem: bytes = field(repr=False)
    serial: int
    not_after: datetime
    common_name: str | None
    names: tuple[str, ...]
    fingerprint: str

    @classmethod
    def from_pem(cls, chain_pem: bytes, key_pem: bytes) -> Leaf:
        """Read what the certificate says about itself.

        Raises:
            ValueError: The chain does not begin with a certificate in PEM.
        """
        from cryptography import x509  # noqa: PLC0415 - it takes long, and who only shows a certificate needs none of it
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - as above

        certificate = x509.load_pem_x509_certificate(chain_pem)
        return cls(
            chain_pem=chain_pem,
            key_pem=key_pem,
            serial=certificate.serial_number,
            not_after=certificate.not_valid_after_utc,
            common_name=common_name_of(certificate),
            names=names_of(certificate),
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        )

    @contextmanager
    def files(self) -> Iterator[tuple[Path, Path]]:
        """Give the paths of the chain and of the key, for programs that only read files.

        Both have mode 0600, are in a directory of mode 0700, and are gone when the block ends.
        """
        import tempfile  # noqa: PLC0415 - it takes long to import, and a scan needs no files

        with tempfile.TemporaryDirectory(prefix="meshproof-") as directory:
            paths = Path(directory, "chain.pem"), Path(directory, "key.pem")
            self.write_to(*paths)
            yield paths

    def write_to(self, chain: Path, key: Path) -> None:
        """Write the chain and the key to new files of mode 0600.

        Raises:
            OSError: That is not possible, or there is such a file.
        """
        for path, pem in ((chain, self.chain_pem), (key, self.key_pem)):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "wb") as file:
                file.write(pem)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Make the context show this certificate.

        ``ssl`` reads it from files only (bpo-16487): where the system has files in memory (memfd_create(2)), the key
        is on no disk, whatever ends this process.
        """
        with self._in_memory() if hasattr(os, "memfd_create") else self.files() as (chain, key):
            context.load_cert_chain(chain, key)

    @contextmanager
    def _in_memory(self) -> Iterator[tuple[Path, Path]]:
        """Give paths of the chain and of the key that are good in this process only, and only in the block."""
        with ExitStack() as stack:
            paths = []
            for pem in (self.chain_pem, self.key_pem):
                file = stack.enter_context(os.fdopen(os.memfd_create("meshproof"), "wb"))
                file.write(pem)
                file.flush()
                paths.append(Path(f"/proc/self/fd/{file.fileno()}"))
            yield paths[0], paths[1]


def common_name_of(certificate: x509.Certificate) -> str | None:
    """Return the CN of the subject; None when it has none."""
    from cryptography.x509.oid import NameOID  # noqa: PLC0415 - as in from_pem

    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else None


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the subject alternative names, bare: ``a.example``, ``spiffe://b``, ``192.0.2.1``."""
    from cryptography import x509  # noqa: PLC0415 - as in from_pem

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in extension.value)
