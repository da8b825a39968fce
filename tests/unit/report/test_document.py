"""The document: it is as its schema says, is read back as it was, and a broken one is one sentence."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshproof.errors import Unreadable
from meshproof.posture.comparison import Row
from meshproof.posture.difference import changes_between
from meshproof.posture.verdict import judge
from meshproof.report import document_reading, terminal
from meshproof.report.document import SCHEMA, machine_has_aes, rows_to_json, to_json
from meshproof.report.document_reading import from_json
from meshproof.tls.probe.answer import Answer, Offer, Offered
from meshproof.tls.probe.outcome import Outcome
from meshproof.tls.probe.stream import Address
from meshproof.tls.protocol import codes
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import ClientAuthentication, ClientResult, Posture, Target
from tests.support import postures
from tests.support.postures import GOOD, SILENT, TLS_1_2, WEAK
from tests.support.schemas import objects, schema

ODD = replace(
    GOOD,
    target=Target(Address("::1", 8443), None),
    versions={TLS_1_2: Offer(offered=Offered.NOT_OFFERED, answered=ProtocolVersion.SSL_3)},
    ciphers=(postures.suites(ProtocolVersion.SSL_2, "SSL_CK_RC4_128_WITH_MD5|0xFADE", certificate=None),),
    groups=(postures.groups(TLS_1_2, "0xFADE", decides=None, complete=False),),
    alpn=("\x1b[31mred", "\u202e"),
    alpn_complete=False,
    certificates_complete=False,
    endpoint="[::1]:8443",
    client_authentication=ClientAuthentication.REQUIRED,
    credential=Outcome.CLIENT_CERT_EXPIRED,
    clients=(ClientResult("x", Answer(outcome=Outcome.UNACCEPTABLE_ANSWER, version=TLS_1_2), "It chose badly."),),
    notes=("A note.",),
)
"""A posture with all that is rare."""

VERSIONS_ONLY = replace(GOOD, listed=False, ciphers=(), groups=(), alpn=(), certificates=(), endpoint=None, clients=())
"""What a scan finds that is to look at nothing else."""

ALL = (GOOD, WEAK, SILENT, ODD, VERSIONS_ONLY)

LATER_KEYS = ("endpoint", "gaps", "listed", "alpn_complete", "certificates_complete")
"""Keys of a target that the first documents did not have."""


def written(*found: Posture) -> dict[str, Any]:
    """Return the document as it comes out of a file."""
    loaded: dict[str, Any] = json.loads(json.dumps(to_json(found, clients="2026-11-21", aes=True)))
    return loaded


@pytest.mark.parametrize("posture", ALL)
def test_a_document_is_as_its_schema_says(posture: Posture) -> None:
    """Whatever was found."""
    assert [error.message for error in schema(SCHEMA).iter_errors(written(posture))] == []


def test_the_schema_is_strict_and_says_what_it_means() -> None:
    """A key that nobody described is refused, and every key is described."""
    found = objects(json.loads(SCHEMA.read_text()))
    assert len(found) > 10
    assert [each for each in found if "additionalProperties" not in each] == []
    more = written(GOOD)
    more["targets"][0]["clients"][0]["colour"] = "red"
    assert not schema(SCHEMA).is_valid(more)
    assert schema(SCHEMA).is_valid(written(GOOD))


@pytest.mark.parametrize("posture", ALL)
def test_what_is_written_is_read_back(posture: Posture) -> None:
    """The whole posture, with its verdict."""
    (back,) = from_json(written(posture))
    assert back == posture
    assert judge(back) == judge(posture)


def test_a_document_says_what_is_unknown() -> None:
    """Its gaps are in words, beside the flags that they come from; a posture without one has an empty list."""
    good, odd = (written(posture)["targets"][0] for posture in (GOOD, ODD))
    assert (good["gaps"], good["unknown"], good["listed"]) == ([], False, True)
    assert (good["alpn_complete"], good["certificates_complete"], good["endpoint"]) == (True, True, "127.0.0.1:443")
    assert odd["gaps"] == list(ODD.gaps)
    assert {"groups of TLS 1.2", "application protocols", "certificates"} <= set(odd["gaps"])
    assert (odd["unknown"], odd["alpn_complete"], odd["certificates_complete"]) == (True, False, False)
    assert written(VERSIONS_ONLY)["targets"][0]["listed"] is False


def test_a_chain_is_written_twice() -> None:
    """As subjects, as ever, and as certificates with all that is known of them; those have no chain of their own."""
    (certificate,) = written(GOOD)["targets"][0]["certificates"]
    assert certificate["chain"] == ["CN=authority"]
    (intermediate,) = certificate["intermediates"]
    assert (intermediate["subject"], intermediate["issuer"], intermediate["serial"]) == ("CN=authority", "CN=root", "2")
    assert set(intermediate) == set(certificate) - {"chain", "intermediates"}


def before_gaps(posture: Posture) -> dict[str, Any]:
    """Return a document as it was before what is unknown had keys of its own."""
    found = written(posture)
    for target in found["targets"]:
        for key in LATER_KEYS:
            del target[key]
        for certificate in target["certificates"]:
            del certificate["intermediates"]
    return found


@pytest.mark.parametrize("posture", [GOOD, WEAK])
def test_an_older_document_is_read(posture: Posture) -> None:
    """It is valid still, its list of protocols is whole, and of its intermediates the subjects are known."""
    assert schema(SCHEMA).is_valid(before_gaps(posture))
    (back,) = from_json(before_gaps(posture))
    assert [each.chain for each in back.certificates] == [each.chain for each in posture.certificates]
    for sent in (sent for each in back.certificates for sent in each.intermediates):
        assert (sent.names, sent.issuer, sent.serial, sent.fingerprint) == ((), "unknown", 0, "")
        assert (sent.key, sent.signature) == ("unknown", "unknown")
        assert (sent.not_before.year, sent.not_after.year) == (1, 9999)
    certificates = tuple(replace(each, intermediates=()) for each in posture.certificates)
    bare = replace(back, certificates=tuple(replace(each, intermediates=()) for each in back.certificates))
    assert bare == replace(posture, certificates=certificates, endpoint=None)
    assert judge(back) == judge(posture)
    assert from_json(written(back)) == (back,)


def test_an_older_document_may_be_short_of_something() -> None:
    """Without a certificate, certificates are unknown; without a list of suites, none was asked for."""
    (without,) = from_json(before_gaps(replace(GOOD, certificates=())))
    assert (without.listed, without.gaps) == (True, ("certificates",))
    (versions,) = from_json(before_gaps(VERSIONS_ONLY))
    assert (versions.listed, versions.gaps) == (False, ())


def test_the_words_are_those_of_testssl() -> None:
    """A client has the three fields, spelled so, or none of them."""
    chrome, java, refused = (written(GOOD)["targets"][0]["clients"][n] for n in (1, 0, 2))
    fields = ("protocol", "cipher", "forward_secrecy")
    assert [chrome[field] for field in fields] == ["TLSv1.3", "TLS_AES_128_GCM_SHA256", "253 bit ECDH (X25519)"]
    assert [java[field] for field in fields] == ["TLSv1.2", postures.GCM, "256 bit ECDH (P-256)"]
    assert [refused[field] for field in fields] == [None, None, None]
    assert [*written(GOOD)["targets"][0]["protocols"]] == ["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
    assert written(ODD)["targets"][0]["clients"][0]["protocol"] is None


def test_the_document_names_its_versions() -> None:
    """Of its form, of the tool and of all data that the result depends on."""
    found = written()
    assert (found["schema"], found["format"], found["tool"]["name"]) == ("posture.schema.json", 1, "meshproof")
    assert found["data"] == {"clients": "2026-11-21", "registry": codes.VERSION}
    assert found["machine"] == {"aes": True}


def test_certificates_of_clients_are_left_out() -> None:
    """What a client was shown is in the posture already."""
    shown = replace(GOOD.clients[0], answer=replace(GOOD.clients[0].answer, certificates=(b"DER",)))
    assert from_json(written(replace(GOOD, clients=(shown,))))[0].clients[0].answer.certificates == ()


def broken(*way: str | int, value: object) -> dict[str, Any]:
    """Return a document with another value in one place."""
    found = copy.deepcopy(written(GOOD))
    place: Any = found
    for step in way[:-1]:
        place = place[step]
    place[way[-1]] = value
    return found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "this is not JSON"),
        ("[" * 100_000, "this is not JSON"),
        ("[]", "this is no posture that meshproof saved"),
        ("{}", "this is no posture that meshproof saved"),
        ('{"format": 2}', "its format is 2, and this meshproof reads 1"),
        ('{"format": 1}', "the document has no schema"),
        (json.dumps(broken("targets", value=None)), "targets should be a list, and is empty"),
        (json.dumps(broken("targets", 0, "alpn", value="h2")), r"targets\[0\]\.alpn should be a list, and is 'h2'"),
        (json.dumps(broken("targets", 0, "alpn", 0, value=1)), r"targets\[0\]\.alpn\[0\] should be text, and is 1"),
        (json.dumps(broken("targets", 0, "connections", value=True)), "connections should be a whole number"),
        (json.dumps(broken("targets", 0, "connections", value=-1)), "connections should be at least 0, and is -1"),
        (json.dumps(broken("targets", 0, "protocols", value={"TLSv9": {}})), "a key of .*protocols .*, and is 'TLSv9'"),
        (json.dumps(broken("targets", 0, "protocols", "TLSv1.2", "alert", value=256)), "alert should be at most 255"),
        (json.dumps(broken("targets", 0, "began", value="yesterday")), "began should be of the kind date-time"),
        (
            json.dumps(broken("targets", 0, "began", value="2026-01-01T00:00:00")),
            "began should be of the kind date-time",
        ),
        (json.dumps(broken("targets", 0, "unreachable", value="ASLEEP")), "unreachable should be of the kind outcome"),
        (
            json.dumps(broken("targets", 0, "client_authentication", value=None)),
            "client_authentication should be one of",
        ),
        (json.dumps(broken("targets", 0, "groups", 0, "groups", value=[{"code": "x"}])), r"groups\[0\] has no name"),
        (json.dumps(broken("targets", 0, "certificates", 0, "names", value=7)), r"certificates\[0\]\.names should be"),
        (json.dumps(broken("targets", 0, "clients", value=[1])), r"clients\[0\] should be a mapping, and is 1"),
    ],
)
def test_a_broken_document_is_one_sentence(tmp_path: Path, text: str, why: str) -> None:
    """It names the file and what is wrong."""
    path = tmp_path / "saved.json"
    path.write_text(text)
    with pytest.raises(Unreadable, match=why) as error:
        document_reading.read(path)
    assert str(error.value).startswith(str(path))


WRONG: tuple[object, ...] = (
    *(None, True, False, -1, 0, 3, 300, 10**30, 0.5, float("inf"), float("nan")),
    *(
        "",
        "x",
        "0xFFFF",
        "-F",
        "TLSv1.3",
        "SILENT",
        "RSA \N{SUPERSCRIPT TWO}",
        "RSA " + "9" * 5000,
        "\ud800",
        "\x1b[2J",
    ),
    *("yesterday", "2026-01-01", "2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    *([], [None], ["x"], [1], [[]], [{}], {}, {"x": 1}, {"TLSv1.2": {}}),
)
"""Values of every type, and such as have the right type and are hard to digest."""


def places(node: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:  # noqa: ANN401 - it is JSON
    """Give the way to each value in a document."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inside:
        yield (*way, key)
        yield from places(value, (*way, key))


