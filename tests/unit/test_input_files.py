"""Files that people write: each value knows its line, and whatever is wrong with one is a sentence that says where."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from meshproof.errors import Unreadable
from meshproof.input_files import Node, json_document, yaml_documents

TEXT = """\
# Of a mesh.
name: web   # in line 2
ports:
  - 443

  - {number: 8443,
     tls: true}
empty:
"""


def documents(directory: Path, text: str) -> list[Node]:
    """Write a file and read it."""
    path = directory / "file.yaml"
    path.write_text(text)
    return yaml_documents(path)


def document(directory: Path, text: str) -> Node:
    """Write a file of one document and read it."""
    (only,) = documents(directory, text)
    return only


def test_a_value_knows_its_line(tmp_path: Path) -> None:
    """That of its key, or of the item; the way to it is told too."""
    top = document(tmp_path, TEXT)
    fields = top.fields()
    items = fields["ports"].items()
    inner = items[1].fields()
    assert (top.where, top.line, top.file) == ("", 2, tmp_path / "file.yaml")
    assert {key: (node.where, node.line) for key, node in fields.items()} == {
        "name": ("name", 2),
        "ports": ("ports", 3),
        "empty": ("empty", 8),
    }
    assert [(item.where, item.line) for item in items] == [("ports", 4), ("ports", 6)]
    assert {key: (node.where, node.line, node.value) for key, node in inner.items()} == {
        "number": ("ports.number", 6, 8443),
        "tls": ("ports.tls", 7, True),
    }
    assert fields["empty"].value is None


def test_values_are_plain(tmp_path: Path) -> None:
    """Mappings and lists are those of Python, and keys are text even where YAML has a number."""
    top = document(tmp_path, TEXT)
    assert top.value == {"name": "web", "ports": [443, {"number": 8443, "tls": True}], "empty": None}
    assert isinstance(top.value, dict)
    assert list(document(tmp_path, "{1: a, null: b}").fields()) == ["1", "None"]


def test_a_value_without_lines_has_that_of_its_parent() -> None:
    """What was put together by hand, and not read, is told as well."""
    node = Node(Path("file.yaml"), "spec", {"a": [1]}, 7)
    (item,) = node.fields()["a"].items()
    assert (item.where, item.line) == ("spec.a", 7)
    assert str(Node(Path("file.yaml"), "", None).wrong("is wrong")) == "file.yaml: the document is wrong."
    assert Node(Path("f"), "", {}).fields() == {}


def test_many_documents(tmp_path: Path) -> None:
    """Empty ones are left out, and the lines go on."""
    found = documents(tmp_path, "---\n---\na: 1\n---\n# nothing\n---\nb: 2\n")
    assert [(node.value, node.line) for node in found] == [({"a": 1}, 3), ({"b": 2}, 7)]
    assert documents(tmp_path, "# nothing but a comment\n") == []
    assert documents(tmp_path, "") == []


def test_names_for_values(tmp_path: Path) -> None:
    """What is named once stands wherever it is used; a mapping's own key goes before one that is merged."""
    text = "base: &base {a: 1, b: 2}\nsame: *base\nmore:\n  <<: [*base, {c: 3, a: 9}]\n  b: 5\n"
    fields = document(tmp_path, text).fields()
    assert fields["same"].value == fields["base"].value == {"a": 1, "b": 2}
    assert fields["more"].value == {"a": 1, "b": 5, "c": 3}
    assert {key: node.line for key, node in fields["more"].fields().items()} == {"a": 1, "b": 5, "c": 4}
    assert document(tmp_path, "'<<': 3").value == {"<<": 3}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: 1\nb: 2\na: 3\n", ", line 3: the key 'a' is there twice, first in line 1."),
        ("a:\n  b:\n  - c: 1\n    c: 2\n", ", line 4: the key 'c' is there twice, first in line 3."),
        ("1: a\n'1': b", ", line 2: the key '1' is there twice, first in line 1."),
        ("<<: {a: 1}\n<<: {b: 2}", ", line 2: the key '<<' is there twice, first in line 1."),
        ("a:\n  <<: {b: 1,\n    b: 2}", ", line 3: the key 'b' is there twice, first in line 2."),
        ("- a: 1\n---\nb: 1\nb: 2\n", ", line 4: the key 'b' is there twice, first in line 3."),
        ("a: b: c", ", line 1: this is not YAML: mapping values are not allowed in this context."),
        ("a: [1\n", ", line 2: this is not YAML: while parsing a flow sequence, did not find expected ',' or ']'."),
        ("\na: *nobody", ", line 2: this is not YAML: found undefined alias."),
        ("\n<<: 3", ", line 2: this is not YAML: while constructing a mapping, expected a mapping or list of mappings"),
        ("\na: 2026-13-45", ", line 2: this is not YAML: '2026-13-45' is no timestamp."),
        ("a: !!bool perhaps", ", line 1: this is not YAML: 'perhaps' is no bool."),
        ("a: !!timestamp now", ", line 1: this is not YAML: 'now' is no timestamp."),
        ("a: !mine 1", ", line 1: this is not YAML: could not determine a constructor for the tag '!mine'."),
        ("\na: !mine [1]", ", line 2: the tag !mine means nothing here."),
        ("\na: !!set {b}", ", line 2: the tag tag:yaml.org,2002:set means nothing here."),
        ("\n? [1]\n: 2", ", line 2: a key should be text, and is a list."),
        ("\n? {}\n: 2", ", line 2: a key should be text, and is a mapping."),
        ("\na: &a [*a]", ", line 2: this value has itself inside."),
        ("\na: &a {b: *a}", ", line 2: this value has itself inside."),
        ("\na: 18446744073709551616", ", line 2: this number is too large."),
        ("a: \0", ": this is not YAML: unacceptable character"),
        ("[" * 10_000, "this is not YAML: "),
        ("{a: " * 10_000 + "}" * 10_000, ": this is not YAML: "),
    ],
)
def test_what_is_no_file_of_ours(tmp_path: Path, text: str, why: str) -> None:
    """One sentence with the file and the line, whatever it is."""
    with pytest.raises(Unreadable) as error:
        documents(tmp_path, text)
    assert re.match(rf"{re.escape(str(tmp_path / 'file.yaml'))}(, line \d+)?: .*\.$", str(error.value))
    assert why in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 4


