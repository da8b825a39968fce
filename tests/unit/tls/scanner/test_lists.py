"""What is concluded of a version and of each list, held against a server on paper that does as its settings say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from meshproof.tls.probe.answer import Answer, Offer, Offered
from meshproof.tls.probe.outcome import Outcome, outcome_of_alert
from meshproof.tls.protocol.ciphersuite import CipherSuite
from meshproof.tls.protocol.codes import group_named, suite_named
from meshproof.tls.protocol.codes import suite as suite_of
from meshproof.tls.protocol.hello import ALPN, SERVER_NAME
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner import questions
from meshproof.tls.scanner.alpn import Choice, list_protocols
from meshproof.tls.scanner.groups import group_order
from meshproof.tls.scanner.questions import broad
from meshproof.tls.scanner.refusals import Control
from meshproof.tls.scanner.suites import suite_order
from meshproof.tls.scanner.versions import Version, ask_version, fallback_scsv, first_question, without_key_share
from tests.support.certificates import HOST

Result = TypeVar("Result")
SSL_2, SSL_3, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = ProtocolVersion
GCM, GCM_256, CHACHA = "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"
ECDSA_GCM, ECDSA_GCM_256 = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"
RSA_128, RSA_256, NULL = "AES128-SHA", "AES256-SHA", "NULL-SHA"
NEW = ("TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256")
SILENT = Answer(outcome=Outcome.SILENT)
RESET = Answer(outcome=Outcome.RESET)
HELLO = broad(TLS_1_2)


def alert(number: int) -> Answer:
    """Return the answer of an alert."""
    return Answer(outcome=outcome_of_alert(number), alert=number)


def confirmed(answer: Answer) -> Answer:
    """Return an end that came three times."""
    return replace(answer, confirmed=True)


@dataclass(kw_only=True)
class Paper:
    """A server on paper, which answers at once and the same each time.

    Attributes:
        suites: The cipher suites, best first; those of one inner tuple are liked alike.
        groups: The groups, best first.
        decides: Whether its order of groups counts.
        pinned: The group of its ECDSA certificate, which has to be offered too (RFC 8422 5.1.1).
        alpn: The application protocols, best first.
        version: Its only version.
        instead: What it answers instead; None where that is as above.
        sni: As in ``Asker``.
        answered: As in ``Asker``.
        slowed: As in ``Asker``.
        asked: What it was asked, each with its control.
        verdict: What becomes of an end that proves nothing.
        judged_by: The controls of what was judged; None is the witness.
    """

    suites: Sequence[Sequence[str]] = ((GCM,),)
    groups: Sequence[str] = ("x25519", "secp256r1")
    decides: bool = True
    pinned: str | None = None
    alpn: Sequence[str] = ()
    version: ProtocolVersion = TLS_1_2
    instead: Callable[[Profile], Answer | None] = lambda _: None
    verdict: Callable[[Answer], Answer] = lambda answer: answer
    sni: str | None = HOST
    answered: bool = True
    slowed: bool = False
    asked: list[tuple[Profile, Profile | None]] = field(default_factory=list)
    once: list[Profile] = field(default_factory=list)
    judged_by: list[Control | None] = field(default_factory=list)

    async def ask(self, profile: Profile, *, control: Profile | None = None) -> Answer:
        """Answer, and note the control."""
        self.asked.append((profile, control))
        answer = self._answer(profile)
        return self.verdict(answer) if answer.doubtful else answer

    async def ask_once(self, profile: Profile) -> Answer:
        """Answer."""
        self.once.append(profile)
        return self._answer(profile)

    async def judged(self, profile: Profile, answer: Answer, *, control: Control | None = None) -> Answer:
        """Say what an end is worth: it comes each time, and one beside a control that is answered is confirmed."""
        self.judged_by.append(control)
        if control is None:
            self.asked.append((profile, None))
            return self.verdict(answer)
        assert control.holds(self._answer(control.profile))
        again = self._answer(profile)
        return confirmed(again) if again.doubtful and again.outcome is not Outcome.SILENT else again

    def _answer(self, profile: Profile) -> Answer:
        other = self.instead(profile)
        if other:
            return other
        if self.version not in profile.accepted_versions:
            return alert(70)
        groups = [group for group in self._groups(profile) if group.code in profile.groups]
        for alike in self.suites:
            for suite in sorted(map(suite_named, alike), key=lambda suite: _place(profile.suites, suite.code)):
                needs_group = suite.tls13 or suite.key_exchange == "ECDHE"
                pinned = suite.authentication == "ECDSA" and self.pinned
                hidden = pinned and group_named(pinned).code not in profile.groups
                if suite.code in profile.suites and not hidden and (groups or not needs_group):
                    return Answer(
                        outcome=Outcome.NEGOTIATED,
                        version=self.version,
                        suite=suite,
                        group=groups[0] if needs_group else None,
                        alpn=next((name for name in self.alpn if name in profile.alpn), None),
                        certificates=(self.leaf,) if pinned else (),
                    )
        return alert(40)

    def _groups(self, profile: Profile) -> list[Any]:
        groups = [group_named(name) for name in self.groups]
        return groups if self.decides else sorted(groups, key=lambda group: _place(profile.groups, group.code))

    leaf: bytes = b""


def _place(codes: Sequence[int], code: int) -> int:
    return codes.index(code) if code in codes else len(codes)


def done(work: Coroutine[Any, Any, Result]) -> Result:
    """Wait for the result."""
    return asyncio.run(work)


def names(classes: Sequence[Sequence[CipherSuite]]) -> list[list[str]]:
    """Spell classes of suites."""
    return [[suite.openssl or suite.name for suite in alike] for alike in classes]


def codes(*suites: str) -> tuple[int, ...]:
    """Return the codes of suites, with the signal that follows them before TLS 1.3."""
    return (*(suite_named(name).code for name in suites), 0x00FF)


@pytest.mark.parametrize(
    "suites",
    [
        [[GCM]],
        [[GCM], [CHACHA], [GCM_256]],
        [[RSA_128], [GCM, CHACHA], [RSA_256]],
        [[GCM, CHACHA, GCM_256]],
        [[NULL], [RSA_128], [GCM]],
        [[NULL], [GCM], ["EXP-RC4-MD5"], [RSA_128, RSA_256], ["ADH-AES128-SHA"]],
    ],
    ids=["one", "in order", "some alike", "all alike", "rare before usual", "of three portions"],
)
def test_suites_are_listed_as_the_server_prefers_them(suites: list[list[str]]) -> None:
    """All of them, best first, those together that are liked alike, in whatever portion they were found."""
    order, listing = done(suite_order(Paper(suites=suites), HELLO, suite_named(suites[0][0]), "RSA"))
    assert [set(alike) for alike in names(order.preference)] == [set(alike) for alike in suites]
    assert (order.version, order.certificate, order.complete, order.ordered) == (TLS_1_2, "RSA", True, True)
    portions = len(list(questions.portions(HELLO, questions.suites(TLS_1_2, "RSA"), HOST)))
    assert len(listing.ends) == portions > 1


def test_a_server_without_suites_of_a_kind() -> None:
    """The list is empty, and complete: each portion was refused."""
    order, listing = done(suite_order(Paper(), HELLO, suite_named(GCM), "ECDSA"))
    assert (order.preference, order.complete, order.ordered, listing.items) == ((), True, True, [])


def test_suites_with_an_ecdsa_certificate() -> None:
    """Only those of its kind are offered; the signatures are left alone, for they bind its authorities too."""
    paper = Paper(suites=[[GCM], [ECDSA_GCM_256], [ECDSA_GCM]])
    order, _ = done(suite_order(paper, HELLO, suite_named(GCM), "ECDSA"))
    assert names(order.preference) == [[ECDSA_GCM_256], [ECDSA_GCM]]
    assert {hello.signature_algorithms for hello, _ in paper.asked} == {questions.ALL_SIGNATURES}
    assert all(suite_of(code).authentication == "ECDSA" for hello, _ in paper.asked for code in hello.suites[:-1])
    bare = questions.bare(TLS_1_2)
    done(suite_order(paper, bare, None, "ECDSA"))
    assert paper.asked[-1][0].signature_algorithms == ()


def test_suites_of_tls_1_3() -> None:
    """They have no kind, and no signal after them."""
    paper = Paper(suites=[[each] for each in NEW], version=TLS_1_3)
    order, listing = done(suite_order(paper, broad(TLS_1_3), suite_named(NEW[0]), None))
    assert [suite.name for suite in order.suites] == list(NEW)
    assert (order.certificate, order.complete, order.ordered, len(listing.ends)) == (None, True, True, 1)
    assert {hello.signature_algorithms for hello, _ in paper.asked} == {questions.ALL_SIGNATURES}


def test_the_control_of_a_list() -> None:
    """It is the hello with what was chosen last put back: what ends with the one, and not the other, is refused."""
    paper = Paper(suites=[[RSA_256], [RSA_128]])
    [first, *_] = questions.portions(HELLO, questions.suites(TLS_1_2, "RSA"), HOST)
    _, listing = done(suite_order(paper, HELLO, suite_named(GCM), "RSA"))
    asking = HELLO
    rest = [suite.code for suite in first]
    with_known = [code for code in rest if code != suite_named(GCM).code] + [suite_named(GCM).code]
    assert paper.asked[0] == (questions.with_suites(asking, rest), questions.with_suites(HELLO, with_known))
    rest.remove(suite_named(RSA_256).code)
    put_back = questions.with_suites(asking, [*rest, suite_named(RSA_256).code])
    assert paper.asked[1] == (questions.with_suites(asking, rest), put_back)
    rest.remove(suite_named(RSA_128).code)
    put_back = questions.with_suites(asking, [*rest, suite_named(RSA_128).code])
    assert paper.asked[2] == listing.ends[0] == (questions.with_suites(asking, rest), put_back)
    next_portion = paper.asked[3]
    assert listing.ends[1] == next_portion
    assert next_portion[1]
    assert next_portion[1].suites[-2] == suite_named(RSA_128).code


def test_without_a_suite_that_is_known_there_is_no_control() -> None:
    """The prober then takes its witness; later the hello itself is the control."""
    paper = Paper(suites=[[RSA_256]], instead=lambda hello: None if 0x0035 in hello.suites else alert(40))
    _, listing = done(suite_order(paper, HELLO, None, "ECDSA"))
    assert [control for _, control in paper.asked] == [None] * len(paper.asked)
    assert listing.ends == [(hello, HELLO) for hello, _ in paper.asked]


@pytest.mark.parametrize("answer", [SILENT, RESET, alert(80), alert(112), Answer(outcome=Outcome.UNSTABLE)], ids=str)
def test_a_list_that_ends_without_a_refusal_is_not_complete(answer: Answer) -> None:
    """What the server did not say is unknown; nothing more is asked for then."""
    known = suite_named(GCM).code
    paper = Paper(suites=[[GCM], [RSA_128]], instead=lambda hello: None if known in hello.suites else answer)
    order, listing = done(suite_order(paper, HELLO, suite_named(GCM), "RSA"))
    assert (names(order.preference), order.complete, listing.ends) == ([[GCM]], False, [])
    assert len(paper.asked) == 2


def test_an_end_that_was_confirmed_ends_a_list() -> None:
    """It is a refusal, and has to come again later."""
    known = suite_named(GCM).code
    paper = Paper(instead=lambda hello: None if known in hello.suites else RESET, verdict=confirmed)
    order, listing = done(suite_order(paper, HELLO, suite_named(GCM), "RSA"))
    assert (order.complete, len(listing.ends) > 1) == (True, True)


def test_a_choice_that_was_not_offered_ends_a_list() -> None:
    """Such a server is not understood: its list is not complete."""
    same = Answer(outcome=Outcome.NEGOTIATED, version=TLS_1_2, suite=suite_named(GCM))
    paper = Paper(instead=lambda _: same)
    order, _ = done(suite_order(paper, HELLO, suite_named(GCM), "RSA"))
    assert (names(order.preference), order.complete) == ([[GCM]], False)


def test_an_order_that_changes_is_not_the_servers() -> None:
    """Where the server chooses otherwise than it did, the suites are known, and their order is not."""
    paper = Paper(suites=[[RSA_128], [RSA_256]])

    def of_both(hello: Profile) -> Answer | None:
        return alert(40) if set(hello.suites) == set(codes(RSA_128, RSA_256)) else None

    paper.instead = of_both
    order, _ = done(suite_order(paper, HELLO, suite_named(RSA_128), "RSA"))
    assert (names(order.preference), order.complete, order.ordered) == ([[RSA_128], [RSA_256]], True, False)


def first_wins(paper: Paper, suite: str) -> None:
    """Let a server take a suite from a client that puts it first."""
    code = suite_named(suite).code
    answer = Answer(outcome=Outcome.NEGOTIATED, version=TLS_1_2, suite=suite_named(suite), group=group_named("x25519"))
    paper.instead = lambda hello: answer if hello.suites[0] == code else None


@pytest.mark.parametrize(
    ("suites", "first"),
    [
        ([[GCM], [CHACHA], [RSA_128]], CHACHA),
        ([[GCM], [RSA_128], [CHACHA], [RSA_256]], CHACHA),
        ([[GCM], [RSA_128], [RSA_256]], RSA_128),
    ],
    ids=["ChaCha20 second", "ChaCha20 third", "another one"],
)
def test_a_server_that_takes_what_a_client_puts_first_has_no_order(suites: list[list[str]], first: str) -> None:
    """Some keep to their own order, but for a client that has ChaCha20 first (SSL_OP_PRIORITIZE_CHACHA)."""
    paper = Paper(suites=suites)
    steady, _ = done(suite_order(paper, HELLO, suite_named(GCM), "RSA"))
    assert (names(steady.preference), steady.ordered) == (suites, True)
    last = paper.asked[-1][0].suites
    assert sorted(last) == sorted(codes(*(name for alike in suites for name in alike)))
    assert last[0] == suite_named(first).code
    first_wins(paper, first)
    order, _ = done(suite_order(paper, HELLO, suite_named(GCM), "RSA"))
    assert (set(order.suites), order.complete, order.ordered) == (set(steady.suites), True, False)


@pytest.mark.parametrize("strange", [alert(40), Answer(outcome=Outcome.NEGOTIATED, suite=suite_named(GCM_256))])
def test_portions_that_can_not_be_put_together_have_no_order(strange: Answer) -> None:
    """The server does not choose among the first of each portion: all are known, the order is not."""

    def of_two(hello: Profile) -> Answer | None:
        return strange if set(hello.suites) == set(codes(RSA_128, NULL)) else None

    paper = Paper(suites=[[NULL], [RSA_128]], instead=of_two)
    order, _ = done(suite_order(paper, HELLO, suite_named(RSA_128), "RSA"))
    assert (names(order.preference), order.complete, order.ordered) == ([[RSA_128], [NULL]], True, False)


def elliptic(*suites: str) -> list[CipherSuite]:
    """Return suites."""
    return [suite_named(name) for name in suites]


def groups_of(paper: Paper, *suites: str, hello: Profile = HELLO) -> tuple[list[str], bool | None, bool]:
    """List groups; return their names, whether the server decides, and whether they are all."""
    result = done(group_order(paper, hello, elliptic(*suites)))
    assert result
    assert result[0].version is hello.accepted_versions[0]
    return [str(group) for group in result[0].groups], result[0].server_decides, result[0].complete


@pytest.mark.parametrize("version", [TLS_1_0, TLS_1_2, TLS_1_3])
@pytest.mark.parametrize("decides", [True, False])
def test_groups_are_listed(version: ProtocolVersion, *, decides: bool) -> None:
    """All of them; where the server decides in its order, else in the order of our hello."""
    suites = [[NEW[0]]] if version is TLS_1_3 else [[GCM]]
    paper = Paper(suites=suites, groups=("secp384r1", "x25519", "secp256r1"), decides=decides, version=version)
    listed = ["secp384r1", "x25519", "secp256r1"] if decides else ["x25519", "secp256r1", "secp384r1"]
    assert groups_of(paper, suites[0][0], hello=broad(version)) == (listed, decides, True)


def test_one_group_is_in_no_order() -> None:
    """Whether the server decides can't be told then."""
    assert groups_of(Paper(groups=("secp521r1",)), GCM) == (["secp521r1"], None, True)


