"""The prober: what an end without a word is worth, how it slows down, when it gives up, and what it remembers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from meshproof.machine.wait import pause
from meshproof.tls.probe.answer import REFUSING_ALERTS, Answer
from meshproof.tls.probe.outcome import Alert, Outcome
from meshproof.tls.protocol.hello import Hello
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner import connections
from meshproof.tls.scanner.connections import AT_ONCE, CONNECTIONS
from meshproof.tls.scanner.prober import Prober
from meshproof.tls.scanner.questions import bare, broad, for_certificate, nameless, with_suites
from meshproof.tls.scanner.refusals import Control
from tests.misbehaviour.relays import Seen, after, in_turn, limited, numbered, when
from tests.support.certificates import HOST, OURS, SERVER
from tests.support.flights import (
    CERTIFICATE_REQUEST,
    DONE,
    ECDHE_AES_128_GCM,
    P256,
    RSA_AES_128,
    X25519,
    alert,
    certificate,
    ecdhe,
    hello_13,
    record,
    retry,
    server_hello,
)
from tests.support.probing import IMPATIENT, WELL, Crowd, noting, probing
from tests.support.servers import Behaviour, nobody, reset, say, stay_silent, tls, until_then

SSL_2, SSL_3, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = ProtocolVersion
NULL_SUITE = 0x003B
GOOD = broad(TLS_1_2)
OLD = broad(TLS_1_0)
STRANGE = 65000  # the code of an extension that nobody knows
LONG = replace(GOOD, extensions=(*GOOD.extensions, STRANGE), bodies={STRANGE: bytes(300)})

OTHER_ALERTS = [each for each in Alert if each not in REFUSING_ALERTS and each is not Alert.UNRECOGNIZED_NAME]
ENDS = {"reset": reset, "close": say(), **{f"alert {each}": say(alert(each)) for each in OTHER_ALERTS}}


def is_old(seen: Seen) -> bool:
    """Tell a hello of TLS 1.0."""
    return seen.newest == TLS_1_0.code


def ending(end: Behaviour, hurts: Callable[[Seen], object] = is_old) -> Behaviour:
    """Be well, but for some hellos."""
    return when(hurts, end, WELL)


async def both(prober: Prober) -> Answer:
    """Ask for what is answered, then for what is not."""
    assert (await prober.ask(GOOD)).negotiated
    return await prober.ask(OLD)


def order(hellos: list[Seen]) -> str:
    """Spell the hellos that came: S for one of TLS 1.0, C for any other."""
    return "".join("S" if is_old(seen) else "C" for seen in hellos)


@pytest.mark.parametrize("number", sorted(REFUSING_ALERTS))
def test_an_alert_about_the_offer_refuses_at_once(number: int) -> None:
    """It is a word of the server: nobody asks twice."""
    hellos: list[Seen] = []
    seen = probing(noting(hellos, ending(say(alert(number)))), both)
    assert (seen.alert, seen.refused, seen.confirmed, seen.conclusive, seen.doubtful) == (
        *(number, True, False, True),
        False,
    )
    assert order(hellos) == "CS"


@pytest.mark.parametrize("end", ENDS)
def test_any_other_end_refuses_if_it_comes_three_times_between_controls(end: str) -> None:
    """The first one proves nothing; then three more, with controls before, between and after them."""
    hellos: list[Seen] = []
    seen = probing(noting(hellos, ending(ENDS[end])), both)
    assert (seen.negotiated, seen.refused, seen.confirmed, seen.conclusive) == (False, True, True, True)
    assert order(hellos) == "CS" + "CCS" + "CCS" + "CCCS" + "C"


@pytest.mark.parametrize("end", ENDS)
def test_without_a_control_nothing_is_believed(end: str) -> None:
    """Of a server that has answered nothing yet, an end is what it is."""
    hellos: list[Seen] = []
    seen = probing(noting(hellos, ENDS[end]), lambda prober: prober.ask(OLD))
    assert (seen.refused, seen.confirmed, seen.conclusive, seen.doubtful) == (False, False, False, True)
    assert len(hellos) == 1


def test_a_reset_and_a_close_are_alike() -> None:
    """A proxy in between may turn one into the other."""
    ends = numbered(lambda number: number % 2, reset, say())
    assert probing(ending(ends), both).confirmed


@pytest.mark.parametrize(
    ("one", "other"),
    [(say(alert(80)), reset), (say(alert(80)), say(alert(90))), (say(b"HTTP/1.1 400\r\n\r\n"), reset)],
    ids=["alert and reset", "two alerts", "HTTP and reset"],
)
def test_ends_of_different_kinds_prove_nothing(one: Behaviour, other: Behaviour) -> None:
    """A mixed answer is unknown."""
    seen = probing(ending(numbered(lambda number: number % 2, one, other)), both)
    assert (seen.outcome, seen.refused, seen.conclusive) == (Outcome.UNSTABLE, False, False)
    assert "ended in different ways" in seen.remark


def test_another_protocol_is_no_refusal_however_often_it_comes() -> None:
    """What came is no word and no end of TLS."""
    seen = probing(ending(say(b"HTTP/1.1 400\r\n\r\n")), both)
    assert (seen.outcome, seen.confirmed, seen.refused) == (Outcome.NOT_TLS, False, False)


def test_what_is_answered_after_all_is_answered() -> None:
    """Where a hello is negotiated when it is sent alone, its first end was an accident."""
    seen = probing(ending(until_then(1, reset, say(record(server_hello(RSA_AES_128, version=0x0301), DONE)))), both)
    assert (seen.outcome, seen.version) == (Outcome.NEGOTIATED, TLS_1_0)


def test_a_refusal_in_words_after_an_end_is_the_answer() -> None:
    """It speaks for the offer, and the end before it for nothing."""
    seen = probing(ending(until_then(1, reset, say(alert(70)))), both)
    assert (seen.alert, seen.refused, seen.confirmed) == (70, True, False)


@pytest.mark.parametrize("times", [2, 3])
def test_what_was_answered_between_ends_is_unknown(times: int) -> None:
    """The same hello is answered once and ended at another time, again and again."""
    old = say(record(server_hello(RSA_AES_128, version=0x0301), DONE))
    in_turn = numbered(lambda number: number % (times + 1), reset, old)

    async def work(prober: Prober) -> tuple[Answer, bool]:
        return await both(prober), prober.by_chance

    seen, by_chance = probing(ending(in_turn), work)
    assert (seen.outcome, seen.refused, seen.confirmed, seen.conclusive) == (Outcome.UNSTABLE, False, False, False)
    assert by_chance


def test_a_target_that_was_slowed_down_is_asked_six_times() -> None:
    """Once an end was an accident, three in a row are not enough; the numbers of controls differ."""
    hellos: list[Seen] = []

    async def work(prober: Prober) -> Answer:
        prober.slowed = True
        return await both(prober)

    assert probing(noting(hellos, ending(reset)), work).confirmed
    assert order(hellos) == "CS" + "CCS" + "CCS" + "CCCS" + "CCCCS" + "CCS" + "CCCS" + "C"


def test_the_sixth_end_counts() -> None:
    """What is answered at the sixth try, and then again, is no refusal."""
    old = say(record(server_hello(RSA_AES_128, version=0x0301), DONE))

    async def work(prober: Prober) -> Answer:
        prober.slowed = True
        return await both(prober)

    assert probing(ending(numbered(lambda number: number not in (7, 13), reset, old)), work).outcome is Outcome.UNSTABLE


def test_six_tries_for_all_once_one_was_answered() -> None:
    """Where of several hellos one is answered when it is alone, the others are tried six times."""
    hellos: list[Seen] = []
    modern = broad(TLS_1_1)
    answered = until_then(1, reset, say(record(server_hello(RSA_AES_128, version=0x0302), DONE)))
    server = when(lambda seen: seen.newest == TLS_1_1.code, answered, ending(reset))

    async def work(prober: Prober) -> tuple[Answer, Answer]:
        await prober.ask(GOOD)
        return await asyncio.gather(prober.ask(OLD), prober.ask(modern))

    old, new = probing(noting(hellos, server), work)
    assert (old.confirmed, new.version) == (True, TLS_1_1)
    assert order(hellos).count("S") == 1 + 6


def test_a_control_that_fails_lets_nothing_be_believed() -> None:
    """A server that ends every hello for a while has not refused those that are asked for meanwhile."""
    hellos: list[Seen] = []

    async def work(prober: Prober) -> tuple[Answer, bool]:
        return await both(prober), prober.slowed

    old = say(record(server_hello(RSA_AES_128, version=0x0301), DONE))
    seen, slowed = probing(
        noting(hellos, numbered(lambda number: 2 <= number <= 4, reset, when(is_old, old, WELL))), work
    )
    assert (seen.version, slowed) == (TLS_1_0, True)


def test_a_control_has_the_length_of_what_is_judged() -> None:
    """Where a long hello ends, a long control must not; it is padded to a round number of octets."""
    hellos: list[Seen] = []
    strange = noting(hellos, when(lambda seen: STRANGE in seen.extensions, reset, WELL))

    async def work(prober: Prober) -> Answer:
        await prober.ask(GOOD)
        return await prober.ask(LONG)

    assert probing(strange, work).confirmed
    longest = len(Hello(LONG, HOST).first())
    sizes = {seen.size + 5 for seen in hellos if STRANGE not in seen.extensions}
    assert sizes == {len(Hello(GOOD, HOST).first()), next(each for each in (250, 500, 1000, 1390) if each >= longest)}


def test_a_hello_that_is_too_long_is_not_refused() -> None:
    """If a control of the same length ends too, it is the length that is judged; the answer says so."""
    room = len(Hello(GOOD, HOST).first()) + 5

    async def work(prober: Prober) -> tuple[Answer, int | None]:
        await prober.ask(GOOD)
        return await prober.ask(LONG), prober.too_long

    hellos: list[Seen] = []
    seen, too_long = probing(noting(hellos, when(lambda seen: seen.size > room, reset, WELL)), work)
    assert (seen.outcome, seen.refused, seen.conclusive) == (Outcome.RESET, False, False)
    assert (seen.remark, too_long) == ("the server answers no hello of this length", 1000)
    assert [STRANGE in seen.extensions for seen in hellos].count(True) == 1


@pytest.mark.parametrize(
    ("what", "codes"), [("suites", "suites"), ("groups", 10), ("signature algorithms", 13)], ids=str
)
def test_a_control_offers_all_that_is_judged(what: str, codes: str | int) -> None:
    """A firewall that resets whoever offers something refuses no version."""
    hurt = NULL_SUITE.to_bytes(2, "big")

    def hurts(seen: Seen) -> bool:
        return NULL_SUITE in seen.suites if isinstance(codes, str) else hurt in seen.extensions.get(codes, b"")

    judged = {
        "suites": replace(OLD, suites=(*OLD.suites, NULL_SUITE)),
        "groups": replace(OLD, groups=(*OLD.groups, NULL_SUITE)),
        "signature algorithms": replace(
            broad(TLS_1_2), suites=GOOD.suites[1:], signature_algorithms=(*GOOD.signature_algorithms, NULL_SUITE)
        ),
    }[what]
    hello = with_suites(GOOD, [ECDHE_AES_128_GCM])

    async def work(prober: Prober) -> Answer:
        assert (await prober.ask(hello)).negotiated
        return await prober.ask(judged)

    seen = probing(when(hurts, reset, WELL), work)
    assert (seen.outcome, seen.refused) == (Outcome.RESET, False)


def test_a_control_can_be_given() -> None:
    """Then it is sent as it is, in the place of what is known to be answered."""
    hellos: list[Seen] = []
    control = with_suites(GOOD, [ECDHE_AES_128_GCM, RSA_AES_128])

    async def work(prober: Prober) -> Answer:
        await prober.ask(GOOD)
        return await prober.ask(OLD, control=control)

    assert probing(noting(hellos, ending(reset)), work).confirmed
    given = [seen.suites == control.suites for seen in hellos if not is_old(seen)]
    assert given == [False, False, *[True] * 8]
    assert order(hellos) == "CS" + "CC" + "CSCCSCCCSC"


def test_a_given_control_that_ends_too_refuses_nothing() -> None:
    """The witness is answered, the control never."""
    control = with_suites(GOOD, [RSA_AES_128])
    hurts = when(lambda seen: ECDHE_AES_128_GCM not in seen.suites, reset, WELL)

    async def work(prober: Prober) -> Answer:
        await prober.ask(GOOD)
        return await prober.ask(with_suites(OLD, [RSA_AES_128]), control=control)

    seen = probing(hurts, work)
    assert (seen.outcome, seen.refused, seen.remark) == (Outcome.RESET, False, "")


def test_a_control_that_is_answered_at_times_is_one() -> None:
    """It has three chances, each beside the witness; then the hello is judged by it."""
    control = with_suites(GOOD, [RSA_AES_128, ECDHE_AES_128_GCM])
    server = when(lambda seen: seen.suites == control.suites, numbered(lambda number: number == 1, reset, WELL), WELL)
    hellos: list[Seen] = []

    async def work(prober: Prober) -> Answer:
        await prober.ask(GOOD)
        return await prober.ask(OLD, control=control)

    assert probing(noting(hellos, when(is_old, reset, server)), work).confirmed


def test_a_control_is_not_believed_to_fail_while_the_witness_does() -> None:
    """What both don't get may be an outage."""
    control = with_suites(GOOD, [RSA_AES_128, ECDHE_AES_128_GCM])
    server = numbered(lambda number: number in (4, 5), reset, ending(reset))

    async def work(prober: Prober) -> Answer:
        await prober.ask(GOOD)
        return await prober.ask(OLD, control=control)

    assert probing(server, work).confirmed


