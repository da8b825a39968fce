"""The examples of docs/own-repository.md and docs/traffic.md, put into a project that `meshproof init` has made."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.checkout import ROOT

DOCUMENT = (ROOT / "docs" / "own-repository.md").read_text()


def example(language: str, begin: str) -> str:
    """Return the block of a language that begins with some words."""
    (block,) = re.findall(rf"^```{language}\n({re.escape(begin)}.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert isinstance(block, str)
    return block


def shown(document: str, name: str) -> str:
    """Return the content of a file that a document shows after its name."""
    block = re.search(rf"^`{re.escape(name)}`:\n\n```\w+\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)
    assert block, f"{name} is not shown"
    return block[1]


def write_rollout(project: Path) -> None:
    """Write the module and the manifest that docs/traffic.md shows."""
    for name in ("manifests/scenarios/rollout.yaml", "tests/test_rollout.py"):
        (project / name).write_text(shown((ROOT / "docs" / "traffic.md").read_text(), name))


def write_buyers(project: Path) -> None:
    """Write the module, its certificates, and its manifest, which is that of `init` changed as the text says."""
    scenarios = project / "manifests" / "scenarios"
    annotations = example("text", "    meshproof/certificate: ")
    manifest = re.sub(r"    meshproof/certificate: .*\n", annotations, (scenarios / "shop.yaml").read_text())
    (scenarios / "buyers.yaml").write_text(manifest.replace("SIMPLE", "MUTUAL"))
    (project / "manifests" / "certificates.yaml").write_text(example("yaml", "shop: "))
    (project / "tests" / "test_buyers.py").write_text(example("python", '"""Buyers: '))
