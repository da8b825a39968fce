"""Upgrade a mesh badly, one way after the other, and see that each is called what it is.

The ways are in `bad_upgrades.yaml`. Each is an upgrade of a release to itself with something new on the new side. It
is caught when the verdict, and the state and the words of a finding, are those of the file; anything else is an
accident.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from meshproof.errors import CommandFailed
from meshproof.machine import interrupts, process
from meshproof.machine.console import duration
from meshproof.settings import TIMEOUTS

ROOT = Path(__file__).resolve().parents[1]
WAYS = ROOT / "tools" / "bad_upgrades.yaml"
REPORT = ROOT / "artifacts" / "upgrade" / "upgrade.json"


@dataclass(frozen=True, slots=True)
class Way:
    """One bad upgrade.

    Attributes:
        name: What is bad about it.
        letter: Its letter in CONTRIBUTING.
        verdict: What is to be said of it.
        state: The state in which it is to be noticed.
        says: What is to be in the finding.
        overlay: What is new on the new side.
    """

    name: str
    letter: str
    verdict: str
    state: str
    says: str
    overlay: str

    def is_said_by(self, findings: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether a finding says what is wrong."""
        return any(
            (finding["verdict"], finding["state"]) == (self.verdict, self.state)
            and self.says in f"{finding['subject']} {finding['text']}"
            for finding in findings
        )


def main() -> None:
    """Try the ways and print what became of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--istio", default="1.31.0", help="the release, before and after (default: %(default)s)")
    parser.add_argument("--only", default="", help="the ways in whose name this regular expression is")
    options = parser.parse_args()
    interrupts.raise_keyboard_interrupt()
    ways = [Way(**fields) for fields in yaml.safe_load(WAYS.read_text())]
    ways = [way for way in ways if re.search(options.only, way.name)]
    wrong = [way for way in ways if not _caught(way, options.istio)]
    print(f"\n{len(ways) - len(wrong)} of {len(ways)} were called what they are.")
    sys.exit(bool(wrong))


def _caught(way: Way, istio: str) -> bool:
    """Upgrade in one way, and print what was said of it; return whether that is what is wrong."""
    began = time.monotonic()
    REPORT.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="meshproof-") as directory:
        overlay = Path(directory) / "overlay.yaml"
        overlay.write_text(way.overlay)
        command = [sys.executable, "-m", "meshproof", "upgrade", f"--from={istio}", f"--to={istio}"]
        command += [f"--to-overlay={overlay}", "tests/e2e/workloads/test_strict_isolation.py"]
        try:
            process.run(command, cwd=ROOT, timeout=TIMEOUTS.image_build, on_line=lambda _line: None)
        except CommandFailed as error:
            last = error.last
    if not REPORT.exists():
        print(f"NO REPORT ({duration(time.monotonic() - began)}): {way.name}\n    {last}", flush=True)
        return False
    report = json.loads(REPORT.read_text())
    verdict, findings = report["verdict"]["name"], report["findings"]
    caught = verdict == way.verdict and way.is_said_by(findings)
    word = "caught" if caught else "SURVIVED" if verdict == "safe" else "BY ACCIDENT"
    first = findings[0] if findings else {"state": "", "text": ""}
    took = duration(time.monotonic() - began)
    print(f"{word} ({took}): {way.name}: {verdict}\n    {first['state']} {first['text'][:150]}", flush=True)
    return caught


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted; the cluster of the upgrade is deleted.")
