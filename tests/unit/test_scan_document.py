"""What docs/scan.md shows is run as it stands there; only the names of hosts become the address of a server."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import ssl
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from meshproof.certificates.leaf import Leaf
from meshproof.errors import CommandFailed
from meshproof.machine.process import run
from meshproof.settings import TIMEOUTS
from meshproof.tls import Address
from tests.support.certificates import OURS, TRUSTED, UNKNOWN
from tests.support.checkout import ROOT, SCENARIOS
from tests.support.servers import server_context, serving, speak, tls

SECTION = (ROOT / "docs" / "scan.md").read_text()
MESHPROOF = ".venv/bin/meshproof"
COMMANDS = [shlex.split(line, comments=True) for line in re.findall(rf"^{MESHPROOF} .*$", SECTION, re.MULTILINE)]
WRITTEN = ("--save", "--html", "--junit")
LEAF = OURS.server("*.example")
OLD = ssl.TLSVersion.TLSv1


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> Path:
    """The files that the commands read, in the directory in which they are run."""
    (expectations,) = re.findall(r"^```yaml\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
    (tmp_path / "tls.yaml").write_text(expectations)
    shutil.copy(SCENARIOS / "gateway" / "passthrough.yaml", tmp_path / "gateway.yaml")
    credential(tmp_path, TRUSTED)
    return tmp_path


@pytest.fixture(scope="module")
def healthy() -> Iterator[Address]:
    """A server with nothing weak, and as the expectations in the document want it."""
    context = server_context(LEAF, oldest=ssl.TLSVersion.TLSv1_2, newest=ssl.TLSVersion.TLSv1_3)
    context.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384")
    with serving(speak(context)) as address:
        yield address


def credential(directory: Path, client: Leaf) -> None:
    """Write a client certificate and its key under the names that the document gives them."""
    (directory / "client.pem").write_bytes(client.chain_pem)
    (directory / "client.key").write_bytes(client.key_pem)


def shown(*words: str) -> list[str]:
    """Return the one command in the document that has these words."""
    (command,) = [command for command in COMMANDS if set(words) <= set(command)]
    return command


def at(command: list[str], server: Address) -> list[str]:
    """Return a command with a server's address for each host, which stays the server name."""
    words = [re.sub(r"^(\w+\.example)(@.*)?$", rf"\1@{server}", word) for word in command]
    return [sys.executable, "-m", "meshproof", *words[1:]]


def exit_code(command: list[str], directory: Path) -> int:
    """Run a command of the document; return how it ended."""
    environment = {"MESHPROOF_CLIENTS": str(directory / "clients.json"), "COLUMNS": "200", "NO_COLOR": "1"}
    try:
        run(command, env=environment, cwd=directory, timeout=TIMEOUTS.program)
    except CommandFailed as error:
        return error.returncode
    return 0


def test_every_command_is_found() -> None:
    """A command that is written in another way is not left out of the test below."""
    lines = [line for block in re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL) for line in block.splitlines()]
    assert len([line for line in lines if line.strip()]) == len(COMMANDS)
    assert {command[1] for command in COMMANDS} == {"scan", "diff", "clients"}


def test_every_command_works_in_the_order_of_readme(files: Path, healthy: Address) -> None:
    """On a healthy server each ends with 0, and the files that it names are written; `after.json` is a second scan."""
    for command in COMMANDS:
        if command[1] == "diff":
            again = [word.replace("before", "after") for word in shown("--save")]
            assert exit_code(at(again, healthy), files) == 0
        assert (command, exit_code(at(command, healthy), files)) == (command, 0)
        written = [files / word for option, word in pairwise(command) if option in WRITTEN]
        assert [path for path in written if not path.exists()] == []
        if "capture" in command:
            captured = json.loads((files / "clients.json").read_text())["clients"]
            assert [client["name"] for client in captured] == [command[3]]


@pytest.mark.parametrize("option", ["--expect", "--fail-on"])
def test_a_weak_server_ends_them_with_1(files: Path, option: str) -> None:
    """As the document says beside the command."""
    with serving(tls(LEAF, oldest=OLD)) as address:
        assert exit_code(at(shown(option), address), files) == 1


def test_a_refused_certificate_ends_it_with_1(files: Path) -> None:
    """The command is the same, whether the server takes the certificate or refuses it."""
    with serving(tls(LEAF, clients=OURS)) as address:
        assert exit_code(at(shown("--cert"), address), files) == 0
        credential(files, UNKNOWN)
        assert exit_code(at(shown("--cert"), address), files) == 1


def test_what_changed_ends_diff_with_1(files: Path, healthy: Address) -> None:
    """The second scan is of a server that offers TLS 1.0 as well."""
    assert exit_code(at(shown("--save"), healthy), files) == 0
    with serving(tls(LEAF, oldest=OLD)) as address:
        assert exit_code(at([word.replace("before", "after") for word in shown("--save")], address), files) == 0
    assert exit_code(at(shown("diff"), healthy), files) == 1


def test_every_option_in_the_table_is_in_the_help() -> None:
    """Also those of the text around it, each in the help of one of the commands."""
    helps = {
        name: set(re.findall(r"--[a-z][a-z-]+", run([sys.executable, "-m", "meshproof", *name, "--help"], timeout=60)))
        for name in (("scan",), ("diff",), ("clients", "capture"))
    }
    table = re.findall(r"^\| (`-.*?) \|", SECTION, re.MULTILINE)
    assert table
    assert set(re.findall(r"--[a-z][a-z-]+", " ".join(table))) <= helps["scan",]
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", SECTION)) <= set.union(*helps.values())


def test_no_option_of_a_scan_is_left_out() -> None:
    """Who reads it finds each option of `scan`, in the table or with an example."""
    options = re.findall(
        r"^  (--[a-z-]+)", run([sys.executable, "-m", "meshproof", "scan", "--help"], timeout=60), re.MULTILINE
    )
    assert [option for option in options if option not in SECTION and option != "--help"] == []
