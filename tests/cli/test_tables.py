"""Tables, CSV and JSON as the texts of every command that takes a file."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.cli.tables import FieldNames, Sentence, rows
from attn_cli.cli.texts import count_lines, sentences
from attn_cli.errors import InputError, UsageError
from tests.conftest import Run

FOUND = [("The cat sat", "Le chat"), ("A dog", "Un chien")]
"""Text and target of each line that each of the files below holds."""

SAME = {
    "p.tsv": "The cat sat\tLe chat\n\nA dog\tUn chien\n",
    "header.tsv": "text\ttarget\nThe cat sat\tLe chat\nA dog\tUn chien\n",
    "three.TSV": "id\tSource\tTarget\n1\tThe cat sat\tLe chat\n2\tA dog\tUn chien\n",
    "p.csv": '\ufeffid,target,sentence\r\n1,Le chat,"The cat sat"\r\n2,Un chien,A dog\r\n',
    "semicolons.csv": "source;target\nThe cat sat;Le chat\nA dog;Un chien\n",
    "p.jsonl": '{"src": "The cat sat", "tgt": "Le chat", "n": 1}\n\n{"src": "A dog", "tgt": "Un chien", "n": 2}\n',
    "p.ndjson": '{"text": "The cat sat", "b": "Le chat"}\n{"text": "A dog", "b": "Un chien"}',
    "p.json": '[\n {"en": "The cat sat", "fr": "Le chat"},\n {"en": "A dog", "fr": "Un chien"}\n]\n',
}


@pytest.mark.parametrize("name", SAME)
def test_text_and_target(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(SAME[name], newline="")
    found = list(sentences(None, file))
    assert [(one.text, one.target) for one in found] == FOUND
    assert all(one.column for one in found)


ALONE = {
    "one.csv": ('text\n"The cat, sat"\nA dog\n', ["The cat, sat", "A dog"]),
    "no header.csv": ('The cat sat\n"A dog, too"\n', ["The cat sat", "A dog, too"]),
    "lines.csv": ('id,text\n1,"two\nlines"\n\n2,"a ""quote"""\n', ["two\nlines", 'a "quote"']),
    "texts.json": ('["The cat sat", "A dog"]', ["The cat sat", "A dog"]),
    "texts.jsonl": ('"The cat sat"\n"A dog\\n"\n', ["The cat sat", "A dog\n"]),
    "one.json": ('{"prompt": "The cat sat"}', ["The cat sat"]),
    "plain.txt": ('text,target\n{"text": "a"}\n', ["text,target", '{"text": "a"}']),
    "plain": ("{not json}\nThe cat, sat\n", ["{not json}", "The cat, sat"]),
    "one.tsv": ("text\nThe cat sat\n", ["text", "The cat sat"]),
}


@pytest.mark.parametrize("name", ALONE)
def test_texts_alone(name: str, tmp_path: Path) -> None:
    content, found = ALONE[name]
    file = tmp_path / name
    file.write_text(content, newline="")
    assert [(one.text, one.target, one.pair) for one in sentences(None, file)] == [(text, None, None) for text in found]


@pytest.mark.parametrize(
    ("content", "found", "said"),
    [
        ('{"text": "The cat"}\n{"text": "A dog"}\n', ["The cat", "A dog"], "is read as JSON Lines"),
        ('["The cat", "A dog"]\n', ["The cat", "A dog"], "is read as JSON, "),
        ("id,text\n1,The cat\n2,A dog\n", ["The cat", "A dog"], "is read as CSV"),
        ("id\ttext\n1\tThe cat\n", ["The cat"], "is read as a table"),
        ("The cat\tLe chat\n", ["The cat\tLe chat"], "has lines with tabs, which are read as they are"),
        ("[CLS] The cat, the dog\n", ["[CLS] The cat, the dog"], ""),
        ("{curly}\n[1, 2]\n", ["{curly}", "[1, 2]"], ""),
        ("[1, 2]\n", ["[1, 2]"], ""),
        ("Text, he said, is all\n", ["Text, he said, is all"], ""),
    ],
)
def test_what_is_piped_in_shows_what_it_is(
    content: str,
    found: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO(content.encode()), isatty=lambda: False)
    monkeypatch.setattr(sys, "stdin", stdin)
    assert [one.text for one in sentences("-", None)] == found
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == bool(said)
    # A file whose name says nothing is no other thing; one that says what it is, is that.
    file = tmp_path / "data"
    file.write_text(content)
    assert [one.text for one in sentences(None, file)] == found
    plain = tmp_path / "data.txt"
    plain.write_text(content)
    assert [one.text for one in sentences(None, plain)] == content.splitlines()


