"""How often istiod and the proxies have refused a configuration: what one of them counts is since its process began."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from meshproof.cluster.kube import Kube
from meshproof.mesh import istio
from meshproof.upgrade.facts.names import PROXY, REFUSED
from meshproof.upgrade.facts.proxies import AT_ONCE, one_of_each

Refusals = Mapping[tuple[str, str, str], int]
"""Counts by what counts (``istiod``, or a proxy's workload), by its process, and by the name of the counter."""

_OF_ENVOY = "stats?type=Counters&filter=[.]update_rejected$"
_OF_ISTIOD = ("pilot_total_xds_rejects", "pilot_total_rejected_configs", "pilot_sds_certificate_errors_total")
_STARTED = "process_start_time_seconds"
_SAMPLE = re.compile(r"(\w+)(?:\{.*\})? (\S+)")


def count_refusals(kube: Kube) -> Refusals:
    """Ask each istiod, and a proxy of each workload.

    Source: https://istio.io/latest/docs/reference/commands/pilot-discovery/ (the metrics of istiod) and
    https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/lds

    Raises:
        ClusterError: One did not answer, or no istiod is ready.
    """
    ready = one_of_each(kube)

    def ask(workload: str) -> str:
        return istio.pod_request(kube, *ready[workload], _OF_ENVOY)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        pages = dict(zip(ready, pool.map(ask, ready), strict=True))
    counts: dict[tuple[str, str, str], int] = {}
    for workload, page in pages.items():
        for name, count in _counters(page):
            counts[f"{PROXY}{workload}", ready[workload][1], name] = count
    return counts | of_istiods(istio.control_plane_pages(kube, "metrics"))


def of_istiods(pages: Iterable[str]) -> dict[tuple[str, str, str], int]:
    """Return what is counted in the metrics of each istiod."""
    counts: dict[tuple[str, str, str], int] = {}
    for page in pages:
        samples = [(match[1], float(match[2])) for line in page.splitlines() if (match := _SAMPLE.fullmatch(line))]
        process = next((f"{value:.2f}" for name, value in samples if name == _STARTED), "")
        for counter in _OF_ISTIOD:
            counts["istiod", process, counter] = int(sum(value for name, value in samples if name == counter))
    return counts


def since(before: Refusals, now: Refusals) -> dict[str, str]:
    """Return how often each has refused something since a moment, as facts.

    Args:
        before: The counts of that moment; a process that is not among them began later.
        now: The counts of now.
    """
    sums = Counter[str]()
    for (whose, process, name), count in now.items():
        sums[f"{REFUSED}{whose}: {name}"] += count - before.get((whose, process, name), 0)
    return {name: str(count) for name, count in sums.items()}


def _counters(page: str) -> Iterator[tuple[str, int]]:
    for line in page.splitlines():
        name, _, count = line.rpartition(": ")
        if count.isdigit():
            yield name.removesuffix(".update_rejected"), int(count)
