"""An upgrade as a whole: from the cluster that it is done on to the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from meshproof.certificates.tree import OWN, Certificates, read
from meshproof.cluster.objects import Document
from meshproof.errors import MeshproofError
from meshproof.images.choice import resolved
from meshproof.machine import cache
from meshproof.machine.console import stage
from meshproof.machine.wait import Patience
from meshproof.mesh import Testbed, manifests
from meshproof.mesh.istio import Installation
from meshproof.mesh.scenario import in_force
from meshproof.mesh.testbed import brought_up
from meshproof.project import current_project
from meshproof.pytest_plugin.rows import look_for_rows
from meshproof.settings import TIMEOUTS, Settings
from meshproof.traffic import MANIFEST, Calibration, calibrate
from meshproof.upgrade.acknowledgements import Acknowledgement
from meshproof.upgrade.differences import unused
from meshproof.upgrade.evidence import Evidence, Side, Stop, Strategy
from meshproof.upgrade.new_cluster import joined, stopped
from meshproof.upgrade.overlays import Overlay, documents_of, operators_of
from meshproof.upgrade.plan import ON_A_NEW_CLUSTER
from meshproof.upgrade.report import Lines, write
from meshproof.upgrade.run import Order, Run, interrupted
from meshproof.upgrade.steps import Steps
from meshproof.upgrade.verdict import Verdict, judge, verdict_of
from meshproof.upgrade.world import in_force_for
from meshproof.versions import PART_OF_ISTIO, Asked, MeshVersions, Versions, choose

_KUBE_PROXY = Path(__file__).with_name("kube_proxy.yaml")


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What came of an upgrade.

    Attributes:
        verdict: What is said of it.
        files: The report, the page first.
        unused: Acknowledgements that fit nothing that is otherwise.
    """

    verdict: Verdict
    files: Sequence[Path]
    unused: Sequence[Acknowledgement]


def upgraded(order: Order, settings: Settings) -> Upgraded:
    """Upgrade a mesh on a cluster of its own, or on two, one after the other; look at each state, and report.

    Args:
        order: What is asked for.
        settings: The first cluster; its first mesh is the one before, its last one that after.

    Raises:
        BadInput: There is no row to be tried, or one can't be read; nothing has been brought up then.
        MeshproofError: There is nothing to be judged: the first cluster did not come up, or the traffic was not
            answered before anything was changed.
    """
    look_for_rows(order.rows)
    source, because = resolved(settings.images)
    settings = replace(settings, images=source)
    clusters = [settings]
    if order.strategy is Strategy.NEW_CLUSTER:
        after = Asked(order.after.istio, order.after.kubernetes or None, order.after.envoy or None)
        clusters.append(replace(settings, asked=after))
    chosen = [choose(source, cluster.asked, because=because) for cluster in clusters]
    order = replace(
        order,
        before=_of(order.before, chosen[0], chosen[0].meshes[0]),
        after=_of(order.after, chosen[-1], chosen[-1].meshes[-1]),
    )
    evidence = _on_two_clusters(order, *clusters) if chosen[1:] else _on_one_cluster(order, settings)
    findings = judge(evidence)
    verdict = verdict_of(findings)
    files = write(evidence, findings, verdict, order.directory)
    Lines(evidence.began_ns).verdict(verdict, findings, files[:1])
    return Upgraded(verdict, files, unused(evidence.visits, order.acknowledgements, order.before, order.after))


def _of(side: Side, chosen: Versions, mesh: MeshVersions) -> Side:
    """Return a side with the releases that were chosen for it; the images of a registry don't say which Envoy it is."""
    envoy = "" if mesh.envoy == PART_OF_ISTIO else mesh.envoy
    return replace(side, kubernetes=chosen.kubernetes, envoy=envoy)


def _on_one_cluster(order: Order, settings: Settings) -> Evidence:
    with _ready(order, settings) as (run, calibration):
        return run.go(calibration)


def _on_two_clusters(order: Order, old: Settings, new: Settings) -> Evidence:
    """Look at a mesh on a cluster, and on another one; an end between them is the end of the upgrade."""
    certificates = read(current_project().certificates)
    _, stage = order.stages
    evidence: Evidence | None = None
    try:
        with _ready(order, replace(old, keep_cluster=False), certificates) as (run, calibration):
            evidence = run.go(calibration)
        if not evidence.stop:
            with _ready(order, new, certificates, evidence) as (run, calibration):
                evidence = joined(evidence, run.go(calibration), stage)
    except (KeyboardInterrupt, MeshproofError) as error:
        if not evidence or evidence.stop or stage.state in [visit.state for visit in evidence.visits]:
            raise
        stop = interrupted(stage.state, stage.cluster)
        if isinstance(error, MeshproofError):
            stop = Stop(
                stage.state,
                f"Tried to {stage.cluster}, and it could not be done: {error}",
                "Mend what is said here: the mesh was not looked at on the new cluster.",
            )
        return stopped(evidence, stage, stop)
    return evidence


@contextmanager
def _ready(
    order: Order, settings: Settings, certificates: Certificates | None = None, earlier: Evidence | None = None
) -> Iterator[tuple[Run, Sequence[Calibration]]]:
    """Have all that is on a cluster ready, for as long as the context lasts.

    Args:
        order: What is asked for.
        settings: The cluster.
        certificates: What servers and clients show on it; made anew by default.
        earlier: What was seen on the cluster before; None on the first one.
    """
    on_both, on_the_new = operators_of(order.overlays), operators_of((*order.overlays, *order.to_overlays))
    with brought_up(settings, on_the_new if earlier else on_both, certificates) as testbed:
        _come_first(testbed)
        if not earlier:
            cache.mark(order.directory)
            cache.empty(order.directory)
        before = Installation(testbed.images.mesh, on_both)
        after = Installation(testbed.images.meshes[-1], on_the_new)
        patience = Patience(TIMEOUTS.in_vain)
        records = order.directory / "traffic" / (ON_A_NEW_CLUSTER.key if earlier else "")
        calibration = _calibrated(testbed, patience, records)
        with in_force_for(testbed, patience) as world:
            testbed.kube.apply(_completed(order.overlays, testbed))
            applied = _completed(order.to_overlays, testbed)
            steps = Steps(before, after, applied, testbed.kube, testbed.cluster.kubeconfig_path)
            yield Run(order, testbed, steps, world, records, earlier=earlier), calibration


def _come_first(testbed: Testbed) -> None:
    """Have the mesh, and what leads to it, come first where processors are short."""
    testbed.cluster.come_first()
    testbed.kube.apply(list(yaml.safe_load_all(_KUBE_PROXY.read_text(encoding="utf-8"))))


def _calibrated(testbed: Testbed, patience: Patience, directory: Path) -> list[Calibration]:
    """Return what the recorder sees of losses that are made on purpose."""
    with stage("traffic recorder calibrated"), in_force(MANIFEST, testbed, patience) as scenario:
        trust = testbed.certificates.authority(OWN).pem
        return calibrate(scenario, testbed.kube, trust, testbed.images.traffic, directory)


def _completed(overlays: Sequence[Overlay], testbed: Testbed) -> list[Document]:
    """Return what is applied of some overlays, with the images and certificates that it names."""
    return manifests.complete(documents_of(overlays), images=testbed.images, certificates=testbed.certificates)