def test_the_largest_number(tmp_path: Path) -> None:
    """64 bits are enough, and all of them may be used."""
    assert document(tmp_path, f"{2**64 - 1}").value == 2**64 - 1


@pytest.mark.parametrize(
    ("read", "value", "what"),
    [
        (Node.fields, [1], "should be a mapping, and is a list"),
        (Node.fields, None, "should be a mapping, and is empty"),
        (Node.items, "text", "should be a list, and is 'text'"),
        (Node.items, {"a": 1}, "should be a list, and is a mapping"),
        (Node.text, 2, "should be text, and is 2"),
        (Node.text, ["x"], "should be text, and is a list"),
        (Node.flag, "yes", "should be true or false, and is 'yes'"),
        (Node.flag, 1, "should be true or false, and is 1"),
        (Node.number, -1, "should be a whole number, 0 or more, and is -1"),
        (Node.number, True, "should be a whole number, 0 or more, and is True"),
        (Node.number, 1.5, "should be a whole number, 0 or more, and is 1.5"),
        (Node.items, "x" * 200, f"should be a list, and is '{'x' * 79}…"),
    ],
)
def test_a_wrong_type(read: Callable[[Node], object], value: object, what: str) -> None:
    """The sentence has the place, what should be there and what is; a long value is cut."""
    with pytest.raises(Unreadable) as error:
        read(Node(Path("file.yaml"), "a.b", value, 3))
    assert str(error.value) == f"file.yaml, line 3: a.b {what}."


def test_right_types() -> None:
    """What is as it should be is handed over as it is."""
    assert Node(Path("f"), "", "text").text() == "text"
    assert Node(Path("f"), "", False).flag() is False
    assert [Node(Path("f"), "", number).number() for number in (0, 14)] == [0, 14]
    assert Node(Path("f"), "", "b").among(["a", "b"]) == "b"


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("gren", "has 'gren', which is not known; the nearest is 'green'"),
        ("x", "has 'x', which is not known; choose from red, green"),
        (None, "has empty, which is not known; choose from red, green"),
        (["red"], "has a list, which is not known; choose from red, green"),
    ],
)
def test_a_word_that_is_not_known(value: object, what: str) -> None:
    """The nearest one is named, or all that there are."""
    with pytest.raises(Unreadable) as error:
        Node(Path("f"), "colour", value, 1).among(["red", "green"])
    assert str(error.value) == f"f, line 1: colour {what}."


def test_a_key_that_is_not_known(tmp_path: Path) -> None:
    """It is told with its own line, and the nearest one."""
    top = document(tmp_path, "tls:\n  mode: x\n  modes: y\n").fields()["tls"]
    with pytest.raises(Unreadable, match=r"line 3: tls has 'modes', which is not known; the nearest is 'mode'\.$"):
        top.fields(["mode", "names"])
    assert list(top.fields(["mode", "modes"])) == ["mode", "modes"]
    with pytest.raises(Unreadable, match=r"line 1: the document has 1, which is not known; choose from a\.$"):
        document(tmp_path, "1: x").fields(["a"])


@pytest.mark.parametrize("read", [yaml_documents, json_document])
def test_a_file_that_cannot_be_read(tmp_path: Path, read: Callable[[Path], object]) -> None:
    """One that is not there, a directory, octets that are no text, and a device that fails."""
    (tmp_path / "octets").write_bytes(b"\xff\xfe")
    for name, why in (
        ("none", "cannot be read: No such file or directory."),
        (".", "cannot be read: Is a directory."),
        ("octets", "this is not text in UTF-8: invalid start byte."),
        ("/proc/self/mem", "cannot be read: Input/output error."),
    ):
        with pytest.raises(Unreadable) as error:
            read(tmp_path / name)
        assert str(error.value) == f"{tmp_path / name}: {why}"
