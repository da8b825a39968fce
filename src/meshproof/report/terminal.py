"""Postures on a terminal. Text of the server's own is shown as it is, but for what would steer the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from meshproof.posture.advice import NOT_ABSENT, nothing_known
from meshproof.posture.comparison import Change, Row
from meshproof.posture.spelling import connection, group
from meshproof.posture.spelling import offer as spelled
from meshproof.posture.verdict import BEHIND_PASSTHROUGH, Finding, Severity, judge, other_server
from meshproof.report.columns import BETWEEN, TwoColumns, beside
from meshproof.report.wording import fallback_scsv, first_of, plain, preference
from meshproof.tls.probe.answer import Offer, Offered
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import ClientAuthentication, ClientResult, Posture
from meshproof.tls.scanner.reason import FIRST_HELLO

if TYPE_CHECKING:
    from rich.table import Table

_OF_A_CLIENT = ("Client", "Protocol", "Cipher Suite Name (OpenSSL)", "Forward Secrecy")
_SHORT_NAME = 12  # columns; a client's name has no room in fewer
_REASON = 60  # columns; in so many a reason can be read
_WHY = "Reason"
_GOOD, _BAD, _UNSURE, _DIM = "green", "red", "yellow", "dim"
_MODERN = (ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3)
_SEVERITIES = {Severity.BROKEN: "bold red", Severity.WEAK: "red", Severity.NOTE: "yellow"}


def picture(posture: Posture) -> RenderableType:
    """Return all that is known of one target; a sentence when that is nothing."""
    nothing = nothing_known(posture)
    notes = [_text(note, _UNSURE) for note in posture.notes]
    if nothing:
        return Group(_text(nothing, _UNSURE), *notes)
    endpoint = f", at {posture.endpoint}" if posture.endpoint not in (None, str(posture.target.address)) else ""
    parts: list[RenderableType] = [_text(f"{posture.target}{endpoint}", "bold"), *notes]
    if posture.unreachable is not None:
        parts.append(Text(f"It did not answer to the end: {posture.unreachable.value}. {NOT_ABSENT}", _UNSURE))
    parts += ["", _protocols(posture), "", _facts(posture), ""]
    if posture.clients:
        parts += [clients(posture.clients), ""]
    findings = judge(posture)
    parts.append(verdict(findings, unknown=posture.unknown, other_server=other_server(posture)))
    if posture.gaps and posture.unreachable is None:
        parts.append(_text("\n  ".join(("Could not be found out:", *first_of(posture.gaps))), _UNSURE))
    if findings:
        parts += ["", Text(_by_severity(findings), _SEVERITIES[findings[0].severity])]
    return Group(*parts)


def clients(results: Iterable[ClientResult]) -> RenderableType:
    """Return what each client would get: a row each, or two where the reason has no room beside it."""
    return _Clients(tuple(results))


class _Clients:
    """The table of clients, which is laid out by the room that there is: no name of a suite is ever cut."""

    def __init__(self, results: Sequence[ClientResult]) -> None:
        self._rows = [(_text(client.name), _got(client), _reason(client)) for client in results]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        room = options.max_width
        named = [(name, *cells) for name, cells, _ in self._rows]
        columns = zip(_OF_A_CLIENT, *named, strict=True)
        widths = [max(cell_len(head), *(cell.cell_len for cell in cells)) for head, *cells in columns]
        reasons = max((reason.cell_len for *_, reason in self._rows), default=0)
        left = room - sum(widths) - len(BETWEEN) * len(widths)
        if left < max(min(reasons, _REASON), len(_WHY)):
            yield from self._narrow(console, room)
            return
        widths.append(max(min(reasons, left), len(_WHY)))
        yield from beside([Text(word, "bold") for word in (*_OF_A_CLIENT, _WHY)], widths, console)
        yield Text("─" * (sum(widths) + len(BETWEEN) * (len(widths) - 1)))
        for name, cells, reason in self._rows:
            yield from beside([name, *cells, reason], widths, console)

    def _narrow(self, console: Console, room: int) -> Iterator[RenderableType]:
        """Give a row for each client, and below it its reason; only names of clients are folded, between words."""
        connected = [[cell.cell_len for cell in cells] for _, cells, _ in self._rows if cells[1]]
        widths = [max(lengths) for lengths in zip(map(cell_len, _OF_A_CLIENT[1:]), *connected, strict=True)]
        rest = sum(widths) + len(widths) - 1
        longest = max((name.cell_len for name, *_ in self._rows), default=0)
        first = min(max(longest, _SHORT_NAME), room - rest - 1)
        head = [Text(word, "bold") for word in _OF_A_CLIENT]
        for name, cells, reason in ((head[0], head[1:], Text()), *self._rows):
            if first < _SHORT_NAME:
                yield from (name, Padding(Text(" ").join(cells), (0, 0, 0, 2)))
            else:
                row, wide = (cells, widths) if cells[1] else (cells[:1], [rest])
                yield from beside([name, *row], [first, *wide], console, between=" ")
            if name is head[0]:
                yield Text("─" * min(room, first + 1 + rest))
            if reason:
                yield Padding(reason, (0, 0, 0, 2))


def _got(client: ClientResult) -> tuple[Text, Text, Text]:
    """Return protocol, cipher and forward secrecy; a word and nothing else where there is no connection."""
    got = connection(client.answer)
    if client.unknown or not got:
        return Text("Unknown", _UNSURE) if client.unknown else Text("No connection", _BAD), Text(), Text()
    style = _BAD if got[2] == "No FS" or client.answer.version not in _MODERN else _GOOD
    protocol, cipher, secrecy = (Text(cell, style) for cell in got)
    return protocol, cipher, secrecy


def _reason(client: ClientResult) -> Text:
    """Return why it gets in or does not, if that says anything."""
    return Text() if client.reason == FIRST_HELLO else _text(client.reason, _DIM)


def summary(postures: Iterable[Posture]) -> Table:
    """Return one row for each of many targets."""
    table = _table("Target", *(str(version) for version in ProtocolVersion), "Clients", "Verdict")
    for posture in postures:
        offers = (_offer(version, posture.versions.get(version), ("yes", "no", "?")) for version in ProtocolVersion)
        connected = sum(connection(client.answer) is not None for client in posture.clients)
        findings = judge(posture)
        worst = Text(_by_severity(findings) or "good", _SEVERITIES[findings[0].severity] if findings else _GOOD)
        if posture.unknown:
            worst = Text(
                f"unknown: {posture.unreachable.value}" if posture.unreachable else f"{worst}, part unknown", _UNSURE
            )
        table.add_row(_text(str(posture.target)), *offers, f"{connected}/{len(posture.clients)}", worst)
    return table


def _by_severity(findings: Iterable[Finding]) -> str:
    """Return how many there are of each severity, such as ``3 weak, 1 note``; empty when there are none."""
    count = Counter(finding.severity for finding in findings)
    words = {Severity.NOTE: ("note", "notes")}
    return ", ".join(
        _count(count[severity], *words.get(severity, (str(severity), str(severity))))
        for severity in Severity
        if count[severity]
    )


def verdict(findings: Sequence[Finding], *, unknown: bool = False, other_server: str | None = None) -> RenderableType:
    """Return what is weak, why, and what fixes it.

    Args:
        findings: What is weak.
        unknown: Whether anything could not be found out.
        other_server: The sentence that says why the server can't be Envoy, if it can't.
    """
    if not findings:
        known = Text("Nothing weak was found in what is known.", _UNSURE)
        return known if unknown else Text("Nothing weak was found.", _GOOD)
    return Group(_findings(findings), _text(other_server or BEHIND_PASSTHROUGH, _DIM))


def gateway(file: str, findings: Sequence[Finding]) -> RenderableType:
    """Return what would not do as it says in a file of Gateways."""
    if not findings:
        return _text(f"{file}: nothing in it would be refused or left out.", _GOOD)
    return _findings(findings)


def _findings(findings: Iterable[Finding]) -> RenderableType:
    rows = []
    for finding in findings:
        lines = (
            _text("; ".join(finding.what), "bold"),
            _text(finding.why).append(f" [{finding.source}]", _DIM),
            Text("fix: ", _DIM).append_text(_text(finding.remedy)),
        )
        rows.append((Text(f"{finding.severity}\n{finding.id}", _SEVERITIES[finding.severity]), Text("\n").join(lines)))
    return TwoColumns(rows)


def deviations(rows: Sequence[Row]) -> RenderableType:
    """Return what is not as expected."""
    if all(row.met for row in rows):
        return Text(f"All is as expected. {_count(len(rows), 'thing was', 'things were')} compared.", _GOOD)
    table = _table("What", "Expected", "Seen")
    for row in rows:
        style = _UNSURE if row.unknown else _BAD
        cells = (_text(row.what), _text(row.expected), _text(f"{'unknown: ' * row.unknown}{row.seen}", style))
        if not row.met:
            table.add_row(*cells)
    return table


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def changes(rows: Sequence[Change]) -> RenderableType:
    """Return what changed; below it, where nothing but certificates was renewed, that nothing else did."""
    if not rows:
        return Text("Nothing changed.", _GOOD)
    table = _table("What", "Before", "After", "Reason")
    for change in rows:
        style = _UNSURE if change.unknown else _DIM if change.renewed else ""
        sides = (_text(side if side is not None else "unknown", style) for side in (change.before, change.after))
        table.add_row(_text(change.what), *sides, _text(change.reason, _DIM))
    return Group(table, Text("Nothing else changed.", _GOOD)) if all(change.renewed for change in rows) else table


def _protocols(posture: Posture) -> RenderableType:
    rows = []
    for version, offer in posture.versions.items():
        orders = [order for order in posture.ciphers if order.version is version]
        cell = _offer(version, offer, (spelled(offer),) * 3)
        for order in orders:
            cell.append("\n")
            kind = f"{order.certificate}: " if order.certificate and orders[1:] else ""
            suites = preference(order)
            more = "" if order.complete else f"{', ' if suites else ''}and perhaps more"
            cell.append(plain(f"{kind}{suites}{more}"), "default")
        rows.append((Text(str(version)), cell))
    return TwoColumns(rows, head=("Protocol", "Offered, and its suites, best first; [ a | b ]: equal preference"))


def _offer(version: ProtocolVersion, offer: Offer | None, words: tuple[str, str, str]) -> Text:
    """Show an offer with one of the words for yes, no and unknown; what is good about new versions is bad about old."""
    if offer is None or offer.offered is Offered.UNKNOWN:
        return Text(words[2], _UNSURE)
    offered = offer.offered is Offered.OFFERED
    return Text(
        words[0] if offered else words[1], _GOOD if offered is (version in _MODERN) else _BAD if offered else ""
    )


def _facts(posture: Posture) -> RenderableType:
    rows: list[tuple[str, Text]] = []
    for order in posture.groups:
        chooser = {True: "the server's order", False: "the client's first", None: ""}[order.server_decides]
        more = "" if order.complete else "and perhaps more"
        names = ", ".join(filter(None, (*map(group, order.groups), more)))
        rows.append((f"Groups, {order.version}", _text(f"{names}  ({chooser})" if chooser else names)))
    if posture.dh_bits:
        rows.append(("DH", Text(", ".join(f"{bits} bits" for bits in posture.dh_bits))))
    if posture.listed:
        rows.append(("ALPN", _text(*_listed(posture.alpn, complete=posture.alpn_complete))))
    for certificate in posture.certificates:
        until = f"{certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}"
        lines = [
            f"{certificate.subject}, {certificate.key}, {certificate.signature}, {until}",
            f"names: {', '.join(certificate.names) or 'none'}",
        ]
        lines.append(f"issuer: {certificate.issuer}")
        lines += [
            f"then: {sent.subject}, {sent.key}, until {sent.not_after:%Y-%m-%d}" for sent in certificate.intermediates
        ]
        rows.append(("Certificate", Text("\n").join(_text(line) for line in lines)))
    if posture.listed and not (posture.certificates and posture.certificates_complete):
        more = "perhaps another" if posture.certificates else "none" if posture.certificates_complete else "unknown"
        rows.append(("Certificate", Text(more, "" if posture.certificates_complete else _UNSURE)))
    if posture.listed or posture.client_authentication is not ClientAuthentication.UNKNOWN:
        unsure = posture.client_authentication is ClientAuthentication.UNKNOWN
        rows.append(("Client certificate", Text(str(posture.client_authentication), _UNSURE if unsure else "")))
    if posture.credential is not None:
        rows.append(("Client certificate given", Text(posture.credential.value)))
    honoured = fallback_scsv(posture.fallback_scsv)
    if posture.fallback_scsv is not None or "TLS_FALLBACK_SCSV" in posture.gaps:
        rows.append(("TLS_FALLBACK_SCSV", Text(honoured, "" if posture.fallback_scsv else _UNSURE)))
    return TwoColumns([(Text(label), fact) for label, fact in rows])


def _listed(names: Sequence[str], *, complete: bool) -> tuple[str, str]:
    """Return the names, or that there are none, and how to colour them."""
    if complete:
        return ", ".join(names) or "none", ""
    return ", ".join((*names, "and perhaps more")) if names else "unknown", _UNSURE


def _table(*columns: str) -> Table:
    from rich import box  # noqa: PLC0415 - what is printed of one target needs none of its tables
    from rich.table import Table  # noqa: PLC0415 - as above

    table = Table(*columns, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    return table


def _text(text: str, style: str = "") -> Text:
    return Text("\n".join(plain(line) for line in text.split("\n")), style)
