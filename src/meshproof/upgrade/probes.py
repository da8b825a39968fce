"""The fail-open probes: what must be refused, all the time, and whether it was.

A refusal counts only by the mesh's own word, on a connection that was made: a status with its body, an alert with its
number, or the end of the connection where the mesh says nothing, if the control got in just before and just after it.

What has another status was let through, also where its answer was cut short. That holds for the statuses of the gateway
itself, too: its filter for policies comes before its router, so a 404 without a route or a 503 without an upstream says
that the policy let the request in. What other filters answer, which an overlay may put before that of policies, says
nothing: a 401, a 429, or a 403 with another body, which the servers of the traffic never give. One answer comes before
all filters, that of a proxy that sheds load. Where a sidecar is to refuse, the router of the gateway comes before the
policy, and what it answers by itself says nothing either.

Where the handshake alone shows it, by its version or its server name, a connection was let in as soon as the handshake
was done. Client certificates are another matter, for the client's handshake of TLS 1.3 ends before the server has seen
its certificate. The rest, such as a connection that was refused or a timeout, is unknown.

Sources: RFC 8446, 2 and 4.4.2; https://istio.io/latest/docs/concepts/security/#implicit-enablement and
https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/http/http_filters (the router is the last filter)
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus
from itertools import pairwise
from operator import attrgetter, itemgetter
from typing import Any

from meshproof.certificates.leaf import Leaf
from meshproof.cluster.kube import Kube
from meshproof.mesh import Workload
from meshproof.tls import Address, ProtocolVersion
from meshproof.traffic import Connections, Ending, Flow, Flown, Record
from meshproof.upgrade.evidence import ProbeResult, State, Try
from meshproof.upgrade.flows import (
    DOMAIN,
    GATEWAY,
    KEPT,
    MUTUAL,
    NAMESPACE,
    NEWEST,
    PLAIN,
    SIDECARS,
    TIMEOUT,
)
from meshproof.upgrade.gap import Span
from meshproof.upgrade.rates import USUAL

NAMES = (
    "a principal that a policy denies",
    "a principal that a policy of sidecars denies",
    "no client certificate",
    "a client certificate of another authority",
    "TLS below the minimum",
    "an unknown server name",
    "plaintext to a STRICT workload",
)
"""What is tried: the names of all probes."""
_PRINCIPAL, _AT_SIDECARS, _WITHOUT, _STRANGER, _OLD_TLS, _UNKNOWN_NAME, _PLAINTEXT = NAMES
_PATH, _PATH_OF_SIDECARS = "/status/418", "/status/417"
_SHEDDING = "envoy overloaded"
"""The body of the 503 of a proxy that sheds load. Source: Envoy, source/common/http/conn_manager_impl.cc"""
_BY_THE_ROUTER = frozenset({404, 502, 503, 504})
"""What a router answers by itself. Source: Envoy, source/common/router/router.cc"""
_BY_A_FILTER = frozenset({401, 403, 429})
"""What filters for tokens, authorization and rates answer, in whatever order with that for policies."""
_WITHOUT_A_WORD = frozenset({Ending.RESET, Ending.CLOSED})
"""How Envoy ends a connection for which it has no filter chain: without a word."""
_NO_CERTIFICATE = frozenset({116, 40})
"""certificate_required of TLS 1.3 and handshake_failure of TLS 1.2. Source: RFC 8446, 6.2; RFC 5246, 7.4.6."""
_UNKNOWN_AUTHORITY = frozenset({48})
"""unknown_ca. Source: RFC 8446, 6.2."""
_OLD_VERSION = frozenset({70})
"""protocol_version. Source: RFC 8446, 6.2."""


class Fate(Enum):
    """What became of a try."""

    REFUSED = "refused"
    LET_THROUGH = "let through"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Probe:
    """Something that must be refused.

    Attributes:
        name: What is tried.
        flow: How.
        controls: The flows on the same path that must get in; each differs in the one thing that is refused.
        endings: How a connection ends that is refused without a word.
        alerts: The alerts of TLS that refuse it.
        status: The status code that refuses it; None where a refusal is no answer.
        body: The body that comes with it.
        in_between: The statuses of what a try may come to before what is to refuse it: another filter, another proxy.
        by_handshake: Whether a handshake that is done shows that it was let through, and so does a server's certificate
            that is not trusted: it chose the version, or took the name.
    """

    name: str
    flow: Flow
    controls: Collection[str]
    endings: frozenset[Ending] = frozenset()
    alerts: frozenset[int] = frozenset()
    status: int | None = None
    body: str = ""
    in_between: frozenset[int] = frozenset()
    by_handshake: bool = False

    def fate(self, record: Record) -> Fate:
        """Return what became of a try; see above."""
        if record.status is not None:
            return self._fate_of_answer(record)
        if self.by_handshake and (record.peer is not None or record.outcome is Ending.UNTRUSTED):
            return Fate.LET_THROUGH
        if record.outcome in self.endings or (record.outcome is Ending.TLS_REFUSED and record.alert in self.alerts):
            return Fate.REFUSED
        return Fate.UNKNOWN

    def _fate_of_answer(self, record: Record) -> Fate:
        """Return it of one that has a status; of the refusal's own, cut short, it is not known whose it was."""
        whole = record.outcome is Ending.ANSWERED
        if record.status == self.status and (not whole or record.body == self.body):
            return Fate.REFUSED if whole else Fate.UNKNOWN
        shed = record.status == HTTPStatus.SERVICE_UNAVAILABLE and record.body == _SHEDDING
        return Fate.UNKNOWN if shed or record.status in self.in_between else Fate.LET_THROUGH