def test_the_control_of_a_list_of_groups() -> None:
    """The first has the hello of the version for its control, the others what was chosen last put back."""
    paper = Paper(groups=("secp256r1",))
    result = done(group_order(paper, HELLO, elliptic(GCM)))
    assert result
    _, listing = result
    hello = questions.with_suites(HELLO, [suite_named(GCM).code])
    everything = list(questions.groups(TLS_1_2))
    p256 = group_named("secp256r1").code
    rest = [code for code in everything if code != p256]
    end = (questions.with_groups(hello, rest), questions.with_groups(hello, [*rest, p256]))
    assert paper.asked == [(questions.with_groups(hello, everything), hello), end]
    assert listing.ends == [end]


@pytest.mark.parametrize("suites", [(), (RSA_128,), ("DHE-RSA-AES128-GCM-SHA256",)])
def test_without_an_elliptic_exchange_there_is_no_list_of_groups(suites: tuple[str, ...]) -> None:
    """No suite has a group, and nothing is asked."""
    paper = Paper()
    assert done(group_order(paper, HELLO, elliptic(*suites))) is None
    assert not paper.asked


def test_a_hello_without_groups_lists_none() -> None:
    """A stack that can't bear extensions is not asked for groups."""
    assert done(group_order(Paper(), questions.bare(TLS_1_2), elliptic(GCM))) is None