def test_columns_are_named(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text,note,Réponse\nThe cat,a,Le chat\n")
    for names, expected in (
        (FieldNames("note"), ("a", None, None)),
        (FieldNames("note", "Réponse"), ("a", "Le chat", None)),
        (FieldNames("Réponse", pair="text"), ("Le chat", None, "The cat")),
        (FieldNames(target="Réponse"), ("The cat", "Le chat", None)),
        (FieldNames("note", "Réponse", "text"), ("a", "Le chat", "The cat")),
    ):
        (found,) = sentences(None, file, chosen=names)
        assert (found.text, found.target, found.pair) == expected
        assert not found.column
    with pytest.raises(UsageError, match="--field names a column of a file"):
        sentences("The cat", None, chosen=FieldNames("text"))


def test_columns_are_named_on_the_command_line(attn: Run, tmp_path: Path) -> None:
    file, model = str(tmp_path / "a.jsonl"), ("--model", "MODEL")
    Path(file).write_text('{"q": "The cat sat", "a, b": "A dog ran"}\n')
    pair = ("--file", file, "--field", "q", "--pair-field", "a, b", *model, "--json")
    given = json.loads(attn("inspect", "The cat sat", "--pair", "A dog ran", *model, "--json"))
    assert json.loads(attn("inspect", *pair))["maps"] == given["maps"]
    assert "so --pair cannot be used with it" in attn("inspect", *pair, "--pair", "It", code=2)
    target = ("--file", file, "--field", "q", "--target-field", "a, b")
    shown = json.loads(attn("inspect", *target, "--model", "toy", "--json"))
    assert shown["target"] == json.loads(attn("inspect", "The cat sat", "--target", "A dog ran", "--json"))["target"]
    assert "so it takes no target" in attn("inspect", *target, *model, code=3)


@pytest.mark.parametrize(
    ("name", "content", "field", "message"),
    [
        (
            "a.csv",
            "id,body\n1,The cat\n",
            None,
            "line 1 of .* does not say which column is the text.*there are: id, body",
        ),
        ("a.csv", "id,text\n1,The cat\n", "body", "no column 'body'. Name one of these: id, text"),
        ("a.csv", "id,text\n1,The cat, sat\n", None, "line 2 of .* has 3 columns, and the header has 2.*double quotes"),
        ("a.csv", "id,text\n1,\n", None, "There is no text in"),
        ("a.csv", "", None, "There is no text in"),
        ("a.csv", 'text\nThe cat\n"A dog\nA bird\n', None, "line 3 of .* is not CSV: a quote is opened and not closed"),
        ("a.csv", 'text\n"The "old" cat"\n', None, "line 2 of .* is not CSV: .*Check its quotes"),
        (
            "a.csv",
            "text,text\nThe cat,A dog\n",
            None,
            "line 1 of .* has two columns named 'text'. Give each column a different name",
        ),
        ("a.csv", "text,b,b\nThe cat,A dog,A bird\n", "b", "line 1 of .* has two columns named 'b'"),
        ("a.json", "{}", None, "a.json names no columns. Call the one that holds the texts: text"),
        ("a.json", "", None, "There is no text in"),
        ("a.json", "[]", None, "There is no text in"),
        ("a.jsonl", '{"text": null}\n', None, "There is no text in"),
        ("a.json", "[1]", None, "entry 1 of .* is neither a text nor an object"),
        ("a.json", '{"text": ["a"]}', None, "the text .text. must be a text, not a list"),
        (
            "a.jsonl",
            '{"text": "a"}\n{"text": 3}\n',
            None,
            "line 2 of .* the text .text. must be a text, not a number",
        ),
        ("a.jsonl", '{"text": "a"}\n{"body": "b"}\n', None, "line 2 of .* has no text .text."),
        ("a.jsonl", '{"text": "a"}\nThe cat\n', None, "line 2 of .* is not JSON: .*one JSON object on each line"),
        ("a.jsonl", "[" * 99999, None, "is not JSON: it is nested too deeply"),
        ("a.jsonl", '{"a": 1' + "0" * 9999 + "}\n", None, "is not JSON: it has a number with thousands of digits"),
        (
            "a.jsonl",
            '{"schema_version": 1, "tool": {}, "maps": []}',
            None,
            "is an attn record. Show it with attn view",
        ),
        ("a.tsv", "text\ttarget\nThe cat\t\n", None, "line 2 of .* has no target"),
        ("a.tsv", "The cat\tLe chat\n", "text", "line 1 of .* names no column 'text'. Begin the file with a header"),
        ("a.txt", "The cat\n", "text", "is plain text and has no columns"),
        ("a.txt", "\x1f\x8b", None, "is compressed, and holds no lines"),
        ("a.txt", "notes.txt".ljust(257, "\0") + "ustar", None, "is a tar archive, .*Unpack it, and name the folder"),
        ("a.txt", "PAR1", None, "is a Parquet file, and holds no lines of text. Let its name end in .parquet"),
    ],
)
def test_what_cannot_be_read(name: str, content: str, field: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=message):
        list(sentences(None, file, chosen=FieldNames(field)))


@given(st.lists(st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1)] * 2)))
def test_what_others_write_is_read_back(pairs: Sequence[tuple[str, str]]) -> None:
    """Pairs that Python's own writers of CSV and JSON have written are read unchanged."""
    pairs = [(text, target) for text, target in pairs if text.strip() and target.strip()]
    table = io.StringIO(newline="")
    csv.writer(table).writerows([("text", "target"), *pairs])
    lines = "".join(json.dumps({"text": text, "target": target}) + "\n" for text, target in pairs)
    whole = json.dumps([{"text": text, "target": target} for text, target in pairs])
    for content, format_ in ((table.getvalue(), "csv"), (lines, "jsonl"), (whole, "json")):
        split = [Sentence(line.rstrip("\r"), f"line {number}") for number, line in enumerate(content.split("\n"), 1)]
        found = [(one.text, one.target) for one in rows(iter(split), format_, "it") if one.text]  # type: ignore[arg-type]
        assert found == pairs


