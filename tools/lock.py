"""Write the lock files anew: of the virtual environments, and of each release of Kubernetes and Istio that is built.

The arguments are the releases of Istio to do so for, and nothing else: all of them, and all the rest, by default.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from meshproof.catalogue import current_catalogue
from meshproof.images import golang
from meshproof.machine import process
from meshproof.machine.console import complain, stage
from meshproof.settings import TIMEOUTS, cache_directory
from tools.lock_istio import NotServed, lock_istio

ROOT = Path(__file__).resolve().parents[1]

KUBERNETES = golang.SOURCES / "kubernetes"


def lock_kubernetes(version: str) -> None:
    """Write the module file of one version: Kubernetes, and the modules that its source tree has beside it.

    Kubernetes' own go.mod replaces these by directories; outside its tree each is the module of the same release.
    """
    cache = cache_directory()
    env = golang.environment(cache) | {"GOFLAGS": "-modcacherw"}

    def go(*args: str | Path) -> str:
        return process.run([golang.go(cache), *args], cwd=KUBERNETES, env=env, timeout=TIMEOUTS.image_build)

    downloaded = json.loads(go("mod", "download", "-json", f"k8s.io/kubernetes@v{version}"))
    upstream = json.loads(go("mod", "edit", "-json", downloaded["GoMod"]))
    staged = [replaced["Old"]["Path"] for replaced in upstream["Replace"]]
    release = f"v0.{version.split('.', 1)[1]}"
    lock = KUBERNETES / "locks" / f"{version}.mod"
    lock.parent.mkdir(exist_ok=True)
    lock.with_suffix(".sum").unlink(missing_ok=True)
    replaces = "\n".join(f"\t{path} => {path} {release}" for path in staged)
    lock.write_text(
        f"module meshproof/images/kubernetes\n\ngo 1.26\n\nrequire k8s.io/kubernetes v{version}\n\n"
        f"replace (\n{replaces}\n)\n"
    )
    go("mod", "tidy", f"-modfile={lock}")


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


def lock_releases_of_istio(releases: list[str]) -> bool:
    """Write the module files of these releases; return whether all could be written. A file that is there stays."""
    for release in releases:
        try:
            with stage(f"Istio {release}"):
                lock_istio(release, current_catalogue().packages.istio[release].module)
        except NotServed as error:
            complain(f"Istio {release} was not locked: {error}.")
    return not set(releases) - set(current_catalogue().packages.locked())


if __name__ == "__main__":
    if len(sys.argv) == 1:
        with stage("requirements.lock"):
            lock_environment("requirements.lock", "--group=dev", "--extra=pytest", "pyproject.toml")
        with stage("tools/sslyze.lock"):
            lock_environment("tools/sslyze.lock", "--group=sslyze")
        for kubernetes in current_catalogue().packages.kubernetes:
            with stage(f"Kubernetes {kubernetes}"):
                lock_kubernetes(kubernetes)
    lock_releases_of_istio(sys.argv[1:] or list(current_catalogue().packages.istio))
