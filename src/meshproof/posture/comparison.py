"""The rows of all that is compared, what they have in common, and the gate of ``--fail-on``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from meshproof.posture.spelling import connection
from meshproof.posture.verdict import Finding, Severity, judge
from meshproof.tls.probe.answer import Offered
from meshproof.tls.probe.outcome import UNDECIDED, WORDLESS, Outcome
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import UNREADABLE, ClientResult, GroupOrder, Posture

ACCEPTED, REFUSED, NOT_ASKED_FOR = "accepted", "refused", "not asked for"
AUTHENTICATION = "client authentication"
CLIENT_CERTIFICATE = "client certificate"
NOT_GIVEN = "none was given: scan with --cert and --key"
FALLBACK = "TLS_FALLBACK_SCSV"
HONOURED, IGNORED, NO_FALLBACK = "honoured", "ignored", "no older version to fall back to"

_NOT_READ = frozenset({UNREADABLE, "unknown"})
_NO_MOMENT = frozenset({datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)})

_WITH_CURVES = (ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_1, ProtocolVersion.TLS_1_0)


class Row(NamedTuple):
    """One thing that was asked.

    Attributes:
        what: What it is about.
        expected: What it should be.
        seen: What it is.
        unknown: Whether it may yet be as expected: that could not be found out.
        met: Whether it is as expected.
        why: What more there is to say of it; empty where tables say it elsewhere, or there is nothing.
    """

    what: str
    expected: str
    seen: str
    unknown: bool = False
    met: bool = False
    why: str = ""

    @property
    def deviates(self) -> bool:
        """Whether it is known not to be as expected."""
        return not (self.met or self.unknown)


class Change(NamedTuple):
    """A row that is another one, or may be.

    Attributes:
        what: The row.
        before: What it was; None when that is unknown.
        after: What it is; None when that is unknown.
        reason: Why it is what it is.
        renewed: Whether it is no change: a certificate that was issued anew, and is the same in all that counts.
    """

    what: str
    before: str | None
    after: str | None
    reason: str = ""
    renewed: bool = False

    @property
    def unknown(self) -> bool:
        """Whether a side is unknown, so that nobody can say whether it changed."""
        return self.before is None or self.after is None

    @property
    def known(self) -> bool:
        """Whether it is known to be a change."""
        return not (self.unknown or self.renewed)


def was_read(field: str | datetime) -> bool:
    """Return whether a field of a certificate is known; of a key the kind may be, and its size not."""
    if isinstance(field, datetime):
        return field not in _NO_MOMENT
    return not _NOT_READ & {field, field.removeprefix("RSA "), field.removeprefix("DSA "), field.removeprefix("EC ")}


def labels(postures: Sequence[Posture]) -> list[str]:
    """Return what each posture is called: its target, and its address where several have the same target."""
    names = [str(posture.target) for posture in postures]
    count = Counter(names)
    return [
        f"{name} at {posture.endpoint}" if count[name] > 1 and posture.endpoint else name
        for name, posture in zip(names, postures, strict=True)
    ]


def row(what: str, expected: str, seen: str, *, met: bool, known: bool = True) -> Row:
    """Return a row; what is not known is never met."""
    return Row(what, expected, seen, unknown=not known, met=known and met)


def unreachable(posture: Posture) -> Row | None:
    """Return the only row of a target that did not answer; None when it did."""
    if posture.unreachable is None:
        return None
    return Row("target", "an answer", posture.unreachable.value, unknown=True)


def verdict_of_certificate(credential: Outcome) -> str | None:
    """Return what a server made of our client certificate: ACCEPTED, REFUSED, NOT_ASKED_FOR, or None when not known.

    An end without a word, or in order where an answer was due, may have other reasons than the certificate.
    """
    if credential is Outcome.ESTABLISHED:
        return ACCEPTED
    if credential is Outcome.CLIENT_CERT_NOT_REQUESTED:
        return NOT_ASKED_FOR
    return None if credential in UNDECIDED | WORDLESS | {Outcome.CLOSED_IN_ORDER} else REFUSED


def let_in(posture: Posture, expected: str = ACCEPTED) -> Row:
    """Return the row that says whether our client certificate was accepted, or refused.

    Args:
        posture: What was found.
        expected: Which of the two it should be.
    """
    if posture.credential is None:
        return Row(CLIENT_CERTIFICATE, expected, NOT_GIVEN, unknown=True)
    verdict = verdict_of_certificate(posture.credential)
    words = f"{verdict}: {posture.credential.value}" if verdict == REFUSED else posture.credential.value
    return row(CLIENT_CERTIFICATE, expected, words, met=verdict == expected, known=verdict is not None)


def not_refused(posture: Posture) -> Row:
    """Return the row of a client certificate of which nothing is expected: a server may ask for none."""
    if posture.credential is Outcome.CLIENT_CERT_NOT_REQUESTED:
        return row(CLIENT_CERTIFICATE, f"{ACCEPTED}, where one is asked for", posture.credential.value, met=True)
    return let_in(posture)


def concluded(client: ClientResult) -> bool:
    """Return whether it is known what a client would get."""
    answer = client.answer
    known = not client.unknown and answer.outcome not in UNDECIDED
    return known and (not answer.negotiated or connection(answer) is not None)


def fallback(posture: Posture) -> str | None:
    """Return whether a downgrade is noticed (RFC 7507): HONOURED, IGNORED, NO_FALLBACK, or None when not known."""
    if posture.fallback_scsv is not None:
        return HONOURED if posture.fallback_scsv else IGNORED
    could = [version for version in ProtocolVersion if version.code >= ProtocolVersion.TLS_1_0.code]
    known = all(offered(posture, version) is not Offered.UNKNOWN for version in could)
    return NO_FALLBACK if known and len(posture.fallback_versions) <= 1 else None


def offered(posture: Posture, version: ProtocolVersion) -> Offered:
    """Return whether a version is offered; one that was not asked for is unknown."""
    offer = posture.versions.get(version)
    return offer.offered if offer else Offered.UNKNOWN


def group_order(posture: Posture, version: ProtocolVersion) -> GroupOrder:
    """Return the groups of a version; where a scan has none, they are complete only if there can be none.

    Before TLS 1.3 groups are listed in the newest version that is offered, and a server may do without.
    """
    for order in posture.groups:
        if order.version is version:
            return order
    asked = posture.listed and version is next((newest for newest in _WITH_CURVES if newest in posture.offered), None)
    return GroupOrder(version=version, groups=(), complete=asked or offered(posture, version) is Offered.NOT_OFFERED)


def all_groups_known(posture: Posture) -> bool:
    """Return whether there can be no group that a scan has not seen."""
    with_curves = [version for version in _WITH_CURVES if version in posture.offered][:1] or _WITH_CURVES
    return all(group_order(posture, version).complete for version in (ProtocolVersion.TLS_1_3, *with_curves))


def gate(posture: Posture, worst: Severity) -> tuple[Row, ...]:
    """Return what ``--fail-on`` makes of a posture: findings of that severity or worse, and all that is unknown."""
    gone = unreachable(posture)
    if gone:
        return (gone,)
    return (*_bad(judge(posture), worst), *gaps(posture)) or (_nothing("verdict", worst),)


def gate_of_gateway(findings: Iterable[Finding], worst: Severity) -> tuple[Row, ...]:
    """Return what ``--fail-on`` makes of the findings about a manifest."""
    return _bad(findings, worst) or (_nothing("settings", worst),)


def at_least(worst: Severity) -> tuple[Severity, ...]:
    """Return a severity and those that are worse."""
    return tuple(Severity)[: list(Severity).index(worst) + 1]


def _bad(findings: Iterable[Finding], worst: Severity) -> tuple[Row, ...]:
    return tuple(
        Row(f"{finding.severity}: {finding.id}", _expected(worst), "; ".join(finding.what), why=finding.why)
        for finding in findings
        if finding.severity in at_least(worst)
    )


def _nothing(what: str, worst: Severity) -> Row:
    return Row(what, _expected(worst), _expected(worst), met=True)


def _expected(worst: Severity) -> str:
    return f"nothing {' or '.join(map(str, at_least(worst)))}"


def gaps(posture: Posture) -> tuple[Row, ...]:
    """Return a row for each part of a posture that could not be found out."""
    parts = (gap.partition(": ") for gap in posture.gaps)
    return tuple(Row(what, "known", seen or "not all was answered", unknown=True) for what, _, seen in parts)
