"""A scenario: what one manifest asks of the mesh, in steps, in force and then gone again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from meshproof.certificates.tree import Certificates
from meshproof.cluster.external import ExternalServer
from meshproof.cluster.gateway_ports import FIXED
from meshproof.cluster.kind import Cluster
from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document, name_of
from meshproof.errors import BadOutput, ClusterError, NotThere
from meshproof.images import TRAFFIC
from meshproof.input_files import nearest
from meshproof.machine.console import stage
from meshproof.machine.undoing import afterwards
from meshproof.machine.wait import Patience, until
from meshproof.mesh import effects, manifests
from meshproof.mesh.plugged_authority import restore_left
from meshproof.mesh.testbed import Testbed
from meshproof.project import current_project
from meshproof.settings import TIMEOUTS
from meshproof.tls import Address

LABEL = "meshproof/scenario"  # all that a scenario applies has it, with the scenario's name
_SLASH = ".."  # a slash in the value of a label, which can have none


class Scenario:
    """The documents of one manifest.

    Attributes:
        name: The manifest's way from the directory of the scenarios, such as ``gateway/mutual_tls``.
        ports: The ports of the gateway that its servers were given, by the name that the manifest has for them.
        external: The servers outside of the mesh that it has while it is in force, by the names of their certificates.
    """

    def __init__(self, manifest: Path, testbed: Testbed, patience: Patience) -> None:
        """Read the manifest; apply nothing."""
        self.name = name_of_scenario(manifest)
        self._testbed = testbed
        self._kube = testbed.kube
        self._patience = patience
        self._documents = manifests.load([manifest], images=testbed.images, certificates=testbed.certificates)
        for document in self._documents:
            document["metadata"].setdefault("labels", {})[LABEL] = self.name.replace("/", _SLASH)
        self.ports = manifests.lease(self._documents, testbed.leased)
        self.external: dict[str, ExternalServer] = {}
        self._in_force: list[Document] = []
        self._effects: list[effects.Effect] = []

    @contextmanager
    def step(self, name: str | None) -> Iterator[None]:
        """Have a step in force for as long as the context lasts; None is the scenario without any of its steps.

        A document of the step replaces the one of the same kind and name that is there from the start; after the step
        that one is back.

        Raises:
            ClusterError: The manifest has no such step, or something refused a document.
            NotSettled: A proxy did not load what the documents ask for, or did not forget what they no longer do; or a
                pod did not become ready.
        """
        if name is None:
            yield
            return
        documents = self._of(name)
        before = self._in_force
        with afterwards(lambda: self._have(before)):
            self._have(_with(before, documents))
            yield

    def begin(self, *steps: str) -> None:
        """Have the documents of some steps in force, and those of none, if the API takes all of the manifest.

        Raises:
            ClusterError: As for ``step``.
            NotSettled: As for ``step``.
        """
        self._testbed.load_images(self._documents)
        self._start_servers()
        self._kube.check(self._documents)
        self._have(self.documents(*steps))

    def go_on(self, *steps: str) -> None:
        """Have the documents of some steps in force from now on, and of no others; see ``begin``."""
        self._have(self.documents(*steps))

    def remove(self) -> None:
        """Delete all that is in force, and wait until the proxies have forgotten it."""
        with afterwards(self._stop_servers):
            self._have([])
        self._testbed.leased.difference_update(self.ports.values())

    def address(self, port: int | str) -> Address:
        """Return where a port of the gateway is on this machine.

        Args:
            port: Its number in the gateway's Service; or its name in the manifest, where that gives no number.

        Raises:
            NotThere: There is no such port.
        """
        number = self.ports.get(port) if isinstance(port, str) else port
        if number not in self._testbed.gateway:
            known = ", ".join(map(str, [*(port.number for port in FIXED), *self.ports]))
            raise NotThere(f"The gateway has no port {port} for the scenario {self.name}: choose from {known}.")
        return self._testbed.gateway[number]

    @property
    def steps(self) -> set[str]:
        """The steps that the manifest has."""
        return {step for document in self._documents if (step := manifests.step_of(document))}

    def documents(self, *steps: str) -> list[Document]:
        """Return the documents that are in force with some steps.

        Raises:
            NotThere: The manifest has no such step.
        """
        documents = [document for document in self._documents if manifests.step_of(document) is None]
        for step in steps:
            documents = _with(documents, self._of(step))
        return documents

    def _start_servers(self) -> None:
        """Start the servers outside of the mesh that ServiceEntries ask for, one a certificate, and lead them there."""
        certificates, image = self._testbed.certificates, self._testbed.images.applications[TRAFFIC]
        for entry in manifests.with_servers(self._documents):
            annotations = entry["metadata"]["annotations"]
            name, authority = annotations[manifests.CERTIFICATE], annotations.get(manifests.CLIENT_CA)
            if name not in self.external:
                clients = certificates.authority(authority).pem if authority else None
                self.external[name] = self._testbed.cluster.external.start(image, certificates[name], clients)
            server = self.external[name]
            manifests.lead_to(entry, server.host, server.port)

    def _stop_servers(self) -> None:
        if manifests.with_servers(self._documents):
            self._testbed.cluster.external.remove()
            self.external.clear()

    def _of(self, step: str) -> list[Document]:
        documents = [document for document in self._documents if manifests.step_of(document) == step]
        if not documents:
            raise NotThere(f"The scenario {self.name} has no step {step}: {nearest(step, self.steps)}.")
        return documents

    def _have(self, wanted: Iterable[Document]) -> None:
        """Have exactly these documents in force, and wait until the proxies show just what they ask for."""
        documents, old = list(wanted), self._in_force
        if replaced := _replaced_unseen(old, documents):
            names = {name_of(document) for document in replaced}
            old = [document for document in old if name_of(document) not in names]
            self._have(old)
        names = {name_of(document) for document in documents}
        gone = [document for document in old if name_of(document) not in names]
        wanted_effects, before = effects.effects_of(documents), self._effects
        self._in_force = [*documents, *gone]  # what can't be deleted now has to be later
        _delete(self._kube, gone)
        new = [document for document in documents if document not in old]
        _ended(self._kube, _namespaces(new))
        self._kube.apply(new)
        for document in new:
            if document["kind"] == "Deployment" and manifests.is_waited_for(document):
                self._kube.deployments.rolled_out(document["metadata"]["namespace"], document["metadata"]["name"])
        self._in_force, self._effects = documents, wanted_effects
        effects.wait_for(self._kube, wanted_effects, before, self._patience)


def _with(before: Iterable[Document], documents: Iterable[Document]) -> list[Document]:
    """Return documents with others added, each in the place of the one of its kind and name."""
    return list({name_of(document): document for document in (*before, *documents)}.values())


def _replaced_unseen(old: Iterable[Document], new: Iterable[Document]) -> list[Document]:
    """Return the documents that others of the same name replace while a proxy does not show the difference.

    Such a one has to be gone before its successor comes, or the wait would end while it is still in force.
    """
    there = {name_of(document): document for document in old}
    return [
        document
        for document in new
        if document["kind"] in effects.KNOWN_BY_NAME and there.get(name_of(document), document) != document
    ]


def name_of_scenario(manifest: Path) -> str:
    """Return what a scenario is called: its area, if it is in one of the project's, and the stem of its manifest."""
    scenarios = current_project().scenarios
    return str(manifest.relative_to(scenarios).with_suffix("")) if manifest.is_relative_to(scenarios) else manifest.stem


