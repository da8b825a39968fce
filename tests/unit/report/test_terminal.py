"""Pictures on a terminal: each fact is there, at any width, and a stranger's text steers nothing."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console, RenderableType

from meshproof.posture.advice import nothing_known
from meshproof.posture.comparison import Change, Row
from meshproof.posture.difference import changes_between
from meshproof.posture.verdict import BEHIND_PASSTHROUGH, judge, other_server
from meshproof.report import terminal
from meshproof.tls.probe.outcome import Outcome
from meshproof.tls.probe.stream import Address
from meshproof.tls.scanner.findings import ClientAuthentication, Posture, Target
from tests.support import postures
from tests.support.postures import CERTIFICATE, GOOD, SILENT, TLS_1_2, WEAK

EVIL = "\x1b[2J[red]\u202e\x07\r\nowned[/]"


def shown(picture: RenderableType, *, width: int = 160, coloured: bool = False) -> str:
    """Return what is printed."""
    out = io.StringIO()
    colours = "standard" if coloured else None
    Console(file=out, width=width, force_terminal=coloured, color_system=colours).print(picture)  # type: ignore[arg-type]
    return out.getvalue()


def words(picture: RenderableType, *, width: int = 160) -> str:
    """Return what is printed, without its lines and columns."""
    return " ".join(shown(picture, width=width).split())


def test_a_row_is_as_in_the_seed() -> None:
    """Client, protocol, cipher, forward secrecy and the reason; or that there is no connection, and why."""
    lines = [" ".join(line.split()) for line in shown(terminal.clients(GOOD.clients)).splitlines()]
    assert lines[0] == "Client Protocol Cipher Suite Name (OpenSSL) Forward Secrecy Reason"
    connected = (
        "Java 8u161 TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 256 bit ECDH (P-256) It offers the server's first choice."
    )
    assert connected in lines
    assert "IE 6 XP No connection It has no suite in common." in lines


SAFARI = postures.connected("Safari 12.1 (iOS 12.2)", TLS_1_2, "ECDHE-ECDSA-AES256-GCM-SHA384", "x25519")
EVERY_KIND = (
    replace(SAFARI, reason="first hello accepted"),
    replace(SAFARI, name="x", reason="after a HelloRetryRequest for P-256"),
    replace(
        postures.refused("IE 6 XP"), reason=f"alert 40 handshake_failure: {'no cipher suite in common ' * 3}at all"
    ),
    postures.refused("curl", unknown=True),
)


@pytest.mark.parametrize("width", [40, 60, 72, 80, 100, 120, 160, 300])
def test_no_name_of_a_suite_is_cut(width: int) -> None:
    """At any width: the reason goes below the client, and the client's own line above the rest, where room is short."""
    lines = shown(terminal.clients(EVERY_KIND), width=width).splitlines()
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert text.count("ECDHE-ECDSA-AES256-GCM-SHA384") == 2
    assert text.count("No connection") == text.count("Unknown") == 1
    assert "first hello accepted" not in text
    assert "after a HelloRetryRequest for P-256" in " ".join(text.split())
    for client in EVERY_KIND:
        assert client.name.split()[0] in text
    if width >= 80:
        assert [line for line in lines if "TLSv1.2" in line and "253 bit ECDH (X25519)" in line and len(line) > 60]
    if width == 80:
        assert "  after a HelloRetryRequest for P-256" in map(str.rstrip, lines)


def test_the_last_line_counts() -> None:
    """How many findings there are of each severity; nothing is said of none."""
    assert shown(terminal.picture(WEAK)).rstrip().endswith("\n\n7 broken, 12 weak, 6 notes")
    assert words(terminal.picture(replace(GOOD, certificates=()))).endswith("Nothing weak was found.")
    expired = replace(CERTIFICATE, not_after=postures.BEGAN - timedelta(days=1))
    assert shown(terminal.picture(replace(GOOD, certificates=(expired,)))).rstrip().endswith("\n\n1 broken")


def test_a_server_that_is_no_envoy() -> None:
    """One sentence says so for all findings, in place of the word on PASSTHROUGH."""
    assert other_server(WEAK)
    printed = words(terminal.picture(WEAK), width=400)
    assert printed.count(other_server(WEAK) or "") == 1
    assert BEHIND_PASSTHROUGH not in printed


