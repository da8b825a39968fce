"""What an upgrade has left to be judged by: plain values, all of which the report saves.

Times are ns of CLOCK_MONOTONIC of this machine, as ``time.monotonic_ns()``; containers on it have the same clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from meshproof.traffic import Calibration, Flown
from meshproof.upgrade.rates import Load

PART = ", part "
"""What stands before the number of a part in the name of a flow that was sent in several parts, or on two clusters."""
UNKNOWN = "unknown: "
"""How the value of a fact begins that could not be found out; why follows. One that is `unknown` is known."""
_SHOWN = 100  # letters of a fact in a sentence


class Strategy(Enum):
    """How a control plane is replaced; on a new cluster the whole mesh is.

    Source: https://istio.io/latest/docs/setup/upgrade/canary/ and https://istio.io/latest/docs/setup/upgrade/in-place/
    """

    CANARY = "canary"
    IN_PLACE = "in-place"
    NEW_CLUSTER = "new-cluster"


@dataclass(frozen=True, slots=True)
class State:
    """A state of the upgrade, in which the mesh rests while it is looked at.

    Attributes:
        key: Its short name, such as ``S3``.
        title: What it is, such as ``mixed sidecars``.
    """

    key: str
    title: str

    def __str__(self) -> str:
        return f"{self.key} {self.title}"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened meanwhile.

    Attributes:
        at_ns: When.
        kind: Of what kind: ``step``, ``state``, ``pod ready``, ``pod not ready``, ``pod going``.
        text: What, as a person reads it.
    """

    at_ns: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Visit:
    """One time that the mesh was in a state, with what was seen of it.

    Attributes:
        state: Which one; on the way back a state is visited again.
        began_ns: When the steps that lead to it began: what is lost from then on is lost on the way to it.
        reached_ns: When they were done; None where they were not.
        ended_ns: When it was looked at, or given up.
        rows: What became of each scenario's row, by its name in pytest: ``kept``, ``broken``, ``not tried``,
            ``skipped`` or ``known broken``. Empty where they were not run.
        facts: What was seen of the mesh, each fact by its name; see ``differences``.
        reasons: Why a row was not kept, in one line, by the row's name, where its report says so.
    """

    state: State
    began_ns: int
    reached_ns: int | None
    ended_ns: int
    rows: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


