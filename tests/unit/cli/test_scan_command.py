"""`meshproof scan` and `diff` against real servers: what they print and write, and how they end."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import ssl
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from jsonschema import Draft202012Validator

from meshproof.certificates.authority import Lifetime
from meshproof.certificates.leaf import Leaf
from meshproof.cli import output
from meshproof.cli.diff import command as diff
from meshproof.cli.scan.command import command as scan
from meshproof.cli.scan.targets import target_of
from meshproof.errors import MachineError, MeshproofError
from meshproof.machine.wait import until
from meshproof.report import document
from meshproof.tls import Address, Posture
from meshproof.tls.protocol.clients import built_in
from tests.support.certificates import EXPIRED, HOST, OURS, SERVER, TRUSTED, UNKNOWN
from tests.support.checkout import ROOT
from tests.support.postures import GOOD, SILENT, WEAK
from tests.support.programs import PATIENCE, python
from tests.support.servers import nobody, server_context, serving, speak, stay_silent, tls

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
FINE = ("--clients", "none", "--sni", HOST)


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, what it printed, and the sentence of its error."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wide terminal without colours, and no clients of a user's own."""
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("MESHPROOF_CLIENTS", str(tmp_path / "no-clients.json"))


def run(*arguments: object) -> Ended:
    """Run `scan`, or `diff` when that is the first word, as the command line does."""
    command, line = (diff, arguments[1:]) if arguments[0] == "diff" else (scan, arguments)
    result = CliRunner().invoke(command, list(map(str, line)))
    if isinstance(result.exception, MeshproofError):
        return Ended(result.exception.exit_code, result.stdout, str(result.exception))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="module")
def server() -> Iterator[Address]:
    """A server that nothing is wrong with."""
    with serving(tls(SERVER)) as address:
        yield address


@pytest.fixture(scope="module")
def old_server() -> Iterator[Address]:
    """A server that still offers TLS 1.0."""
    with serving(tls(SERVER, oldest=ssl.TLSVersion.TLSv1)) as address:
        yield address


@pytest.fixture(scope="module")
def mutual() -> Iterator[Address]:
    """A server that lets in our clients only."""
    with serving(tls(SERVER, clients=OURS)) as address:
        yield address


def expected(directory: Path, text: str) -> Path:
    """Write expectations."""
    path = directory / "expect.yaml"
    path.write_text(text)
    return path


def credential(directory: Path, leaf: Leaf) -> tuple[object, ...]:
    """Write a client certificate; return the options that name it."""
    (directory / "client.pem").write_bytes(leaf.chain_pem)
    (directory / "client.key").write_bytes(leaf.key_pem)
    return ("--cert", directory / "client.pem", "--key", directory / "client.key")


