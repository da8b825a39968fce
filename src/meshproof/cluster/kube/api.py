"""A cluster's API: documents are applied, tried, replaced, removed and listed by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError, ResourceNotFoundError, UnprocessibleEntityError

from meshproof.cluster.kube.connection import Connection, in_our_words, reason
from meshproof.cluster.kube.deployments import Deployments
from meshproof.cluster.kube.pods import Pods
from meshproof.cluster.kube.snapshot import Snapshot
from meshproof.cluster.objects import Document, name_of
from meshproof.errors import ClusterError
from meshproof.machine.wait import until
from meshproof.settings import TIMEOUTS

_OWNER = "meshproof"
_STRICTLY = (("fieldValidation", "Strict"),)
"""A field that a kind does not have is refused, and not dropped without a word.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation
"""

_MOST_CHANGES = 10
"""So many times an object may be changed by somebody else while it is to be replaced."""


class Kube:
    """One cluster's API. Every method raises ClusterError when it does not answer.

    Attributes:
        pods: What runs in it, and what that says.
        deployments: What keeps pods running.
    """

    def __init__(self, kubeconfig: Path) -> None:
        """Connect with a kubeconfig of our own; the environment's is never read."""
        self._connection = Connection(kubeconfig)
        self.pods = Pods(self._connection)
        self.deployments = Deployments(self._connection, self.pods)

    @in_our_words
    def version(self) -> str:
        """Return the API server's version, such as ``v1.34.4``."""
        return self._connection.version()

    def alive(self) -> bool:
        """Return whether the API server answers."""
        try:
            self.version()
        except ClusterError:
            return False
        return True

    @in_our_words
    def apply(self, documents: Sequence[Document]) -> None:
        """Make each document so (server-side apply).

        Raises:
            ClusterError: The API server, or a webhook of Istio's, refused one.
        """
        for document in documents:
            self._apply(document)

    @in_our_words
    def check(self, documents: Sequence[Document]) -> None:
        """Try whether the API would take each document (dry run), and change nothing.

        What is in a namespace that one of the documents makes can't be tried before that is there.

        Raises:
            ClusterError: It would not, for this reason.
        """
        made = {document["metadata"]["name"] for document in documents if document["kind"] == "Namespace"}
        for document in documents:
            if document["metadata"].get("namespace") not in made:
                self._apply(document, dry_run="All")

    def _apply(self, document: Document, **options: str) -> None:
        """Apply a document (server-side apply)."""
        metadata = document["metadata"]
        try:
            resource = self._connection.resource(document["apiVersion"], document["kind"])
            self._connection.dynamic.server_side_apply(
                resource,
                body=document,
                name=metadata["name"],
                namespace=metadata.get("namespace"),
                field_manager=_OWNER,
                force_conflicts=True,
                query_params=[*_STRICTLY],
                **options,
            )
        except ResourceNotFoundError as error:
            raise ClusterError(f"{name_of(document)} could not be applied: the cluster knows no such kind.") from error
        except ApiException as error:
            raise ClusterError(f"{name_of(document)} could not be applied: {reason(error)}.") from error

    @in_our_words
    def replace(self, documents: Sequence[Document]) -> None:
        """Make each object what its document says and no more: what anybody else has set in it is gone.

        Server-side apply leaves what it does not own: the ``serviceAccount`` that the API server derived from a field
        that is gone, or the replicas that somebody set by hand. Where a field can't be changed, the object is deleted
        and made anew.

        Raises:
            ClusterError: The API server refused one, or somebody else kept changing it.
            NotSettled: One that had to be deleted stayed.
        """
        for document in documents:
            try:
                self._replace(document)
            except ApiException as error:
                raise ClusterError(f"{name_of(document)} could not be applied: {reason(error)}.") from error

    def _replace(self, document: Document) -> None:
        """Replace an object, or make it.

        It is said which version of it is replaced: without that the API server refuses to replace an object of a
        custom kind, such as a Gateway. Where somebody has changed it in between, the next version is. Source:
        https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md
        (concurrency control and consistency)
        """
        metadata = document["metadata"]
        name, namespace = metadata["name"], metadata.get("namespace")
        resource = self._connection.resource(document["apiVersion"], document["kind"])
        how = {"namespace": namespace, "field_manager": _OWNER, "query_params": [*_STRICTLY]}
        for attempt in range(1, _MOST_CHANGES + 1):
            there = self.get(document["apiVersion"], document["kind"], name, namespace)
            if not there:
                self._connection.dynamic.create(resource, body=document, **how)
                return
            version = there["metadata"]["resourceVersion"]
            body = {**document, "metadata": {**metadata, "resourceVersion": version}}
            try:
                self._connection.dynamic.replace(resource, body=body, name=name, **how)
            except UnprocessibleEntityError:
                self.remove([document])
                self._connection.dynamic.create(resource, body=document, **how)
            except (ConflictError, NotFoundError):
                if attempt == _MOST_CHANGES:
                    raise
                continue
            return

    @in_our_words
    def remove(self, documents: Sequence[Document]) -> None:
        """Delete each document's object with all that belongs to it, and wait until it is gone.

        Raises:
            NotSettled: One is still there.
        """
        objects = []
        for document in documents:
            resource = self._connection.resource(document["apiVersion"], document["kind"])
            metadata = document["metadata"]
            objects.append((resource, {"name": metadata["name"], "namespace": metadata.get("namespace")}))
        for resource, place in objects:
            with suppress(NotFoundError):
                resource.delete(**place, body={"propagationPolicy": "Foreground"})

        def left() -> str:
            remaining = []
            for document, (resource, place) in zip(documents, objects, strict=True):
                with suppress(NotFoundError):
                    resource.get(**place)
                    remaining.append(name_of(document))
            return ", ".join(remaining) or "nothing"

        until(left, "nothing", what="What is left of objects that no manifest has", timeout=TIMEOUTS.rollout)

    @in_our_words
    def delete(self, documents: Sequence[Document]) -> None:
        """Delete each document's object, the last one first; one that is gone already is no error."""
        for document in reversed(documents):
            metadata = document["metadata"]
            with suppress(NotFoundError, ResourceNotFoundError):
                resource = self._connection.resource(document["apiVersion"], document["kind"])
                resource.delete(name=metadata["name"], namespace=metadata.get("namespace"))

    @in_our_words
    def get(self, version: str, kind: str, name: str, namespace: str | None = None) -> Document | None:
        """Return an object by its name, such as the Deployment ``shop`` of ``apps/v1``; None if it is not there."""
        try:
            return self._connection.get(version, kind, name=name, namespace=namespace)
        except (NotFoundError, ResourceNotFoundError):
            return None

    @in_our_words
    def snapshot(self) -> Snapshot:
        """Return all objects that there are now, to be compared with those of another moment."""
        return Snapshot.of(self._connection)

    @in_our_words
    def labelled(self, selector: str, kinds: Mapping[str, Sequence[str]]) -> list[Document]:
        """Return the objects that have some labels, in all namespaces.

        Args:
            selector: The labels as kubectl takes them: ``a=b,c``; a name alone is that label with whatever value.
            kinds: Where to look: kinds, each with its API versions. Of each group the first that is served counts, and
                a group that the cluster does not have is left out: its kinds may not be installed.
        """
        of_groups = any("/" in version for versions in kinds.values() for version in versions)
        groups, objects = {"", *(self._connection.groups() if of_groups else ())}, list[Document]()
        for kind, versions in kinds.items():
            looked_in = set[str]()
            for version in versions:
                group = version.rpartition("/")[0]
                if group not in groups - looked_in:
                    continue
                with suppress(ResourceNotFoundError):
                    listed = self._connection.listed(version, kind, label_selector=selector)
                    objects += [{**item, "apiVersion": version, "kind": kind} for item in listed]
                    looked_in.add(group)
        return objects
