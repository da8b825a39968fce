"""The scan of one target and of many: what is concluded of a whole server, and what a reader is told beside it."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event

import pytest
from trustme import KeyType

from meshproof.certificates.leaf import Leaf
from meshproof.tls import Address, Offered, Options, Outcome, Posture, ProtocolVersion, Target, offers, scan_one
from meshproof.tls.protocol.clients import built_in
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.scanner.findings import ClientAuthentication
from meshproof.tls.scanner.questions import PROTOCOLS
from tests.misbehaviour.relays import Seen, crowded, in_turn, look, numbered, slowly, when
from tests.support.certificates import EXPIRED, HOST, OURS, SERVER, TRUSTED, UNKNOWN
from tests.support.flights import DHE_AES_128_GCM, DONE, X25519, alert, certificate, dhe, ecdhe, record, server_hello
from tests.support.probing import WELL, noting
from tests.support.servers import Behaviour, nobody, reset, say, server_context, serving, speak, stay_silent, tls

SSL_2, SSL_3, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = ProtocolVersion
V = ssl.TLSVersion
IMPATIENT = 0.5  # seconds; for servers that never answer
ENCRYPT_THEN_MAC = 22  # an extension that OpenSSL's client sends, and no hello of a scan
CLIENT = next(client for client in built_in().of("seed") if client.name == "Java 8u161")
ECDSA_LEAF = OURS.server(HOST, key=KeyType.ECDSA)


def scanned(
    server: Behaviour | Address,
    *,
    clients: tuple[Profile, ...] = (),
    timeout: float = 5.0,
    max_time: float = 30.0,
    lists: bool = True,
    credential: Leaf | None = None,
) -> Posture:
    """Scan a server that behaves so, or listens there."""
    options = Options(clients=clients, timeout=timeout, max_time=max_time, lists=lists, credential=credential)
    if isinstance(server, Address):
        return scan_one(Target(server, HOST), options)
    with serving(server) as address:
        return scan_one(Target(address, HOST), options)


def one_version(version: ssl.TLSVersion, *leaves: Leaf) -> Behaviour:
    """Speak one version only."""
    return speak(server_context(*(leaves or (SERVER,)), oldest=version, newest=version))


def is_handshake(seen: Seen) -> bool:
    """Tell the hello of a handshake that is completed."""
    return ENCRYPT_THEN_MAC in seen.extensions


def is_client(seen: Seen) -> bool:
    """Tell the hello of the named client: nobody else offers its suites."""
    return tuple(seen.suites) == CLIENT.suites


def test_a_whole_posture() -> None:
    """Of a server that is well everything is known, and the posture says where, when and how long it took."""
    before, began = datetime.now(UTC), time.monotonic()
    with serving(tls(SERVER)) as address:
        found = scanned(address, clients=(CLIENT,))
    assert found.offered == (TLS_1_2, TLS_1_3)
    assert (found.gaps, found.notes, found.contradictions, found.unreachable) == ((), (), (), None)
    assert (found.endpoint, found.target, found.listed) == (str(address), Target(address, HOST), True)
    assert before <= found.began <= datetime.now(UTC)
    assert 0 < found.seconds <= time.monotonic() - began
    assert 60 < found.connections < 200
    assert [(order.version, order.certificate) for order in found.ciphers] == [(TLS_1_2, "RSA"), (TLS_1_3, None)]
    assert [order.version for order in found.groups] == [TLS_1_2, TLS_1_3]
    assert all(order.groups and order.complete for order in found.groups)
    assert (found.alpn, found.alpn_complete) == (("h2", "http/1.1"), True)
    assert [certificate.fingerprint for certificate in found.certificates] == [SERVER.fingerprint]
    assert found.certificates_complete
    assert found.client_authentication is ClientAuthentication.NOT_REQUESTED
    assert (found.fallback_scsv, found.credential, found.dh_bits) == (True, None, ())
    [client] = found.clients
    assert (client.name, client.answer.negotiated, client.unknown) == (CLIENT.name, True, False)
    assert client.answer.certificates == ()
    assert client.reason


def test_all_connections_are_counted() -> None:
    """Those of completed handshakes are among them: one for each version, and one with our certificate."""
    hellos: list[Seen] = []
    found = scanned(noting(hellos, tls(SERVER, clients=OURS)), credential=TRUSTED)
    assert found.connections == len(hellos)
    assert len([seen for seen in hellos if is_handshake(seen)]) == 3


def test_nothing_is_asked_more_often_than_needed() -> None:
    """Each version once, and at the end once more: that is the control too."""
    server = when(lambda seen: seen.newest == TLS_1_2.code, WELL, say(alert(70)))
    found = scanned(server, lists=False)
    assert (found.offered, found.unreachable, found.connections) == ((TLS_1_2,), None, 2 * len(ProtocolVersion))
    hellos: list[Seen] = []
    with serving(noting(hellos, server)) as address:
        assert offers(address, sni=HOST) == found.versions
    assert len(hellos) == found.connections


def test_what_is_looked_at_by_default() -> None:
    """Lists, no client, five seconds for a connection and a minute for a target."""
    options = Options()
    assert (options.timeout, options.max_time, options.lists, options.all_addresses) == (5, 60, True, False)
    assert (options.clients, options.credential) == ((), None)


def test_primes_are_told() -> None:
    """Each size once, in order."""
    flight = record(server_hello(DHE_AES_128_GCM), certificate(b"leaf"), dhe(1024), DONE)
    longer = record(server_hello(DHE_AES_128_GCM), certificate(b"leaf"), dhe(2048), DONE)
    answers = when(lambda seen: seen.newest == TLS_1_2.code, in_turn(say(longer), say(flight)), say(alert(70)))
    assert scanned(answers, lists=False).dh_bits == (1024, 2048)


def test_versions_alone() -> None:
    """Where no lists are asked for, none is there, and nothing of them is unknown."""
    found = scanned(tls(SERVER), lists=False, clients=(CLIENT,))
    assert (found.listed, found.ciphers, found.groups, found.alpn) == (False, (), (), ())
    assert (found.gaps, found.offered, found.clients[0].answer.negotiated) == ((), (TLS_1_2, TLS_1_3), True)
    assert found.fallback_scsv is None
    assert found.connections < 30


@pytest.mark.parametrize("version", [V.TLSv1, V.TLSv1_2, V.TLSv1_3], ids=["1.0", "1.2", "1.3"])
def test_a_server_of_one_version(version: ssl.TLSVersion) -> None:
    """Everything else is known too, in whatever version it is; there is nothing to fall back to."""
    found = scanned(one_version(version))
    assert [each.code for each in found.offered] == [version.value]
    assert (found.gaps, found.fallback_scsv) == ((), None)
    assert (found.alpn, len(found.certificates)) == (("h2", "http/1.1"), 1)
    assert [order.version.code for order in found.groups] == [version.value]
    assert found.client_authentication is ClientAuthentication.NOT_REQUESTED


def test_a_server_of_old_versions() -> None:
    """Groups are listed once before TLS 1.3, suites for each version."""
    found = scanned(speak(server_context(SERVER, oldest=V.TLSv1, newest=V.TLSv1_2)))
    assert [order.version for order in found.ciphers] == [TLS_1_0, TLS_1_1, TLS_1_2]
    assert [order.version for order in found.groups] == [TLS_1_2]
    assert (found.gaps, found.fallback_scsv) == ((), True)


def test_a_server_of_two_certificates() -> None:
    """Each kind has its list of suites, and both certificates are shown, in TLS 1.2 and in 1.3."""
    for version, kinds in ((V.TLSv1_2, ["RSA", "ECDSA"]), (V.TLSv1_3, [None])):
        found = scanned(one_version(version, SERVER, ECDSA_LEAF))
        shown = {certificate.fingerprint for certificate in found.certificates}
        assert shown == {SERVER.fingerprint, ECDSA_LEAF.fingerprint}
        assert [order.certificate for order in found.ciphers] == kinds
        assert (found.gaps, found.certificates_complete) == ((), True)


@pytest.mark.parametrize("version", [V.TLSv1_2, V.TLSv1_3])
def test_a_certificate_that_is_never_shown_is_not_known(version: ssl.TLSVersion) -> None:
    """A server that does not answer who wants ECDSA alone may have such a certificate."""
    found = scanned(when(lambda seen: seen.only_ecdsa, stay_silent, one_version(version)), timeout=IMPATIENT)
    assert (found.certificates_complete, len(found.certificates)) == (False, 1)
    lists = [("RSA", True), ("ECDSA", False)] if version is V.TLSv1_2 else [(None, True)]
    assert [(order.certificate, order.complete) for order in found.ciphers] == lists
    assert "certificates" in found.gaps


def test_an_end_is_judged_by_what_was_negotiated() -> None:
    """Also where a newer version was refused in words, which would be a control, but a worse one."""
    hellos: list[Seen] = []
    answers = {TLS_1_2.code: WELL, TLS_1_0.code: reset}

    def behave(connection: socket.socket) -> None:
        answers.get(look(connection).newest, say(alert(70)))(connection)

    found = scanned(noting(hellos, behave), lists=False)
    assert (found.offered, found.versions[TLS_1_0].refusal) == ((TLS_1_2,), Outcome.RESET)
    assert [seen.newest for seen in hellos].count(TLS_1_3.code) == 2  # at first and at the end


def test_a_server_without_application_protocols() -> None:
    """It goes on without any: the list is empty, and complete."""
    for version in (V.TLSv1_2, V.TLSv1_3):
        context = server_context(SERVER, oldest=version, newest=version)
        context.set_alpn_protocols([])
        found = scanned(speak(context))
        assert (found.alpn, found.alpn_complete, found.gaps) == ((), True, ())


def test_all_application_protocols_are_found() -> None:
    """Those of Istio too, encrypted or not, in the server's order."""
    for version in (V.TLSv1_2, V.TLSv1_3):
        context = server_context(SERVER, oldest=version, newest=version)
        context.set_alpn_protocols(list(PROTOCOLS[::-1]))
        assert scanned(speak(context)).alpn == PROTOCOLS[::-1]


