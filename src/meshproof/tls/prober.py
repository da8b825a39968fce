"""All connections to one target: how many at once, how many in all, and what they show beside their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from meshproof.tls import enumeration, probe
from meshproof.tls.answer import Answer
from meshproof.tls.encrypted import EncryptedFlight, ask_encrypted
from meshproof.tls.outcome import WORDLESS, Outcome
from meshproof.tls.posture import Target
from meshproof.tls.probe import Endpoint
from meshproof.tls.profile import Profile
from meshproof.tls.version import ProtocolVersion

AT_ONCE = 16  # connections to one target
CONNECTIONS = 64  # to all targets together
_NO_ANSWER = frozenset({Outcome.SILENT, Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.NAME_NOT_RESOLVED})


class Prober:
    """Asks one target.

    When as many connections as there may be at once went unanswered in a row, nobody is there any more: what would be
    asked after that is SILENT without a connection.

    An end without a word is believed only twice: a second hello must end so too, or the answer is UNSTABLE.

    Args:
        target: What to ask.
        timeout: Seconds for each connection.
        slots: Limits the connections to all targets together.

    Attributes:
        target: As given.
        connections: How many there were.
        chains: The chains of certificates that were shown, leaf first, in DER; each once.
        client_cert_requested: Whether a client certificate was asked for; None while that is not known.
    """

    def __init__(self, target: Target, timeout: float, slots: asyncio.Semaphore) -> None:
        self.target = target
        self.connections = 0
        self.chains: list[tuple[bytes, ...]] = []
        self.client_cert_requested: bool | None = None
        self._timeout = timeout
        self._slots = slots
        self._own = asyncio.Semaphore(AT_ONCE)
        self._unanswered = 0
        self._endpoint: Endpoint | Outcome = Outcome.NAME_NOT_RESOLVED
        self._shares: asyncio.Task[Sequence[int]] | None = None

    async def resolve(self) -> None:
        """Look up the target's name, and choose the first of its addresses that accepts a connection."""
        found = await probe.resolve(self.target.address, self._timeout)
        self._endpoint = found[0] if not isinstance(found, Outcome) else found
        if isinstance(found, Outcome) or len(found) == 1:
            return
        for endpoint in found:
            if await probe.accepts(endpoint, self._timeout):
                self._endpoint = endpoint
                return

    async def ask(self, profile: Profile, *, follow: bool = False) -> Answer:
        """Send a client's hello; see ``probe.ask``."""
        if isinstance(self._endpoint, Outcome):
            return Answer(outcome=self._endpoint)
        endpoint = self._endpoint

        async def once() -> Answer:
            if profile.ssl2_format and profile.accepted_versions == (ProtocolVersion.SSL_2,):
                return await probe.ask_ssl2(endpoint, profile, timeout=self._timeout)
            return await probe.ask(endpoint, profile, sni=self.target.sni, timeout=self._timeout, follow=follow)

        answer = await self._within_limits(once)
        if answer.outcome in WORDLESS:
            again = await self._within_limits(once)
            if again.outcome not in WORDLESS:
                return Answer(outcome=Outcome.UNSTABLE)
        self._remember(answer.certificates, requested=answer.client_cert_requested)
        return answer

    async def ask_encrypted(self, *, signatures: str | None = None, alpn: Sequence[str] = ()) -> EncryptedFlight:
        """Read what a server says in TLS 1.3 after its ServerHello; see ``encrypted.ask_encrypted``.

        Args:
            signatures: The kind of certificate to ask for; None takes any.
            alpn: The application protocols to offer.
        """
        if isinstance(self._endpoint, Outcome):
            return EncryptedFlight()
        endpoint = self._endpoint
        hello = enumeration.for_certificate(signatures, alpn)
        found = EncryptedFlight()

        async def once() -> Answer:
            nonlocal found
            answer, found = await ask_encrypted(endpoint, hello, sni=self.target.sni, timeout=self._timeout)
            return answer

        await self._within_limits(once)
        self._remember(found.certificates, requested=found.client_cert_requested)
        return found

    async def needed_shares(self) -> Sequence[int]:
        """Return the key shares that the target needs in TLS 1.3; it is asked only once."""
        if self._shares is None:
            self._shares = asyncio.create_task(enumeration.needed_shares(self.ask))
        return await self._shares

    def _remember(self, chain: tuple[bytes, ...], *, requested: bool | None) -> None:
        if chain and chain not in self.chains:
            self.chains.append(chain)
        if requested is not None:
            self.client_cert_requested = requested or bool(self.client_cert_requested)

    async def _within_limits(self, once: Callable[[], Awaitable[Answer]]) -> Answer:
        async with self._own, self._slots:
            if self._unanswered >= AT_ONCE:
                return Answer(outcome=Outcome.SILENT)
            self.connections += 1
            answer = await once()
        self._unanswered = self._unanswered + 1 if answer.outcome in _NO_ANSWER else 0
        return answer
