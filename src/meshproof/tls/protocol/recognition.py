"""Reading a ClientHello: the octets that a program sent in, its profile out."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from meshproof.tls.protocol import hello as out
from meshproof.tls.protocol.codes import extension_code, is_grease
from meshproof.tls.protocol.octets import Cursor, extensions
from meshproof.tls.protocol.profile import GREASE, Profile
from meshproof.tls.protocol.version import ProtocolVersion

_RESUMPTION = frozenset({extension_code("pre_shared_key"), extension_code("early_data"), out.COOKIE})


def profile_of(record: bytes, name: str, *, provenance: str = "", group: str = "user") -> Profile:
    """Read a ClientHello into the profile of the client that sent it.

    A random value has no place in a profile: GREASE values become ``GREASE``, and a resumed session (pre_shared_key,
    early_data) is left out, for a profile is a fresh client. Values that this table of names does not know are kept.

    Args:
        record: All records of the hello, in TLS or in SSLv2 format.
        name: What to call the client.
        provenance: Where the hello comes from.
        group: The set that the profile belongs to.

    Raises:
        ValueError: It is no ClientHello, or not a whole one.
    """
    if record[:1] and record[0] & 0x80:
        return _read_ssl2_format(record, name, provenance, group)
    message = bytearray()
    record_version = None
    records = Cursor(record)
    while records.left:
        content_type, version, body = records.uint(1), records.uint(2), records.vector(2)
        if content_type != out.HANDSHAKE:
            raise ValueError(f"the client began with a record of type {content_type}, not with a handshake")
        record_version = record_version or ProtocolVersion.from_code(version)
        message += body
    cursor = Cursor(bytes(message))
    if cursor.uint(1) != out.CLIENT_HELLO:
        raise ValueError("the client began with another message than a ClientHello")
    hello = Cursor(cursor.vector(3))
    legacy = hello.uint(2)
    hello.take(out.RANDOM)
    session_id = len(hello.vector(1))
    suites = _codes(hello.vector(2))
    hello.vector(1)  # compression: none of ours
    pairs = extensions(hello.vector(2)) if hello.left else []
    bodies = dict(pairs)
    kept = [(code, body) for code, body in pairs if code not in _RESUMPTION]
    profile = Profile(
        name=name,
        group=group,
        provenance=provenance,
        record_version=record_version or ProtocolVersion.TLS_1_0,
        versions=_codes(bodies[out.SUPPORTED_VERSIONS][1:])
        if out.SUPPORTED_VERSIONS in bodies
        else tuple(code for code in (0x0303, 0x0302, 0x0301, 0x0300) if code <= legacy),
        session_id=session_id,
        suites=suites,
        extensions=tuple(GREASE if is_grease(code) else code for code, _ in kept),
        groups=_list(bodies, out.SUPPORTED_GROUPS),
        point_formats=tuple(bodies.get(out.POINT_FORMATS, b"\1\0")[1:]),
        signature_algorithms=_list(bodies, out.SIGNATURE_ALGORITHMS),
        signature_algorithms_cert=_list(bodies, out.SIGNATURE_ALGORITHMS_CERT),
        alpn=_protocols(bodies.get(out.ALPN, b"")),
        key_shares=_shares(bodies.get(out.KEY_SHARE, b"")),
        psk_modes=tuple(bodies.get(out.PSK_MODES, b"\1\1")[1:]),
        certificate_compression=_codes(bodies.get(out.COMPRESS_CERTIFICATE, b"")[1:]),
        delegated_credentials=_list(bodies, out.DELEGATED_CREDENTIAL),
        record_size_limit=int.from_bytes(bodies.get(out.RECORD_SIZE_LIMIT, b""), "big"),
        application_settings=next(
            (_protocols(bodies[code]) for code in out.APPLICATION_SETTINGS if code in bodies), ()
        ),
        bodies={code: body for code, body in kept if body and code not in out.MODELLED and not is_grease(code)},
    )
    return out.simulable(profile)


def _read_ssl2_format(record: bytes, name: str, provenance: str, group: str) -> Profile:
    message = Cursor(Cursor(bytes([record[0] & 0x7F]) + record[1:]).vector(2))
    if message.uint(1) != out.CLIENT_HELLO:
        raise ValueError("the client began with another message than a CLIENT-HELLO")
    version, suites = message.uint(2), message.uint(2)
    message.take(4)  # the lengths of session id and challenge
    kinds = Cursor(message.take(suites))
    profile = Profile(
        name=name,
        group=group,
        provenance=provenance,
        ssl2_format=True,
        versions=tuple(code for code in (0x0303, 0x0302, 0x0301, 0x0300) if code <= version),
        suites=tuple(kinds.uint(3) for _ in range(suites // 3)),
    )
    return out.simulable(profile)


def _codes(data: bytes) -> tuple[int, ...]:
    codes = struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2])
    return tuple(GREASE if is_grease(code) else code for code in codes)


def _list(bodies: Mapping[int, bytes], code: int) -> tuple[int, ...]:
    return _codes(Cursor(bodies[code]).vector(2)) if code in bodies else ()


def _protocols(body: bytes) -> tuple[str, ...]:
    protocols = []
    cursor = Cursor(Cursor(body).vector(2) if body else b"")
    while cursor.left:
        protocols.append(cursor.vector(1).decode("latin-1"))
    return tuple(protocols)


def _shares(body: bytes) -> tuple[int, ...]:
    groups = []
    cursor = Cursor(Cursor(body).vector(2) if body else b"")
    while cursor.left:
        group = cursor.uint(2)
        cursor.vector(2)
        groups.append(GREASE if is_grease(group) else group)
    return tuple(groups)
