"""`meshproof clients`: one line a client, and a file of one's own that can grow and shrink."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from meshproof.cli.clients import command as clients
from meshproof.cli.users import add, own_clients, own_file, remove
from meshproof.errors import ClientsUnreadable, MeshproofError
from meshproof.tls.protocol.clients import built_in, facts, read
from meshproof.tls.protocol.profile import Profile

MINE = replace(built_in().profiles[0], name="mine", group="user", provenance="a test")
LISTENS = (
    "import os, socket, ssl; port = int(os.environ['MESHPROOF_PORT']); "
    "ssl.create_default_context().wrap_socket(socket.create_connection(('127.0.0.1', port)), server_hostname='x')"
)


@pytest.fixture(name="own")
def own_clients_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of one's own, with one client in it."""
    file = tmp_path / "there" / "clients.json"
    monkeypatch.setenv("MESHPROOF_CLIENTS", str(file))
    add(MINE, file)
    return file


def run(*arguments: str) -> list[str]:
    """Run the command and return its lines; an error of ours is raised."""
    result = CliRunner().invoke(clients, arguments, env={"COLUMNS": "80"})
    if isinstance(result.exception, MeshproofError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return [" ".join(line.split()) for line in result.output.splitlines()]


def test_one_line_a_client(own: Path) -> None:
    """Name, set, newest version and number of suites, within 80 columns; one's own are there too."""
    result = CliRunner().invoke(clients, ["list"], env={"COLUMNS": "80"})
    assert max(map(len, result.output.splitlines())) <= 80
    lines = run("list")
    assert lines[0] == "Client Set Newest Cipher suites"
    assert len(lines) == 2 + len(built_in().profiles) + 1
    assert lines[-1] == f"mine user TLS 1.2 {len(MINE.suites)}"
    assert f"IE 6 XP seed SSLv3 {len(built_in().named('IE 6 XP').suites)}" in lines
    assert own.exists()


def test_a_name_of_a_strangers_choosing(own: Path) -> None:
    """However long, it is one line; whatever is in it, it steers nothing and is no markup."""
    add(replace(MINE, name="[red]" + "x" * 200 + "\x1b[2J\n"), own)
    result = CliRunner().invoke(clients, ["list"], env={"COLUMNS": "80"})
    assert max(map(len, result.output.splitlines())) <= 80
    assert "\x1b" not in result.output
    assert "[red]" in result.output
    assert len(result.output.splitlines()) == 2 + len(built_in().profiles) + 2


def test_a_client_of_ones_own_can_be_removed(own: Path) -> None:
    """Capitals do not count; the others stay."""
    add(replace(MINE, name="other"), own)
    assert " ".join(run("remove", "MINE")).startswith("✓ mine is no longer in ")
    assert [profile.name for profile in own_clients(own).profiles] == ["other"]
    assert remove("Other", own) == "other"
    assert own_clients(own).profiles == ()
    assert json.loads(own.read_text())["clients"] == []


def test_one_that_comes_with_us_stays(own: Path) -> None:
    """It can be replaced by one's own of the same name, and that can be removed."""
    with pytest.raises(ClientsUnreadable, match="ie 6 xp comes with meshproof and can't be removed: only") as error:
        run("remove", "ie 6 xp")
    assert str(own) in str(error.value)
    assert error.value.exit_code == 4
    add(replace(MINE, name="IE 6 XP"), own)
    assert remove("IE 6 XP", own) == "IE 6 XP"


def test_one_that_is_not_there(own: Path) -> None:
    """The sentence says what is in the file."""
    with pytest.raises(ClientsUnreadable) as error:
        run("remove", "yours")
    assert str(error.value) == f"Tried to remove yours from {own}: it has mine."
    remove("mine", own)
    with pytest.raises(ClientsUnreadable, match="there is no client in it"):
        run("remove", "yours")
    with pytest.raises(ClientsUnreadable, match=r"Tried to remove mine from .*none\.json: there is no client in it"):
        run("remove", "mine", "--file", str(own.with_name("none.json")))


def test_what_a_client_always_has() -> None:
    """These fields are there even where there is nothing in them, and no others."""
    bare = Profile(name="", group="", provenance="", versions=(), suites=())
    assert facts(bare) == {"record_version": "TLS 1", "versions": [], "cipher_suites": []}


def test_a_client_that_nobody_has(own: Path) -> None:
    """The sentence names those that are spelled like it, and how to see all."""
    with pytest.raises(ClientsUnreadable) as error:
        built_in().named("Java 8u162")
    assert str(error.value).startswith("There is no client Java 8u162. Did you mean Java 8u161")
    assert str(error.value).endswith("? `meshproof clients list` lists them.")
    with pytest.raises(ClientsUnreadable) as error:
        built_in().named("%%%%")
    assert str(error.value) == "There is no client %%%%. `meshproof clients list` lists them."


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "[",
            "The clients in {} are no JSON: Expecting value: line 1 column 2 (char 1).",
        ),
        ('{"format": 0}', "The clients in {} have format 0; this reads 1."),
        ('{"format": 1}', "The clients in {} lack the key 'data'."),
    ],
)
def test_a_file_that_is_none_of_ours(own: Path, text: str, sentence: str) -> None:
    """What is wrong with it is one sentence, with its path."""
    own.write_text(text)
    with pytest.raises(ClientsUnreadable) as error:
        read(own)
    assert str(error.value) == sentence.format(own)


