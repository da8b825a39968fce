"""What changed about the certificates of a target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from meshproof.posture.comparison import Change, was_read
from meshproof.tls.scanner.findings import UNREADABLE, Certificate, Posture


def changes_of_certificates(before: Posture, after: Posture) -> Iterator[Change]:
    """Compare the certificates of two postures, each with the one of its kind; see ``difference``."""
    old, new = (_by_kind(posture.certificates) for posture in (before, after))
    complete = [posture.listed and posture.certificates_complete for posture in (before, after)]
    for what in dict.fromkeys((*old, *new)):
        first, last = old.get(what), new.get(what)
        if first and last:
            yield from _one_certificate(what, (first, before.began), (last, after.began))
        elif complete[bool(first)]:
            yield Change(what, _certificate(first), _certificate(last))
    if not all(complete):
        names = [", ".join(map(_certificate, side.values())) or "none" for side in (old, new)]
        first_text, last_text = (text if known else None for text, known in zip(names, complete, strict=True))
        yield Change("certificates", first_text, last_text, "Seen: {}. Now: {}.".format(*names))


def _by_kind(certificates: Iterable[Certificate]) -> dict[str, Certificate]:
    """Return the certificates by the row that each has; those after the first of a kind have a number."""
    by_kind: dict[str, Certificate] = {}
    for certificate in sorted(
        certificates,
        key=lambda certificate: (certificate.subject, certificate.names, certificate.fingerprint, certificate.chain),
    ):
        kind = f"{certificate.key.partition(' ')[0]} certificate"
        number = sum(name.startswith(kind) for name in by_kind) + 1
        by_kind[kind if number == 1 else f"{kind} {number}"] = certificate
    return by_kind


def _certificate(certificate: Certificate | None) -> str:
    if certificate is None:
        return "none"
    return f"{certificate.subject}, {certificate.key}, {_issue(certificate)}"


def _issue(certificate: Certificate) -> str:
    return f"until {certificate.not_after:%Y-%m-%d %H:%M}, SHA-256 {certificate.fingerprint[:16]}"


def _one_certificate(
    what: str, before: tuple[Certificate, datetime], after: tuple[Certificate, datetime]
) -> Iterator[Change]:
    """Compare two certificates of a kind: what counts has a row each; one that is new and the same in it is renewed."""
    aspects: dict[str, Callable[[Certificate, datetime], str | None]] = {
        "subject": lambda certificate, _: certificate.subject if was_read(certificate.subject) else None,
        "names": lambda certificate, _: _names(certificate) if all(map(was_read, certificate.names)) else None,
        "issuer": lambda certificate, _: certificate.issuer if was_read(certificate.issuer) else None,
        "key": lambda certificate, _: certificate.key if was_read(certificate.key) else None,
        "signature": lambda certificate, _: certificate.signature if was_read(certificate.signature) else None,
    }
    leaves = before[0], after[0]
    same = leaves[0].fingerprint == leaves[1].fingerprint
    rows = [] if same else [Change(f"{what} {aspect}", say(*before), say(*after)) for aspect, say in aspects.items()]
    rows.append(Change(f"{what} lifetime", _lifetime(*before), _lifetime(*after)))
    by_subject = any(not sent.fingerprint for leaf in leaves for sent in leaf.intermediates)  # of an older document
    first, last = (_chain(*side, by_subject=by_subject) for side in (before, after))
    rows.append(Change(f"{what} chain", first, last))
    yield from rows
    if not same and all(row.before == row.after and not row.unknown for row in rows):
        reason = "Renewed: its names, issuer, key and signature algorithm are the same."
        yield Change(what, _issue(leaves[0]), _issue(leaves[1]), reason, renewed=True)


def _names(certificate: Certificate) -> str:
    return ", ".join(sorted(certificate.names)) or "none"


def _lifetime(certificate: Certificate, now: datetime) -> str | None:
    if not (was_read(certificate.not_before) and was_read(certificate.not_after)):
        return None
    if certificate.not_after < now:
        return f"ended on {certificate.not_after:%Y-%m-%d %H:%M}"
    return f"begins on {certificate.not_before:%Y-%m-%d %H:%M}" if certificate.not_before > now else "not over"


def _chain(certificate: Certificate, now: datetime, *, by_subject: bool) -> str:
    """Return the intermediates without what a renewal of one changes, unless it is out of its lifetime."""
    if by_subject:
        return "; ".join(certificate.chain) or "none"
    return "; ".join(_link(sent, now) for sent in certificate.intermediates) or "none"


def _link(certificate: Certificate, now: datetime) -> str:
    parts = (certificate.subject, f"issued by {certificate.issuer}", certificate.key, certificate.signature)
    unread = not all(map(was_read, (certificate.subject, certificate.issuer, certificate.key, certificate.signature)))
    more = f"SHA-256 {certificate.fingerprint[:16]}" if unread else _lifetime(certificate, now) or UNREADABLE
    return ", ".join((*parts, more))
