"""How busy the machine is: before an upgrade by the time that is left, in it by the kernel's own figures."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from meshproof.machine.wait import repeating
from meshproof.upgrade.evidence import Pressure

_KERNEL = Path("/proc/pressure")
_OF = ("cpu", "memory", "io")
_EVERY = 1.0  # seconds; the kernel has new figures each two
_SOME = re.compile(r"^some avg10=([\d.]+)", re.MULTILINE)


def sample(directory: Path = _KERNEL) -> Pressure | None:
    """Return how busy the machine is now; None where its kernel does not tell.

    Source: https://docs.kernel.org/accounting/psi.html
    """
    try:
        texts = [(directory / name).read_text() for name in _OF]
    except OSError:
        return None
    figures = [float(figure[1]) for text in texts if (figure := _SOME.search(text))]
    if len(figures) < len(_OF):
        return None
    cpu, memory, io = figures
    return Pressure(time.monotonic_ns(), cpu, memory, io)


def spare(seconds: float) -> float:
    """Return the share of all processors' time that is left over, from 0 to 1.

    Args:
        seconds: For how long to look.
    """
    times = psutil.cpu_times_percent(interval=seconds)
    return float(times.idle + getattr(times, "iowait", 0.0)) / 100  # Linux alone tells apart who waits for a disk


@contextmanager
def sampled(directory: Path = _KERNEL) -> Iterator[list[Pressure]]:
    """Sample each second for as long as the context lasts; give the list, to which samples are added."""
    samples: list[Pressure] = []

    def look() -> None:
        if current := sample(directory):
            samples.append(current)

    with repeating(look, every=_EVERY, name="pressure"):
        yield samples
