"""Debian's file systems: known by the versions of their packages, which are looked up once a day."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from meshproof.errors import MachineError
from meshproof.images.debian import file_systems, versions_known, versions_now

DAY = 24 * 3600


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file with what Debian has; a program in the place of mmdebstrap says so, and counts how often."""
    program = tmp_path / "bin" / "mmdebstrap"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho x >>{tmp_path}/asked\ncat {tmp_path}/mirror\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    has(tmp_path / "mirror", "3.0.17-1")
    return tmp_path / "mirror"


def has(mirror: Path, openssl: str) -> None:
    """Have Debian offer a version of OpenSSL."""
    mirror.write_text(
        f"I: running apt-get update...\nInst libc6 (2.36-9 Debian:12 [amd64])\nInst openssl ({openssl} Debian)\n"
    )


def digests(cache: Path) -> list[str]:
    """Return what the file systems are known by."""
    return [step.digest for step in file_systems(versions_now(cache))]


def a_day_later(cache: Path, seconds: float = DAY + 1) -> None:
    """Make what was looked up older than a day, or as old as is said."""
    (file,) = cache.glob("debian-*.json")
    os.utime(file, (time.time() - seconds, time.time() - seconds))


def asked(mirror: Path) -> int:
    """Return how often Debian was asked."""
    return len(mirror.with_name("asked").read_text().splitlines())


def test_a_security_update_is_a_new_build(mirror: Path, tmp_path: Path) -> None:
    """Within a day nobody asks again; after it a new version of any package is another build, and the same is not."""
    cache = tmp_path / "cache"
    first = digests(cache)
    has(mirror, "3.0.18-1")
    assert (digests(cache), asked(mirror)) == (first, 1)
    a_day_later(cache)
    second = digests(cache)
    assert asked(mirror) == 2
    assert not set(second) & set(first)
    a_day_later(cache)
    assert (digests(cache), asked(mirror)) == (second, 3)


def test_without_a_mirror_the_last_answer_counts(
    mirror: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who is offline goes on with what there was, and is told so."""
    cache = tmp_path / "cache"
    first = digests(cache)
    a_day_later(cache)
    mirror.unlink()
    assert digests(cache) == first
    assert "could not be looked up" in " ".join(capsys.readouterr().err.split())


def test_without_a_mirror_nothing_can_be_built(mirror: Path, tmp_path: Path) -> None:
    """Who never had an answer is asked for a network."""
    mirror.unlink()
    with pytest.raises(MachineError, match=r"could not be looked up: .*Is a Debian mirror in reach\?"):
        versions_now(tmp_path / "cache")


def test_what_failed_is_not_tried_in_each_run(mirror: Path, tmp_path: Path) -> None:
    """Without a mirror each run would wait for it: it is asked again an hour later."""
    cache = tmp_path / "cache"
    first = digests(cache)
    a_day_later(cache)
    mirror.unlink()
    assert (digests(cache), digests(cache), asked(mirror)) == (first, first, 2)


def test_a_clock_that_was_set_back_hides_no_update(mirror: Path, tmp_path: Path) -> None:
    """An answer from the future is not one of today."""
    cache = tmp_path / "cache"
    digests(cache)
    a_day_later(cache, seconds=-DAY)
    digests(cache)
    assert asked(mirror) == 2


def test_an_answer_without_a_package_is_none(mirror: Path, tmp_path: Path) -> None:
    """What can't be read is not taken for a Debian without packages."""
    mirror.write_text("I: success in 9.0598 seconds\n")
    with pytest.raises(MachineError, match="it named no package that it would install"):
        versions_now(tmp_path / "cache")
    assert versions_known(tmp_path / "cache") == ""


def test_without_mmdebstrap_the_last_answer_counts(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has everything built needs no program that builds it."""
    cache = tmp_path / "cache"
    first = digests(cache)
    a_day_later(cache)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert digests(cache) == first


@pytest.mark.parametrize("content", ["", "{", "[]", '{"versions": 1'], ids=repr)
def test_a_damaged_file_is_no_answer(content: str, mirror: Path, tmp_path: Path) -> None:
    """What a full disk or a power cut left is asked for again."""
    cache = tmp_path / "cache"
    first = digests(cache)
    (file,) = cache.glob("debian-*.json")
    file.write_text(content)
    assert versions_known(cache) == ""
    assert digests(cache) == first
