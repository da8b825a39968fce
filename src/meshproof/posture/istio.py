"""Which cipher suites a Gateway of Istio can be given, and what becomes of the names that it cannot.

The facts are from Istio's source: ``pkg/config/security`` has the names, and ``FilterCipherSuites`` leaves out all
others with a line in istiod's debug log; the validating webhook, where it is on, warns whoever applies the manifest.
A list that has become empty is as if there had been none.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import NamedTuple

from meshproof.tls.protocol.codes import suite_named

ENVOY_DEFAULTS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
"""What Envoy offers in TLS 1.2 when it is told nothing; the two of AES-128 and ChaCha20 are liked alike."""

LEGACY = (
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
)
"""Those that TLS 1.0 and 1.1 know as well."""

CIPHERS = (*ENVOY_DEFAULTS, *LEGACY, "AES128-GCM-SHA256", "AES256-GCM-SHA384")
"""The names that ``cipherSuites`` may have."""

BORINGSSL_SUITES = {
    *CIPHERS,
    *("ECDHE-ECDSA-AES128-SHA256", "ECDHE-RSA-AES128-SHA256"),
    *("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"),
}
"""What Envoy with BoringSSL can be made to offer by any means; those of PSK need what Envoy has no field for."""

BORINGSSL_GROUPS = {
    "P-224",
    "P-256",
    "P-384",
    "P-521",
    "X25519",
    "X25519Kyber768Draft00",
    "X25519MLKEM768",
    "MLKEM1024",
}
"""The groups that Envoy with BoringSSL can be made to offer, as tables spell them."""


class Dropped(NamedTuple):
    """A name that Istio leaves out.

    Attributes:
        name: The name.
        why: The rest of a sentence that begins with it.
        instead: The name that Istio takes; None when there is none.
        applies: What is in force without it.
    """

    name: str
    why: str
    instead: str | None
    applies: str


def accepted(name: str) -> bool:
    """Return whether Istio hands a name on to Envoy; it lets BoringSSL's operators, as in ``[A|B]``, pass unread."""
    return name in ("", "ALL", *CIPHERS) or not name[0].isalnum()


def dropped_by_istio(names: Sequence[str]) -> tuple[Dropped, ...]:
    """Return the names in ``cipherSuites`` that Istio would leave out without a word."""
    kept = [name for name in dict.fromkeys(names) if accepted(name)]
    applies = (
        f"without it the list is {', '.join(kept)}"
        if kept
        else "no name is left, so that meshConfig.tlsDefaults.cipherSuites or else Envoy's defaults apply"
    )
    return tuple(Dropped(name, *_fault(name), applies) for name in dict.fromkeys(names) if not accepted(name))


def _fault(name: str) -> tuple[str, str | None]:
    try:
        suite = suite_named(name)
    except ValueError:
        near = next(iter(difflib.get_close_matches(name.upper(), CIPHERS, n=1)), None)
        return f"is no cipher suite{f'; the nearest is {near}' if near else ''}", near
    if suite.tls13:
        return "is a suite of TLS 1.3, and those cannot be chosen: Envoy always offers all that it has", None
    if suite.openssl in CIPHERS:
        return f"is not how Istio spells it: write {suite.openssl}", suite.openssl
    return "is not among the suites that Istio lets a gateway offer", None
