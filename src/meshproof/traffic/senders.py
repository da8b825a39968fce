"""The program that sends a flow's requests, on this machine or in a pod; and whether its lines are all there."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from meshproof.errors import CommandFailed, TrafficUnknown
from meshproof.images import TRAFFIC
from meshproof.machine import process
from meshproof.mesh import Workload
from meshproof.settings import TIMEOUTS
from meshproof.traffic.flows import Flow, Outside
from meshproof.traffic.records import Flown, Record

_UNSENT = "UNSENT"
_IN_THE_POD = (f"/{TRAFFIC}", "send")


class Sender:
    """The flows of one source, and what the program that sends them has told.

    Attributes:
        flows: They, in the program's order.
    """

    def __init__(self, source: Outside | Workload, flows: Sequence[Flow]) -> None:
        self.flows = flows
        self._source = source
        self._records: list[list[Record]] = [[] for _ in flows]
        self._unsent = [0 for _ in flows]
        self._began = threading.Event()
        self._counts: list[int] | None = None
        self._said = ""

    @property
    def place(self) -> str:
        """Where it sends from, as a sentence has it."""
        if isinstance(self._source, Workload):
            return f"{self._source.namespace}/{self._source.app}"
        return "this machine"

    @property
    def stopped(self) -> bool:
        """Whether it has said that it sends no more."""
        return self._counts is not None

    @property
    def _names(self) -> str:
        return ", ".join(repr(flow.name) for flow in self.flows)

    @contextmanager
    def sending(self, program: Path, seconds: float, *, to_the_end: bool) -> Iterator[None]:
        """Send until the block ends, or for so many seconds.

        Args:
            program: The one to run on this machine.
            seconds: After which it ends by itself.
            to_the_end: Whether it is an error that the block goes on after that.

        Raises:
            TrafficUnknown: The program did not begin, or ended before it was told to, or its lines are not all there.
            ClusterError: It could not be run in the pod.
        """
        order = json.dumps({"flows": [flow.order(seconds) for flow in self.flows], "seconds": seconds})
        longest = seconds + max(flow.timeout for flow in self.flows) + TIMEOUTS.program
        try:
            with self._program(program, f"{order}\n", longest):
                if not self._began.wait(TIMEOUTS.program):
                    raise self._unknown("did not begin")
                yield
                stopped = self.stopped
        except CommandFailed as error:
            self._said = self._said or error.last
            raise self._unknown("ended with an error") from error
        self._check()
        if stopped and to_the_end:
            raise TrafficUnknown(
                f"The sender on {self.place} had stopped when the recording ended: what became of {self._names} is not "
                f"known to its end. A recording of more than {seconds:g} seconds has to say so (`seconds`)."
            )

    def flown(self) -> list[Flown]:
        """Return what has become of the flows by now."""
        return [
            Flown(flow, sorted(records, key=lambda record: record.sequence), unsent)
            for flow, records, unsent in zip(self.flows, self._records, self._unsent, strict=True)
        ]

    def records(self) -> dict[str, Sequence[Record]]:
        """Return the records of each flow by its name, as they come: in no order, and more while it sends."""
        return {flow.name: records for flow, records in zip(self.flows, self._records, strict=True)}

    def _program(self, program: Path, order: str, longest: float) -> AbstractContextManager[None]:
        on_line: Callable[[str], None] = self._take
        if isinstance(self._source, Workload):
            source = self._source
            pods = source.kube.pods
            pod = pods.any_ready(source.namespace, source.app)
            return pods.conversation(
                source.namespace, pod, source.container, _IN_THE_POD, said=order, on_line=on_line, timeout=longest
            )
        return process.conversation([program, "send"], said=order, on_line=on_line, timeout=longest)

    def _take(self, line: str) -> None:
        """Take a line of the program's."""
        try:
            content: dict[str, Any] = json.loads(line)
        except ValueError:
            self._said = line
            return
        if "began" in content:
            self._began.set()
        elif "requests" in content:
            self._counts = content["requests"]
        else:
            number = content["flow"]
            if content["outcome"] == _UNSENT:
                self._unsent[number] += 1
            else:
                self._records[number].append(Record.of(self.flows[number], content))

    def _check(self) -> None:
        """Hold the lines against the numbers that the program gave last: what was not told is not known.

        Raises:
            TrafficUnknown: Some are missing.
        """
        if self._counts is None:
            raise self._unknown("ended before it was told to")
        for flow, records, unsent, count in zip(self.flows, self._records, self._unsent, self._counts, strict=True):
            lines = len(records) + unsent
            if lines != count or len({record.sequence for record in records}) != len(records):
                raise self._unknown(f"told of {lines} of {count} requests of {flow.name!r}")

    def _unknown(self, what: str) -> TrafficUnknown:
        said = f" It said: {self._said}." if self._said else ""
        return TrafficUnknown(
            f"The sender on {self.place} {what}: what became of {self._names} is not known.{said} "
            "Was its pod replaced, or its machine short of memory?"
        )
