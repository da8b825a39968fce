"""Write the module files of the releases of Istio that are built."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from meshproof.catalogue import LOCKS
from meshproof.errors import CommandFailed
from meshproof.images import golang
from meshproof.machine import process
from meshproof.machine.console import console
from meshproof.settings import TIMEOUTS, cache_directory

_ISTIO = "istio.io/istio"
_HEAD = """\
// Istio {release}, as Istio builds it; written by `make lock`.
{remarks}module meshproof/images/istio

go {go}

tool (
	istio.io/istio/istioctl/cmd/istioctl
	istio.io/istio/pilot/cmd/pilot-agent
	istio.io/istio/pilot/cmd/pilot-discovery
)

"""
_REQUIRED = re.compile(r"^\t?(?:require )?(\S+\.\S+/\S+) (v\S+)", re.MULTILINE)
REFUSED = re.compile(r"(?:^|\s)(\S+\.\S+/\S+?)@(v[^:\s]+): (?:reading|verifying|invalid)")
_PSEUDO = re.compile(r"v(\d+)\.(\d+)\.(\d+)-(?:(?:(.+)\.)?0\.)?(?P<time>\d{14})-[0-9a-f]{12}")
_TRIES = 20  # modules that are not served, one after the other


@dataclass(frozen=True, slots=True)
class Unserved:
    """A module that the proxy does not serve in the version that Istio names, and the one that is taken."""

    module: str
    wanted: str
    taken: str

    def __str__(self) -> str:
        return f"{self.module} {self.wanted} is not served: {self.taken} is the nearest that is."


class NotServed(Exception):
    """The proxy does not serve what there is no other version for; its message says what."""


def lock_istio(release: str, module: str) -> None:
    """Write the module files of one release.

    It requires everything that Istio's own go.mod lists, so that Go needs few other go.mod files.

    Args:
        release: The release, such as ``1.31.0``.
        module: The version of Istio's Go module that has its commit.

    Raises:
        NotServed: The proxy does not serve it.
    """
    served = _resolved(release)
    if served and served != module:
        raise NotServed(f"the tag {release} leads to {served}, and versions.toml says {module}")
    downloaded = _download(_ISTIO, module)
    if "GoMod" not in downloaded:
        raise NotServed(f"the Go module proxy does not serve {_ISTIO} {module}")
    upstream = json.loads(_go("mod", "edit", "-json", downloaded["GoMod"]))
    required = {each["Path"]: each["Version"] for each in upstream["Require"]}
    unserved = {name: _nearest(name, version) for name, version in _without_a_file(required)}
    for _ in range(_TRIES):
        _write(release, module, upstream["Go"], required, unserved)
        try:
            _go("list", "-deps", "-mod=mod", f"-modfile={LOCKS / release}.mod", "-tags=vtprotobuf,disable_pgv", "tool")
        except CommandFailed as error:
            refused = {name: version for name, version in REFUSED.findall(error.tail) if name not in unserved}
            if not refused:
                raise
            unserved |= {name: _nearest(name, version) for name, version in refused.items()}
        else:
            break
    for each in unserved.values():
        console.print(f"  {each}")


def _write(release: str, module: str, go: str, required: dict[str, str], unserved: dict[str, Unserved]) -> None:
    remarks = "".join(f"// {each}\n" for each in unserved.values())
    taken = {name: unserved[name].taken if name in unserved else version for name, version in required.items()}
    lines = [f"\t{name} {version} // indirect" for name, version in sorted({**taken, _ISTIO: module}.items())]
    # Go reads the go.mod of the version that is named, even where a higher one wins: it is replaced, too.
    replaced = [f"\t{each.module} {each.wanted} => {each.module} {each.taken}" for each in unserved.values()]
    text = _HEAD.format(release=release, remarks=remarks, go=go) + "require (\n" + "\n".join(lines) + "\n)\n"
    if replaced:
        text += "\nreplace (\n" + "\n".join(replaced) + "\n)\n"
    file = LOCKS / f"{release}.mod"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.with_suffix(".sum").unlink(missing_ok=True)


def _resolved(release: str) -> str:
    """Return the version that a release's tag leads to; empty where the proxy does not know the tag."""
    try:
        return str(json.loads(_go("list", "-m", "-json", f"{_ISTIO}@{release}"))["Version"])
    except CommandFailed:
        console.print(f"  The Go module proxy does not know the tag {release}: the module of versions.toml is taken.")
        return ""