class Kind(Enum):
    """Of which kind a difference is, what matters most first; the value is what a person reads."""

    UNEXPLAINED = "unexplained"
    UNFOUND = "could not be found out"
    ACKNOWLEDGED = "acknowledged"
    RELEASE = "brought by the new release"
    ROUTINE = "brought by any upgrade"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something of the mesh that is otherwise than it was before.

    Attributes:
        name: The fact, such as ``posture a.example:443: TLSv1.2 cipher suites``; of several the first, and how many
            others are alike.
        before: What it was in the first state; empty where there was nothing.
        after: What it is; empty where there is nothing any more.
        state: The first state in which it was so.
        acknowledged: The reason that the user's file gives for it; empty where there is none.
        expected: Why the upgrade itself brings it, such as the new version's number; empty where nothing explains it.
        facts: The names of all that are alike; empty where it is about one fact, which its name is then.
        routine: Whether any upgrade of this kind brings it, and it says nothing of the new release.
    """

    name: str
    before: str
    after: str
    state: State
    acknowledged: str = ""
    expected: str = ""
    facts: tuple[str, ...] = ()
    routine: bool = False

    @property
    def kind(self) -> Kind:
        """Of which kind it is."""
        if self.acknowledged:
            return Kind.ACKNOWLEDGED
        if self.unknown:
            return Kind.UNFOUND
        return (Kind.ROUTINE if self.routine else Kind.RELEASE) if self.expected else Kind.UNEXPLAINED

    @property
    def sentence(self) -> str:
        """What was, and what is now; the beginning of both, where they are long."""
        return f"{self.name}: {_short(self.before)} is now {_short(self.after)}."

    @property
    def unknown(self) -> bool:
        """Whether one of the two could not be found out, so that nobody can say whether it differs."""
        return any(side.startswith(UNKNOWN) for side in (self.before, self.after))


@dataclass(frozen=True, slots=True)
class Try:
    """One request of a fail-open probe that was let through.

    Attributes:
        at_ns: When its answer was there.
        state: In which state, or on the way to it.
        what: What it got, such as ``ANSWERED 418``.
    """

    at_ns: int
    state: State
    what: str


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What became of requests that must all be refused.

    Attributes:
        name: What is tried, such as ``no client certificate``.
        tries: How many there were.
        refusals: How many were refused as they should be, by the mesh's own word.
        unknown: How many ended otherwise, by their class: they are no proof of either.
        let_through: Each that got in.
        longest_ms: The longest time without a refusal, from the beginning of the first state on its cluster to the end
            of the last one; None without any.
        longest_from_ns: When that began.
        control: The requests on the same path that must get in, and how many of them did not.
        sees: Whether it was shown in this run that it sees a request that is let through.
        refused_ns: When each refusal was there; the time line shows them.
        unknown_ns: When each of those that ended otherwise had ended.
    """

    name: str
    tries: int
    refusals: int
    unknown: Mapping[str, int]
    let_through: Sequence[Try]
    longest_ms: float | None
    control: Flown
    sees: bool
    longest_from_ns: int | None = None
    refused_ns: Sequence[int] = ()
    unknown_ns: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Pressure:
    """How busy the machine was at a moment.

    Attributes:
        at_ns: When.
        cpu: The share of the last ten seconds in which some task waited for a processor, in percent.
        memory: The same for memory.
        io: The same for input and output.

    Source: https://docs.kernel.org/accounting/psi.html
    """

    at_ns: int
    cpu: float
    memory: float
    io: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the upgrade did not come to its end.

    Attributes:
        state: The state that it was on its way to.
        what: What was tried, and what was seen, in a sentence.
        to_do: What a person does now.
        interrupted: Whether a person ended it.
    """

    state: State
    what: str
    to_do: str
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """The mesh before, or after.

    Attributes:
        name: What was asked for, such as ``1.31.0`` or ``1.31.0/envoy-1.40.0``.
        istio: The release of Istio, as its istiod calls itself.
        envoy: The release of Envoy; empty where Istio's images don't say which one they have.
        kubernetes: The release of Kubernetes.
        overlays: The files that were given for it.
        release: What that Istio is, where its name is that of a branch; empty where it is the release of this name.
    """

    name: str
    istio: str
    envoy: str
    kubernetes: str
    overlays: Sequence[str] = ()
    release: str = ""


@dataclass(frozen=True, slots=True)
class Images:
    """Where the images of both meshes come from.

    Attributes:
        source: ``packages`` or ``registry``; empty where that is not known.
        upstream_envoy: Whether the proxies lack the extensions of Istio's own build of Envoy.
    """

    source: str = ""
    upstream_envoy: bool = False

    @property
    def built(self) -> bool:
        """Whether they are built on this machine."""
        return self.source == "packages"


@dataclass(frozen=True, slots=True)
class Budget:
    """What an upgrade may cost.

    Attributes:
        failures: How many requests of a flow may fail.
        longest_ms: The longest gap between two answers of a flow.
    """

    failures: int = 0
    longest_ms: float = 5000.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of it.

    Attributes:
        before: The mesh before.
        after: The mesh after.
        strategy: How the one was made the other.
        rollback: Whether it was rolled back.
        began: When its traffic began, in seconds since 1970; before that, when it was to be brought up.
        began_ns: The same moment by the clock of all other times.
        ended_ns: When nothing more was looked at, nor sent.
        visits: The states, in their order; the first one is there even where it was not reached.
        events: What happened, in its order.
        flows: The traffic that was to be answered.
        controls: The traffic that does not cross the mesh.
        probes: What had to be refused.
        differences: What is otherwise than in the first state.
        pressure: The machine's.
        budget: What was allowed.
        calibration: What each source of traffic saw of losses that were made on purpose.
        stop: Why it ended early; None if it did not.
        unknown: Sentences on what should be known, and is not: a sender did not tell of all its requests.
        images: Where the images come from.
        load: How often requests were sent; None where it did not come to that.
        set_out_ns: When its first cluster began to be brought up; None where that is not known.
    """

    before: Side
    after: Side
    strategy: Strategy
    rollback: bool
    began: float
    began_ns: int
    ended_ns: int
    visits: Sequence[Visit]
    events: Sequence[Event]
    flows: Sequence[Flown]
    controls: Sequence[Flown]
    probes: Sequence[ProbeResult]
    differences: Sequence[Difference]
    pressure: Sequence[Pressure]
    budget: Budget = field(default_factory=Budget)
    calibration: Sequence[Calibration] = ()
    stop: Stop | None = None
    unknown: Sequence[str] = ()
    images: Images = field(default_factory=Images)
    load: Load | None = None
    set_out_ns: int | None = None

    @property
    def first_state(self) -> State:
        """The state before the upgrade."""
        return self.visits[0].state

    def stopped_in(self, state: State) -> bool:
        """Return whether it ended early in a state, or on the way there: nobody got to what comes after that."""
        return self.stop is not None and self.stop.state == state

    def state_at(self, at_ns: int) -> State:
        """Return the state that the mesh was in at a moment, or on its way to."""
        return state_at([(visit.began_ns, visit.state) for visit in self.visits], at_ns)


def state_at(ways: Sequence[tuple[int, State]], at_ns: int) -> State:
    """Return the state that the mesh was in at a moment, or on its way to; before all of them it is the first one.

    Args:
        ways: When the way to each state began, and the state.
        at_ns: The moment.
    """
    reached = [state for began_ns, state in ways if began_ns <= at_ns]
    return reached[-1] if reached else ways[0][1]


def whole_name(name: str) -> str:
    """Return the name of what is sent without the number of its part, if it has several."""
    return name.partition(PART)[0]


def together(flows: Sequence[Flown]) -> list[list[Flown]]:
    """Return the parts of each flow together."""
    parts: dict[str, list[Flown]] = {}
    for flow in flows:
        parts.setdefault(whole_name(flow.flow.name), []).append(flow)
    return list(parts.values())


def name_of(parts: Sequence[Flown]) -> str:
    """Return the name of some parts of a flow: of one its own, of several that of the whole."""
    first, *others = parts
    return whole_name(first.flow.name) if others else first.flow.name


def _short(value: str) -> str:
    """Return a fact in one line; the report has it as a whole."""
    line = " ".join(value.split()) or "nothing"
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