def test_groups_are_asked_for_with_suites_that_have_some() -> None:
    """A suite without a group would be chosen when no group is left; one with an ECDSA certificate may hide groups."""
    paper = Paper(suites=[[RSA_128], [ECDSA_GCM], [GCM]])
    assert groups_of(paper, RSA_128, ECDSA_GCM, GCM) == (["x25519", "secp256r1"], True, True)
    assert {hello.suites for hello, _ in paper.asked} == {codes(GCM)}


def test_a_list_of_groups_that_is_not_answered() -> None:
    """It is not complete."""
    x25519 = group_named("x25519").code
    paper = Paper(instead=lambda hello: None if x25519 in hello.groups else SILENT)
    assert groups_of(paper, GCM) == (["x25519"], None, False)


def ecdsa(groups: Sequence[str], pinned: str, *, decides: bool) -> Paper:
    """Return a server with nothing but an ECDSA certificate on a curve."""
    curves = {"secp256r1": ec.SECP256R1(), "secp384r1": ec.SECP384R1(), "secp192r1": ec.SECP192R1()}
    return Paper(suites=[[ECDSA_GCM]], groups=groups, pinned=pinned, decides=decides, leaf=shown(curves[pinned]))


def shown(curve: ec.EllipticCurve) -> bytes:
    """Return a certificate with a key on a curve."""
    key, now = ec.generate_private_key(curve), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    begun = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    whole = begun.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return whole.sign(key, SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize("pinned", ["secp256r1", "secp384r1"])
def test_groups_beside_an_ecdsa_certificate(pinned: str) -> None:
    """Its own group stays in every hello: who takes the client's first shows all the others nevertheless."""
    groups = ("x25519", "secp256r1", "secp384r1", "secp521r1")
    paper = ecdsa(groups, pinned, decides=False)
    listed, decides, complete = groups_of(paper, ECDSA_GCM)
    assert (set(listed), decides, complete) == (set(groups), False, True)
    code = group_named(pinned).code
    without = [hello for hello, _ in paper.asked if code not in hello.groups]
    assert len(without) <= 1


def test_groups_that_an_ecdsa_certificate_hides() -> None:
    """Of a server with an order of its own nobody can tell what comes after the certificate's group."""
    groups = ("x25519", "secp256r1", "secp384r1")
    paper = ecdsa(groups, "secp256r1", decides=True)
    assert groups_of(paper, ECDSA_GCM) == (["x25519", "secp256r1"], True, False)
    listing = done(group_order(paper, HELLO, elliptic(ECDSA_GCM)))
    assert listing
    assert (listing[1].complete, listing[1].ends) == (True, [])


def test_a_certificate_that_hides_no_group() -> None:
    """If it comes last in the server's order, all others are seen; nobody can tell that there are no more."""
    paper = ecdsa(("secp384r1", "x25519", "secp256r1"), "secp256r1", decides=True)
    assert groups_of(paper, ECDSA_GCM) == (["secp384r1", "x25519", "secp256r1"], True, False)


def test_a_list_beside_a_certificate_that_is_not_answered() -> None:
    """It is not complete, and neither is one that goes on with a group that was not asked for."""
    x25519, p384 = group_named("x25519").code, group_named("secp384r1").code

    def silent(hello: Profile) -> Answer | None:
        return SILENT if x25519 not in hello.groups and p384 in hello.groups and len(hello.groups) > 2 else None

    paper = ecdsa(("x25519", "secp256r1", "secp384r1"), "secp256r1", decides=False)
    paper.instead = silent
    listed, _, complete = groups_of(paper, ECDSA_GCM)
    assert (listed, complete) == (["x25519"], False)


def test_a_certificate_that_can_not_be_read_pins_nothing() -> None:
    """Then the list ends where the server refuses."""
    for leaf in (b"", b"no certificate"):
        paper = ecdsa(("x25519", "secp256r1"), "secp256r1", decides=True)
        paper.leaf = leaf
        assert groups_of(paper, ECDSA_GCM) == (["x25519", "secp256r1"], True, True)


def test_groups_beside_a_certificate_that_was_not_seen_are_unknown() -> None:
    """The list may have ended where the certificate's group was taken away."""
    once = [RESET]
    paper = ecdsa(["x25519", "secp256r1", "secp384r1"], "secp256r1", decides=False)
    paper.instead = lambda _: once.pop() if once else None
    order, _, complete = groups_of(paper, ECDSA_GCM)
    assert "x25519" in order
    assert not complete


def test_the_certificates_group_is_read() -> None:
    """The hello with suites for ECDSA alone is asked first, and its certificate says the group."""
    paper = ecdsa(("x25519", "secp256r1"), "secp256r1", decides=False)
    groups_of(paper, RSA_128, ECDSA_GCM)
    assert paper.asked[0] == (questions.with_suites(HELLO, [suite_named(ECDSA_GCM).code]), None)


@pytest.mark.parametrize(
    ("first", "second", "back", "scsv"),
    [
        (TLS_1_0, TLS_1_2, alert(86), True),
        (TLS_1_1, TLS_1_2, alert(40), None),
        (TLS_1_2, TLS_1_3, SILENT, None),
        (TLS_1_2, TLS_1_3, None, False),
    ],
)
def test_whether_a_downgrade_is_noticed(
    first: ProtocolVersion, second: ProtocolVersion, back: Answer | None, *, scsv: bool | None
) -> None:
    """A client that falls back from the newest version to the next is refused with alert 86, or let in."""
    offer = Offer(offered=Offered.OFFERED)
    known = [Version(offer, broad(each), SILENT) for each in (first, second)]
    paper = Paper(version=first, instead=lambda _: back)
    assert done(fallback_scsv(paper, known)) is scsv
    assert paper.asked == [(questions.with_fallback(known[0].hello), known[0].hello)]
    assert done(fallback_scsv(paper, known[:1])) is None
    assert done(fallback_scsv(paper, [])) is None
    assert len(paper.asked) == 1
    older = Version(offer, broad(SSL_3), SILENT)
    done(fallback_scsv(paper, [older, *known]))
    assert paper.asked[-1] == paper.asked[0]


@pytest.mark.parametrize(
    ("alpn", "last", "listed", "complete"),
    [
        (("http/1.1", "h2"), Choice(None, known=True), ["http/1.1", "h2"], True),
        (("istio", "h2", "istio-h2"), Choice(None, known=True), ["istio", "h2", "istio-h2"], True),
        (questions.PROTOCOLS, Choice(None, known=True), list(questions.PROTOCOLS), True),
        ((), Choice(None, known=True), [], True),
        (("h2",), Choice(None, known=False), ["h2"], False),
        (("h2",), Choice("spdy/1", known=True), ["h2"], False),
    ],
    ids=["two", "of Istio", "all", "none", "silent", "made up"],
)
def test_application_protocols_are_listed(
    alpn: tuple[str, ...], last: Choice, listed: list[str], *, complete: bool
) -> None:
    """In the server's order; complete where it says that there is no more."""
    offered: list[tuple[str, ...]] = []

    async def choose(protocols: Sequence[str]) -> Choice:
        offered.append(tuple(protocols))
        return next((Choice(each, known=True) for each in alpn if each in protocols), last)

    listing = done(list_protocols(choose))
    assert (listing.items, listing.complete) == (listed, complete)
    assert listing.rest == [each for each in questions.PROTOCOLS if each not in listed]
    assert offered[0] == questions.PROTOCOLS


@pytest.mark.parametrize("answer", [None, alert(40), SILENT])
def test_a_hello_without_a_key_share(answer: Answer | None) -> None:
    """It is used for the lists of TLS 1.3 if it is negotiated; else they are asked for with one."""
    paper = Paper(suites=[[NEW[0]]], version=TLS_1_3, instead=lambda hello: answer if not hello.key_shares else None)
    hello = broad(TLS_1_3)
    chosen = done(without_key_share(paper, hello))
    assert chosen == (hello if answer else questions.without_key_share(hello))
    assert paper.asked == [(questions.without_key_share(hello), hello)]


def concluded(paper: Paper, wanted: ProtocolVersion = TLS_1_2, first: Answer | None = None) -> Version:
    """Find out whether a version is offered."""

    async def work() -> Version:
        answer = first or await paper.ask_once(first_question(wanted, paper.sni))
        return await ask_version(paper, wanted, answer)

    return done(work())


FIRST = first_question(TLS_1_2, HOST)
PORTIONS = 3  # of the suites before TLS 1.3
USUAL, RARE = suite_named(GCM).code, suite_named(NULL).code
USUAL_HELLOS = [
    questions.with_suites(FIRST, [suite.code for suite in portion])
    for portion in questions.portions(FIRST, questions.suites(TLS_1_2), HOST)
]


def test_a_version_that_is_negotiated_is_offered() -> None:
    """One hello is enough."""
    paper = Paper()
    known = concluded(paper)
    assert (known.offer.offered, known.offer.refusal, known.hello) == (Offered.OFFERED, None, known.hello)
    assert known.answer.suite == suite_named(GCM)
    assert USUAL in known.hello.suites
    assert not paper.asked


def test_a_version_with_a_rare_suite_is_offered() -> None:
    """Each portion of the suites is asked for until one is negotiated; the lists go on from there."""
    paper = Paper(suites=[[NULL]])
    known = concluded(paper)
    assert (known.offer.offered, known.answer.suite) == (Offered.OFFERED, suite_named(NULL))
    assert RARE in known.hello.suites
    assert USUAL not in known.hello.suites
    assert [hello for hello, _ in paper.asked][-1] == known.hello
    assert [RARE in hello.suites for hello, _ in paper.asked].count(True) == 1


@pytest.mark.parametrize("wanted", [TLS_1_0, TLS_1_1, TLS_1_3])
def test_a_word_about_the_version_refuses_it_at_once(wanted: ProtocolVersion) -> None:
    """Alert 70, or another version in the answer: no other suite could change that."""
    paper = Paper()
    known = concluded(paper, wanted)
    assert (known.offer.offered, known.offer.refusal, known.offer.alert) == (
        *(Offered.NOT_OFFERED, Outcome.PROTOCOL_VERSION),
        70,
    )
    other = Answer(outcome=Outcome.VERSION_NOT_OFFERED, version=TLS_1_2)
    known = concluded(paper, wanted, other)
    assert (known.offer.offered, known.offer.refusal, known.offer.answered) == (
        *(Offered.NOT_OFFERED, Outcome.VERSION_NOT_OFFERED),
        TLS_1_2,
    )
    assert not paper.asked


@pytest.mark.parametrize("number", [40, 47, 71, 86, 109])
def test_a_version_is_refused_when_all_its_portions_are(number: int) -> None:
    """And a short hello too: what was refused may have been its length."""
    paper = Paper(instead=lambda _: alert(number))
    known = concluded(paper)
    assert (known.offer.offered, known.offer.alert) == (Offered.NOT_OFFERED, number)
    assert [USUAL in hello.suites for hello, _ in paper.asked] == [False] * (PORTIONS - 1) + [True]
    assert paper.asked[-1][0] == questions.short(TLS_1_2)


def test_a_refusal_of_a_long_hello_is_none() -> None:
    """A stack that refuses so many suites, and takes a few, offers the version; its lists build on the short hello."""
    paper = Paper(instead=lambda hello: alert(47) if len(hello.suites) > 40 else None)
    known = concluded(paper)
    assert (known.offer.offered, known.hello) == (Offered.OFFERED, questions.short(TLS_1_2))


@pytest.mark.parametrize("wanted", [SSL_2, SSL_3])
def test_versions_without_extensions_have_no_shorter_hello(wanted: ProtocolVersion) -> None:
    """Nothing is left that could be too much."""
    paper = Paper(instead=lambda _: alert(40))
    assert concluded(paper, wanted).offer.offered is Offered.NOT_OFFERED
    assert len(paper.asked) == (0 if wanted is SSL_2 else PORTIONS - 1)
    doubtful = Paper(instead=lambda _: RESET)
    assert concluded(doubtful, wanted).offer.offered is Offered.UNKNOWN
    assert not [hello for hello, _ in doubtful.asked if hello.extensions]


def test_an_alert_for_want_of_alpn_is_answered_with_some() -> None:
    """A server that insists on an application protocol is asked with all of them, for every portion."""
    paper = Paper(alpn=("h2",), instead=lambda hello: alert(120) if ALPN not in hello.extensions else None)
    known = concluded(paper)
    assert (known.offer.offered, known.hello.alpn) == (Offered.OFFERED, questions.PROTOCOLS)
    rare = Paper(suites=[[NULL]], instead=lambda hello: alert(120) if ALPN not in hello.extensions else None)
    known = concluded(rare)
    assert (known.offer.offered, known.hello.alpn) == (Offered.OFFERED, questions.PROTOCOLS)
    assert len(rare.once) == 2


@pytest.mark.parametrize(
    ("end", "less"),
    [(RESET, 2), (alert(80), 2), (alert(0), 2), (SILENT, 0), (Answer(outcome=Outcome.NOT_TLS), 0)],
    ids=str,
)
def test_of_a_server_that_answered_nothing_a_version_is_unknown(end: Answer, less: int) -> None:
    """No other portion is asked for; where the connection just ended, a short and a bare hello are tried."""
    paper = Paper(answered=False, instead=lambda _: end)
    known = concluded(paper)
    assert (known.offer.offered, known.offer.refusal, known.offer.alert) == (Offered.UNKNOWN, end.outcome, end.alert)
    assert [hello for hello, _ in paper.asked] == [questions.short(TLS_1_2), questions.bare(TLS_1_2)][:less]


@pytest.mark.parametrize("end", [RESET, alert(80), alert(0)], ids=str)
def test_ends_that_were_confirmed_refuse_a_version(end: Answer) -> None:
    """The first portion is judged; where the others end so too, each is one more witness."""
    paper = Paper(instead=lambda _: end, verdict=confirmed)
    known = concluded(paper)
    assert (known.offer.offered, known.offer.refusal, known.offer.alert) == (
        *(Offered.NOT_OFFERED, end.outcome),
        end.alert,
    )
    assert [USUAL in hello.suites for hello, _ in paper.asked] == [True]
    assert [USUAL in hello.suites for hello in paper.once] == [True, *[False] * (PORTIONS - 1)]


@pytest.mark.parametrize(
    ("first", "others", "judged"),
    [
        (RESET, Answer(outcome=Outcome.CLOSED_WITHOUT_ALERT), 0),
        (Answer(outcome=Outcome.CLOSED_WITHOUT_ALERT), RESET, 0),
        (RESET, alert(80), 2),
        (alert(80), RESET, 2),
        (alert(80), alert(90), 2),
        (alert(0), alert(80), 2),
        (RESET, alert(40), 2 + 1),  # and a short hello
    ],
)
def test_a_portion_that_ends_otherwise_is_judged_too(first: Answer, others: Answer, judged: int) -> None:
    """Only an end of the same kind needs no judging; if all are refused, so is the version."""
    paper = Paper(instead=lambda hello: first if USUAL in hello.suites else others, verdict=confirmed)
    known = concluded(paper)
    assert (known.offer.offered, known.offer.refusal) == (Offered.NOT_OFFERED, first.outcome)
    assert len(paper.asked) == 1 + judged


@pytest.mark.parametrize("end", [alert(80), alert(40)], ids=str)
def test_a_portion_that_is_unknown_leaves_the_version_unknown(end: Answer) -> None:
    """One of them may have had the suite; the answer to it is the one that is told."""

    def believed(answer: Answer) -> Answer:
        return confirmed(answer) if answer.alert else answer

    paper = Paper(instead=lambda hello: RESET if USUAL in hello.suites else end, verdict=believed)
    known = concluded(paper)
    assert (known.offer.offered, known.offer.refusal) == (Offered.UNKNOWN, Outcome.RESET)
    paper = Paper(instead=lambda hello: alert(80) if USUAL in hello.suites else RESET, verdict=believed)
    known = concluded(paper)
    assert (known.offer.offered, known.offer.refusal) == (Offered.UNKNOWN, Outcome.RESET)


def test_ends_of_other_portions_are_no_witnesses_where_ends_come_by_chance() -> None:
    """Of a target that has no room for all connections each portion is judged."""
    by_chance = {RARE: RESET}

    def instead(hello: Profile) -> Answer | None:
        return by_chance.pop(RARE, None) if RARE in hello.suites else RESET

    class Crowded(Paper):
        async def ask(self, profile: Profile, *, control: Profile | None = None) -> Answer:
            answer = await super().ask(profile, control=control)
            return self._answer(profile) if answer.doubtful else answer

    assert concluded(Crowded(suites=[[NULL]], slowed=True, instead=instead, verdict=confirmed)).offer == Offer(
        offered=Offered.OFFERED
    )


def test_a_portion_that_is_negotiated_beside_ends_offers_the_version() -> None:
    """A firewall that resets the usual suites hides no other."""
    paper = Paper(suites=[[NULL]], instead=lambda hello: None if RARE in hello.suites else RESET, verdict=confirmed)
    known = concluded(paper)
    assert (known.offer.offered, RARE in known.hello.suites) == (Offered.OFFERED, True)


@pytest.mark.parametrize("end", [RESET, SILENT, alert(80)], ids=str)
def test_a_short_hello_is_tried_where_others_end(end: Answer) -> None:
    """What can't bear a long one may bear a short one; its silence shows no more than that the long one is unknown."""
    paper = Paper(instead=lambda hello: end if len(hello.groups) > 5 else None)
    known = concluded(paper)
    assert (known.offer.offered, known.hello) == (Offered.OFFERED, questions.short(TLS_1_2))
    assert (known.lists_end, known.too_much) == ((False, None) if end is SILENT else (True, USUAL_HELLOS[0]))
    assert paper.judged_by[-1] == Control(questions.short(TLS_1_2), shorter=True)


@pytest.mark.parametrize("end", [RESET, SILENT, alert(80)], ids=str)
def test_a_bare_hello_is_tried_where_others_end(end: Answer) -> None:
    """What can't bear an extension may bear none."""
    paper = Paper(suites=[[RSA_128]], instead=lambda hello: end if hello.extensions else None)
    known = concluded(paper)
    assert (known.offer.offered, known.hello) == (Offered.OFFERED, questions.bare(TLS_1_2))
    assert (known.lists_end, known.too_much) == ((False, None) if end is SILENT else (True, USUAL_HELLOS[0]))
    assert paper.once[-1] == questions.nameless(questions.short(TLS_1_2))
    assert paper.judged_by[-2:] == [Control(questions.bare(TLS_1_2), shorter=True)] * 2


@dataclass(kw_only=True)
class Recovering(Paper):
    """A server on paper that ends connections for a while.

    Attributes:
        until: The hello from which on all is well.
        end: How it ends the others.
    """

    until: Callable[[Profile], bool]
    end: Answer = RESET

    def _answer(self, profile: Profile) -> Answer:
        if self.until(profile):
            self.until = lambda _: True
        return super()._answer(profile) if self.until(profile) else self.end


@pytest.mark.parametrize("end", [RESET, SILENT, alert(80)], ids=str)
@pytest.mark.parametrize("less", [questions.short, questions.bare], ids=["short", "bare"])
@pytest.mark.parametrize("suite", [GCM, RSA_128, NULL])
def test_an_end_by_chance_is_no_word_on_what_is_too_much(
    end: Answer, less: Callable[[ProtocolVersion], Profile], suite: str
) -> None:
    """Where all is well again when less is asked, the usual hello is asked again: its lists miss nothing.

    A suite with a group is never negotiated without extensions, and a rare one not with few suites.
    """
    paper = Recovering(end=end, suites=[[suite]], until=lambda hello: hello == less(TLS_1_2))
    known = concluded(paper)
    assert (known.offer.offered, known.lists_end, known.too_much) == (Offered.OFFERED, True, None)
    assert known.hello in USUAL_HELLOS


@pytest.mark.parametrize("number", [40, 70])
def test_an_end_by_chance_makes_no_refusal_of_less(number: int) -> None:
    """A refusal of a shorter hello, as an end beside it, counts only if the usual one ends each time."""
    paper = Recovering(
        until=lambda hello: not hello.extensions,
        instead=lambda hello: None if hello.extensions else alert(number),
    )
    known = concluded(paper)
    assert (known.offer.offered, known.hello) == (Offered.OFFERED, USUAL_HELLOS[0])


@pytest.mark.parametrize("unknown", [RESET, Answer(outcome=Outcome.UNSTABLE)], ids=str)
def test_what_is_not_shown_to_be_too_much_leaves_lists_unknown(unknown: Answer) -> None:
    """A short hello offers the version for certain; without the name it may be another host that answers."""

    class Unsure(Paper):
        async def judged(self, profile: Profile, answer: Answer, *, control: Control | None = None) -> Answer:
            return unknown if control else await super().judged(profile, answer)

    short = concluded(Unsure(instead=lambda hello: RESET if len(hello.groups) > 5 else None))
    assert (short.offer.offered, short.lists_end) == (Offered.OFFERED, False)
    refused = concluded(Unsure(instead=lambda hello: RESET if len(hello.groups) > 5 else alert(40)))
    assert (refused.offer.offered, refused.offer.refusal) == (Offered.UNKNOWN, Outcome.RESET)
    for sni, offered in ((HOST, Offered.UNKNOWN), (None, Offered.OFFERED)):
        paper = Unsure(sni=sni, suites=[[RSA_128]], instead=lambda hello: RESET if hello.extensions else None)
        bare = concluded(paper)
        assert bare.offer.offered is offered
        assert not (bare.lists_end and offered is Offered.OFFERED)


@pytest.mark.parametrize("answer", [None, alert(40)])
def test_another_host_says_nothing_of_this_one(answer: Answer | None) -> None:
    """If a hello without the name is answered in words, it is the name that ends the others: no bare hello is sent."""
    paper = Paper(suites=[[RSA_128]], instead=lambda hello: RESET if SERVER_NAME in hello.extensions else answer)
    known = concluded(paper)
    assert (known.offer.offered, known.offer.refusal) == (Offered.UNKNOWN, Outcome.RESET)
    assert not [hello for hello, _ in paper.asked if not hello.extensions]


def test_without_a_name_a_bare_hello_is_tried_at_once() -> None:
    """There is no other host then."""
    paper = Paper(sni=None, suites=[[RSA_128]], instead=lambda hello: RESET if hello.extensions else None)
    assert concluded(paper).hello == questions.bare(TLS_1_2)
    assert len(paper.once) == 1


def test_tls_1_3_has_no_bare_hello() -> None:
    """It can't do without extensions."""
    paper = Paper(instead=lambda _: RESET)
    assert concluded(paper, TLS_1_3).offer.offered is Offered.UNKNOWN
    assert not [hello for hello, _ in paper.asked if not hello.extensions]


def test_an_end_of_another_kind_is_not_tried_with_less() -> None:
    """Who answers with another protocol does not do so for the length of a hello."""
    paper = Paper(instead=lambda _: Answer(outcome=Outcome.NOT_TLS))
    known = concluded(paper)
    assert (known.offer.offered, known.offer.refusal) == (Offered.UNKNOWN, Outcome.NOT_TLS)
    assert len(paper.asked) == 1


def test_a_word_to_a_shorter_hello_refuses_the_version() -> None:
    """It is a word on the version: the ends before it were of the length."""
    paper = Paper(instead=lambda hello: RESET if len(hello.groups) > 5 else alert(70))
    known = concluded(paper)
    assert (known.offer.offered, known.offer.refusal) == (Offered.NOT_OFFERED, Outcome.PROTOCOL_VERSION)


@pytest.mark.parametrize(
    ("number", "sni", "offered"),
    [
        (112, HOST, Offered.UNKNOWN),
        (112, None, Offered.UNKNOWN),
        (109, HOST, Offered.NOT_OFFERED),
        (109, None, Offered.UNKNOWN),
        (40, None, Offered.NOT_OFFERED),
    ],
)
def test_a_refusal_of_the_name_says_nothing_of_the_version(number: int, sni: str | None, offered: Offered) -> None:
    """Alert 112 refuses the name; 109 may ask for one where none is sent (RFC 8446 9.2)."""
    paper = Paper(sni=sni, instead=lambda _: alert(number))
    known = concluded(paper)
    assert (known.offer.offered, known.offer.alert) == (offered, number)
