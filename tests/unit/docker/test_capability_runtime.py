"""The OCI runtime that does without what the machine lacks, run as Docker's shim runs it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from meshproof.docker import capability_runtime
from meshproof.errors import CommandFailed
from meshproof.machine.process import run
from meshproof.settings import TIMEOUTS

ALL = [f"CAP_{name}" for name in capability_runtime.CAPABILITIES]
FAKE_RUNC = """#!/bin/sh
printf '%s\\n' "$@"
test -z "$SHOWN" || cat "$SHOWN"
exit ${STATUS:-0}
"""


@pytest.fixture
def fake_runc(tmp_path: Path) -> dict[str, str]:
    """An environment whose runc prints its arguments and the file $SHOWN, and ends with $STATUS."""
    program = tmp_path / "bin" / "runc"
    program.parent.mkdir()
    program.write_text(FAKE_RUNC)
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}"}


def start(*arguments: str | Path, env: dict[str, str]) -> str:
    """Run the program as the daemon's runtime does."""
    program = [sys.executable, "-ISE", capability_runtime.__file__]
    return run([*program, *arguments], env=env, timeout=TIMEOUTS.program)


def test_the_runtime_outlives_its_checkout(fake_runc: dict[str, str], tmp_path: Path) -> None:
    """What is installed runs when the checkout that installed it is gone, virtual environment and all."""
    venv, source = tmp_path / "checkout" / "bin", tmp_path / "checkout" / "capability_runtime.py"
    venv.mkdir(parents=True)
    (venv / "python").symlink_to(Path(sys.executable).resolve())
    shutil.copyfile(capability_runtime.__file__, source)
    install = f"import pathlib, capability_runtime as c; print(c.install(pathlib.Path({str(tmp_path)!r})))"
    printed = run([venv / "python", "-c", install], env={"PYTHONPATH": str(source.parent)}, timeout=TIMEOUTS.program)
    program = Path(printed.strip())
    shutil.rmtree(tmp_path / "checkout")
    (tmp_path / "config.json").write_text(json.dumps({"process": process(granted(ALL))}))
    out = run([program, "create", "--bundle", tmp_path, "a-container"], env=fake_runc, timeout=TIMEOUTS.program)
    assert out.split("\n") == ["create", "--bundle", str(tmp_path), "a-container", ""]
    assert json.loads((tmp_path / "config.json").read_text()) == {"process": process(granted(bounded()))}


def bounded() -> list[str]:
    """Return the capabilities that this machine has, in the kernel's own words."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd:")]
    bits = int(line.removeprefix("CapBnd:"), 16)
    return [name for number, name in enumerate(ALL) if bits & 1 << number]


def process(capabilities: Any) -> dict[str, Any]:  # noqa: ANN401 - what is in the file, right or wrong
    """Return a process of the OCI specification."""
    return {"args": ["sh"], "cwd": "/", "capabilities": capabilities, "noNewPrivileges": False}


def granted(names: list[str]) -> dict[str, list[str]]:
    """Return sets of capabilities, as Docker grants them; the last one is small and possible everywhere."""
    sets = {name: list(names) for name in ("bounding", "effective", "permitted")}
    return sets | {"inheritable": [], "ambient": [name for name in names if name == "CAP_CHOWN"]}


def test_every_capability_of_the_kernel_is_known() -> None:
    """The names go up to the last capability of the running kernel, at least."""
    assert len(ALL) > int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    assert (ALL[21], ALL[24]) == ("CAP_SYS_ADMIN", "CAP_SYS_RESOURCE")  # linux/capability.h


@pytest.mark.parametrize("flag", ["--bundle", "-b"])
def test_a_container_is_created_with_what_can_be_had(flag: str, fake_runc: dict[str, str], tmp_path: Path) -> None:
    """What is missing is out of config.json before runc reads it, and everything else is in it as it was."""
    config, rest = tmp_path / "config.json", {"ociVersion": "1.2.0", "hostname": "node-ä"}
    config.write_text(json.dumps({**rest, "process": process(granted(ALL))}))
    arguments = ["--root", "/run/runc", "create", flag, str(tmp_path), "--pid-file", "pid", "a-container"]
    out = start(*arguments, env={**fake_runc, "SHOWN": str(config)})
    assert out.splitlines()[:-1] == arguments
    assert json.loads(out.splitlines()[-1]) == {**rest, "process": process(granted(bounded()))}


@pytest.mark.parametrize("flag", ["--process", "-p"])
def test_a_command_is_run_with_what_can_be_had(flag: str, fake_runc: dict[str, str], tmp_path: Path) -> None:
    """The same goes for the file of a command that is run in a container."""
    file = tmp_path / "process.json"
    file.write_text(json.dumps(process(granted(ALL))))
    arguments = ["exec", flag, str(file), "--detach", "a-container"]
    out = start(*arguments, env={**fake_runc, "SHOWN": str(file)})
    assert out.splitlines()[:-1] == arguments
    assert json.loads(out.splitlines()[-1]) == process(granted(bounded()))


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"process": process(granted(bounded()))}, id="nothing that is missing"),
        pytest.param({"process": process(None)}, id="no capabilities"),
        pytest.param({"ociVersion": "1.2.0"}, id="no process"),
    ],
)
def test_what_asks_for_nothing_missing_stays(
    document: dict[str, Any], fake_runc: dict[str, str], tmp_path: Path
) -> None:
    """A container that asks for no more than there is gets all of it."""
    (tmp_path / "config.json").write_text(json.dumps(document))
    start("create", "--bundle", tmp_path, "a-container", env=fake_runc)
    assert json.loads((tmp_path / "config.json").read_text()) == document


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--version"], id="version"),
        pytest.param(["--log", "/a log.json", "delete", "--force", ""], id="spaces and nothing"),
        pytest.param(["kill", "a-container", "*"], id="what a shell would expand"),
    ],
)
def test_any_other_command_is_passed_on(arguments: list[str], fake_runc: dict[str, str]) -> None:
    """The real runc gets each argument as it came."""
    assert start(*arguments, env=fake_runc).split("\n") == [*arguments, ""]


def test_the_status_is_that_of_runc(fake_runc: dict[str, str]) -> None:
    """Docker learns from runc itself how it went: the program has become runc."""
    with pytest.raises(CommandFailed) as failure:
        start("state", "no-such-container", env={**fake_runc, "STATUS": "7"})
    assert failure.value.returncode == 7
