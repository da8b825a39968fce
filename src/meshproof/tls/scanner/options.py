"""What a scan looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meshproof.certificates.leaf import Leaf
from meshproof.tls.probe.exchange import DEFAULT_TIMEOUT
from meshproof.tls.protocol.profile import Profile

DEFAULT_MAX_TIME = 60.0  # seconds for all that is asked of one target


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to look at.

    Attributes:
        clients: The named clients to simulate.
        timeout: Seconds for each connection.
        max_time: Seconds for all that is asked of one target; what is left then is unknown.
        lists: Whether to list cipher suites, groups and all else beside versions and clients.
        credential: A client certificate to complete a handshake with; None completes none.
        all_addresses: Whether to scan each address of a name as a target of its own.
    """

    clients: Sequence[Profile] = ()
    timeout: float = DEFAULT_TIMEOUT
    max_time: float = DEFAULT_MAX_TIME
    lists: bool = True
    credential: Leaf | None = None
    all_addresses: bool = False
