"""Makes small mistakes in the code of the scan, one at a time, and counts those that `make test` notices.

Each mistake is a mutant: an operator, a constant, an argument or a statement of `tls/`, `posture/` or `report/` that is
changed or left out (`mutations.py`); a change of words that only people read is marked as text. A mutant is put into a
copy of the checkout. First the tests run that enter its function, those of its own module before others and the quick
ones before the slow; only if all these pass, the rest of `make test`.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from py_compile import PycInvalidationMode
from queue import SimpleQueue

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools import mutants_tests
from tools.mutations import Change, changes

ROOT = Path(__file__).resolve().parents[1]
ARTIFACTS = ROOT / "artifacts"
SOURCE = Path("src/meshproof")
PARTS = ("tls", "posture", "report")
LEFT_OUT = ("artifacts", "__pycache__", ".venv", ".git", ".*_cache", ".hypothesis")
FAILURES = ("FAILED ", "ERROR ")
TIMEOUT = "timeout"
BASE_LIMIT, LIMIT_FACTOR = 60, 5  # seconds, and times what the tests take without a mutant: then it is an endless loop
WHOLE_LIMIT = 900  # seconds for all tests without a mutant
FORKS = multiprocessing.get_context("forkserver")  # a process that has imported what takes long, and forks
IMPORTED = [
    *("pytest", "hypothesis.strategies", "_hypothesis_pytestplugin", "anyio.pytest_plugin", "xdist.plugin", "yaml"),
    *("pytest_kind", "kubernetes.client", "httpx", "h2.connection", "rich.table", "click.testing", "trustme"),
    *("jsonschema", "jinja2", "cryptography.x509"),
]


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One small change, and what became of it.

    Attributes:
        number: Its place in the sample.
        file: The file, from the root of the checkout.
        line: The line.
        function: The qualified name of the function; empty outside of one.
        index: Its place among the changes of the file.
        before: The code as it is.
        after: The code as it becomes.
        text: Whether only words are changed.
        verdict: ``killed``, ``timeout`` (which counts as killed), ``survived``; empty before it is tried.
        by: The test that noticed it.
    """

    number: int
    file: str
    line: int
    function: str
    index: int
    before: str
    after: str
    text: bool
    verdict: str = ""
    by: str = ""

    def __str__(self) -> str:
        text = " (text)" if self.text else ""
        return f"{self.verdict} {self.number}: {self.file}:{self.line}{text}: {self.before} → {self.after} {self.by}"


def all_mutants() -> list[Mutant]:
    """Return every change of every file, without a number."""
    return [
        Mutant(
            number=0,
            file=str(path.relative_to(ROOT)),
            line=_line(change.node),
            function=change.function,
            index=index,
            **_difference(change),
            text=change.text,
        )
        for part in PARTS
        for path in sorted((ROOT / SOURCE / part).rglob("*.py"))
        for index, change in enumerate(changes(ast.parse(path.read_text())))
    ]


def _line(node: ast.AST) -> int:
    """Return the line; a ``for`` in a comprehension has none of its own."""
    line: int = getattr(node.target if isinstance(node, ast.comprehension) else node, "lineno", 0)
    return line


def _difference(change: Change) -> dict[str, str]:
    """Spell a change, without most of what stays."""
    before, after = (" ".join(ast.unparse(node).split()) for node in (change.node, change.changed))
    pairs = zip(before, after, strict=False)
    start = max(0, next((at for at, (one, other) in enumerate(pairs) if one != other), 0) - 40)
    return {"before": before[start : start + 120], "after": after[start : start + 120]}


def mutated(mutant: Mutant, text: str) -> str:
    """Return the text of its file with the change in it."""
    tree = ast.parse(text)
    list(changes(tree))[mutant.index].make()
    return ast.unparse(ast.fix_missing_locations(tree))


@dataclass(frozen=True)
class Test:
    """How long a test takes, in seconds, and which functions it enters, as ``file:qualified name``."""

    seconds: float
    functions: frozenset[str]


