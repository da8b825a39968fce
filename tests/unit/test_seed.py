"""The seed's tables: no row is lost, and a refusal has one of the ends that stand there."""

from __future__ import annotations

from collections import Counter

import pytest

from meshproof.tls import Answer, Outcome
from meshproof.tls.probe.outcome import Alert
from tests.e2e.gateway.seed import WORDLESS_END, end_of, seed_rows


def test_each_client_has_a_row_at_each_server() -> None:
    """A renamed server or client is no row less: the table has all, or it can't be read."""
    assert Counter(row.server for row in seed_rows()) == {"minimum 1.2": 35, "only 1.2": 35, "only 1.3": 35}


def test_the_end_of_each_refusal_has_a_name() -> None:
    """The table says of 31 rows that there is no connection, and of each how it ends."""
    assert Counter(row.end for row in seed_rows() if row.end) == {
        "alert 70 protocol_version": 22,
        "alert 40 handshake_failure": 6,
        "closed without a word": 3,
    }


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        pytest.param(
            Answer(outcome=Outcome.PROTOCOL_VERSION, alert=Alert.PROTOCOL_VERSION),
            "alert 70 protocol_version",
            id="an alert",
        ),
        pytest.param(Answer(outcome=Outcome.RESET, confirmed=True), WORDLESS_END, id="a reset between controls"),
        pytest.param(
            Answer(outcome=Outcome.CLOSED_WITHOUT_ALERT, confirmed=True), WORDLESS_END, id="a close between controls"
        ),
        pytest.param(Answer(outcome=Outcome.RESET), "connection reset", id="a gateway that goes down resets, too"),
        pytest.param(Answer(outcome=Outcome.REFUSED), "TCP connection refused", id="nothing listens"),
    ],
)
def test_an_end_without_a_word_counts_when_it_is_confirmed(answer: Answer, end: str) -> None:
    """Only an end that came again and again between controls is the server's answer to this hello."""
    assert end_of(answer) == end
