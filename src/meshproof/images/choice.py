"""Which provider of images is used."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import httpx

from meshproof.docker import server_version
from meshproof.images import ImageProvider
from meshproof.images.packages import PackagesProvider
from meshproof.images.registry import RegistryProvider
from meshproof.settings import TIMEOUTS, Settings
from meshproof.versions import ImageSource, Versions, choose

REGISTRY = "https://registry-1.docker.io/v2/"


def provider(settings: Settings) -> tuple[ImageSource, ImageProvider, Versions]:
    """Return where the images come from, who provides them, and the versions that they are of.

    Raises:
        UnknownVersion: That source has no such version.
    """
    source, because = resolved(settings.images)
    versions = choose(source, settings.asked, because=because)
    return source, provider_of(source, versions, settings.cache), versions


def provider_of(source: ImageSource, versions: Versions, cache: Path) -> ImageProvider:
    """Return who provides the images of some versions, where their source is known."""
    if source is ImageSource.REGISTRY:
        return RegistryProvider(versions, cache)
    return PackagesProvider(versions, cache)


def resolved(source: ImageSource) -> tuple[ImageSource, str]:
    """Return the source that is used, and why where that was left to us.

    What a private daemon runs reaches no registry, so that nothing of the machine's network has to be changed.
    """
    if source is not ImageSource.AUTO:
        return source, ""
    if server_version({}) is None:
        return ImageSource.PACKAGES, "no Docker daemon answers"
    if not registry_answers(REGISTRY):
        return ImageSource.PACKAGES, "Docker Hub does not answer"
    return ImageSource.REGISTRY, "Docker and Docker Hub answer"


def registry_answers(url: str) -> bool:
    """Return whether a registry answers at its API's root, in a way that registries do, within 3 seconds.

    Source: the OCI distribution specification, "Determining Support": 200, or 401 where one has to sign in.
    """
    status: list[int] = []

    def ask() -> None:
        with suppress(httpx.HTTPError):
            status.append(httpx.get(url, timeout=TIMEOUTS.registry_answer).status_code)

    # httpx bounds each operation, not the whole: who sends an octet now and then would be waited for without end.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(TIMEOUTS.registry_answer)
    return bool({200, 401} & set(status))
