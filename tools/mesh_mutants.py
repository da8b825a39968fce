"""Break the manifests one at a time, and see that a row fails which says what is wrong.

The mutants are in `mesh_mutants.yaml`. Each is put into a copy of the checkout, and the tests of its scenario run
there: on a cluster of their own, or with `--kept` on one that all mutants share, where a change has to be noticed as
well. At the end the manifests as they are have to pass on it. It ends with 1 if a mutant survived, or was caught by
nothing that says so.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from meshproof.errors import CommandFailed
from meshproof.machine import interrupts, process
from meshproof.machine.console import duration
from meshproof.settings import TIMEOUTS

ROOT = Path(__file__).resolve().parents[1]

MUTANTS = ROOT / "tools" / "mesh_mutants.yaml"
CLUSTER = {False: "meshproof-mutants", True: "meshproof-mutants-kept"}  # whether it is kept
_PRINTED = re.compile(r"^(E  |ERROR|FAILED|meshproof:|[^=_].* was to be )")
_SHOWN = 110  # letters of a failure


@dataclass(frozen=True, slots=True)
class Mutant:
    """One way to break a manifest.

    Attributes:
        name: What is broken, in words.
        file: The manifest.
        change: What is put in the place of what, once each.
        says: What the failure has to have in it.
        tests: The test modules that run, below `tests/e2e/`; that of the manifest by default.
    """

    name: str
    file: str
    change: dict[str, str]
    says: str
    tests: list[str] = field(default_factory=list)

    def put_into(self, checkout: Path) -> None:
        """Change the manifest in a copy of the checkout."""
        file = checkout / self.file
        text = file.read_text()
        for old, new in self.change.items():
            if text.count(old) < 1:
                sys.exit(f"{self.name}: {self.file} has no {old!r}. Mend {MUTANTS.name}.")
            text = text.replace(old, new, 1)
        file.write_text(text)

    @property
    def modules(self) -> list[str]:
        """The test modules to run."""
        manifest = Path(self.file)
        return [f"tests/e2e/{name}.py" for name in self.tests or [f"{manifest.parent.name}/test_{manifest.stem}"]]


def main() -> None:
    """Run the mutants and print what became of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kept", action="store_true", help="on one cluster that all share, not on one for each")
    parser.add_argument("--only", help="the mutants in whose name this regular expression is")
    parser.add_argument("--list", action="store_true", help="print their names and end")
    options = parser.parse_args()
    interrupts.raise_keyboard_interrupt()
    mutants = [Mutant(**fields) for fields in yaml.safe_load(MUTANTS.read_text())]
    mutants = [mutant for mutant in mutants if re.search(options.only or "", mutant.name)]
    if options.list:
        print("\n".join(mutant.name for mutant in mutants))
        return
    with tempfile.TemporaryDirectory(prefix="meshproof-mutants-") as directory:
        checkout = Path(directory)
        _copy(checkout)
        try:
            wrong = [mutant for mutant in mutants if not _caught(mutant, checkout, kept=options.kept)]
            whole = not options.kept or _tests(checkout, ["tests/e2e"], kept=True) is None
        finally:
            if options.kept:
                _run(checkout, "meshproof", "down", f"--cluster-name={CLUSTER[True]}")
    print(f"\n{len(mutants) - len(wrong)} of {len(mutants)} caught, in a row that says what is wrong.")
    if not whole:
        print("After them the manifests as they are fail on the cluster.")
    sys.exit(bool(wrong) or not whole)


def _copy(checkout: Path) -> None:
    """Copy the files that git knows, and lend the environment."""
    for name in process.run(["git", "ls-files"], cwd=ROOT, timeout=TIMEOUTS.program).splitlines():
        if (ROOT / name).exists():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, checkout / name)
    (checkout / ".venv").symlink_to(ROOT / ".venv")


def _caught(mutant: Mutant, checkout: Path, *, kept: bool) -> bool:
    """Run the tests of a mutant and print what they said; return whether that is what is wrong."""
    mutant.put_into(checkout)
    began = time.monotonic()
    said = _tests(checkout, mutant.modules, kept=kept)
    shutil.copy(ROOT / mutant.file, checkout / mutant.file)
    if said is None:
        verdict, line = "SURVIVED", ""
    else:
        lines = [line.strip() for line in said.splitlines() if _PRINTED.match(line)]
        right = [line for line in lines if mutant.says in line]
        verdict, line = ("caught", right[0]) if right else ("CAUGHT BY CHANCE", (lines or [said[-_SHOWN:]])[0])
    print(f"{verdict} ({duration(time.monotonic() - began)}): {mutant.name}\n    {line[:_SHOWN]}", flush=True)
    return verdict == "caught"


def _tests(checkout: Path, modules: list[str], *, kept: bool) -> str | None:
    """Run test modules in the copy; return what they print if they fail, None if they pass."""
    keep = ["--keep-cluster"] if kept else []
    return _run(checkout, "pytest", *modules, "-q", "--color=no", f"--cluster-name={CLUSTER[kept]}", *keep)


def _run(checkout: Path, program: str, *arguments: str) -> str | None:
    """Run a program of the copy; return what it prints if it fails, None if it does not."""
    printed: list[str] = []
    command = [sys.executable, "-m", program, *arguments]
    env = {"PYTHONPATH": f"{checkout / 'src'}:{checkout}", "COLUMNS": "200"}
    try:
        process.run(
            command,
            cwd=checkout,
            env=env,
            timeout=TIMEOUTS.image_build,
            grace=TIMEOUTS.orderly_end,
            on_line=printed.append,
        )
    except CommandFailed:
        return "\n".join(printed)
    return None


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted; the cluster of the mutant is deleted.")
