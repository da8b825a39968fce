"""Flows side by side, marks on their time line, and the files that are left of them."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from meshproof.errors import BadOutput, BadTarget
from meshproof.machine.wait import until
from meshproof.settings import TIMEOUTS
from meshproof.traffic import picture
from meshproof.traffic.flows import Flow, Outside
from meshproof.traffic.records import Flown, Record
from meshproof.traffic.senders import Sender

LONGEST = 300.0
"""Seconds after which nothing more is sent; a block that goes on longer is an error, if it does not say how long."""


@dataclass(frozen=True, slots=True)
class Mark:
    """An event: what happened, and when, in ns of CLOCK_MONOTONIC."""

    text: str
    at_ns: int


class Recording:
    """Flows that are sent, and what becomes of them.

    Attributes:
        name: What it is called, and its files.
        marks: What happened meanwhile.
    """

    def __init__(self, name: str, senders: list[Sender]) -> None:
        self.name = name
        self.marks: list[Mark] = []
        self.senders = senders
        self._at_the_end: Mapping[str, Flown] | None = None

    def __str__(self) -> str:
        results = self.flows.values()
        losses = sum((result.losses for result in results), Counter[str]())
        lost = ", ".join(f"{number} {ending}" for ending, number in sorted(losses.items())) or "none"
        gap = max((result.longest_gap_ms or 0 for result in results), default=0)
        requests = f"{self.requests:,} requests of {len(results)} flows"
        return f"{self.name}: {requests}, {lost} lost, at most {gap:.0f} ms between two answers of a flow"

    def __repr__(self) -> str:
        return f"<{self}>"

    @property
    def picture(self) -> str:
        """The name of the file of its picture."""
        return f"{_stem(self.name)}.svg"

    @property
    def flows(self) -> Mapping[str, Flown]:
        """The flows by their names, with the records that there are by now; after the recording, with all.

        While the recording goes on, each look copies all records: to wait for a number of them there is ``wait_for``.
        """
        if self._at_the_end is not None:
            return self._at_the_end
        return {flown.flow.name: flown for sender in self.senders for flown in sender.flown()}

    @property
    def requests(self) -> int:
        """How many requests there have been by now, of all flows together."""
        return sum(len(records) for sender in self.senders for records in sender.records().values())

    def wait_for(self, requests: int, *names: str, each: bool = False, since_ns: int | None = None) -> None:
        """Wait until there have been so many requests, whatever became of them.

        Args:
            requests: How many.
            names: The flows that count; by default all of them.
            each: Whether each of them needs so many, and not all together.
            since_ns: Only requests that were sent after this moment count, in ns of CLOCK_MONOTONIC.

        Raises:
            NotSettled: How many there were, after ``TIMEOUTS.rollout`` seconds.
        """
        records = {name: of_one for sender in self.senders for name, of_one in sender.records().items()}

        def number() -> int:
            counts = [
                len(records[name])
                if since_ns is None
                else sum(record.sent_ns > since_ns for record in list(records[name]))
                for name in names or records
            ]
            return min(counts) if each else sum(counts)

        until(
            number,
            f"{requests} or more",
            lambda count: count >= requests,
            what=f"The number of requests{' of each flow' if each else ''} in the recording {self.name!r}",
            timeout=TIMEOUTS.rollout,
        )

    def wait_for_answers(self, *names: str) -> None:
        """Wait until each of some flows has been answered once with the status that it expects.

        Raises:
            NotSettled: Which ones had not been, after ``TIMEOUTS.behaviour`` seconds.
        """
        until(
            lambda: "; ".join(name for name in names if not self.flows[name].answered) or "none",
            "none",
            what=f"What has had no answer in the recording {self.name!r}",
            timeout=TIMEOUTS.behaviour,
        )

    def mark(self, text: str, at_ns: int | None = None) -> int:
        """Put an event on the time line; return its time in ns of CLOCK_MONOTONIC, which is now if not given."""
        mark = Mark(text, time.monotonic_ns() if at_ns is None else at_ns)
        self.marks.append(mark)
        return mark.at_ns

    def end(self, directory: Path) -> None:
        """Leave the flows as they are from now on; write the records, a line of JSON each, and the picture.

        The first line has one moment by two clocks, CLOCK_MONOTONIC and the time since 1970, which logs of pods have.

        Raises:
            BadOutput: The files can't be written. What is known of the flows is kept all the same.
        """
        self._at_the_end = self.flows
        try:
            self._write(directory)
        except OSError as error:  # such as a full disk
            raise BadOutput(
                f"Tried to write the records of {self.name!r} to {directory}: {error.strerror}. Make room, or see "
                "to its permissions."
            ) from error

    def _write(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        stem = _stem(self.name)
        flows = self.flows
        clock = {"monotonic_ns": time.monotonic_ns(), "unix_ns": time.time_ns()}
        with (directory / f"{stem}.jsonl").open("w", encoding="utf-8") as file:
            print(json.dumps({"clock": clock}), file=file)
            for flown in flows.values():
                print(json.dumps({"summary": flown.summary()}), file=file)
            for mark in self.marks:
                print(json.dumps({"mark": mark.text, "at_ns": mark.at_ns}), file=file)
            for flown in flows.values():
                for record in flown.records:
                    print(json.dumps(asdict(record) | {"outcome": record.outcome.name}), file=file)
        drawing = picture.draw(self.name, list(flows.values()), [(mark.text, mark.at_ns) for mark in self.marks])
        (directory / self.picture).write_text(drawing, encoding="utf-8")


def _stem(name: str) -> str:
    """Return what the files of a recording are called."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-")


