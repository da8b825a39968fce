"""The named clients: those that come with us, and a user's own.

``clients.json`` holds them as structured facts, each with its provenance. A user's own file has the same form; a client
in it replaces one of ours of the same name.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from meshproof.errors import ClientsUnreadable
from meshproof.tls.protocol.codes import (
    extension_code,
    extension_name,
    group,
    group_named,
    signature_code,
    signature_name,
    suite,
    suite_named,
)
from meshproof.tls.protocol.hello import simulable
from meshproof.tls.protocol.profile import GREASE, Profile
from meshproof.tls.protocol.version import ProtocolVersion

FORMAT = 1
SETS = ("seed", "modern", "user")
ALL, NONE = "all", "none"
_BUILT_IN = Path(__file__).with_name("clients.json")
_POINT_FORMATS = ("uncompressed", "ansiX962_compressed_prime", "ansiX962_compressed_char2")
_PSK_MODES = ("psk_ke", "psk_dhe_ke")
_COMPRESSIONS = ("", "zlib", "brotli", "zstd")  # RFC 8879 7.3
_GREASE_NAME = "GREASE"
_NEEDED = ("versions", "cipher_suites")


class Clients(NamedTuple):
    """A file of clients.

    Attributes:
        version: The date of the data.
        profiles: The clients, in the file's order.
    """

    version: str
    profiles: tuple[Profile, ...]

    def of(self, *sets: str) -> tuple[Profile, ...]:
        """Return the clients of some sets."""
        return tuple(profile for profile in self.profiles if profile.group in sets)

    def named(self, name: str) -> Profile:
        """Return one client.

        Raises:
            ClientsUnreadable: There is none of this name.
        """
        profile = next((profile for profile in self.profiles if profile.name.lower() == name.lower()), None)
        if profile is None:
            near = difflib.get_close_matches(name, [profile.name for profile in self.profiles], n=3, cutoff=0.4)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise ClientsUnreadable(f"There is no client {name}.{hint} `meshproof clients list` lists them.")
        return profile

    def with_own(self, own: Clients) -> Clients:
        """Return these and a user's own, which replace ours of the same name."""
        names = {profile.name for profile in own.profiles}
        kept = tuple(profile for profile in self.profiles if profile.name not in names)
        return Clients(self.version, kept + own.profiles)


@cache
def built_in() -> Clients:
    """Return the clients that come with us."""
    return read(_BUILT_IN)


