"""The node image: a machine for kind to run, with the images of all pods in its container runtime."""

from __future__ import annotations

import errno
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from meshproof.docker import Docker
from meshproof.errors import BuildFailed, CommandFailed, MachineError
from meshproof.images import roles
from meshproof.images.steps import Progress, Step, disk_full, in_turn, is_disk_full
from meshproof.machine import process
from meshproof.machine.wait import until
from meshproof.settings import TIMEOUTS, Versions

HUB = "docker.io/meshproof"
"""Where a pod finds the images of Istio and of the applications; nothing is ever asked for it."""
_SECONDS = 75.0


@dataclass(frozen=True, slots=True)
class NodeImage:
    """What the node image of one set of versions is made of.

    Attributes:
        versions: What runs in it.
        parts: The steps whose results go into it, by name.
        cache: Where the results are.
        sources: The directory of the Dockerfiles.
    """

    versions: Versions
    parts: Mapping[str, Step]
    cache: Path
    sources: Path

    @property
    def name(self) -> str:
        """The image's name; its tag tells the content."""
        dockerfiles = [*self.sources.glob("*/Dockerfile*"), self.sources / "node" / "rootfs"]
        parts = [step.digest for step in self.parts.values()]
        digest = Step("node", [*sorted(dockerfiles), *parts, repr(self.versions)], lambda *_: None, _SECONDS).digest
        return f"meshproof/node:{self.versions.kubernetes}-{digest}"

    def exists(self, docker: Docker) -> bool:
        """Return whether the daemon has it."""
        return docker.has_image(self.name)

    def build(self, docker: Docker, progress: Progress) -> None:
        """Build it unless it is there; another run that builds it is waited for.

        Raises:
            BuildFailed: With Docker's last lines.
            MachineError: No space left on the disk.
        """
        if self.exists(docker):
            return
        log = self.cache / "logs" / "node-image.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with in_turn(self.cache / "node-image.lock", progress), log.open("w", buffering=1) as output:
            if self.exists(docker):
                return
            progress.began("node image", _SECONDS)
            began = time.monotonic()
            try:
                with _scratch(docker, self.cache) as scratch:
                    self._build(docker, output, scratch)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise disk_full("the node image", self.cache) from error
                raise
            except CommandFailed as error:
                if is_disk_full(error):
                    raise disk_full("the node image", self.cache) from error
                raise BuildFailed("the node image", error.tail, log) from error
            progress.ended("node image", time.monotonic() - began)

    def _build(self, docker: Docker, output: IO[str], scratch: str) -> None:
        for name in ("pod-base", "node-base"):
            docker.run("import", self._part(name, f"{name}.tar"), f"{scratch}/{name}")
        image = partial(self._image, docker, output, scratch)
        kubernetes = self._part("kubernetes", "kubernetes")
        agent = [self._part("istio", "pilot-agent"), self._part("istio", "envoy_bootstrap.json")]
        image("kubernetes/Dockerfile", "kubernetes", kubernetes)
        image("istio/Dockerfile.pilot", "pilot", self._part("istio", "pilot-discovery"))
        image("istio/Dockerfile.proxyv2", "proxyv2", *agent, self._part("envoy", "envoy"))
        for name in ("coredns", "pause"):
            image(f"{name}/Dockerfile", name, self._part(name, name))
        for name in roles():
            image(f"{name}/Dockerfile", name)
        image("node/Dockerfile", "node", kubernetes, self.sources / "node" / "rootfs")
        self._bake(docker, scratch)

    def _part(self, step: str, file: str) -> Path:
        return self.parts[step].directory(self.cache) / file

    def _image(self, docker: Docker, output: IO[str], scratch: str, dockerfile: str, name: str, *content: Path) -> None:
        """Build one image from a Dockerfile and the files that it copies."""
        with tempfile.TemporaryDirectory(dir=self.cache) as directory:
            context = Path(directory)
            shutil.copyfile(self.sources / dockerfile, context / "Dockerfile")
            for path in content:
                if path.is_dir():
                    shutil.copytree(path, context / path.name)
                else:
                    (context / path.name).hardlink_to(path)
            version = f"KUBERNETES_VERSION={self.versions.kubernetes}"
            command: list[str | Path] = [
                "build",
                "--network=none",
                f"--build-arg={version}",
                f"--build-arg=SCRATCH={scratch}",
                f"--tag={scratch}/{name}",
                context,
            ]
            docker.run(*command, on_line=lambda line: print(line, file=output))

    def _pod_images(self) -> dict[str, str]:
        """Return by which name a pod finds which of our images; kubeadm knows those of the control plane."""
        kubeadm = self._part("kubernetes", "kubeadm")
        asked = f"--kubernetes-version=v{self.versions.kubernetes}"
        names = {f"{HUB}/pause:packages": "pause"}
        for name in process.run([kubeadm, "config", "images", "list", asked], timeout=TIMEOUTS.program).split():
            component = name.rsplit("/", 1)[1].split(":")[0]
            names[name] = component if component in ("coredns", "pause") else "kubernetes"
        names |= {f"{HUB}/{name}:packages": name for name in roles()}
        names |= {f"{HUB}/{name}:{self.versions.istio}": name for name in ("pilot", "proxyv2")}
        return names

    def _bake(self, docker: Docker, scratch: str) -> None:
        """Put the pods' images into the node's containerd and keep the result as an image."""
        container = f"{scratch}-bake"
        docker.run("run", "--detach", f"--name={container}", "--network=none", "--privileged", "--tmpfs=/run",
                   "--entrypoint=sleep", f"{scratch}/node", "infinity")  # fmt: skip
        docker.run("exec", "--detach", container, "containerd")

        def containerd() -> str:
            try:
                docker.run("exec", container, "ctr", "version")
            except CommandFailed as error:
                return error.tail.strip()
            return "answering"

        until(containerd, "answering", what="containerd in the node image", timeout=TIMEOUTS.docker_start)
        images = self._pod_images()
        ours = sorted({f"{scratch}/{image}" for image in images.values()})
        with tempfile.TemporaryDirectory(dir=self.cache) as directory:
            archive = Path(directory) / "images.tar"
            docker.run("save", f"--output={archive}", *ours, timeout=TIMEOUTS.rollout)
            docker.run("cp", archive, f"{container}:/images.tar", timeout=TIMEOUTS.rollout)
        ctr = ["exec", container, "ctr", "--namespace=k8s.io", "images"]
        docker.run(*ctr, "import", "--no-unpack", "/images.tar", timeout=TIMEOUTS.rollout)
        for name, image in images.items():
            docker.run(*ctr, "tag", f"docker.io/{scratch}/{image}:latest", name)
        docker.run(*ctr, "rm", *(f"docker.io/{name}:latest" for name in ours))
        docker.run(
            "exec", container, "sh", "-c", "rm /images.tar; pkill containerd; while pidof containerd; do :; done"
        )
        entrypoint = 'ENTRYPOINT ["/usr/local/bin/entrypoint"]'
        docker.run("commit", f"--change={entrypoint}", container, self.name, timeout=TIMEOUTS.rollout)


@contextmanager
def _scratch(docker: Docker, cache: Path) -> Iterator[str]:
    """Give a name for what exists only while this build lasts; two users of one daemon build under two names.

    The name is written down meanwhile. Whoever builds has the cache's lock: a name that is there is of a killed build.
    """
    names = cache / "scratch"
    names.mkdir(exist_ok=True)
    for killed in names.iterdir():
        _remove_scratch(docker, killed.name)
        killed.unlink()
    name = f"meshproof-build-{secrets.token_hex(4)}"
    (names / name).touch()
    try:
        yield name
    finally:
        with suppress(MachineError):  # the daemon is gone; that is being told already
            _remove_scratch(docker, name)
            (names / name).unlink()


def _remove_scratch(docker: Docker, scratch: str) -> None:
    """Remove the container and the images of a build."""
    with suppress(CommandFailed):
        docker.run("rm", "--force", "--volumes", f"{scratch}-bake")
    listed = docker.run("images", "--format={{.Repository}}:{{.Tag}}", f"--filter=reference={scratch}/*")
    if listed.split():
        docker.run("rmi", "--force", *listed.split())
