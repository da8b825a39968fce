"""What a server of the image `traffic` was told of its peer by its proxy."""

from __future__ import annotations

import json

_HEADER = "x-forwarded-client-cert"


def peer_of(body: str) -> dict[str, str]:
    """Return the elements of the nearest peer: ``URI``, ``By``, and ``Hash``, the SHA-256 of its certificate in hex.

    Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert

    Args:
        body: An answer of ``traffic serve``.
    """
    values = json.loads(body)["headers"].get(_HEADER, [""])
    elements = values[-1].rpartition(",")[2].split(";")
    return dict(element.split("=", 1) for element in elements if element)
