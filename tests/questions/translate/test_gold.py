"""Word links that people have made, in the forms in which they are passed on: all say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from attn_cli.errors import InputError
from attn_cli.questions.translate.align import Aligned, Gold
from attn_cli.questions.translate.gold import GoldFile, parse_gold
from tests.conftest import Run

SENTENCES = ("0-0 1p2 2-1", "", "1-0 0p1")
"""Sentence by sentence; the second has no links."""
EXPECTED = [parse_gold(line) for line in SENTENCES]
ALIGNED = Aligned((), "", "input", 3, 3)

ZERO_BASED = {
    "pharaoh.txt": "0-0 1p2 2-1\n\n1-0 0p1\n",
    "question marks.txt": "0-0 1?2 2-1\r\n\r\n1-0 0?1\r\n",
    "scores.txt": "0-0:0.93 1P2:1e-3 2-1:1\n\n1-0:.5 0p1\n",
    "ids.txt": "1 0-0 1p2 2-1\n2\n3 1-0 0p1\n",
    "named ids.txt": "s-0001: 0-0 1p2 2-1\ns-0002:\ns-0003: 1-0 0p1\n",
    "tabs.txt": "0-0\t1p2\t2-1\n\n1-0\t0p1\n",
    "ids with tabs.txt": "1\t0-0 1p2 2-1\n2\t\n3\t1-0 0p1\n",
    "third.tsv": "a b c\td e f\t0-0 1p2 2-1\ng\th\t\ni j\tk l\t1-0 0p1\n",
    "fourth.tsv": "s1\ta b c\td e f\t0-0 1p2 2-1\ns2\tg\th\t\ns3\ti j\tk l\t1-0 0p1\n",
    "header.tsv": "alignment\tsource\ttarget\n0-0 1p2 2-1\ta b c\td e f\n\tg\th\n1-0 0p1\ti j\tk l\n",
    "ids.tsv": "1\t0-0 1p2 2-1\n2\t\n3\t1-0 0p1\n",
}
ONE_BASED = {
    "pharaoh.txt": "1-1 2p3 3-2\n\n2-1 1p2\n",
    "third.tsv": "a b c\td e f\t1-1 2p3 3-2\ng\th\t\ni j\tk l\t2-1 1p2\n",
}
NAACL = {
    "naacl.wa": "0001 1 1 S\n0001 2 3 P\n0001 3 2 S\n0003 2 1 S\n0003 1 2 P\n",
    "sure where nothing is said.wa": "1 1 1\n1 2 3 P\n1 3 2\n\n3 2 1\n3 1 2 P\n",
    "confidence.wa": "3 1 2 P 0.4\n3 2 1 S 1\n1 1 1 S 0.99\n1 2 3 P .2\n1 3 2 1e-1\n",
    "both marks.wa": "1 1 1 P\n1 1 1 S\n1 2 3 P\n1 3 2\n3 2 1 S\n3 1 2 P\n",
}


def gold(path: Path, *, one_based: bool = False) -> list[Gold]:
    file = GoldFile(path, 3, one_based=one_based)
    file.check_end(3)
    return [file(number, ALIGNED) for number in range(3)]


@pytest.mark.parametrize("name", ZERO_BASED)
def test_counted_from_zero(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / name
    path.write_text(ZERO_BASED[name], newline="")
    assert gold(path) == EXPECTED
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ONE_BASED)
def test_counted_from_one(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(ONE_BASED[name])
    assert gold(path, one_based=True) == EXPECTED
    (tmp_path / "zero.txt").write_text(ZERO_BASED["pharaoh.txt"])
    with pytest.raises(InputError, match=r"words are counted from 1\. Leave --one-based out"):
        gold(tmp_path / "zero.txt", one_based=True)
    with pytest.raises(InputError, match=r"2-3 links words beyond the 3 .*from 0.*or add --one-based"):
        gold(path)


@pytest.mark.parametrize("one_based", [False, True])
@pytest.mark.parametrize("name", NAACL)
def test_the_form_of_naacl(name: str, one_based: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / name
    path.write_text(NAACL[name])
    assert gold(path, one_based=one_based) == EXPECTED
    assert capsys.readouterr().err == ""


def test_words_without_a_link_and_sentences_that_are_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "naacl.wa"
    path.write_text("1 1 1 S\n1 0 2 S\n1 2 0 P\n")
    assert gold(path) == [parse_gold("0-0"), parse_gold(""), parse_gold("")]
    assert "left out 2 lines of" in capsys.readouterr().err
    path.write_text("1 1 1 S\n999999999 1 1 S\n")
    with pytest.raises(InputError, match=r"has links for sentence 999,999,999, but sentence 3 is the last there is"):
        gold(path)
    path.write_text("0 1 1 S\n")
    with pytest.raises(InputError, match=r"line 1 of .* is for sentence 0"):
        gold(path)
    path.write_text("1 1 4 S\n")
    with pytest.raises(InputError, match=r"sentence 1 of .*: 1-4 links words beyond the 3"):
        gold(path)


def test_who_counts_from_one_without_saying_so_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gold.txt"
    path.write_text("1-1\n1-2 2-1\n2-2\n")
    gold(path)
    assert "no link of" in (err := capsys.readouterr().err)
    assert "--one-based" in err
    path.write_text("1-1\n1-2 0-1\n2-2\n")
    gold(path)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0:0\n1:1\n2:2\n", "line 1 of .*'0:0' is not a link"),
        ("1:1 0-0\n1:1 0-0\n1:1 0-0\n", "'1:1' is not a link"),
        ("0–0\n0–0\n0–0\n", "is not a link"),
        ("0-0\n1 1\n0-0\n", "line 2 of .*'1' is not a link"),
        ("1 1 1 S\n1 2 2 X\n", "is not a link"),
        ("a\tb\n", "is not a link"),
    ],
)
def test_what_is_no_gold(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "gold.txt"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        gold(path)


def test_the_same_error_rate_whatever_the_form(attn: Run, tmp_path: Path) -> None:
    pairs = "The cat sat\tLe chat dort\nA dog ran\tUn chien court\nThe mat\tLe tapis\n"
    links = [["0-0", "1-1", "2p2"], ["0-0", "1-1", "2-2"], ["0-0", "1-1"]]
    plain, table = tmp_path / "gold.txt", tmp_path / "all.tsv"
    (tmp_path / "pairs.tsv").write_text(pairs)
    plain.write_text("".join(" ".join(each) + "\n" for each in links))
    table.write_text(
        "".join(
            f"s{n}\t{pair}\t{' '.join(each)}\n"
            for n, (pair, each) in enumerate(zip(pairs.splitlines(), links, strict=True))
        )
    )
    one = tmp_path / "one.txt"
    one.write_text("1-1 2-2 3p3\n1-1 2-2 3-3\n1-1 2-2\n")
    naacl = tmp_path / "gold.wa"
    naacl.write_text("1 1 1\n1 2 2 S\n1 3 3 P\n2 1 1\n2 2 2\n2 3 3\n3 1 1\n3 2 2\n")
    ask = ("translate", "--align", "--file", str(tmp_path / "pairs.tsv"), "--gold")
    printed = attn(*ask, str(plain))
    assert "alignment error rate" in printed
    assert attn(*ask, str(one), "--one-based") == printed
    assert attn(*ask, str(naacl)) == printed
    assert attn("translate", "--align", "--file", str(table), "--gold", str(table)) == printed
    assert "Add --align" in attn("translate", "a", "--gold", str(plain), code=2)
    assert "Name a file with --gold" in attn("translate", "a", "--align", "--one-based", code=2)


def test_gold_as_people_write_it() -> None:
    gold = parse_gold(" 0-0  4p3 2-1\t4?5 ")
    assert gold.sure == {(0, 0), (2, 1)}
    assert gold.possible == {(0, 0), (2, 1), (4, 3), (4, 5)}
    assert parse_gold("") == Gold(frozenset(), frozenset())


@pytest.mark.parametrize("text", ["0", "0-", "-1-2", "1-2-3", "a-b", "0–1", "0:1", "٣-٣"])
def test_what_is_no_link(text: str) -> None:
    with pytest.raises(InputError, match="is not a link"):
        parse_gold(f"0-0 {text}")


def test_a_header_is_known_by_the_names_that_are_chosen(attn: Run, tmp_path: Path) -> None:
    pairs, links = tmp_path / "p.tsv", tmp_path / "gold.txt"
    pairs.write_text("satz\tziel\tlinks\nThe cat sat.\tLe chat.\t0-0 1-1\n")
    links.write_text("0-0 1-1\n")
    for gold_file in (links, pairs):
        named = ["--file", str(pairs), "--field", "satz", "--target-field", "ziel", "--align", "--gold", str(gold_file)]
        assert "1 sentence; 2 links found, 2 sure in gold" in attn("translate", *named)