@pytest.mark.parametrize("version", [V.TLSv1_2, V.TLSv1_3])
@pytest.mark.parametrize(
    ("optional", "wanted"), [(False, ClientAuthentication.REQUIRED), (True, ClientAuthentication.REQUESTED)]
)
def test_whether_a_client_certificate_is_wanted(
    version: ssl.TLSVersion, wanted: ClientAuthentication, *, optional: bool
) -> None:
    """A client without one is refused, or let in, when the handshake is completed."""
    found = scanned(tls(SERVER, clients=OURS, optional=optional, oldest=version, newest=version))
    assert (found.client_authentication, found.gaps) == (wanted, ())


@pytest.mark.parametrize(
    ("leaf", "outcome"),
    [
        (TRUSTED, Outcome.ESTABLISHED),
        (EXPIRED, Outcome.CLIENT_CERT_EXPIRED),
        (UNKNOWN, Outcome.CLIENT_CERT_UNKNOWN_CA),
    ],
    ids=["trusted", "expired", "of another authority"],
)
def test_what_becomes_of_our_certificate(leaf: Leaf, outcome: Outcome) -> None:
    """It is shown to a server that wants one, and the end of the handshake is told."""
    assert scanned(tls(SERVER, clients=OURS), credential=leaf).credential is outcome


