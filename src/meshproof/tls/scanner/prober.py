"""Asking one target, and finding out what an end without a word is worth.

Whoever's hello ended in such a way waits until no other connection to the target is open. Then the hello is sent three
times, each between hellos that are known to be answered and that differ from it only in what is judged: its controls,
padded to the same length. Only if it ends in the same way each time, and each control is answered, it counts as
refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from meshproof.machine.wait import pause
from meshproof.tls.probe.answer import Answer
from meshproof.tls.probe.decryption import EncryptedFlight
from meshproof.tls.probe.outcome import Alert, Outcome
from meshproof.tls.probe.resolution import Endpoint
from meshproof.tls.protocol.hello import Hello
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.scanner import questions
from meshproof.tls.scanner.connections import Connections
from meshproof.tls.scanner.findings import Target
from meshproof.tls.scanner.refusals import NEVER_ASKED, Control, Suspect, proves_nothing

# How many controls go before each try. Two at least: the last of them comes as soon after another connection as the try
# does. And the numbers differ, so that no server that answers only some of its connections in turn answers just these.
_CONTROLS = (2, 2, 3, 4, 2, 3)
_TRIES = 3  # and all of them, once a target has ended hellos without a word that it answered at another time
_ATTEMPTS = 6  # to get through all tries with every control answered
_LENGTHS = (250, 500, 1000, 1390, 2000, 4000)  # octets of a control: just below what stacks and networks limit
_FIRST_WAIT, _LONGEST_WAIT = 0.01, 0.05  # seconds between two looks at whether a target answers again
_ENOUGH_SILENCE = 2  # deadlines that pass without an answer before others like them are left alone


class Prober(Connections):
    """Asks one target, and finds out what an end is worth; arguments and attributes are those of ``Connections``.

    A target of which no control is answered any more has gone, too.
    """

    def __init__(
        self, target: Target, endpoint: Endpoint, *, timeout: float, max_time: float, slots: asyncio.Semaphore
    ) -> None:
        super().__init__(target, endpoint, timeout=timeout, max_time=max_time, slots=slots)
        self._suspects: list[Suspect] = []
        self._court = asyncio.Lock()

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
        return await self.judged(profile, answer, control=Control(control) if control else None, follow=follow)

    async def judged(
        self, profile: Profile, answer: Answer, *, control: Control | None = None, follow: bool = False
    ) -> Answer:
        """Find out what an end is worth that proves nothing by itself; return any other answer as it is.

        Args:
            profile: The client.
            answer: What it was answered.
            control: What is known to be answered, and differs only in what is judged; None takes the witness.
            follow: As for ``ask``.
        """
        known = control or self.witness
        if not proves_nothing(answer) or answer.outcome in NEVER_ASKED or known is None:
            return answer
        if known.alert is not None and answer.alert == Alert.UNRECOGNIZED_NAME:
            return answer  # nothing says that the name is known
        bare = known.profile.ssl2_format or (profile.extensions and not known.profile.extensions)
        if bare and not known.shorter:
            return answer  # a hello without extensions says nothing about one that has some
        if control is None and not follow:
            known = known._replace(profile=questions.alongside(known.profile, profile))
        suspect = Suspect(profile, follow, known, answer)
        self._suspects.append(suspect)
        async with self._court:
            if not suspect.settled:
                await self._judge()
        return suspect.answer

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
        """Return whether the target still answers what it is known to answer, after some patience."""
        async with self._court, self._alone():
            return await self._answers_again()

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

    def _by_control(self, suspects: Sequence[Suspect]) -> list[tuple[Control, int | None, list[Suspect]]]:
        """Part suspects by the control that they need, and by how long it has to be."""
        parts: list[tuple[Control, int | None, list[Suspect]]] = []
        for suspect in suspects:
            length = self._length_of_control(suspect)
            for control, octets, members in parts:
                if control == suspect.control and octets == length:
                    members.append(suspect)
                    break
            else:
                parts.append((suspect.control, length, [suspect]))
        return parts

    def _length_of_control(self, suspect: Suspect) -> int | None:
        """Return the octets that a control must have to be no shorter than the suspect's hello; None as it is."""
        if suspect.control.shorter:
            return None
        wanted = len(Hello(suspect.profile, self.sni).first())
        if wanted <= len(Hello(suspect.control.profile, self.sni).first()):
            return None
        return next((length for length in _LENGTHS if length >= wanted), wanted)

    async def _judge_by(self, control: Control, length: int | None, suspects: list[Suspect]) -> None:
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
        """Return whether a control is answered while the witness is."""
        if (control, length) == (self.witness, None):
            return True
        before = self._limit, self.rest, self.slowed
        for _ in range(_TRIES):
            if await self._holds(control, length):
                return True
            if not await self._answers_again():
                return False
            self._slow_down()  # it may have come too soon after another
        self._limit, self.rest, self.slowed = before
        return False

    async def _tried(self, control: Control, length: int | None, suspects: list[Suspect]) -> bool:
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
                if not self.rest:
                    return False  # it may be the rate: try once more, and slower
                self._ends_by_chance()
        if any(not suspect.settled for suspect in suspects) and not await self._holds(control, length):
            return False
        for suspect in suspects:
            if not suspect.settled and suspect.ends:
                suspect.conclude()
        return True

    async def _try(self, suspects: Sequence[Suspect]) -> None:
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
            if at_once or answer.outcome in NEVER_ASKED:
                return False
            if time.monotonic() - began > 2 * self._timeout:
                self.gone = answer.outcome
                return False
            if not wait:
                self._slow_down()
                wait = _FIRST_WAIT
            await pause(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
