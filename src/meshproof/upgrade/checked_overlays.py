"""Overlays, held against what istioctl knows, before anything is brought up.

It refuses a field of an IstioOperator or of a kind of Istio's that there is not, and a value that it does not know.
Fields of ``meshConfig`` it does not look at, and it lets every kind pass that is not Istio's: the API tries those.

Source: https://istio.io/latest/docs/reference/commands/istioctl/#istioctl-validate
"""

from __future__ import annotations

from collections.abc import Sequence

from meshproof.errors import Unreadable
from meshproof.images import ImageSet, MeshImages
from meshproof.mesh import istio
from meshproof.mesh.istio import Installation
from meshproof.upgrade.order import Order
from meshproof.upgrade.overlays import Overlay, operators_of


def check_overlays(order: Order, before: MeshImages, after: MeshImages) -> list[str]:
    """Have istioctl look at the overlays of both sides, where it is there.

    Args:
        order: What is asked for.
        before: The mesh before.
        after: The mesh after.

    Returns:
        The releases whose istioctl is not there yet, to look at overlays of theirs.

    Raises:
        Unreadable: It would refuse one.
        ToolMissing: It can't be run.
        CommandFailed: It was ended before it could say, or ended with an error and said nothing.
    """
    sides = (order.overlays, before), (order.all_overlays, after)
    return sorted({mesh.istio for overlays, mesh in sides if overlays and not _look(overlays, mesh)})


def check_overlays_on(order: Order, images: ImageSet, *, to_the_end: bool) -> None:
    """Have istioctl look at the overlays of the meshes that are for a cluster.

    Args:
        order: What is asked for.
        images: What there is for the cluster.
        to_the_end: Whether the new side comes to be on it.

    Raises:
        Unreadable: It would refuse one.
        ToolMissing: It can't be run.
        CommandFailed: It was ended before it could say, or ended with an error and said nothing.
    """
    _look(order.overlays, images.mesh)
    if to_the_end:
        _look(order.all_overlays, images.meshes[-1])


def _look(overlays: Sequence[Overlay], mesh: MeshImages) -> bool:
    """Have istioctl look at overlays, alone and laid over ours; return whether it is there to do so."""
    if not mesh.istioctl.exists():
        return False
    for overlay in overlays:
        if why := istio.refusal_of_file(mesh, overlay.file):
            raise Unreadable(f"istioctl {mesh.istio} refuses the overlay {overlay.file}: {why}.")
    if overlays and (why := istio.refusal_of(Installation(mesh, operators_of(overlays)))):
        files = ", ".join(str(overlay.file) for overlay in overlays)
        raise Unreadable(f"istioctl {mesh.istio} can't install what {files} makes of the mesh: {why}.")
    return True
