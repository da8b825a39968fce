"""How things are spelled in tables and files, as testssl.sh does where it has a word for them."""

from __future__ import annotations

from collections.abc import Mapping

from meshproof.tls.probe.answer import Answer, Offer
from meshproof.tls.probe.outcome import Outcome, alert_name
from meshproof.tls.protocol.codes import Group
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import ClientResult, SuiteOrder


def protocol(version: ProtocolVersion) -> str:
    """Return the version as in a table of clients: ``TLSv1.0``."""
    return str(version).replace("TLS ", "TLSv")


PROTOCOLS: Mapping[str, ProtocolVersion] = {protocol(version): version for version in ProtocolVersion}
"""All versions, as ``protocol`` spells them."""


def connection(answer: Answer) -> tuple[str, str, str] | None:
    """Return protocol, cipher and forward secrecy; None when there is no connection."""
    if not answer.negotiated or answer.version is None or answer.suite is None:
        return None
    suite = answer.suite.name if answer.suite.tls13 else answer.suite.label
    return protocol(answer.version), suite, answer.forward_secrecy or "No FS"


def ended(outcome: Outcome, alert: int | None) -> str:
    """Return how a connection ended: the alert, or what else happened."""
    return outcome.value if alert is None else f"alert {alert} {alert_name(alert)}"


def offer(offer: Offer) -> str:
    """Return whether a version is offered, and how it was refused."""
    how = f" ({ended(offer.refusal, offer.alert)})" if offer.refusal else ""
    return f"{offer.offered.value}{how}"


def result(client: ClientResult) -> str:
    """Return what a client would get, in one line, without the reason."""
    got = connection(client.answer)
    return "  ".join(got) if got else f"No connection: {ended(client.answer.outcome, client.answer.alert)}"


def group(group: Group) -> str:
    """Return the group as people write it: ``P-256``."""
    return group.shown or group.name


def preference(order: SuiteOrder) -> str:
    """Return the suites, best first; those of equal preference are in brackets, as in Envoy's settings."""
    if not order.ordered and order.suites[1:]:
        return f"{', '.join(map(str, order.suites))} (in an order that is not known)"
    return ", ".join(f"[{' | '.join(map(str, alike))}]" if alike[1:] else str(alike[0]) for alike in order.preference)


def fallback_scsv(noticed: bool | None) -> str:  # noqa: FBT001 - the value itself
    """Return what a server does with TLS_FALLBACK_SCSV (RFC 7507); None is unknown."""
    return {True: "honoured", False: "ignored", None: "unknown"}[noticed]


def plain(text: str) -> str:
    """Return text of a stranger without what would move the cursor, colour the terminal or turn the line around."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
