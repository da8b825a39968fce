"""All connections to one target: how many at once, how fast and for how long; and what was seen on them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from meshproof.machine.wait import pause
from meshproof.tls.probe import exchange
from meshproof.tls.probe.answer import Answer
from meshproof.tls.probe.decryption import EncryptedFlight
from meshproof.tls.probe.encrypted import ask_encrypted
from meshproof.tls.probe.outcome import Outcome
from meshproof.tls.probe.resolution import Endpoint
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner import questions
from meshproof.tls.scanner.findings import Target
from meshproof.tls.scanner.refusals import Control, proves_nothing

AT_ONCE = 16  # connections to one target
CONNECTIONS = 64  # to all targets together
_NO_ANSWER = frozenset({Outcome.SILENT, Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.LOCAL_FAULT})
_SHORTEST_REST, _LONGEST_REST = 0.05, 0.25  # seconds between two connections to a target that limits their rate
_CALM = 16  # answers in a row after which the rests become shorter again
_MOST_CHAINS = 8
_INSTANT = 0.001  # seconds; what is left for a connection that begins at the very end


class Connections:
    """Connects to one target.

    When as many connections as there may be at once went unanswered in a row, and what is known to be answered is not
    answered for one deadline more, the target has gone: what would be asked after that is NOT_ASKED. So is what is left
    when the time is up.

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
        rest: Seconds that are waited before each connection; 0 unless they came too fast.
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
        self.rest = 0.0
        self.too_long: int | None = None
        self.by_chance = False
        self._timeout = timeout
        self._deadline = time.monotonic() + max_time
        self._slots = slots
        self._limit = AT_ONCE
        self._permits = asyncio.Semaphore(AT_ONCE)
        self._least_rest = 0.0
        self._calm = 0
        self._unanswered = 0
        self._looks_whether_gone = False

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

    async def ask_once(self, profile: Profile, *, follow: bool = False) -> Answer:
        """Send a client's hello once, and take what comes."""
        async with self._permits:
            return await self._connect(profile, follow=follow)

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
            if self._unanswered >= AT_ONCE and not self._looks_whether_gone:
                self._looks_whether_gone = True
                if not await self._comes_back():
                    self.gone = answer.outcome
                self._unanswered, self._looks_whether_gone = 0, False
        if self.rest:
            self._speed_up(answer)
        if questions.names_the_server(profile, self.sni):
            self._remember(answer)
        return answer

    async def _comes_back(self) -> bool:
        """Return whether the witness is answered within one deadline: a full server refuses for a while."""
        if not self.witness:
            return False
        patient_until = time.monotonic() + self._time_for_one
        while not self.witness.holds(await self._send(self.witness.profile)):
            if time.monotonic() >= patient_until:
                return False
            await pause(_SHORTEST_REST)
        return True

    async def _send(self, profile: Profile, *, follow: bool = False, length: int | None = None) -> Answer:
        self.connections += 1
        timeout = self._time_for_one
        if profile.ssl2_format and profile.accepted_versions == (ProtocolVersion.SSL_2,):
            return await exchange.ask_ssl2(self.endpoint, profile, timeout=timeout)
        return await exchange.ask(self.endpoint, profile, sni=self.sni, timeout=timeout, follow=follow, length=length)

    async def _wait_a_turn(self) -> None:
        if self.rest:
            await pause(self.rest)

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
        if self.slowed and not self.rest:
            self._least_rest = _SHORTEST_REST / 4  # without any rest it ends connections again
        self._limit, self.slowed, self._calm = 1, True, 0
        if not self.by_chance:
            self.rest = min(max(2 * self.rest, _SHORTEST_REST), _LONGEST_REST)

    def _ends_by_chance(self) -> None:
        """Go on without rests: the target ends connections whatever their number and rate."""
        self.by_chance, self.rest = True, 0.0

    def _speed_up(self, answer: Answer) -> None:
        """Make the rests shorter after some answers in a row."""
        self._calm = 0 if proves_nothing(answer) else self._calm + 1
        if self._calm >= _CALM:
            self._calm = 0
            shorter = self.rest / 2 if self.rest > _SHORTEST_REST / 2 else 0.0
            self.rest = max(shorter, self._least_rest)