def test_another_file(own: Path, tmp_path: Path) -> None:
    """A file that is named is changed, one's own is not."""
    other = tmp_path / "other.json"
    add(MINE, other)
    run("remove", "mine", "--file", str(other))
    assert own_clients(other).profiles == ()
    assert [profile.name for profile in own_clients().profiles] == ["mine"]
    assert own_file() == own


def test_where_ones_own_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the user's configuration where nothing else is said; the help says so."""
    monkeypatch.delenv("MESHPROOF_CLIENTS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert own_file().parts[-2:] == ("meshproof", "clients.json")
    text = " ".join(run("--help"))
    assert "~/.config/meshproof/clients.json" in text
    assert "MESHPROOF_CLIENTS" in text


def test_a_command_without_a_separator(own: Path) -> None:
    """Options of the program are its own; a command that begins with one lacks its name."""
    run("capture", "Python", sys.executable, "-c", LISTENS)
    assert [profile.name for profile in own_clients(own).profiles] == ["mine", "Python"]
    with pytest.raises(MeshproofError) as error:
        run("capture", "my curl", "-k", "{url}")
    assert str(error.value).startswith("-k is neither an option of capture nor a program. ")
    assert str(error.value).endswith("meshproof clients capture 'my curl' -- curl -k {url}.")
    assert error.value.exit_code == 4


@pytest.mark.parametrize("name", ["Java 8u161", "java 8U161", "all", "seed", "modern", "user", "None"])
def test_a_name_that_is_taken(own: Path, name: str) -> None:
    """A client of one's own is not called like one of ours, nor like a set: the program is not even run."""
    before = own.read_text()
    with pytest.raises(
        ClientsUnreadable, match=rf"A client can't be called {name}: .* Choose another name\.$"
    ) as error:
        run("capture", name, "--", sys.executable, "-c", LISTENS)
    assert error.value.exit_code == 4
    assert own.read_text() == before


def test_a_file_with_a_client_called_like_a_set(own: Path) -> None:
    """Nobody could ask for one of the two: it is refused, wherever it is read."""
    add(replace(MINE, name="Seed"), own)
    for arguments in (("list",), ("show", "mine"), ("remove", "mine", "--file", str(own))):
        with pytest.raises(ClientsUnreadable, match="has a client called Seed, as a set is: give it another"):
            run(*arguments)


def test_one_that_replaces_ours_is_listed_so(own: Path) -> None:
    """A file that was written by hand may do that; the list tells."""
    add(replace(MINE, name="IE 6 XP"), own)
    result = CliRunner().invoke(clients, ["list"], env={"COLUMNS": "80"})
    assert max(map(len, result.output.splitlines())) <= 80
    lines = run("list")
    assert f"IE 6 XP user, replaces ours TLS 1.2 {len(MINE.suites)}" in lines
    assert f"mine user TLS 1.2 {len(MINE.suites)}" in lines


def test_a_name_that_is_nearly_right(own: Path) -> None:
    """The sentence says which name was meant."""
    with pytest.raises(ClientsUnreadable, match=r"it has mine\. Did you mean mine\?$"):
        run("remove", "Minee")
