"""The world that an upgrade goes on around: the pods, hosts and policies of ``world.yaml``, and all that is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from meshproof.certificates.authority import ECDSA, Authority
from meshproof.certificates.tree import OWN
from meshproof.machine.wait import Patience
from meshproof.mesh import Scenario
from meshproof.mesh.scenario import in_force
from meshproof.mesh.testbed import Testbed
from meshproof.traffic import Connections, Flow, Flown, record, sent
from meshproof.upgrade import flows, probes
from meshproof.upgrade.evidence import ProbeResult, State
from meshproof.upgrade.flows import Client
from meshproof.upgrade.gap import Span
from meshproof.upgrade.pressure import spare
from meshproof.upgrade.probes import Fate, Probe
from meshproof.upgrade.rates import NEEDED, USUAL, Load, Rates, bearable

MANIFEST = Path(__file__).with_name("world.yaml")
_CLOSED = "closed"
_TRIES = 20
"""How often each probe is to be let through before it is believed to see that."""
_NEARLY_ALL = 0.9
_BEFORE_A_LOOK = 10
"""Requests of each flow after which all its connections are there."""
_LOOK = 3.0
"""Seconds for which the processors are looked at."""
_IDENTITY = "spiffe://meshproof-upgrade.example"


@dataclass(frozen=True, slots=True)
class Sight:
    """Whether a probe sees a request that is let through.

    Attributes:
        name: What the probe tries.
        tries: How often that was tried while nothing refused it.
        seen: How many of these requests the probe took for let through.
        refused: How many it took for refused.
    """

    name: str
    tries: int
    seen: int
    refused: int

    @property
    def good(self) -> bool:
        """Whether the probe can be believed: it took none for refused; a few may end otherwise, as by a timeout."""
        return self.tries > 0 and self.seen >= _NEARLY_ALL * self.tries and not self.refused

    def __str__(self) -> str:
        wrong = f", and took {self.refused} for refused" if self.refused else ""
        return f"{self.name}: let through {self.tries} times on purpose, saw {self.seen} of them{wrong}"


class World:
    """The traffic of an upgrade; see ``in_force_for``.

    Attributes:
        probes: What must be refused.
        rates: How often requests are sent from now on.
    """

    def __init__(self, scenario: Scenario, testbed: Testbed) -> None:
        self._scenario = scenario
        self._testbed = testbed
        ours, address = testbed.certificates.authority(OWN), testbed.straight(443)
        self._trust, self._address = ours.pem, address
        self._allowed, denied = (ours.client(f"{_IDENTITY}/{name}", key=ECDSA) for name in ("allowed", "denied"))
        stranger = Authority("stranger").client(f"{_IDENTITY}/allowed", key=ECDSA)
        self.probes: Sequence[Probe] = [
            *probes.at_the_gateway(address, self._trust, denied, stranger),
            probes.in_plaintext(testbed.kube),
        ]
        self.rates = USUAL

    def flows(self) -> list[Flow]:
        """Return what must be answered, from outside, from the first state to the last."""
        return flows.through_the_gateway(self._address, self._trust, self._allowed, self.rates)

    def between_sidecars(self, client: Client, again: str = "") -> list[Flow]:
        """Return what must be answered, from a pod with a sidecar; see ``flows.between_sidecars``.

        The labels of their Deployments say in which half they are: it is not restarted while they send.
        """
        return flows.between_sidecars(self._testbed.kube, client, again, self.rates)

    def ways(self) -> list[list[Flow]]:
        """Return the ways through the mesh on which both ends of a request are looked at, by the place of the client.

        Among them are two that the gateway answers itself, and one with headers that only proxies should write.
        """
        outside = [flow for flow in self.flows() if flow.connections is not Connections.STREAM]
        outside += [replace(outside[0], name=name, headers=headers) for name, headers in flows.ODD_HEADERS.items()]
        outside += [replace(probe.flow, name=f"gateway, {probe.name}") for probe in self.probes if probe.status]
        return [
            [replace(flow, body=True) for flow in together]
            for together in (outside, *(self.between_sidecars(client) for client in Client))
        ]

    def controls(self) -> list[Flow]:
        """Return what crosses no proxy."""
        return flows.controls(self._testbed.kube)

    def tries(self) -> list[Flow]:
        """Return what must be refused, as flows."""
        return [replace(probe.flow, rate=self.rates.tries) for probe in self.probes]

    def bearable_load(self) -> Load:
        """Find out how often requests can be sent on this machine; nothing is refused yet.

        Raises:
            TrafficUnknown: A sender did not tell of all its requests.
            NotSettled: Something had no answer.
            ClusterError: A sender could not be run in its pod.
        """
        return bearable(self._spare_at)

    def _spare_at(self, rates: Rates) -> float:
        """Send all that an upgrade sends; return the share of the processors' time that is left.

        What has just begun may still be busy with that: where too little is left a second look counts, if it is better.
        """
        self.rates = rates
        program = self._testbed.images.traffic
        flows = [*self.flows(), *self.controls()]
        flows += [flow for client in Client for flow in self.between_sidecars(client)]
        with sent(*flows, *self.tries(), name="how often requests can be sent", program=program) as recording:
            recording.wait_for(_BEFORE_A_LOOK, each=True)
            recording.wait_for_answers(*(flow.name for flow in flows))
            share = spare(_LOOK)
            return share if share >= NEEDED else max(share, spare(_LOOK))

    def calibrate(self, directory: Path) -> list[Sight]:
        """Have the probes let through, look whether each sees that, and refuse from then on what they try.

        Args:
            directory: Where the records and the picture go.

        Raises:
            TrafficUnknown: A sender did not tell of all its requests.
            NotSettled: No requests came, or a proxy did not load what refuses.
            ClusterError: A sender could not be run in its pod.
        """
        program = self._testbed.images.traffic
        name = "fail-open probes, let through on purpose"
        with record(*self.tries(), name=name, program=program, directory=directory) as recording:
            recording.wait_for(_TRIES, each=True)
        self._scenario.go_on(_CLOSED)
        return [_sight(probe, recording.flows[probe.flow.name]) for probe in self.probes]

    def results(
        self, flown: Mapping[str, Flown], sights: Sequence[Sight], state_at: Callable[[int], State], looked_at: Span
    ) -> list[ProbeResult]:
        """Return what became of the probes; see ``probes.result``.

        Args:
            flown: What became of all flows of the run, by their names: ``flows`` and those of ``between_sidecars`` are
                the controls of probes.
            sights: What ``calibrate`` saw.
            state_at: Gives the state of the mesh at a moment.
            looked_at: From the beginning of the first state on the cluster to the end of the last one.
        """
        good = {sight.name for sight in sights if sight.good}
        return [probes.result(probe, flown, state_at, looked_at, sees=probe.name in good) for probe in self.probes]


def _sight(probe: Probe, flown: Flown) -> Sight:
    fates = [probe.fate(record) for record in flown.records]
    return Sight(probe.name, len(fates), fates.count(Fate.LET_THROUGH), fates.count(Fate.REFUSED))


@contextmanager
def in_force_for(testbed: Testbed, patience: Patience) -> Iterator[World]:
    """Have the world in force for as long as the context lasts; nothing is refused before ``calibrate``.

    Raises:
        ClusterError: Something refused a document.
        NotSettled: A pod did not become ready, or a proxy did not load what is asked for.
    """
    with in_force(MANIFEST, testbed, patience) as scenario:
        yield World(scenario, testbed)
