"""The file of acknowledgements: what it says, and a sentence for each mistake in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshproof.errors import Unreadable
from meshproof.upgrade.acknowledgements import Acknowledgement, known, read_acknowledgements


def test_what_a_file_says(tmp_path: Path) -> None:
    """Each entry has a pattern and a reason, and may have values and releases; its line is kept."""
    file = tmp_path / "acknowledged.yaml"
    file.write_text(
        '- fact: "posture *: TLS 1.2"\n  reason: TICKET-12\n'
        '- {fact: b, reason: c, before: x, after: "y*", from: "1.30", to: "1.31", states: [S3, S4]}\n'
    )
    assert read_acknowledgements(file) == [
        Acknowledgement("posture *: TLS 1.2", "TICKET-12", line=1),
        Acknowledgement("b", "c", "x", "y*", "1.30", "1.31", ("S3", "S4"), line=3),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("fact: a\nreason: b\n", "line 1: the document should be a list"),
        ("- fact: a\n", "line 1: the document lacks `reason`"),
        ("- reason: a\n", "line 1: the document lacks `fact`"),
        ("- fact: a\n  reason: ''\n", "line 2: reason is empty"),
        ("- fact: a\n  reason: b\n  form: '1.30'\n", "line 3: the document has 'form', which is not known"),
        ("- fact: a\n  reason: b\n  states: S3\n", "line 3: states should be a list, and is 'S3'"),
        (
            '- fact: "*"\n  reason: b\n',
            "line 1: fact should be the name of a fact, with a * for some of it, and is '*'",
        ),
        ('- fact: "**: 1*"\n  reason: b\n', "line 1: fact should be the name of a fact"),
        (
            "- fact: a\n  reason: b\n  from: 1.3O\n",
            "line 3: from should be a release of Istio, such as 1.30 or 1.31.0, and is '1.3O'",
        ),
        ("- fact: a\n  reason: b\n  to: latest\n", "line 3: to should be a release of Istio"),
        (
            "- fact: a\n  reason: b\n  states: [S3, S9]\n",
            "line 3: states should be among S1, S2, S3, S4, S5, S1', S2', S6, and is 'S9'",
        ),
        ("- fact: a\n  reason: b\n  states: [S0]\n", "line 3: states should be among S1, S2"),
        ("- fact: a\n  reason: b\n  from: 1.30\n", "line 3: from should be text, and is 1.3"),
    ],
    ids=[
        "no list",
        "no reason",
        "no fact",
        "an empty reason",
        "a wrong key",
        "one state",
        "a pattern of all facts",
        "a pattern without a letter",
        "a letter in a release",
        "a word for a release",
        "no state",
        "the first state",
        "a number",
    ],
)
def test_a_mistake_is_a_sentence_with_its_line(text: str, sentence: str, tmp_path: Path) -> None:
    """Who wrote the file finds the place, and what is wrong with it."""
    file = tmp_path / "acknowledged.yaml"
    file.write_text(text)
    with pytest.raises(Unreadable, match=r".") as raised:
        read_acknowledgements(file)
    assert f"{file}, {sentence}" in str(raised.value)


def test_what_is_known_has_its_source() -> None:
    """Each entry of ours says who says so, and is about one field of some releases, or of one value."""
    for entry in known():
        assert "https://" in entry.reason
        assert (entry.old and entry.new) or entry.states or entry.before != "*"
        assert not entry.fact.endswith("*")
