"""An upgrade as a whole: whatever ends it, its report is there, and no verdict is hidden by what comes after it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshproof.cluster.kind import used_by_us
from meshproof.errors import (
    BadInput,
    ClusterError,
    ExitCode,
    MachineError,
    MeshproofError,
    NotSettled,
    ReaderLeft,
    UnknownVersion,
)
from meshproof.machine.undoing import afterwards
from meshproof.settings import Settings
from meshproof.upgrade import whole
from meshproof.upgrade.acknowledgements import Acknowledgement
from meshproof.upgrade.checking import Checked
from meshproof.upgrade.evidence import Budget, Evidence, Strategy
from meshproof.upgrade.journey import Journey
from meshproof.upgrade.order import Order
from meshproof.upgrade.verdict import Verdict
from meshproof.upgrade.whole import Upgraded, alone, beside, look_for_other_clusters, reported, upgraded
from tests.support.upgrades import fail_open, good

Ending = Callable[[], None]


def nothing() -> None:
    """Go well."""


def ending(error: BaseException) -> Ending:
    """Return what ends with an error."""

    def end() -> None:
        raise error

    return end


class Seen(Journey):
    """A journey that has seen what it is given."""

    def __init__(self, order: Order, evidence: Evidence) -> None:
        super().__init__(order)
        self._evidence = evidence

    def evidence(self) -> Evidence:
        """Return that."""
        return self._evidence


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """What is asked for; the report is in the directory ``upgrade``."""
    before, after = good().before, good().after
    return Order(before, after, Strategy.CANARY, False, (), Budget(), (), tmp_path / "upgrade")


@pytest.fixture
def go(order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Upgraded]:
    """Go through an upgrade of which nothing is real but how it ends: on the way up, in it, and on the way down."""

    class Run:
        def __init__(self, journey: Journey, within: Ending) -> None:
            self.journey, self.within = journey, within

        def go(self) -> None:
            for stage in self.journey.stages:
                with self.journey.ended_in_order():
                    self.journey.sets_out_for(stage.state)
                    self.journey.reaches()
                    self.within()
                    self.journey.leaves()
                if self.journey.stop:
                    break

    def all_of_it(
        strategy: Strategy = Strategy.CANARY,
        *,
        up: Ending = nothing,
        within: Ending = nothing,
        down: Ending = nothing,
        second: Ending = nothing,
    ) -> Upgraded:
        clusters: list[Settings] = []

        @contextmanager
        def ready(settings: Settings, journey: Journey, *_: object) -> Iterator[Run]:
            clusters.append(settings)
            (second if len(clusters) > 1 else up)()
            with afterwards(down):
                yield Run(journey, within)

        def known(order: Order, settings: Settings) -> Checked:
            return Checked(order, [settings] * (2 if strategy is Strategy.NEW_CLUSTER else 1), {})

        monkeypatch.setattr(whole, "_ready", ready)
        monkeypatch.setattr(whole, "checked", known)
        return upgraded(replace(order, strategy=strategy), Settings("a-cluster", cache=tmp_path / "cache"))

    return all_of_it


def report(order: Order) -> dict[str, Any]:
    """Return the report that was left."""
    document: dict[str, Any] = json.loads((order.directory / "upgrade.json").read_text())
    return document


STRATEGIES = pytest.mark.parametrize("strategy", [Strategy.CANARY, Strategy.NEW_CLUSTER], ids=lambda each: each.value)


@STRATEGIES
def test_the_report_is_there_before_anything_is_taken_down(
    strategy: Strategy, go: Callable[..., Upgraded], order: Order
) -> None:
    """What goes wrong then hides no verdict: this one is of a run of which nothing was seen, and inconclusive."""
    present: list[bool] = []

    def down() -> None:
        present.append((order.directory / "upgrade.json").exists())
        if present[-1]:
            raise NotSettled("The node was not gone within 240 s.")

    result = go(strategy, down=down)
    assert present[-1]
    assert (result.verdict, result.exit_code) == (Verdict.INCONCLUSIVE, ExitCode.UNKNOWN)
    assert report(order)["verdict"]["name"] == "inconclusive"


@STRATEGIES
def test_an_interrupt_while_all_is_taken_down_changes_nothing(
    strategy: Strategy, go: Callable[..., Upgraded], order: Order
) -> None:
    """The run was complete."""

    def down() -> None:
        if (order.directory / "upgrade.json").exists():
            signal.raise_signal(signal.SIGINT)

    assert go(strategy, down=down).verdict is Verdict.INCONCLUSIVE
    assert report(order)["stop"] is None


@STRATEGIES
@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (KeyboardInterrupt(), Verdict.INTERRUPTED),
        (ClusterError("kind failed."), Verdict.DID_NOT_FINISH),
        (MachineError("There is no Docker."), Verdict.DID_NOT_FINISH),
    ],
    ids=["an interrupt", "no cluster", "no Docker"],
)
def test_an_end_before_the_first_state_has_a_report(
    error: BaseException, verdict: Verdict, strategy: Strategy, go: Callable[..., Upgraded], order: Order
) -> None:
    """It says that nothing was looked at."""
    assert go(strategy, up=ending(error)).verdict is verdict
    assert [state["reached"] for state in report(order)["states"]] == [None]


@pytest.mark.parametrize(
    "error", [UnknownVersion("No such release."), ReaderLeft("Nobody reads.")], ids=["bad input", "nobody reads"]
)
def test_what_was_asked_for_wrongly_has_none(error: MeshproofError, go: Callable[..., Upgraded], order: Order) -> None:
    """Nothing was tried: the error is the answer."""
    with pytest.raises(type(error)):
        go(up=ending(error))
    assert not (order.directory / "upgrade.json").exists()


@pytest.mark.parametrize("strategy", [Strategy.CANARY, Strategy.IN_PLACE, Strategy.NEW_CLUSTER], ids=lambda s: s.value)
def test_an_end_within_is_told(strategy: Strategy, go: Callable[..., Upgraded], order: Order) -> None:
    """Once, and nothing more is tried."""
    assert go(strategy, within=ending(KeyboardInterrupt())).verdict is Verdict.INTERRUPTED
    assert [state["state"] for state in report(order)["states"]] == ["S0"]


@pytest.mark.parametrize(
    ("error", "verdict"),
    [(KeyboardInterrupt(), Verdict.INTERRUPTED), (BadInput("No such image."), Verdict.DID_NOT_FINISH)],
    ids=["an interrupt", "an error"],
)
def test_an_end_between_two_clusters_is_told(
    error: BaseException, verdict: Verdict, go: Callable[..., Upgraded], order: Order
) -> None:
    """With what was seen on the first one, whatever the error is: it has been looked at."""
    assert go(Strategy.NEW_CLUSTER, second=ending(error)).verdict is verdict
    assert [state["state"] for state in report(order)["states"]] == ["S0", "S6"]


def test_the_report_of_another_run_is_gone_when_one_begins(go: Callable[..., Upgraded], order: Order) -> None:
    """A verdict that is left would be taken for that of the new one."""
    go()
    (order.directory / "timeline.svg").write_text("an old one")
    with pytest.raises(UnknownVersion):
        go(up=ending(UnknownVersion("No such release.")))
    assert not (order.directory / "upgrade.json").exists()
    assert not (order.directory / "timeline.svg").exists()


def test_a_second_upgrade_of_a_checkout_touches_nothing(go: Callable[..., Upgraded], order: Order) -> None:
    """It says that another one is going on, and leaves alone what that one has written."""
    go()
    with alone(order.directory), pytest.raises(ClusterError, match="Another upgrade is going on"):
        go()
    assert report(order)["verdict"]["name"] == "inconclusive"
    go()


def test_a_place_that_cannot_be_written_is_a_sentence(order: Order, go: Callable[..., Upgraded]) -> None:
    """Before anything is brought up."""
    order.directory.write_text("a file")
    with pytest.raises(BadInput, match="could not be written: File exists"):
        go()


def test_a_report_that_cannot_be_written_hides_no_verdict(order: Order, capfd: pytest.CaptureFixture[str]) -> None:
    """The verdict is printed before; a safe one ends as the error does, another one as it does itself."""
    order.directory.write_text("a file where the directory is to be")
    bad, safe = reported(Seen(order, fail_open())), reported(Seen(order, good()))
    assert (bad.verdict, bad.exit_code, bad.files) == (Verdict.FAIL_OPEN, ExitCode.FAIL_OPEN, ())
    assert (safe.verdict, safe.exit_code, safe.files) == (Verdict.SAFE, ExitCode.MACHINE, ())
    printed = capfd.readouterr().err
    assert printed.index("Fail-open") < printed.index("Tried to make the directory") < printed.index("Safe")


def test_an_acknowledgement_that_fits_nothing_is_no_error(order: Order, capfd: pytest.CaptureFixture[str]) -> None:
    """It is told before the verdict, with its line, and changes nothing of how the command ends."""
    left = Acknowledgement("posture b.test:443", "was meant", line=3)
    result = reported(Seen(replace(order, acknowledgements=[left]), good()))
    assert (result.verdict, result.exit_code) == (Verdict.SAFE, ExitCode.DONE)
    printed = capfd.readouterr().err
    told = "The acknowledgement of line 3 fits nothing that is otherwise: posture b.test:443"
    assert printed.index(told) < printed.index("Safe")
    assert "meshproof:" not in printed


def test_a_signal_while_the_report_is_written_changes_nothing(order: Order) -> None:
    """All has been seen by then."""

    class Interrupted(Seen):
        def evidence(self) -> Evidence:
            signal.raise_signal(signal.SIGINT)
            return super().evidence()

    result = reported(Interrupted(order, good()))
    assert (result.verdict, result.exit_code) == (Verdict.SAFE, ExitCode.DONE)
    assert result.files[0].exists()


@pytest.mark.parametrize(
    ("verdict", "error", "code"),
    [
        (Verdict.SAFE, ClusterError("It is still there."), ExitCode.CLUSTER),
        (Verdict.FAIL_OPEN, ClusterError("It is still there."), ExitCode.FAIL_OPEN),
        (Verdict.INCONCLUSIVE, MachineError("The disk is full."), ExitCode.UNKNOWN),
        (Verdict.SAFE, KeyboardInterrupt(), ExitCode.DONE),
        (Verdict.REGRESSION, ReaderLeft("Nobody reads."), ExitCode.DEVIATES),
    ],
    ids=["safe", "fail-open", "inconclusive", "an interrupt", "nobody reads"],
)
def test_what_goes_wrong_beside_a_verdict(
    verdict: Verdict, error: KeyboardInterrupt | MeshproofError, code: ExitCode
) -> None:
    """It never makes a run look better, nor hides what was found."""
    assert beside(Upgraded(verdict, verdict.value, ()), error).exit_code is code


@pytest.mark.parametrize("in_use", [True, False], ids=["in use", "left"])
def test_a_cluster_that_is_there(tmp_path: Path, *, in_use: bool) -> None:
    """One that is in use is not to be deleted; one that was left is."""
    settings = Settings("a-cluster", cache=tmp_path)
    look_for_other_clusters(settings)
    directory = tmp_path / "clusters" / "a-cluster"
    directory.mkdir(parents=True)
    (directory / "record.json").write_text("{}")
    if in_use:
        with used_by_us("a-cluster", directory), pytest.raises(ClusterError, match="Another upgrade is going on"):
            look_for_other_clusters(settings)
    else:
        with pytest.raises(BadInput, match="meshproof down --cluster-name a-cluster"):
            look_for_other_clusters(settings)
