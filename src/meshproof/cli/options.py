"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from meshproof.versions import Asked, ImageSource

FILE = click.Path(path_type=Path)


def _own_cluster() -> str:
    from meshproof.settings import default_cluster_name  # noqa: PLC0415 - what needs no cluster needs no settings

    return default_cluster_name()


cluster_name = click.option(
    "--cluster-name",
    "name",
    metavar="NAME",
    default=_own_cluster,
    show_default="this project's own",
    help="Name of the kind cluster.",
)


class InOrder(click.Group):
    """Commands that are listed in the order of their definition, as a reader would go through them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click calls it
        """Return the names."""
        return list(self.commands)


def where_images_come_from(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--images``, as its argument ``images``."""
    from meshproof.versions import ImageSource  # noqa: PLC0415 - what needs no images needs no versions

    return click.option(
        "--images",
        type=click.Choice([source.value for source in ImageSource]),
        callback=lambda _context, _option, value: ImageSource(value),
        default=ImageSource.AUTO.value,
        show_default=True,
        help="Where images come from; auto asks whether a registry answers.",
    )(function)


def which_images(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say what a cluster is made of, as its arguments ``images`` and ``asked``."""
    from meshproof.versions import Asked  # noqa: PLC0415 - as above

    @wraps(function)
    def command(
        *,
        istio_version: str | None,
        kubernetes_version: str | None,
        envoy_version: str | None,
        also_istio: tuple[str, ...],
        **others: Any,  # noqa: ANN401 - those of the command
    ) -> Any:  # noqa: ANN401 - as above
        return function(asked=Asked(istio_version, kubernetes_version, envoy_version, also_istio), **others)

    decorated: Callable[..., Any] = command
    for option in (
        click.option(
            "--also-istio",
            metavar="VERSION",
            multiple=True,
            help="Another release of Istio whose images are to be in the cluster, for an upgrade by hand.",
        ),
        click.option(
            "--envoy-version",
            metavar="VERSION",
            help="Release of Envoy, for images built from packages; by default the one that goes with Istio.",
        ),
        click.option("--kubernetes-version", metavar="VERSION", help="Release of Kubernetes."),
        click.option("--istio-version", metavar="VERSION", help="Release of Istio."),
        where_images_come_from,
    ):
        decorated = option(decorated)
    return decorated


def cluster_to_keep(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a cluster that is used and kept, as its argument ``settings``."""

    @cluster_name
    @which_images
    @wraps(function)
    def command(
        *,
        name: str,
        images: ImageSource,
        asked: Asked,
        **others: Any,  # noqa: ANN401 - those of the command
    ) -> Any:  # noqa: ANN401 - as above
        from meshproof.settings import Settings, cache_directory  # noqa: PLC0415 - as above

        return function(settings=Settings(name, True, images, asked, cache=cache_directory()), **others)

    return command
