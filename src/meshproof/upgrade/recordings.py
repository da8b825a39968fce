"""The recordings of an upgrade: all that is sent, from the first state to the last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from meshproof.errors import MeshproofError
from meshproof.mesh.manifests import FIRST, LAST
from meshproof.traffic import Flow, Flown, Record, Recording, record
from meshproof.upgrade.evidence import PART
from meshproof.upgrade.flows import Client
from meshproof.upgrade.probes import Fate
from meshproof.upgrade.world import World

_LONGEST = 7200.0
"""Seconds after which nothing more is sent; all that an upgrade waits for ends before that."""
_CLIENTS = {FIRST: Client.NEW, LAST: Client.OLD}
"""Whose pod sends, by the half of the Deployments that it is in."""


class Recordings:
    """What is sent while an upgrade goes on, and what becomes of it.

    Attributes:
        unknown: Sentences on what is not known: a sender did not tell all its requests, or they could not be written.
        begun: Whether all that is sent has begun.
    """

    def __init__(self, world: World, program: Path, directory: Path) -> None:
        self.unknown: list[str] = []
        self.begun = False
        self._world = world
        self._program = program
        self._directory = directory
        self._recordings: list[Recording] = []
        self._clients: dict[str, ExitStack] = {}
        self._counts: dict[str, int] = {}
        self._probes = {probe.flow.name: probe for probe in world.probes}
        self._controls = [flow.name for flow in world.controls()]

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Send for as long as the context lasts.

        Raises:
            TrafficUnknown: Nothing could be sent at all.
            ClusterError: A sender could not be run in its pod.
        """
        world = self._world
        with ExitStack() as stack:
            stack.enter_context(self._recorded("upgrade", [*world.flows(), *world.controls(), *world.tries()]))
            for turn in _CLIENTS:
                stack.callback(self._end, turn)
                self._begin(turn)
            self.begun = True
            yield

    @contextmanager
    def without(self, turn: str) -> Iterator[None]:
        """Send nothing from the pods of one half of the Deployments while they are restarted; nor after an error.

        Args:
            turn: Which half; empty for none of them.

        Raises:
            TrafficUnknown: Nothing could be sent from them again.
            ClusterError: The sender could not be run in its pod.
        """
        if turn:
            self._end(turn)
        yield
        if turn:
            self._begin(turn)

    @property
    def flown(self) -> Mapping[str, Flown]:
        """All flows by their names, with what has become of them by now."""
        return {name: flown for recording in self._recordings for name, flown in recording.flows.items()}

    @property
    def flows(self) -> Sequence[Flown]:
        """Those that were to be answered."""
        others = {*self._controls, *self._probes}
        return [flown for name, flown in self.flown.items() if name not in others]

    def unanswered(self) -> list[str]:
        """Return the names of the flows that have had no answer yet."""
        return [flown.flow.name for flown in (*self.flows, *self.controls) if not flown.answered]

    @property
    def requests(self) -> int:
        """How many requests there have been by now that were to be answered by the mesh; controls don't cross it."""
        return sum(flown.requests for flown in self.flows)

    @property
    def tries(self) -> int:
        """How many there have been by now that must be refused."""
        return sum(flown.requests for name, flown in self.flown.items() if name in self._probes)

    @property
    def controls(self) -> Sequence[Flown]:
        """Those that cross no proxy."""
        return [flown for name, flown in self.flown.items() if name in self._controls]

    def lost_since_last(self) -> Iterator[Record]:
        """Yield each request that was lost since the last call."""
        for flow, records in self._new(of_probes=False):
            yield from Flown(flow, records).failures

    def let_through_since_last(self) -> Iterator[tuple[str, Record]]:
        """Yield each request that was let through since the last call, with the name of its probe."""
        for flow, records in self._new(of_probes=True):
            probe = self._probes[flow.name]
            yield from ((probe.name, record) for record in records if probe.fate(record) is Fate.LET_THROUGH)

    def _new(self, *, of_probes: bool) -> Iterator[tuple[Flow, Sequence[Record]]]:
        """Yield flows, each with the records that came since the last time."""
        for recording in self._recordings:
            for sender in recording.senders:
                records = sender.records()
                for flow in sender.flows:
                    if (flow.name in self._probes) is of_probes:
                        new = records[flow.name][self._counts.get(flow.name, 0) :]
                        self._counts[flow.name] = self._counts.get(flow.name, 0) + len(new)
                        yield flow, new

    def _end(self, turn: str) -> None:
        """Send no more from the pod of one half, if it sends."""
        if turn in self._clients:
            self._clients.pop(turn).close()

    def _begin(self, turn: str) -> None:
        """Begin to send from the pod of one half."""
        client, stack = _CLIENTS[turn], ExitStack()
        number = sum(recording.name.startswith(_name(client)) for recording in self._recordings)
        again = f"{PART}{number + 1}" if number else ""
        flows = self._world.between_sidecars(client, again)
        stack.enter_context(self._recorded(f"{_name(client)}{again}", flows))
        self._clients[turn] = stack

    @contextmanager
    def _recorded(self, name: str, flows: Sequence[Flow]) -> Iterator[None]:
        """Send for as long as the context lasts; what goes wrong at its end is not known, and no error.

        Raises:
            MeshproofError: Nothing was sent.
        """
        with ExitStack() as stack:
            recording = record(*flows, name=name, program=self._program, directory=self._directory, seconds=_LONGEST)
            self._recordings.append(stack.enter_context(recording))
            try:
                yield
            finally:
                try:
                    stack.close()
                except MeshproofError as error:
                    self.unknown.append(str(error))


def _name(client: Client) -> str:
    return f"upgrade, {client.value} client"
