"""The clients that a scan simulates, as --clients names them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from meshproof.errors import BadTarget
from meshproof.tls.protocol.clients import ALL, NONE, SETS, Clients, read
from meshproof.tls.protocol.profile import Profile


def each_once(*clients: Iterable[Profile]) -> tuple[Profile, ...]:
    """Return clients in their order, each by its name once; the first of a name counts."""
    by_name: dict[str, Profile] = {}
    for profile in (profile for some in clients for profile in some):
        by_name.setdefault(profile.name, profile)
    return tuple(by_name.values())


def simulated_clients(wanted: str, known: Clients) -> tuple[Profile, ...]:
    """Return the clients of some sets and names, with commas between them, or those of a file.

    Args:
        wanted: What --clients says.
        known: The clients that have a name: ours and the user's own.

    Raises:
        BadTarget: There is no such set, client or file.
        ClientsUnreadable: The file is not what it should be.
    """
    if wanted == NONE:
        return ()
    names = {profile.name.lower(): profile for profile in known.profiles}
    words, chosen = wanted.split(","), list[Profile]()
    while words:
        # A name may have a comma itself: the longest one counts.
        heads = [",".join(words[:end]).strip() for end in range(len(words), 0, -1)]
        head = next((head for head in heads if head.lower() in {*names, *SETS, ALL}), None)
        if head is None:
            return _of_a_file(wanted, heads[-1], names.values())
        words = words[head.count(",") + 1 :]
        own = names.get(head.lower())
        chosen += [own] if own else known.profiles if head.lower() == ALL else known.of(head.lower())
    return each_once(chosen)


def _of_a_file(wanted: str, word: str, clients: Iterable[Profile]) -> tuple[Profile, ...]:
    if Path(wanted).is_file():
        return read(Path(wanted)).profiles
    names = {name.lower(): name for name in (*SETS, ALL, NONE, *(profile.name for profile in clients))}
    near = difflib.get_close_matches(word.lower(), names, n=2)
    hint = f"Did you mean {' or '.join(names[name] for name in near)}? " if near else ""
    raise BadTarget(
        f"--clients {word} is neither {', '.join(SETS)}, {ALL} or {NONE}, nor the name of a client, nor a file. "
        f"{hint}`meshproof clients list` lists the clients."
    )
