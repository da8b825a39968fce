"""How things are spelled in tables and files, as testssl.sh does where it has a word for them."""

from __future__ import annotations

from collections.abc import Mapping

from meshproof.tls.probe.answer import Answer, Offer
from meshproof.tls.probe.outcome import Outcome, alert_name
from meshproof.tls.protocol.codes import Group
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import ClientResult


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