def manifest(directory: Path, suite: str = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256") -> Path:
    """Write a Gateway with a cipher suite; by its name at IANA Istio drops it."""
    path = directory / "gateway.yaml"
    tls = f"{{mode: SIMPLE, credentialName: x, cipherSuites: [ECDHE-RSA-AES256-GCM-SHA384, {suite}]}}"
    server = f"{{hosts: [x], port: {{name: https, number: 443, protocol: HTTPS}}, tls: {tls}}}"
    path.write_text(f"apiVersion: networking.istio.io/v1\nkind: Gateway\nspec: {{servers: [{server}]}}\n")
    return path


def saved(path: Path) -> dict[str, Any]:
    """Return a document that is as its schema says."""
    found: dict[str, Any] = json.loads(path.read_text())
    Draft202012Validator(json.loads(document.SCHEMA.read_text())).validate(found)
    return found


def suites(path: Path) -> dict[str, dict[str, tuple[str, str] | None]]:
    """Return of a JUnit file by suite and test how it ended: None when it passed."""
    found = {}
    for suite in ET.parse(path).getroot():  # noqa: S314 - it is our own
        ends = {
            str(test.get("name")): [(end.tag, str(end.get("message"))) for end in test if end.get("message")]
            for test in suite
        }
        found[str(suite.get("name"))] = {name: end[0] if end else None for name, end in ends.items()}
    return found


def test_the_example_of_the_document_holds_on_a_healthy_server(tmp_path: Path) -> None:
    """Whoever copies it sees it pass: the clients that it names are simulated."""
    example = re.search(
        r"^```yaml\n(versions: .*?)^```", (ROOT / "docs" / "scan.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert example
    context = server_context(SERVER, oldest=TLS_1_2, newest=TLS_1_3)
    context.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384")
    file = expected(tmp_path, example[1])
    with serving(speak(context)) as address:
        found = run(address, "--sni", HOST, "--expect", file, "--json", tmp_path / "out.json")
    assert re.search(r"^All is as expected\. \d+ things were compared\.$", found.out, re.MULTILINE)
    assert (found.code, found.err) == (0, "")
    clients = [client["name"] for client in saved(tmp_path / "out.json")["targets"][0]["clients"]]
    known = built_in()
    assert set(clients) == {profile.name for profile in known.of("seed", "modern")}
    assert len(clients) == len(set(clients))


def test_only_what_is_expected_is_simulated(server: Address, tmp_path: Path) -> None:
    """With `--clients none` no other client is; what gets exactly something is."""
    text = "clients: {connect: [Java 8u161], refuse: [IE 8 XP], exactly: {Java 11.0.2 (OpenJDK): {protocol: TLSv1.3}}}"
    name = "Java 11.0.2 (OpenJDK)"
    assert name in {profile.name for profile in built_in().profiles}
    file = tmp_path / "out.json"
    found = run(server, *FINE, "--expect", expected(tmp_path, text), "--json", file)
    assert found.code == 0
    assert {client["name"] for client in saved(file)["targets"][0]["clients"]} == {"Java 8u161", "IE 8 XP", name}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("Java 8u161", ["Java 8u161"]),
        ("java 8u161,IE 6 XP", ["Java 8u161", "IE 6 XP"]),
        (".NET 8.0.4 (Linux, OpenSSL 3.0), IE 6 XP", [".NET 8.0.4 (Linux, OpenSSL 3.0)", "IE 6 XP"]),
    ],
)
def test_clients_can_be_named(server: Address, tmp_path: Path, words: str, names: list[str]) -> None:
    """Beside sets, in capitals or not, and with a comma in the name."""
    file = tmp_path / "out.json"
    assert run(server, "--sni", HOST, "--clients", words, "--json", file).code == 0
    assert [client["name"] for client in saved(file)["targets"][0]["clients"]] == names
    assert run(server, "--sni", HOST, "--clients", f"{words},modern", "--json", file).code == 0
    modern = {profile.name for profile in built_in().of("modern")}
    assert {client["name"] for client in saved(file)["targets"][0]["clients"]} == {*modern, *names}


def test_a_broken_file_of_ones_own(server: Address, tmp_path: Path) -> None:
    """It is told what to do, and a scan that simulates nobody does without it."""
    own = tmp_path / "no-clients.json"
    own.write_text("{")
    found = run(server, "--sni", HOST)
    assert found.code == 4
    assert found.err.startswith(f"The clients in {own} are no JSON: ")
    assert "Repair that file, or move it away. `meshproof scan --clients none` does not read it" in found.err
    assert run(server, *FINE).code == 0


def test_a_client_of_a_file_goes_before_ours(server: Address, tmp_path: Path) -> None:
    """A file for `--clients` has a client of the name of one of ours: that one is simulated, and only once."""
    facts = next(
        each
        for each in json.loads((ROOT / "src/meshproof/tls/protocol/clients.json").read_text())["clients"]
        if each["name"] == "IE 8 XP"
    )
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"format": 1, "data": "1", "clients": [facts | {"name": "Java 8u161"}]}))
    file = tmp_path / "out.json"
    expect = expected(tmp_path, "clients: {refuse: [Java 8u161]}")
    assert run(server, "--sni", HOST, "--clients", own, "--expect", expect, "--json", file).code == 0
    assert [client["name"] for client in saved(file)["targets"][0]["clients"]] == ["Java 8u161"]


def test_a_deviation_ends_with_1(server: Address, tmp_path: Path) -> None:
    """It is told below the posture, in the JSON and in JUnit's form."""
    file = expected(tmp_path, "versions: [TLSv1.3]\nclient_authentication: not requested\n")
    files = ("--json", tmp_path / "out.json", "--junit", tmp_path / "out.xml")
    found = run(server, *FINE, "--expect", file, *files)
    assert found.code == 1
    assert re.search(r"TLS 1\.2 +not offered +offered", found.out)
    assert "client authentication" not in found.out
    assert found.err == ""
    printed = run(server, *FINE, "--expect", file, "--json", "-")
    assert re.search(r"TLS 1\.2 +not offered +offered", printed.err)
    assert json.loads(printed.out)["comparison"]
    comparison = saved(tmp_path / "out.json")["comparison"]
    assert (comparison["expectations"], comparison["fail_on"]) == (str(file), None)
    target = f"{server} ({HOST})"
    rows = {row["what"]: row for row in comparison["rows"]}
    assert rows["TLS 1.2"] == {
        "target": target,
        "what": "TLS 1.2",
        "expected": "not offered",
        "seen": "offered",
        "as_expected": False,
        "unknown": False,
    }
    assert rows["client authentication"]["as_expected"]
    tests = suites(tmp_path / "out.xml")[target]
    assert tests["TLS 1.2"] == ("failure", "expected: not offered; seen: offered")
    assert tests["TLS 1.3"] is None


def test_what_is_known_to_be_wrong_goes_before_the_unknown(server: Address, tmp_path: Path) -> None:
    """1 with a deviation; 14 without one; a file asks for its own keys only."""
    wrong, unsure, fine = "versions: [TLSv1.3]", "client_certificate: accepted", "versions: [TLSv1.2, TLSv1.3]"
    given = credential(tmp_path, TRUSTED)
    with serving(tls(SERVER, clients=OURS, answer=False)) as address:
        for text, code in ((f"{wrong}\n{unsure}", 1), (f"{fine}\n{unsure}", 14)):
            junit = tmp_path / "out.xml"
            found = run(address, *FINE, *given, "--expect", expected(tmp_path, text), "--junit", junit)
            assert found.code == code
            (tests,) = suites(junit).values()
            assert tests["client certificate"] == (
                "error",
                "expected: accepted; seen: unknown: closed with close_notify",
            )
    assert run(server, *FINE, "--expect", expected(tmp_path, fine)).code == 0


