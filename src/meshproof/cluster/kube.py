"""Kubernetes, as far as we need it: apply, delete, wait for a rollout, run a command in a pod."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import NotFoundError, ResourceNotFoundError, UnprocessibleEntityError
from kubernetes.stream import stream
from kubernetes.stream.ws_client import ERROR_CHANNEL
from websocket import WebSocketException

from meshproof.cluster.objects import Document, name_of, strings
from meshproof.errors import ClusterError
from meshproof.machine.wait import until
from meshproof.settings import TIMEOUTS

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")

_OWNER = "meshproof"
_STRICTLY = (("fieldValidation", "Strict"),)
"""A field that a kind does not have is refused, and not dropped without a word.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation
"""
_LOG_LINES = 500
_TOKENS = re.compile(r"(?<=kube-api-access-)[a-z0-9]+")
"""The random end of the name of the volume that has a pod's tokens."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a command in a pod came to: its exit status and what it printed, both streams apart."""

    status: int
    out: str
    err: str


def _in_our_words(method: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """Turn what the API's client raises into one of our errors."""

    @wraps(method)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned:
        try:
            return method(*args, **kwargs)
        except ApiException as error:
            raise ClusterError(
                f"The cluster's API refused a request: {_reason(error)}. Is the cluster whole?"
            ) from error
        except (urllib3.exceptions.HTTPError, WebSocketException) as error:
            raise ClusterError(
                f"The cluster's API did not answer: {error}. Does its Docker daemon still run?"
            ) from error

    return wrapper


class Kube:
    """One cluster's API. Every method raises ClusterError when it does not answer."""

    def __init__(self, kubeconfig: Path) -> None:
        """Connect with a kubeconfig of our own; the environment's is never read."""
        self._api: client.ApiClient = config.new_client_from_config(config_file=str(kubeconfig))  # type: ignore[no-untyped-call]
        # What the API returns is typed as if every field could be absent.
        self._core: Any = client.CoreV1Api(self._api)
        self._apps: Any = client.AppsV1Api(self._api)
        self._dynamic_client: DynamicClient | None = None

    @property
    def _dynamic(self) -> Any:  # noqa: ANN401 - the kubernetes package has no types
        if self._dynamic_client is None:
            self._dynamic_client = DynamicClient(self._api)  # type: ignore[no-untyped-call]
        return self._dynamic_client

    @_in_our_words
    def version(self) -> str:
        """Return the API server's version, such as ``v1.34.4``."""
        version: str = client.VersionApi(self._api).get_code().git_version
        return version

    @_in_our_words
    def apply(self, documents: Sequence[Document]) -> None:
        """Make each document so (server-side apply).

        Raises:
            ClusterError: The API server, or a webhook of Istio's, refused one.
        """
        for document in documents:
            self._apply(document)

    @_in_our_words
    def check(self, documents: Sequence[Document]) -> None:
        """See whether the API would take each document, and change nothing.

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
            resource = self._dynamic.resources.get(api_version=document["apiVersion"], kind=document["kind"])
            self._dynamic.server_side_apply(
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
            raise ClusterError(f"{name_of(document)} could not be applied: {_reason(error)}.") from error

    @_in_our_words
    def replace(self, documents: Sequence[Document]) -> None:
        """Make each object what its document says and no more: what anybody else has set in it is gone.

        Server-side apply leaves what it does not own: the ``serviceAccount`` that the API server derived from a field
        that is gone, or the replicas that somebody set by hand. Where a field can't be changed, the object is deleted
        and made anew.

        Raises:
            ClusterError: The API server refused one.
            NotSettled: One that had to be deleted stayed.
        """
        for document in documents:
            metadata = document["metadata"]
            resource = self._dynamic.resources.get(api_version=document["apiVersion"], kind=document["kind"])
            where = {"namespace": metadata.get("namespace"), "field_manager": _OWNER}
            try:
                try:
                    self._dynamic.replace(
                        resource, body=document, name=metadata["name"], query_params=[*_STRICTLY], **where
                    )
                except NotFoundError:
                    self._dynamic.create(resource, body=document, query_params=[*_STRICTLY], **where)
                except UnprocessibleEntityError:
                    self.remove([document])
                    self._dynamic.create(resource, body=document, query_params=[*_STRICTLY], **where)
            except ApiException as error:
                raise ClusterError(f"{name_of(document)} could not be applied: {_reason(error)}.") from error

    @_in_our_words
    def remove(self, documents: Sequence[Document]) -> None:
        """Delete each document's object with all that belongs to it, and wait until it is gone.

        Raises:
            NotSettled: One is still there.
        """
        objects = []
        for document in documents:
            resource = self._dynamic.resources.get(api_version=document["apiVersion"], kind=document["kind"])
            metadata = document["metadata"]
            objects.append((resource, {"name": metadata["name"], "namespace": metadata.get("namespace")}))
        for resource, place in objects:
            with suppress(NotFoundError):
                resource.delete(**place, body={"propagationPolicy": "Foreground"})

        def left() -> str:
            there = []
            for document, (resource, place) in zip(documents, objects, strict=True):
                with suppress(NotFoundError):
                    resource.get(**place)
                    there.append(name_of(document))
            return ", ".join(there) or "nothing"

        until(left, "nothing", what="What is left of objects that no manifest has", timeout=TIMEOUTS.rollout)

    @_in_our_words
    def delete(self, documents: Sequence[Document]) -> None:
        """Delete each document's object, the last one first; one that is gone already is no error."""
        for document in reversed(documents):
            metadata = document["metadata"]
            with suppress(NotFoundError, ResourceNotFoundError):
                resource = self._dynamic.resources.get(api_version=document["apiVersion"], kind=document["kind"])
                resource.delete(name=metadata["name"], namespace=metadata.get("namespace"))

    @_in_our_words
    def labelled(self, label: str, kinds: Mapping[str, str]) -> list[Document]:
        """Return the objects that have a label, whatever its value.

        Args:
            label: The label.
            kinds: Where to look: kinds, each with its API version.
        """
        there: list[Document] = []
        for kind, version in kinds.items():
            resource = self._dynamic.resources.get(api_version=version, kind=kind)
            listed = self._dynamic.get(resource, label_selector=label).to_dict()["items"]
            there += [{**each, "apiVersion": version, "kind": kind} for each in listed]
        return there

    @_in_our_words
    def rolled_out(self, namespace: str, *names: str) -> None:
        """Wait until each Deployment has all its replicas up to date and available.

        Raises:
            NotSettled: Which pod is not ready, its last event and its last line of log.
        """

        def waiting() -> str:
            behind = [name for name in names if not self.is_rolled_out(namespace, name)]
            return f"waiting for {', '.join(behind)}" if behind else "complete"

        until(
            waiting,
            "complete",
            what=f"The rollout of {', '.join(names)} in {namespace}",
            timeout=TIMEOUTS.rollout,
            hint=lambda: self.explain(namespace),
        )

    @_in_our_words
    def is_rolled_out(self, namespace: str, name: str) -> bool:
        """Tell whether a Deployment has all its replicas up to date and available."""
        try:
            deployment = self._apps.read_namespaced_deployment(name, namespace)
        except ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        status, wanted = deployment.status, deployment.spec.replicas
        seen = (status.observed_generation or 0) >= deployment.metadata.generation
        return bool(seen and status.updated_replicas == status.replicas == status.available_replicas == wanted)

    @_in_our_words
    def deployments(self, namespace: str) -> list[str]:
        """Return the names of a namespace's Deployments."""
        return [each.metadata.name for each in self._apps.list_namespaced_deployment(namespace).items]

    @_in_our_words
    def renew_pods(self, namespace: str, name: str) -> None:
        """Replace each pod of a Deployment that is not the one that would be made now, and wait for its successor.

        What would be made the API server tells (dry run): with the sidecar that Istio injects now, if it does. A pod
        that has read a ConfigMap, a Secret or a token that has changed since is outdated too.

        Raises:
            ClusterError: None could be made now, for its ServiceAccount is gone, for one.
            NotSettled: A pod stayed, or its successor did not become ready.
        """
        before: set[str] = set()  # only these are replaced: a successor that is outdated as well would be so for ever

        def observe() -> str:
            deployment = self._get("apps/v1", "Deployment", namespace=namespace, name=name)
            selector = ",".join(
                f"{key}={value}" for key, value in deployment["spec"]["selector"]["matchLabels"].items()
            )
            listed = self._core.list_namespaced_pod(namespace, label_selector=selector).items
            ready = {pod.metadata.name for pod in listed if _ready(pod)}
            before.update([] if before else [pod.metadata.name for pod in listed])
            outdated, current = [], 0
            for pod in self._get("v1", "Pod", namespace=namespace, label_selector=selector)["items"]:
                if "deletionTimestamp" in pod["metadata"]:
                    continue
                if self._is_as_new(pod, deployment):
                    current += pod["metadata"]["name"] in ready
                else:
                    outdated.append(pod["metadata"]["name"])
                    if pod["metadata"]["name"] in before:
                        with suppress(ApiException):  # it is gone meanwhile
                            self._core.delete_namespaced_pod(pod["metadata"]["name"], namespace)
            wanted = deployment["spec"]["replicas"]
            done = not outdated and current == wanted
            return "done" if done else f"{current} of {wanted} pods as they should be, {len(outdated)} outdated"

        until(
            observe,
            "done",
            what=f"The replacement of outdated pods of {name} in {namespace}",
            timeout=TIMEOUTS.rollout,
            hint=lambda: self.explain(namespace),
        )

    def _is_as_new(self, pod: Document, deployment: Document) -> bool:
        """Tell whether a pod is what would be made of its Deployment's template now, and has read all as it is now."""
        old, template, namespace = pod["metadata"], deployment["spec"]["template"], deployment["metadata"]["namespace"]
        if "ownerReferences" not in old:
            return False  # somebody took it from its Deployment, or made it beside it
        revision = {"pod-template-hash": old["labels"].get("pod-template-hash", "")}
        metadata = {
            **template["metadata"],
            "labels": template["metadata"]["labels"] | revision,
            **{key: old[key] for key in ("generateName", "ownerReferences")},
        }
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        resource = self._dynamic.resources.get(api_version="v1", kind="Pod")
        made = self._dynamic.create(resource, body=body, namespace=namespace, dry_run="All").to_dict()
        named = {*strings(template["spec"]), made["spec"]["serviceAccountName"]}
        read = [
            each
            for kind in ("ConfigMap", "Secret", "ServiceAccount")
            for each in self._get("v1", kind, namespace=namespace)["items"]
            if each["metadata"]["name"] in named
        ]
        return is_same_pod(pod, made, read)

    def _get(self, version: str, kind: str, **where: str) -> Document:
        resource = self._dynamic.resources.get(api_version=version, kind=kind)
        got: Document = self._dynamic.get(resource, **where).to_dict()
        return got

    @_in_our_words
    def explain(self, namespace: str) -> str:
        """Say of each pod that is not ready what it waits for, its last event and its last line of log."""
        return " ".join(
            self._explain(pod) for pod in self._core.list_namespaced_pod(namespace).items if not _ready(pod)
        )

    def _explain(self, pod: Any) -> str:  # noqa: ANN401
        name, namespace = pod.metadata.name, pod.metadata.namespace
        events = self._core.list_namespaced_event(namespace, field_selector=f"involvedObject.name={name}").items
        event = f"{events[-1].reason}: {events[-1].message}" if events else "none"
        log = "none"
        for status in _statuses(pod):
            if not status.ready:
                with suppress(ApiException):
                    tail = self._core.read_namespaced_pod_log(name, namespace, container=status.name, tail_lines=1)
                    log = f"{status.name}: {tail.strip()}"
        return f"Pod {namespace}/{name} is {pod.status.phase} and not ready; last event: {event}; last log line: {log}."

    @_in_our_words
    def pod(self, namespace: str, app: str) -> str:
        """Return the name of a ready pod of an application; see ``pods``."""
        return self.pods(namespace, app)[0]

    @_in_our_words
    def pods(self, namespace: str, app: str) -> list[str]:
        """Return the names of all ready pods of an application, by its ``app`` label.

        Raises:
            ClusterError: There is none.
        """
        pods = self._core.list_namespaced_pod(namespace, label_selector=f"app={app}").items
        ready: list[str] = [
            pod.metadata.name for pod in pods if _ready(pod) and pod.metadata.deletion_timestamp is None
        ]
        if not ready:
            raise ClusterError(f"No pod of {namespace}/{app} is ready. {self.explain(namespace)}")
        return ready

    @_in_our_words
    def run_in_pod(
        self, namespace: str, pod: str, container: str, command: Sequence[str], timeout: float = TIMEOUTS.program
    ) -> Output:
        """Run a command in a container and return what it came to, within so many seconds.

        Raises:
            ClusterError: The command could not be started.
        """
        try:
            channel = stream(
                self._core.connect_get_namespaced_pod_exec,
                pod,
                namespace,
                container=container,
                command=list(command),
                stdout=True,
                stderr=True,
                _preload_content=False,
            )
        except ApiException as error:
            raise ClusterError(
                f"`{' '.join(command[:2])}` could not be run in {namespace}/{pod} ({container}): {_reason(error)}."
            ) from error
        try:
            channel.run_forever(timeout=timeout)
            out, err = channel.read_stdout(timeout=0) or "", channel.read_stderr(timeout=0) or ""
            result = json.loads(channel.read_channel(ERROR_CHANNEL) or "{}")
        finally:
            channel.sock.shutdown()  # its close() leaves the socket open once the server has closed
        if result.get("status") == "Success":
            return Output(0, out, err)
        causes = {cause["reason"]: cause["message"] for cause in (result.get("details") or {}).get("causes", [])}
        if "ExitCode" not in causes:
            raise ClusterError(
                f"`{command[0]}` in {namespace}/{pod} did not end: {result.get('message', 'no status came')}."
            )
        return Output(int(causes["ExitCode"]), out, err)

    @_in_our_words
    def describe_pods(self, namespace: str) -> str:
        """Return a line for each pod: its phase, which containers are ready, and how often each was restarted."""
        lines = []
        for pod in self._core.list_namespaced_pod(namespace).items:
            states = [f"{each.name} ready={each.ready} restarts={each.restart_count}" for each in _statuses(pod)]
            lines.append(f"{pod.metadata.name} {pod.status.phase}: {'; '.join(states)}\n")
        return "".join(lines)

    @_in_our_words
    def events(self, namespace: str) -> str:
        """Return the namespace's events, a line each."""
        events = self._core.list_namespaced_event(namespace).items
        return "".join(
            f"{each.last_timestamp} {each.involved_object.name} {each.reason}: {each.message}\n" for each in events
        )

    @_in_our_words
    def containers(self, namespace: str) -> list[tuple[str, str]]:
        """Return the pods and their containers that have a log."""
        pods = self._core.list_namespaced_pod(namespace).items
        return [(pod.metadata.name, status.name) for pod in pods for status in _statuses(pod)]

    @_in_our_words
    def log(self, namespace: str, pod: str, container: str) -> str:
        """Return the last lines of a container's log.

        Raises:
            ClusterError: It has none.
        """
        try:
            log: str = self._core.read_namespaced_pod_log(pod, namespace, container=container, tail_lines=_LOG_LINES)
        except ApiException as error:
            raise ClusterError(f"There is no log of {namespace}/{pod} ({container}): {_reason(error)}.") from error
        return log

    def alive(self) -> bool:
        """Tell whether the API server answers at all."""
        try:
            self.version()
        except ClusterError:
            return False
        return True


def is_same_pod(pod: Document, made: Document, read: Sequence[Document]) -> bool:
    """Tell whether a pod that runs is one that would be made now, as far as one can tell before it has a node.

    Args:
        pod: The one that runs.
        made: What the API server would make (dry run).
        read: The ConfigMaps and Secrets that a program reads when it starts, and the ServiceAccount whose tokens it
            has: a pod that is older than their last change, by a second or more, is another one.
    """

    def comparable(of: Document) -> tuple[Any, str]:
        spec = {key: value for key, value in of["spec"].items() if key != "nodeName"}
        return of["metadata"]["labels"], _TOKENS.sub("", json.dumps(spec, sort_keys=True))

    annotations, wanted = (each["metadata"].get("annotations", {}) for each in (pod, made))
    same = comparable(pod) == comparable(made) and wanted.items() <= annotations.items()
    return same and all(_changed(each) <= pod["metadata"]["creationTimestamp"] for each in read)


def _changed(document: Document) -> str:
    """Return when an object was changed last, as RFC 3339 writes it; in UTC, so that later ones sort behind."""
    metadata = document["metadata"]
    times: list[str] = [metadata["creationTimestamp"], *(each["time"] for each in metadata.get("managedFields", []))]
    return max(times)


def _statuses(pod: Any) -> list[Any]:  # noqa: ANN401
    return [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]


def _ready(pod: Any) -> bool:  # noqa: ANN401
    return any(condition.type == "Ready" and condition.status == "True" for condition in pod.status.conditions or [])


def _reason(error: ApiException) -> str:
    with suppress(ValueError, TypeError, KeyError):
        message = str(json.loads(error.body or "{}")["message"])
        return re.sub(r"^failed to create typed patch object \([^)]*\): ", "", message).rstrip(".")
    return str(error.reason)
