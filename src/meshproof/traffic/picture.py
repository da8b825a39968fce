"""A recording as a picture: requests over time, what was lost of them, and what happened meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meshproof.report.templates import template
from meshproof.traffic.drawing import Scale
from meshproof.traffic.records import Flown

TEMPLATE = Path(__file__).with_name("picture.svg.j2")
_BUCKET = 100_000_000  # ns
_LEFT, _WIDTH = 10.0, 355.0  # of the 375 units of the picture, which are the pixels of a narrow screen
_LANE = 34.0  # how high a lane is drawn
_LINE = 14.0


def draw(name: str, flows: Sequence[Flown], marks: Sequence[tuple[str, int]]) -> str:
    """Return a picture in SVG, which needs nothing else, in light and dark.

    Each flow has a lane: how many requests were answered in each 100 ms, as a height; losses, each with its class; and
    refusals that were expected.

    Args:
        name: The recording's name.
        flows: Its flows.
        marks: What happened, and when, in ns of CLOCK_MONOTONIC.
    """
    times = [record.ended_ns for flown in flows for record in flown.records] + [at for _, at in marks]
    first, last = (min(times), max(times)) if times else (0, 1)
    first -= first % _BUCKET
    span = max(last - first, 10 * _BUCKET)
    scale = Scale(first, first + span, _LEFT, _WIDTH, _BUCKET)
    lanes: list[dict[str, Any]] = []
    top = 44.0
    for flown in flows:
        lanes.append(_lane(flown, top, scale))
        top = lanes[-1]["foot"] + 10 + (_LINE if flown.failures else 0)
    return template(TEMPLATE).render(
        name=name,
        lanes=lanes,
        marks=[
            {"x": scale.across(at), "number": number, "seconds": f"{(at - first) / 1e9:.1f}", "text": text}
            for number, (text, at) in enumerate(marks, 1)
        ],
        bottom=top,
        left=_LEFT,
        right=_LEFT + _WIDTH,
        seconds=f"{span / 1e9:.1f}",
        line=_LINE,
    )


def _lane(flown: Flown, top: float, scale: Scale) -> dict[str, Any]:
    """Return what the template draws of one flow."""
    foot = top + (3 if flown.lateness else 2) * _LINE + _LANE
    answered, refused = (
        scale.counted(record.ended_ns for record in records) for records in (flown.answered, flown.refused)
    )
    most = max([*answered.values(), *refused.values(), 1])
    losses = flown.losses
    gap = flown.longest_gap_ms
    return {
        "name": flown.flow.name,
        "numbers": f"{flown.requests} requests, {len(flown.failures)} lost"
        + (f", {len(flown.refused)} refused" if flown.refused else "")
        + "".join(f", {number} {ending}" for ending, number in sorted(flown.ends.items()))
        + ("" if gap is None else f", longest gap {gap:.0f} ms"),
        "late": flown.lateness,
        "top": top,
        "foot": foot,
        "height": _LANE,
        "answered": scale.bars(answered, most=most, foot=foot, height=_LANE),
        "refused": scale.bars(refused, most=most, foot=foot, height=_LANE),
        "lost": [scale.across(record.ended_ns) for record in flown.failures],
        "classes": ", ".join(f"{number} {ending}" for ending, number in sorted(losses.items())),
    }
