"""`make upgrade` looks at what it is given before it looks at the machine."""

from __future__ import annotations

import pytest

from meshproof.errors import CommandFailed
from meshproof.machine.process import run
from meshproof.settings import TIMEOUTS
from tests.support.checkout import ROOT


@pytest.fixture(autouse=True)
def by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `make test` was given is not for the `make` of a test."""
    for name in ("MAKEFLAGS", "FROM", "TO", "TO_KUBERNETES", "KUBERNETES", "STRATEGY", "ROLLBACK", "IMAGES", "OPTIONS"):
        monkeypatch.delenv(name, raising=False)


def planned(*words: str) -> str:
    """Return what `make upgrade` would do."""
    return run(["make", "--dry-run", "--no-print-directory", "upgrade", *words], cwd=ROOT, timeout=TIMEOUTS.program)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "`make upgrade` needs FROM, and TO or TO_KUBERNETES, such as FROM=1.30 TO=1.31.0."),
        (["FROM=1.30"], "`make upgrade` needs FROM, and TO or TO_KUBERNETES"),
        (["TO=1.31.0"], "`make upgrade` needs FROM, and TO or TO_KUBERNETES"),
        (["FROM=1.30", "TO=1.31.0", "OPTION=--plan"], "`make upgrade` has no OPTION: it takes FROM TO "),
        (["FROM=1.30", "TO=1.31.0", "ISTIO=1.30"], "`make upgrade` has no ISTIO: it takes FROM TO "),
    ],
    ids=["nothing", "no release after", "no release before", "a slip", "an argument of other targets"],
)
def test_what_cannot_be_an_upgrade_is_refused_first(words: list[str], sentence: str) -> None:
    """In one sentence, and nothing is done, not even with the machine; a slip is not passed over."""
    with pytest.raises(CommandFailed) as refused:
        planned(*words)
    assert sentence in refused.value.tail
    assert len(refused.value.tail.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["FROM=1.30", "TO=1.31.0"], "--from=1.30 --to=1.31.0 --images=auto tests/e2e"),
        (
            ["FROM=1.30", "TO=1.31.0", "STRATEGY=in-place", "ROLLBACK=1"],
            "--from=1.30 --to=1.31.0 --images=auto --strategy=in-place --rollback tests/e2e",
        ),
        (
            ["FROM=1.31.0", "KUBERNETES=1.33.13", "TO_KUBERNETES=1.34.4", "TO="],
            "--from=1.31.0 --images=auto --kubernetes-version=1.33.13 --to-kubernetes=1.34.4 tests/e2e",
        ),
        (["FROM=1.31.0", "STRATEGY=new-cluster"], "--from=1.31.0 --images=auto --strategy=new-cluster tests/e2e"),
        (["FROM=1.30", "TO=1.31.0", "OPTIONS=--plan"], "--from=1.30 --to=1.31.0 --images=auto --plan tests/e2e"),
        (["FROM=1.30", "TO=1.31.0", "MESHPROOF_CACHE=x"], "--from=1.30 --to=1.31.0 --images=auto tests/e2e"),
    ],
    ids=["a canary", "in place, and back", "another Kubernetes", "the same on a new cluster", "a plan", "a cache"],
)
def test_what_is_asked_for_is_passed_on(words: list[str], options: str) -> None:
    """The machine is looked at first, but for a plan, which needs none."""
    text = planned(*words).replace("\\\n", " ")
    *_, last = text.splitlines()
    assert " ".join(last.split()) == f".venv/bin/meshproof upgrade {options}"
    assert ("doctor" in text) is ("OPTIONS=--plan" not in words)
