"""Postures as JSON, and back: ``posture.schema.json`` describes it. Nothing of a key is ever in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from meshproof.posture.reading import Node, Unreadable, json_document
from meshproof.posture.schema import check
from meshproof.posture.spelling import PROTOCOLS, connection, protocol
from meshproof.posture.spelling import group as spelled
from meshproof.posture.spelling import offer as spelled_offer
from meshproof.posture.verdict import Finding, judge
from meshproof.tls.probe.answer import Answer, Offer, Offered
from meshproof.tls.probe.outcome import Outcome
from meshproof.tls.probe.stream import Address
from meshproof.tls.protocol import codes
from meshproof.tls.protocol.ciphersuite import CipherSuite
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import (
    UNKNOWN,
    Certificate,
    ClientAuthentication,
    ClientResult,
    GroupOrder,
    Posture,
    SuiteOrder,
    Target,
)

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


def from_json(document: Any, name: str = "the document") -> tuple[Posture, ...]:  # noqa: ANN401 - it can be anything
    """Read a document.

    One that was saved before ``listed``, ``alpn_complete``, ``certificates_complete``, ``endpoint`` and
    ``intermediates`` were written says what it said then: lists were asked for if there is one of cipher suites, that
    of protocols is whole, certificates are known if there is one. Of an intermediate it knows the subject: the rest is
    unknown, and the fingerprint empty.

    Raises:
        Unreadable: It is no document of ours, one of a newer format, or somewhere not as its schema says.
    """
    if not isinstance(document, dict) or "format" not in document:
        raise Unreadable(f"{name}: this is no posture that meshproof saved.")
    if document["format"] != FORMAT:
        raise Unreadable(f"{name}: its format is {document['format']!r}, and this meshproof reads {FORMAT}.")
    try:
        check(Node(Path(name), "", document), SCHEMA)
    except RecursionError as error:
        raise Unreadable(f"{name}: this is no posture that meshproof saved: it is too deep.") from error
    return tuple(_posture(target) for target in document["targets"])


def read(path: Path) -> tuple[Posture, ...]:
    """Read a file that holds a document.

    Raises:
        Unreadable: As for ``from_json``, or the file cannot be read.
    """
    return from_json(json_document(path), str(path))


def machine_has_aes(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool | None:
    """Say whether this machine computes AES in hardware: BoringSSL's choice of a TLS 1.3 suite depends on it."""
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
    return asdict(finding) | {"severity": str(finding.severity)}


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


def _posture(target: Json) -> Posture:
    return Posture(
        target=Target(Address(target["address"], target["port"]), target["sni"]),
        began=datetime.fromisoformat(target["began"]),
        seconds=target["seconds"],
        connections=target["connections"],
        endpoint=target.get("endpoint"),
        unreachable=_outcome(target["unreachable"]),
        listed=target.get("listed", bool(target["ciphers"])),
        versions={PROTOCOLS[name]: _read_offer(offer) for name, offer in target["protocols"].items()},
        ciphers=tuple(_read_suites(order) for order in target["ciphers"]),
        groups=tuple(
            GroupOrder(
                version=PROTOCOLS[order["protocol"]],
                groups=tuple(codes.group(_code(group)) for group in order["groups"]),
                server_decides=order["server_decides"],
                complete=order["complete"],
            )
            for order in target["groups"]
        ),
        alpn=tuple(target["alpn"]),
        alpn_complete=target.get("alpn_complete", True),
        dh_bits=tuple(target.get("dh_bits", ())),
        certificates=tuple(_read_chain(certificate) for certificate in target["certificates"]),
        certificates_complete=target.get("certificates_complete", bool(target["certificates"])),
        client_authentication=ClientAuthentication(target["client_authentication"]),
        fallback_scsv=target["fallback_scsv"],
        credential=_outcome(target["credential"]),
        clients=tuple(
            ClientResult(client["name"], _answer(client["answer"]), client["reason"], client["unknown"])
            for client in target["clients"]
        ),
        contradictions=tuple(target.get("contradictions", ())),
        notes=tuple(target["notes"]),
    )


def _outcome(name: str | None) -> Outcome | None:
    return Outcome[name] if name is not None else None


def _code(named: Mapping[str, str]) -> int:
    return int(named["code"], 16)


def _version(name: str | None) -> ProtocolVersion | None:
    return PROTOCOLS[name] if name is not None else None


def _read_offer(offer: Json) -> Offer:
    return Offer(
        offered=Offered(offer["offered"]),
        refusal=_outcome(offer["refusal"]),
        alert=offer["alert"],
        answered=_version(offer["answered"]),
    )


def _read_suites(order: Json) -> SuiteOrder:
    ranks: dict[int, list[CipherSuite]] = {}
    for suite in order["suites"]:
        ranks.setdefault(suite["rank"], []).append(codes.suite(_code(suite)))
    return SuiteOrder(
        version=PROTOCOLS[order["protocol"]],
        certificate=order["certificate"],
        preference=tuple(tuple(alike) for _, alike in sorted(ranks.items())),
        complete=order["complete"],
        ordered=bool(order.get("ordered", order["complete"])),
    )


def _read_chain(certificate: Json) -> Certificate:
    """Read a certificate with those that were sent after it; older documents have no more than their subjects."""
    sent = certificate.get("intermediates")
    subjects = certificate.get("chain", ())
    return replace(
        _read_certificate(certificate),
        intermediates=tuple(map(_only_subject, subjects) if sent is None else map(_read_certificate, sent)),
    )


def _read_certificate(certificate: Json) -> Certificate:
    return Certificate(
        subject=certificate["subject"],
        names=tuple(certificate["names"]),
        issuer=certificate["issuer"],
        serial=int(certificate["serial"], 16),
        key=certificate["key"],
        signature=certificate["signature"],
        not_before=datetime.fromisoformat(certificate["not_before"]),
        not_after=datetime.fromisoformat(certificate["not_after"]),
        fingerprint=certificate["fingerprint"],
    )


def _only_subject(subject: str) -> Certificate:
    return Certificate(
        subject=subject,
        names=(),
        issuer=UNKNOWN,
        serial=0,
        key=UNKNOWN,
        signature=UNKNOWN,
        not_before=datetime.min.replace(tzinfo=UTC),
        not_after=datetime.max.replace(tzinfo=UTC),
        fingerprint="",
    )


def _answer(answer: Json) -> Answer:
    return Answer(
        outcome=Outcome[answer["outcome"]],
        alert=answer.get("alert"),
        version=_version(answer.get("protocol")),
        suite=codes.suite(_code(answer["suite"])) if "suite" in answer else None,
        group=codes.group(_code(answer["group"])) if "group" in answer else None,
        dh_bits=answer.get("dh_bits"),
        alpn=answer.get("alpn"),
        retried=answer.get("retried", False),
        client_cert_requested=answer.get("client_certificate_requested"),
    )
