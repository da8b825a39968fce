"""`make lock` for a release of Istio: which version stands for one that the Go module proxy does not serve."""

from __future__ import annotations

import re

import pytest

from meshproof.catalogue import LOCKS, current_catalogue
from tools.lock_istio import REFUSED, neighbours, order


@pytest.mark.parametrize(
    ("version", "tags"),
    [
        ("v1.30.4-0.20260824163423-69099aec2678", ["v1.30.4", "v1.30.3"]),
        ("v1.31.0-rc.0.0.20260824154656-b943409680a7", ["v1.31.0", "v1.31.0-rc.0"]),
        ("v1.37.0-0.20260409083702-98966259b99a", ["v1.37.0"]),
        ("v0.0.0-20260506232448-6ae4ab07bb06", ["v0.0.0"]),
        ("v1.30.3", []),
    ],
)
def test_a_pseudo_version_lies_between_tags(version: str, tags: list[str]) -> None:
    """A commit is numbered after the tag before it; a tag itself lies between none."""
    assert list(neighbours(version)) == tags


def test_versions_are_in_the_order_of_go() -> None:
    """A pre-release comes before its release, and its numbers count as numbers."""
    versions = [
        "v0.0.0-20260506232448-6ae4ab07bb06",
        "v1.9.0",
        "v1.30.3",
        "v1.30.4-0.20260824163423-69099aec2678",
        "v1.30.4-rc.2",
        "v1.30.4-rc.10",
        "v1.30.4",
        "v3.9.0+incompatible",
    ]
    assert sorted(set(versions), key=order) == versions


@pytest.mark.parametrize(
    "line",
    [
        "go: istio.io/api@v1.30.4: reading https://proxy.example/istio.io/api/@v/v1.30.4.info: 403 Forbidden",
        "\tistio.io/istio imports\n\tistio.io/api@v1.30.4: verifying module: no such entry",
    ],
)
def test_a_refused_module_is_read_from_what_go_says(line: str) -> None:
    """Both the module and the version are in Go's sentence, whatever comes before it."""
    assert REFUSED.findall(line) == [("istio.io/api", "v1.30.4")]


@pytest.mark.parametrize("release", current_catalogue().packages.locked())
def test_a_lock_says_what_is_not_as_istio_has_it(release: str) -> None:
    """Each module that stands for another one is named at the head, with both versions, and only these are."""
    text = (LOCKS / f"{release}.mod").read_text()
    told = re.findall(r"^// (\S+) (v\S+) is not served: (v\S+) is the nearest that is\.$", text, re.MULTILINE)
    replaced = re.findall(r"^\t(\S+) (v\S+) => \1 (v\S+)$", text, re.MULTILINE)
    assert sorted(told) == sorted(replaced)
    hashes = (LOCKS / f"{release}.sum").read_text()
    assert all(f"{module} {taken} h1:" in hashes for module, _, taken in replaced)