def at_the_gateway(address: Address, trust: bytes, denied: Leaf, stranger: Leaf) -> list[Probe]:
    """Return what the gateway must refuse while ``world.yaml`` is in force, with its step ``closed``.

    Args:
        address: The gateway's port for HTTPS on this machine.
        trust: The authority of all servers, in PEM.
        denied: The certificate of a client that a policy denies one path.
        stranger: One of an authority that the gateway does not know, for the name of a client that no policy denies.
    """

    def flow(
        name: str, host: str, path: str = _PATH, connections: Connections = Connections.NEW,
        **asked: Any,  # noqa: ANN401 - what a flow takes
    ) -> Flow:  # fmt: skip
        return Flow(
            f"fail-open: {name}",
            f"https://{host}.{DOMAIN}{path}",
            address=address,
            connections=connections,
            rate=USUAL.tries,
            timeout=TIMEOUT,
            trust=trust,
            body=True,
            **asked,
        )

    by_alert = {Ending.TLS_REFUSED}
    return [
        Probe(
            _PRINCIPAL,
            flow("denied principal", "mutual", client=denied, status=403),
            (MUTUAL,),
            status=403,
            body="RBAC: access denied",
            in_between=_BY_A_FILTER,
        ),
        Probe(
            _AT_SIDECARS,
            flow("denied at the sidecar", "gateway", _PATH_OF_SIDECARS, Connections.KEPT, status=403),
            (KEPT,),
            status=403,
            body="RBAC: access denied",
            in_between=_BY_A_FILTER | _BY_THE_ROUTER,
        ),
        Probe(
            _WITHOUT,
            flow("no client certificate", "mutual", refusals=by_alert),
            (MUTUAL,),
            alerts=_NO_CERTIFICATE,
        ),
        Probe(
            _STRANGER,
            flow("another authority", "mutual", client=stranger, refusals=by_alert),
            (MUTUAL,),
            alerts=_UNKNOWN_AUTHORITY,
        ),
        Probe(
            _OLD_TLS,
            flow("TLS 1.2", "newest", newest=ProtocolVersion.TLS_1_2, refusals=by_alert),
            (NEWEST,),
            alerts=_OLD_VERSION,
            by_handshake=True,
        ),
        Probe(
            _UNKNOWN_NAME,
            flow("unknown server name", "unknown", refusals=_WITHOUT_A_WORD),
            (GATEWAY,),
            endings=_WITHOUT_A_WORD,
            by_handshake=True,
        ),
    ]


