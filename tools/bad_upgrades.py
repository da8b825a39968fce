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
        verdict: What is to be said of it.
        state: The state in which it is to be noticed.
        says: What is to be in a finding; of a list each in one.
        overlay: What is new on the new side.
        before: What there is on both sides.
        letter: Its letter, where it is one of the nine that were asked for first.
        incidents: What others have met in public, and this brings about; see docs/incidents.md.
    """

    name: str
    verdict: str
    state: str
    says: str | Sequence[str]
    overlay: str
    before: str = ""
    letter: str = ""
    incidents: Sequence[str] = ()

    def is_said_by(self, findings: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether findings say all that is wrong."""
        texts = [
            f"{finding['subject']} {finding['text']}"
            for finding in findings
            if (finding["verdict"], finding["state"]) == (self.verdict, self.state)
        ]
        parts = [self.says] if isinstance(self.says, str) else self.says
        return all(any(part in text for text in texts) for part in parts)


def ways() -> list[Way]:
    """Return all of the file."""
    return [Way(**fields) for fields in yaml.safe_load(WAYS.read_text())]


def main() -> None:
    """Try the ways and print what became of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--istio", default="1.31.0", help="the release, before and after (default: %(default)s)")
    parser.add_argument("--only", default="", help="the ways in whose name this regular expression is")
    options = parser.parse_args()
    interrupts.raise_keyboard_interrupt()
    tried = [way for way in ways() if re.search(options.only, way.name)]
    wrong = [way for way in tried if not _caught(way, options.istio)]
    print(f"\n{len(tried) - len(wrong)} of {len(tried)} were called what they are.")
    sys.exit(bool(wrong))


def _caught(way: Way, istio: str) -> bool:
    """Upgrade in one way, and print what was said of it; return whether that is what is wrong."""
    began = time.monotonic()
    REPORT.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="meshproof-") as directory:
        command = [sys.executable, "-m", "meshproof", "upgrade", f"--from={istio}", f"--to={istio}"]
        for option, overlay in (("overlay", way.before), ("to-overlay", way.overlay)):
            if overlay:
                file = Path(directory, f"{option}.yaml")
                file.write_text(overlay)
                command.append(f"--{option}={file}")
        command.append("tests/e2e/workloads/test_strict_isolation.py")
        try:
            process.run(
                command, cwd=ROOT, timeout=TIMEOUTS.image_build, grace=TIMEOUTS.orderly_end, on_line=lambda _line: None
            )
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
