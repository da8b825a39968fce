"""The codes of TLS and their names: cipher suites, groups, signature schemes and extensions.

The table is ``codes.json``, one entry a line. Its sources:

- IANA, Transport Layer Security (TLS) Parameters, and TLS ExtensionType Values; for what IANA only reserves, the
  documents where it came from: RFC 6101 (SSL 3), draft-hickman-netscape-ssl-00 (SSL 2),
  draft-ietf-tls-56-bit-ciphersuites-01, draft-agl-tls-chacha20poly1305-04 (its suites are named as those that
  followed, with ``OLD_`` in front), Netscape's FIPS suites, and the experiments of browsers
- OpenSSL, what ``openssl ciphers -V`` of 3.0 prints, and ciphers(1) of 1.0.2 and 1.1.1 for what has gone since; a
  suite that changed its name has the newer one, DHE-RSA-DES-CBC3-SHA for EDH-RSA-DES-CBC3-SHA; the old
  ChaCha20 suites are called as in LibreSSL

A code has two octets, a cipher kind of SSL 2 three: they never meet, as the least of those is above 0xFFFF. A code
without a name is written as its number, such as ``0xABCD``, and is read back from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict, cast

from meshproof.tls.protocol.ciphersuite import CipherSuite, weakness

VERSION: str
"""The date of the table."""

_TWO_OCTETS = 0xFFFF
_NUMBER = re.compile(r"0x[0-9A-Fa-f]{4}(?:[0-9A-Fa-f]{2})?")

Kind = Literal["ECDH", "DH", "KEM", "unknown"]


class _Document(TypedDict):
    """What is in the file; codes are written in hexadecimal."""

    version: str
    cipher_suites: list[tuple[str, str, str | None]]  # code, name, name in OpenSSL
    ssl2_kinds: list[tuple[str, str, str | None]]
    groups: list[tuple[str, str, str | None, int | None, Kind]]  # code, name, as it is shown, bits, kind
    signature_schemes: list[tuple[str, str]]
    extensions: list[tuple[int, str]]


class Group(NamedTuple):
    """A group for the key exchange, from the time of the "named curves" on.

    Attributes:
        code: Its number.
        name: Its name at IANA.
        shown: Its name in tables, where it has another one, such as ``P-256``.
        bits: Its size, as OpenSSL counts: the order of an elliptic curve, the prime of a finite field; None for a KEM.
        kind: The key exchange that it is for.
    """

    code: int
    name: str
    shown: str | None
    bits: int | None
    kind: Kind

    def __str__(self) -> str:
        return self.name

    @property
    def forward_secrecy(self) -> str:
        """What tables show as the means of forward secrecy, such as ``256 bit ECDH (P-256)``."""
        return self.name if self.bits is None else f"{self.bits} bit {self.kind} ({self.shown or self.name})"


def suite(code: int) -> CipherSuite:
    """Return the cipher suite, or the cipher kind of SSL 2, with this number."""
    return _suites().get(code) or CipherSuite(code, _number(code), None)


def suite_named(name: str) -> CipherSuite:
    """Return the cipher suite with this name, at IANA or in OpenSSL.

    OpenSSL calls some suites of TLS as it called those of SSL 2; its names mean those of TLS here.

    Raises:
        ValueError: There is none.
    """
    known = _suite_names().get(name) or _suite_names().get(name.replace("EDH-", "DHE-"))
    return known or suite(_code(name, "cipher suite", _suite_names()))


def group(code: int) -> Group:
    """Return the group with this number."""
    return _groups().get(code) or Group(code, _number(code), None, None, "unknown")


def group_named(name: str) -> Group:
    """Return the group with this name, at IANA, at NIST or in OpenSSL, in capitals or not.

    Raises:
        ValueError: There is none.
    """
    known = _group_names().get(name.lower())
    return known or group(_code(name, "group", [group.name for group in groups()]))


def signature_name(code: int) -> str:
    """Return the name of a signature scheme (RFC 8446 4.2.3), also of a pair of hash and signature of TLS 1.2."""
    return _signatures().get(code) or _number(code)


def signature_code(name: str) -> int:
    """Return the number of a signature scheme.

    Raises:
        ValueError: There is none of this name.
    """
    code = _signature_codes().get(name)
    return _code(name, "signature scheme", _signature_codes()) if code is None else code


def extension_name(code: int) -> str:
    """Return the name of an extension."""
    return _extensions().get(code) or _number(code)


def extension_code(name: str) -> int:
    """Return the number of an extension; RFC 8446bis calls ``delegated_credential`` by its plural, too.

    Raises:
        ValueError: There is none of this name.
    """
    code = _extension_codes().get(name)
    return _code(name, "extension", _extension_codes()) if code is None else code


@cache
def tls12_suites() -> tuple[CipherSuite, ...]:
    """Return every suite for TLS 1.2 and before, the strongest first."""
    suites = [suite for suite in _suites().values() if suite.code <= _TWO_OCTETS and not suite.signalling]
    return tuple(sorted((suite for suite in suites if not suite.tls13), key=weakness))


@cache
def tls13_suites() -> tuple[CipherSuite, ...]:
    """Return every suite for TLS 1.3, the strongest first."""
    return tuple(sorted((suite for suite in _suites().values() if suite.tls13), key=weakness))


def ssl2_kinds() -> tuple[CipherSuite, ...]:
    """Return every cipher kind of SSL 2."""
    return tuple(suite for suite in _suites().values() if suite.code > _TWO_OCTETS)


def groups() -> tuple[Group, ...]:
    """Return every group, by number."""
    return tuple(_groups().values())


def is_grease(code: int) -> bool:
    """Return whether a client sent this value only so that servers keep ignoring what they do not know (RFC 8701)."""
    return code <= _TWO_OCTETS and code & 0x0F0F == 0x0A0A and code >> 8 == code & 0xFF  # noqa: PLR2004 - the RFC's


@cache
def _document() -> _Document:
    return cast("_Document", json.loads(Path(__file__).with_name("codes.json").read_bytes()))


@cache
def _suites() -> Mapping[int, CipherSuite]:
    rows = _document()["cipher_suites"] + _document()["ssl2_kinds"]
    return {(number := int(code, 16)): CipherSuite(number, name, openssl) for code, name, openssl in rows}


@cache
def _suite_names() -> Mapping[str, CipherSuite]:
    known = [*ssl2_kinds(), *(suite for suite in _suites().values() if suite.code <= _TWO_OCTETS)]
    return {suite.openssl: suite for suite in known if suite.openssl} | {suite.name: suite for suite in known}


@cache
def _groups() -> Mapping[int, Group]:
    rows = _document()["groups"]
    return {(number := int(code, 16)): Group(number, *others) for code, *others in rows}  # type: ignore[arg-type]


@cache
def _group_names() -> Mapping[str, Group]:
    by_name = {group.shown.lower(): group for group in groups() if group.shown}
    by_name |= {group.name.lower(): group for group in groups()}
    return by_name | {"prime192v1": by_name["secp192r1"], "prime256v1": by_name["secp256r1"]}  # ANSI X9.62, in OpenSSL


@cache
def _signatures() -> Mapping[int, str]:
    return {int(code, 16): name for code, name in _document()["signature_schemes"]}


@cache
def _signature_codes() -> Mapping[str, int]:
    return {name: code for code, name in _signatures().items()}


@cache
def _extensions() -> Mapping[int, str]:
    return dict(_document()["extensions"])


@cache
def _extension_codes() -> Mapping[str, int]:
    by_name = {name: code for code, name in _extensions().items()}
    return by_name | {"delegated_credentials": by_name["delegated_credential"]}


def _number(code: int) -> str:
    return f"0x{code:04X}" if code <= _TWO_OCTETS else f"0x{code:06X}"


def _code(name: str, what: str, known: Collection[str]) -> int:
    """Read a code that has no name from its number.

    Raises:
        ValueError: It is no number: a misspelt name, most likely.
    """
    if _NUMBER.fullmatch(name):
        return int(name, 16)
    import difflib  # noqa: PLC0415 - only a misspelt name needs it

    names = {known_name.upper(): known_name for known_name in known}
    (near,) = difflib.get_close_matches(name.upper(), names, n=1, cutoff=0.0)
    raise ValueError(
        f"Looked for a {what} called {name!r}: there is none. "
        f"The nearest is {names[near]!r}; one without a name is written as its number, such as 0xABCD."
    )


if not TYPE_CHECKING:  # so that only VERSION is known to be there

    def __getattr__(name: str) -> str:
        """Read the table when its date is asked for, not before."""
        if name == "VERSION":
            return _document()["version"]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
