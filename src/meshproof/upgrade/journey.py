"""How far an upgrade has come: at any moment there is something to be judged, and a sentence on why it ended."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile

from meshproof.errors import MeshproofError
from meshproof.traffic import Calibration
from meshproof.upgrade.differences import differences_between
from meshproof.upgrade.evidence import Difference, Event, Evidence, Pressure, State, Stop, Visit, state_at
from meshproof.upgrade.gap import Span
from meshproof.upgrade.new_cluster import joined, stopped
from meshproof.upgrade.order import Order
from meshproof.upgrade.recordings import Recordings
from meshproof.upgrade.world import Sight, World


class Journey:
    """The way of an upgrade on one cluster, as far as it has been gone.

    Attributes:
        order: What is asked for.
        stages: The states on this cluster, and what leads to each.
        earlier: What was seen on the cluster before; None on the first one.
        began_ns: When it began, in ns of CLOCK_MONOTONIC.
        doing: What is done now, as it follows "tried to".
        stop: Why it ended early; None as long as it did not.
        calibration: What each source of traffic saw of losses that were made on purpose.
        pressure: The machine's.
        load: How often requests are sent, on a second cluster as often as on the first one; None until that is known.
    """

    def __init__(self, order: Order, earlier: Evidence | None = None) -> None:
        """Stand before the first state of a cluster.

        Args:
            order: What is asked for.
            earlier: What was seen on the cluster before this one; None on the first one.
        """
        first, *others = order.stages[len(earlier.visits) if earlier else 0 :]
        self.stages = [first, *takewhile(lambda stage: not stage.cluster, others)]
        self.earlier = earlier
        self.doing = first.cluster
        self.stop: Stop | None = None
        self.calibration: Sequence[Calibration] = ()
        self.pressure: Sequence[Pressure] = ()
        self.order = order
        self.load = earlier.load if earlier else None
        self._visits: list[Visit] = []
        self._here: Visit | None = None
        self._events: list[Event] = []
        self._unknown: list[str] = []
        self._sent: tuple[World, Recordings, Sequence[Sight]] | None = None
        self._began = time.time()
        self.began_ns = self._since_ns = time.monotonic_ns()
        self._set_out_ns = earlier.set_out_ns if earlier else self.began_ns

    @property
    def visits(self) -> list[Visit]:
        """The states that were looked at, also those on an earlier cluster, and the one that it is on its way to."""
        return [*(self.earlier.visits if self.earlier else ()), *self._here_and_before]

    @property
    def _here_and_before(self) -> list[Visit]:
        here = self._here
        return [*self._visits, *([replace(here, ended_ns=time.monotonic_ns())] if here else [])]

    @property
    def differences(self) -> list[Difference]:
        """What is otherwise than in the first state."""
        order = self.order
        return differences_between(self.visits, order.acknowledgements, order.before, order.after, order.strategy)

    @property
    def reaches_the_end(self) -> bool:
        """Whether its last state is that of the whole upgrade, and not the last one on a cluster that is left."""
        return self.stages[-1].state == self.order.stages[-1].state

    @property
    def done(self) -> bool:
        """Whether all states of this cluster were looked at."""
        return len(self._visits) == len(self.stages)

    def begins(self, world: World, recordings: Recordings, sights: Sequence[Sight]) -> None:
        """Count the time from now: traffic begins.

        Args:
            world: What it goes to.
            recordings: It.
            sights: What fail-open probes saw that were let through on purpose.
        """
        self._sent = world, recordings, sights
        self._began, self.began_ns = time.time(), time.monotonic_ns()
        self._since_ns = self.began_ns
        if self.earlier:
            self._began, self.began_ns = self.earlier.began, self.earlier.began_ns

    def note(self, kind: str, text: str) -> None:
        """Note that something happens now; see ``Event``."""
        self._events.append(Event(time.monotonic_ns(), kind, text))

    def sets_out_for(self, state: State) -> None:
        """Be on the way to a state."""
        now_ns = time.monotonic_ns()
        self._here = Visit(state, now_ns, None, now_ns)

    def reaches(self) -> int:
        """Be in that state; return when that was."""
        assert self._here
        now_ns = time.monotonic_ns()
        self._here = replace(self._here, reached_ns=now_ns)
        self.note("state", str(self._here.state))
        return now_ns

    def sees(
        self,
        *,
        facts: Mapping[str, str] | None = None,
        rows: Mapping[str, str] | None = None,
        reasons: Mapping[str, str] | None = None,
    ) -> None:
        """Keep what is seen in that state; see ``Visit``."""
        assert self._here
        here = self._here
        self._here = replace(
            here,
            facts=here.facts if facts is None else facts,
            rows=here.rows if rows is None else rows,
            reasons=here.reasons if reasons is None else reasons,
        )

    def leaves(self) -> Visit:
        """Have looked at that state, or given it up; return what was seen in it."""
        assert self._here
        visit = replace(self._here, ended_ns=time.monotonic_ns())
        self._visits.append(visit)
        self._here = None
        return visit

    def state_at(self, at_ns: int) -> State:
        """Return the state that the mesh was in at a moment, or on its way to."""
        ways = [(visit.began_ns, visit.state) for visit in self._here_and_before]
        return state_at(ways or [(at_ns, self.stages[0].state)], at_ns)

    @contextmanager
    def ended_in_order(self) -> Iterator[None]:
        """Let what ends the context early be the end of the upgrade, and no error."""
        try:
            yield
        except (KeyboardInterrupt, MeshproofError) as error:
            self.end(error)

    def end(self, error: KeyboardInterrupt | MeshproofError) -> None:
        """Say why it ends early; what goes wrong after that, or after the last state, is only not known.

        Args:
            error: What ends it.
        """
        if isinstance(error, MeshproofError) and (self.stop or self.done):
            self._unknown.append(str(error))
        elif not self.stop:
            self.stop = self._stopped_by(error)

    def _stopped_by(self, error: KeyboardInterrupt | MeshproofError) -> Stop:
        visit = self._here or (self._visits[-1] if self._visits else None)
        state = visit.state if visit else self.stages[0].state
        if isinstance(error, KeyboardInterrupt):
            return Stop(
                state,
                f"It was interrupted while it was to {self.doing}.",
                "What would have come after that is not known: run it again.",
                interrupted=True,
            )
        known = "the mesh is between two states"
        if not visit:
            known = "the mesh was not looked at on the new cluster" if self.earlier else "nothing was looked at"
        return Stop(
            state,
            f"Tried to {self.doing}, and it could not be done: {error}",
            f"Mend what is said here; until then {known}.",
        )

    def evidence(self) -> Evidence:
        """Return what there is to be judged by now; on a second cluster with all that there is of the first one."""
        world, recordings, sights = self._sent or (None, None, ())
        moving, *_ = self.stages
        if self.earlier and not (self._visits or self._here):
            return stopped(self.earlier, moving, self.stop) if self.stop else self.earlier
        order, now_ns = self.order, time.monotonic_ns()
        visits = self._here_and_before or [Visit(moving.state, self._since_ns, None, now_ns)]
        looked_at = Span(visits[0].began_ns, visits[-1].ended_ns)
        evidence = Evidence(
            before=order.before,
            after=order.after,
            strategy=order.strategy,
            rollback=order.rollback,
            began=self._began,
            began_ns=self.began_ns,
            ended_ns=now_ns,
            visits=[*(self.earlier.visits if self.earlier else ()), *visits],
            events=sorted(self._events, key=lambda event: event.at_ns),
            flows=recordings.flows if recordings else (),
            controls=recordings.controls if recordings else (),
            probes=world.results(recordings.flown, sights, self.state_at, looked_at)
            if world and recordings and recordings.begun
            else (),
            differences=self.differences,
            pressure=list(self.pressure),
            budget=order.budget,
            calibration=self.calibration,
            stop=self.stop,
            unknown=[*self._unknown, *(recordings.unknown if recordings else ())],
            images=order.images,
            load=self.load,
            set_out_ns=self._set_out_ns,
        )
        return joined(self.earlier, evidence, moving) if self.earlier else evidence
