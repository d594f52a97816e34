"""Treebanks: words with their places in the text, and what is wrong with a file that is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from attn_cli.errors import InputError
from attn_cli.models import Input, load
from attn_cli.questions.heads.treebank import Relation, Tree, TreeSource, read_trees

GOOD = """\
# sent_id = 1
# text = She didn't read "it".
1\tShe\tshe\tPRON\tPRP\t_\t4\tnsubj:outer\t_\t_
2-3\tdidn't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdid\tdo\tAUX\tVBD\t_\t4\taux\t_\t_
3\tn't\tnot\tPART\tRB\t_\t4\tadvmod\t_\t_
4\tread\tread\tVERB\tVB\t_\t0\troot\t_\t_
5\t"\t"\tPUNCT\t``\t_\t6\tpunct\t_\tSpaceAfter=No
6\tit\tit\tPRON\tPRP\t_\t4\tobj\t_\tSpaceAfter=No
6.1\tunsaid\t_\tVERB\t_\t_\t_\t_\t4:conj\t_
7\t"\t"\tPUNCT\t''\t_\t6\tpunct\t_\tSpaceAfter=No
8\t.\t.\tPUNCT\t.\t_\t4\tpunct\t_\t_

1-2\tau\t_\t_\t_\t_\t_\t_\t_\t_
1\tà\tà\tADP\t_\t_\t3\tcase\t_\t_
2\tle\tle\tDET\t_\t_\t3\tdet\t_\t_
3\tchat\tchat\tNOUN\t_\t_\t0\troot\t_\t_
"""


def usable(file: Path) -> Iterator[Tree]:
    """Yield the sentences of a treebank, and raise the error of one that cannot be used."""
    for tree in read_trees(file):
        if isinstance(tree, InputError):
            raise tree
        yield tree


def trees(text: str | bytes, folder: Path) -> list[Tree]:
    file = folder / "bank.conllu"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(usable(file))


def test_words_and_their_places(tmp_path: Path) -> None:
    first, second = trees(GOOD, tmp_path)
    assert first.text == 'She didn\'t read "it".'
    assert [first.text[start:end] for start, end in first.cells] == ["She", "did", "n't", "read", '"', "it", '"', "."]
    assert first.relations == (
        Relation(0, 3, "nsubj"),
        Relation(1, 3, "aux"),
        Relation(2, 3, "advmod"),
        Relation(5, 3, "obj"),
    )
    assert (first.punctuation, first.multiword, first.empty) == (3, 1, 1)
    # Words that are not spelled out in what is written share its place.
    assert (second.punctuation, second.multiword, second.empty) == (0, 1, 0)
    assert second.text == "au chat"
    assert second.cells == ((0, 2), (0, 2), (3, 7))
    assert second.where.startswith("sentence 2 of")
    assert "line 14" in second.where


def test_the_last_sentence_may_lack_its_blank_line_and_lines_may_end_as_on_windows(tmp_path: Path) -> None:
    assert trees(GOOD.rstrip("\n"), tmp_path) == trees(GOOD, tmp_path)
    assert trees("\ufeff" + GOOD + "\n\n# a comment alone\n\n", tmp_path) == trees(GOOD, tmp_path)
    assert [tree.text for tree in trees(GOOD.replace("\n", "\r\n"), tmp_path)] == ['She didn\'t read "it".', "au chat"]


def test_words_that_share_a_piece_are_one_unit(tmp_path: Path) -> None:
    first, second = trees(GOOD, tmp_path)
    toy = load("toy")
    source = TreeSource.of(toy.prepare(Input(first.text)), first)
    units = source.units()
    places = source.unit_of(units)
    assert [units.labels[place] for place in places if place is not None][3] == "read"
    assert len(set(places)) == len(units)
    shared = TreeSource.of(toy.prepare(Input(second.text)), second)
    assert shared.unit_of(shared.units())[:2] == [0, 0]


def test_words_past_the_end_of_a_text_that_was_cut(tmp_path: Path) -> None:
    rows = [
        f"{index}\tcat\tcat\tNOUN\t_\t_\t{index - 1}\t{'root' if index == 1 else 'dep'}\t_\t_"
        for index in range(1, 900)
    ]
    (tree,) = trees("\n".join(rows) + "\n", tmp_path)
    source = TreeSource.of(load("toy").prepare(Input(tree.text, truncate=True)), tree)
    places = source.unit_of(source.units())
    assert places[0] == 0
    assert places[-1] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "There are no sentences in"),
        ("# only a comment\n\n", "There are no sentences in"),
        ("a text and no treebank\n", "is not CoNLL-U"),
        ("1\tcat\tcat\tNOUN\n\n", "without a head and a relation"),
        ("1\tcat\tcat\tNOUN\t_\t_\t_\t_\t_\t_\n\n", "without a head and a relation"),
        ("1\tcat\tcat\tNOUN\t_\t_\t7\tnsubj\t_\t_\n\n", "has the head 7, which does not exist"),
        ("1\tcat\tcat\tNOUN\t_\t_\tup\tnsubj\t_\t_\n\n", "sentence 1 of"),
        (b"1\tcaf\xe9\tcat\tNOUN\t_\t_\t0\troot\t_\t_\n\n", "line 1 of"),
        (GOOD + "\nbroken\n", "sentence 3 of"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as raised:
        trees(text, tmp_path)
    assert "\n" not in str(raised.value)


def test_sentences_that_cannot_be_used_are_handed_out(tmp_path: Path) -> None:
    file = tmp_path / "bank.conllu"
    headless = "1\tcat\tcat\tNOUN\t_\t_\t_\t_\t_\t_\n\n"
    file.write_text(f"{headless}{GOOD}\nbroken\n\n{headless}")
    found = [one.text if isinstance(one, Tree) else one.problem.split(" of ")[0] for one in read_trees(file)]
    assert found == ["sentence 1", 'She didn\'t read "it".', "au chat", "sentence 4", "sentence 5"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        list(read_trees(tmp_path / "none.conllu"))
    with pytest.raises(InputError, match="cannot be read"):
        list(read_trees(tmp_path))