def test_the_unknown_is_no_refusal() -> None:
    """A client of which nothing is known is no client that is refused, and nothing good is said of the server."""
    half = replace(GOOD, clients=SILENT.clients, unreachable=SILENT.unreachable)
    printed = words(terminal.picture(half))
    assert printed.count("Unknown") == len(SILENT.clients)
    assert "No connection" not in printed
    assert (
        "It did not answer to the end: silent until the deadline. What is missing here is not known to be absent."
        in printed
    )
    assert "Nothing weak was found in what is known." in printed
    assert "Could not be found out" not in printed


@pytest.mark.parametrize("posture", [SILENT, replace(SILENT, notes=("A note.",))])
def test_a_target_of_which_nothing_is_known_is_a_sentence(posture: Posture) -> None:
    """And its notes; no table of unknowns."""
    sentence = nothing_known(posture)
    assert sentence
    assert words(terminal.picture(posture)) == " ".join((sentence, *posture.notes))


def test_all_of_a_posture_is_there() -> None:
    """Protocols with their suites in order, groups, ALPN, certificate, client certificate, downgrade."""
    printed = words(terminal.picture(GOOD))
    for word in (
        "127.0.0.1:443 (example.test)",
        "TLS 1.1 not offered (alert 70 protocol_version)",
        "[ECDHE-RSA-AES128-GCM-SHA256 | ECDHE-RSA-CHACHA20-POLY1305], ECDHE-RSA-AES256-GCM-SHA384",
        "X25519, P-256 (the server's order)",
        "h2, http/1.1",
        "CN=example.test, RSA 2048, sha256WithRSAEncryption, 2026-10-22 to 2027-01-20",
        "names: example.test, *.example.test",
        "Client certificate not requested",
        "issuer: CN=authority then: CN=authority, EC P-384, until 2026-12-11",
        "ALPN h2, http/1.1 Certificate",
        "TLS_FALLBACK_SCSV honoured",
    ):
        assert word in printed
    assert printed.endswith("Nothing weak was found.")
    assert "given" not in printed


def rows(posture: Posture) -> dict[str, str]:
    """Return what is said of the server beside its versions, by the name of the row; the last one of a name."""
    lines = shown(terminal.picture(replace(posture, clients=()))).splitlines()
    facts = [line.split("  ", 1) for line in lines[lines.index("") + 1 :] if not line.startswith(" ")]
    return {fact[0]: fact[1].strip() for fact in facts if len(fact) > 1}


@pytest.mark.parametrize(
    ("changes", "row", "cell"),
    [
        ({"dh_bits": (1024, 2048)}, "DH", "1024 bits, 2048 bits"),
        ({"alpn": ()}, "ALPN", "none"),
        ({"alpn": (), "alpn_complete": False}, "ALPN", "unknown"),
        ({"alpn": ("h2",), "alpn_complete": False}, "ALPN", "h2, and perhaps more"),
        ({"certificates": ()}, "Certificate", "none"),
        ({"certificates": (), "certificates_complete": False}, "Certificate", "unknown"),
        ({"certificates_complete": False}, "Certificate", "perhaps another"),
        ({"fallback_scsv": False}, "TLS_FALLBACK_SCSV", "ignored"),
        ({"fallback_scsv": None}, "TLS_FALLBACK_SCSV", "unknown"),
        ({"fallback_scsv": None, "versions": postures.versions(postures.TLS_1_3)}, "TLS_FALLBACK_SCSV", None),
        ({"client_authentication": ClientAuthentication.UNKNOWN}, "Client certificate", "unknown"),
        ({"credential": Outcome.CLIENT_CERT_EXPIRED}, "Client certificate given", "client certificate expired"),
        ({"credential": None}, "Client certificate given", None),
        ({"listed": False, "alpn": ()}, "ALPN", None),
        ({"listed": False, "certificates": ()}, "Certificate", None),
        ({"listed": False, "client_authentication": ClientAuthentication.UNKNOWN}, "Client certificate", None),
        ({"listed": False}, "Client certificate", "not requested"),
        (
            {"groups": (postures.groups(postures.TLS_1_2, "x25519", decides=False, complete=False),)},
            "Groups, TLS 1.2",
            "X25519, and perhaps more  (the client's first)",
        ),
        ({"groups": (postures.groups(postures.TLS_1_2, "x25519", decides=None),)}, "Groups, TLS 1.2", "X25519"),
    ],
)
def test_none_is_not_unknown(changes: dict[str, Any], row: str, cell: str | None) -> None:
    """A row says that there is nothing only where that is known, and is not there where nobody asked."""
    assert rows(replace(GOOD, **changes)).get(row) == cell


