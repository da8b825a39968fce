"""What both ends see of a few requests on each way through the mesh: the answer, and what reached the server.

Each header is a fact of its own. Left out is what is of the moment: the values of some headers, addresses, hashes,
certificates, and the ends of pods' names. Values of headers that may be secret have their SHA-256 instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from meshproof.errors import MeshproofError
from meshproof.traffic import Ending, Flow, Record, a_few
from meshproof.upgrade.evidence import UNKNOWN
from meshproof.upgrade.facts.names import ANSWER, REQUEST
from meshproof.upgrade.facts.secrecy import digest

REQUESTS = 3
"""How many requests there are on each way."""
_THERE = "there"
_VARIES = "differs from request to request"
_LEFT_OUT = "…"
_LONGEST = 200  # characters of a body that a proxy wrote
_HOPS = "x-forwarded-for"
_ONLY_WHETHER = re.compile(
    r"date|content-length|set-cookie|x-request-id|x-envoy-(upstream-service-time|external-address|peer-metadata(-id)?)"
    r"|traceparent|tracestate|b3|x-b3-.*"
)
"""Headers of which only counts whether they are there.

Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers and
https://istio.io/latest/docs/tasks/observability/distributed-tracing/overview/
"""
_SECRET = re.compile(r"(proxy-)?authorization|cookie|.*(api-?key|token|secret|password|credential).*")
"""Headers that may have secrets in them; their values can be compared, and not be read."""
_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"  # what Kubernetes makes names of: SafeEncodeString in apimachinery's util/rand
_OF_THE_MOMENT = re.compile(
    r'(?<=Cert=)"[^"]*"|(?<=Chain=)"[^"]*"'  # of X-Forwarded-Client-Cert
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"
    r"|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"
    r"|\b[0-9a-f]{16,}\b"
    rf"|(?<=-){_SAFE}{{5,10}}-{_SAFE}{{5}}\b",
    re.IGNORECASE,
)


def of_ways(ways: Sequence[Sequence[Flow]], program: Path) -> dict[str, str]:
    """Send a few requests on each way, and return what both ends see of them.

    One place sends after the other: the traffic of the upgrade goes on meanwhile.

    Args:
        ways: Flows to the server of the image ``traffic`` whose records have the answer's body; those that are sent
            from one place together.
        program: The one that sends from this machine.
    """

    def ask(together: Sequence[Flow]) -> dict[str, str]:
        try:
            records = a_few(*together, requests=REQUESTS, program=program)
        except MeshproofError as error:
            return {f"{side}{way.name}": f"{UNKNOWN}{error}" for way in together for side in (ANSWER, REQUEST)}
        return {name: value for way in together for name, value in of_way(way.name, records[way.name]).items()}

    return {name: value for together in ways for name, value in ask(together).items()}


def of_way(way: str, records: Sequence[Record]) -> dict[str, str]:
    """Return what the requests on one way agree on.

    A request that was lost says nothing; one that the server's end of TLS has refused says so.
    """
    facts = [dict(_facts(way, record)) for record in records if record.outcome in {Ending.ANSWERED, Ending.TLS_REFUSED}]
    if not facts:
        lost = ", ".join(sorted({_steady(f"{record} {record.detail}".strip()) for record in records}))
        return {f"{side}{way}": f"{UNKNOWN}no request was answered: {lost}" for side in (ANSWER, REQUEST)}
    names = dict.fromkeys(name for of_one in facts for name in of_one)
    values = {name: {of_one.get(name, "") for of_one in facts} for name in names}
    return {name: several.pop() if len(several) == 1 else _VARIES for name, several in values.items()}


def _facts(way: str, record: Record) -> Iterator[tuple[str, str]]:
    if record.outcome is Ending.TLS_REFUSED:
        yield f"{ANSWER}{way}", f"TLS alert {record.alert}"
        return
    yield f"{ANSWER}{way}", f"{record.protocol} {record.status}"
    yield from _headers(f"{ANSWER}{way}", record.headers)
    account = _account(record.body)
    if account is None:
        text = _steady(record.body) or "empty"
        yield f"{ANSWER}{way}: body", text if len(text) <= _LONGEST else f"longer than {_LONGEST} characters"
        return
    yield f"{REQUEST}{way}", f"{account['protocol']} {account['method']} {account['host']}{account['path']}"
    yield from _headers(f"{REQUEST}{way}", account["headers"])
    if encryption := account["tls"]:
        peer = encryption["peer"]
        who = ", ".join(peer["names"]) if peer else "no certificate"
        yield f"{REQUEST}{way}: TLS", f"{encryption['version']} for {encryption['server_name']}, client: {who}"


def _account(body: str) -> dict[str, Any] | None:
    """Return what the server tells of a request; None where a proxy has answered in its place."""
    try:
        content = json.loads(body)
    except ValueError:
        return None
    return content if isinstance(content, dict) and {"headers", "tls"} <= content.keys() else None


def _headers(name: str, headers: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    for header, values in headers.items():
        value = ", ".join(values)
        if header == _HOPS:
            text = f"{value.count(',') + 1} addresses"
        elif _ONLY_WHETHER.fullmatch(header):
            text = _THERE
        else:
            text = digest(value) if _SECRET.fullmatch(header) else _steady(value)
        yield f"{name}: header {header}", text


def _steady(text: str) -> str:
    """Return a text without what is of the moment."""
    return _OF_THE_MOMENT.sub(_LEFT_OUT, text)