def test_a_server_that_wants_no_certificate() -> None:
    """Ours was never shown then, and that is not the same as accepted."""
    assert scanned(tls(SERVER), credential=TRUSTED).credential is Outcome.CLIENT_CERT_NOT_REQUESTED


def test_our_certificate_is_not_shown_in_old_versions() -> None:
    """A handshake of ours has TLS 1.2 and 1.3 only."""
    server = tls(SERVER, clients=OURS, oldest=V.TLSv1, newest=V.TLSv1_1)
    found = scanned(server, credential=TRUSTED)
    assert (found.credential, found.client_authentication) == (
        Outcome.CLIENT_CERT_NOT_SHOWN,
        ClientAuthentication.UNKNOWN,
    )


@pytest.mark.parametrize(
    ("end", "outcome", "times"),
    [(reset, Outcome.RESET, 3), (say(), Outcome.CLOSED_WITHOUT_ALERT, 3), (stay_silent, Outcome.SILENT, 1)],
    ids=["reset", "close", "silence"],
)
def test_a_handshake_that_just_ends_is_unknown(end: Behaviour, outcome: Outcome, times: int) -> None:
    """It is tried three times, each after a control; silence costs one deadline. Then nothing is known.

    A handshake is completed in each version, and one with our certificate.
    """
    hellos: list[Seen] = []
    behind = tls(SERVER, clients=OURS)
    found = scanned(noting(hellos, when(is_handshake, end, behind)), timeout=IMPATIENT, credential=TRUSTED)
    assert found.credential is outcome
    assert found.client_authentication is ClientAuthentication.UNKNOWN
    assert found.unknown
    assert len([seen for seen in hellos if is_handshake(seen)]) == 3 * times