def test_a_client_is_judged_by_the_witness_as_it_is() -> None:
    """Where a HelloRetryRequest is followed, the control is no more than what was answered."""
    hellos: list[Seen] = []
    client = replace(OLD, suites=(*OLD.suites, 0x1234))

    async def work(prober: Prober) -> Answer:
        await prober.ask(GOOD)
        return await prober.ask(client, follow=True)

    assert probing(noting(hellos, ending(reset)), work).confirmed
    assert not any(0x1234 in seen.suites for seen in hellos if not is_old(seen))


def test_a_witness_without_extensions_judges_none_with_some() -> None:
    """A stack that can't bear extensions ends both hellos with some: that says nothing of the version."""

    async def work(prober: Prober) -> tuple[Answer, Answer]:
        await prober.ask(bare(TLS_1_2))
        return await prober.ask(OLD), await prober.ask(bare(TLS_1_0))

    flight = record(server_hello(RSA_AES_128), DONE)
    server = when(lambda seen: seen.extensions or is_old(seen) or seen.version == TLS_1_0.code, reset, say(flight))
    with_some, without = probing(server, work)
    assert (with_some.conclusive, without.confirmed) == (False, True)


def test_a_witness_of_ssl2_judges_nothing() -> None:
    """It has neither extensions nor a version of TLS."""

    async def work(prober: Prober) -> Answer:
        await prober.ask(broad(SSL_2))
        assert prober.witness
        return await prober.ask(broad(SSL_3))

    server = when(lambda seen: seen.ssl2, say(bytes.fromhex("800b 04 00 01 0002 0000 0000 0000")), reset)
    assert not probing(server, work).conclusive


