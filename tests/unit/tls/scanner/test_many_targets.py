"""The scan of many targets: each is handed over when it is ready, whoever runs the event loop."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from meshproof.machine import process
from meshproof.tls import Address, Options, Outcome, Posture, ProtocolVersion, Target, scan, scan_async
from tests.misbehaviour.relays import slowly
from tests.support.certificates import HOST, SERVER
from tests.support.checkout import ROOT
from tests.support.servers import serving, stay_silent, tls

SSL_2, SSL_3, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = ProtocolVersion


def test_many_targets_are_handed_over_when_they_are_ready() -> None:
    """A slow one holds up no other, and each is there once."""
    found: list[Posture] = []
    with serving(tls(SERVER)) as quick, serving(slowly(0.03, tls(SERVER))) as slow:
        targets = [Target(slow, HOST), Target(quick, "one.test"), Target(quick, "two.test")]
        scan(targets, Options(lists=False), found.append)
    assert {posture.target for posture in found} == set(targets)
    assert len(found) == 3
    assert found[-1].target == targets[0]
    assert all(posture.offered == (TLS_1_2, TLS_1_3) for posture in found)


def test_each_address_of_a_name_is_a_target() -> None:
    """With the server name of the target; a name without addresses is one target still."""
    found: list[Posture] = []
    with serving(tls(SERVER)) as address:
        targets = [Target(Address("localhost", address.port), HOST), Target(Address("nowhere.invalid", 1), None)]
        scan(targets, Options(lists=False, all_addresses=True), found.append)
    by_host = {posture.target.address.host: posture for posture in found}
    assert "localhost" not in by_host
    assert (by_host["127.0.0.1"].offered, by_host["127.0.0.1"].target.sni) == ((TLS_1_2, TLS_1_3), HOST)
    assert by_host["nowhere.invalid"].unreachable is Outcome.NAME_NOT_RESOLVED


def test_the_example_in_readme(tmp_path: Path) -> None:
    """It runs as it stands there, and prints a line for each target."""
    (code,) = re.findall(
        r"^```python\n(import asyncio\n.*?)^```", (ROOT / "docs" / "scan.md").read_text(), re.MULTILINE | re.DOTALL
    )
    script = tmp_path / "example.py"
    script.write_text(code)
    with serving(tls(SERVER)) as one, serving(tls(SERVER)) as other:
        ports = [str(address.port) for address in (one, other)]
        printed = process.run([sys.executable, "-W", "error", script, "localhost", *ports], timeout=60)
    lines = {f"localhost:{port}  TLS 1.2  TLS 1.3" for port in ports}
    assert {line.rstrip() for line in printed.splitlines()} == lines


def test_a_loop_that_is_running_goes_on() -> None:
    """Others have their turn during a scan, and their threads after it."""
    found: list[Posture] = []
    turns = 0

    async def others() -> None:
        nonlocal turns
        while not found:
            turns += 1
            await asyncio.sleep(0)

    async def main() -> str:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1, thread_name_prefix="theirs"))
        with serving(tls(SERVER)) as address:
            await asyncio.gather(scan_async([Target(address, HOST)], Options(lists=False), found.append), others())
        return await asyncio.to_thread(lambda: threading.current_thread().name)

    assert asyncio.run(main()).startswith("theirs")
    assert [posture.offered for posture in found] == [(TLS_1_2, TLS_1_3)]
    assert turns > 1


def test_a_scan_that_is_cancelled() -> None:
    """What was ready has been handed over; what was not is never heard of."""
    found: list[Posture] = []

    async def main() -> None:
        with serving(tls(SERVER)) as well, serving(stay_silent) as silent:
            targets = [Target(silent, HOST), Target(well, HOST)]
            ready = asyncio.Event()

            def take(posture: Posture) -> None:
                found.append(posture)
                ready.set()

            scan = asyncio.create_task(scan_async(targets, Options(lists=False, timeout=30.0), take))
            await ready.wait()
            scan.cancel()
            await asyncio.wait([scan])
            assert scan.cancelled()

    asyncio.run(main())
    assert [posture.target.address for posture in found if posture.unreachable] == []
    assert len(found) == 1
