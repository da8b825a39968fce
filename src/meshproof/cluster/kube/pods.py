"""Pods: which are ready, a command in one, and what they say of themselves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from typing import Any

from kubernetes.client.exceptions import ApiException
from kubernetes.stream.ws_client import ERROR_CHANNEL, STDERR_CHANNEL, STDOUT_CHANNEL
from websocket import WebSocketException

from meshproof.cluster.kube import forwarding
from meshproof.cluster.kube.connection import Connection, in_our_words, reason
from meshproof.cluster.objects import OF_KUBERNETES, Document
from meshproof.errors import ClusterError, CommandFailed
from meshproof.settings import TIMEOUTS

_LOG_LINES = 500


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
        return " ".join(self._explain(pod) for pod in self._pods(namespace) if not is_ready(pod))

    def _explain(self, pod: Document) -> str:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        about = f"involvedObject.name={name}"
        events = self._connection.listed("v1", "Event", namespace=namespace, field_selector=about)
        event = f"{events[-1]['reason']}: {events[-1].get('message')}" if events else "none"
        log = "none"
        for status in _statuses(pod):
            if not status["ready"]:
                with suppress(ApiException):
                    log = f"{status['name']}: {self._tail(namespace, name, status['name'], 1).strip()}"
        phase = pod["status"]["phase"]
        return f"Pod {namespace}/{name} is {phase} and not ready; last event: {event}; last log line: {log}."

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
        ready = [pod["metadata"]["name"] for pod in self.of(namespace, app) if is_ready(pod)]
        if not ready:
            raise ClusterError(f"No pod of {namespace}/{app} is ready. {self.explain(namespace)}")
        return ready

    @in_our_words
    def of(self, namespace: str, app: str) -> list[Document]:
        """Return the pods of an application by its ``app`` label, ready or not, but for those that are going."""
        pods = self._pods(namespace, label_selector=f"app={app}")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    @in_our_words
    def run(
        self, namespace: str, pod: str, container: str, command: Sequence[str], timeout: float = TIMEOUTS.program
    ) -> Output:
        """Run a command in a container and return its result; ``timeout`` is in seconds. Several threads may do so.

        Raises:
            ClusterError: The command could not be started.
        """
        channel = self._begin(namespace, pod, container, command)
        try:
            channel.run_forever(timeout=timeout)
            out, err = channel.read_stdout(timeout=0) or "", channel.read_stderr(timeout=0) or ""
            result = json.loads(channel.read_channel(ERROR_CHANNEL) or "{}")
        finally:
            channel.sock.shutdown()  # its close() leaves the socket open once the server has closed
        return Output(_exit_status(result, command[0], f"{namespace}/{pod}"), out, err)

    @contextmanager
    def conversation(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        said: str,
        on_line: Callable[[str], None],
        timeout: float,
    ) -> Iterator[None]:
        """Run a command in a container beside a block; after the block it is told to end by an empty line.

        When we end before that, or the API does, its standard input ends: a command that waits for that is not left
        behind. (The client's protocol, v4.channel.k8s.io, can't end it otherwise.)

        Args:
            namespace: Where the pod is.
            pod: Its name.
            container: Which one of it.
            command: The program and its arguments.
            said: What its standard input begins with.
            on_line: Called in another thread with each line of its standard output or standard error.
            timeout: Seconds after which we leave it.

        Raises:
            ClusterError: The command could not be started, or its end is not known.
            CommandFailed: It ended with a status other than 0.
        """
        channel = self._begin(namespace, pod, container, command, talking=True)
        try:
            with ThreadPoolExecutor(1) as pool:
                status = pool.submit(_listen, channel, on_line, time.monotonic() + timeout)
                try:
                    _say(channel, said)
                    yield
                    _say(channel, "\n")
                except BaseException:
                    channel.sock.shutdown()
                    raise
                result = status.result()
        finally:
            channel.sock.shutdown()
        if number := _exit_status(result, command[0], f"{namespace}/{pod}"):
            raise CommandFailed(list(command), number, str(result.get("message", "")))

    def _begin(self, namespace: str, pod: str, container: str, command: Sequence[str], *, talking: bool = False) -> Any:  # noqa: ANN401 - the kubernetes package has no types
        """Start a command; return its channels.

        Raises:
            ClusterError: It could not be started.
        """
        try:
            return self._connection.command(
                f"{_path(namespace, pod)}/exec",
                *(("container", container), ("stdout", "true"), ("stderr", "true")),
                *([("stdin", "true")] if talking else []),
                *(("command", word) for word in command),
            )
        except ApiException as error:
            raise ClusterError(
                f"`{' '.join(command[:2])}` could not be run in {namespace}/{pod} ({container}): {reason(error)}."
            ) from error

    @in_our_words
    def page(self, namespace: str, pod: str, port: int, path: str, timeout: float) -> str:
        """Return what an HTTP server in a pod has under a path; it may listen on the pod's loopback only.

        The API server forwards the port, which is much quicker than a program in the pod.
        Source: https://kubernetes.io/docs/reference/kubectl/generated/kubectl_port-forward/

        Args:
            namespace: Where the pod is.
            pod: Its name.
            port: The server's port.
            path: With its slash.
            timeout: Seconds that the server may be silent.

        Raises:
            ClusterError: The port could not be forwarded, or there is no answer, or it is not 200.
        """
        what = f"{path} of port {port} of {namespace}/{pod}"
        try:
            forwarded = self._connection.websocket(f"{_path(namespace, pod)}/portforward?ports={port}", timeout)
            status, body = forwarding.get(forwarded, path)
        except (ClusterError, OSError, HTTPException) as error:
            raise ClusterError(f"{what} could not be had: {error}.") from error
        if status != HTTPStatus.OK:
            raise ClusterError(f"{what} could not be had: {status} {body.strip()[:200]}.")
        return body

    @in_our_words
    def namespaces(self) -> list[str]:
        """Return the namespaces that have pods, but for those of Kubernetes and kind themselves."""
        pods = self._connection.listed("v1", "Pod")
        return sorted({pod["metadata"]["namespace"] for pod in pods}.difference(OF_KUBERNETES))

    @in_our_words
    def ready_everywhere(self) -> dict[str, bool]:
        """Return whether each pod is ready, by its namespace and name, but for those of Kubernetes and kind themselves.

        One that is on its way out is left out.
        """
        return {
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": is_ready(pod)
            for pod in self._connection.listed("v1", "Pod")
            if pod["metadata"]["namespace"] not in OF_KUBERNETES and "deletionTimestamp" not in pod["metadata"]
        }

    @in_our_words
    def describe(self, namespace: str) -> str:
        """Return a line for each pod: its phase, which containers are ready, and how often each was restarted."""
        lines = []
        for pod in self._pods(namespace):
            states = [
                f"{status['name']} ready={status['ready']} restarts={status['restartCount']}"
                for status in _statuses(pod)
            ]
            lines.append(f"{pod['metadata']['name']} {pod['status']['phase']}: {'; '.join(states)}\n")
        return "".join(lines)

    @in_our_words
    def events(self, namespace: str) -> str:
        """Return the namespace's events, a line each."""
        lines = []
        for event in self._connection.listed("v1", "Event", namespace=namespace):
            when, what = event.get("lastTimestamp"), event["involvedObject"]["name"]
            lines.append(f"{when} {what} {event['reason']}: {event.get('message')}\n")
        return "".join(lines)

    @in_our_words
    def containers(self, namespace: str) -> list[tuple[str, str]]:
        """Return the pods and their containers that have a log."""
        return [(pod["metadata"]["name"], each["name"]) for pod in self._pods(namespace) for each in _statuses(pod)]

    @in_our_words
    def log(self, namespace: str, pod: str, container: str, lines: int | None = _LOG_LINES) -> str:
        """Return the last lines of a container's log, at most so many; None is all that the kubelet has.

        Raises:
            ClusterError: It has none.
        """
        try:
            return self._tail(namespace, pod, container, lines)
        except ApiException as error:
            raise ClusterError(f"There is no log of {namespace}/{pod} ({container}): {reason(error)}.") from error

    def _tail(self, namespace: str, pod: str, container: str, lines: int | None) -> str:
        last = {} if lines is None else {"tailLines": lines}
        return self._connection.page(f"{_path(namespace, pod)}/log", container=container, **last)

    def _pods(self, namespace: str, **where: str) -> list[Document]:
        return self._connection.listed("v1", "Pod", namespace=namespace, **where)


