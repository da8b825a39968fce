"""Run `make e2e IMAGES=registry` against a registry on this machine, and show that the node pulled from it.

The registry is Debian's `docker-registry`, in a container. Docker reaches it at a port of 127.0.0.1, and the node at
one of the gateway of the cluster's network, which is this machine's address on it; no other machine has a route to
either. It holds images of ours, built from packages, and a node image that has none of Istio's and none of the
applications'. A file of versions names them, with the digests that `make pin` asks the registry for. At the end the
cluster, the registry and all images in it are removed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from meshproof.catalogue import Catalogue, current_catalogue, read
from meshproof.cluster.kind import delete_cluster
from meshproof.cluster.kind.network import Network
from meshproof.cluster.objects import OF_KUBERNETES
from meshproof.docker import Docker, daemon
from meshproof.errors import ClusterError, CommandFailed, ExitCode, MeshproofError
from meshproof.images import golang, in_registry
from meshproof.images.packages import PackagesProvider
from meshproof.images.pods import Workshop, workshop
from meshproof.images.registry import ARCHITECTURE, RegistryProvider
from meshproof.images.steps import Step, build, in_turn, missing
from meshproof.machine import interrupts, process
from meshproof.machine.console import BuildProgress, complain, console, duration, stage
from meshproof.machine.undoing import afterwards
from meshproof.machine.wait import until
from meshproof.settings import TIMEOUTS, cache_directory
from meshproof.versions import PART_OF_ISTIO, Asked, ImageSource, MeshVersions, Versions, choose
from tools.oci_registry import Registries
from tools.pin import pin, write

ROOT = Path(__file__).resolve().parents[1]

_PORT = 5000
_SETTINGS = {
    "version": "0.1",
    "storage": {"filesystem": {"rootdirectory": "/images"}},
    "http": {"addr": f":{_PORT}"},
    "log": {"accesslog": {"disabled": True}, "level": "info", "formatter": "json"},
}
"""Source: https://distribution.github.io/distribution/about/configuration/ (JSON is YAML)."""
_BY_DIGEST = re.compile(r"/v2/\S+/(?:manifests|blobs)/(sha256:[0-9a-f]{64})(?:\?.*)?")
_POLL = 0.1  # seconds; how soon the server of istioctl notices that it should end
_LONGEST_RUN = 3600.0  # seconds
_KINDS = ("initContainers", "containers")
"""The containers of a pod."""


@dataclass(frozen=True, slots=True)
class LocalRegistry:
    """A registry on this machine.

    Attributes:
        docker: The daemon that it runs on.
        container: Its container.
        host: What the names of its images begin with: where Docker reaches it.
        mirror: Where the node reaches it.
    """

    docker: Docker
    container: str
    host: str
    mirror: str

    def pulled_by_the_node(self) -> dict[str, int]:
        """Return what was got where the node asks: the digest of each manifest and blob, with its octets."""
        lines: list[str] = []
        self.docker.run("logs", self.container, on_line=lines.append)
        pulled = {}
        for answer in (json.loads(line) for line in lines if line.startswith("{")):
            asked = _BY_DIGEST.fullmatch(answer.get("http.request.uri", ""))
            at_the_mirror = f"http://{answer.get('http.request.host')}" == self.mirror
            if asked and at_the_mirror and answer["http.request.method"] == "GET" and "http.response.written" in answer:
                pulled[asked[1]] = int(answer["http.response.written"])
        return pulled


