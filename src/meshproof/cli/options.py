"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from meshproof.settings import ImageSource

Images = Annotated[
    ImageSource, typer.Option("--images", help="Where images come from; auto asks whether a registry answers.")
]
Istio = Annotated[str | None, typer.Option("--istio-version", help="Release of Istio.")]
Kubernetes = Annotated[str | None, typer.Option("--kubernetes-version", help="Release of Kubernetes.")]
Envoy = Annotated[str | None, typer.Option("--envoy-version", help="Release of Envoy, for images built from packages.")]
