"""Postures as JSON, which ``posture.schema.json`` describes. Nothing of a key is ever in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from meshproof.posture.comparison import Row
from meshproof.posture.spelling import connection, protocol
from meshproof.posture.spelling import group as spelled
from meshproof.posture.spelling import offer as spelled_offer
from meshproof.posture.verdict import Finding, judge
from meshproof.tls.probe.answer import Offer
from meshproof.tls.probe.outcome import Outcome
from meshproof.tls.protocol import codes
from meshproof.tls.protocol.ciphersuite import CipherSuite
from meshproof.tls.scanner.findings import Certificate, ClientResult, Posture

FORMAT = 1
"""The version of the format: another one for every change after which an old reader would read something wrong."""

SCHEMA = Path(__file__).with_name("posture.schema.json")

Json = dict[str, Any]


def to_json(
    postures: Sequence[Posture],
    *,
    clients: str,
    aes: bool | None = None,
    comparison: Json | None = None,
    gateway: Sequence[Finding] | None = None,
) -> Json:
    """Return the document of a scan.

    Certificates that clients were shown are left out; those of the posture say more.

    Args:
        postures: What was found.
        clients: The version of the clients' data.
        aes: Whether this machine, and so a server on it, computes AES in hardware; None when it is not known.
        comparison: What was expected and is, or is not; None when nothing was expected.
        gateway: What was found in a file of ``--gateway``; None when there was none.
    """
    from importlib.metadata import version  # noqa: PLC0415 - takes long, and most scans are shown only

    return {
        "schema": SCHEMA.name,
        "format": FORMAT,
        "tool": {"name": "meshproof", "version": version("meshproof")},
        "data": {"clients": clients, "registry": codes.VERSION},
        "machine": {"aes": aes},
        "targets": [_target(posture) for posture in postures],
        "comparison": comparison,
        "gateway": None if gateway is None else [_finding(finding) for finding in gateway],
    }


def rows_to_json(target: str, rows: Iterable[Row]) -> list[Json]:
    """Return the rows of a target as they stand in the document."""
    return [
        {
            "target": target,
            "what": row.what,
            "expected": row.expected,
            "seen": row.seen,
            "as_expected": row.met,
            "unknown": row.unknown,
        }
        for row in rows
    ]


def machine_has_aes(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool | None:
    """Return whether this machine computes AES in hardware: BoringSSL's choice of a TLS 1.3 suite depends on it."""
    try:
        flags = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo.read_text(), re.MULTILINE)
    except OSError:
        return None
    return "aes" in flags[1].split() if flags else None


def _target(posture: Posture) -> Json:
    return {
        "address": posture.target.address.host,
        "port": posture.target.address.port,
        "sni": posture.target.sni,
        "began": posture.began.isoformat(),
        "seconds": posture.seconds,
        "connections": posture.connections,
        "endpoint": posture.endpoint,
        "unreachable": _name(posture.unreachable),
        "unknown": posture.unknown,
        "gaps": posture.gaps,
        "listed": posture.listed,
        "protocols": {protocol(version): _offer(offer) for version, offer in posture.versions.items()},
        "ciphers": [
            {
                "protocol": protocol(order.version),
                "certificate": order.certificate,
                "complete": order.complete,
                "ordered": order.ordered,
                "suites": [
                    {"rank": rank, **_suite(suite)}
                    for rank, alike in enumerate(order.preference, start=1)
                    for suite in alike
                ],
            }
            for order in posture.ciphers
        ],
        "groups": [
            {
                "protocol": protocol(order.version),
                "server_decides": order.server_decides,
                "complete": order.complete,
                "groups": [{"name": spelled(group), "code": _hex(group.code)} for group in order.groups],
            }
            for order in posture.groups
        ],
        "alpn": posture.alpn,
        "alpn_complete": posture.alpn_complete,
        "dh_bits": posture.dh_bits,
        "certificates": [_chain(certificate) for certificate in posture.certificates],
        "certificates_complete": posture.certificates_complete,
        "client_authentication": str(posture.client_authentication),
        "fallback_scsv": posture.fallback_scsv,
        "credential": _name(posture.credential),
        "clients": [_client(client) for client in posture.clients],
        "contradictions": posture.contradictions,
        "notes": posture.notes,
        "verdict": [_finding(finding) for finding in judge(posture)],
    }


def _finding(finding: Finding) -> Json:
    return finding._asdict() | {"severity": str(finding.severity)}


def _name(outcome: Outcome | None) -> str | None:
    return outcome.name if outcome else None


def _hex(code: int) -> str:
    return f"0x{code:04X}"


def _suite(suite: CipherSuite) -> Json:
    return {"name": suite.label, "iana": suite.name, "code": _hex(suite.code)}


def _offer(offer: Offer) -> Json:
    return {
        "offered": offer.offered.value,
        "reason": spelled_offer(offer),
        "refusal": _name(offer.refusal),
        "alert": offer.alert,
        "answered": protocol(offer.answered) if offer.answered else None,
    }


def _chain(certificate: Certificate) -> Json:
    intermediates = [_certificate(sent) for sent in certificate.intermediates]
    return _certificate(certificate) | {"chain": certificate.chain, "intermediates": intermediates}


def _certificate(certificate: Certificate) -> Json:
    return {
        "subject": certificate.subject,
        "names": certificate.names,
        "issuer": certificate.issuer,
        "serial": f"{certificate.serial:X}",
        "key": certificate.key,
        "signature": certificate.signature,
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
        "fingerprint": certificate.fingerprint,
    }


def _client(client: ClientResult) -> Json:
    answer = client.answer
    got = connection(answer) or (None, None, None)
    details = {
        "outcome": answer.outcome.name,
        "alert": answer.alert,
        "protocol": protocol(answer.version) if answer.version else None,
        "suite": _suite(answer.suite) if answer.suite else None,
        "group": {"name": spelled(answer.group), "code": _hex(answer.group.code)} if answer.group else None,
        "dh_bits": answer.dh_bits,
        "alpn": answer.alpn,
        "retried": answer.retried or None,
        "client_certificate_requested": answer.client_cert_requested,
    }
    return {
        "name": client.name,
        **dict(zip(("protocol", "cipher", "forward_secrecy"), got, strict=True)),
        "reason": client.reason,
        "unknown": client.unknown,
        "answer": {key: value for key, value in details.items() if value is not None},
    }