@contextmanager
def local_registry(docker: Docker, cache: Path, cluster: str) -> Iterator[LocalRegistry]:
    """Run a registry on the network of a cluster that is yet to be made, until the block ends."""
    file_system = Step("docker-registry", ["bookworm"], _debian, seconds=15)
    with BuildProgress(len(missing([file_system], cache))) as progress:
        build([file_system], cache, progress)
    archive = file_system.directory(cache) / "registry.tar"
    container, image = f"{cluster}-registry", f"{current_catalogue().packages.hub}/registry:{cluster}"
    network = Network(cluster, docker, cache / "clusters" / cluster)

    def remove() -> None:
        docker.run("rm", "--force", "--volumes", container)
        docker.run("rmi", "--force", image)
        network.remove()

    def remove_images() -> None:
        named = [f"--filter=reference={host}/{name}" for name in ("*", "*/*")]
        if left := docker.run("images", "--quiet", "--no-trunc", *named).split():
            docker.run("rmi", "--force", *set(left))

    with ExitStack() as stack:
        with stage("registry"):
            docker.run("rm", "--force", "--volumes", container)  # of a run that was killed
            stack.enter_context(afterwards(remove))
            docker.run("import", archive, image)
            network.make()
            here = ("127.0.0.1", _gateway(docker, network.name))
            docker.run(
                *("create", f"--name={container}", f"--network={network.name}"),
                *(f"--publish={address}::{_PORT}" for address in here),
                *("--entrypoint=/usr/bin/docker-registry", image, "serve", "/settings.json"),
            )
            with tempfile.TemporaryDirectory() as directory:
                settings = Path(directory, "settings.json")
                settings.write_text(json.dumps(_SETTINGS))
                docker.run("cp", settings, f"{container}:/settings.json")
            docker.run("start", container)
            published = docker.run("port", container, f"{_PORT}/tcp").split()
            host, at_the_gateway = (next(each for each in published if each.startswith(address)) for address in here)
            stack.enter_context(afterwards(remove_images))
            until(
                lambda: _answer(f"http://{host}/v2/"),
                "answering",
                what="The registry",
                timeout=TIMEOUTS.docker_start,
                hint=lambda: docker.run("logs", container)[-300:],
            )
        yield LocalRegistry(docker, container, host, f"http://{at_the_gateway}")


def _debian(out: Path, on_line: Any) -> None:  # noqa: ANN401
    """Unpack Debian's package and what it needs into an archive; no service is installed."""
    command: list[str | Path] = ["mmdebstrap", "--variant=extract", "--include=docker-registry", "bookworm"]
    process.run([*command, out / "registry.tar"], timeout=TIMEOUTS.image_build, on_line=on_line)


def _answer(url: str) -> str:
    try:
        return "answering" if Registries({}).text(url) else "without a word"
    except MeshproofError as error:
        return str(error)


def _gateway(docker: Docker, network: str) -> str:
    """Return the address of this machine on a network: containers reach it whatever the packet filter forwards."""
    return docker.run("network", "inspect", "--format={{(index .IPAM.Config 0).Gateway}}", network).strip()


def fill(registry: LocalRegistry, provider: PackagesProvider) -> None:
    """Build all images and push them."""
    docker, cache, versions = registry.docker, provider.cache, provider.versions
    node = f"{registry.host}/node:v{versions.kubernetes}"
    names = {role: f"{registry.host}/{role}" for role in in_registry()}
    names |= {name: f"{registry.host}/istio/{name}:{versions.mesh.istio}" for name in ("pilot", "proxyv2")}
    log = cache / "logs" / "registry-e2e.log"
    with BuildProgress(len(missing(provider.steps, cache)) + 1) as progress:
        build(provider.steps, cache, progress, afterwards=partial(golang.forget, cache))
        with in_turn(cache / "node-image.lock", progress), log.open("w") as output:
            progress.began("images", 90)
            began = time.monotonic()
            with workshop(docker, cache, output) as shop:
                provider.node.build_bare(shop, node)
            with workshop(docker, cache, output) as shop:
                _load_another(provider.node.base["pod-base"], shop)
                for role in in_registry():
                    shop.build(f"{role}/Dockerfile", role)
                istio, envoy = provider.node.meshes[versions.mesh]
                shop.pilot(istio, "pilot")
                shop.proxyv2(istio, envoy, "proxyv2")
                for image, name in names.items():
                    docker.run("tag", f"{shop.name}/{image}", name)
            progress.ended("images", time.monotonic() - began)
    with stage("images pushed, and removed from Docker"):
        for name in (node, *names.values()):
            docker.run("push", "--quiet", name, timeout=TIMEOUTS.image_build)
            docker.run("rmi", name)


