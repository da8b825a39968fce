"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from meshproof.settings import ImageSource

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


def which_images(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say which images a cluster is made of."""
    from meshproof.settings import ImageSource  # noqa: PLC0415 - what needs no images needs no settings

    for option in (
        click.option("--envoy-version", metavar="VERSION", help="Release of Envoy, for images built from packages."),
        click.option("--kubernetes-version", metavar="VERSION", help="Release of Kubernetes."),
        click.option("--istio-version", metavar="VERSION", help="Release of Istio."),
        click.option(
            "--images",
            type=click.Choice([source.value for source in ImageSource]),
            callback=lambda _context, _option, value: ImageSource(value),
            default=ImageSource.AUTO.value,
            show_default=True,
            help="Where images come from; auto asks whether a registry answers.",
        ),
    ):
        function = option(function)
    return function


def cluster_to_keep(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a cluster that is used and kept, as its argument ``settings``."""

    @cluster_name
    @which_images
    @wraps(function)
    def command(
        *,
        name: str,
        images: ImageSource,
        istio_version: str | None,
        kubernetes_version: str | None,
        envoy_version: str | None,
        **others: Any,  # noqa: ANN401 - those of the command
    ) -> Any:  # noqa: ANN401 - as above
        from meshproof.settings import Settings, cache_directory  # noqa: PLC0415 - as above

        versions = (istio_version, kubernetes_version, envoy_version)
        return function(settings=Settings(name, True, images, *versions, cache=cache_directory()), **others)

    return command