@contextmanager
def in_force(manifest: Path, testbed: Testbed, patience: Patience) -> Iterator[Scenario]:
    """Have a scenario in force, without its steps, for as long as the context lasts."""
    mine = Scenario(manifest, testbed, patience)
    with afterwards(mine.remove):
        mine.begin()
        yield mine


def on_the_cluster(kube: Kube) -> dict[str, list[Document]]:
    """Return what a cluster has of scenarios, by their names: applied by hand, or left by a killed run."""
    scenarios: dict[str, list[Document]] = {}
    for document in kube.labelled(LABEL, manifests.KINDS):
        scenarios.setdefault(document["metadata"]["labels"][LABEL].replace(_SLASH, "/"), []).append(document)
    return scenarios


def clear(cluster: Cluster, kube: Kube, patience: Patience) -> bool:
    """Remove what a cluster has of scenarios, and wait until the proxies have forgotten it; forget its certificates.

    A root of the mesh that a killed run has left makes way for the mesh's own.

    Certificates are new in every run, so a run begins with that: what is in force has old ones.

    Returns:
        Whether there was anything.

    Raises:
        NotSettled: A proxy did not forget something.
    """
    cluster.forget_applied()
    cluster.external.remove()
    restore_left(kube)
    scenarios = on_the_cluster(kube)
    documents = [document for of_one in scenarios.values() for document in of_one]
    if documents:
        with stage(f"removed what was in force: {', '.join(scenarios)}"):
            old: list[effects.Effect] = []
            with suppress(ClusterError):  # what can't be waited for is removed all the same
                old = effects.effects_of(documents)
            _delete(kube, documents)
            _ended(kube, _namespaces(documents))
            effects.wait_for(kube, [], old, patience)
    return bool(documents)


def _delete(kube: Kube, documents: list[Document]) -> None:
    """Delete objects, and wait until the pods of Deployments are gone.

    A namespace is not waited for: Kubernetes empties it 5 s later, whatever is in it, and by then nothing is.
    """
    kube.delete([document for document in documents if document["kind"] not in ("Deployment", "Namespace")])
    kube.remove([document for document in documents if document["kind"] == "Deployment"])
    kube.delete(_namespaces(documents))


def _namespaces(documents: Iterable[Document]) -> list[Document]:
    return [document for document in documents if document["kind"] == "Namespace"]


def _ended(kube: Kube, namespaces: list[Document]) -> None:
    """Wait until Kubernetes is not about to delete namespaces of these names, which an earlier scenario had.

    Raises:
        NotSettled: Which one it still deletes.
    """
    names = [namespace["metadata"]["name"] for namespace in namespaces]

    def ending() -> list[str]:
        there = ((name, kube.get("v1", "Namespace", name)) for name in names)
        return [name for name, namespace in there if namespace and "deletionTimestamp" in namespace["metadata"]]

    if names:
        until(ending, [], what="The list of namespaces that are being deleted", timeout=TIMEOUTS.rollout)


def write_certificates(certificates: Certificates, cluster: Cluster) -> Path:
    """Write what clients trust and show beside the cluster, keys for nobody else to read; return where.

    Raises:
        BadOutput: That is not possible.
    """
    cluster.forget_applied()
    directory = cluster.applied
    try:
        authorities = directory / "authorities"
        directory.mkdir(mode=0o700)
        authorities.mkdir()
        for authority in certificates.authorities:
            (authorities / f"{authority}.pem").write_bytes(certificates.authority(authority).pem)
        for name in certificates.definitions:
            certificates[name].write_to(directory / f"{name}.pem", directory / f"{name}.key")
    except OSError as error:
        raise BadOutput(f"{directory} could not be written: {error.strerror}.") from error
    return directory
