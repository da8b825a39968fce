"""What a proxy has written to its access log: what became of a request, by name.

Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from meshproof.cluster.kube import Kube
from meshproof.mesh import istio

_BLACK_HOLE = "BlackHoleCluster"
_BLOCKED = "block_all"


class ProxyEnd(Enum):
    """What became of a request, or of a connection, at the proxy that was to send it on.

    Source: the errors of BoringSSL, which Envoy puts into its log, and
    https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/response_code_details
    """

    ANSWERED = "it was sent on, and answered"
    SERVER_CERT_UNTRUSTED = "the server's certificate is of an authority that the proxy does not trust"
    SERVER_CERT_OTHER_NAME = "the server's certificate is for other names"
    SECRET_MISSING = "the proxy has not got the Secret that it was to show"  # noqa: S105 - no password
    NOT_IN_REGISTRY = "the host is none that the mesh knows, and others are blocked"
    UNKNOWN = "none of these"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Logged:
    """A line of an access log.

    Attributes:
        end: What became of it.
        status: The status code that the proxy answered with; 0 for none.
        flags: Envoy's response flags, such as ``UF`` (the connection to the server failed).
        fields: The whole line, by Istio's names of the fields.
    """

    end: ProxyEnd
    status: int
    flags: frozenset[str]
    fields: dict[str, Any]

    @classmethod
    def read(cls, fields: dict[str, Any]) -> Logged:
        """Read a line, by Istio's names of its fields."""
        flags = frozenset(str(fields.get("response_flags") or "").split(",")) - {"-", ""}
        return cls(_end(fields, flags), int(fields.get("response_code") or 0), flags, fields)

    def __str__(self) -> str:
        return f"{self.end} {self.status} {','.join(sorted(self.flags))} ({self.fields.get('response_code_details')})"


def logged(kube: Kube, namespace: str, app: str) -> list[Logged]:
    """Return the lines of the access log of an application's proxy, the oldest first.

    A proxy writes them within a second of the request's end.

    Raises:
        ClusterError: There is no ready pod, or it has no log.
    """
    pod = kube.pods.any_ready(namespace, app)
    return [Logged.read(fields) for fields in entries(kube.pods.log(namespace, pod, istio.PROXY, lines=None))]


def entries(log: str) -> Iterator[dict[str, Any]]:
    """Yield the fields of each request in the log of a proxy; lines that are about no request are passed over."""
    for fields in objects_in(log.splitlines()):
        if "response_flags" in fields:
            yield fields


def objects_in(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the objects of JSON among the lines of a log; other lines are passed over."""
    for line in lines:
        with suppress(ValueError):  # it was cut short, or only begins like one
            if line.startswith("{"):
                yield json.loads(line)


def _end(fields: dict[str, Any], flags: frozenset[str]) -> ProxyEnd:
    why = str(fields.get("upstream_transport_failure_reason") or "")
    if "UF" in flags:
        for words, end in (
            ("Secret_is_not_supplied_by_SDS", ProxyEnd.SECRET_MISSING),
            ("verify_SAN_list", ProxyEnd.SERVER_CERT_OTHER_NAME),
            ("unable_to_get_local_issuer_certificate", ProxyEnd.SERVER_CERT_UNTRUSTED),
        ):
            if words in why:
                return end
    if fields.get("upstream_cluster") == _BLACK_HOLE or fields.get("route_name") == _BLOCKED:
        return ProxyEnd.NOT_IN_REGISTRY
    return ProxyEnd.ANSWERED if fields.get("response_code_details") == "via_upstream" else ProxyEnd.UNKNOWN
