"""The clients that a user has captured."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from platformdirs import user_config_path

from meshproof.cli.output import write
from meshproof.errors import ClientsUnreadable, MachineError
from meshproof.tls.protocol.clients import Clients, built_in, is_set, read
from meshproof.tls.protocol.clients import write as text_of
from meshproof.tls.protocol.profile import Profile

WITHOUT = "`meshproof scan --clients none` does not read it, unless there is --expect."


def own_file() -> Path:
    """Return where they are: ``MESHPROOF_CLIENTS``, or ``clients.json`` in the user's configuration."""
    return Path(os.environ.get("MESHPROOF_CLIENTS") or user_config_path("meshproof") / "clients.json")


def own_clients(file: Path | None = None) -> Clients:
    """Return them; none when there is no such file.

    Raises:
        ClientsUnreadable: The file is not what it should be.
    """
    file = file or own_file()
    if not file.exists():
        return Clients("", ())
    try:
        return read(file)
    except ClientsUnreadable as error:
        raise ClientsUnreadable(f"{error} Repair that file, or move it away. {WITHOUT}") from error


def check_name(name: str) -> None:
    """Refuse a name that a client of one's own can't have.

    Raises:
        ClientsUnreadable: A set is called so, or a client that comes with meshproof.
    """
    ours = next((profile.name for profile in built_in().profiles if profile.name.lower() == name.lower()), None)
    if ours or is_set(name):
        whose = f"the client {ours} comes with meshproof" if ours else f"{name.lower()} is a set of clients"
        raise ClientsUnreadable(f"A client can't be called {name}: {whose}. Choose another name.")


def add(profile: Profile, file: Path) -> None:
    """Add a client to a file, in place of one of the same name.

    Raises:
        ClientsUnreadable: The file is not what it should be.
        MachineError: It can't be written.
    """
    clients = own_clients(file).with_own(Clients("", (profile,)))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"Tried to make {file.parent}: {error.strerror}.") from error
    _write(file, clients.profiles)


def remove(name: str, file: Path) -> str:
    """Remove a client from a file, and return its name as it is spelled there; capitals do not count.

    Raises:
        ClientsUnreadable: The file is not what it should be, or has no such client.
        MachineError: It can't be written.
    """
    own = own_clients(file)
    removed = next((profile.name for profile in own.profiles if profile.name.lower() == name.lower()), None)
    if removed is None:
        ours = {profile.name.lower() for profile in built_in().profiles}
        names = {profile.name.lower(): profile.name for profile in own.profiles}
        near = [names[word] for word in difflib.get_close_matches(name.lower(), names, n=2)]
        has = f"it has {', '.join(names.values())}" if names else "there is no client in it"
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ClientsUnreadable(
            f"{name} comes with meshproof and can't be removed: only the clients in {file} can."
            if name.lower() in ours
            else f"Tried to remove {name} from {file}: {has}.{hint}"
        )
    _write(file, [profile for profile in own.profiles if profile.name != removed])
    return removed


def _write(file: Path, profiles: Iterable[Profile]) -> None:
    write(file, text_of(Clients(f"{datetime.now(UTC):%Y-%m-%d}", tuple(profiles))))
