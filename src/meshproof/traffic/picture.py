"""A recording as a picture: requests over time, what was lost of them, and what happened meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from meshproof.traffic.records import Flown, Record

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

    def across(at: int) -> float:
        return round(_LEFT + _WIDTH * (at - first) / span, 2)

    lanes: list[dict[str, Any]] = []
    top = 44.0
    for flown in flows:
        lanes.append(_lane(flown, top, first, across, _WIDTH * _BUCKET / span))
        top = lanes[-1]["foot"] + 10 + (_LINE if flown.failures else 0)
    return _template().render(
        name=name,
        lanes=lanes,
        marks=[
            {"x": across(at), "number": number, "seconds": f"{(at - first) / 1e9:.1f}", "text": text}
            for number, (text, at) in enumerate(marks, 1)
        ],
        bottom=top,
        left=_LEFT,
        right=_LEFT + _WIDTH,
        seconds=f"{span / 1e9:.1f}",
        line=_LINE,
    )


def _lane(flown: Flown, top: float, first: int, across: Any, wide: float) -> dict[str, Any]:  # noqa: ANN401 - a function
    """Return what the template draws of one flow."""
    foot = top + (3 if flown.lateness else 2) * _LINE + _LANE

    def counted(records: Sequence[Record]) -> Counter[int]:
        return Counter((record.ended_ns - first) // _BUCKET for record in records)

    answered, refused = counted(flown.answered), counted(flown.refused)
    most = max([*answered.values(), *refused.values(), 1])

    def bars(buckets: Counter[int]) -> str:
        return "".join(
            f"M{across(first + number * _BUCKET)} {foot}v{-round(_LANE * count / most, 2)}h{round(wide, 2)}V{foot}z"
            for number, count in sorted(buckets.items())
        )

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
        "answered": bars(answered),
        "refused": bars(refused),
        "lost": [across(record.ended_ns) for record in flown.failures],
        "classes": ", ".join(f"{number} {ending}" for ending, number in sorted(losses.items())),
    }


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
