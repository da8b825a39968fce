"""What to say of what is unknown: what was seen, and what to look at."""

from __future__ import annotations

from collections.abc import Mapping

from meshproof.tls.probe.answer import Offered
from meshproof.tls.probe.outcome import Outcome
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import Posture

NOT_ABSENT = "What is missing here is not known to be absent."
"""Goes with a target that answered first and then no more."""

_NAME = "--sni asks for another name."
_GONE = f"Perhaps nothing serves {{name}}, or nothing runs behind the proxy that listens there. {_NAME}"
_NO_ANSWER_IN_TLS = "Is the port right, and does a TLS server listen there?"

_ADVICE: Mapping[Outcome, tuple[str, str]] = {
    Outcome.REFUSED: ("the TCP connection was refused", "Is the address right, and does a server listen there?"),
    Outcome.NAME_NOT_RESOLVED: (
        "the host name has no address",
        "Is it spelled right, and does this machine know it? NAME@ADDRESS:PORT asks an address for a name.",
    ),
    Outcome.UNREACHABLE: ("there is no route to the address", "Is the address right, and does a firewall allow it?"),
    Outcome.SILENT: (
        "no answer came before the deadline",
        "Is the address right, and does a firewall allow it? --timeout gives it more time.",
    ),
    Outcome.NOT_TLS: (
        "what answers speaks no TLS",
        "Is the port right? One that begins in plaintext, as for STARTTLS, can't be scanned.",
    ),
    Outcome.RESET: ("the connection was reset after each hello", _GONE),
    Outcome.CLOSED_WITHOUT_ALERT: ("the connection was closed after each hello", _GONE),
    Outcome.CLOSED_IN_ORDER: ("the connection was closed after each hello", _GONE),
    Outcome.UNRECOGNIZED_NAME: ("the server has nothing for {name}", _NAME),
    Outcome.UNSTABLE: (
        "it answered one hello in different ways",
        "Does it limit connections, or do several servers share the address? Scan it again.",
    ),
    Outcome.NOT_ASKED: ("no time was left to ask it", "--max-time gives it more."),
    Outcome.LOCAL_FAULT: (
        "this machine could not open a connection",
        "Has it an address of that kind, and a socket left (ulimit -n)?",
    ),
    Outcome.UNACCEPTABLE_ANSWER: ("its answers are no answers to a ClientHello", _NO_ANSWER_IN_TLS),
    Outcome.OVERLONG: ("its answers have no end", _NO_ANSWER_IN_TLS),
}


def nothing_known(posture: Posture) -> str | None:
    """Return one sentence on a target of which nothing is known, and what to look at; None when anything is known."""
    known = any(offer.offered is not Offered.UNKNOWN for offer in posture.versions.values())
    if known or posture.certificates or not all(client.unknown for client in posture.clients):
        return None
    newer = posture.versions.get(ProtocolVersion.TLS_1_2)
    outcome = posture.unreachable or (newer.refusal if newer else None)
    if outcome is None:
        return f"{posture.target}: nothing is known of it."
    name = f"the name {posture.target.sni}" if posture.target.sni else "clients without a server name"
    seen, look = (words.format(name=name) for words in _ADVICE.get(outcome, (outcome.value, "")))
    return f"{posture.target}: nothing is known of it: {seen}. {look}".rstrip()