def copy_of_the_checkout(where: Path) -> Path:
    """Copy the checkout; what is compiled there is told from what has changed by its content, not by its time."""
    shutil.copytree(ROOT, where, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (where / ".venv").symlink_to((ROOT / ".venv").resolve())
    compileall.compile_dir(where / "src", quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    return where


def run(checkout: Path, *arguments: str, timeout: float, **choice: Sequence[str]) -> list[str]:
    """Run tests in a copy.

    Args:
        checkout: The copy.
        arguments: For pytest.
        timeout: Seconds.
        choice: The tests to run in this order (``only``), or to leave out (``without``).

    Returns:
        Those that failed, or why none ran to the end.
    """
    (checkout / mutants_tests.CHOSEN).write_text(json.dumps(choice))
    output = checkout / "output.txt"
    worker = FORKS.Process(target=mutants_tests.run, args=(str(checkout), ["-q", *arguments], str(output)))
    worker.start()
    assert worker.pid
    worker.join(timeout)
    late = worker.is_alive()
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)  # it leads a group of its own
    worker.join()
    if late:
        return [TIMEOUT]
    lines = output.read_text(errors="replace").splitlines()
    failed = [line.split(" - ", maxsplit=1)[0].split(" ", 1)[1] for line in lines if line.startswith(FAILURES)]
    return failed or ["no test could run"] if worker.exitcode else []


def entered(checkout: Path) -> dict[str, tuple[float, list[str]]]:
    """Run all tests without a mutant, and return for each how long it took and which functions it entered.

    Raises:
        SystemExit: One fails, and does so again where nobody looks.
    """
    for arguments in (["tests/unit"], ["-n", "4", "tests/misbehaviour"]):
        failed = run(checkout, "--mutants-map", *arguments, timeout=WHOLE_LIMIT)
        again = run(checkout, *arguments, timeout=WHOLE_LIMIT, only=failed) if failed else []
        if again:
            raise SystemExit(f"Tried to run {arguments[-1]} without a mutant: {', '.join(again)}. Repair that first.")
    found: dict[str, tuple[float, list[str]]] = {}
    for path in checkout.glob("entered-*.json"):
        found |= json.loads(path.read_text())
    return found


def tried(mutant: Mutant, checkout: Path, tests: dict[str, Test], *, quick: bool) -> Mutant:
    """Put a mutant into a copy, run what may notice it, and take it out again.

    Args:
        mutant: The mutant.
        checkout: The copy.
        tests: What each test enters.
        quick: Whether to leave out the tests that don't enter its function.
    """
    file = checkout / mutant.file
    whole = file.read_text()
    key = f"{mutant.file}:{mutant.function}"
    near = {test for test, known in tests.items() if key in known.functions}
    if not mutant.function or not near:  # it is in force wherever the module is imported
        near = set(tests)

    source = Path(mutant.file).relative_to("src/meshproof")
    own = str(Path("tests/unit", source.parent, f"test_{source.stem}.py"))
    stages = [
        ([test for test in near if test.startswith(own)], []),
        ([test for test in near if test.startswith("tests/unit") and not test.startswith(own)], []),
        ([test for test in near if test.startswith("tests/misbehaviour")], ["-n", "4"]),
    ]

    def rank(test: str) -> tuple[bool, float]:
        return not any(each.startswith(mutant.file) for each in tests[test].functions), tests[test].seconds

    file.write_text(mutated(mutant, whole))
    try:
        for only, more in stages:
            files = sorted({test.split("::")[0] for test in only})
            limit = BASE_LIMIT + LIMIT_FACTOR * sum(tests[test].seconds for test in only)
            failed = run(checkout, "-x", *more, *files, timeout=limit, only=sorted(only, key=rank)) if only else []
            if failed:
                return became(mutant, failed[0])
        if quick or near == set(tests):
            return became(mutant, "")
        failed = run(checkout, "-x", "tests/unit", timeout=WHOLE_LIMIT, without=sorted(near))
        return became(mutant, failed[0] if failed else "")
    finally:
        file.write_text(whole)


def became(mutant: Mutant, by: str) -> Mutant:
    """Return a mutant with its verdict."""
    verdict = {TIMEOUT: TIMEOUT, "": "survived"}.get(by, "killed")
    return replace(mutant, verdict=verdict, by=by)


def main() -> None:
    """Draw a sample, try each of it, print and save what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=300, help="how many mutants to draw")
    parser.add_argument("--jobs", type=int, default=2, help="how many to try at a time")
    parser.add_argument("--only", default="", help="numbers of the sample to try, such as 3,10-19; all by default")
    parser.add_argument("--map", type=Path, help="mutants-map.json of an earlier run: which test enters what")
    parser.add_argument("--quick", action="store_true", help="leave out tests that don't enter the mutant's function")
    parser.add_argument("--list", action="store_true", help="show the sample and try none")
    options = parser.parse_args()
    FORKS.set_forkserver_preload(IMPORTED)
    everything = all_mutants()
    drawn = random.Random(options.seed).sample(everything, options.count)  # noqa: S311 - the same each time
    sample = [replace(mutant, number=number) for number, mutant in enumerate(drawn)]
    if options.only:
        parts = [part.partition("-") for part in options.only.split(",")]
        wanted = {number for first, _, last in parts for number in range(int(first), int(last or first) + 1)}
        sample = [mutant for mutant in sample if mutant.number in wanted]
    print(f"{len(sample)} of {len(everything)} mutants, seed {options.seed}", flush=True)
    if options.list:
        print(*sample, sep="\n")
        return
    results = []
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(options.jobs) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(options.jobs):
            copies.put(copy_of_the_checkout(Path(directory, str(number))))
        first = copies.get()
        found = json.loads(options.map.read_text()) if options.map else entered(first)
        ARTIFACTS.mkdir(exist_ok=True)
        (ARTIFACTS / "mutants-map.json").write_text(json.dumps(found))
        tests = {test: Test(seconds, frozenset(functions)) for test, (seconds, functions) in found.items()}
        copies.put(first)
        print(f"{len(tests)} tests", flush=True)

        def one(mutant: Mutant) -> Mutant:
            checkout = copies.get()
            try:
                return tried(mutant, checkout, tests, quick=options.quick)
            finally:
                copies.put(checkout)

        for future in as_completed([pool.submit(one, mutant) for mutant in sample]):
            results.append(future.result())
            print(f"{len(results)}/{len(sample)} {results[-1]}", flush=True)
    results.sort(key=lambda mutant: mutant.number)
    survivors = [mutant for mutant in results if mutant.verdict == "survived"]
    rate = 1 - len(survivors) / len(results)
    record = {"seed": options.seed, "rate": rate, "mutants": [asdict(mutant) for mutant in results]}
    (ARTIFACTS / "mutants.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    print(*survivors, sep="\n")
    print(f"{len(results) - len(survivors)} of {len(results)} killed ({rate:.1%}), seed {options.seed}")


if __name__ == "__main__":
    main()
