"""What is asked for, looked at before anything is brought up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from meshproof.catalogue import BuiltIstio, PulledIstio, complete_catalogue
from meshproof.certificates.tree import read
from meshproof.images.choice import provider_of, resolved
from meshproof.mesh import faults, manifests
from meshproof.project import current_project
from meshproof.pytest_plugin.rows import look_for_rows
from meshproof.settings import Settings
from meshproof.upgrade.checked_overlays import check_overlays
from meshproof.upgrade.evidence import Images, Side, Strategy
from meshproof.upgrade.order import Order
from meshproof.upgrade.support import refuse_a_skip_in_place
from meshproof.versions import PART_OF_ISTIO, Asked, ImageSource, MeshVersions, Versions, choose, releases_of_istio


@dataclass(frozen=True, slots=True)
class Checked:
    """What is asked for, looked at as far as that can be done without a cluster.

    Attributes:
        order: It, with the releases of Kubernetes.
        clusters: Those that are brought up, one after the other.
        rows: How many rows of each module are tried in each state.
        unlooked: The releases of Istio whose istioctl is not there yet, to look at the overlays.
    """

    order: Order
    clusters: Sequence[Settings]
    rows: Mapping[str, int]
    unlooked: Sequence[str] = ()


def checked(order: Order, settings: Settings) -> Checked:
    """Look at what is asked for, and at nothing that would have to be brought up.

    Args:
        order: What is asked for.
        settings: The first cluster; its first mesh is the one before, its last one that after.

    Raises:
        BadInput: A version is not known, or Istio does not support the way in place; there is no row to be tried, or
            one can't be read; a manifest of the applications has a fault; istioctl is there, and refuses an overlay.
    """
    refuse_a_skip_in_place(order.before, order.after, order.strategy)
    source, because = resolved(settings.images)
    settings = replace(settings, images=source)
    of_clusters = [settings]
    if order.strategy is Strategy.NEW_CLUSTER:
        after = Asked(order.after.istio, order.after.kubernetes or None, order.after.envoy or None)
        of_clusters.append(replace(settings, asked=after))
    chosen = [choose(source, cluster.asked, because=because) for cluster in of_clusters]
    rows = look_for_rows(order.rows)
    faults.check(manifests.application_files(), {}, read(current_project().certificates))
    new_cluster = order.strategy is Strategy.NEW_CLUSTER
    order = replace(
        order,
        before=_of(order.before, chosen[0], chosen[0].meshes[0], source, new_cluster=new_cluster),
        after=_of(order.after, chosen[-1], chosen[-1].meshes[-1], source, new_cluster=new_cluster),
        images=_images(source),
    )
    first, last = (provider_of(source, of_one, settings.cache).meshes for of_one in (chosen[0], chosen[-1]))
    return Checked(order, of_clusters, rows, check_overlays(order, first[0], last[-1]))


def _of(side: Side, chosen: Versions, mesh: MeshVersions, source: ImageSource, *, new_cluster: bool) -> Side:
    """Return a side with the releases that were chosen for it; the images of a registry don't say which Envoy it is.

    On a new cluster its name has the release of Kubernetes, too.
    """
    return replace(
        side,
        name=f"{side.name} on Kubernetes {chosen.kubernetes}" if new_cluster else side.name,
        kubernetes=chosen.kubernetes,
        envoy="" if mesh.envoy == PART_OF_ISTIO else mesh.envoy,
        release=_release(releases_of_istio(source)[mesh.istio]),
    )


def _release(istio: BuiltIstio | PulledIstio) -> str:
    """Return what an Istio is that is called as a branch is; empty where it is the release of its name."""
    if isinstance(istio, PulledIstio) or not istio.after:
        return ""
    return f"a commit of that branch ({istio.module.rpartition('-')[2]}), which comes after {istio.after}"


def _images(source: ImageSource) -> Images:
    catalogue = complete_catalogue()
    images = catalogue.packages if source is ImageSource.PACKAGES else catalogue.registry
    return Images(source.value, images.upstream_envoy)