def _without_a_file(required: dict[str, str]) -> list[tuple[str, str]]:
    """Return the modules whose go.mod is not served in the version that is required."""

    def is_served(item: tuple[str, str]) -> bool:
        try:
            _go("list", "-m", "-json", "@".join(item))
        except CommandFailed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        served = list(pool.map(is_served, required.items()))
    return [item for item, there in zip(required.items(), served, strict=True) if not there]


def _nearest(module: str, wanted: str) -> Unserved:
    """Find the tag of the same commit; or else the next version that is served, or the last one before.

    Raises:
        NotServed: None is.
    """
    candidates = sorted({*neighbours(wanted), *_listed(module), *_in_other_locks(module)} - {wanted}, key=order)
    above = [version for version in candidates if order(version) > order(wanted)]
    below = [version for version in reversed(candidates) if order(version) < order(wanted)]
    match = _PSEUDO.fullmatch(wanted)
    made = match and datetime.strptime(match["time"], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    for version in sorted([*above, *below], key=lambda version: made is None or _made(module, version) != made):
        if "Sum" in _download(module, version):
            return Unserved(module, wanted, version)
    raise NotServed(f"the Go module proxy serves no version of {module} that could stand for {wanted}")


def _made(module: str, version: str) -> datetime | None:
    """Return when the commit of a version was made; None where nobody knows."""
    try:
        return datetime.fromisoformat(json.loads(_go("list", "-m", "-json", f"{module}@{version}"))["Time"])
    except CommandFailed:
        return None


def neighbours(version: str) -> Iterator[str]:
    """Yield the tags that a pseudo-version lies between.

    Source: https://go.dev/ref/mod#pseudo-versions
    """
    if (match := _PSEUDO.fullmatch(version)) is None:
        return
    major, minor, patch, before_release, _ = match.groups()
    yield f"v{major}.{minor}.{patch}"
    if before_release:
        yield f"v{major}.{minor}.{patch}-{before_release}"
    elif patch != "0":
        yield f"v{major}.{minor}.{int(patch) - 1}"


def _listed(module: str) -> Iterator[str]:
    """Yield the versions that the proxy lists: the tags, and the newest."""
    for query in (
        ["-versions", "-f={{range .Versions}}{{.}} {{end}}", module],
        ["-f={{.Version}}", f"{module}@latest"],
    ):
        try:
            yield from _go("list", "-m", *query).split()
        except CommandFailed:
            continue


def _in_other_locks(module: str) -> Iterator[str]:
    """Yield the versions that the locks of other releases have."""
    for lock in LOCKS.glob("*.mod"):
        yield from (version for name, version in _REQUIRED.findall(lock.read_text()) if name == module)


def order(version: str) -> tuple[Any, ...]:
    """Return a key that sorts versions as Go does: a pre-release is before its release.

    Source: https://semver.org/#spec-item-11
    """
    release, _, before = version.removeprefix("v").partition("+")[0].partition("-")
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in before.split(".")] if before else []
    return (*map(int, release.split(".")), not before, parts)


def _download(module: str, version: str) -> dict[str, str]:
    try:
        answer: dict[str, str] = json.loads(_go("mod", "download", "-json", f"{module}@{version}"))
    except CommandFailed as error:
        return {"Error": error.last}
    return answer


def _go(*arguments: str | Path) -> str:
    cache = cache_directory()
    environment = golang.environment(cache) | {"GOFLAGS": "-modcacherw"}
    source = golang.SOURCES / "istio"
    return process.run([golang.go(cache), *arguments], cwd=source, env=environment, timeout=TIMEOUTS.image_build)
