"""An upgrade as a whole: from the cluster that it is done on to the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from meshproof.certificates.tree import OWN, Certificates, read
from meshproof.cluster.kind import clusters, used_by_us
from meshproof.cluster.objects import Document
from meshproof.errors import BadInput, BadOutput, ClusterError, ExitCode, MeshproofError, ReaderLeft
from meshproof.machine import cache, interrupts
from meshproof.machine.console import complain, stage
from meshproof.machine.wait import Patience
from meshproof.mesh import Testbed, manifests
from meshproof.mesh.istio import Installation
from meshproof.mesh.scenario import in_force
from meshproof.mesh.testbed import brought_up
from meshproof.project import current_project
from meshproof.settings import TIMEOUTS, Settings
from meshproof.traffic import MANIFEST, Calibration, calibrate
from meshproof.upgrade.checked_overlays import check_overlays_on
from meshproof.upgrade.checking import Checked, checked
from meshproof.upgrade.differences import unused
from meshproof.upgrade.evidence import Evidence
from meshproof.upgrade.journey import Journey
from meshproof.upgrade.order import Order
from meshproof.upgrade.overlays import Overlay, documents_of, of_kubernetes, operators_of
from meshproof.upgrade.plan import ON_A_NEW_CLUSTER
from meshproof.upgrade.report import Lines, write
from meshproof.upgrade.run import Run
from meshproof.upgrade.steps import Steps
from meshproof.upgrade.summary import summary_of
from meshproof.upgrade.verdict import Verdict, judge, verdict_of
from meshproof.upgrade.world import in_force_for

_KUBE_PROXY = Path(__file__).with_name("kube_proxy.yaml")


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What came of an upgrade.

    Attributes:
        verdict: What is said of it.
        exit_code: How the command ends: with that of the verdict. Where it is safe, and something else went wrong, such
            as a report that could not be written, with that of the error.
        files: The report, the page first; nothing where it could not be written.
    """

    verdict: Verdict
    exit_code: ExitCode
    files: Sequence[Path]


def upgraded(order: Order, settings: Settings) -> Upgraded:
    """Upgrade a mesh on a cluster of its own, or on two, one after the other; look at each state, and report.

    From the moment that something is brought up there is a report, whatever ends it. It is judged, told and written
    before anything is taken down.

    Args:
        order: What is asked for.
        settings: See ``checked``.

    Raises:
        BadInput: What is asked for can't be understood, or can't be had; nothing was looked at.
        ClusterError: Another upgrade is going on.
        ReaderLeft: Nobody reads what is printed, and nothing was looked at.
    """
    ready = checked(order, settings)
    with alone(order.directory):
        look_for_other_clusters(settings)
        _empty(order.directory)
        return _go(ready)


def _go(ready: Checked) -> Upgraded:
    order, (first, *others) = ready.order, ready.clusters
    certificates = read(current_project().certificates)
    journey = Journey(order)
    result: Upgraded | None = None
    try:
        if others:
            with _ready(replace(first, keep_cluster=False), journey, certificates) as run:
                run.go()
                if journey.stop:
                    result = reported(journey)
                else:
                    journey = Journey(order, journey.evidence())
        if not result:
            with _ready(ready.clusters[-1], journey, certificates) as run:
                run.go()
                result = reported(journey)
    except (KeyboardInterrupt, MeshproofError) as error:
        if result:
            return beside(result, error)
        if not journey.earlier and isinstance(error, BadInput | ReaderLeft):
            raise
        journey.end(error)
        return reported(journey)
    return result


def reported(journey: Journey) -> Upgraded:
    """Judge an upgrade, print the verdict and write the report; a signal that comes meanwhile changes nothing.

    Args:
        journey: How far it came.
    """
    results: list[Upgraded] = []
    with suppress(KeyboardInterrupt), interrupts.held_back():
        results.append(_reported(journey.order, journey.evidence()))
    (result,) = results
    return result


def _reported(order: Order, evidence: Evidence) -> Upgraded:
    findings = judge(evidence)
    verdict = verdict_of(findings)
    lines = Lines(evidence.began_ns)
    if not evidence.stop:
        for acknowledgement in unused(evidence.visits, order.acknowledgements, order.before, order.after):
            lines.unused(acknowledgement)
    lines.verdict(verdict, findings, summary_of(evidence))
    result = Upgraded(verdict, verdict.value, ())
    try:
        files = write(evidence, findings, verdict, order.directory)
    except MeshproofError as error:
        return beside(result, error)
    lines.written(files[0])
    return replace(result, files=files)


