"""Images that Docker builds from Dockerfiles under ``sources/``, until they are where they belong."""

from __future__ import annotations

import errno
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from meshproof.catalogue import current_catalogue
from meshproof.docker import Docker
from meshproof.errors import BuildFailed, CommandFailed, MachineError
from meshproof.images.golang import SOURCES
from meshproof.images.steps import Progress, Step, disk_full, in_turn, is_disk_full


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where images are built, under names that nobody else uses.

    Attributes:
        docker: The daemon that builds.
        cache: Where the results of the steps are.
        name: What the name of every image begins with.
        log: Where the output goes.
    """

    docker: Docker
    cache: Path
    name: str
    log: IO[str]

    def load(self, file_system: Step) -> None:
        """Make an image of a file system that Dockerfiles build upon, and call it by the name of its step."""
        archive = file_system.directory(self.cache) / f"{file_system.name}.tar"
        self.docker.run("import", archive, f"{self.name}/{file_system.name}")

    def build(self, dockerfile: str, image: str, *content: Path, arguments: Mapping[str, str] | None = None) -> None:
        """Build one image.

        Args:
            dockerfile: Its Dockerfile under ``sources/``.
            image: What to call it in this workshop.
            content: The files and directories that the Dockerfile copies.
            arguments: Values of its arguments; SCRATCH, the name of the workshop, is always there.

        Raises:
            CommandFailed: Docker's last lines.
        """
        with tempfile.TemporaryDirectory(dir=self.cache) as directory:
            context = Path(directory)
            shutil.copyfile(SOURCES / dockerfile, context / "Dockerfile")
            for path in content:
                if path.is_dir():
                    shutil.copytree(path, context / path.name)
                else:
                    (context / path.name).hardlink_to(path)
            given = [
                f"--build-arg={name}={value}" for name, value in {"SCRATCH": self.name, **(arguments or {})}.items()
            ]
            command: list[str | Path] = ["build", "--network=none", *given, f"--tag={self.name}/{image}", context]
            self.docker.run(*command, on_line=lambda line: print(line, file=self.log))

    def pilot(self, istio: Step, name: str) -> None:
        """Build the image of istiod."""
        self.build("istio/Dockerfile.pilot", name, istio.directory(self.cache) / "pilot-discovery")

    def proxyv2(self, istio: Step, envoy: Step, name: str) -> None:
        """Build the image of the proxies."""
        parts = [istio.directory(self.cache) / part for part in ("pilot-agent", "envoy_bootstrap.json")]
        self.build("istio/Dockerfile.proxyv2", name, *parts, envoy.directory(self.cache) / "envoy")


@contextmanager
def building(what: str, cache: Path, log: str, progress: Progress) -> Iterator[IO[str]]:
    """Let nobody else build an image meanwhile, and give the log; what goes wrong is told as any build tells it.

    Args:
        what: What is built, as a sentence has it.
        cache: Where the lock and the logs are.
        log: The name of the log.
        progress: Who is told that another run builds.

    Raises:
        BuildFailed: With Docker's last lines.
        MachineError: No space left on the disk.
    """
    file = cache / "logs" / f"{log}.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    with in_turn(cache / "node-image.lock", progress), file.open("w", buffering=1) as output:
        try:
            yield output
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise disk_full(what, cache) from error
            raise
        except CommandFailed as error:
            if is_disk_full(error):
                raise disk_full(what, cache) from error
            raise BuildFailed(what, error.tail, file) from error


@contextmanager
def workshop(docker: Docker, cache: Path, log: IO[str]) -> Iterator[Workshop]:
    """Give a workshop for as long as a build lasts; two users of one daemon build under two names.

    The name is written down meanwhile. Whoever builds has the cache's lock: a name that is there is of a killed build.
    """
    names = cache / "scratch"
    names.mkdir(exist_ok=True)
    for killed in names.iterdir():
        _remove(docker, killed.name)
        killed.unlink()
    name = f"build-{secrets.token_hex(4)}"
    (names / name).touch()
    try:
        yield Workshop(docker, cache, _whole(name), log)
    finally:
        with suppress(MachineError):  # the daemon is gone; that is being told already
            _remove(docker, name)
            (names / name).unlink()


def _whole(name: str) -> str:
    return f"{current_catalogue().packages.hub}/{name}"


def _remove(docker: Docker, name: str) -> None:
    """Remove the container and the images of a workshop."""
    with suppress(CommandFailed):
        docker.run("rm", "--force", "--volumes", name)
    listed = docker.run("images", "--format={{.Repository}}:{{.Tag}}", f"--filter=reference={_whole(name)}/*")
    if listed.split():
        docker.run("rmi", "--force", *listed.split())
