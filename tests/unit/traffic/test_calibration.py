"""The part of the calibration that needs no mesh: it believes the sender, and no sender that hides what it lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from meshproof.traffic.calibration import Calibration, calibrate_straight
from tests.support.traffic import traffic_program, traffic_server

LOSING = 3
ASKS_AGAIN = '''#!{python}
"""Tell of a request that was lost by a reset or a close as if it had been answered, as one does that asks again."""
import re, subprocess, sys
sender = subprocess.Popen([{program!r}, "send"], stdout=subprocess.PIPE, text=True)
for line in sender.stdout:
    line = re.sub('"outcome":"(RESET|CLOSED|STREAM_RESET)"', '"outcome":"ANSWERED","status":200', line)
    sys.stdout.write({hides} or line)
    sys.stdout.flush()
sys.exit(sender.wait())
'''


def test_the_sender_sees_each_loss_without_a_proxy(tmp_path: Path) -> None:
    """Each source sees what is lost the first time that it is asked for, and an announced end loses nothing."""
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        results = calibrate_straight(listening["http"], None, traffic_program(), tmp_path)
    assert [str(result) for result in results if not result.good] == []
    assert {result.made for result in results} == {LOSING}


def test_a_sender_that_hides_losses_is_not_believed(tmp_path: Path) -> None:
    """One that tells of a reset or a close as answered, for it has asked again, fails on all of its sources."""
    results = calibrated_with(tmp_path, "None")
    assert [result.source for result in results if result.good] == []


def calibrated_with(directory: Path, hides: str) -> list[Calibration]:
    """Calibrate a sender that tells something else than it saw."""
    program = directory / "traffic"
    program.write_text(ASKS_AGAIN.format(python=sys.executable, program=str(traffic_program()), hides=hides))
    program.chmod(0o700)
    with traffic_server(directory / "log", "--http=127.0.0.1:0") as listening:
        return calibrate_straight(listening["http"], None, program, directory)


def test_a_sender_that_is_blind_to_announced_ends_is_not_believed(tmp_path: Path) -> None:
    """One that does not see how a kept connection was to end has not been drained, whatever else it saw."""
    results = calibrated_with(tmp_path, """line.replace('"replaces":"announced",', '')""")
    assert {result.source: result.drained for result in results if "kept" in result.source and result.drained} == {}


@pytest.mark.parametrize(
    ("seen", "false", "drained", "sentence"),
    [
        (4, 0, 419, "all 4 losses that were made on purpose, and none that was not there (419 requests)"),
        (3, 0, 419, "3 of 4 losses that were made on purpose, and none that was not there (419 requests)"),
        (3, 1, 9, "3 of 4 losses that were made on purpose, and 1 that was not there: END 0"),
        (4, 5, 9, "all 4 losses that were made on purpose, and 5 that were not there: END 0, END 1, END 2 and 2 more"),
        (4, 0, 0, "all 4 losses that were made on purpose, and no answer once its server ended connections"),
    ],
    ids=["good", "one not seen", "one that was not there", "many that were not there", "nothing answered at the end"],
)
def test_what_a_source_saw_is_one_sentence(seen: int, false: int, drained: int, sentence: str) -> None:
    """It says how many losses were made, how many of them were seen, and which ones nobody made."""
    result = Calibration("it", 4, seen, tuple(f"END {number}" for number in range(false)), drained)
    assert str(result) == f"it: saw {sentence}"
