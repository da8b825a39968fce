"""Which names a certificate can have, told before one is issued."""

from __future__ import annotations

import ipaddress
import re

import idna

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[!-~]+")
_LONGEST_CN = 64  # octets; RFC 5280, appendix A.1: ub-common-name
_LONGEST_FILE = 240  # octets; 255 with what is put behind the name


def is_uri(name: str) -> bool:
    """Return whether an alternative name is meant as a URI, and not as a host or an address."""
    return "://" in name


def is_alternative_name(name: str) -> bool:
    """Return whether it can be a subject alternative name.

    It is a URI in ASCII, an IP address, or a host, with a wildcard as its first label or without; an internationalized
    host may be written as it is read or as A-labels.

    Source: RFC 5280, 4.2.1.6, and RFC 5891 for what a host is made of.
    """
    if is_uri(name):
        return _URI.fullmatch(name) is not None
    return _is_address(name) or _is_host(name)


def is_common_name(name: str) -> bool:
    """Return whether it can be the CN of a subject: not empty, printable, and of 64 octets in UTF-8 at most."""
    return name.isprintable() and 0 < len(name.encode()) <= _LONGEST_CN


def is_file_name(name: str) -> bool:
    """Return whether a file can be called so: `meshproof apply` writes each certificate to one."""
    return name.isprintable() and "/" not in name and 0 < len(name.encode()) <= _LONGEST_FILE


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return "%" not in name  # an address of one interface is none for others


def _is_host(name: str) -> bool:
    try:
        idna.encode(name.removeprefix("*."), uts46=True)
    except UnicodeError:  # idna.IDNAError is one
        return False
    return not name.endswith(".")
