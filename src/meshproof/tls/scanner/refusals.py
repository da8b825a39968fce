"""Whether an end of a connection is a refusal: what one end is worth, and what several are, each between controls.

An alert about the offer refuses it. Any other end may as well come from a limit, an outage, a dead backend or a hello
that is too long: it counts as a refusal only if it came every time. The tries are made in ``prober``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from meshproof.tls.probe.answer import Answer
from meshproof.tls.probe.outcome import WORDLESS, Alert, Outcome
from meshproof.tls.protocol.profile import Profile

NEVER_ASKED = frozenset({Outcome.NOT_ASKED, Outcome.NAME_NOT_RESOLVED})
"""Ends that say nothing of a hello: it was never sent."""

TIMES = 3
"""How often an end has to come to be believed."""


class Control(NamedTuple):
    """A hello that is known to be answered.

    Attributes:
        profile: The client that sends it.
        alert: The number of the alert that it is answered with; None when it is negotiated.
        shorter: Whether it shows that what is judged has too much in it: then it is sent as it is, and may be shorter
            and without extensions.
    """

    profile: Profile
    alert: int | None = None
    shorter: bool = False

    def holds(self, answer: Answer) -> bool:
        """Return whether it was answered as it is known to be."""
        return answer.negotiated if self.alert is None else answer.alert == self.alert


@dataclass(slots=True, eq=False)
class Suspect:
    """A hello whose end proves nothing yet.

    Attributes:
        profile: The client.
        follow: Whether a HelloRetryRequest is answered.
        control: What it is judged by.
        answer: What is known so far.
        ends: How it ended between controls.
        settled: Whether nothing more will be found out.
    """

    profile: Profile
    follow: bool
    control: Control
    answer: Answer
    ends: list[Answer] = field(default_factory=list)
    settled: bool = False

    def settle(self, answer: Answer) -> None:
        """Keep an answer as the last word."""
        self.answer, self.settled = answer, True

    def judge(self, answer: Answer) -> None:
        """Take what one try between controls came to."""
        if answer.outcome in NEVER_ASKED:
            return
        same = not self.ends or _alike(self.ends[-1], answer)
        if not proves_nothing(answer) and not self.ends:
            self.settle(answer)
        elif not proves_nothing(answer) or not same:
            self.settle(Answer(outcome=Outcome.UNSTABLE, remark="the same hello ended in different ways"))
        elif answer.outcome is Outcome.SILENT:
            self.settle(answer)
        else:
            self.ends.append(answer)

    def begin_again(self) -> None:
        """Forget the ends, and what they contradicted; an answer stays."""
        self.ends.clear()
        if self.answer.outcome is Outcome.UNSTABLE:
            self.settled = False

    def conclude(self) -> None:
        """Believe what came every time."""
        end = self.ends[-1]
        named = end.alert is not None or end.outcome in WORDLESS
        begun = self.answer.begun or any(each.begun for each in self.ends)
        self.settle(replace(end, confirmed=named and not begun))


def proves_nothing(answer: Answer) -> bool:
    """Return whether an answer needs controls; refusing a name that is known to be answered does, too."""
    return answer.doubtful or answer.alert == Alert.UNRECOGNIZED_NAME


def _alike(one: Answer, other: Answer) -> bool:
    """Return whether two ends are of the same kind; a proxy in between may turn a reset into a close."""
    both_wordless = one.outcome in WORDLESS and other.outcome in WORDLESS
    return both_wordless or (one.outcome is other.outcome and one.alert == other.alert)