def test_a_name_is_refused_only_beside_its_own_answers() -> None:
    """Alert 112 where the same name was answered is an end like any other; where nothing was, it is the answer."""

    async def first(prober: Prober) -> Answer:
        return await prober.ask(OLD)

    assert probing(ending(say(alert(112))), both).confirmed
    seen = probing(ending(say(alert(112))), first)
    assert (seen.confirmed, seen.refused, seen.doubtful) == (False, False, False)


def test_a_name_is_not_refused_beside_a_refusal() -> None:
    """A refusal of another hello does not say that the name is known."""
    hellos: list[Seen] = []

    async def work(prober: Prober) -> Answer:
        prober.witness = Control(GOOD, 70)
        return await prober.ask(OLD)

    seen = probing(noting(hellos, when(is_old, say(alert(112)), say(alert(70)))), work)
    assert (seen.alert, seen.confirmed, len(hellos)) == (112, False, 1)


def test_what_is_always_refused_in_the_same_words_is_a_control() -> None:
    """It shows that the server is there: an end beside it is confirmed."""

    async def work(prober: Prober) -> Answer:
        prober.witness = Control(GOOD, 70)
        return await prober.ask(OLD)

    assert probing(when(is_old, reset, say(alert(70))), work).confirmed
    assert not probing(when(is_old, reset, say(alert(40))), work, timeout=IMPATIENT).confirmed


