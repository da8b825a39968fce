"""Certificates that the tests share; an RSA key takes its time.

OURS ──┬── SERVER     example.test
       ├── TRUSTED    spiffe://test.client
       └── EXPIRED    the same, an hour too old
OTHER ──── UNKNOWN    the same, of an authority that no server here trusts
"""

from __future__ import annotations

from meshproof.certificates.authority import Authority, Lifetime

HOST = "example.test"
IDENTITY = "spiffe://test.client"

OURS = Authority("ours")
OTHER = Authority("other")
SERVER = OURS.server(HOST)
TRUSTED = OURS.client(IDENTITY)
EXPIRED = OURS.client(IDENTITY, lifetime=Lifetime.EXPIRED)
UNKNOWN = OTHER.client(IDENTITY)
