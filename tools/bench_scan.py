"""Times `meshproof scan` against testssl.sh and sslyze on one Envoy on loopback, into artifacts/bench-scan.json."""

from __future__ import annotations

import json
import re
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from meshproof.machine import process
from meshproof.tls import Address, Options, Posture, Target, scan, scan_one
from meshproof.tls.protocol.clients import built_in
from meshproof.tls.scanner import sslyze

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.parity import testssl
from tests.parity.servers import SERVERS, running
from tests.support.certificates import HOST
from tests.support.servers import say, serving, stay_silent

ROOT = Path(__file__).resolve().parents[1]
REPEATED = 7
PAIRS = 21
START = [sys.executable, "-c", "import ssl, asyncio, json, rich.console"]
"""What the start of a scan is compared with."""
TARGETS = (125, 500)


def seconds(what: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def median(what: Callable[[], object]) -> float:
    """Return the middle of how long something takes, after one time that does not count."""
    what()
    return statistics.median(seconds(what) for _ in range(REPEATED))


def cost(command: Sequence[str]) -> tuple[float, float]:
    """Return the seconds that a command takes, on the clock and of the processors."""

    def of_processors() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = of_processors()
    return seconds(lambda: process.run(command, timeout=60)), of_processors() - before


def ratios(command: Sequence[str], other: Sequence[str]) -> tuple[float, float]:
    """Return how many times as long a command takes as another one: of medians, run in turn, so that both are held up.

    Returns:
        The ratio on the clock and that of the processors.
    """
    costs = [(cost(command), cost(other)) for _ in range(PAIRS)]
    clock, processors = (
        statistics.median(one[kind] for one, _ in costs) / statistics.median(two[kind] for _, two in costs)
        for kind in (0, 1)
    )
    return clock, processors


def measure(address: Address) -> dict[str, float]:
    """Measure everything on one server."""
    target, clients = Target(address, HOST), built_in().of("seed")
    found: dict[str, float] = {}
    found["6 versions and 35 clients, s"] = median(lambda: scan_one(target, Options(clients=clients, lists=False)))
    found["testssl.sh -p -c, s"] = seconds(lambda: testssl.ask(address, HOST))
    found["ratio to testssl.sh"] = found["testssl.sh -p -c, s"] / found["6 versions and 35 clients, s"]
    command = [sys.executable, "-m", "meshproof", "scan", str(address), "--sni", HOST]
    found["meshproof scan with 35 clients, s"] = median(lambda: process.run(command, timeout=60))
    clock, processors = ratios(command, START)
    found["ratio to the imports of START, clock"], found["ratio to them, processors"] = clock, processors
    bare = [*command, "--clients", "none"]
    found["meshproof scan without clients, s"] = median(lambda: process.run(bare, timeout=60))
    found["sslyze, s"] = seconds(lambda: sslyze.scan([sslyze.Target(address, HOST)]))
    found["ratio to sslyze"] = found["sslyze, s"] / found["meshproof scan without clients, s"]
    for count in TARGETS:
        postures: list[Posture] = []
        names = [Target(address, f"{number}.{HOST}") for number in range(count)]
        found[f"{count} server names, s"] = seconds(partial(scan, names, Options(clients=clients), postures.append))
        assert not any(posture.unknown for posture in postures)
        found[f"{count} server names, connections"] = sum(posture.connections for posture in postures)
    found["most memory, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    with serving(say(b"", then=stay_silent)) as silent:
        options = Options(clients=clients, timeout=1)
        found["a silent target with a deadline of 1 s, s"] = seconds(lambda: scan_one(Target(silent, HOST), options))
    speed = process.run(["openssl", "speed", "-seconds", "2", "rsa2048"], timeout=60)
    found["openssl speed rsa2048, signatures/s"] = float(re.findall(r"([\d.]+) +[\d.]+\n?$", speed.strip())[0])
    return found


def main() -> None:
    """Measure, print and save."""
    envoy = next(server for server in SERVERS if server.name == "envoy")
    with tempfile.TemporaryDirectory() as directory, running(envoy, Path(directory)) as address:
        found = measure(address)
    for what, value in found.items():
        print(f"{what:<45} {value:>10.3f}")
    (ROOT / "artifacts").mkdir(exist_ok=True)
    (ROOT / "artifacts" / "bench-scan.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