def test_when_a_control_holds() -> None:
    """It is answered as it was before: with a connection, or with the same alert."""
    yes, no = Answer(outcome=Outcome.NEGOTIATED), Answer(outcome=Outcome.PROTOCOL_VERSION, alert=70)
    other = Answer(outcome=Outcome.HANDSHAKE_FAILURE, alert=40)
    assert [Control(GOOD).holds(each) for each in (yes, no, other)] == [True, False, False]
    assert [Control(GOOD, 70).holds(each) for each in (yes, no, other)] == [False, True, False]


def test_an_answer_can_be_judged_later() -> None:
    """What came before is taken as it is; the control offers all that is judged, here too."""
    hellos: list[Seen] = []
    judged = replace(OLD, suites=(*OLD.suites, NULL_SUITE))

    async def work(prober: Prober) -> Answer:
        assert (await prober.ask(GOOD)).negotiated
        return await prober.judged(judged, Answer(outcome=Outcome.RESET))

    assert probing(noting(hellos, ending(reset)), work).confirmed
    assert order(hellos) == "C" + "CCC" + "S" + "CCS" + "CCCS" + "C"
    with_it = [NULL_SUITE in seen.suites for seen in hellos if not is_old(seen)]
    assert with_it == [False, False, *[True] * 8]


