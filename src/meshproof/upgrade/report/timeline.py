"""The time line of an upgrade as a picture: what was asked of the mesh, what came of it, what was done meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from statistics import median

from meshproof.report.templates import template
from meshproof.traffic import Flown
from meshproof.traffic.drawing import Scale
from meshproof.upgrade.evidence import Evidence, Pressure, ProbeResult, together, whole_name
from meshproof.upgrade.gap import Span, longest_gap

TEMPLATE = Path(__file__).with_name("timeline.svg.j2")
NARROW, WIDE = 375.0, 900.0
"""How wide it can be, in pixels: as a narrow screen, and as a page of paper."""
_MARGIN = 8.0
_LINE = 15.0
_LETTER = 6.6  # pixels, about, of a font of 11
_FLOW, _PROBE = 30.0, 12.0  # how high a lane is drawn
_SHORTEST_NS = 500_000_000  # in which is counted
_UNSAMPLED_NS = 10_000_000_000  # for longer than that the pressure was not looked at: there is no line across it
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)  # s between two numbers of the axis
_TICKS = 75.0  # pixels between them at least


@dataclass(frozen=True, slots=True)
class Mark:
    """Something at a place, with a word for it.

    Attributes:
        x: Where it begins.
        width: How wide it is.
        text: The word.
        strong: Whether a line through all lanes shows it; of a state, every other one.
    """

    x: float
    width: float
    text: str
    strong: bool = False


@dataclass(slots=True)
class Lane:
    """One line of the picture; the places of all marks are from its left.

    Attributes:
        kind: ``flow``, ``probe``, ``control`` or ``pressure``.
        name: What it is about.
        numbers: What came of it.
        bad: Whether that is what must not be.
        height: How high it is drawn.
        quiet: A path: answers of a flow, refusals of a probe, a share.
        unsure: Where a try ended otherwise.
        loud: Where something was lost, or got in.
        below: What is marked below it: the longest gap, or what got in first.
        heading: What begins above it.
        top: Where it begins.
    """

    kind: str
    name: str
    numbers: str
    bad: bool
    height: float
    quiet: Callable[[float], str]
    unsure: Sequence[float] = ()
    loud: Sequence[float] = ()
    below: Mark | None = None
    heading: str = ""
    top: float = 0.0
    text_lines: int = field(default=1)

    @property
    def foot(self) -> float:
        """Where its foot is."""
        return self.top + (_LINE * 1.4 if self.heading else 0) + _LINE * self.text_lines + 2 + self.height

    @property
    def bottom(self) -> float:
        """Where the next one can begin."""
        return self.foot + (_LINE + 7 if self.below else 7)


def draw(evidence: Evidence, *, width: float = WIDE, legend: bool = True) -> str:
    """Return the time line as SVG, which needs nothing else, in light and dark.

    Args:
        evidence: What was seen.
        width: How wide it is, in pixels.
        legend: Whether it says itself what each event is; else only its number is there.
    """
    scale = _scale(evidence, width - 2 * _MARGIN)
    lanes = list(_lanes(evidence, scale))
    narrow = width < WIDE
    states = _states(evidence, scale)
    top = _LINE * (3 if narrow else 2) + (_LINE * len(states) if narrow else 0) + 2.6 * _LINE + 10
    for lane in lanes:
        lane.top, lane.text_lines = top, 2 if narrow else 1
        lane.name = _fit(lane.name, width - 2 * _MARGIN - (0 if narrow else len(lane.numbers) * _LETTER))
        lane.numbers = _fit(lane.numbers, width - 2 * _MARGIN)
        top = lane.bottom
    events = [
        (number, f"{(event.at_ns - evidence.began_ns) / 1e9:.1f} s", f"{event.kind}: {event.text}")
        for number, event in enumerate(evidence.events, 1)
    ]
    return template(TEMPLATE).render(
        title=f"Upgrade from {evidence.before.name} to {evidence.after.name}: time line",
        width=width,
        narrow=narrow,
        states=states,
        marks=_marks(evidence, scale),
        lanes=lanes,
        ticks=_ticks(evidence, scale),
        bottom=top,
        height=top + 2 * _LINE + (_LINE * (len(events) + 1) if legend else 0),
        events=[_fit(f"{number}: {at}, {text}", width - 2 * _MARGIN) for number, at, text in events] if legend else [],
        left=_MARGIN,
        right=width - _MARGIN,
        line=_LINE,
    )


def _scale(evidence: Evidence, width: float) -> Scale:
    times = [evidence.began_ns, evidence.ended_ns]
    for flown in (*evidence.flows, *evidence.controls):
        times += [moment for record in flown.records for moment in (record.sent_ns, record.ended_ns)]
    for probe in evidence.probes:
        times += probe.refused_ns
    first, last = min(times), max(*times, min(times) + _SHORTEST_NS)
    return Scale(first, last, _MARGIN, width, max(round((last - first) / width), _SHORTEST_NS))


def _states(evidence: Evidence, scale: Scale) -> list[tuple[Mark, Mark, str]]:
    """Return each state: from its first step on, then from when it was reached, and its title."""
    states = []
    ends = [*(visit.began_ns for visit in evidence.visits[1:]), max(evidence.ended_ns, scale.last_ns)]
    for number, (visit, end) in enumerate(zip(evidence.visits, ends, strict=True)):
        began, ended = scale.across(visit.began_ns), scale.across(end)
        reached = scale.across(visit.reached_ns) if visit.reached_ns is not None else ended
        whole = Mark(began, max(ended - began, 0), _fit(str(visit.state), ended - began - 6), strong=number % 2 == 1)
        key = visit.state.key if len(visit.state.key) * _LETTER < ended - began else ""
        states.append((whole, Mark(reached, max(ended - reached, 0), key), _fit(str(visit.state), scale.width)))
    return states


def _marks(evidence: Evidence, scale: Scale) -> list[Mark]:
    """Return the events; those that would be drawn over each other are one, such as ``3-7``."""
    groups: list[list[int]] = []
    places = [scale.across(event.at_ns) for event in evidence.events]
    for number, place in enumerate(places):
        if groups and place - places[groups[-1][0]] < 6 * _LETTER:
            groups[-1].append(number)
        else:
            groups.append([number])
    marks = []
    for group in groups:
        first, last = group[0] + 1, group[-1] + 1
        text = str(first) if first == last else f"{first}-{last}"
        strong = any(evidence.events[number].kind in {"step", "state"} for number in group)
        marks.append(Mark(places[group[0]], 0, text, strong))
    return marks


def _lanes(evidence: Evidence, scale: Scale) -> Iterator[Lane]:
    for number, parts in enumerate(together(evidence.flows)):
        yield _flow("flow", parts, evidence, scale, "" if number else "Traffic: what must be answered")
    for number, probe in enumerate(evidence.probes):
        yield _probe(probe, evidence, scale, "" if number else "Fail-open probes: what must be refused")
    for number, parts in enumerate(together(evidence.controls)):
        yield _flow("control", parts, evidence, scale, "" if number else "Control: traffic beside the mesh")
    if evidence.pressure:
        yield _pressure(evidence.pressure, scale)


def _flow(kind: str, parts: Sequence[Flown], evidence: Evidence, scale: Scale, heading: str) -> Lane:
    """Return the lane of a flow; what is between two of its parts is no gap, for nothing was sent then."""
    name = whole_name(parts[0].flow.name)
    flown = Flown(replace(parts[0].flow, name=name), [record for part in parts for record in part.records])
    counts = scale.counted(record.ended_ns for record in flown.answered)
    usual = median(counts.values()) if counts else 1
    full = round(usual * 1.25) or 1  # a burst after a pause would make all the rest low
    heights = {bucket: min(count, full) for bucket, count in counts.items()}
    classes = ", ".join(f"{number:,} {ending}" for ending, number in flown.losses.most_common(4))
    ends = "".join(f", {number:,} {ending}" for ending, number in sorted(flown.ends.items()))
    lost = f"{len(flown.failures):,} lost{f': {classes}' if classes else ''}"
    gap = max(filter(None, map(longest_gap, parts)), key=lambda gap: gap.ms, default=None)
    return Lane(
        kind,
        flown.flow.name,
        f"{flown.requests:,} requests, {lost}{ends}",
        bool(flown.failures),
        _FLOW,
        lambda foot: scale.bars(heights, most=full, foot=foot, height=_FLOW),
        loud=_places((record.ended_ns for record in flown.failures), scale),
        below=_below(gap, f"longest gap {gap.ms:,.0f} ms, {evidence.state_at(gap.began_ns).key}", scale)
        if gap
        else None,
        heading=heading,
    )


def _probe(probe: ProbeResult, evidence: Evidence, scale: Scale, heading: str) -> Lane:
    counts = dict.fromkeys(scale.counted(probe.refused_ns), 1)
    through = sorted(attempt.at_ns for attempt in probe.let_through)
    unknown = f", {sum(probe.unknown.values()):,} unknown" if probe.unknown else ""
    first = f"got in, first at {(through[0] - evidence.began_ns) / 1e9:.1f} s" if through else ""
    return Lane(
        "probe",
        probe.name,
        f"{probe.refusals:,} of {probe.tries:,} refused, {len(through):,} got in{unknown}",
        bool(through),
        _PROBE,
        lambda foot: scale.bars(counts, most=1, foot=foot, height=_PROBE),
        unsure=_places(probe.unknown_ns, scale),
        loud=_places(through, scale),
        below=_below(Span(through[0], through[0]), f"{first}, {evidence.state_at(through[0]).key}", scale)
        if through
        else None,
        heading=heading,
    )


def _pressure(pressure: Sequence[Pressure], scale: Scale) -> Lane:
    samples: list[list[Pressure]] = []
    for at in pressure:
        if samples and at.at_ns - samples[-1][-1].at_ns < _UNSAMPLED_NS:
            samples[-1].append(at)
        else:
            samples.append([at])
    cpu, memory, io = (max(getattr(at, kind) for at in pressure) for kind in ("cpu", "memory", "io"))

    def area(foot: float) -> str:
        return "".join(map(part, samples, repeat(foot)))

    def part(together: Sequence[Pressure], foot: float) -> str:
        places = [(scale.across(at.at_ns), round(foot - _FLOW * min(at.cpu, 100.0) / 100, 2)) for at in together]
        return f"M{places[0][0]} {foot}{''.join(f'L{x} {y}' for x, y in places)}V{foot}z"

    return Lane(
        "pressure",
        "Some task waited for a processor, share of time",
        f"at most {cpu:.0f}% (memory {memory:.0f}%, io {io:.0f}%)",
        bad=False,
        height=_FLOW,
        quiet=area,
        heading="Pressure of the machine",
    )


def _places(times_ns: Iterator[int] | Sequence[int], scale: Scale) -> list[float]:
    """Return where moments are; thousands at one place are one."""
    return sorted({round(scale.across(at_ns) * 2) / 2 for at_ns in times_ns})


def _below(span: Span, text: str, scale: Scale) -> Mark:
    x = scale.across(span.began_ns)
    return Mark(x, max(scale.across(span.ended_ns) - x, 3.0), text)


def _ticks(evidence: Evidence, scale: Scale) -> list[Mark]:
    seconds = (scale.last_ns - scale.first_ns) / 1e9
    step = next((step for step in _STEPS if step / seconds * scale.width >= _TICKS), _STEPS[-1])
    return [
        Mark(scale.across(evidence.began_ns + second * 1_000_000_000), 0, f"{second} s")
        for second in range(0, int((scale.last_ns - evidence.began_ns) / 1e9) + 1, step)
    ]


def _fit(text: str, width: float) -> str:
    """Return as much of a text as there is room for."""
    most = max(int(width / _LETTER), 0)
    return text if len(text) <= most else f"{text[: most - 1]}…" if most > 1 else ""