def beside(result: Upgraded, error: KeyboardInterrupt | MeshproofError) -> Upgraded:
    """Return a result beside which something else went wrong, and say what: no verdict is hidden by it.

    Args:
        result: What came of the upgrade; its verdict has been told.
        error: What went wrong. An interrupt ends what is done anyway, for it is all over.
    """
    if isinstance(error, KeyboardInterrupt | ReaderLeft):
        return result
    with suppress(MeshproofError):  # standard error may be closed or full
        complain(str(error))
    return replace(result, exit_code=result.exit_code or error.exit_code)


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Be the only upgrade that leaves something in a directory, for as long as the context lasts.

    Raises:
        ClusterError: Another one does.
        BadOutput: The place of the directory can't be written to.
    """
    lock = FileLock(directory.with_name(f"{directory.name}.lock"), timeout=0)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise ClusterError(
            f"Another upgrade is going on, and leaves its report in {directory}. Wait for its end."
        ) from error
    except OSError as error:
        raise BadOutput(f"{directory.parent} could not be written: {error.strerror}.") from error
    try:
        yield
    finally:
        lock.release()


def look_for_other_clusters(settings: Settings) -> None:
    """Look whether there is a cluster of the name already: an upgrade begins with a new one.

    Raises:
        ClusterError: Another run is using it.
        BadInput: It was left.
    """
    name = settings.cluster_name
    if name not in clusters(settings.cache):
        return
    try:
        with used_by_us(name, settings.cache / "clusters" / name):
            pass
    except ClusterError as error:
        raise ClusterError(f"Another upgrade is going on, on the cluster {name}. Wait for its end.") from error
    raise BadInput(
        f"There is a cluster {name} already, of an upgrade that was kept or killed: an upgrade begins with a new "
        f"one. `meshproof down --cluster-name {name}` deletes it."
    )


def _empty(directory: Path) -> None:
    """Remove what an earlier upgrade left: its verdict is not this one's, which may end before there is a report.

    Raises:
        BadOutput: The directory can't be written to.
    """
    try:
        cache.mark(directory)
        cache.empty(directory)
    except OSError as error:
        raise BadOutput(f"{directory} could not be written: {error.strerror}.") from error


@contextmanager
def _ready(settings: Settings, journey: Journey, certificates: Certificates) -> Iterator[Run]:
    """Have all that is on a cluster ready, for as long as the context lasts.

    Args:
        settings: The cluster.
        journey: What is asked for; takes what comes of it.
        certificates: What servers and clients show on it.
    """
    order = journey.order
    on_both, on_the_new = operators_of(order.overlays), operators_of(order.all_overlays)
    look = partial(check_overlays_on, order, to_the_end=journey.reaches_the_end)
    with brought_up(settings, on_the_new if journey.earlier else on_both, certificates, look) as testbed:
        journey.doing = "calibrate the traffic recorder"
        _come_first(testbed)
        before = Installation(testbed.images.mesh, on_both)
        after = Installation(testbed.images.meshes[-1], on_the_new)
        patience = Patience(TIMEOUTS.in_vain)
        records = order.directory / "traffic" / (ON_A_NEW_CLUSTER.key if journey.earlier else "")
        journey.calibration = _calibrated(testbed, patience, records)
        journey.doing = "have the pods, hosts and policies in force that traffic is sent to"
        with ExitStack() as stack:
            with stage("pods, hosts and policies that traffic is sent to"):
                world = stack.enter_context(in_force_for(testbed, patience))
            journey.doing = "have in force what the overlays have beside the mesh"
            there, applied = (_completed(overlays, testbed) for overlays in (order.overlays, order.to_overlays))
            testbed.kube.check(of_kubernetes([*there, *(applied if journey.reaches_the_end else ())]))
            testbed.kube.apply(there)
            steps = Steps(before, after, applied, testbed.kube, testbed.cluster.kubeconfig_path)
            yield Run(journey, testbed, steps, world, records)


def _come_first(testbed: Testbed) -> None:
    """Have the mesh come first where processors are short, and nobody led to pods that are gone."""
    testbed.cluster.come_first()
    testbed.cluster.forget_reset_connections()
    testbed.kube.apply(list(yaml.safe_load_all(_KUBE_PROXY.read_text(encoding="utf-8"))))


def _calibrated(testbed: Testbed, patience: Patience, directory: Path) -> list[Calibration]:
    """Return what the recorder sees of losses that are made on purpose."""
    with stage("traffic recorder calibrated"), in_force(MANIFEST, testbed, patience) as scenario:
        trust = testbed.certificates.authority(OWN).pem
        return calibrate(scenario, testbed.kube, trust, testbed.images.traffic, directory)


def _completed(overlays: Sequence[Overlay], testbed: Testbed) -> list[Document]:
    """Return what is applied of some overlays, with the images and certificates that it names."""
    return manifests.complete(documents_of(overlays), images=testbed.images, certificates=testbed.certificates)