def test_a_target_that_does_not_answer(tmp_path: Path) -> None:
    """Nothing of it is as expected or not: 14, and one row, whoever asks."""
    with nobody() as address:
        plain = run(address, *FINE)
        both = run(
            address,
            *FINE,
            *("--expect", expected(tmp_path, "versions: [TLSv1.3]"), "--fail-on", "note"),
            *("--json", tmp_path / "out.json", "--junit", tmp_path / "out.xml"),
        )
        gateway = ("--gateway", manifest(tmp_path))
        alone = run(address, *FINE, *gateway, "--junit", tmp_path / "alone.xml")
    assert (plain.code, both.code, alone.code) == (14, 14, 14)
    (row,) = saved(tmp_path / "out.json")["comparison"]["rows"]
    assert (row["what"], row["unknown"], row["seen"]) == ("target", True, "TCP connection refused")
    (tests,) = suites(tmp_path / "out.xml").values()
    assert tests == {"target": ("error", "expected: an answer; seen: unknown: TCP connection refused")}
    tests, _ = suites(tmp_path / "alone.xml").values()
    assert tests == {"the target": ("error", "expected: known; seen: unknown: TCP connection refused")}


def test_an_expectation_asks_only_for_its_own_keys(tmp_path: Path) -> None:
    """A server that says nothing to some hellos is unknown in part, which is no matter to the rest."""
    with serving(tls(SERVER, names=(HOST,))) as address:
        fine = run(address, *FINE, "--expect", expected(tmp_path, "versions: [TLSv1.2, TLSv1.3]"))
        refused = run(address, "--clients", "none", "--sni", "other.test", "--fail-on", "broken")
    assert fine.code == 0
    assert refused.code == 14


def test_the_gate(server: Address, old_server: Address, tmp_path: Path) -> None:
    """It ends with 1 where a finding is as bad as is said, or worse, and tells which."""
    with ExitStack() as stack:
        expired = stack.enter_context(serving(tls(OURS.server(HOST, lifetime=Lifetime.EXPIRED))))
        for address, severity, code in (
            *((server, "broken", 0), (server, "note", 1)),
            *((old_server, "broken", 0), (old_server, "weak", 1), (expired, "broken", 1)),
        ):
            files = ("--json", tmp_path / "out.json", "--junit", tmp_path / "out.xml")
            found = run(address, *FINE, "--fail-on", severity, *files)
            assert found.code == code, (address, severity)
            comparison = saved(tmp_path / "out.json")["comparison"]
            assert (comparison["expectations"], comparison["fail_on"]) == (None, severity)
            failures = {name for tests in suites(tmp_path / "out.xml").values() for name, end in tests.items() if end}
            assert bool(failures) is bool(code)
            assert ("All is as expected." in found.out) is not bool(code)
    assert "broken: expired" in failures
    (tests,) = suites(tmp_path / "out.xml").values()
    assert tests["broken: expired"]
    assert tests["broken: expired"][0] == "failure"


def test_without_a_gate_nothing_is_compared(old_server: Address, tmp_path: Path) -> None:
    """What is weak is shown, and ends with 0."""
    found = run(old_server, *FINE, "--json", tmp_path / "out.json")
    assert (found.code, found.err) == (0, "")
    assert "tls-1.0" in found.out
    assert "All is as expected" not in found.out
    document = saved(tmp_path / "out.json")
    assert (document["comparison"], document["gateway"]) == (None, None)


@pytest.mark.parametrize(("options", "code"), [("", 0), ("--fail-on broken", 0), ("--fail-on weak", 1)])
def test_a_manifest(server: Address, tmp_path: Path, options: str, code: int) -> None:
    """What would not do as it says warns, or is a deviation with `--fail-on`; each file that is written has it."""
    file = manifest(tmp_path)
    out = {name: tmp_path / f"out.{name}" for name in ("json", "junit", "html")}
    where = (each for name, path in out.items() for each in (f"--{name}", path))
    found = run(server, *FINE, "--gateway", file, *options.split(), *where)
    assert found.code == code
    assert "dropped-by-istio" in found.out
    assert ("weak: dropped-by-istio" in found.out) is bool(code)
    assert ("All is as expected." in found.out) is (options == "--fail-on broken")
    document = saved(out["json"])
    (finding,) = document["gateway"]
    assert (finding["id"], finding["severity"]) == ("dropped-by-istio", "weak")
    rows = (document["comparison"] or {"rows": []})["rows"]
    about_file = [row for row in rows if row["target"] == str(file) and not row["as_expected"]]
    assert [row["what"] for row in about_file] == ["weak: dropped-by-istio"] * code
    assert list(suites(out["junit"])) == [f"{server} ({HOST})", str(file)]
    end = ("failure", finding["why"]) if code else None
    assert suites(out["junit"])[str(file)] == {"weak: dropped-by-istio": end}
    assert finding["why"] in ET.parse(out["junit"]).getroot()[1].itertext()  # noqa: S314 - it is our own
    assert "<h2>Gateway</h2>" in out["html"].read_text()
    assert "dropped-by-istio" in out["html"].read_text()


def test_a_manifest_that_nothing_is_wrong_with(server: Address, tmp_path: Path) -> None:
    """It is said that nothing was found."""
    file = manifest(tmp_path, "ECDHE-RSA-AES128-GCM-SHA256")
    found = run(server, *FINE, "--gateway", file, "--fail-on", "note", "--junit", tmp_path / "out.xml")
    assert f"{file}: nothing in it would be refused or left out." in found.out
    assert suites(tmp_path / "out.xml")[str(file)] == {"settings": None}
    assert found.code == 1  # the server itself has something to note