def test_a_handshake_that_ends_in_different_ways_is_unknown() -> None:
    """That is told; nothing is concluded of it."""
    ends = numbered(lambda number: number % 2, reset, say())
    found = scanned(when(is_handshake, ends, tls(SERVER, clients=OURS)))
    assert found.client_authentication is ClientAuthentication.UNKNOWN
    found = scanned(when(is_handshake, ends, tls(SERVER, clients=OURS)), credential=TRUSTED)
    assert found.credential is Outcome.UNSTABLE


def test_a_handshake_that_ends_once_is_tried_again() -> None:
    """What it comes to then is the answer."""
    ends = numbered(lambda number: number < 3, reset, tls(SERVER, clients=OURS))
    found = scanned(when(is_handshake, ends, tls(SERVER, clients=OURS)))
    assert (found.client_authentication, found.gaps) == (ClientAuthentication.REQUIRED, ())


def test_without_a_request_no_handshake_is_completed() -> None:
    """Who asks for no certificate sees none of ours, and no handshake either."""
    hellos: list[Seen] = []
    scanned(noting(hellos, tls(SERVER)))
    assert not [seen for seen in hellos if is_handshake(seen)]


@pytest.mark.parametrize("lists", [True, False])
def test_a_closed_port(*, lists: bool) -> None:
    """Nothing is known but why, and nothing more is asked than each version."""
    with nobody() as address:
        found = scanned(address, lists=lists, clients=(CLIENT,), credential=TRUSTED)
    assert (found.unreachable, found.connections, found.clients, found.credential) == (Outcome.REFUSED, 6, (), None)
    assert {(offer.offered, offer.refusal) for offer in found.versions.values()} == {(Offered.UNKNOWN, Outcome.REFUSED)}
    assert found.listed is False


def test_a_name_that_is_nowhere() -> None:
    """There is no connection, and no endpoint."""
    found = scanned(Address("nowhere.invalid", 443))
    assert (found.unreachable, found.connections, found.endpoint) == (Outcome.NAME_NOT_RESOLVED, 0, None)
    assert {offer.refusal for offer in found.versions.values()} == {Outcome.NAME_NOT_RESOLVED}
    assert list(found.versions) == list(ProtocolVersion)
    assert found.seconds > 0


def test_a_server_that_refuses_everything_is_unknown() -> None:
    """Who never agrees on anything may refuse whoever comes."""
    found = scanned(say(alert(40)), clients=(CLIENT,))
    assert {offer.offered for offer in found.versions.values()} == {Offered.UNKNOWN}
    assert (found.alpn_complete, found.certificates_complete, found.ciphers, found.groups) == (False, False, (), ())
    assert (found.clients[0].answer.refused, found.clients[0].unknown, found.unreachable) == (True, True, None)
    assert "It agreed on nothing" in found.notes[0]