def test_each_object_has_its_own_target_or_second_text(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    objects: list[dict[str, str | None]] = [
        {"text": "a"},
        {"text": "b", "target": "B"},
        {"text": "c", "translation": "C"},
        {"text": "d"},
        {"text": "e", "target": None},
        {"text": "f", "sentence2": "F"},
        {"sentence": "no", "text": "g", "target": "G", "context": "no"},
    ]
    expected: list[tuple[str, str | None, str | None]]
    expected = [("a", None, None), ("b", "B", None), ("c", "C", None), ("d", None, None), ("e", None, None)]
    expected += [("f", None, "F"), ("g", None, "no")]
    file.write_text("\n".join(map(json.dumps, objects)))
    assert [(one.text, one.target, one.pair) for one in sentences(None, file)] == expected
    # The column that was read before is read again, whatever else stands beside it.
    file.write_text("\n".join(map(json.dumps, [objects[0], objects[1], objects[3], objects[6]])))
    assert [(one.text, one.target) for one in sentences(None, file)][-1] == ("g", "G")
    # Where columns are named, no others are read.
    file.write_text("\n".join(map(json.dumps, objects)))
    assert not any(one.target or one.pair for one in sentences(None, file, chosen=FieldNames("text")))


def test_objects_are_read_as_they_come(tmp_path: Path) -> None:
    def lines() -> Iterator[Sentence]:
        yield Sentence('{"text": "a"}', "line 1")
        yield Sentence('{"text": "b", "target": "B"}', "line 2")
        raise AssertionError("too much is read")

    found = rows(lines(), "jsonl", "it")
    assert [next(found).target, next(found).target] == [None, "B"]


@pytest.mark.parametrize(
    ("name", "content", "chosen"),
    [
        ("p.tsv", "satz\tziel\nThe cat\tLe chat\n\nA dog\tUn chien\n", FieldNames("satz", "ziel")),
        ("p.tsv", "\u3000\ntext\ttarget\nThe cat\tLe chat\n\u3000\n", FieldNames()),
        ("p.tsv", "ziel\tsatz\tn\nLe chat\tThe cat\t1\n", FieldNames("satz")),
        ("p", "satz\tziel\nThe cat\tLe chat\n", FieldNames("satz")),
        ("p", "text\ttarget\nThe cat\tLe chat\n", FieldNames()),
        ("p.txt", "text\ttarget\n\nThe cat\n", FieldNames()),
    ],
)
def test_as_many_are_counted_as_are_read(name: str, content: str, chosen: FieldNames, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    for blanks in (False, True):
        read = list(sentences(None, file, chosen=chosen, blanks=blanks))
        assert count_lines(file, chosen, blanks=blanks) == len(read)


@pytest.mark.parametrize("content", ["text,target\na,b\n", '{"text": "a"}\n', '["a", "b"]\n'])
def test_what_is_read_in_another_way_than_by_lines_is_not_counted(content: str, tmp_path: Path) -> None:
    (tmp_path / "p").write_text(content)
    assert count_lines(tmp_path / "p") is None


def test_sentences_are_counted(tmp_path: Path) -> None:
    for name, count in (("p.tsv", 3), ("header.tsv", 2), ("three.TSV", 2), ("p.csv", None), ("p.jsonl", None)):
        (tmp_path / name).write_text(SAME[name])
        assert count_lines(tmp_path / name) == count


def test_an_encoder_reads_the_second_column_as_a_pair(attn: Run, tmp_path: Path) -> None:
    file = tmp_path / "pairs.tsv"
    file.write_text("The cat sat\tA dog ran\n")
    alone = json.loads(attn("inspect", "The cat sat", "--pair", "A dog ran", "--model", "MODEL", "--json"))
    for command in ("inspect", "find"):
        words = ["cat", "dog"] if command == "find" else []
        given = attn(command, "--file", str(file), *words, "--model", "MODEL", "--json")
        pair = ["The cat sat", "cat", "dog"] if command == "find" else ["The cat sat"]
        assert given == attn(command, *pair, "--pair", "A dog ran", "--model", "MODEL", "--json")
    assert json.loads(attn("inspect", "--file", str(file), "--model", "MODEL", "--json"))["maps"] == alone["maps"]
    assert "--pair cannot be used with it" in attn(
        "inspect", "--file", str(file), "--pair", "x", "--model", "MODEL", code=2
    )
    assert "--model" in (error := attn("translate", "--file", str(file), "--model", "MODEL", "--align", code=3))
    assert "--target" not in error


def test_pairs_are_no_translations(attn: Run, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"premise": "The cat sat", "hypothesis": "A dog ran"}\n')
    assert "has a second text beside the first" in attn("translate", "--file", str(file), code=3)
    assert "takes one text, not two" in (error := attn("inspect", "--file", str(file), code=3))
    assert "--pair" not in error
    document = json.loads(attn("diff", "--file", str(file), "--json", "--model", "MODEL"))
    assert (document["source"]["text"], document["other"]["source"]["text"]) == ("The cat sat", "A dog ran")