def test_a_shorter_control_shows_what_is_too_much() -> None:
    """It is sent as it is, without extensions and short; any other one without them says nothing of a hello with some.

    Where the other hello is answered after all, it is not too much.
    """
    hellos: list[Seen] = []

    async def work(prober: Prober) -> tuple[Answer, Answer]:
        prober.witness = known = Control(bare(TLS_1_2))
        ended = Answer(outcome=Outcome.RESET)
        return await prober.judged(LONG, ended), await prober.judged(LONG, ended, control=known._replace(shorter=True))

    extended = noting(hellos, when(lambda seen: seen.extensions, reset, WELL))
    unknown, shown = probing(extended, work)
    assert (unknown.confirmed, shown.confirmed) == (False, True)
    assert {seen.size + 5 for seen in hellos if not seen.extensions} == {len(Hello(bare(TLS_1_2), HOST).first())}
    by_chance = when(lambda seen: seen.extensions, until_then(1, reset, WELL), WELL)
    unknown, shown = probing(by_chance, work)
    assert (unknown.conclusive, shown.confirmed, shown.refused) == (False, False, False)


def test_silence_is_never_a_refusal() -> None:
    """It is tried once more with the target to itself, and then it is what it is."""
    hellos: list[Seen] = []
    seen = probing(noting(hellos, ending(stay_silent)), both, timeout=IMPATIENT)
    assert (seen.outcome, seen.refused, seen.conclusive) == (Outcome.SILENT, False, False)
    assert order(hellos).count("S") == 2


def test_silence_is_tried_twice_at_most() -> None:
    """Of many hellos that are not answered only two are sent again: the others wait for nothing."""
    hellos: list[Seen] = []

    async def work(prober: Prober) -> list[Answer]:
        await prober.ask(GOOD)
        return await asyncio.gather(*[prober.ask(OLD) for _ in range(5)])

    answers = probing(noting(hellos, ending(stay_silent)), work, timeout=IMPATIENT)
    assert {answer.outcome for answer in answers} == {Outcome.SILENT}
    assert order(hellos).count("S") == 5 + 2


def test_suspects_are_judged_together() -> None:
    """Those with the same control share its connections."""
    hellos: list[Seen] = []

    async def work(prober: Prober) -> list[Answer]:
        await prober.ask(GOOD)
        return await asyncio.gather(*[prober.ask(OLD) for _ in range(5)])

    answers = probing(noting(hellos, ending(reset)), work)
    assert [answer.confirmed for answer in answers] == [True] * 5
    assert order(hellos) == "CSSSSS" + "CCSSSSS" + "CCSSSSS" + "CCCSSSSS" + "C"


def test_no_more_than_so_many_connections_at_once() -> None:
    """A target has 16 at a time; all of them together have what the slots allow."""

    def most(number: int, slots: int) -> int:
        async def work(prober: Prober) -> list[Answer]:
            return await asyncio.gather(*[prober.ask(GOOD) for _ in range(number)])

        crowd = Crowd(0.5)
        probing(crowd.before(WELL), work, slots=slots)
        return crowd.most

    assert (most(24, CONNECTIONS), most(5, 2)) == (16, 2)