def test_a_server_that_refuses_the_name_is_unknown() -> None:
    """It is there; of what it offers under another name nothing is said."""
    found = scanned(tls(SERVER, names=("other.test",)), clients=(CLIENT,))
    assert found.offered == ()
    assert {found.versions[version].offered for version in (TLS_1_2, TLS_1_3)} == {Offered.UNKNOWN}
    assert (found.certificates_complete, found.alpn_complete, found.unreachable) == (False, False, None)


def test_time_that_is_up_is_told() -> None:
    """What is left is unknown, and a note says how much time there was."""
    found = scanned(slowly(0.05, tls(SERVER)), max_time=0.4, clients=(CLIENT,) * 3)
    assert found.notes == ("Not all was asked: the 0.4 s for a target were over.",)
    assert found.unknown
    assert 0.4 <= found.seconds < 2


def test_a_server_that_limits_connections_is_told() -> None:
    """All is known, and a note says what a reader of the times has to know."""
    found = scanned(crowded(3, reset, slowly(0.02, tls(SERVER))), lists=False, clients=(CLIENT,) * 8)
    assert found.gaps == ()
    assert found.notes == (
        "It ended connections while others were open, or while they came fast: the scan slowed down.",
    )


def test_a_certificate_that_can_not_be_read_is_told() -> None:
    """The others are listed, and there may be more."""
    suite = 0xC02B  # ECDHE-ECDSA-AES128-GCM-SHA256
    flight = record(server_hello(suite), certificate(b"no certificate"), ecdhe(X25519), DONE)
    found = scanned(when(lambda seen: suite in seen.suites and seen.only_ecdsa, say(flight), one_version(V.TLSv1_2)))
    assert len(found.certificates) == 1
    assert found.certificates_complete is False
    [note] = found.notes
    assert note.startswith("It showed a certificate that can't be read: ")


def test_a_client_that_is_refused_at_times_is_unknown() -> None:
    """It has all in common with what is listed, so it is asked again; what it got then contradicts the refusal."""
    times = numbered(lambda number: number == 1, say(alert(40)), tls(SERVER))
    found = scanned(when(is_client, times, tls(SERVER)), clients=(CLIENT,))
    [client] = found.clients
    assert (client.answer.outcome, client.unknown) == (Outcome.UNSTABLE, True)
    assert client.reason.endswith("the same hello was refused only at times")
    [contradiction] = found.contradictions
    assert contradiction == (
        f"{CLIENT.name} was refused at one time (HANDSHAKE_FAILURE (alert 40 handshake_failure)) and not at another"
    )
    assert found.versions[TLS_1_1].offered is Offered.UNKNOWN


def test_a_client_that_is_refused_each_time_is_refused() -> None:
    """Three refusals in words are no accident, whatever their reason."""
    hellos: list[Seen] = []
    found = scanned(noting(hellos, when(is_client, say(alert(40)), tls(SERVER))), clients=(CLIENT,))
    assert (found.clients[0].answer.alert, found.clients[0].unknown, found.contradictions) == (40, False, ())
    assert len(list(filter(is_client, hellos))) == 3


def test_a_client_without_anything_in_common_is_asked_once() -> None:
    """Its refusal is what the lists say."""
    hellos: list[Seen] = []
    server = tls(SERVER, oldest=V.TLSv1_3)
    found = scanned(noting(hellos, server), clients=(CLIENT,))
    assert found.clients[0].answer.refused
    assert len(list(filter(is_client, hellos))) == 1


def test_a_version_that_is_refused_later_is_a_contradiction() -> None:
    """Each version that is offered is asked for once more at the end."""
    twelve: list[Seen] = []

    def is_last(seen: Seen) -> bool:
        if seen.newest == TLS_1_2.code:
            twelve.append(seen)
        return seen.newest == TLS_1_2.code and len(twelve) > 1 and set(twelve[0].suites) <= set(seen.suites)

    with serving(when(is_last, say(alert(70)), tls(SERVER))) as address:
        found = scanned(address, lists=False)
    assert found.contradictions == (
        f"{TLS_1_2} was negotiated at one time and refused at another (PROTOCOL_VERSION (alert 70 protocol_version))",
    )
    assert found.versions[TLS_1_2].offered is Offered.OFFERED
    assert found.versions[TLS_1_0].offered is Offered.UNKNOWN


