"""A client as structured facts: what its ClientHello says, and what it would accept in return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from meshproof.tls.protocol.codes import is_grease
from meshproof.tls.protocol.version import ProtocolVersion

GREASE = 0x0A0A
"""Stands for a value that is drawn for each hello (RFC 8701)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A client. Codes are those of the IANA registries, in the client's order; ``GREASE`` stands for a drawn value.

    Attributes:
        name: How tables call it.
        group: The set it belongs to, such as ``seed`` or ``modern``.
        provenance: Where the facts come from.
        ssl2_format: Whether its hello is an SSLv2 CLIENT-HELLO that offers a newer version (RFC 5246 E.2).
        record_version: The version in the header of the record.
        versions: All that it accepts, newest first, as codes. They are the content of ``supported_versions`` if that is
            among the extensions; if not, the first is the version of the hello.
        session_id: The length of a random session id in octets.
        suites: The cipher suites.
        extensions: The extensions. ``server_name`` among them means that it sends one.
        groups: The groups of ``supported_groups``.
        point_formats: The content of ``ec_point_formats``.
        signature_algorithms: The content of that extension.
        signature_algorithms_cert: The content of that extension.
        alpn: The application protocols.
        key_shares: The groups that a share is sent for.
        psk_modes: The content of ``psk_key_exchange_modes``.
        certificate_compression: The algorithms of ``compress_certificate``.
        delegated_credentials: The signature algorithms of that extension.
        record_size_limit: The content of that extension, in octets.
        application_settings: The application protocols of that extension.
        dh_bits: The smallest and the largest prime that it accepts for a finite-field exchange; None sets no bounds.
        bodies: The bodies of extensions that have no field of their own.
    """

    name: str
    group: str = "user"
    provenance: str = ""
    ssl2_format: bool = False
    record_version: ProtocolVersion = ProtocolVersion.TLS_1_0
    versions: tuple[int, ...]
    session_id: int = 0
    suites: tuple[int, ...]
    extensions: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    point_formats: tuple[int, ...] = (0,)
    signature_algorithms: tuple[int, ...] = ()
    signature_algorithms_cert: tuple[int, ...] = ()
    alpn: tuple[str, ...] = ()
    key_shares: tuple[int, ...] = ()
    psk_modes: tuple[int, ...] = (1,)
    certificate_compression: tuple[int, ...] = ()
    delegated_credentials: tuple[int, ...] = ()
    record_size_limit: int = 0
    application_settings: tuple[str, ...] = ()
    dh_bits: tuple[int, int] | None = None
    bodies: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def accepted_versions(self) -> tuple[ProtocolVersion, ...]:
        """The versions that it accepts, newest first; values that no version has are left out."""
        known = (ProtocolVersion.from_code(code) for code in self.versions if not is_grease(code))
        return tuple(version for version in known if version)
