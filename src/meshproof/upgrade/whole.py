"""An upgrade as a whole: from the cluster that it is done on to the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from meshproof.certificates.tree import OWN
from meshproof.cluster.objects import Document
from meshproof.images.choice import resolved
from meshproof.machine import cache
from meshproof.machine.console import stage
from meshproof.machine.wait import Patience
from meshproof.mesh import Testbed, manifests
from meshproof.mesh.istio import Installation
from meshproof.mesh.scenario import in_force
from meshproof.mesh.testbed import brought_up
from meshproof.pytest_plugin.rows import look_for_rows
from meshproof.settings import TIMEOUTS, Settings
from meshproof.traffic import MANIFEST, Calibration, calibrate
from meshproof.upgrade.acknowledgements import Acknowledgement
from meshproof.upgrade.overlays import Overlay, documents_of, operators_of
from meshproof.upgrade.report import Lines, write
from meshproof.upgrade.run import Order, Run
from meshproof.upgrade.steps import Steps
from meshproof.upgrade.verdict import Verdict, judge, verdict_of
from meshproof.upgrade.world import in_force_for
from meshproof.versions import choose

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
    """Upgrade a mesh on a cluster of its own, look at it in each state, and report.

    Args:
        order: What is asked for.
        settings: The cluster; its first mesh is the one before, its last one that after.

    Raises:
        BadInput: There is no row to be tried, or one can't be read; nothing has been brought up then.
        MeshproofError: There is nothing to be judged: the cluster did not come up, or the traffic was not answered
            before anything was changed.
    """
    look_for_rows(order.rows)
    source, because = resolved(settings.images)
    settings = replace(settings, images=source)
    kubernetes = choose(source, settings.asked, because=because).kubernetes
    before, after = (replace(side, kubernetes=kubernetes) for side in (order.before, order.after))
    order = replace(order, before=before, after=after)
    on_both, on_the_new = operators_of(order.overlays), operators_of((*order.overlays, *order.to_overlays))
    with brought_up(settings, on_both) as testbed:
        _come_first(testbed)
        cache.mark(order.directory)
        cache.empty(order.directory)
        before = Installation(testbed.images.mesh, on_both)
        after = Installation(testbed.images.meshes[-1], on_the_new)
        patience = Patience(TIMEOUTS.in_vain)
        calibration = _calibrated(testbed, patience, order.directory)
        with in_force_for(testbed, patience) as world:
            testbed.kube.apply(_completed(order.overlays, testbed))
            applied = _completed(order.to_overlays, testbed)
            steps = Steps(before, after, applied, testbed.kube, testbed.cluster.kubeconfig_path)
            run = Run(order, testbed, steps, world)
            evidence = run.go(calibration)
    findings = judge(evidence)
    verdict = verdict_of(findings)
    files = write(evidence, findings, verdict, order.directory)
    Lines(evidence.began_ns).verdict(verdict, findings, files[:1])
    return Upgraded(verdict, files, run.unused_acknowledgements())


def _come_first(testbed: Testbed) -> None:
    """Have the mesh, and what leads to it, come first where processors are short."""
    testbed.cluster.come_first()
    testbed.kube.apply(list(yaml.safe_load_all(_KUBE_PROXY.read_text(encoding="utf-8"))))


def _calibrated(testbed: Testbed, patience: Patience, directory: Path) -> list[Calibration]:
    """Return what the recorder sees of losses that are made on purpose."""
    with stage("traffic recorder calibrated"), in_force(MANIFEST, testbed, patience) as scenario:
        trust = testbed.certificates.authority(OWN).pem
        return calibrate(scenario, testbed.kube, trust, testbed.images.traffic, directory / "traffic")


def _completed(overlays: Sequence[Overlay], testbed: Testbed) -> list[Document]:
    """Return what is applied of some overlays, with the images and certificates that it names."""
    return manifests.complete(documents_of(overlays), images=testbed.images, certificates=testbed.certificates)
