"""Pods: which are ready, a command in one, and what they say of themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream
from kubernetes.stream.ws_client import ERROR_CHANNEL

from meshproof.cluster.kube.connection import Connection, in_our_words, reason
from meshproof.errors import ClusterError
from meshproof.settings import TIMEOUTS

_LOG_LINES = 500
_OF_THE_CLUSTER = {"kube-system", "local-path-storage"}


@dataclass(frozen=True, slots=True)
class Output:
    """The result of a command in a pod: its exit status, its standard output and its standard error."""

    status: int
    out: str
    err: str


class Pods:
    """The pods of one cluster."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @in_our_words
    def explain(self, namespace: str) -> str:
        """Return a sentence for each pod that is not ready: its phase, its last event and its last line of log."""
        return " ".join(
            self._explain(pod)
            for pod in self._connection.core.list_namespaced_pod(namespace).items
            if not is_ready(pod)
        )

    def _explain(self, pod: Any) -> str:  # noqa: ANN401
        name, namespace = pod.metadata.name, pod.metadata.namespace
        events = self._connection.core.list_namespaced_event(
            namespace, field_selector=f"involvedObject.name={name}"
        ).items
        event = f"{events[-1].reason}: {events[-1].message}" if events else "none"
        log = "none"
        for status in _statuses(pod):
            if not status.ready:
                with suppress(ApiException):
                    tail = self._connection.core.read_namespaced_pod_log(
                        name, namespace, container=status.name, tail_lines=1
                    )
                    log = f"{status.name}: {tail.strip()}"
        return f"Pod {namespace}/{name} is {pod.status.phase} and not ready; last event: {event}; last log line: {log}."

    @in_our_words
    def any_ready(self, namespace: str, app: str) -> str:
        """Return the name of a ready pod of an application; see ``ready``."""
        return self.ready(namespace, app)[0]

    @in_our_words
    def ready(self, namespace: str, app: str) -> list[str]:
        """Return the names of all ready pods of an application, by its ``app`` label.

        Raises:
            ClusterError: There is none.
        """
        pods = self._connection.core.list_namespaced_pod(namespace, label_selector=f"app={app}").items
        ready: list[str] = [
            pod.metadata.name for pod in pods if is_ready(pod) and pod.metadata.deletion_timestamp is None
        ]
        if not ready:
            raise ClusterError(f"No pod of {namespace}/{app} is ready. {self.explain(namespace)}")
        return ready

    @in_our_words
    def run(
        self, namespace: str, pod: str, container: str, command: Sequence[str], timeout: float = TIMEOUTS.program
    ) -> Output:
        """Run a command in a container and return its result; ``timeout`` is in seconds. Several threads may do so.

        Raises:
            ClusterError: The command could not be started.
        """
        try:
            channel = stream(
                self._connection.commands.connect_get_namespaced_pod_exec,
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
                f"`{' '.join(command[:2])}` could not be run in {namespace}/{pod} ({container}): {reason(error)}."
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

    @in_our_words
    def namespaces(self) -> list[str]:
        """Return the namespaces that have pods, but for those of Kubernetes and kind themselves."""
        pods = self._connection.core.list_pod_for_all_namespaces().items
        return sorted({pod.metadata.namespace for pod in pods} - _OF_THE_CLUSTER)

    @in_our_words
    def describe(self, namespace: str) -> str:
        """Return a line for each pod: its phase, which containers are ready, and how often each was restarted."""
        lines = []
        for pod in self._connection.core.list_namespaced_pod(namespace).items:
            states = [
                f"{status.name} ready={status.ready} restarts={status.restart_count}" for status in _statuses(pod)
            ]
            lines.append(f"{pod.metadata.name} {pod.status.phase}: {'; '.join(states)}\n")
        return "".join(lines)

    @in_our_words
    def events(self, namespace: str) -> str:
        """Return the namespace's events, a line each."""
        events = self._connection.core.list_namespaced_event(namespace).items
        return "".join(
            f"{event.last_timestamp} {event.involved_object.name} {event.reason}: {event.message}\n" for event in events
        )

    @in_our_words
    def containers(self, namespace: str) -> list[tuple[str, str]]:
        """Return the pods and their containers that have a log."""
        pods = self._connection.core.list_namespaced_pod(namespace).items
        return [(pod.metadata.name, status.name) for pod in pods for status in _statuses(pod)]

    @in_our_words
    def log(self, namespace: str, pod: str, container: str) -> str:
        """Return the last lines of a container's log.

        Raises:
            ClusterError: It has none.
        """
        try:
            log: str = self._connection.core.read_namespaced_pod_log(
                pod, namespace, container=container, tail_lines=_LOG_LINES
            )
        except ApiException as error:
            raise ClusterError(f"There is no log of {namespace}/{pod} ({container}): {reason(error)}.") from error
        return log


def _statuses(pod: Any) -> list[Any]:  # noqa: ANN401
    return [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]


def is_ready(pod: Any) -> bool:  # noqa: ANN401
    """Return whether a pod has the condition Ready."""
    return any(condition.type == "Ready" and condition.status == "True" for condition in pod.status.conditions or [])
