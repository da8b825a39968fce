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

from meshproof import catalogue
from meshproof.errors import ExitCode, MeshproofError
from meshproof.images import golang
from meshproof.machine.console import console
from tools.go_modules import NotServed, run_go, written_whole

_ISTIO = "istio.io/istio"
_NUMBERED_AS_ISTIO = "istio.io/"
_HEAD = """\
// Istio {release}, as Istio builds it{but}; written by `make lock`.
{remarks}module meshproof/images/istio

go {go}

tool (
	istio.io/istio/istioctl/cmd/istioctl
	istio.io/istio/pilot/cmd/pilot-agent
	istio.io/istio/pilot/cmd/pilot-discovery
)

"""
_REQUIRED = re.compile(r"^\t?(?:require )?(\S+\.\S+/\S+) (v\S+)", re.MULTILINE)
_PSEUDO = re.compile(r"v(\d+)\.(\d+)\.(\d+)-(?:(?:(.+)\.)?0\.)?(?P<time>\d{14})-[0-9a-f]{12}")
_MOST = 20  # modules that something else may stand for: beyond it the lock is of another program


@dataclass(frozen=True, slots=True)
class Substitute:
    """A module that the proxy does not serve in the version that is asked for, and the version that is taken."""

    module: str
    wanted: str
    taken: str
    same_commit: bool

    def __str__(self) -> str:
        what = "the same commit" if self.same_commit else "the nearest that is"
        return f"{self.module} {self.wanted} is not served: {self.taken} is {what}."


class ReleaseNotServed(NotServed):
    """The proxy does not serve Istio's own module."""


class TagMoved(MeshproofError):
    """The tag of a release leads to another commit than that of the catalogue."""

    exit_code = ExitCode.DEVIATES


def lock_istio(release: str, module: str) -> None:
    """Write the module files of one release; those that are there stay where it fails.

    It requires everything that Istio's own go.mod lists, so that Go needs few other go.mod files.

    Args:
        release: The release, such as ``1.31.0``.
        module: The version of Istio's Go module that has its commit.

    Raises:
        TagMoved: The tag leads to another commit.
        NotServed: The proxy does not serve the release, or a module that nothing can stand for, or too many.
        MeshproofError: As for `run_go`.
    """
    served = _resolved(release)
    if served and served != module:
        raise TagMoved(f"The tag {release} leads to {served}, and {catalogue.current_catalogue().file} says {module}.")
    try:
        _go("mod", "download", f"{_ISTIO}@{module}")
    except NotServed as error:
        raise ReleaseNotServed(f"The Go module proxy does not serve {_ISTIO} {module}.") from error
    upstream = json.loads(_go("mod", "edit", "-json", _go("list", "-m", "-f={{.GoMod}}", f"{_ISTIO}@{module}").strip()))
    required = {each["Path"]: each["Version"] for each in upstream["Require"]}
    substitutes: dict[tuple[str, str], Substitute] = {}
    refused = _without_a_file(required)
    with written_whole(catalogue.LOCKS / f"{release}.mod") as file:
        while True:
            if len(substitutes) + len(refused) > _MOST:
                raise NotServed(f"The Go module proxy does not serve more than {_MOST} of the modules that it needs.")
            substitutes |= {item: _nearest(*item) for item in refused}
            _write(file, release, upstream["Go"], {**required, _ISTIO: module}, substitutes)
            try:
                _go("list", "-deps", "-mod=mod", f"-modfile={file}", "-tags=vtprotobuf,disable_pgv", "tool")
                break
            except NotServed as error:
                refused = list(dict.fromkeys(item for item in error.modules if item not in substitutes))
                if not refused:
                    raise
    for each in substitutes.values():
        console.print(f"  {each}")