def read(path: Path) -> Clients:
    """Read a file of clients.

    Raises:
        ClientsUnreadable: It can't be read, or something in it is not known.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ClientsUnreadable(f"Tried to read the clients in {path}: {error.strerror}.") from error
    except ValueError as error:
        raise ClientsUnreadable(f"The clients in {path} are no JSON: {error}.") from error
    if isinstance(document, dict) and "targets" in document:
        raise ClientsUnreadable(f"{path} has what a scan found, and no clients: `meshproof diff` reads it.")
    try:
        if document["format"] != FORMAT:
            raise ClientsUnreadable(f"The clients in {path} have format {document['format']}; this reads {FORMAT}.")
        clients = Clients(str(document["data"]), tuple(map(profile_of, document["clients"])))
    except KeyError as error:
        raise ClientsUnreadable(f"The clients in {path} lack the key {error}.") from error
    except (TypeError, AttributeError) as error:
        raise ClientsUnreadable(f"The clients in {path} are not of the shape that they should be: {error}.") from error
    except ValueError as error:
        raise ClientsUnreadable(f"The clients in {path} have something unknown: {error}") from error
    for profile in clients.profiles:
        if is_set(profile.name):
            raise ClientsUnreadable(f"{path} has a client called {profile.name}, as a set is: give it another name.")
    return clients


def is_set(name: str) -> bool:
    """Return whether a name is that of a set of clients, in capitals or not."""
    return name.lower() in (*SETS, ALL, NONE)


def write(clients: Clients) -> str:
    """Return the text of a file of clients: one field a line."""
    lines = []
    for profile in clients.profiles:
        fields = [
            f"   {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in facts(profile).items()
        ]
        lines.append("  {\n" + ",\n".join(fields) + "\n  }")
    head = f'{{\n "format": {FORMAT},\n "data": {json.dumps(clients.version)},\n "clients": [\n'
    return head + ",\n".join(lines) + "\n ]\n}\n"


def facts(profile: Profile) -> dict[str, Any]:
    """Return a client as it stands in a file: names for codes, and no field that does not apply."""
    fields = {
        "name": profile.name,
        "set": profile.group,
        "provenance": profile.provenance,
        "hello": "SSLv2" if profile.ssl2_format else None,
        "record_version": None if profile.ssl2_format else profile.record_version.value,
        "versions": [_version_name(code) for code in profile.versions],
        "session_id": profile.session_id,
        "cipher_suites": _names(profile.suites, lambda code: suite(code).name),
        "extensions": _names(profile.extensions, extension_name),
        "groups": _names(profile.groups, _group_name),
        "point_formats": _unless(_POINT_FORMATS[:1], [_POINT_FORMATS[code] for code in profile.point_formats]),
        "signature_algorithms": _names(profile.signature_algorithms, signature_name),
        "signature_algorithms_cert": _names(profile.signature_algorithms_cert, signature_name),
        "alpn": list(profile.alpn),
        "key_shares": _names(profile.key_shares, _group_name),
        "psk_modes": _unless(_PSK_MODES[1:], [_PSK_MODES[code] for code in profile.psk_modes]),
        "certificate_compression": [_COMPRESSIONS[code] for code in profile.certificate_compression],
        "delegated_credentials": _names(profile.delegated_credentials, signature_name),
        "record_size_limit": profile.record_size_limit,
        "application_settings": list(profile.application_settings),
        "dh_bits": list(profile.dh_bits or ()),
        "bodies": {extension_name(code): body.hex() for code, body in profile.bodies.items()},
    }
    return {key: value for key, value in fields.items() if value or key in _NEEDED}


def profile_of(facts: Mapping[str, Any]) -> Profile:
    """Read a client from what stands in a file.

    Raises:
        KeyError: A field is missing.
        ValueError: A name, or a field, is not known.
    """
    unknown = sorted(set(facts) - _FIELDS)
    if unknown:
        raise ValueError(f"{facts['name']} has the fields {', '.join(unknown)}, which mean nothing.")
    dh_bits = facts.get("dh_bits")
    profile = Profile(
        name=facts["name"],
        group=facts.get("set", "user"),
        provenance=facts.get("provenance", ""),
        ssl2_format=facts.get("hello") == "SSLv2",
        record_version=ProtocolVersion(facts.get("record_version", "TLS 1")),
        versions=tuple(map(_version_code, facts["versions"])),
        session_id=facts.get("session_id", 0),
        suites=tuple(map(_suite_code, facts["cipher_suites"])),
        extensions=tuple(map(_extension_code, facts.get("extensions", ()))),
        groups=tuple(map(_group_code, facts.get("groups", ()))),
        point_formats=tuple(map(_POINT_FORMATS.index, facts.get("point_formats", _POINT_FORMATS[:1]))),
        signature_algorithms=tuple(map(_signature_code, facts.get("signature_algorithms", ()))),
        signature_algorithms_cert=tuple(map(_signature_code, facts.get("signature_algorithms_cert", ()))),
        alpn=tuple(facts.get("alpn", ())),
        key_shares=tuple(map(_group_code, facts.get("key_shares", ()))),
        psk_modes=tuple(map(_PSK_MODES.index, facts.get("psk_modes", _PSK_MODES[1:]))),
        certificate_compression=tuple(map(_COMPRESSIONS.index, facts.get("certificate_compression", ()))),
        delegated_credentials=tuple(map(_signature_code, facts.get("delegated_credentials", ()))),
        record_size_limit=facts.get("record_size_limit", 0),
        application_settings=tuple(facts.get("application_settings", ())),
        dh_bits=(dh_bits[0], dh_bits[1]) if dh_bits else None,
        bodies={extension_code(name): bytes.fromhex(body) for name, body in facts.get("bodies", {}).items()},
    )
    return simulable(profile)


_FIELDS = {
    *("name", "set", "provenance", "record_version", "versions", "cipher_suites"),
    *(
        "hello",
        "session_id",
        "extensions",
        "groups",
        "point_formats",
        "signature_algorithms",
        "key_shares",
        "psk_modes",
    ),
    *("signature_algorithms_cert", "alpn", "certificate_compression", "delegated_credentials", "record_size_limit"),
    *("application_settings", "dh_bits", "bodies"),
}


def _names(codes: Sequence[int], name_of: Callable[[int], str]) -> list[str]:
    return [_GREASE_NAME if code == GREASE else name_of(code) for code in codes]


def _unless(usual: Sequence[str], names: list[str]) -> list[str]:
    return [] if names == list(usual) else names


# The names are a few hundred, and come thousands of times.
@cache
def _suite_code(name: str) -> int:
    return GREASE if name == _GREASE_NAME else suite_named(name).code


@cache
def _extension_code(name: str) -> int:
    return GREASE if name == _GREASE_NAME else extension_code(name)


@cache
def _signature_code(name: str) -> int:
    return GREASE if name == _GREASE_NAME else signature_code(name)


@cache
def _group_code(name: str) -> int:
    return GREASE if name == _GREASE_NAME else group_named(name).code


def _group_name(code: int) -> str:
    return group(code).name


def _version_name(code: int) -> str:
    known = ProtocolVersion.from_code(code)
    return _GREASE_NAME if code == GREASE else known.value if known else f"0x{code:04X}"


def _version_code(name: str) -> int:
    if name == _GREASE_NAME:
        return GREASE
    return int(name, 16) if name.startswith("0x") else ProtocolVersion(name).code