def test_a_list_that_is_not_complete_says_so() -> None:
    """In the cell, and at the end of all in a list of what could not be found out."""
    partial = replace(GOOD, ciphers=(postures.suites(postures.TLS_1_2, postures.GCM, complete=False),), notes=("So.",))
    printed = words(terminal.picture(partial))
    assert f"{postures.GCM}, and perhaps more" in printed
    assert " So. " in printed
    assert printed.endswith("in what is known. Could not be found out: cipher suites of TLS 1.2 RSA")
    empty = replace(GOOD, ciphers=(postures.suites(postures.TLS_1_2, complete=False),))
    assert "TLS 1.2 offered and perhaps more TLS 1.3" in words(terminal.picture(empty))


def test_two_kinds_of_certificates_have_two_lists() -> None:
    """Each with its kind in front; a single one has none."""
    ecdsa = postures.suites(postures.TLS_1_2, "ECDHE-ECDSA-AES128-GCM-SHA256", certificate="ECDSA")
    printed = words(terminal.picture(replace(GOOD, ciphers=(*GOOD.ciphers, ecdsa))))
    assert "TLS 1.2 offered RSA: [ECDHE-RSA" in printed
    assert "ECDSA: ECDHE-ECDSA-AES128-GCM-SHA256" in printed
    assert "RSA: " not in words(terminal.picture(GOOD))


def test_where_the_connections_went() -> None:
    """The endpoint is shown where it says more than the target does."""
    assert shown(terminal.picture(GOOD)).startswith("127.0.0.1:443 (example.test)\n")
    named = replace(GOOD, target=Target(Address("example.test", 443), "example.test"), endpoint="[::1]:443")
    assert shown(terminal.picture(named)).startswith("example.test:443, at [::1]:443\n")
    assert shown(terminal.picture(replace(named, endpoint=None))).startswith("example.test:443\n")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_refusal_is_one_line(width: int) -> None:
    """However narrow the terminal, each version has its answer beside it."""
    lines = [line.strip() for line in shown(terminal.picture(GOOD), width=width).splitlines()]
    assert "TLS 1.1   not offered (alert 70 protocol_version)" in lines
    assert "TLS 1.2   offered" in lines


def test_a_verdict_is_a_list() -> None:
    """Each finding with its severity, reason, source and remedy, and a word on PASSTHROUGH at the end."""
    printed = words(terminal.verdict(judge(WEAK)), width=400)
    for finding in judge(WEAK):
        assert finding.id in printed
        assert finding.why in printed
        assert f"[{finding.source}]" in printed
        assert f"fix: {finding.remedy}" in printed
    assert printed.endswith(BEHIND_PASSTHROUGH)


def test_many_targets_are_a_row_each() -> None:
    """With versions, how many clients connect, and how much is wrong."""
    lines = [" ".join(line.split()) for line in shown(terminal.summary([GOOD, WEAK, SILENT])).splitlines()]
    assert lines[0] == "Target SSLv2 SSLv3 TLS 1.0 TLS 1.1 TLS 1.2 TLS 1.3 Clients Verdict"
    good, weak, silent = (line.removeprefix("127.0.0.1:443 (example.test) ") for line in lines[-3:])
    assert good == "no no no no yes yes 2/3 good"
    assert weak.startswith("yes yes yes yes yes no 1/1 ")
    assert " broken, " in weak
    assert silent == "? ? ? ? ? ? 0/3 unknown: silent until the deadline"


