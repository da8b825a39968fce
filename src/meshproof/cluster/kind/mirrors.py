"""What a node asks in place of a registry: files of its containerd, mounted where kind's node images look for them.

The mirror is asked first, and the registry itself for what the mirror does not have.
Source: https://github.com/containerd/containerd/blob/main/docs/hosts.md,
https://kind.sigs.k8s.io/docs/user/local-registry/
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from meshproof.machine.cache import discard

IN_THE_NODE = "/etc/containerd/certs.d"


def write(directory: Path, mirrors: Mapping[str, str]) -> None:
    """Write the files anew, also below a node that has them mounted: containerd reads them at each pull.

    Args:
        directory: Where they are on this machine.
        mirrors: The address of each mirror, by the host of the registry that it stands for.
    """
    for left in directory.glob("*"):
        discard(left)
    for host, mirror in mirrors.items():
        (directory / host).mkdir(parents=True)
        (directory / host / "hosts.toml").write_text(f'[host."{mirror}"]\n  capabilities = ["pull", "resolve"]\n')


def remove(directory: Path) -> None:
    """Remove the files, if there are any."""
    if directory.exists():
        discard(directory)
