"""The certificates of the testbed, by role.

    aliyun    ─┬─ aliyun.com          the gateway that ends TLS
               ├─ ecdsa.aliyun.com    the same, with an ECDSA key on P-256
               └─ sample.aliyun.com   NGINX behind TLS passthrough
    test      ─┬─ test.com            the gateway with mutual TLS; as a client, one that no policy denies
               ├─ test.client         spiffe://test.client, whom a policy denies one path
               └─ expired             the same identity, out of date
    stranger  ─── stranger            the same identity, of an authority that the gateway doesn't know

They are made anew for every run, in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from trustme import KeyType

from meshproof.certificates.authority import Authority, Lifetime
from meshproof.certificates.leaf import Leaf

CLIENT = "spiffe://test.client"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Everything that a manifest or a test can name.

    Attributes:
        authorities: Who signs.
        servers: What a server shows, by the name in it.
        clients: What a client shows, by role or defect.
    """

    authorities: Mapping[str, Authority]
    servers: Mapping[str, Leaf] = field(repr=False)
    clients: Mapping[str, Leaf] = field(repr=False)


@cache
def mint() -> Certificates:
    """Make all of them, once for each run."""
    authorities = {name: Authority(name) for name in ("aliyun", "test", "stranger")}
    aliyun, test, stranger = authorities.values()
    servers = {
        "aliyun.com": aliyun.server("aliyun.com"),
        "ecdsa.aliyun.com": aliyun.server("ecdsa.aliyun.com", key=KeyType.ECDSA),
        "sample.aliyun.com": aliyun.server("sample.aliyun.com"),
        "test.com": test.server("test.com"),
    }
    clients = {
        "test.client": test.client(CLIENT),
        "expired": test.client(CLIENT, lifetime=Lifetime.EXPIRED),
        "stranger": stranger.client(CLIENT),
        "test.com": servers["test.com"],
    }
    return Certificates(authorities, servers, clients)