def in_plaintext(kube: Kube) -> Probe:
    """Return what the sidecars of servers must refuse under STRICT; it is tried at those of both halves."""
    flow = Flow(
        "fail-open: plaintext",
        f"http://servers.{NAMESPACE}.svc.cluster.local:8080{_PATH}",
        source=Workload(kube, PLAIN, "sender", container="traffic"),
        connections=Connections.NEW,
        rate=USUAL.tries,
        timeout=TIMEOUT,
        refusals=_WITHOUT_A_WORD,
        body=True,
    )
    return Probe(_PLAINTEXT, flow, tuple(SIDECARS.values()), endings=_WITHOUT_A_WORD)


def result(
    probe: Probe, flown: Mapping[str, Flown], state_at: Callable[[int], State], looked_at: Span, *, sees: bool
) -> ProbeResult:
    """Return what became of a probe.

    Args:
        probe: Which one.
        flown: What became of all flows of the run, by their names.
        state_at: Gives the state of the mesh at a moment.
        looked_at: From the beginning of the first state on the cluster to the end of the last one.
        sees: Whether the probe was shown in this run to see a request that is let through.
    """
    tries = flown[probe.flow.name].records
    control = _together([of_one for name, of_one in flown.items() if name.startswith(tuple(probe.controls))])
    fates = list(_fates(probe, tries, control))
    refused = sorted(record.ended_ns for record, fate in fates if fate is Fate.REFUSED)
    unknown = Counter(_what(record) for record, fate in fates if fate is Fate.UNKNOWN)
    longest = _longest(looked_at, refused)
    return ProbeResult(
        name=probe.name,
        tries=len(tries),
        refusals=len(refused),
        unknown=unknown,
        let_through=[
            Try(record.ended_ns, state_at(record.ended_ns), _what(record))
            for record, fate in fates
            if fate is Fate.LET_THROUGH
        ],
        longest_ms=longest.ms if longest else None,
        longest_from_ns=longest.began_ns if longest else None,
        control=control,
        sees=sees,
        refused_ns=refused,
        unknown_ns=[record.ended_ns for record, fate in fates if fate is Fate.UNKNOWN],
    )


def _longest(looked_at: Span, refused: Sequence[int]) -> Span | None:
    """Return the longest time without a refusal, from the beginning to the end; None without any."""
    if not refused:
        return None
    moments = sorted([looked_at.began_ns, *refused, looked_at.ended_ns])
    return max((Span(earlier, later) for earlier, later in pairwise(moments)), key=lambda span: span.ms)


def _fates(probe: Probe, tries: Sequence[Record], control: Flown) -> Iterator[tuple[Record, Fate]]:
    """Yield each try with what became of it.

    A refusal without a word counts between two requests of the control that got in: a gateway that is going ends
    connections so as well.
    """
    got_in = {(record.flow, record.sequence) for record in control.answered}
    beside = [(record.sent_ns, (record.flow, record.sequence) in got_in) for record in control.records]
    for record in tries:
        fate = probe.fate(record)
        if fate is Fate.REFUSED and record.outcome in probe.endings:
            after = bisect(beside, record.sent_ns, key=itemgetter(0))
            if not all(was_let_in for _, was_let_in in beside[max(0, after - 1) : after + 1]):
                fate = Fate.UNKNOWN
        yield record, fate


def _what(record: Record) -> str:
    """Name what a try came to; an alert is told by its number."""
    return f"{record} {record.alert}" if record.alert is not None else str(record)


def _together(controls: list[Flown]) -> Flown:
    """Return the flows of a control as one."""
    first, *_ = controls
    names = ", ".join(control.flow.name for control in controls)
    records = [record for control in controls for record in control.records]
    unsent = sum(control.unsent for control in controls)
    return Flown(replace(first.flow, name=names), sorted(records, key=attrgetter("sent_ns")), unsent)
