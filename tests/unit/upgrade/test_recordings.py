"""The recordings of an upgrade on a real server: what can't be begun is an error, and what ends badly is not known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from meshproof.errors import ClusterError, TrafficUnknown
from meshproof.machine.wait import until
from meshproof.mesh.manifests import FIRST
from meshproof.settings import TIMEOUTS
from meshproof.tls import Address
from meshproof.traffic import Flow, senders
from meshproof.upgrade.flows import Client
from meshproof.upgrade.probes import Probe
from meshproof.upgrade.recordings import Recordings
from meshproof.upgrade.world import World
from tests.support.programs import PATIENCE
from tests.support.traffic import traffic_program, traffic_server

SILENT = "#!/bin/sh\nexec cat >/dev/null\n"


@dataclass
class OneServer:
    """A world that is one server on this machine."""

    address: Address
    probes: list[Probe] = field(default_factory=list)

    def flow(self, name: str) -> Flow:
        """Return a flow to it."""
        return Flow(name, f"http://{self.address}/", rate=50, timeout=1)

    def flows(self) -> list[Flow]:
        """Return what comes from outside."""
        return [self.flow("outside")]

    def controls(self) -> list[Flow]:
        """Return the control."""
        return [self.flow("control")]

    def tries(self) -> list[Flow]:
        """Return nothing that must be refused."""
        return []

    def between_sidecars(self, client: Client, again: str = "") -> list[Flow]:
        """Return what a client would send."""
        return [self.flow(f"{client.value}{again}")]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world with a server that answers."""
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        yield cast("World", OneServer(listening["http"]))


def answered(recordings: Recordings) -> None:
    """Wait until each flow has been answered."""
    until(recordings.unanswered, [], what="The list of flows without an answer", timeout=PATIENCE)


def test_a_sender_that_does_not_begin_is_an_error(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the sender's own, whose sentence the report has."""
    silent = tmp_path / "silent"
    silent.write_text(SILENT)
    silent.chmod(0o700)
    monkeypatch.setattr(senders, "TIMEOUTS", replace(TIMEOUTS, program=0.5))
    recordings = Recordings(world, silent, tmp_path / "traffic")
    with pytest.raises(TrafficUnknown, match="The sender on this machine did not begin"), recordings.going_on():
        pytest.fail("It went on.")
    assert not recordings.begun


def test_what_ends_the_upgrade_goes_on_and_what_was_sent_is_known(world: World, tmp_path: Path) -> None:
    """An error or an interrupt of the block is not mistaken for one of a sender, and the senders end in order."""
    recordings = Recordings(world, traffic_program(), tmp_path / "traffic")

    def fail() -> None:
        with recordings.going_on():
            answered(recordings)
            raise TrafficUnknown("That is one of the block.")

    with pytest.raises(TrafficUnknown, match="of the block"):
        fail()
    assert recordings.begun
    assert recordings.unknown == []
    assert {name for name, flown in recordings.flown.items() if flown.answered} == {
        "outside",
        "control",
        *(client.value for client in Client),
    }


def test_a_step_that_fails_is_not_hidden_by_a_sender(world: World, tmp_path: Path) -> None:
    """After it nothing is sent from a half whose pods may not be there."""
    recordings = Recordings(world, traffic_program(), tmp_path / "traffic")
    with recordings.going_on():
        with pytest.raises(ClusterError, match="No pod was ready"), recordings.without(FIRST):
            raise ClusterError("No pod was ready.")
        assert len(recordings.flown) == 4
    assert recordings.unknown == []


def test_a_half_sends_again_when_it_was_restarted(world: World, tmp_path: Path) -> None:
    """Under another name, so that nothing of the time between is taken for a gap."""
    recordings = Recordings(world, traffic_program(), tmp_path / "traffic")
    with recordings.going_on():
        with recordings.without(FIRST):
            pass
        answered(recordings)
    assert f"{Client.NEW.value}, part 2" in recordings.flown


def test_records_that_cannot_be_written_are_not_known(world: World, tmp_path: Path) -> None:
    """The run goes on to its end and is judged by what came in."""
    directory = tmp_path / "traffic"
    recordings = Recordings(world, traffic_program(), directory)
    with recordings.going_on():
        answered(recordings)
        directory.write_text("a file where the directory is to be")
    assert len(recordings.unknown) == 3
    assert "File exists" in recordings.unknown[0]
    assert all(flown.answered for flown in recordings.flows)


def test_a_control_is_no_request_of_the_mesh(world: World, tmp_path: Path) -> None:
    """What the lines of a run count is what its report counts."""
    recordings = Recordings(world, traffic_program(), tmp_path / "traffic")
    with recordings.going_on():
        answered(recordings)
    assert recordings.requests == sum(flown.requests for flown in recordings.flows)
    assert [flown.flow.name for flown in recordings.controls] == ["control"]
