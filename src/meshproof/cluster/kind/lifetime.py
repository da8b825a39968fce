"""A cluster for as long as a run, and the deletion of one that was kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meshproof.cluster.kind.kind_cluster import Cluster
from meshproof.cluster.kind.record import used_by_us
from meshproof.docker import Docker
from meshproof.errors import ClusterError
from meshproof.images import ImageSet, golang
from meshproof.machine.console import console, stage
from meshproof.machine.undoing import afterwards
from meshproof.settings import Settings


@contextmanager
def cluster_of_run(settings: Settings, images: ImageSet, docker: Docker) -> Iterator[Cluster]:
    """Make or reuse the cluster of a run; it is deleted after the block unless it was there before or is to be kept.

    Raises:
        ClusterError: Another run uses it, its name is taken, or kind failed.
    """
    directory = settings.cache / "clusters" / settings.cluster_name
    directory.mkdir(parents=True, exist_ok=True)
    mine = Cluster(
        settings.cluster_name,
        image=settings.kind_image or images.node,
        own_cni=images.own_cni,
        kind_path=settings.kind_path or images.kind,
        docker=docker,
        directory=directory,
        mirrors=images.mirrors,
    )
    with used_by_us(mine.name, directory):

        def delete() -> None:
            if mine.created and not mine.kept():
                with stage(f"cluster {mine.name} deleted"):
                    mine.delete()

        with afterwards(delete):
            with stage(f"cluster {mine.name}"):
                mine.create()
            yield mine


@contextmanager
def kept_cluster(name: str, cache: Path, docker: Docker) -> Iterator[Cluster]:
    """Give a cluster that was kept, for as long as the block lasts.

    Raises:
        ClusterError: There is none of that name that runs, or another run uses it.
    """
    cluster = cluster_named(name, cache, docker)
    if cluster.record() is None or not cluster.nodes():
        raise ClusterError(f"There is no kept cluster called {name!r}. `meshproof status` lists those that are.")
    with used_by_us(name, cluster.directory):
        cluster.look_for_it_here()
        yield cluster


def cluster_named(name: str, cache: Path, docker: Docker) -> Cluster:
    """Return a cluster to look at, or to delete; whether there is one is for its record and its nodes to say."""
    kind = golang.tool("kind", cache).directory(cache) / "kind"  # or where it will be once it is built
    return Cluster(name, image="", own_cni=False, kind_path=kind, docker=docker, directory=cache / "clusters" / name)


def delete_cluster(name: str, cache: Path, docker: Docker) -> bool:
    """Delete a cluster of ours, whichever run created it; return whether there was one."""
    doomed = cluster_named(name, cache, docker)
    if doomed.record() is None:
        return False
    with used_by_us(name, doomed.directory):
        doomed.look_for_it_here()
        if doomed.nodes():
            with stage(f"cluster {name} deleted"):
                doomed.delete()
        else:
            doomed.delete()
            console.print(f"The cluster {name} of ours was gone already; what was written down of it is removed.")
    return True