def _load_another(file_system: Step, shop: Workshop) -> None:
    """Make an image of a file system with one file more: a node pulls no layer that an image of Kubernetes has, too."""
    with tempfile.TemporaryDirectory(dir=shop.cache) as directory:
        archive = Path(directory, f"{file_system.name}.tar")
        shutil.copyfile(file_system.directory(shop.cache) / archive.name, archive)
        with tarfile.open(archive, "a") as files:
            files.addfile(tarfile.TarInfo("etc/from-a-registry"))
        shop.docker.run("import", archive, f"{shop.name}/{file_system.name}")


@contextmanager
def release_archive(istioctl: Path, release: str) -> Iterator[str]:
    """Serve a release of istioctl as Istio's archive does, on 127.0.0.1, until the block ends; its address is given."""
    with tempfile.TemporaryDirectory() as directory:
        archive = Path(directory, release, f"istioctl-{release}-linux-{ARCHITECTURE}.tar.gz")
        archive.parent.mkdir()
        with stage("istioctl packed"), tarfile.open(archive, "w:gz", compresslevel=1) as packed:
            packed.add(istioctl, "istioctl")
        digest = process.run(["sha256sum", archive.name], cwd=archive.parent, timeout=TIMEOUTS.program)
        Path(f"{archive}.sha256").write_text(digest)
        with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=directory)) as server:
            server.daemon_threads = True
            Thread(target=server.serve_forever, args=(_POLL,)).start()
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server calls it so
        """Keep quiet."""


def versions_file(file: Path, registry: LocalRegistry, archive: str, versions: Versions) -> Catalogue:
    """Write a file of versions whose [registry] is this one, with all digests; return what is in it."""
    packages, _, _ = current_catalogue().file.read_text().partition("\n[registry]\n")
    names = [f"node:v{versions.kubernetes}", *in_registry()]
    images = "\n".join(f'"{registry.host}/{name}" = ""' for name in names)
    applications = "\n".join(f'{role} = "{registry.host}/{role}"' for role in in_registry())
    file.write_text(f"""{packages}
[registry]
hub = "{registry.host}/istio"
upstream_envoy = true
own_cni = true
node = "{registry.host}/node:v"
istioctl = "{archive}"

[registry.mirrors]
"{registry.host}" = "{registry.mirror}"

[registry.istio."{versions.mesh.istio}"]
kubernetes = ["{versions.kubernetes}"]

[registry.images]
{images}

[applications]
{applications}
""")
    write(file, pin(read(file)))
    return read(file)


