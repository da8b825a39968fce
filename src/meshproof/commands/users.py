"""The clients that a user has captured."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from platformdirs import user_config_path

from meshproof.commands.output import write
from meshproof.errors import MachineError
from meshproof.tls.clients import Clients, read
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
    write(file, text_of(Clients(f"{datetime.now(UTC):%Y-%m-%d}", found.profiles)))