def test_the_limit_halves_where_connections_end_for_their_number() -> None:
    """What is answered when it is alone ended because there were too many; from then on there are fewer."""
    crowd = Crowd(0.3)

    async def work(prober: Prober) -> tuple[int, list[Answer], bool]:
        assert (await prober.ask(GOOD)).negotiated
        await asyncio.gather(*[prober.ask(GOOD) for _ in range(AT_ONCE)])
        before, crowd.most = crowd.most, 0
        answers = await asyncio.gather(*[prober.ask(GOOD) for _ in range(2 * AT_ONCE)])
        return before, answers, prober.slowed

    before, answers, slowed = probing(crowd.before(WELL, room=12, extra=reset), work)
    assert (before, crowd.most, slowed) == (AT_ONCE, AT_ONCE // 2, True)
    assert all(answer.negotiated for answer in answers)


def test_one_at_a_time_where_a_control_ends_too() -> None:
    """A target that ends what it is known to answer gets one connection after the other, with rests between."""
    crowd = Crowd(0.005)

    async def work(prober: Prober) -> tuple[Answer, float, float, bool]:
        assert (await prober.ask(GOOD)).negotiated
        first = await prober.ask(OLD)
        crowd.most = 0
        began, rest = time.monotonic(), prober.rest
        answers = await asyncio.gather(*[prober.ask(GOOD) for _ in range(4)])
        assert all(answer.negotiated for answer in answers)
        return first, rest, time.monotonic() - began, prober.slowed

    outage = numbered(lambda number: 2 <= number <= 3, reset, ending(reset))
    first, rest, seconds, slowed = probing(crowd.before(outage), work)
    assert (first.confirmed, crowd.most, slowed, rest) == (True, 1, True, 0.05)
    assert seconds >= 4 * 0.05


def test_rests_become_shorter_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 16 answers in a row they are half as long, after 16 more there are none."""
    rests: list[float] = []

    async def noted(seconds: float) -> None:
        rests.append(seconds)
        await pause(seconds)

    async def work(prober: Prober) -> list[float]:
        assert (await prober.ask(GOOD)).negotiated
        await prober.ask(OLD)
        monkeypatch.setattr(connections, "pause", noted)
        for _ in range(40):
            await prober.ask(GOOD)
        return [prober.rest]

    outage = numbered(lambda number: 2 <= number <= 3, reset, WELL)
    assert probing(outage, work) == [0.0]
    assert rests == [0.05] * (16 - 3) + [0.025] * 16  # three answers came at the end of the judgement


def test_a_rate_is_found() -> None:
    """A server that takes so many connections in so much time refuses nobody in the end."""

    async def work(prober: Prober) -> tuple[list[Answer], bool, bool]:
        assert (await prober.ask(GOOD)).negotiated
        return await asyncio.gather(*[prober.ask(GOOD) for _ in range(20)]), prober.slowed, prober.by_chance

    answers, slowed, by_chance = probing(limited(10, 0.1, reset, WELL), work)
    assert [answer.negotiated for answer in answers] == [True] * 20
    assert (slowed, by_chance) == (True, False)


def test_an_outage_is_waited_for() -> None:
    """What ended while the target was away is asked again when it is back."""

    async def work(prober: Prober) -> tuple[Answer, Answer, object]:
        assert (await prober.ask(GOOD)).negotiated
        return await prober.ask(GOOD), await prober.ask(OLD), prober.gone

    good, old, gone = probing(after(1, 0.15, reset, ending(say(alert(70)))), work)
    assert (good.negotiated, old.alert, gone) == (True, 70, None)


def test_a_target_that_does_not_come_back_has_gone() -> None:
    """After twice the time for a connection nothing more is asked."""

    async def work(prober: Prober) -> tuple[Answer, Answer, int, int, Outcome | None]:
        assert (await prober.ask(GOOD)).negotiated
        seen, number = await prober.ask(OLD), prober.connections
        later = await prober.ask(GOOD)
        return seen, later, number, prober.connections, prober.gone

    seen, later, number, connections, gone = probing(until_then(1, WELL, reset), work, timeout=IMPATIENT)
    assert (seen.outcome, seen.conclusive, later.outcome, gone) == (
        *(Outcome.RESET, False, Outcome.NOT_ASKED),
        Outcome.RESET,
    )
    assert later.remark == "the target had gone"
    assert number == connections > 4


def test_whether_it_answers() -> None:
    """A target that is known to answer something is asked just that."""

    async def work(prober: Prober) -> tuple[bool, Outcome | None]:
        await prober.ask(GOOD)
        return await prober.answers(), prober.gone

    assert probing(WELL, work) == (True, None)
    assert probing(until_then(1, WELL, reset), work, timeout=IMPATIENT) == (False, Outcome.RESET)
    assert probing(until_then(1, WELL, reset), work, timeout=IMPATIENT, max_time=0.1) == (False, None)


def test_how_long_a_target_is_waited_for() -> None:
    """Twice the time for a connection."""

    async def work(prober: Prober) -> float:
        await prober.ask(GOOD)
        began = time.monotonic()
        assert not await prober.answers()
        return time.monotonic() - began

    assert 3 <= probing(until_then(1, WELL, reset), work, timeout=1.5) < 4.5


@pytest.mark.parametrize(("silent", "gone"), [(AT_ONCE - 1, None), (AT_ONCE, Outcome.SILENT)])
def test_a_target_that_answers_nothing_has_gone(silent: int, gone: Outcome | None) -> None:
    """After as many connections in a row as there may be at once, nothing more is asked."""

    async def work(prober: Prober) -> tuple[Outcome | None, Answer, int]:
        await asyncio.gather(*[prober.ask_once(GOOD) for _ in range(silent)])
        before = prober.gone
        return before, await prober.ask_once(GOOD), prober.connections

    before, last, connections = probing(until_then(silent, stay_silent, WELL), work, timeout=IMPATIENT)
    assert before is gone
    assert (last.outcome is Outcome.NOT_ASKED) is (gone is not None)
    assert connections == 16


@pytest.mark.parametrize(("dead", "gone"), [(stay_silent, Outcome.SILENT), (WELL, None)], ids=["silent", "well"])
def test_a_target_that_was_known_is_asked_for_what_it_answers(dead: Behaviour, gone: Outcome | None) -> None:
    """After so many that were not answered: if that is not answered either, it has gone."""

    async def work(prober: Prober) -> tuple[Outcome | None, int]:
        assert (await prober.ask(GOOD)).negotiated
        await asyncio.gather(*[prober.ask_once(OLD) for _ in range(AT_ONCE)])
        return prober.gone, prober.connections

    server = until_then(1, WELL, when(is_old, stay_silent, dead))
    assert probing(server, work, timeout=IMPATIENT) == (gone, 1 + AT_ONCE + 1)


def test_answers_in_between_keep_a_target_alive() -> None:
    """Only connections in a row count."""

    async def work(prober: Prober) -> Outcome | None:
        for _ in range(2):
            await asyncio.gather(*[prober.ask_once(OLD) for _ in range(AT_ONCE - 1)])
            await prober.ask_once(GOOD)
        return prober.gone

    assert probing(ending(stay_silent), work, timeout=IMPATIENT) is None


def test_a_closed_port_has_gone() -> None:
    """Connections that TCP refuses are unanswered, those that end are not."""

    async def work(prober: Prober) -> Outcome | None:
        await asyncio.gather(*[prober.ask_once(GOOD) for _ in range(AT_ONCE + 1)])
        return prober.gone

    assert probing(reset, work) is None
    assert probing(say(alert(80)), work) is None
    with nobody() as address:
        assert probing(address, work) is Outcome.REFUSED


def test_a_target_has_so_much_time() -> None:
    """It is for all that it is asked; what is left when it is up is not asked."""

    async def work(prober: Prober) -> tuple[Answer, Answer, int, bool]:
        return await prober.ask(GOOD), await prober.ask(GOOD), prober.connections, prober.out_of_time

    began = time.monotonic()
    first, second, connections, out_of_time = probing(stay_silent, work, max_time=IMPATIENT)
    assert (first.outcome, second.outcome, connections, out_of_time) == (
        *(Outcome.SILENT, Outcome.NOT_ASKED, 1),
        True,
    )
    assert second.remark == "the time for the target was up"
    assert IMPATIENT <= time.monotonic() - began < 10 * IMPATIENT
    first, second, connections, out_of_time = probing(WELL, work)
    assert (first.negotiated, second.negotiated, connections, out_of_time) == (True, True, 2, False)


def test_time_is_up_for_what_is_encrypted_too() -> None:
    """It is not asked either, and nothing of it is known."""

    async def work(prober: Prober) -> tuple[Outcome, bool | None, int]:
        answer, flight = await prober.ask_encrypted(broad(TLS_1_3))
        return answer.outcome, flight.client_cert_requested, prober.connections

    assert probing(WELL, work, max_time=0) == (Outcome.NOT_ASKED, None, 0)


def test_an_end_when_the_time_is_up_is_no_refusal() -> None:
    """What was not asked three times is not believed."""

    async def work(prober: Prober) -> Answer:
        assert (await prober.ask(GOOD)).negotiated
        return await prober.ask(OLD)

    seen = probing(until_then(2, ending(reset), stay_silent), work, max_time=1.0)
    assert (seen.outcome, seen.refused, seen.conclusive) == (Outcome.RESET, False, False)


def _requested(prober: Prober) -> bool | None:
    """Say whether a client certificate was asked for; None while nothing is known."""
    seen = set().union(*prober.requests.values())
    return any(seen) if seen else None


def test_what_is_agreed_on_is_remembered_once() -> None:
    """Version, suite and group of each answer, and its chain; not what else was in it."""

    async def work(prober: Prober) -> tuple[list[Answer], list[tuple[bytes, ...]], bool | None]:
        for _ in range(2):
            await prober.ask(GOOD)
            await prober.ask(OLD)
        return list(prober.negotiated), prober.chains, _requested(prober)

    agreed, chains, requested = probing(ending(say(alert(70))), work)
    assert [(each.outcome, each.version, str(each.suite), str(each.group)) for each in agreed] == [
        (Outcome.NEGOTIATED, TLS_1_2, "ECDHE-RSA-AES128-GCM-SHA256", "x25519")
    ]
    assert agreed[0].certificates == ()
    assert (chains, requested) == ([(b"leaf",)], False)


def test_only_what_names_the_server_is_remembered() -> None:
    """The answer to a hello without its name may be another host's; where it has no name, all are its own."""

    async def work(prober: Prober) -> tuple[int, int, bool | None]:
        await prober.ask_once(nameless(GOOD))
        return len(prober.negotiated), len(prober.chains), _requested(prober)

    async def in_ssl(prober: Prober) -> int:
        await prober.ask_once(broad(SSL_3))
        return len(prober.negotiated)

    assert probing(WELL, work) == (0, 0, None)
    assert probing(WELL, work, sni=None) == (1, 1, False)
    assert probing(say(record(server_hello(RSA_AES_128, version=0x0300), DONE)), in_ssl) == 1


@pytest.mark.parametrize(("number", "more"), [(8, False), (9, True)])
def test_the_first_chains_are_kept(number: int, *, more: bool) -> None:
    """A server that shows another certificate on each connection does not fill the memory; that is said."""
    flights = [
        record(server_hello(ECDHE_AES_128_GCM), certificate(bytes([at])), ecdhe(X25519), DONE) for at in range(number)
    ]
    server = in_turn(*map(say, flights))

    async def work(prober: Prober) -> tuple[int, bool]:
        for _ in range(2 * number):
            await prober.ask(GOOD)
        return len(prober.chains), prober.more_chains

    assert probing(server, work) == (8, more)


def test_a_request_for_a_certificate_is_not_forgotten() -> None:
    """A server that asks for a client certificate now and then wants one."""
    asks = record(server_hello(ECDHE_AES_128_GCM), ecdhe(X25519), CERTIFICATE_REQUEST, DONE)

    async def work(prober: Prober) -> list[bool | None]:
        seen = [_requested(prober)]
        for _ in range(3):
            await prober.ask(GOOD)
            seen.append(_requested(prober))
        return seen

    assert probing(in_turn(WELL, say(asks), WELL), work) == [None, False, True, True]


def test_the_first_that_is_answered_is_the_witness() -> None:
    """Later ones don't take its place, and a refusal is none."""

    async def work(prober: Prober) -> list[Control | None]:
        seen = []
        for hello in (OLD, GOOD, with_suites(GOOD, [ECDHE_AES_128_GCM])):
            await prober.ask(hello)
            assert prober.answered is (prober.witness is not None)
            seen.append(prober.witness)
        return seen

    assert probing(ending(say(alert(70))), work) == [None, Control(GOOD), Control(GOOD)]


def test_sslv2_is_asked_for_in_its_own_way() -> None:
    """Its answer is read as such, with the kinds of ciphers; a hello of TLS in that format is not."""
    hello = bytes.fromhex("8013 04 00 01 0002 0002 0006 0000 abcd 010080 0700c0")

    async def work(prober: Prober) -> tuple[Answer, Answer]:
        in_tls = replace(broad(SSL_2), versions=(TLS_1_0.code,))
        return await prober.ask(broad(SSL_2)), await prober.ask_once(in_tls)

    ssl2, in_tls = probing(say(hello), work)
    assert (ssl2.version, len(ssl2.ssl2_suites)) == (SSL_2, 2)
    assert in_tls.outcome is Outcome.NOT_TLS


def test_a_retry_is_followed_only_if_asked() -> None:
    """The prober's own hellos don't: they learn all they want from the HelloRetryRequest."""
    hello = broad(TLS_1_3, key_shares=(X25519,))
    server = say(record(retry(P256)), then=say(record(hello_13(P256, share=b"\4" + bytes(64)))))

    async def work(prober: Prober) -> list[Answer]:
        once = await prober.ask(hello)
        return [once, await prober.ask(hello, follow=True), await prober.ask_once(hello, follow=True)]

    answers = probing(server, work)
    assert [(answer.negotiated, answer.retried) for answer in answers] == [(True, True)] * 3


@pytest.mark.parametrize("times", [0, 1, 2])
def test_what_is_encrypted_is_read_after_an_accident(times: int) -> None:
    """An end without a word is tried twice more; what comes is remembered with its chain."""
    hello = for_certificate(broad(TLS_1_3, key_shares=(X25519,)), "RSA")
    spoilt = [1 + 1 + 2 * number for number in range(times)]  # the witness, then each try after its control

    async def work(prober: Prober) -> tuple[Answer, int, int, bool | None, int]:
        assert (await prober.ask(GOOD)).negotiated
        answer, flight = await prober.ask_encrypted(hello)
        assert flight.certificates == prober.chains[-1]
        return answer, prober.connections, len(prober.negotiated), _requested(prober), len(prober.chains)

    server = numbered(lambda number: number in spoilt, reset, tls(SERVER, clients=OURS))
    answer, connections, agreed, requested, chains = probing(server, work)
    assert (answer.negotiated, answer.version, connections, agreed, requested, chains) == (
        *(True, TLS_1_3, 2 + 2 * times, 2, True),
        1,
    )


def test_what_is_encrypted_is_not_tried_for_ever() -> None:
    """After three times the end is what it is."""
    hello = broad(TLS_1_3, key_shares=(X25519,))
    hellos: list[Seen] = []

    async def work(prober: Prober) -> tuple[Answer, bool | None]:
        assert (await prober.ask(GOOD)).negotiated
        answer, flight = await prober.ask_encrypted(hello)
        return answer, flight.client_cert_requested

    server = when(lambda seen: seen.newest == TLS_1_3.code, reset, WELL)
    answer, requested = probing(noting(hellos, server), work)
    assert (answer.outcome, answer.conclusive, requested) == (Outcome.RESET, False, None)
    assert [seen.newest == TLS_1_3.code for seen in hellos] == [False, True, False, True, False, True]