def unproven(registry: LocalRegistry, cluster: str, catalogue: Catalogue) -> list[str]:
    """Say what was pulled; return what speaks against it that the node pulled each image whole, and runs it."""
    known, node = catalogue.registry, f"{cluster}-control-plane"
    pinned = [
        f"{known.hub}/{name}@{digest}" for release in known.istio.values() for name, digest in release.images.items()
    ]
    pinned += [f"{image}@{known.images[image]}" for image in catalogue.applications.values()]
    kubectl = ("exec", node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf")
    pods = json.loads(registry.docker.run(*kubectl, "get", "pods", "--all-namespaces", "--output=json"))
    running = list(_containers(pods))
    pulled = registry.pulled_by_the_node()
    wrong = []
    for image in pinned:
        digest = image.partition("@")[2]
        manifest = json.loads(Registries({}).manifest(image).content)
        parts = [digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
        if missed := [part for part in parts if part not in pulled]:
            wrong.append(f"the node did not pull {', '.join(missed)} of {image}")
        names = Counter(name for name, asked, runs in running if asked == image and runs == digest)
        if not names:
            wrong.append(f"no container runs {image}")
        where = ", ".join(f"{name} ({count})" for name, count in names.items())
        octets = sum(pulled.get(part, 0) for part in parts)
        console.print(f"  {image[:-45]}…: {len(parts)} parts, {octets / 1e6:.0f} MB; containers {where}")
    for name, asked, runs in running:
        if asked not in pinned or not asked.endswith(runs):
            wrong.append(f"the container {name} is to be {asked}, and runs {runs}")
    console.print(
        f"  {len(pulled)} parts, {sum(pulled.values()) / 1e6:.0f} MB were pulled by the node, each by its digest."
    )
    return wrong


def _containers(pods: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each container that is not of Kubernetes: its name, its image, and the digest of what it runs."""
    for pod in pods["items"]:
        if pod["metadata"]["namespace"] not in OF_KUBERNETES:
            asked = {each["name"]: each["image"] for kind in _KINDS for each in pod["spec"].get(kind, [])}
            for status in (each for kind in _KINDS for each in pod["status"].get(f"{kind[:-1]}Statuses", [])):
                yield status["name"], asked[status["name"]], status["imageID"].rpartition("@")[2]


def run(versions: Versions, cluster: str) -> int:
    """Do it all, and return the exit code."""
    cache = cache_directory()
    os.environ["NO_PROXY"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1")))
    with ExitStack() as stack:
        docker = stack.enter_context(daemon(cache))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="meshproof-registry-")))
        registry = stack.enter_context(local_registry(docker, cache, cluster))
        provider = PackagesProvider(versions, cache)
        fill(registry, provider)
        istioctl = provider.node.meshes[versions.mesh][0].directory(cache) / "istioctl"
        archive = stack.enter_context(release_archive(istioctl, versions.mesh.istio))
        catalogue = versions_file(directory / "versions.toml", registry, archive, versions)
        pulled = Versions(versions.kubernetes, MeshVersions(versions.mesh.istio, PART_OF_ISTIO))
        fetched = RegistryProvider(pulled, cache, catalogue.registry).istioctl(versions.mesh.istio)

        def clean_up() -> None:
            delete_cluster(cluster, cache, docker)
            fetched.unlink(missing_ok=True)
            Path(f"{fetched}.lock").unlink(missing_ok=True)

        stack.enter_context(afterwards(clean_up))
        began = time.monotonic()
        code = _make_e2e(cluster, catalogue.file)
        console.print(f"make e2e IMAGES=registry: exit code {code}, {duration(time.monotonic() - began)}")
        if code:
            return code
        if wrong := unproven(registry, cluster, catalogue):
            raise ClusterError(f"`make e2e` passed, but not on what was pulled: {'; '.join(wrong)}.")
    return ExitCode.DONE


def _make_e2e(cluster: str, versions: Path) -> int:
    """Run the tests on a cluster that stays, so that it can be looked at; return the exit code."""
    options = [os.environ.get("PYTEST_ADDOPTS", ""), f"--cluster-name={cluster}", "--keep-cluster"]
    env = {"MESHPROOF_VERSIONS": str(versions), "PYTEST_ADDOPTS": " ".join(filter(None, options))}
    try:
        process.run(
            ["make", "e2e", "IMAGES=registry", "ISTIO=", "KUBERNETES=", "ENVOY="],
            cwd=ROOT,
            env=env,
            timeout=_LONGEST_RUN,
            grace=TIMEOUTS.orderly_end,
            on_line=lambda line: print(line, flush=True),
        )
    except CommandFailed as error:
        return error.returncode
    return ExitCode.DONE


def main() -> None:
    """Read the options, and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--istio", help="the release of Istio, of those that can be built; the default one by default")
    parser.add_argument("--kubernetes", help="the release of Kubernetes, as above")
    parser.add_argument("--cluster-name", default="meshproof-registry")
    options = parser.parse_args()
    interrupts.raise_keyboard_interrupt()
    versions = choose(ImageSource.PACKAGES, Asked(options.istio, options.kubernetes))
    sys.exit(run(versions, options.cluster_name))


if __name__ == "__main__":
    try:
        main()
    except MeshproofError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        complain("Interrupted; the cluster, the registry and its images are removed.")
        sys.exit(ExitCode.INTERRUPTED)
