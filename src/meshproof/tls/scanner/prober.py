"""All connections to one target: how many at once, how fast, for how long, and what an end without a word is worth.

An alert about the offer refuses it. Any other end may as well come from a limit, an outage, a dead backend or a hello
that is too long. So whoever's hello ended in such a way waits until no other connection to the target is open. Then
the hello is sent three times, each between hellos that are known to be answered and that differ from it only in what is
judged: its controls, padded to the same length. Only if it ends in the same way each time, and each control is
answered, it counts as refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from meshproof.machine.wait import pause
from meshproof.tls.probe import exchange
from meshproof.tls.probe.answer import Answer
from meshproof.tls.probe.decryption import EncryptedFlight
from meshproof.tls.probe.encrypted import ask_encrypted
from meshproof.tls.probe.outcome import WORDLESS, Alert, Outcome
from meshproof.tls.probe.resolution import Endpoint
from meshproof.tls.protocol.hello import Hello
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner import questions
from meshproof.tls.scanner.findings import Target

AT_ONCE = 16  # connections to one target
CONNECTIONS = 64  # to all targets together
_NO_ANSWER = frozenset({Outcome.SILENT, Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.LOCAL_FAULT})
_NEVER_ASKED = frozenset({Outcome.NOT_ASKED, Outcome.NAME_NOT_RESOLVED})

# How many controls go before each try. Two at least: the last of them comes as soon after another connection as the try
# does. And the numbers differ, so that no server that answers only some of its connections in turn answers just these.
_CONTROLS = (2, 2, 3, 4, 2, 3)
_TRIES = 3  # and all of them, once a target has ended hellos without a word that it answered at another time
_ATTEMPTS = 6  # to get through all tries with every control answered
_LENGTHS = (250, 500, 1000, 1390, 2000, 4000)  # octets of a control: just below what stacks and networks limit
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 0.25  # seconds between two connections to a target that limits their rate
_FIRST_WAIT, _LONGEST_WAIT = 0.01, 0.05  # seconds between two looks at whether a target answers again
_CALM = 16  # answers in a row after which the rests become shorter again
_ENOUGH_SILENCE = 2  # deadlines that pass without an answer before others like them are left alone
_MOST_CHAINS = 8
_INSTANT = 0.001  # seconds; what is left for a connection that begins at the very end


@dataclass(frozen=True, slots=True)
class Control:
    """A hello that is known to be answered.

    Attributes:
        profile: The client that sends it.
        alert: The number of the alert that it is answered with; None when it is negotiated.
    """

    profile: Profile
    alert: int | None = None

    def holds(self, answer: Answer) -> bool:
        """Say whether it was answered as it is known to be."""
        return answer.negotiated if self.alert is None else answer.alert == self.alert


@dataclass(slots=True, eq=False)
class _Suspect:
    """A hello whose end proves nothing yet.

    Attributes:
        profile: The client.
        follow: Whether a HelloRetryRequest is answered.
        control: What it is judged by.
        answer: What is known so far.
        ends: How it ended between controls.
        settled: Whether nothing more will be found out.
    """

    profile: Profile
    follow: bool
    control: Control
    answer: Answer
    ends: list[Answer] = field(default_factory=list)
    settled: bool = False

    def settle(self, answer: Answer) -> None:
        """Keep an answer as the last word."""
        self.answer, self.settled = answer, True

    def judge(self, answer: Answer) -> None:
        """Take what one try between controls came to."""
        if answer.outcome in _NEVER_ASKED:
            return
        same = not self.ends or _alike(self.ends[-1], answer)
        if not _proves_nothing(answer) and not self.ends:
            self.settle(answer)
        elif not _proves_nothing(answer) or not same:
            self.settle(Answer(outcome=Outcome.UNSTABLE, remark="the same hello ended in different ways"))
        elif answer.outcome is Outcome.SILENT:
            self.settle(answer)
        else:
            self.ends.append(answer)

    def begin_again(self) -> None:
        """Forget the ends, and what they contradicted; an answer stays."""
        self.ends.clear()
        if self.answer.outcome is Outcome.UNSTABLE:
            self.settled = False

    def conclude(self) -> None:
        """Believe what came every time."""
        end = self.ends[-1]
        named = end.alert is not None or end.outcome in WORDLESS
        begun = self.answer.begun or any(each.begun for each in self.ends)
        self.settle(replace(end, confirmed=named and not begun))


class Prober:
    """Asks one target.

    When as many connections as there may be at once went unanswered in a row, or no control is answered any more,
    the target has gone: what would be asked after that is NOT_ASKED. So is what is left when the time is up.

    Args:
        target: What to ask.
        endpoint: Where all connections go.
        timeout: Seconds for each connection.
        max_time: Seconds for all of them together.
        slots: Limits the connections to all targets together.

    Attributes:
        sni: The server name that is sent.
        endpoint: As given.
        connections: How many there were.
        chains: The chains of certificates that were shown, leaf first, in DER; each once, and only the first few.
        more_chains: Whether there were more than those.
        requests: For each version whether a client certificate was asked for, and whether it was not: what was seen.
        negotiated: All answers that agreed on something, each once.
        witness: What is known to be answered; None until something is.
        gone: How the target ended for good; None while it answers.
        slowed: Whether connections ended only because there were too many of them.
        too_long: The octets of the shortest hello that was not answered for its length; None when there was none.
        by_chance: Whether it ends connections whatever their number and rate.
    """

    def __init__(
        self, target: Target, endpoint: Endpoint, *, timeout: float, max_time: float, slots: asyncio.Semaphore
    ) -> None:
        self.sni = target.sni
        self.endpoint = endpoint
        self.connections = 0
        self.chains: list[tuple[bytes, ...]] = []
        self.more_chains = False
        self.requests: dict[ProtocolVersion, set[bool]] = {}
        self.negotiated: dict[Answer, None] = {}
        self.witness: Control | None = None
        self.gone: Outcome | None = None
        self.slowed = False
        self.too_long: int | None = None
        self._timeout = timeout
        self._deadline = time.monotonic() + max_time
        self._slots = slots
        self._limit = AT_ONCE
        self._permits = asyncio.Semaphore(AT_ONCE)
        self._pause = 0.0
        self._least_pause = 0.0
        self._calm = 0
        self.by_chance = False
        self._unanswered = 0
        self._suspects: list[_Suspect] = []
        self._court = asyncio.Lock()

    @property
    def answered(self) -> bool:
        """Whether the target has answered anything."""
        return self.witness is not None

    @property
    def time_left(self) -> float:
        """The seconds that are left for the target."""
        return max(0.0, self._deadline - time.monotonic())

    @property
    def _time_for_one(self) -> float:
        """The seconds that one connection may take: no more than are left."""
        return max(min(self._timeout, self.time_left), _INSTANT)

    @property
    def out_of_time(self) -> bool:
        """Whether none are left."""
        return self.time_left == 0

    async def ask(self, profile: Profile, *, control: Profile | None = None, follow: bool = False) -> Answer:
        """Send a client's hello, and judge an end that proves nothing by itself.

        Args:
            profile: The client.
            control: A client whose hello was negotiated, and differs only in what is judged; None takes the witness.
            follow: Whether to answer a HelloRetryRequest; if not, it counts as the answer.
        """
        answer = await self.ask_once(profile, follow=follow)
        if answer.negotiated and self.witness is None:
            self.witness = Control(profile)
        return await self.judged(profile, answer, control=control, follow=follow)

    async def judged(
        self, profile: Profile, answer: Answer, *, control: Profile | None = None, follow: bool = False
    ) -> Answer:
        """Find out what an end is worth that proves nothing by itself; return any other answer as it is.

        Args:
            profile: The client.
            answer: What it was answered.
            control: As for ``ask``.
            follow: As for ``ask``.
        """
        known = Control(control) if control else self.witness
        if not _proves_nothing(answer) or answer.outcome in _NEVER_ASKED or known is None:
            return answer
        if known.alert is not None and answer.alert == Alert.UNRECOGNIZED_NAME:
            return answer  # nothing says that the name is known
        if known.profile.ssl2_format or (profile.extensions and not known.profile.extensions):
            return answer  # a hello without extensions says nothing about one that has some
        if control is None and not follow:
            known = replace(known, profile=questions.alongside(known.profile, profile))
        suspect = _Suspect(profile, follow, known, answer)
        self._suspects.append(suspect)
        async with self._court:
            if not suspect.settled:
                await self._judge()
        return suspect.answer

    async def ask_once(self, profile: Profile, *, follow: bool = False) -> Answer:
        """Send a client's hello once, and take what comes."""
        async with self._permits:
            return await self._connect(profile, follow=follow)

    async def ask_encrypted(self, profile: Profile) -> tuple[Answer, EncryptedFlight]:
        """Read what a server says in TLS 1.3 after its ServerHello; see ``encrypted.ask_encrypted``.

        An end that proves nothing is tried twice more, with the target to itself, before the flight stays unknown.
        """
        answer, flight = await self._read_encrypted(profile)
        for _ in range(2):
            if not answer.doubtful or self.gone or self.out_of_time:
                break
            async with self._court, self._alone():
                if await self._answers_again():
                    answer, flight = await self._read_encrypted(profile, alone=True)
        asked = flight.client_cert_requested
        self._remember(replace(answer, certificates=flight.certificates, client_cert_requested=asked))
        return answer, flight

    async def answers(self) -> bool:
        """Say whether the target still answers what it is known to answer, after some patience."""
        async with self._court, self._alone():
            return await self._answers_again()

    async def _read_encrypted(self, profile: Profile, *, alone: bool = False) -> tuple[Answer, EncryptedFlight]:
        if not alone:
            async with self._permits:
                return await self._read_encrypted(profile, alone=True)
        if self.gone or self.out_of_time:
            return Answer(outcome=Outcome.NOT_ASKED), EncryptedFlight()
        await self._wait_a_turn()
        async with self._slots:
            self.connections += 1
            return await ask_encrypted(self.endpoint, profile, sni=self.sni, timeout=self._time_for_one / 2)

    async def _connect(
        self, profile: Profile, *, follow: bool = False, length: int | None = None, rest: bool = True
    ) -> Answer:
        if self.gone:
            return Answer(outcome=Outcome.NOT_ASKED, remark="the target had gone")
        if rest and not self.out_of_time:
            await self._wait_a_turn()
        async with self._slots:
            if self.out_of_time:
                return Answer(outcome=Outcome.NOT_ASKED, remark="the time for the target was up")
            answer = await self._send(profile, follow=follow, length=length)
            self._unanswered = self._unanswered + 1 if answer.outcome in _NO_ANSWER else 0
            if self._unanswered >= AT_ONCE:
                self._unanswered = 0
                if not self.witness or not self.witness.holds(await self._send(self.witness.profile)):
                    self.gone = answer.outcome
        if self._pause:
            self._speed_up(answer)
        if questions.names_the_server(profile, self.sni):
            self._remember(answer)
        return answer

    async def _send(self, profile: Profile, *, follow: bool = False, length: int | None = None) -> Answer:
        self.connections += 1
        timeout = self._time_for_one
        if profile.ssl2_format and profile.accepted_versions == (ProtocolVersion.SSL_2,):
            return await exchange.ask_ssl2(self.endpoint, profile, timeout=timeout)
        return await exchange.ask(self.endpoint, profile, sni=self.sni, timeout=timeout, follow=follow, length=length)

    async def _wait_a_turn(self) -> None:
        if self._pause:
            await pause(self._pause)

    def _remember(self, answer: Answer) -> None:
        chain = answer.certificates
        if chain and chain not in self.chains:
            if len(self.chains) < _MOST_CHAINS:
                self.chains.append(chain)
            else:
                self.more_chains = True
        if answer.client_cert_requested is not None and answer.version is not None:
            self.requests.setdefault(answer.version, set()).add(answer.client_cert_requested)
        if answer.negotiated:
            self.negotiated[Answer(
                outcome=answer.outcome,
                version=answer.version,
                suite=answer.suite,
                group=answer.group,
                dh_bits=answer.dh_bits,
            )] = None  # fmt: skip

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Wait until no other connection to the target is open, and let none begin until the block ends."""
        for _ in range(self._limit):
            await self._permits.acquire()
        try:
            yield
        finally:
            for _ in range(self._limit):  # it may have become lower: then some are never given back
                self._permits.release()

    def _slow_down(self) -> None:
        """Open no more than one connection at once from now on, and take a rest before each where that may help."""
        if self.slowed and not self._pause:
            self._least_pause = _SHORTEST_PAUSE / 4  # without any rest it ends connections again
        self._limit, self.slowed, self._calm = 1, True, 0
        if not self.by_chance:
            self._pause = min(max(2 * self._pause, _SHORTEST_PAUSE), _LONGEST_PAUSE)

    def _ends_by_chance(self) -> None:
        """Go on without rests: the target ends connections whatever their number and rate."""
        self.by_chance, self._pause = True, 0.0

    def _speed_up(self, answer: Answer) -> None:
        """Make the rests shorter after some answers in a row."""
        self._calm = 0 if _proves_nothing(answer) else self._calm + 1
        if self._calm >= _CALM:
            self._calm = 0
            shorter = self._pause / 2 if self._pause > _SHORTEST_PAUSE / 2 else 0.0
            self._pause = max(shorter, self._least_pause)

    async def _judge(self) -> None:
        """Find out what the ends of all suspects are worth."""
        async with self._alone():
            suspects, self._suspects = self._suspects, []
            for control, length, members in self._by_control(suspects):
                await self._judge_by(control, length, members)
            if any(suspect.answer.conclusive and not suspect.answer.confirmed for suspect in suspects):
                self._limit, self.slowed = max(1, self._limit // 2), True
            for suspect in suspects:
                suspect.settled = True

    def _by_control(self, suspects: Sequence[_Suspect]) -> list[tuple[Control, int | None, list[_Suspect]]]:
        """Part suspects by the control that they need, and by how long it has to be."""
        parts: list[tuple[Control, int | None, list[_Suspect]]] = []
        for suspect in suspects:
            length = self._length_of_control(suspect)
            for control, octets, members in parts:
                if control == suspect.control and octets == length:
                    members.append(suspect)
                    break
            else:
                parts.append((suspect.control, length, [suspect]))
        return parts

    def _length_of_control(self, suspect: _Suspect) -> int | None:
        """Return the octets that a control must have to be no shorter than the suspect's hello; None as it is."""
        wanted = len(Hello(suspect.profile, self.sni).first())
        if wanted <= len(Hello(suspect.control.profile, self.sni).first()):
            return None
        return next((length for length in _LENGTHS if length >= wanted), wanted)

    async def _judge_by(self, control: Control, length: int | None, suspects: list[_Suspect]) -> None:
        for _ in range(1 if self.by_chance else _ATTEMPTS):
            if not await self._answers_again():
                return
            if not await self._is_control(control, length):
                if length:
                    self.too_long = min(length, self.too_long or length)
                for suspect in suspects:
                    remark = "the server answers no hello of this length" if length else ""
                    suspect.settle(replace(suspect.answer, remark=remark))
                return
            if await self._tried(control, length, suspects):
                return
            self._slow_down()
            for suspect in suspects:
                suspect.begin_again()
        self._ends_by_chance()
        for suspect in suspects:
            if not suspect.settled:
                remark = "hellos that are known to be answered ended in the same way now and then"
                suspect.settle(Answer(outcome=Outcome.UNSTABLE, remark=remark))

    async def _is_control(self, control: Control, length: int | None) -> bool:
        """Say whether a control is answered while the witness is."""
        if (control, length) == (self.witness, None):
            return True
        before = self._limit, self._pause, self.slowed
        for _ in range(_TRIES):
            if await self._holds(control, length):
                return True
            if not await self._answers_again():
                return False
            self._slow_down()  # it may have come too soon after another
        self._limit, self._pause, self.slowed = before
        return False

    async def _tried(self, control: Control, length: int | None, suspects: list[_Suspect]) -> bool:
        """Send each suspect's hello again and again between controls; say whether all controls were answered."""
        for number, controls in enumerate(_CONTROLS):
            open_cases = [suspect for suspect in suspects if not suspect.settled]
            enough = len(_CONTROLS) if self.slowed or len(open_cases) < len(suspects) else _TRIES
            if not open_cases or number == enough:
                break
            for _ in range(controls if number else controls - 1):  # one was answered just now
                if not await self._holds(control, length):
                    return False
            await self._try(open_cases)
            if any(suspect.answer.outcome is Outcome.UNSTABLE for suspect in open_cases) and not self.by_chance:
                if not self._pause:
                    return False  # it may be the rate: try once more, and slower
                self._ends_by_chance()
        if any(not suspect.settled for suspect in suspects) and not await self._holds(control, length):
            return False
        for suspect in suspects:
            if not suspect.settled and suspect.ends:
                suspect.conclude()
        return True

    async def _try(self, suspects: Sequence[_Suspect]) -> None:
        """Send the hello of each suspect once; after some deadlines without a word leave those alone that had none."""
        silent = 0
        for suspect in suspects:
            if silent >= _ENOUGH_SILENCE and suspect.answer.outcome is Outcome.SILENT:
                suspect.settle(suspect.answer)  # it is the hellos that are not answered, not their number
                continue
            suspect.judge(await self._connect(suspect.profile, follow=suspect.follow))
            silent = silent + 1 if suspect.answer.outcome is Outcome.SILENT else 0

    async def _holds(self, control: Control, length: int | None = None) -> bool:
        return control.holds(await self._connect(control.profile, length=length))

    async def _answers_again(self, *, at_once: bool = False) -> bool:
        """Wait until the witness is answered; a target that does not do so in time has gone.

        Args:
            at_once: Whether to look only once, and conclude nothing from it.
        """
        assert self.witness
        began, wait = time.monotonic(), 0.0
        while True:
            answer = await self._connect(self.witness.profile, rest=not wait)
            if self.witness.holds(answer):
                return True
            if at_once or answer.outcome in _NEVER_ASKED:
                return False
            if time.monotonic() - began > 2 * self._timeout:
                self.gone = answer.outcome
                return False
            if not wait:
                self._slow_down()
                wait = _FIRST_WAIT
            await pause(wait)
            wait = min(2 * wait, _LONGEST_WAIT)


def _proves_nothing(answer: Answer) -> bool:
    """Say whether an answer needs controls; the refusal of a name does where the same name is known to be answered."""
    return answer.doubtful or answer.alert == Alert.UNRECOGNIZED_NAME


def _alike(one: Answer, other: Answer) -> bool:
    """Say whether two ends are of the same kind; a proxy in between may turn a reset into a close."""
    both_wordless = one.outcome in WORDLESS and other.outcome in WORDLESS
    return both_wordless or (one.outcome is other.outcome and one.alert == other.alert)
