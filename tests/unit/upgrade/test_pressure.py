"""How busy the machine is: what is left of the processors' time, and the kernel's own figures, each second."""

from __future__ import annotations

import os
import threading
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from meshproof.machine.wait import until
from meshproof.upgrade import pressure

_TICKS = os.sysconf("SC_CLK_TCK")  # a second, of each processor
CPU = "some avg10=76.07 avg60=56.20 avg300=40.20 total=29328270494\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=0\n"


def write(directory: Path, **texts: str) -> None:
    """Write what the kernel says."""
    for name, text in texts.items():
        (directory / name).write_text(text)


def test_a_sample_is_what_the_kernel_says(tmp_path: Path) -> None:
    """The share of the last ten seconds in which some task waited, and not that in which all did."""
    write(tmp_path, cpu=CPU, memory=CPU.replace("76.07", "0.00"), io=CPU.replace("76.07", "1.50"))
    sample = pressure.sample(tmp_path)
    assert sample
    assert (sample.cpu, sample.memory, sample.io) == (76.07, 0.0, 1.5)


def test_a_kernel_that_does_not_tell_gives_no_sample(tmp_path: Path) -> None:
    """A machine without these figures has no pressure of nought: it has none that is known."""
    assert pressure.sample(tmp_path) is None
    write(tmp_path, cpu="", memory=CPU, io=CPU)
    assert pressure.sample(tmp_path) is None


def test_samples_come_as_long_as_they_are_asked_for(tmp_path: Path) -> None:
    """The first one is there at once, more come meanwhile, and none afterwards."""
    write(tmp_path, cpu=CPU, memory=CPU, io=CPU)
    with pressure.sampled(tmp_path) as samples:
        until(lambda: len(samples), "2 or more", lambda number: number > 1, what="The samples", timeout=10)
    assert all(later.at_ns > earlier.at_ns for earlier, later in pairwise(samples))
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("pressure")] == []


def test_time_to_spare_is_what_the_kernel_counts_as_idle() -> None:
    """Of all processors together, with the time in which they only waited for a disk."""

    def counted() -> tuple[int, int]:
        """Return the time that was left until now, and all of it; guests' time is a part of the users'."""
        _, *fields = Path("/proc/stat").read_text().partition("\n")[0].split()
        times = [int(field) for field in fields[:8]]
        return times[3] + times[4], sum(times)

    left, whole = counted()
    share = pressure.spare(1.0)
    left_since, whole_since = counted()
    idle, time = left_since - left, whole_since - whole
    around = max(0, time - _TICKS * (psutil.cpu_count() or 1))  # what we were kept waiting for before and after
    rounded = 0.1 * time
    assert idle - around - rounded <= share * (time - around) <= idle + rounded


@pytest.mark.parametrize(
    ("waits_for_disks", "share"), [({"iowait": 10.0}, 0.4), ({}, 0.3)], ids=["Linux", "another system"]
)
def test_who_waits_for_a_disk_leaves_time_to_spare(
    waits_for_disks: dict[str, float], share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere that is not told apart, and counts as idle already."""
    times = SimpleNamespace(user=55.0, system=5.0, idle=30.0, **waits_for_disks)
    monkeypatch.setattr(psutil, "cpu_times_percent", lambda **_: times)
    assert pressure.spare(1.0) == pytest.approx(share)