def _say(channel: Any, text: str) -> None:  # noqa: ANN401 - as above
    """Write to a command's standard input. Where it has ended its status tells how."""
    with suppress(WebSocketException, OSError):
        channel.write_stdin(text)


def _listen(channel: Any, on_line: Callable[[str], None], until: float) -> Document:  # noqa: ANN401 - as above
    """Hand the lines of a command over as they come; return what the API says of its end."""
    rest = {STDOUT_CHANNEL: "", STDERR_CHANNEL: ""}

    def hand_over(number: int) -> None:
        *lines, rest[number] = (rest[number] + channel.read_channel(number)).split("\n")
        for line in lines:
            on_line(line)

    with suppress(WebSocketException, OSError):  # then there is no status
        while channel.is_open() and time.monotonic() < until:
            channel.update(timeout=1)
            for number in rest:
                hand_over(number)
    for number in rest:  # reading one channel may have taken the last words of the other one
        with suppress(WebSocketException, OSError):
            hand_over(number)
    result: Document = json.loads(channel.read_channel(ERROR_CHANNEL) or "{}")
    return result


def _exit_status(result: Document, command: str, where: str) -> int:
    """Return a command's exit status from what the API says of its end.

    Raises:
        ClusterError: It says none.
    """
    if result.get("status") == "Success":
        return 0
    causes = {cause["reason"]: cause["message"] for cause in (result.get("details") or {}).get("causes", [])}
    if "ExitCode" not in causes:
        raise ClusterError(f"`{command}` in {where} did not end: {result.get('message', 'no status came')}.")
    return int(causes["ExitCode"])


def _path(namespace: str, pod: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{pod}"


def _statuses(pod: Document) -> list[Document]:
    status = pod["status"]
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def is_ready(pod: Document) -> bool:
    """Return whether a pod has the condition Ready."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
