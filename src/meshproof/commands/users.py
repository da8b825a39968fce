"""The clients that a user has captured."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from platformdirs import user_config_path

from meshproof.commands.output import write
from meshproof.errors import MachineError
from meshproof.tls.clients import Clients, ClientsUnreadable, built_in, read
from meshproof.tls.clients import write as text_of
from meshproof.tls.profile import Profile


def own_file() -> Path:
    """Return where they are: ``MESHPROOF_CLIENTS``, or ``clients.json`` in the user's configuration."""
    return Path(os.environ.get("MESHPROOF_CLIENTS") or user_config_path("meshproof") / "clients.json")


def own_clients(file: Path | None = None) -> Clients:
    """Return them; none when there is no such file.

    Raises:
        ClientsUnreadable: The file is not what it should be.
    """
    file = file or own_file()
    return read(file) if file.exists() else Clients("", ())


def add(profile: Profile, file: Path) -> None:
    """Add a client to a file, in place of one of the same name.

    Raises:
        ClientsUnreadable: The file is not what it should be.
        MachineError: It can't be written.
    """
    found = own_clients(file).with_own(Clients("", (profile,)))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"Tried to make {file.parent}: {error.strerror}.") from error
    _write(file, found.profiles)


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
        has = ", ".join(profile.name for profile in own.profiles)
        raise ClientsUnreadable(
            f"{name} comes with meshproof and can't be removed: only the clients in {file} can."
            if name.lower() in ours
            else f"Tried to remove {name} from {file}: {f'it has {has}' if has else 'there is no client in it'}."
        )
    _write(file, [profile for profile in own.profiles if profile.name != removed])
    return removed


def _write(file: Path, profiles: Iterable[Profile]) -> None:
    write(file, text_of(Clients(f"{datetime.now(UTC):%Y-%m-%d}", tuple(profiles))))
