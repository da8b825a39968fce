"""X-Forwarded-Client-Cert: what proxies tell an application of whose certificates its request came by.

Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_HEADER = "x-forwarded-client-cert"
_PAIR = re.compile(r'(?P<key>[^=;,"]+)=(?P<value>"(?:[^"\\]|\\.)*"|(?!")[^;,]*)(?P<end>[;,]|$)')


def peers(headers: Mapping[str, str | Sequence[str]]) -> list[dict[str, str]]:
    """Return the peers that a request has had on its way, the nearest one last; none without the header.

    Each peer is the elements that its proxy wrote: ``By`` (who was asked), ``URI`` (who asked), ``Hash`` (the SHA-256
    of its certificate, in hex) and others, without the quotes around a value. Where an element is there twice, the last
    one counts.

    Args:
        headers: Those of a request, by names in whatever case, each with its value or its values.

    Raises:
        ValueError: The header is not written as Envoy writes it.
    """
    hops: list[dict[str, str]] = []
    for name, values in headers.items():
        if name.lower() == _HEADER:
            for value in [values] if isinstance(values, str) else values:
                hops += _hops(value)
    return hops


def _hops(value: str) -> list[dict[str, str]]:
    hops: list[dict[str, str]] = [{}]
    position = 0
    while position < len(value):
        pair = _PAIR.match(value, position)
        if pair is None:
            raise ValueError(f"X-Forwarded-Client-Cert is not written as Envoy writes it: {value[position:]!r}.")
        text = pair["value"]
        hops[-1][pair["key"].strip()] = text[1:-1].replace('\\"', '"') if text.startswith('"') else text
        if pair["end"] == ",":
            hops.append({})
        position = pair.end()
    return [hop for hop in hops if hop]
