"""Ask the registry for the digest of each image of `[registry]`, and write them into the file of versions.

Of a release of Istio these are `pilot`, `proxyv2` and the published SHA-256 of istioctl. The file is that of meshproof,
or the one that MESHPROOF_VERSIONS names. Nothing is written unless all could be asked for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from meshproof.catalogue import Catalogue, PulledIstio, current_catalogue, read
from meshproof.errors import MeshproofError, Unreadable
from meshproof.images.registry import ARCHITECTURES, archive_of_istioctl
from meshproof.machine.console import complain, console, stage
from tools.oci_registry import Registries

_TABLE = re.compile(r"\[(.+)\]")
_RELEASE = re.compile(r'\[registry\.istio\."?([^"]+)"?\]')
_PIN = re.compile(r"(pilot|proxyv2|istioctl)\b")
_DIGEST = re.compile(r'("(?P<image>[^"]+)" = )"(?P<digest>[^"]*)"')
_SHA_256 = re.compile("[0-9a-f]{64}")


def pin(catalogue: Catalogue) -> str:
    """Return the content of the catalogue's file with the digests that its names lead to now.

    Raises:
        MachineError: A registry or the release archive could not be asked, or does not have what it should.
    """
    registry = catalogue.registry
    registries = Registries(registry.mirrors)
    releases = {}
    for release, pulled in registry.istio.items():
        with stage(f"Istio {release}"):
            images = {
                name: registries.manifest(f"{registry.hub}/{name}:{release}").digest for name in ("pilot", "proxyv2")
            }
            published = {
                architecture: registries.text(f"{archive_of_istioctl(registry, release, architecture)}.sha256")
                for architecture in ARCHITECTURES.values()
            }
            hashes = {name: _SHA_256.match(text) for name, text in published.items() if text is not None}
            istioctl = {name: match[0] for name, match in hashes.items() if match}
            releases[release] = PulledIstio(pulled.kubernetes, images, istioctl)
    with stage("other images"):
        digests = {image: registries.manifest(image).digest for image in registry.images}
    return _written(catalogue.file.read_text(), releases, digests)


def _written(text: str, releases: Mapping[str, PulledIstio], images: Mapping[str, str]) -> str:
    """Put digests in the place of those that a file of versions has, and leave the rest as it is."""
    lines: list[str] = []
    table = ""
    for line in text.splitlines():
        if match := _TABLE.match(line):
            table = match[0]
        release = _RELEASE.match(table)
        if release and _PIN.match(line):
            continue
        if table == "[registry.images]":
            lines.append(_DIGEST.sub(lambda found: f'{found[1]}"{images[found["image"]]}"', line))
        else:
            lines.append(line)
        if release and line.startswith("kubernetes"):
            lines += _pins(releases[release[1]])
    return "\n".join(lines) + "\n"


def _pins(release: PulledIstio) -> list[str]:
    lines = [f'{name} = "{digest}"' for name, digest in release.images.items()]
    return lines + [f'istioctl.{architecture} = "{digest}"' for architecture, digest in release.istioctl.items()]


def write(file: Path, text: str) -> None:
    """Write a file of versions, and say which names lead to another image than before.

    Raises:
        Unreadable: What would be written is no such file; it stays as it was.
    """
    before = read(file).registry
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text(text)
    after = read(unfinished).registry
    if after.unpinned():
        raise Unreadable(
            f"{file}: the digests of Istio {', '.join(after.unpinned())} could not be put in; each release should be a "
            f'table of its own, such as [registry.istio."1.31.1"], with a line `kubernetes = [...]`. See {unfinished}.'
        )
    unfinished.rename(file)
    names = {image: (digest, after.images[image]) for image, digest in before.images.items()}
    for release, pulled in before.istio.items():
        names |= {f"Istio {release}'s {name}": (was, after.istio[release].images[name])
                  for name, was in pulled.images.items()}  # fmt: skip
        names |= {f"Istio {release}'s istioctl for {name}": (was, after.istio[release].istioctl.get(name, "none"))
                  for name, was in pulled.istioctl.items()}  # fmt: skip
    for name, (was, now) in names.items():
        if was and was != now:
            console.print(f"{name} was {was}, and is {now} now.")


if __name__ == "__main__":
    try:
        write(current_catalogue().file, pin(current_catalogue()))
    except MeshproofError as error:
        complain(f"{error} Nothing was written.")
        sys.exit(error.exit_code)
