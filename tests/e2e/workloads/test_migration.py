"""Migration to STRICT: meshed traffic loses nothing, plaintext ends, and readiness names beforehand who is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial, reduce
from operator import add

import pytest

from meshproof.testing import (
    TIMEOUTS,
    Connections,
    CurlEnd,
    Ending,
    Flow,
    Flown,
    Measured,
    Record,
    Recording,
    Scenario,
    Testbed,
    Traffic,
    Workload,
    between,
    held,
    peers,
    readiness,
    until,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.seed(number=3),
    pytest.mark.usefixtures("step"),  # the fixture `migration` has the steps in force
]

ORDERS, STOCK, KIOSK = "http://orders.fleet:8080/", "http://stock.fleet:8080/", "http://kiosk.street:8080/"
NEEDED = 5000  # requests of the mesh that lose nothing
ENOUGH = 30  # refusals of a flow
DELAYED_CLOSE = 2_000_000_000  # ns; a proxy takes a second to end a connection that it can't finish, and a moment more
REFUSALS = (Ending.RESET, Ending.CLOSED)
"""How a sidecar that has no filter chain for plaintext ends a connection: by whether it had read the request."""

REFUSED = held(200, CurlEnd.RESET)

SIDECARS, IN_FLEET, IN_MESH = "sidecars", "strict-in-the-namespace", "strict-in-the-mesh"
MESHED = (
    "shop to orders, kept connections",
    "shop to orders, new connections",
    "shop to stock, kept connections",
    "shop to stock, new connections",
    "shop to kiosk",
)
JOINED = ("till to orders", "till to stock")
PLAIN = {
    "passer-by to orders": IN_FLEET,
    "meter to orders": IN_FLEET,
    "passer-by to stock": IN_FLEET,
    "passer-by to kiosk": IN_MESH,
}
"""Flows that stay without a sidecar, on new connections, and when they end."""
KEPT = "passer-by to orders, kept connections"
STREAM, MESHED_STREAM = "passer-by to orders, one long answer", "shop to orders, one long answer"
OURS = {"fleet/orders", "fleet/stock", "street/kiosk"}
STAY_OUT = {"fleet/meter", "street/passer-by", "legacy/client"}
"""Who has no sidecar to the end; the last one comes with every mesh of ours."""


@dataclass
class Migration:
    """What happened on the way.

    Attributes:
        recording: The flows that go all the way, and the moments.
        joined: Those of the client that gets its sidecar on the way, from then on.
        before: What became of that client before.
        quiet: What the sidecars of the first server had counted when they were ready, and nobody had called.
        plaintext: What they had counted more after three requests of a client without a sidecar.
        mutual_tls: The same after three of one with a sidecar.
        mixed: Who was not ready for STRICT in the namespace, before anybody got a sidecar.
        fleet: The same once all had theirs that are to have one.
        mesh: Who was not ready for STRICT in the whole mesh then.
        pairs: Requests of each client to each server, once all had their sidecars.
        requested: When each STRICT was asked for, in ns of the recording.
        in_force: When each proxy showed it, and nothing drained any more.
        refusals: How a request of the client of another namespace ended under STRICT, by server, and of one with a
            sidecar before and after it.
    """

    recording: Recording
    joined: Recording
    before: Flown
    quiet: readiness.ConnectionCounts
    plaintext: readiness.ConnectionCounts
    mutual_tls: readiness.ConnectionCounts
    mixed: readiness.Readiness
    fleet: readiness.Readiness
    mesh: readiness.Readiness
    pairs: Mapping[str, Flown]
    requested: dict[str, int] = field(default_factory=dict)
    in_force: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)

    def flow(self, name: str) -> Flown:
        """Return a flow by its name."""
        return {**self.recording.flows, **self.joined.flows}[name]


class Procedure:
    """The steps of the migration, each under traffic."""

    def __init__(self, scenario: Scenario, testbed: Testbed, traffic: Traffic) -> None:
        self._scenario = scenario
        self._kube = testbed.kube
        self._traffic = traffic
        self._shop, self._till, self._meter = (self._client("fleet", app) for app in ("shop", "till", "meter"))
        self._passer_by = self._client("street", "passer-by")

    def run(self, meshed: Workload, unmeshed: Workload) -> Migration:
        """Go all the way; what is in force at the end is gone with the scenario."""
        quiet = self._counted()
        self._answered(3, unmeshed)
        after_plaintext = self._counted()
        self._answered(3, meshed)
        after_mutual_tls = self._counted()
        with self._traffic.recording(*self._flows(), name="migration") as recording:
            before = self._before_joining()
            mixed = readiness.readiness_of(self._kube, ["fleet"])
            recording.mark("namespace labelled")
            self._scenario.go_on(SIDECARS)
            self._kube.deployments.restart("fleet", "stock", "till")
            recording.mark("all have their sidecars")
            with self._traffic.recording(*self._flows_of_till(), name="migration-till") as joined:
                pairs = self._pairs()
                fleet = readiness.readiness_of(self._kube, ["fleet"])
                mesh = readiness.readiness_of(self._kube)
                migration = Migration(
                    recording, joined, before, quiet, after_plaintext - quiet,
                    after_mutual_tls - after_plaintext, mixed, fleet, mesh, pairs,
                )  # fmt: skip
                steps = [SIDECARS]
                for step, name in ((IN_FLEET, "the namespace"), (IN_MESH, "the mesh")):
                    steps.append(step)
                    migration.requested[step] = recording.mark(f"STRICT for {name}")
                    self._scenario.go_on(*steps)
                    migration.in_force[step] = recording.mark("in force")
                    refused = [name for name, its_step in PLAIN.items() if its_step == step]
                    recording.wait_for(ENOUGH, *refused, each=True, since_ns=migration.in_force[step])
                for url in (ORDERS, STOCK, KIOSK):
                    status, end = partial(_status, meshed, url), partial(_end, unmeshed, url)
                    migration.refusals[url] = between(status, end)
                recording.wait_for(NEEDED - joined.requests, *MESHED)
        return migration

    def _answered(self, requests: int, client: Workload) -> None:
        """Have so many requests answered: one that kube-proxy, which is a second late, leads nowhere is none."""
        statuses: list[int | None] = []

        def answers() -> int:
            statuses.append(client.curl(ORDERS).status)
            return statuses.count(200)

        until(answers, requests, what="The number of requests that were answered", timeout=TIMEOUTS.behaviour)

    def _client(self, namespace: str, app: str) -> Workload:
        return Workload(self._kube, namespace, app, container="traffic")

    def _flows(self) -> Iterator[Flow]:
        new, kept = Connections.NEW, Connections.KEPT
        orders_kept, orders_new, stock_kept, stock_new, kiosk = MESHED
        yield Flow(orders_kept, ORDERS, self._shop, connections=kept, rate=80)
        yield Flow(orders_new, ORDERS, self._shop, connections=new, rate=20)
        yield Flow(stock_kept, STOCK, self._shop, connections=kept, rate=60)
        yield Flow(stock_new, STOCK, self._shop, connections=new, rate=20)
        yield Flow(kiosk, KIOSK, self._shop, connections=new, rate=10)
        sources = [self._passer_by, self._meter, self._passer_by, self._passer_by]
        urls = [ORDERS, ORDERS, STOCK, KIOSK]
        for name, source, url in zip(PLAIN, sources, urls, strict=True):
            yield Flow(name, url, source, connections=new, rate=10, refusals=REFUSALS)
        yield Flow(KEPT, ORDERS, self._passer_by, connections=kept, rate=10, refusals=REFUSALS)
        endless, stream = f"{ORDERS}stream?every=100ms&for=10m", Connections.STREAM
        yield Flow(STREAM, endless, self._passer_by, connections=stream, refusals=(*REFUSALS, Ending.TRUNCATED))
        yield Flow(MESHED_STREAM, endless, self._shop, connections=stream, refusals=(Ending.TRUNCATED,))

    def _flows_of_till(self) -> Iterator[Flow]:
        orders, stock = JOINED
        yield Flow(orders, ORDERS, self._till, connections=Connections.KEPT, rate=30)
        yield Flow(stock, STOCK, self._till, connections=Connections.NEW, rate=20)

    def _before_joining(self) -> Flown:
        """Return what becomes of a client that has no sidecar yet."""
        flow = Flow("till without a sidecar", ORDERS, self._till, connections=Connections.NEW, rate=30, body=True)
        with self._traffic.recording(flow, name="migration-till-before") as recording:
            recording.wait_for(ENOUGH)
        return recording.flows[flow.name]

    def _pairs(self) -> Mapping[str, Flown]:
        """Return requests of each client to each server, by their names."""
        ways = {
            "shop orders": (self._shop, ORDERS),
            "shop stock": (self._shop, STOCK),
            "till orders": (self._till, ORDERS),
            "till stock": (self._till, STOCK),
            "orders stock": (self._shop, f"{ORDERS}forward?url={STOCK}"),
        }
        flows = [
            Flow(name, url, source, connections=Connections.NEW, rate=5, body=True)
            for name, (source, url) in ways.items()
        ]
        with self._traffic.recording(*flows, name="migration-pairs") as recording:
            recording.wait_for(3, each=True)
        return recording.flows

    def _counted(self) -> readiness.ConnectionCounts:
        """Return what the sidecars of the first server have counted."""
        pods = self._kube.pods.of("fleet", "orders")
        answers = [readiness.connections(self._kube, pod) for pod in pods]
        known = [counters for counters in answers if counters is not None]
        assert len(known) == len(pods) > 1
        return reduce(add, known)


def _status(client: Workload, url: str) -> int | None:
    return client.curl(url).status


def _end(client: Workload, url: str) -> CurlEnd:
    return client.curl(url).end


def _after(flown: Flown, moment: int) -> list[Record]:
    """Return the requests that were sent after a moment."""
    return [record for record in flown.records if record.sent_ns > moment]


def _named(answer: readiness.Readiness) -> set[str]:
    """Return the clients that servers of this scenario would refuse; what other servers have seen is not about it."""
    return {client.name for client in answer.clients if {*client.refused_by} & {*OURS, readiness.ANY_SERVER}}


def _until_last_answer(flown: Flown, moment: int) -> str:
    """Return how long after a moment the last answer came that was no refusal."""
    return f"{(max(record.ended_ns for record in flown.answered) - moment) // 1_000_000} ms"


def _identities(record: Record, *, forwarded: bool) -> tuple[tuple[str, str], ...]:
    """Return whom a server was told of, for each hop of the request: itself and its client."""
    answer = json.loads(record.body)
    headers = (answer["forwarded"]["body"] if forwarded else answer)["headers"]
    return tuple((peer["By"], peer["URI"]) for peer in peers(headers))


@pytest.fixture(scope="module")
def migration(
    scenario: Scenario, testbed: Testbed, traffic: Traffic, meshed: Workload, unmeshed: Workload
) -> Migration:
    """The whole migration, once for all rows."""
    return Procedure(scenario, testbed, traffic).run(meshed, unmeshed)


def test_probes_are_not_counted(migration: Migration) -> None:
    """Sidecars that the kubelet probes every second, and nobody else calls, have counted no connection at all."""
    assert migration.quiet == readiness.ConnectionCounts(0, 0, 0)


def test_plaintext_is_counted(migration: Migration) -> None:
    """Three requests without a sidecar are three connections without mutual TLS, and no other."""
    assert (migration.plaintext.plaintext, migration.plaintext.mutual_tls) == (3, 0)


def test_mutual_tls_is_counted(migration: Migration) -> None:
    """Three requests with a sidecar are connections with mutual TLS, kept or new, and none without."""
    assert migration.mutual_tls.plaintext == 0
    assert 1 <= migration.mutual_tls.mutual_tls <= 3


def test_a_mixed_fleet_is_not_ready(migration: Migration) -> None:
    """Before the injection each client without a sidecar is named, and those whose traffic was seen with it."""
    assert migration.mixed.verdict is readiness.Verdict.NOT_READY
    clients = {client.name: client for client in migration.mixed.clients}
    assert {*clients} == STAY_OUT | {"fleet/stock", "fleet/till"}
    assert {name for name, client in clients.items() if "fleet/orders" in client.seen} == {*clients} - {"fleet/stock"}
    assert [note.subject for note in migration.mixed.stays_open] == ["fleet/stock"]


def test_a_client_without_a_sidecar_is_nobody(migration: Migration) -> None:
    """Before its injection the client of the fleet is told to servers as nobody, and is let in."""
    assert migration.before.failures == []
    bodies = [json.loads(record.body) for record in migration.before.answered]
    assert [body for body in bodies if "x-forwarded-client-cert" in body["headers"]] == []


@pytest.mark.parametrize("pair", ["shop orders", "shop stock", "till orders", "till stock", "orders stock"])
def test_each_pair_speaks_mutual_tls(pair: str, migration: Migration) -> None:
    """After the injection each server is told the identity of each client, and its own."""
    client, server = pair.split()
    identity = "spiffe://cluster.local/ns/fleet/sa/{}".format
    requests = migration.pairs[pair]
    assert requests.failures == []
    identities = {_identities(record, forwarded=pair == "orders stock") for record in requests.answered}
    assert identities == {((identity(server), identity(client)),)}


@pytest.mark.parametrize("asked", ["fleet", "mesh"])
def test_who_is_not_ready_is_named(asked: str, migration: Migration) -> None:
    """After the injection exactly those are named who have no sidecar, with a reason, and what to do."""
    answer = {"fleet": migration.fleet, "mesh": migration.mesh}[asked]
    assert answer.verdict is readiness.Verdict.NOT_READY
    assert _named(answer) == STAY_OUT
    assert {server.name for server in answer.servers} & OURS == (
        {"fleet/orders", "fleet/stock"} if asked == "fleet" else OURS
    )
    assert list(answer.unknown) == []


@pytest.mark.parametrize("name", MESHED + JOINED)
def test_meshed_traffic_loses_nothing(name: str, migration: Migration) -> None:
    """From the mixed fleet to STRICT for the mesh no request of a client with a sidecar is lost."""
    assert migration.flow(name).failures == [], str(migration.flow(name))


def test_there_was_traffic_enough(migration: Migration) -> None:
    """So many requests were meshed that a loss would have been migration."""
    assert sum(len(migration.flow(name).answered) for name in MESHED + JOINED) >= NEEDED


@pytest.mark.parametrize("name", PLAIN)
def test_plaintext_gets_in_before(name: str, migration: Migration) -> None:
    """Right before STRICT is asked for each request without a sidecar gets in: the control of the row below."""
    moment = migration.requested[PLAIN[name]]
    before = [record for record in migration.flow(name).records if record.ended_ns < moment]
    assert [str(record) for record in before[-ENOUGH:]] == ["ANSWERED 200"] * ENOUGH


@pytest.mark.parametrize("name", PLAIN)
def test_plaintext_is_refused_after(name: str, migration: Migration, measured: Measured) -> None:
    """From the moment when the proxies show STRICT not one request without a sidecar gets in."""
    flown, step = migration.flow(name), PLAIN[name]
    measured.note([("Flow", name)], "Last answer after STRICT", _until_last_answer(flown, migration.requested[step]))
    after = _after(flown, migration.in_force[step])
    assert len(after) >= ENOUGH
    assert {record.outcome for record in after} <= {*REFUSALS}
    since = [record for record in flown.failures if record.sent_ns > migration.requested[step]]
    assert since == []


def test_open_connections_end(migration: Migration, measured: Measured) -> None:
    """Plaintext connections from before STRICT are closed: nothing is answered on one after that, or on a new one."""
    flown = migration.flow(KEPT)
    assert {record.number for record in flown.answered} == {record.number for record in flown.answered[:ENOUGH]}
    last = _until_last_answer(flown, migration.requested[IN_FLEET])
    measured.note([("Flow", KEPT)], "Last answer after STRICT", last)
    after = _after(flown, migration.in_force[IN_FLEET])
    assert len(after) >= ENOUGH
    assert {record.outcome for record in after} <= {*REFUSALS}
    assert flown.failures == []


@pytest.mark.parametrize("name", [STREAM, MESHED_STREAM])
def test_a_long_answer_is_cut(name: str, migration: Migration, measured: Measured) -> None:
    """A long answer that STRICT finds under way is cut once the old listener has drained, with a sidecar or without."""
    flown, requested, in_force = migration.flow(name), migration.requested[IN_FLEET], migration.in_force[IN_FLEET]
    before = [record for record in flown.records if record.ended_ns < requested]
    assert len(before) >= ENOUGH
    assert {record.outcome for record in before} == {Ending.ANSWERED}
    cuts = [record.ended_ns for record in flown.records if record.outcome is Ending.TRUNCATED]
    measured.note([("Flow", name)], "Cut after STRICT", [f"{(cut - requested) // 1_000_000} ms" for cut in cuts])
    assert [requested < cut < in_force + DELAYED_CLOSE for cut in cuts[:1]] == [True]
    begins_anew = any(record.sent_ns > cuts[0] for record in flown.answered)
    assert (begins_anew, flown.failures) == (name == MESHED_STREAM, [])


@pytest.mark.parametrize("url", [ORDERS, STOCK, KIOSK])
def test_the_client_of_another_namespace_is_refused(url: str, migration: Migration) -> None:
    """The third client that was named is refused as well, while one with a sidecar is answered."""
    assert migration.refusals[url] == REFUSED


def test_the_answer_came_true(migration: Migration) -> None:
    """Who was named lost connectivity, and nobody else did."""
    lost = set()
    for flown in (*migration.recording.flows.values(), *migration.joined.flows.values()):
        source, outcomes = flown.flow.source, {record.outcome for record in flown.records}
        if isinstance(source, Workload) and outcomes & {*REFUSALS}:
            lost.add(f"{source.namespace}/{source.app}")
    lost |= {"legacy/client"} if {*migration.refusals.values()} == {REFUSED} else set()
    assert lost == _named(migration.fleet) == _named(migration.mesh)
