"""Questions to proxies: several at once, and what the log of one has by now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document
from meshproof.errors import ClusterError, NotSettled
from meshproof.machine.wait import until
from meshproof.mesh.readiness.answer import Note
from meshproof.mesh.readiness.counters import PlaintextRequest, plaintext_requests
from meshproof.mesh.readiness.pods import full_name

Answer = TypeVar("Answer")

_AT_ONCE = 8  # proxies that are asked side by side
_LOG_DELAY = 2.5  # seconds; Envoy writes its access log once in a second


def ask(
    kube: Kube, pods: Sequence[Document], question: Callable[[Kube, Document], Answer]
) -> tuple[dict[str, Answer], list[Note]]:
    """Ask the proxies of some pods, side by side; return the answers by pod, and which did not answer."""

    def answer_of(pod: Document) -> Answer | ClusterError:
        try:
            return question(kube, pod)
        except ClusterError as error:
            return error

    answers, silent = dict[str, Answer](), list[Note]()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for pod, answer in zip(pods, pool.map(answer_of, pods), strict=True):
            if isinstance(answer, ClusterError):
                silent.append(Note(full_name(pod), f"Its proxy could not be asked: {answer}"))
            else:
                answers[full_name(pod)] = answer
    return answers, silent


def requests_of(kube: Kube, pod: Document, plaintext: int) -> list[PlaintextRequest]:
    """Return the requests without mutual TLS in the log of a pod, once they are of so many connections.

    Raises:
        ClusterError: It has no log.
    """
    requests: list[PlaintextRequest] = []

    def observe() -> int:
        requests[:] = plaintext_requests(kube, pod)
        return len({(request.address, request.port) for request in requests})

    with suppress(NotSettled):  # those that the log does not have are counted
        until(
            observe, f"{plaintext} or more", lambda count: count >= plaintext,
            what=f"The connections in the log of {full_name(pod)}", timeout=_LOG_DELAY, interval=0.5,
        )  # fmt: skip
    return requests
