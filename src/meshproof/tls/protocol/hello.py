"""ClientHellos: a profile in, the octets of a record out.

The layout is that of RFC 8446 4.1.2 (RFC 5246 7.4.1.2 before), of its extensions in the RFCs named beside them.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from meshproof.tls.protocol import keyshare
from meshproof.tls.protocol.codes import extension_code
from meshproof.tls.protocol.octets import vector
from meshproof.tls.protocol.profile import GREASE, Profile
from meshproof.tls.protocol.version import ProtocolVersion

HANDSHAKE = 22
CLIENT_HELLO = 1
RANDOM = 32  # octets
_LONGEST_RECORD = 1 << 14  # octets
_RECORD_HEADER = 5  # octets
_EXTENSION_HEADER = 4  # octets
SSL2_CHALLENGE = 16  # octets

SERVER_NAME = extension_code("server_name")
STATUS_REQUEST = extension_code("status_request")
SUPPORTED_GROUPS = extension_code("supported_groups")
POINT_FORMATS = extension_code("ec_point_formats")
SIGNATURE_ALGORITHMS = extension_code("signature_algorithms")
HEARTBEAT = extension_code("heartbeat")
ALPN = extension_code("application_layer_protocol_negotiation")
STATUS_REQUEST_V2 = extension_code("status_request_v2")
PADDING = extension_code("padding")
COMPRESS_CERTIFICATE = extension_code("compress_certificate")
RECORD_SIZE_LIMIT = extension_code("record_size_limit")
DELEGATED_CREDENTIAL = extension_code("delegated_credential")
SUPPORTED_VERSIONS = extension_code("supported_versions")
COOKIE = extension_code("cookie")
PSK_MODES = extension_code("psk_key_exchange_modes")
SIGNATURE_ALGORITHMS_CERT = extension_code("signature_algorithms_cert")
KEY_SHARE = extension_code("key_share")
APPLICATION_SETTINGS = (extension_code("application_settings"), extension_code("application_settings_old"))
ENCRYPTED_CLIENT_HELLO = extension_code("encrypted_client_hello")
RENEGOTIATION_INFO = extension_code("renegotiation_info")

_OCSP = b"\1" + bytes(4)  # RFC 6066 8: ocsp, no responders, no extensions
_OCSP_V2 = b"\0\x07\2\0\4" + bytes(4)  # RFC 6961 2.2: one item, ocsp_multi
_PADDED_FROM, _PADDED_TO = 0x100, 0x200  # octets; RFC 7685 1: some servers hang on hellos of 256 to 511


PublicKey = Callable[[int], bytes | None]
"""Gives the public key for the code of a group, the same one each time; None when there is none."""


class Retry(NamedTuple):
    """What a HelloRetryRequest asks for (RFC 8446 4.1.4).

    Attributes:
        group: The code of the group that a share is wanted for; None keeps the shares.
        cookie: What to send back; None when none came.
    """

    group: int | None
    cookie: bytes | None


def simulable(profile: Profile) -> Profile:
    """Return the client, if we can be it.

    Raises:
        ValueError: It accepts no version that we know, or sends a key share that we can't make.
    """
    if not profile.accepted_versions:
        raise ValueError(f"{profile.name} accepts no version of TLS that is known")
    for group in profile.key_shares:
        if group != GREASE and not keyshare.can_be_made(group):
            raise ValueError(f"{profile.name}: {_no_share(group)}")
    return profile


class Hello:
    """One client's ClientHello, and its second one after a HelloRetryRequest.

    Args:
        profile: The client.
        sni: The server name in ASCII, for clients that send one; None sends none.
        length: The octets that ``first`` is to have, at most those of one record: a padding extension (RFC 7685), in
            the place of the client's own if it has one, makes up for what is missing. A hello that leaves no room for
            it, or that has no extensions, goes without. None pads as the client does.
        public_key: Gives the public key for the code of a group, None for a group that it has none for.
    """

    def __init__(
        self,
        profile: Profile,
        sni: str | None,
        length: int | None = None,
        *,
        public_key: PublicKey = keyshare.public_key,
    ) -> None:
        self.profile = profile
        self._public_key = public_key
        self.random = os.urandom(RANDOM)
        self._session_id = os.urandom(profile.session_id)
        draws = random.sample(range(16), 2)
        self._grease = [0x0A0A + 0x1010 * draw for draw in draws]
        self._padded_to = length
        codes = [code for code in profile.extensions if code != SERVER_NAME or sni]
        if length is not None and PADDING not in codes:
            codes.append(PADDING)
        self._bodies = [(code, self._body(code, sni)) for code in codes]

    @property
    def length(self) -> int:
        """How many octets ``first`` has, the headers of its records included."""
        return len(self.first())

    def first(self) -> bytes:
        """Return the record, or the SSLv2 message, with which the client begins."""
        if self.profile.ssl2_format:
            return self._ssl2_format()
        return _record(self.profile.record_version.code, self.message())

    def again(self, retry: Retry) -> bytes:
        """Return the record of the second ClientHello: the first, with what was asked for (RFC 8446 4.1.2)."""
        return _record(ProtocolVersion.TLS_1_2.code, self.message(retry))

    def message(self, retry: Retry | None = None) -> bytes:
        """Return the handshake message alone."""
        profile = self.profile
        version = min(profile.accepted_versions[0].code, ProtocolVersion.TLS_1_2.code)
        body = (
            struct.pack("!H", version)
            + self.random
            + vector(1, self._session_id)
            + vector(2, self._uint16s(profile.suites))
            + vector(1, b"\0")  # no compression
        )
        if profile.extensions:
            body += vector(2, self._extensions(retry, len(body)))
        return bytes([CLIENT_HELLO]) + vector(3, body)

    def _extensions(self, retry: Retry | None, before: int) -> bytes:
        bodies = list(self._bodies)
        if retry:
            bodies = [
                (code, vector(2, _share(retry.group, self._public_key)) if code == KEY_SHARE and retry.group else body)
                for code, body in bodies
            ]
            if retry.cookie is not None:
                at = next((at for at, (code, _) in enumerate(bodies) if code == KEY_SHARE), len(bodies))
                bodies.insert(at, (COOKIE, vector(2, retry.cookie)))
        parts = []
        grease = struct.pack("!HH", self._grease[0], 0)
        for code, body in bodies:
            if code == GREASE:
                parts.append(grease)
                grease = struct.pack("!H", self._grease[1]) + vector(2, b"\0")  # BoringSSL's second has one octet
            else:
                parts.append(b"" if code == PADDING else struct.pack("!H", code) + vector(2, body))
        padding = self._padding(before + 4 + 2 + sum(map(len, parts)))
        return b"".join(padding if code == PADDING else part for (code, _), part in zip(bodies, parts, strict=True))

    def _padding(self, length: int) -> bytes:
        """Build the extension for a message of so many octets without it; nothing when none is due or fits."""
        if self._padded_to is not None:
            room = self._padded_to - _RECORD_HEADER - length - _EXTENSION_HEADER
        elif _PADDED_FROM <= length < _PADDED_TO:
            room = max(_PADDED_TO - length - _EXTENSION_HEADER, 1)
        else:
            return b""
        return struct.pack("!H", PADDING) + vector(2, bytes(room)) if room >= 0 else b""

    def _body(self, code: int, sni: str | None) -> bytes:
        if code in self.profile.bodies:
            return self.profile.bodies[code]
        if code == SERVER_NAME:
            return vector(2, b"\0" + vector(2, (sni or "").encode("ascii")))  # RFC 6066 3: type host_name
        if code == KEY_SHARE:
            return vector(2, b"".join(map(self._entry, self.profile.key_shares)))
        maker = _BODIES.get(code)
        return maker(self.profile, self._uint16s) if maker else b""

    def _entry(self, group: int) -> bytes:
        if group == GREASE:
            return self._uint16s((GREASE,)) + vector(2, b"\0")
        return _share(group, self._public_key)

    def _uint16s(self, values: Iterable[int]) -> bytes:
        codes = [self._grease[0] if value == GREASE else value for value in values]
        return struct.pack(f"!{len(codes)}H", *codes)

    def _ssl2_format(self) -> bytes:
        """Build an SSLv2 CLIENT-HELLO: type, version, three lengths, then cipher kinds, session id and challenge."""
        suites = b"".join(suite.to_bytes(3, "big") for suite in self.profile.suites)
        version = self.profile.accepted_versions[0].code
        header = struct.pack("!BHHHH", CLIENT_HELLO, version, len(suites), 0, SSL2_CHALLENGE)
        message = header + suites + self.random[:SSL2_CHALLENGE]
        return struct.pack("!H", 0x8000 | len(message)) + message


def _record(version: int, message: bytes) -> bytes:
    """Put a message into a record, or into as many as it needs (RFC 8446 5.1)."""
    parts = (message[at : at + _LONGEST_RECORD] for at in range(0, len(message), _LONGEST_RECORD))
    return b"".join(struct.pack("!BH", HANDSHAKE, version) + vector(2, part) for part in parts)


def _share(group: int, public_key: PublicKey) -> bytes:
    """Build a KeyShareEntry (RFC 8446 4.2.8).

    Raises:
        ValueError: We can't make a key for the group.
    """
    key = public_key(group)
    if key is None:
        raise ValueError(_no_share(group))
    return struct.pack("!H", group) + vector(2, key)


def _no_share(group: int) -> str:
    return f"no key share can be made for the group 0x{group:04X}"


def _names(protocols: Iterable[str]) -> bytes:
    return vector(2, b"".join(vector(1, name.encode("latin-1")) for name in protocols))


def _encrypted_client_hello(*_: object) -> bytes:
    """Build one for nobody: outer, HKDF-SHA256 with AES-128-GCM, random content (RFC 9849 6.2)."""
    return b"\0" + bytes.fromhex("00010001") + os.urandom(1) + vector(2, os.urandom(32)) + vector(2, os.urandom(176))


Uint16s = Callable[[Iterable[int]], bytes]
_BODIES: Mapping[int, Callable[[Profile, Uint16s], bytes]] = {
    STATUS_REQUEST: lambda *_: _OCSP,
    STATUS_REQUEST_V2: lambda *_: _OCSP_V2,
    HEARTBEAT: lambda *_: b"\1",  # RFC 6520 2: peer_allowed_to_send
    RENEGOTIATION_INFO: lambda *_: b"\0",  # RFC 5746 3.2: no connection before
    ENCRYPTED_CLIENT_HELLO: _encrypted_client_hello,
    SUPPORTED_GROUPS: lambda profile, uint16s: vector(2, uint16s(profile.groups)),
    POINT_FORMATS: lambda profile, _: vector(1, bytes(profile.point_formats)),
    SIGNATURE_ALGORITHMS: lambda profile, uint16s: vector(2, uint16s(profile.signature_algorithms)),
    SIGNATURE_ALGORITHMS_CERT: lambda profile, uint16s: vector(2, uint16s(profile.signature_algorithms_cert)),
    DELEGATED_CREDENTIAL: lambda profile, uint16s: vector(2, uint16s(profile.delegated_credentials)),
    SUPPORTED_VERSIONS: lambda profile, uint16s: vector(1, uint16s(profile.versions)),
    COMPRESS_CERTIFICATE: lambda profile, uint16s: vector(1, uint16s(profile.certificate_compression)),
    PSK_MODES: lambda profile, _: vector(1, bytes(profile.psk_modes)),
    RECORD_SIZE_LIMIT: lambda profile, _: struct.pack("!H", profile.record_size_limit),
    ALPN: lambda profile, _: _names(profile.alpn),
    **{code: lambda profile, _: _names(profile.application_settings) for code in APPLICATION_SETTINGS},
}

MODELLED = frozenset({*_BODIES, SERVER_NAME, KEY_SHARE, PADDING})
"""The extensions whose body a profile tells without ``bodies``."""
