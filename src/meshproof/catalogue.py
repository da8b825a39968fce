"""What there is to choose from: the releases of Istio, Kubernetes and Envoy, and where their parts come from.

It is read from ``images/versions.toml``, or from the file that the environment variable MESHPROOF_VERSIONS names.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from meshproof.errors import Unreadable
from meshproof.input_files import Node, nearest

VERSIONS = Path(__file__).parent / "images" / "versions.toml"
"""The file that comes with meshproof."""
LOCKS = VERSIONS.parent / "sources" / "istio" / "locks"
"""The module files of the releases of Istio that can be built."""
KUBERNETES_LOCKS = VERSIONS.parent / "sources" / "kubernetes" / "locks"
"""The module files of the releases of Kubernetes that can be built."""
_MIRROR = re.compile(r"https?://[^/\s]+")
_RELEASE = re.compile(r"\d+\.\d+\.\d+")
_BUILT_ISTIO = re.compile(r"\d+\.\d+(\.\d+)?")  # also the head of a branch
_PULLED_ISTIO = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?")  # also a release candidate, or a build of one's own
_SHA_256 = re.compile("[0-9a-f]{64}")
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_LOCKED_MODULE = re.compile(r"^\s*istio\.io/istio (\S+)", re.MULTILINE)
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class BuiltIstio:
    """A release of Istio that is built from packages.

    Attributes:
        module: The version of the Go module ``istio.io/istio`` that has its commit.
        after: The newest release that a commit of a branch comes after, such as ``1.30.3``; None for a release.
        envoy: The release of Envoy that goes with it.
        kubernetes: The releases of Kubernetes that it is tried on, oldest first.
        locked: Whether it has a lock file; where it has, and the file is not there, the checkout is not whole.
    """

    module: str
    after: str | None
    envoy: str
    kubernetes: tuple[str, ...]
    locked: bool


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Images:
    """What is to be said of the images of both sources.

    Attributes:
        hub: What the names of Istio's images begin with, and of all images that are built on this machine.
        upstream_envoy: Whether the proxies lack the extensions of Istio's own build of Envoy.
        own_cni: Whether the node image brings the network of pods, so that kind must not.
    """

    hub: str
    upstream_envoy: bool
    own_cni: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages(_Images):
    """What is built on this machine.

    Attributes:
        kubernetes: The releases of Kubernetes, oldest first.
        istio: The releases of Istio, oldest first.
        envoy: The SHA-256 of the wheel of each release of Envoy, oldest first.
        go: The release of Go that is fetched where none is installed.
        go_wheels: The SHA-256 of its wheels.
    """

    kubernetes: tuple[str, ...]
    istio: Mapping[str, BuiltIstio]
    envoy: Mapping[str, str]
    go: str
    go_wheels: tuple[str, ...]

    def locked(self) -> list[str]:
        """Return the releases of Istio that can be built: those whose lock file, and its checksums, are there."""
        files = {file.name for file in LOCKS.iterdir()}
        return [release for release in self.istio if {f"{release}.mod", f"{release}.sum"} <= files]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry(_Images):
    """What is pulled.

    Attributes:
        node: What the name of a node image begins with, before its release of Kubernetes.
        istioctl: The address of Istio's release archive.
        istio: The releases of Istio, oldest first.
        images: The digest of each other image, by its whole name.
        mirrors: What the node asks in place of a registry, such as ``http://10.0.0.5:5000``, by the registry's host.
    """

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


@cache
def complete_catalogue() -> Catalogue:
    """Return what there is to choose from, once it is known to be complete.

    Raises:
        Unreadable: As for `current_catalogue`, or what `make lock` or `make pin` writes is not there, or is of
            something else.
    """
    check_complete(current_catalogue())
    return current_catalogue()


def read(file: Path) -> Catalogue:
    """Read a file of that form.

    What `make pin` and `make lock` write need not be there yet: they read the file as well.

    Raises:
        Unreadable: As for `current_catalogue`.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Unreadable(f"{file}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # TOML or UTF-8; tables within tables without end
        raise Unreadable(f"{file}: this is not TOML: {error}.") from error
    top = _all_of(Node(file, "", content), "istio", "kubernetes", "packages", "registry", "applications")
    catalogue = Catalogue(
        file=file,
        istio=top["istio"].text(),
        kubernetes=top["kubernetes"].text(),
        packages=_packages(top["packages"]),
        registry=_registry(top["registry"]),
        applications=_table(top["applications"], Node.text),
    )
    _check(catalogue)
    return catalogue


def _packages(node: Node) -> Packages:
    names = ("hub", "upstream_envoy", "own_cni", "kubernetes", "istio", "envoy", "go")
    fields = _all_of(node, *names)
    go = _all_of(fields["go"], "version", "wheels")
    return Packages(
        hub=fields["hub"].text(),
        upstream_envoy=fields["upstream_envoy"].flag(),
        own_cni=fields["own_cni"].flag(),
        kubernetes=_list(fields["kubernetes"], _release),
        istio=_by_release(fields["istio"], _built, _BUILT_ISTIO),
        envoy=_by_release(fields["envoy"], _sha_256, _RELEASE),
        go=_release(go["version"]),
        go_wheels=_list(go["wheels"], _sha_256),
    )


def _built(node: Node) -> BuiltIstio:
    fields = _all_of(node, "module", "envoy", "kubernetes", besides=("after", "locked"))
    return BuiltIstio(
        module=fields["module"].text(),
        after=_release(fields["after"]) if "after" in fields else None,
        envoy=fields["envoy"].text(),
        kubernetes=_list(fields["kubernetes"], _release),
        locked=fields["locked"].flag() if "locked" in fields else True,
    )


def _registry(node: Node) -> Registry:
    names = ("hub", "upstream_envoy", "own_cni", "node", "istioctl", "istio", "images")
    fields = _all_of(node, *names, besides=("mirrors",))
    return Registry(
        hub=fields["hub"].text(),
        upstream_envoy=fields["upstream_envoy"].flag(),
        own_cni=fields["own_cni"].flag(),
        node=fields["node"].text(),
        istioctl=fields["istioctl"].text(),
        istio=_by_release(fields["istio"], _pulled, _PULLED_ISTIO),
        images=_table(fields["images"], Node.text),
        mirrors=_table(fields["mirrors"], _mirror) if "mirrors" in fields else {},
    )


def _pulled(node: Node) -> PulledIstio:
    images = ("pilot", "proxyv2")
    fields = _all_of(node, "kubernetes", besides=(*images, "istioctl"))
    pinned = {name: fields[name].text() for name in images if name in fields}
    if pinned and len(pinned) < len(images):
        raise node.wrong(f"pins {' and '.join(pinned)} alone: `pilot` and `proxyv2` are pinned together")
    istioctl = _table(fields["istioctl"], Node.text) if "istioctl" in fields else {}
    return PulledIstio(_list(fields["kubernetes"], _release), pinned, istioctl)


def _check(catalogue: Catalogue) -> None:
    """Compare the tables: what one names is in the other.

    Raises:
        Unreadable: The first that is not.
    """
    packages, registry = catalogue.packages, catalogue.registry

    def among(where: str, name: str, known: Collection[str], table: str) -> None:
        if name not in known:
            raise Node(catalogue.file, where, name).wrong(
                f"names {name}, which is not in {table}; {nearest(name, known)}"
            )

    among("istio", catalogue.istio, packages.istio.keys(), "packages.istio")
    among("kubernetes", catalogue.kubernetes, packages.kubernetes, "packages.kubernetes")
    for istio, built in packages.istio.items():
        where = f"packages.istio.{istio}"
        among(f"{where}.envoy", built.envoy, packages.envoy.keys(), "packages.envoy")
        for kubernetes in built.kubernetes:
            among(f"{where}.kubernetes", kubernetes, packages.kubernetes, "packages.kubernetes")
        if built.after and not built.after.startswith(f"{istio}."):
            raise Node(catalogue.file, f"{where}.after", built.after).is_not(f"a release of the branch {istio}")
    for istio, pulled in registry.istio.items():
        for kubernetes in pulled.kubernetes:
            images = f"registry.images (as {registry.node}{kubernetes})"
            among(f"registry.istio.{istio}.kubernetes", kubernetes, registry.kubernetes(), images)
    for role, image in catalogue.applications.items():
        among(f"applications.{role}", image, registry.images.keys(), "registry.images")


def check_complete(catalogue: Catalogue) -> None:
    """Look at what `make lock` and `make pin` write: the lock file of each release, and the digest of each image.

    Raises:
        Unreadable: The first that is not there, or can't be one.
    """

    def at(where: str, value: str) -> Node:
        return Node(catalogue.file, where, value)

    digests = {f"registry.images.{name}": digest for name, digest in catalogue.registry.images.items()}
    for istio, pulled in catalogue.registry.istio.items():
        digests |= {f"registry.istio.{istio}.{name}": digest for name, digest in pulled.images.items()}
        for architecture, digest in pulled.istioctl.items():
            _sha_256(at(f"registry.istio.{istio}.istioctl.{architecture}", digest))
    for where, digest in digests.items():
        _of_form(at(where, digest), _DIGEST, "`sha256:` and 64 hexadecimal digits, as `make pin` writes them")
    packages = catalogue.packages
    locks = [("packages.kubernetes", release, KUBERNETES_LOCKS) for release in packages.kubernetes]
    locks += [("istio", catalogue.istio, LOCKS), *(("packages.istio", release, LOCKS) for release in packages.locked())]
    for where, release, directory in locks:
        if not (directory / f"{release}.mod").exists():
            raise at(where, release).wrong(f"names {release}, which has no lock file in {directory}: see `make lock`")
    for istio in packages.locked():
        module, lock = packages.istio[istio].module, LOCKS / f"{istio}.mod"
        if (locked := _LOCKED_MODULE.findall(lock.read_text(encoding="utf-8"))) != [module]:
            raise at(f"packages.istio.{istio}.module", module).wrong(
                f"is {module}, and the lock file {lock} is of {' and '.join(locked) or 'none'}: "
                f"`make lock LOCK={istio}` writes it anew"
            )


def _mirror(node: Node) -> str:
    return _of_form(node, _MIRROR, "the address of a registry, such as http://10.0.0.5:5000, without a path")


def _release(node: Node) -> str:
    return _of_form(node, _RELEASE, "a release, such as 1.34.4")


def _sha_256(node: Node) -> str:
    return _of_form(node, _SHA_256, "a SHA-256, which is 64 hexadecimal digits")


def _of_form(node: Node, form: re.Pattern[str], what: str) -> str:
    if not form.fullmatch(node.text()):
        raise node.is_not(what)
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


def _by_release(node: Node, value: Callable[[Node], _Value], form: re.Pattern[str]) -> dict[str, _Value]:
    """Return what is in a mapping whose keys are releases of that form, one at least."""
    table = _table(node, value)
    for name in table:
        if not form.fullmatch(name):
            raise node.wrong(f"has {name!r}, which is no release such as 1.31.1")
    if not table:
        raise node.wrong("is empty: it should have one release at least")
    return table


def _list(node: Node, item: Callable[[Node], str]) -> tuple[str, ...]:
    if not node.items():
        raise node.wrong("is empty: it should have one item at least")
    return tuple(item(each) for each in node.items())