def test_what_was_refused_is_asked_for_again() -> None:
    """A version that was refused at first and is negotiated at the end is offered, and that is a contradiction."""
    eleven = numbered(lambda number: number == 1, say(alert(70)), one_version(V.TLSv1_1))
    found = scanned(when(lambda seen: seen.newest == TLS_1_1.code, eleven, tls(SERVER)), lists=False)
    assert found.versions[TLS_1_1].offered is Offered.OFFERED
    assert found.contradictions == (f"{TLS_1_1} was refused at one time (PROTOCOL_VERSION) and negotiated at another",)


def test_the_end_of_a_list_is_asked_for_again() -> None:
    """A suite that is negotiated where the list had ended belongs to it, and the list is not complete."""
    known: set[tuple[int, ...]] = set()

    def is_end(seen: Seen) -> bool:
        """Tell the first hello of TLS 1.2 that lacks one suite."""
        if seen.newest != TLS_1_2.code or seen.only_ecdsa or 0xC02F in seen.suites or seen.suites in known:
            return False
        known.add(seen.suites)
        return len(seen.suites) > 20

    found = scanned(when(is_end, say(alert(40)), one_version(V.TLSv1_2)))
    assert found.contradictions
    assert not found.ciphers[0].complete
    assert found.unknown


def is_extended(seen: Seen) -> bool:
    """Tell a hello with extensions."""
    return bool(seen.extensions)


def test_what_was_too_much_is_asked_for_again() -> None:
    """A server that bore no extension until a list had ended, and bears them later, contradicts itself."""
    usual = {0x002F, 0x0035}  # with AES, and no group
    ended = Event()

    def is_ill(seen: Seen) -> bool:
        if seen.newest == TLS_1_0.code and not seen.extensions and not usual & set(seen.suites):
            ended.set()
        return is_extended(seen) and not ended.is_set()

    found = scanned(when(is_ill, reset, one_version(V.TLSv1)))
    assert found.contradictions
    assert [order.complete for order in found.ciphers] == [False]
    always = scanned(when(is_extended, reset, one_version(V.TLSv1)))
    assert not always.contradictions
    assert [(order.complete, {suite.code for suite in order.suites}) for order in always.ciphers] == [(True, usual)]


def test_a_word_to_a_hello_without_extensions_is_not_enough_of_a_first_word() -> None:
    """A server that has room for no other hello at first answers one with extensions soon: all is judged by that."""
    found = scanned(when(is_extended, numbered(lambda number: number <= 12, reset, tls(SERVER)), tls(SERVER)))
    assert found.offered == (TLS_1_2, TLS_1_3)
    assert not found.gaps


def test_a_first_word_is_waited_for() -> None:
    """A server that ends every connection at first gets a little time."""
    found = scanned(numbered(lambda number: number <= 8, reset, tls(SERVER)))
    assert found.offered == (TLS_1_2, TLS_1_3)
    assert found.unreachable is None


def test_only_so_long() -> None:
    """Then it is unreachable, and its end is told."""
    found = scanned(reset, timeout=0.3, clients=(CLIENT,))
    assert (found.unreachable, found.offered, found.clients) == (Outcome.RESET, (), ())
    assert 0.3 <= found.seconds < 0.95  # a second is what a patient scan would wait


def test_a_client_may_have_the_first_word() -> None:
    """What is known to answer one client is there, and the others are refused beside it."""
    client = replace(CLIENT, suites=CLIENT.suites[:3])

    def is_it(seen: Seen) -> bool:
        return seen.suites == client.suites

    found = scanned(when(is_it, tls(SERVER), reset), clients=(client,))
    assert found.unreachable is None
    assert found.clients[0].answer.negotiated
