"""Postures that were saved as JSON, read back; also those that an older meshproof saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from meshproof.errors import Unreadable
from meshproof.input_files import Node, json_document
from meshproof.posture.spelling import PROTOCOLS
from meshproof.report.document import FORMAT, SCHEMA, Json
from meshproof.report.document_schema import check
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


def _posture(target: Json) -> Posture:
    return Posture(
        target=Target(Address(target["address"], target["port"]), target["sni"]),
        began=datetime.fromisoformat(target["began"]),
        seconds=target["seconds"],
        connections=target["connections"],
        endpoint=target.get("endpoint"),
        unreachable=_outcome(target["unreachable"]),
        listed=target.get("listed", bool(target["ciphers"])),
        versions={PROTOCOLS[name]: _offer(offer) for name, offer in target["protocols"].items()},
        ciphers=tuple(_suites(order) for order in target["ciphers"]),
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
        certificates=tuple(_chain(certificate) for certificate in target["certificates"]),
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


def _offer(offer: Json) -> Offer:
    return Offer(
        offered=Offered(offer["offered"]),
        refusal=_outcome(offer["refusal"]),
        alert=offer["alert"],
        answered=_version(offer["answered"]),
    )


def _suites(order: Json) -> SuiteOrder:
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


def _chain(certificate: Json) -> Certificate:
    """Read a certificate with those that were sent after it; older documents have no more than their subjects."""
    sent = certificate.get("intermediates")
    subjects = certificate.get("chain", ())
    return replace(
        _certificate(certificate),
        intermediates=tuple(map(_only_subject, subjects) if sent is None else map(_certificate, sent)),
    )


def _certificate(certificate: Json) -> Certificate:
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
