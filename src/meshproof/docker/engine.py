"""Docker: the daemon that is there, used as it is, or a private one that ends with its last user."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from meshproof.docker.dockerd import host, private_dockerd
from meshproof.docker.private import private_daemon, revive
from meshproof.docker.version import server_version
from meshproof.errors import CommandFailed, MachineError
from meshproof.machine import process
from meshproof.machine.cache import claimed


@dataclass(frozen=True, slots=True)
class Docker:
    """A daemon that answered.

    Attributes:
        version: The daemon's release.
        private: The directory of our own daemon; None for one that was there before us.
    """

    version: str
    private: Path | None = None

    @property
    def env(self) -> dict[str, str]:
        """What the environment of `docker` and `kind` needs to find this daemon."""
        return {"DOCKER_HOST": host(self.private)} if self.private else {}

    def run(
        self,
        *args: str | Path,
        timeout: float = 120,
        cwd: Path | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> str:
        """Run ``docker ARGS`` and return what it printed.

        Raises:
            CommandFailed: With the last lines of its output.
            MachineError: The daemon is gone.
        """
        try:
            return process.run(["docker", *args], env=self.env, timeout=timeout, cwd=cwd, on_line=on_line)
        except CommandFailed as error:
            if not self.answers():
                raise self.gone(f"`docker {args[0]}`") from error
            raise

    def containers(self, condition: str) -> list[str]:
        """Return the ids of all containers, running or not, that a filter of ``docker ps`` lets through."""
        return self.run("ps", "--all", "--quiet", "--no-trunc", f"--filter={condition}").split()

    def has_image(self, name: str) -> bool:
        """Return whether the daemon has an image of that name."""
        return bool(self.image_id(name))

    def image_id(self, name: str) -> str:
        """Return the id of an image, which another one of that name does not have; empty if the daemon has none.

        Args:
            name: Its name; without a tag it is the one with ``latest``, and with a digest the tag does not count.
        """
        tagged, _, digest = name.partition("@")
        if ":" not in tagged.rpartition("/")[2]:
            tagged = f"{tagged}:latest"
        # `docker images` finds no image by both.
        exact = f"{tagged.rpartition(':')[0]}@{digest}" if digest else tagged
        return self.run("images", "--quiet", "--no-trunc", exact).partition("\n")[0].strip()

    def identity(self) -> str:
        """Return the name that the daemon has for itself; no two have the same."""
        return self.run("info", "--format={{.ID}}").strip()

    def answers(self) -> bool:
        """Return whether the daemon is still there."""
        return server_version(self.env) is not None

    def gone(self, during: str) -> MachineError:
        """Return the error for a daemon that stopped answering."""
        where = self.env.get("DOCKER_HOST") or os.environ.get("DOCKER_HOST") or "the default socket"
        look = f"Its log is {self.private / 'daemon.log'}" if self.private else "See `systemctl status docker`"
        return MachineError(f"The Docker daemon at {where} stopped answering during {during}. {look}; then run again.")

    def revived(self) -> bool:
        """Bring our own daemon back, so that what runs on it can be removed; return whether one answers."""
        if not self.answers() and self.private:
            revive(self.private)
        return self.answers()


@contextmanager
def daemon(cache: Path) -> Iterator[Docker]:
    """Use the Docker daemon that answers, or a private one for as long as somebody needs it.

    Raises:
        ToolMissing: Docker is not installed.
        MachineError: None answers, and we may not or can not start one; or the cache can't be written.
    """
    with claimed(cache):
        directory = cache / "docker"
        version = server_version({})
        # A private one that runs has a cluster on it that was kept, or another run: what is on it is not on yours.
        if version is not None and private_dockerd(directory) is None:
            yield Docker(version)
            return
        with private_daemon(directory) as version:
            yield Docker(version, directory)