@pytest.mark.parametrize(("leaf", "code"), [(TRUSTED, 0), (UNKNOWN, 1), (EXPIRED, 1)])
def test_our_certificate(mutual: Address, tmp_path: Path, leaf: Leaf, code: int) -> None:
    """It is let in, or one sentence says who refuses it, and why; that ends with 1."""
    file = tmp_path / "out.json"
    found = run(mutual, *FINE, *credential(tmp_path, leaf), "--json", file)
    assert found.code == code
    (row,) = saved(file)["comparison"]["rows"]
    assert (row["what"], row["expected"], row["as_expected"]) == ("client certificate", "accepted", not code)
    if not code:
        assert found.err == ""
    else:
        why = row["seen"].removeprefix("refused: ")
        assert found.err == (
            f"meshproof: Tried the client certificate (--cert): {mutual} ({HOST}) refuses it: {why}.\n"
        )


@pytest.mark.parametrize(
    ("text", "leaf", "code"),
    [
        ("client_certificate: refused", UNKNOWN, 0),
        ("client_certificate: refused", TRUSTED, 1),
        ("client_certificate: accepted", UNKNOWN, 1),
        ("credential: client certificate of an unknown authority", UNKNOWN, 0),
        ("credential: client certificate of an unknown authority", EXPIRED, 1),
        ("client_authentication: required", UNKNOWN, 1),
        ("client_authentication: required", TRUSTED, 0),
    ],
)
def test_what_is_expected_of_our_certificate(mutual: Address, tmp_path: Path, text: str, leaf: Leaf, code: int) -> None:
    """A refusal that is expected is as expected; where a file says nothing of it, it is to be let in."""
    found = run(mutual, *FINE, *credential(tmp_path, leaf), "--expect", expected(tmp_path, text))
    assert found.code == code
    assert ("refuses it" in found.err) is (code == 1 and leaf is UNKNOWN)


def test_an_undecided_end_of_our_certificate(tmp_path: Path) -> None:
    """A server that asks for it, and ends every handshake without a word, neither lets it in nor refuses it."""
    with serving(tls(SERVER, clients=OURS, newest=TLS_1_2, answer=False)) as address:
        found = run(
            address, *FINE, *credential(tmp_path, TRUSTED), "--expect", expected(tmp_path, "alpn: [h2, http/1.1]")
        )
    assert found.code == 14
    assert f"it is not known what {address} ({HOST}) makes of it: closed with close_notify." in found.err


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, 0),
        ("versions: [TLSv1.2, TLSv1.3]", 0),
        ("client_certificate: accepted", 1),
        ("client_certificate: refused", 1),
        ("credential: client certificate not asked for", 0),
        ("credential: established", 1),
    ],
)
def test_a_server_that_asks_for_no_certificate(server: Address, tmp_path: Path, text: str | None, code: int) -> None:
    """It neither accepts ours nor refuses it: a deviation where either is expected, else one sentence."""
    expect = ("--expect", expected(tmp_path, text)) if text else ()
    file = tmp_path / "out.json"
    found = run(server, *FINE, *credential(tmp_path, TRUSTED), *expect, "--json", file)
    assert found.code == code
    assert "refuses it" not in found.err
    assert saved(file)["targets"][0]["credential"] == "CLIENT_CERT_NOT_REQUESTED"
    sentence = f"{server} ({HOST}) asked for no client certificate, so that the one of --cert was not sent."
    assert (sentence in found.err) is not (text or "").startswith("credential")
    if text and code:
        row = next(row for row in saved(file)["comparison"]["rows"] if not row["as_expected"])
        assert (row["seen"], row["unknown"]) == ("client certificate not asked for", False)


def test_many_targets(server: Address, old_server: Address, tmp_path: Path) -> None:
    """Each that is not as expected is named, in the order in which they were given; the rest is not."""
    file = expected(tmp_path, "versions: [TLSv1.2, TLSv1.3]")
    found = run(old_server, server, old_server, *FINE, "--expect", file, "--json", tmp_path / "out.json")
    assert found.code == 1
    _, _, told = found.out.partition("`meshproof scan TARGET` shows all of one; --html and --json save all of each.")
    assert f"{old_server} ({HOST})" in told
    assert f"{server} ({HOST})" not in told
    assert "All is as expected." not in told
    both = expected(tmp_path, "versions: [TLSv1.0, TLSv1.1, TLSv1.2, TLSv1.3]")
    assert "All is as expected. 12 things were compared." not in run(old_server, server, *FINE, "--expect", both).out
    both = expected(tmp_path, "alpn: [h2, http/1.1]")
    assert "All is as expected. 2 things were compared." in run(old_server, server, *FINE, "--expect", both).out
    ports = [target["port"] for target in saved(tmp_path / "out.json")["targets"]]
    assert ports == [old_server.port, server.port]


def test_each_address(tmp_path: Path) -> None:
    """`--all-addresses` scans all that a name has."""
    with serving(tls(SERVER)) as address:
        file = tmp_path / "out.json"
        found = run(f"localhost:{address.port}", *FINE, "--all-addresses", "--json", file)
    targets = saved(file)["targets"]
    assert address.host in {target["address"] for target in targets}
    assert found.code == (0 if len(targets) == 1 else 14)  # a machine with IPv6 has no server there


