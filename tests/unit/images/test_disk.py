"""What is on the disk, and what of it a prune removes."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshproof.images.disk import in_the_cache
from meshproof.images.steps import Step, build
from meshproof.machine.cache import claim
from tests.support.building import Record, command

STEPS = ("kubernetes-1.34.4", "istio-1.31.0", "envoy-1.39.3", "coredns", "pod-base")


def step(name: str, content: str = "") -> Step:
    """Return a step whose result is a file with 8,192 octets."""
    return Step(name, [content], command("head -c 8192 /dev/zero >$1/file").build, seconds=1)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Give a cache with what the defaults need, other releases, an older build, a tool, and what Go compiled."""
    others = [step("istio-1.30"), step("envoy-1.38.3"), step("coredns", "as it was before"), step("actionlint")]
    build([*map(step, STEPS), *others], tmp_path, Record())
    (tmp_path / "go" / "kept").mkdir(parents=True)
    (tmp_path / "go" / "kept" / "package").write_bytes(bytes(8192))
    (tmp_path / "toolchain").mkdir()
    (tmp_path / "toolchain" / "go").write_bytes(bytes(4096))
    return tmp_path


def test_what_the_defaults_need_stays(cache: Path) -> None:
    """Only other releases, older builds and what Go compiled go; a tool of the checkout is none of our business."""
    kept = {(kept.what, kept.needed) for kept in in_the_cache(cache, list(map(step, STEPS)))}
    stays = {(what, True) for what in (*STEPS, "actionlint", "Go")}
    compiled = "what Go compiled, for other releases of Istio"
    assert kept == stays | {
        (what, False) for what in ("coredns (another build)", "istio-1.30", "envoy-1.38.3", compiled)
    }


def test_a_prune_removes_the_rest(cache: Path) -> None:
    """Afterwards there is what the defaults need and nothing else."""
    needed = list(map(step, STEPS))
    for kept in in_the_cache(cache, needed):
        assert kept.size >= 4096
        if not kept.needed:
            kept.remove()
    after = list(in_the_cache(cache, needed))
    assert all(kept.needed for kept in after)
    assert {kept.what for kept in after} == {*STEPS, "actionlint", "Go"}
    assert not (cache / "go").exists()


def test_what_nobody_knows_to_be_needless_stays(cache: Path) -> None:
    """Where the packages of Debian were never looked up, each of their file systems may be the one that is needed."""
    build([step("pod-base", "of another day")], cache, Record())
    kept = in_the_cache(cache, list(map(step, STEPS)), unknown=["pod-base"])
    assert [kept.needed for kept in kept if kept.what == "pod-base"] == [True, True]


def test_what_a_link_leads_to_is_not_ours(cache: Path) -> None:
    """A link in the cache is removed, and neither counted nor followed."""
    elsewhere = cache / "elsewhere"
    (cache / "go").rename(elsewhere)
    (cache / "go").symlink_to(elsewhere)
    for kept in in_the_cache(cache, []):
        assert not kept.what.startswith("what Go") or kept.size <= 4096  # the link's own
        kept.remove()
    assert (elsewhere / "kept" / "package").exists()


def test_a_build_that_goes_on_is_not_removed(tmp_path: Path) -> None:
    """What is not whole is somebody's work, or will be removed by the next build."""
    claim(tmp_path)
    (tmp_path / "build" / "istio-1.30-0123456789abcdef.unfinished").mkdir(parents=True)
    assert list(in_the_cache(tmp_path, [])) == []