def damaged(document: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Give a document with each of its values in turn taken away, or another one; and the place."""
    for *way, last in list(places(document)):
        around: Any = document
        for step in way:
            around = around[step]
        whole = around[last]
        for value in WRONG:
            around[last] = value
            yield (*way, last), json.dumps(document)
        if isinstance(around, dict):
            before = dict(around)
            del around[last]
            yield (*way, last), json.dumps(document)
            around.clear()
            around.update(before)
        around[last] = whole


RARE = replace(
    ODD,
    groups=ODD.groups[:1],
    certificates=GOOD.certificates,
    clients=(*GOOD.clients[:1], *ODD.clients),
    contradictions=("It says this and that.",),
)
"""A posture with one of everything that a document can have."""


def read_or_refused(text: str) -> tuple[tuple[Posture, ...], str]:
    """Return what a document says, and why it was refused."""
    try:
        return from_json(json.loads(text)), ""
    except Unreadable as error:
        return (), str(error)


def test_a_damaged_document_is_read_or_refused() -> None:
    """Whatever is wrong in it, the sentence names the place, or it can be judged, shown and compared all the same."""
    read, count = set[str](), 0
    for way, text in damaged(written(RARE)):
        count += 1
        postures_read, why = read_or_refused(text)
        place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in way[:-1])[1:]
        assert postures_read or place in why or way == ("targets",)
        for after in postures_read:
            if repr(after) not in read:
                read.add(repr(after))
                terminal.picture(after)
                changes_between(after, after)
                changes_between(RARE, after)
                changes_between(after, RARE)
    assert count > 1000
    assert 100 < len(read) < count / 2


def test_a_document_that_is_too_deep() -> None:
    """Intermediates within intermediates, without end, are no document either."""
    found = written(GOOD)
    certificate = found["targets"][0]["certificates"][0]["intermediates"][0]
    for _ in range(2000):
        certificate["intermediates"] = [dict(certificate)]
        certificate = certificate["intermediates"][0]
    with pytest.raises(Unreadable, match="too deep"):
        from_json(found)


def test_a_key_that_nobody_described_is_let_pass() -> None:
    """A later meshproof may write more, in the same format."""
    found = written(GOOD)
    found["more"] = found["targets"][0]["more"] = found["targets"][0]["certificates"][0]["more"] = 1
    assert from_json(found) == (GOOD,)


def test_text_that_is_no_text(tmp_path: Path) -> None:
    """Octets that are not UTF-8, and a directory, are told as such."""
    (tmp_path / "saved.json").write_bytes(b"\xff\xfe")
    with pytest.raises(Unreadable, match="not text in UTF-8"):
        document_reading.read(tmp_path / "saved.json")
    with pytest.raises(Unreadable, match="cannot be read"):
        document_reading.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("processor : 0\nflags\t\t: fpu vme aes avx\n", True),
        ("flags\t\t: fpu vme avx vaes\n", False),
        ("Features\t: fp asimd aes pmull\n", True),
        ("nothing of the kind", None),
    ],
)
def test_whether_the_machine_has_aes(tmp_path: Path, text: str, has: bool | None) -> None:  # noqa: FBT001 - a row
    """It is a flag of the processor, on x86 and on ARM; where there is no such list it is not known."""
    (tmp_path / "cpuinfo").write_text(text)
    assert machine_has_aes(tmp_path / "cpuinfo") is has
    assert machine_has_aes(tmp_path / "none") is None


def test_rows_as_json() -> None:
    """Each with its target, and whether it is as expected or unknown."""
    rows = [Row("ALPN", "h2", "none"), Row("TLS 1.0", "offered", "?", unknown=True), Row("TLS 1.2", "a", "b", met=True)]
    rows_written = rows_to_json("t:443", rows)
    assert rows_written[0] == {
        "target": "t:443",
        "what": "ALPN",
        "expected": "h2",
        "seen": "none",
        "as_expected": False,
        "unknown": False,
    }
    assert [(row["as_expected"], row["unknown"]) for row in rows_written] == [
        (False, False),
        (False, True),
        (True, False),
    ]
