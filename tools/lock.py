"""Write the lock files anew: of the virtual environments, and of each release of Kubernetes and Istio that is built.

The arguments are the releases of Istio to do so for, and nothing else: all of them, and all the rest, by default.
What can't be locked keeps the lock that it has, and the rest goes on; see CONTRIBUTING.md for how it ends.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from meshproof.catalogue import current_catalogue
from meshproof.errors import ExitCode, MeshproofError, UnknownVersion
from meshproof.images import golang
from meshproof.machine import process
from meshproof.machine.console import complain, stage
from meshproof.settings import TIMEOUTS
from tools.go_modules import Tampered, run_go, written_whole
from tools.lock_istio import ReleaseNotServed, lock_istio

ROOT = Path(__file__).resolve().parents[1]

KUBERNETES = golang.SOURCES / "kubernetes"


def lock_kubernetes(version: str) -> None:
    """Write the module file of one version: Kubernetes, and the modules that its source tree has beside it.

    Kubernetes' own go.mod replaces these by directories; outside its tree each is the module of the same release.
    """
    go = partial(run_go, KUBERNETES)
    module = f"k8s.io/kubernetes@v{version}"
    upstream = json.loads(go("mod", "edit", "-json", go("list", "-m", "-f={{.GoMod}}", module).strip()))
    staged = [replaced["Old"]["Path"] for replaced in upstream["Replace"]]
    release = f"v0.{version.split('.', 1)[1]}"
    replaces = "\n".join(f"\t{path} => {path} {release}" for path in staged)
    with written_whole(KUBERNETES / "locks" / f"{version}.mod") as file:
        file.write_text(
            f"module meshproof/images/kubernetes\n\ngo 1.26\n\nrequire k8s.io/kubernetes v{version}\n\n"
            f"replace (\n{replaces}\n)\n"
        )
        go("mod", "tidy", f"-modfile={file}")


def lock_environment(lock: str, *what: str) -> None:
    """Write the versions and hashes of a virtual environment.

    Args:
        lock: The lock file.
        what: What to put into it, as `uv pip compile` takes it.
    """
    uv = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--generate-hashes", "--universal"]
    uv += ["--python-version=3.11", "--no-emit-index-url", "--no-emit-find-links"]
    uv += ["--custom-compile-command=make lock", f"--output-file={lock}", *what]
    process.run(uv, cwd=ROOT, timeout=TIMEOUTS.image_build)


def lock_releases(releases: Sequence[str], *, asked_for: bool) -> ExitCode:
    """Write the module files of releases of Istio, one after the other; a file that is there stays where that fails.

    Args:
        releases: The releases.
        asked_for: Whether somebody named them. A release of all that has no lock, and is not served, is no failure.

    Returns:
        What is worst, as for `main`.

    Raises:
        Tampered: A module is not what the checksum database has: nothing more is locked.
    """
    packages = current_catalogue().packages
    codes = [
        _end_of(
            f"Istio {release}",
            partial(lock_istio, release, packages.istio[release].module),
            has_lock=release in packages.locked(),
            asked_for=asked_for,
        )
        for release in releases
    ]
    return min((code for code in codes if code), default=ExitCode.DONE)


def _end_of(what: str, lock: Callable[[], None], *, has_lock: bool = True, asked_for: bool = True) -> ExitCode:
    """Write one lock; say why if that fails, and return how it ends."""
    try:
        with stage(what):
            lock()
    except Tampered:
        raise
    except MeshproofError as error:
        rest = "The lock that is there stays." if has_lock else "It has no lock and can't be built."
        complain(f"{what} was not locked. {error} {rest}")
        is_known = isinstance(error, ReleaseNotServed) and not has_lock and not asked_for
        return ExitCode.DONE if is_known else error.exit_code
    return ExitCode.DONE


def main(releases: Sequence[str]) -> ExitCode:
    """Write the locks of these releases of Istio, or all locks.

    Returns:
        The smallest code, but 0, of those with which one of the locks ended, so that what is known to be wrong is worse
        than what could not be found out; 0 if all are written.
    """
    try:
        catalogue = current_catalogue()
        known = catalogue.packages.istio
        if unknown := [release for release in releases if release not in known]:
            raise UnknownVersion(
                f"Istio {', '.join(unknown)} is not in `packages.istio` of {catalogue.file}, which has "
                f"{', '.join(known)}. Add a line for it, or name one of these."
            )
        if releases:
            return lock_releases(list(dict.fromkeys(releases)), asked_for=True)
        dependencies = ("--group=dev", "--extra=pytest", "pyproject.toml")
        sslyze = "tools/sslyze.lock"
        codes = [
            _end_of("requirements.lock", partial(lock_environment, "requirements.lock", *dependencies)),
            _end_of(sslyze, partial(lock_environment, sslyze, "--group=sslyze")),
            *(_end_of(f"Kubernetes {each}", partial(lock_kubernetes, each)) for each in catalogue.packages.kubernetes),
            lock_releases(list(known), asked_for=False),
        ]
        return min((code for code in codes if code), default=ExitCode.DONE)
    except MeshproofError as error:
        complain(str(error))
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