@pytest.mark.parametrize("option", ["--json", "--junit"])
def test_what_is_printed_is_all_that_is_printed(server: Address, option: str) -> None:
    """`-` prints a document, and no table around it."""
    found = run(server, *FINE, "--fail-on", "broken", option, "-")
    assert found.code == 0
    assert found.err == "All is as expected. 1 thing was compared.\n"
    if option == "--json":
        assert json.loads(found.out)["comparison"]["fail_on"] == "broken"
    else:
        assert ET.fromstring(found.out).tag == "testsuites"  # noqa: S314 - it is our own


def test_a_pipe_is_not_folded(server: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody says how wide a line is, a client is one line, with its reason, and none ends in blanks."""
    monkeypatch.delenv("COLUMNS")
    out = run(server, "--sni", HOST).out
    assert [line for line in out.splitlines() if line != line.rstrip()] == []
    lines = [line for profile in built_in().of("seed") for line in out.splitlines() if line.startswith(profile.name)]
    assert len(lines) == len(built_in().of("seed"))
    assert [
        line for line in lines if not re.search(r" TLSv1\.[23] .* \d+ bit ECDH | No connection .* alert ", line)
    ] == []


MISTAKES = {
    "--expect {tmp}/of-ours": "{tmp}/of-ours says what becomes of a client certificate: give one with --cert",
    "--expect {tmp}/end-of-ours": "{tmp}/end-of-ours says what becomes of a client certificate: give one with",
    "--junit {tmp}/out.xml": "--junit writes what was compared, and nothing is: add --expect, --fail-on or --gateway.",
    "--sni foo --no-sni": "--sni sends a server name and --no-sni sends none: give one of them.",
    "--sni=": "--sni '' is no server name: write a name without blanks, or --no-sni to send none.",
    "--clients modren": "--clients modren is neither seed, modern, user, all or none, nor the name of a client, nor a "
    "file. Did you mean modern? `meshproof clients list` lists the clients.",
    "--clients seed,none": "--clients none is neither",
    "--clients java-8u161": "--clients java-8u161 is neither seed, modern, user, all or none, nor the name of a "
    "client, nor a file. Did you mean Java 8u161",
    "--clients {tmp}/scan": "{tmp}/scan has what a scan found, and no clients: `meshproof diff` reads it.",
    "--clients {tmp}/empty": "The clients in {tmp}/empty are no JSON: ",
    "--clients {tmp}/lacks": "The clients in {tmp}/lacks lack the key 'data'.",
    "--clients {tmp}/shape": "The clients in {tmp}/shape are not of the shape that they should be: ",
    "--fail-on bad": "--fail-on bad is no severity: write broken or weak or note.",
    "--timeout nan": "--timeout nan can't be: write seconds, more than 0 and at most 86400.",
    "--timeout 0": "--timeout 0.0 can't be",
    "--timeout -1": "--timeout -1.0 can't be",
    "--timeout inf": "--timeout inf can't be",
    "--max-time inf": "--max-time inf can't be",
    "--max-time 0": "--max-time 0.0 can't be",
    "--max-time 86401": "--max-time 86401.0 can't be",
    "--targets none": "Tried to read the targets in none: No such file or directory.",
    "--targets {tmp}": "Tried to read the targets in {tmp}: Is a directory.",
    "--targets {tmp}/octets": "Tried to read the targets in {tmp}/octets: it is not text in UTF-8.",
    "--expect {tmp}": "{tmp}: cannot be read: Is a directory.",
    "--expect {tmp}/empty": "{tmp}/empty: the file is empty, so that nothing is expected.",
    "--gateway {tmp}": "{tmp}: cannot be read: Is a directory.",
    "--clients {tmp}": "--clients {tmp} is neither",
    "--json {tmp}": "{tmp} is a directory, and can't be written as a file: name a file.",
    "--html {tmp}": "{tmp} is a directory",
    "--junit {tmp}/none/out.xml": "{tmp}/none/out.xml can't be written: there is no directory {tmp}/none.",
    f"--json {{tmp}}/{'a' * 300}": f"{{tmp}}/{'a' * 300} can't be written: File name too long.",
    "--json - --junit -": "Only one thing can be printed on standard output: give the others a file instead of -.",
    "--cert {tmp}/chain": "--cert and --key go together: a certificate and its private key, both in PEM.",
    "--key {tmp}/key": "--cert and --key go together: a certificate and its private key, both in PEM.",
    "--cert {tmp}/none --key {tmp}/key": "Tried to read --cert {tmp}/none: No such file or directory.",
    "--cert {tmp}/chain --key {tmp}": "Tried to read --key {tmp}: Is a directory.",
    "--cert {tmp}/chain --key /proc/self/mem": "Tried to read --key /proc/self/mem: Input/output error.",
    "--cert {tmp}/key --key {tmp}/key": "--cert {tmp}/key is no certificate in PEM.",
    "--cert {tmp}/chain --key {tmp}/encrypted": "--key {tmp}/encrypted is encrypted: give a private key without",
    "--cert {tmp}/chain --key {tmp}/old": "--key {tmp}/old is encrypted: give a private key without a passphrase.",
    "--cert {tmp}/chain --key {tmp}/other": "Tried --cert {tmp}/chain with --key {tmp}/other: it is not the key of",
    "--cert {tmp}/rotten --key {tmp}/key": "Tried --cert {tmp}/rotten with --key {tmp}/key: it is not the key of that",
    "--cert {tmp}/chain --key {tmp}/chain": "--key {tmp}/chain is no private key in PEM.",
    "--cert {tmp}/chain --key {tmp}/empty": "--key {tmp}/empty is no private key in PEM.",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_ends_before_any_connection(tmp_path: Path, line: str) -> None:
    """With code 4 and one sentence, which says what is wrong with what; nothing is scanned, so that nothing waits."""
    key = load_pem_private_key(TRUSTED.key_pem, None)
    locked = BestAvailableEncryption(b"secret")
    files = {
        "chain": TRUSTED.chain_pem,
        "key": TRUSTED.key_pem,
        "other": UNKNOWN.key_pem,
        "encrypted": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked),
        "old": key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, locked),
        "octets": b"\xff\xfe",
        "empty": b"",
        "scan": b'{"format": 1, "targets": []}',
        "lacks": b'{"format": 1}',
        "shape": b"[]",
        "of-ours": b"client_certificate: accepted",
        "end-of-ours": b"credential: client certificate expired",
        "rotten": TRUSTED.chain_pem + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    }
    for name, octets in files.items():
        (tmp_path / name).write_bytes(octets)
    found = run("192.0.2.1", *line.format(tmp=tmp_path).split())
    assert found.code == 4
    assert found.out == ""
    assert found.err.startswith(MISTAKES[line].format(tmp=tmp_path))
    assert "\n" not in found.err.rstrip("\n")
    assert found.err.rstrip("\n").endswith(".")


LONG = f"{'a.' * 126}c"
"""A name of 253 octets, which is as long as one can be."""


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("host:0", "host:0: there is no port 0."),
        ("::1", "::1 is no target: write [::1] or [::1]:PORT."),
        ("x@fe80::1", "x@fe80::1 is no target: write [fe80::1] or [fe80::1]:PORT."),
        ("a b", "a b is no target: write HOST:PORT, [IPv6]:PORT or NAME@HOST:PORT."),
        (f"{'b' * 64}@127.0.0.1", "can't be the name of a host"),
        ("\N{SNOWMAN}" * 70 + "@127.0.0.1", "can't be the name of a host"),
        (f"{LONG}b@127.0.0.1", "can't be the name of a host: it has 254 octets, and may have 1 to 253."),
        ("127.0.0.1@localhost", "127.0.0.1 can't be a server name, for it is an address: write a name, or --no-sni"),
        ("127.0.0.1.@localhost", "127.0.0.1. can't be a server name"),
        ("::1@localhost", "::1 can't be a server name"),
        ("[::1]@localhost", "[::1] can't be a server name"),
    ],
)
def test_a_target_that_cannot_be(target: str, why: str) -> None:
    """It is told before anything is scanned."""
    found = run(target)
    assert found.code == 4
    assert why in found.err


def test_a_server_name_with_a_blank() -> None:
    """It is told before anything is scanned; no server can have it."""
    found = run("192.0.2.1", "--sni", "a b")
    assert (found.code, found.out) == (4, "")
    assert found.err == "--sni 'a b' is no server name: write a name without blanks, or --no-sni to send none."


def test_an_address_is_no_server_name(server: Address) -> None:
    """With `--sni` neither; a target that is one has no server name, also with the dot of the root."""
    found = run(server, "--sni", "192.0.2.1")
    assert (found.code, found.out) == (4, "")
    assert found.err.startswith("192.0.2.1 can't be a server name, for it is an address")
    assert target_of("127.0.0.1.:443", None, no_sni=False).sni is None


@pytest.mark.parametrize(("name", "sent"), [(f"{HOST}.", HOST), (f"{LONG}.", LONG), (LONG, LONG)])
def test_the_dot_of_the_root_is_not_sent(tmp_path: Path, name: str, sent: str) -> None:
    """A server that knows the name only without it is scanned; the longest name there can be is no fault either."""
    with serving(tls(SERVER, names=(sent,), clients=OURS)) as address:
        for words in ((f"{name}@{address}",), (address, "--sni", name)):
            file = tmp_path / "out.json"
            run(*words, "--clients", "none", *credential(tmp_path, TRUSTED), "--json", file)
            (target,) = saved(file)["targets"]
            assert (target["sni"], target["protocols"]["TLSv1.3"]["offered"]) == (sent, "offered")


def test_an_address_keeps_its_dot() -> None:
    """It tells the resolver that the name is whole; the server name is without it."""
    target = target_of("gateway.example.", None, no_sni=False)
    assert (target.address, target.sni) == (Address("gateway.example.", 443), "gateway.example")


def interrupted(directory: Path, number: signal.Signals, *healthy: Address) -> Ended:
    """Scan healthy servers and a silent one in a process, and send it a signal when it waits for that one only."""
    log, out = directory / "log", directory / "out.json"
    options = ("--clients", "none", "--timeout", "60", "--max-time", "600", "--json", out)
    with (
        serving(stay_silent) as silent,
        python(log, "-m", "meshproof", "scan", *map(str, (*healthy, silent, *options))) as program,
    ):
        until(
            lambda: {each.raddr.port for each in program.net_connections() if each.raddr},
            {silent.port},
            what="The ports that the scan is connected to",
            timeout=PATIENCE,
            interval=0.05,
            streak=20,
        )
        program.send_signal(number)
        code = program.wait(PATIENCE)
        return Ended(int(code or 0), out.read_text() if out.exists() else "", log.read_text())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_an_interrupted_scan(tmp_path: Path, server: Address, number: signal.Signals) -> None:
    """What was scanned is shown and saved, one sentence says how much that is, and the code is 130."""
    found = interrupted(tmp_path, number, server)
    lines = found.err.splitlines()
    assert (found.code, lines[-1]) == (130, "meshproof: Interrupted: 1 of 2 targets were scanned.")
    assert lines[0].startswith(str(server))
    assert "Traceback" not in found.err
    (target,) = saved(tmp_path / "out.json")["targets"]
    assert (target["port"], target["unknown"]) == (server.port, False)


def test_a_scan_that_is_interrupted_before_anything_is_known(tmp_path: Path) -> None:
    """Nothing is shown, and a file of an earlier scan stays."""
    (tmp_path / "out.json").write_text("earlier")
    found = interrupted(tmp_path, signal.SIGINT)
    assert (found.code, found.out) == (130, "earlier")
    assert found.err == "meshproof: Interrupted: 0 of 1 targets were scanned.\n"


def test_text_of_standard_input() -> None:
    """Octets that are no text are told as such."""
    result = CliRunner().invoke(scan, ["-"], input=b"\xff\xfe\n")
    assert isinstance(result.exception, MeshproofError)
    assert str(result.exception) == "Tried to read targets from standard input: it is not text in UTF-8."
    assert result.exception.exit_code == 4


def save(path: Path, *found: Posture) -> Path:
    """Save postures as a scan does."""
    path.write_text(json.dumps(document.to_json(found, clients="2026-11-21")))
    return path


RENEWED = dataclasses.replace(
    GOOD, certificates=(dataclasses.replace(GOOD.certificates[0], fingerprint="cd" * 32, serial=2),)
)
OTHER_PROTOCOLS = dataclasses.replace(RENEWED, alpn=("h2",), fallback_scsv=None)
PART_UNKNOWN = dataclasses.replace(GOOD, fallback_scsv=None)


@pytest.mark.parametrize(
    ("after", "code", "words"),
    [
        (GOOD, 0, "Nothing changed."),
        (RENEWED, 0, "Nothing else changed."),
        (PART_UNKNOWN, 14, "unknown"),
        (OTHER_PROTOCOLS, 1, "h2, http/1.1"),
        (SILENT, 1, "reachable"),
    ],
)
def test_how_a_diff_ends(tmp_path: Path, after: Posture, code: int, words: str) -> None:
    """1 for what changed, 14 for what may have, 0 for nothing and for a renewed certificate."""
    found = run("diff", save(tmp_path / "before.json", GOOD), save(tmp_path / "after.json", after))
    assert found.code == code
    assert words in found.out
    assert found.out.startswith("127.0.0.1:443 (example.test)\n")


def test_a_diff_as_json_and_junit(tmp_path: Path) -> None:
    """Each row with what it was and is, and how targets were paired; certificates that were renewed pass."""
    moved = dataclasses.replace(OTHER_PROTOCOLS, target=GOOD.target._replace(sni="other.test"))
    before, after = save(tmp_path / "before.json", GOOD), save(tmp_path / "after.json", moved)
    found = run("diff", before, after, "--json", tmp_path / "diff.json", "--junit", tmp_path / "diff.xml")
    assert found.code == 1
    how = (
        "127.0.0.1:443 (example.test) before is compared with 127.0.0.1:443 (other.test) after: "
        "what they have in common is the host."
    )
    assert how in found.out
    saved_one = json.loads((tmp_path / "diff.json").read_text())
    assert (saved_one["before"], saved_one["after"]) == (str(before), str(after))
    (target,) = saved_one["targets"]
    assert (target["target"], target["before"], target["after"], target["paired"]) == (
        "127.0.0.1:443 (example.test)",
        "127.0.0.1:443 (example.test)",
        "127.0.0.1:443 (other.test)",
        how,
    )
    rows = {row["what"]: row for row in target["changes"]}
    assert rows["ALPN"] == {
        "what": "ALPN",
        "before": "h2, http/1.1",
        "after": "h2",
        "reason": "",
        "renewed": False,
        "unknown": False,
    }
    assert rows["RSA certificate"]["renewed"]
    assert rows["TLS_FALLBACK_SCSV"]["unknown"]
    tests = suites(tmp_path / "diff.xml")["127.0.0.1:443 (example.test)"]
    assert tests == {
        "ALPN": ("failure", "before: h2, http/1.1; after: h2"),
        "RSA certificate": None,
        "TLS_FALLBACK_SCSV": ("error", "before: honoured; after: unknown"),
    }


def test_a_diff_of_other_targets(tmp_path: Path) -> None:
    """A target of one scan only is a change, and the sentence says where it is not."""
    other = dataclasses.replace(GOOD, target=GOOD.target._replace(address=Address("10.9.8.7", 1), sni=None))
    before, after = save(tmp_path / "before.json", GOOD, other), save(tmp_path / "after.json", GOOD)
    found = run("diff", before, after, "--json", "-")
    assert found.code == 1
    first, second = json.loads(found.out)["targets"]
    assert first["changes"] == []
    assert (second["before"], second["after"]) == ("10.9.8.7:1", None)
    assert second["paired"] == "There is no such target in the second scan."
    same = run("diff", after, after, "--junit", "-")
    assert same.code == 0
    assert [test.get("name") for test in ET.fromstring(same.out).iter("testcase")] == ["nothing changed"]  # noqa: S314 - ours
    assert run("diff", after, before, "--json", "-").code == 1


def test_a_diff_of_nothing_in_common(tmp_path: Path) -> None:
    """One sentence and code 4, which names the targets; two scans of one target each are compared all the same."""
    other = dataclasses.replace(GOOD, target=GOOD.target._replace(address=Address("10.9.8.7", 1), sni=None))
    third = dataclasses.replace(other, target=other.target._replace(address=Address("10.9.8.6", 1)))
    before, after = save(tmp_path / "before.json", GOOD), save(tmp_path / "after.json", other, third)
    found = run("diff", before, after)
    assert (found.code, found.out) == (4, "")
    assert found.err == (
        f"{before} has 127.0.0.1:443 (example.test), and {after} has 10.9.8.7:1, 10.9.8.6:1: no target is in both. "
        "Compare two scans of the same targets."
    )
    alone = run("diff", before, save(tmp_path / "alone.json", other))
    assert alone.code == 0
    assert "what they have in common is that each scan has no other target." in " ".join(alone.out.split())
    assert run("diff", before, save(tmp_path / "empty.json")).code == 4


def test_a_diff_the_wrong_way_round(tmp_path: Path) -> None:
    """One sentence says so, and it is compared all the same."""
    later = dataclasses.replace(GOOD, began=GOOD.began + timedelta(seconds=1))
    before, after = save(tmp_path / "before.json", GOOD), save(tmp_path / "after.json", later)
    assert run("diff", before, after).err == ""
    assert run("diff", before, before).err == ""
    found = run("diff", after, before)
    sentence = f"{before} was scanned before {after}: perhaps they are the wrong way round."
    assert (found.code, " ".join(found.err.split())) == (0, f"meshproof: {sentence}")


def test_a_diff_of_what_is_no_scan(tmp_path: Path) -> None:
    """One sentence and code 4: a file that is not there, a directory, one that cannot be written."""
    good = save(tmp_path / "good.json", WEAK)
    for line in ((tmp_path / "none", good), (good, tmp_path), (good, good, "--json", tmp_path)):
        found = run("diff", *line)
        assert (found.code, found.out) == (4, "")
        assert str(tmp_path) in found.err


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """What goes wrong after the look before is the machine's fault, and leaves nothing behind."""
    with pytest.raises(MachineError, match=r"No such file or directory\. Nothing was written\.$"):
        output.write(tmp_path / "none" / "file", "text")
    with pytest.raises(MachineError, match=r"Is a directory\.$"):
        output.write(tmp_path, "text")
    assert list(tmp_path.iterdir()) == []
    output.write(tmp_path / "file", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "text"


def test_what_is_no_plain_file_stays_what_it_is(tmp_path: Path) -> None:
    """A symbolic link leads where it led, also to a file that is not there yet, and a pipe is written into."""
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to("file")
    for text in ("first and longer", "second"):
        output.write(link, text)
        assert (link.readlink(), (tmp_path / "file").read_text()) == (Path("file"), text)
    os.mkfifo(pipe)
    with ThreadPoolExecutor(max_workers=1) as pool:
        reader = pool.submit(pipe.read_text)
        output.write(pipe, "text")
        assert reader.result() == "text"
    assert pipe.is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "pipe"]


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    """A full one is told in one sentence with code 11; what is written to /dev/null is gone, and that is no error."""
    good = save(tmp_path / "good.json", GOOD)
    for name in ("full", "null"):
        (tmp_path / name).symlink_to(f"/dev/{name}")  # what is tested must not be able to harm the machine
    full = run("diff", good, good, "--junit", tmp_path / "full")
    assert (full.code, full.err) == (11, f"Tried to write {tmp_path}/full: No space left on device.")
    assert run("diff", good, good, "--json", tmp_path / "null").code == 0
    assert (tmp_path / "full").is_char_device()
    assert (tmp_path / "null").is_char_device()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("out", "out"),
        ("out", "./sub/../out"),
        ("out", "{tmp}/out"),
        ("out", "link"),
        ("-", "/proc/self/fd/1"),
    ],
)
def test_a_file_is_written_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, first: str, second: str) -> None:
    """The same file for two things is refused before anything is scanned, however it is spelled."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to("out")
    second = second.format(tmp=tmp_path)
    found = run("192.0.2.1", "--json", first, "--html", second)
    assert (found.code, found.out) == (4, "")
    assert found.err == f"Two things can't be written to the same file: {first} and {Path(second)}. Name another."
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("deviates", "unknown", "code"), [(True, True, 1), (True, False, 1), (False, True, 14), (False, False, 0)]
)
def test_exit_codes(deviates: bool, unknown: bool, code: int) -> None:  # noqa: FBT001 - a row
    """What is known to be wrong goes before what is not known."""
    assert output.exit_code(deviates=deviates, unknown=unknown) == code