def _write(
    file: Path, release: str, go: str, required: dict[str, str], substitutes: dict[tuple[str, str], Substitute]
) -> None:
    remarks = "".join(f"// {each}\n" for each in substitutes.values())
    differs = any(not each.same_commit for each in substitutes.values())
    but = " but for these modules and what they need" if differs else ""
    taken = {name: substitutes[name, wanted].taken if (name, wanted) in substitutes else wanted
             for name, wanted in required.items()}  # fmt: skip
    lines = [f"\t{name} {version} // indirect" for name, version in sorted(taken.items())]
    # Go reads the go.mod of the version that is named, even where a higher one wins: it is replaced, too.
    replaced = [f"\t{each.module} {each.wanted} => {each.module} {each.taken}" for each in substitutes.values()]
    text = _HEAD.format(release=release, but=but, remarks=remarks, go=go) + "require (\n" + "\n".join(lines) + "\n)\n"
    if replaced:
        text += "\nreplace (\n" + "\n".join(replaced) + "\n)\n"
    file.write_text(text)
    file.with_suffix(".sum").unlink(missing_ok=True)


def _resolved(release: str) -> str:
    """Return the version that a release's tag leads to; empty where the proxy does not know the tag."""
    try:
        return str(json.loads(_go("list", "-m", "-json", f"{_ISTIO}@{release}"))["Version"])
    except NotServed:
        console.print(f"  The Go module proxy does not know the tag {release}: the module of the catalogue is taken.")
        return ""


def _without_a_file(required: dict[str, str]) -> list[tuple[str, str]]:
    """Return the modules whose go.mod is not served in the version that is required."""
    with ThreadPoolExecutor(8) as pool:
        served = list(pool.map(_is_served, required.items()))
    return [item for item, there in zip(required.items(), served, strict=True) if not there]


def _is_served(item: tuple[str, str]) -> bool:
    try:
        _go("list", "-m", "-json", "@".join(item))
    except NotServed:
        return False
    return True


def _nearest(module: str, wanted: str) -> Substitute:
    """Find what stands for a version: the tag of the same commit, or else the next one, or the last one before.

    Of Istio's own modules, which are numbered after its releases, those of the same minor release come before others.

    Raises:
        NotServed: None is served.
    """
    candidates = {*neighbours(wanted), *_listed(module), *_in_other_locks(module)}
    if is_istios := module.startswith(_NUMBERED_AS_ISTIO):
        candidates.update(earlier_patches(wanted))
    versions = sorted(candidates - {wanted}, key=order)
    above = [version for version in versions if order(version) > order(wanted)]
    below = [version for version in reversed(versions) if order(version) < order(wanted)]
    match = _PSEUDO.fullmatch(wanted)
    made = match and datetime.strptime(match["time"], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    same_commit = {version for version in versions if made and _made(module, version) == made}

    def rank(version: str) -> tuple[bool, bool]:
        return version not in same_commit, is_istios and order(version)[:2] != order(wanted)[:2]

    for version in sorted([*above, *below], key=rank):
        try:
            _go("mod", "download", f"{module}@{version}")
        except NotServed:
            continue
        return Substitute(module, wanted, version, version in same_commit)
    raise NotServed(f"The Go module proxy serves no version of {module} that could stand for {wanted}.")


def _made(module: str, version: str) -> datetime | None:
    """Return when the commit of a version was made; None where the proxy does not serve that."""
    try:
        return datetime.fromisoformat(json.loads(_go("list", "-m", "-json", f"{module}@{version}"))["Time"])
    except NotServed:
        return None


def earlier_patches(version: str) -> Iterator[str]:
    """Yield the releases of the same minor that come before a version's own number."""
    major, minor, patch = order(version)[:3]
    yield from (f"v{major}.{minor}.{earlier}" for earlier in range(patch))


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
        except NotServed:
            continue


def _in_other_locks(module: str) -> Iterator[str]:
    """Yield the versions that the locks of other releases have."""
    for lock in catalogue.LOCKS.glob("*.mod"):
        yield from (version for name, version in _REQUIRED.findall(lock.read_text()) if name == module)


def order(version: str) -> tuple[Any, ...]:
    """Return a key that sorts versions as Go does: a pre-release is before its release.

    Source: https://semver.org/#spec-item-11
    """
    release, _, before = version.removeprefix("v").partition("+")[0].partition("-")
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in before.split(".")] if before else []
    return (*map(int, release.split(".")), not before, parts)


def _go(*arguments: str | Path) -> str:
    return run_go(golang.SOURCES / "istio", *arguments)