def test_deviations_and_changes_have_their_tables() -> None:
    """What was expected and seen; before and after; and a word when there is nothing to tell."""
    printed = words(terminal.deviations([Row("ALPN", "h2", "none"), Row("TLS 1.0", "offered", "?", unknown=True)]))
    assert "ALPN h2 none" in printed
    assert "TLS 1.0 offered unknown: ?" in printed
    assert words(terminal.deviations([])) == "All is as expected. 0 things were compared."
    met = Row("ALPN", "h2", "h2", met=True)
    assert words(terminal.deviations([met])) == "All is as expected. 1 thing was compared."
    assert words(terminal.deviations([met, Row("TLS 1.0", "a", "b")])) == words(
        terminal.deviations([Row("TLS 1.0", "a", "b")])
    )
    printed = words(terminal.changes([Change("ALPN", "h2", None, "Why.")]))
    assert "ALPN h2 unknown Why." in printed
    assert words(terminal.changes(())) == "Nothing changed."
    renewed = Change("RSA certificate", "old", "new", "Renewed.", renewed=True)
    assert words(terminal.changes([renewed])).endswith("RSA certificate old new Renewed. Nothing else changed.")
    assert "Nothing else changed." not in words(terminal.changes([renewed, Change("ALPN", "h2", "none")]))


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("posture", [GOOD, WEAK, SILENT])
def test_it_fits(posture: Posture, width: int) -> None:
    """No line is wider than the terminal, and no word of a name is lost."""
    for picture in (
        terminal.picture(posture),
        terminal.summary([posture]),
        terminal.verdict(judge(posture)),
        terminal.changes(changes_between(GOOD, posture)),
    ):
        lines = shown(picture, width=width).splitlines()
        assert max(map(len, lines)) <= width
        assert "…" not in "".join(lines)


def test_colour_is_for_terminals() -> None:
    """In a file or a pipe there is none."""
    assert "\x1b" not in shown(terminal.picture(WEAK))
    assert "\x1b[31m" in shown(terminal.picture(WEAK), coloured=True)


def test_a_client_has_the_colour_of_what_it_gets() -> None:
    """Green with forward secrecy in a version of today, red without either, yellow where it is unknown."""
    old = postures.connected("old", postures.TLS_1_0, "ECDHE-RSA-AES128-SHA", "x25519")
    for client, colour in (
        (GOOD.clients[0], "32"),
        (old, "31"),
        (postures.connected("plain", postures.TLS_1_2, "AES128-SHA"), "31"),
        (postures.refused("none"), "31"),
        (postures.refused("unknown", unknown=True), "33"),
    ):
        assert f"\x1b[{colour}m" in shown(terminal.clients([client]), coloured=True), client.name


def test_a_verdict_has_the_colour_of_the_worst() -> None:
    """In a row of many targets; where a part is unknown, that of the unknown."""
    weak = replace(GOOD, ciphers=(postures.suites(postures.TLS_1_2, "RC4-SHA", "AES128-SHA"),))
    assert "\x1b[1;31m1 broken" in shown(terminal.summary([weak]), coloured=True)
    assert "\x1b[32mgood" in shown(terminal.summary([GOOD]), coloured=True)
    assert "\x1b[33mgood, part unknown" in shown(terminal.summary([replace(GOOD, alpn_complete=False)]), coloured=True)


def test_a_strangers_text_steers_nothing() -> None:
    """Names in a certificate, protocols and whatever else a server sends are shown, not obeyed."""
    certificate = replace(CERTIFICATE, subject=EVIL, names=(EVIL,), issuer=EVIL, signature=EVIL, key=EVIL)
    certificate = replace(certificate, intermediates=(certificate,))
    client = replace(GOOD.clients[0], name=EVIL, reason=EVIL)
    evil = replace(GOOD, alpn=(EVIL,), certificates=(certificate,), clients=(client,), notes=(EVIL,))
    refused = replace(postures.refused(EVIL, unknown=True), reason=EVIL)
    pictures = (
        terminal.picture(evil),
        terminal.picture(replace(evil, clients=(*GOOD.clients, refused))),
        terminal.picture(replace(SILENT, target=Target(Address(EVIL, 1), EVIL))),
        terminal.deviations([Row(EVIL, EVIL, EVIL)]),
        terminal.changes(changes_between(GOOD, evil)),
    )
    for picture in pictures:
        printed = shown(picture)
        assert not {"\x1b", "\u202e", "\x07", "\r"} & set(printed)
        assert "[red]" in printed
        assert "owned[/]" in printed
