"""Which pods become ready and which go while an upgrade goes on, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from meshproof.cluster.kube import Kube
from meshproof.errors import ClusterError
from meshproof.machine.wait import repeating

READY, NOT_READY, GOING = "pod ready", "pod not ready", "pod going"
_EVERY = 0.5  # seconds


@contextmanager
def pods_watched(kube: Kube, note: Callable[[str, str], None]) -> Iterator[None]:
    """Note each pod that becomes ready, is so no more, or goes, for as long as the context lasts.

    Args:
        kube: The cluster.
        note: Takes the kind of what happened, ``READY``, ``NOT_READY`` or ``GOING``, and the pod's namespace and name.
    """
    before: Mapping[str, bool] = {}
    with suppress(ClusterError):
        before = kube.pods.ready_everywhere()

    def look() -> None:
        nonlocal before
        with suppress(ClusterError):  # the API server may be busy; the next look is in half a second
            now = kube.pods.ready_everywhere()
            for kind, name in changes(before, now):
                note(kind, name)
            before = now

    with repeating(look, every=_EVERY, name="pods"):
        yield


def changes(before: Mapping[str, bool], now: Mapping[str, bool]) -> Iterator[tuple[str, str]]:
    """Yield what happened to pods between two looks: its kind, and the pod.

    Args:
        before: Whether each pod was ready, by its name, without those on their way out.
        now: The same later.
    """
    for name in sorted({*before, *now}):
        was_ready, is_ready = before.get(name, False), now.get(name, False)
        if name not in now:
            yield GOING, name
        elif is_ready and not was_ready:
            yield READY, name
        elif was_ready and not is_ready:
            yield NOT_READY, name