@contextmanager
def record(
    *flows: Flow, name: str, program: Path, directory: Path, seconds: float | None = None
) -> Iterator[Recording]:
    """Send flows side by side for as long as the block lasts, and leave NAME.jsonl and NAME.svg.

    Args:
        flows: What to send; all have begun when the block does.
        name: What the recording is called.
        program: The one that sends from this machine.
        directory: Where its files go.
        seconds: After which no more is sent, even if the block goes on. Without it the block may take ``LONGEST``.

    Raises:
        TrafficUnknown: A sender did not tell of all its requests, or the block took too long: nothing is known of what
            is missing.
        ClusterError: A sender could not be run in its pod.
        BadTarget: Two flows have one name, or there is none, or the recording has the name of another one.
        BadOutput: Its files can't be written.
    """
    if len({flow.name for flow in flows}) != len(flows) or not flows:
        raise BadTarget(f"The recording {name!r} needs flows, each with a name of its own.")
    if (directory / f"{_stem(name)}.jsonl").exists():
        raise BadTarget(f"There is a recording {name!r} in {directory} already: give each one of a run its own name.")
    recording = Recording(name, _senders(flows))
    try:
        with _going_on(recording, program, seconds):
            yield recording
    finally:
        recording.end(directory)


@contextmanager
def sent(*flows: Flow, name: str, program: Path) -> Iterator[Recording]:
    """Send flows side by side for as long as the block lasts, and leave no files.

    Args:
        flows: What to send, each with a name of its own; all have begun when the block does.
        name: What that is called in errors.
        program: The one that sends from this machine.

    Raises:
        TrafficUnknown: A sender did not tell of all its requests, or the block took too long.
        ClusterError: A sender could not be run in its pod.
    """
    recording = Recording(name, _senders(flows))
    with _going_on(recording, program):
        yield recording


def a_few(*flows: Flow, requests: int, program: Path) -> Mapping[str, Sequence[Record]]:
    """Send some requests of each flow, and leave no files.

    Args:
        flows: What to send, each with a name of its own.
        requests: How many of each.
        program: The one that sends from this machine.

    Returns:
        The first records of each flow by its name, in the order of their sequence numbers.

    Raises:
        TrafficUnknown: A sender did not tell of all its requests.
        ClusterError: A sender could not be run in its pod.
        NotSettled: There were not so many requests, however they ended.
    """
    with sent(*flows, name="a few requests", program=program) as recording:
        recording.wait_for(requests, each=True)
    return {name: flown.records[:requests] for name, flown in recording.flows.items()}


@contextmanager
def _going_on(recording: Recording, program: Path, seconds: float | None = None) -> Iterator[None]:
    """Have the senders of a recording send for as long as the block lasts; see ``record``."""
    with ExitStack() as stack:
        for sender in recording.senders:
            stack.enter_context(
                sender.sending(program, LONGEST if seconds is None else seconds, to_the_end=seconds is None)
            )
        yield


def _senders(flows: Sequence[Flow]) -> list[Sender]:
    """Return one sender for each source."""
    sources: dict[Outside | tuple[str, str, str], list[Flow]] = {}
    for flow in flows:
        at = flow.source
        sources.setdefault(at if isinstance(at, Outside) else (at.namespace, at.app, at.container), []).append(flow)
    return [Sender(together[0].source, together) for together in sources.values()]
