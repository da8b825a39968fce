"""What holds for every scenario of ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from meshproof.testing import TIMEOUTS, Testbed, until


@pytest.fixture(scope="module", autouse=True)
def cluster_as_it_was(testbed: Testbed) -> Iterator[None]:
    """The cluster, which a module leaves with the objects that it found there, each as it was."""
    before = testbed.kube.snapshot()
    yield

    def left() -> str:
        return " ".join(before.differences(testbed.kube.snapshot())) or "nothing"

    until(left, "nothing", what="What the scenario leaves on the cluster", timeout=TIMEOUTS.configuration)
