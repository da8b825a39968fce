"""Overlays before anything is brought up: istioctl looks at them, where it is there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from meshproof.errors import CommandFailed, ToolMissing, Unreadable
from meshproof.images import ImageSet, MeshImages
from meshproof.mesh import istio
from meshproof.settings import TIMEOUTS
from meshproof.upgrade import Budget, Order, Strategy
from meshproof.upgrade.checked_overlays import check_overlays, check_overlays_on
from meshproof.upgrade.overlays import Overlay, overlay_of
from tests.support.programs import PATIENCE
from tests.support.upgrades import good

OPERATOR = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: {values: {mark: %s}}\n"
ISTIOCTL = """#!/bin/sh
# What istioctl 1.31.0 prints, and how it ends. The mark stands for what is wrong in a file.
for last; do true; done
file=${last#--filename=}
case "$1 $(grep -o 'mark: [a-z]*' "$file")" in
*"mark: field")
  [ "$1" = validate ] || exit 0
  printf 'Error: 2 errors occurred:\\n\\t* IstioOperator//: unknown field "a"\\n\\t* IstioOperator//: unknown field "b"\\n\\n\\n' >&2
  exit 1 ;;
"manifest mark: profile")
  printf 'Error: profile "a" not found\\n' >&2
  exit 1 ;;
*"mark: killed") kill -KILL $$ ;;
*"mark: killedlate") echo word >&2; kill -KILL $$ ;;
*"mark: slow") sleep 60 ;;
*"mark: silent") exit 1 ;;
esac
"""  # noqa: E501 - as istioctl prints it


def mesh(directory: Path, release: str, *, there: bool = True) -> MeshImages:
    """Return a mesh, with its istioctl or without."""
    istioctl = directory / f"istioctl-{release}"
    if there:
        istioctl.write_text(ISTIOCTL)
        istioctl.chmod(0o700)
    return MeshImages(release, "hub", release, istioctl, upstream_envoy=False)


def overlay(directory: Path, mark: str) -> Overlay:
    """Return an overlay that has something wrong."""
    file = directory / f"{mark}.yaml"
    file.write_text(OPERATOR % mark)
    return overlay_of(file)


def order(directory: Path, overlays: str = "", to_overlays: str = "") -> Order:
    """Return what is asked for, with overlays by what is wrong with each."""
    before, after = good().before, good().after
    asked = Order(before, after, Strategy.CANARY, False, (), Budget(), (), directory)
    both, new = ([overlay(directory, mark) for mark in marks.split()] for marks in (overlays, to_overlays))
    return replace(asked, overlays=tuple(both), to_overlays=tuple(new))


@pytest.mark.parametrize(
    ("overlays", "to_overlays", "says"),
    [
        pytest.param(
            "field", "", r'istioctl 1\.30 refuses the overlay .*/field\.yaml: .* field "a"; .* field "b"\.$',
            id="both sides",
        ),
        pytest.param("good", "field", r"istioctl 1\.31\.0 refuses the overlay .*/field\.yaml: ", id="the new side"),
        pytest.param(
            "", "good profile", r"1\.31\.0 can't install what .*good\.yaml, .*profile\.yaml makes of the mesh: profile",
            id="only when it is laid over ours",
        ),
    ],
)  # fmt: skip
def test_istioctl_refuses_an_overlay(tmp_path: Path, overlays: str, to_overlays: str, says: str) -> None:
    """The istioctl of each side judges what is for that side, the file alone and then all together."""
    asked = order(tmp_path, overlays, to_overlays)
    with pytest.raises(Unreadable, match=says):
        check_overlays(asked, mesh(tmp_path, "1.30"), mesh(tmp_path, "1.31.0"))


@pytest.mark.parametrize(
    ("mark", "says"),
    [
        pytest.param("killed", "ended with status -9: it printed nothing", id="by a signal"),
        pytest.param("killedlate", "ended with status -9: word", id="by a signal, after some words"),
        pytest.param("slow", r"ended with status -15: no end within 0\.5 s", id="too late"),
        pytest.param("silent", "ended with status 1: it printed nothing", id="without a word"),
    ],
)
def test_an_istioctl_that_could_not_say_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str, says: str
) -> None:
    """Only what istioctl itself says against an overlay is a fault of the overlay."""
    monkeypatch.setattr(istio, "TIMEOUTS", replace(TIMEOUTS, program=0.5 if mark == "slow" else PATIENCE))
    only = mesh(tmp_path, "1.31.0")
    with pytest.raises(CommandFailed, match=says):
        check_overlays(order(tmp_path, mark), only, only)


def test_an_istioctl_that_is_no_whole_program_can_not_be_run(tmp_path: Path) -> None:
    """It is named as what can't be run, and the overlay is not blamed."""
    only = mesh(tmp_path, "1.31.0")
    only.istioctl.write_bytes(b"\x7fELF")
    with pytest.raises(ToolMissing, match="Exec format error"):
        check_overlays(order(tmp_path, "good"), only, only)


def test_a_good_overlay_is_no_trouble(tmp_path: Path) -> None:
    """What istioctl takes is taken; where there is no overlay it is not asked."""
    asked = order(tmp_path, "good", "better")
    assert check_overlays(asked, mesh(tmp_path, "1.30"), mesh(tmp_path, "1.31.0")) == []
    absent = mesh(tmp_path, "1.29", there=False), mesh(tmp_path, "1.29.1", there=False)
    assert check_overlays(order(tmp_path), *absent) == []


def test_without_istioctl_nothing_has_looked(tmp_path: Path) -> None:
    """It is said of which release it is not there, where that has overlays."""
    absent, there = mesh(tmp_path, "1.30", there=False), mesh(tmp_path, "1.31.0")
    assert check_overlays(order(tmp_path, "field"), absent, absent) == ["1.30"]
    assert check_overlays(order(tmp_path, "good"), absent, there) == ["1.30"]
    assert check_overlays(order(tmp_path, "", "good"), absent, there) == []


def test_what_is_for_the_new_cluster_is_not_asked_of_the_old_one(tmp_path: Path) -> None:
    """The old cluster has no images of the new mesh; its istioctl may not know what is new."""
    asked, only = order(tmp_path, "good", "field"), mesh(tmp_path, "1.30")
    images = ImageSet("node", own_cni=True, meshes=(only,), applications={}, traffic=tmp_path, kind=tmp_path)
    check_overlays_on(asked, images, to_the_end=False)
    with pytest.raises(Unreadable, match=r"field\.yaml"):
        check_overlays_on(asked, images, to_the_end=True)
