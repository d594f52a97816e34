from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_cli.data.model import ModelInfo, Stack
from attn_cli.data.record import Record
from attn_cli.data.selection import Selection
from attn_cli.data.stream import Kind
from attn_cli.data.text import Tokens, make_tokens
from attn_cli.draw.captions import model_line
from attn_cli.draw.labels import Labels
from attn_cli.draw.screen import Screen, to_text
from attn_cli.measure.summary import HeadSummary, Link
from attn_cli.questions.inspect.figures import QueryRow
from attn_cli.questions.inspect.tables import head_table, query_table
from tests.drawings import LABELS, NASTY, cells, longest, shown, summaries
from tests.samples import source_tokens, target_tokens, translation_record

PLAIN = Screen(color=False)


def row(**changes: object) -> HeadSummary:
    return replace(summaries()[0], **changes)  # type: ignore[arg-type]


def test_one_row_per_head() -> None:
    rows = [
        row(layer=2, head=5, focus=0.5, entropy=1.25, distance=3.0, first=0.04, itself=0.1, previous=0.996),
        row(layer=10, head=11, focus=0.0, links=()),
    ]
    screen = Screen(width=100, color=False)
    assert shown(head_table(rows, LABELS, LABELS, screen), screen) == [
        " head  focus              entropy  distance  first  itself  previous  strongest link",
        "  2.5  ━━━━━━       0.50     1.25      3.00   0.04    0.10      1.00  it → trophy 0.58",
        "10.11               0.00     2.64      1.00   0.00    0.00      0.02",
    ]


@pytest.mark.parametrize(
    ("width", "header", "missing"),
    [
        (160, "focus entropy distance first itself previous strongest links", ""),
        (80, "focus entropy dist. first itself prev. strongest link", ""),
        (60, "focus dist. first prev. strongest link", "Not shown for lack of width: entropy, itself."),
    ],
)
def test_columns_that_fit(width: int, header: str, missing: str) -> None:
    screen = Screen(width=width, color=False)
    lines = shown(head_table(summaries(), LABELS, LABELS, screen, caption=""), screen)
    assert lines[0].split() == ["head", *header.split()]
    assert longest(lines) <= width
    assert (lines[-1] == missing) if missing else ("Not shown" not in lines[-1])
    assert len([line for line in lines if re.match(r" ?\d\.\d ", line)]) == 15


def test_layers_stand_apart_only_in_their_order() -> None:
    def gaps(rows: list[HeadSummary]) -> int:
        return shown(head_table(rows, LABELS, LABELS, PLAIN), PLAIN).count("")

    assert gaps(summaries()) == 2
    assert gaps(sorted(summaries(), key=lambda row: -row.focus)) == 0
    assert gaps([summaries()[0], summaries()[5], summaries()[10]]) == 0
    assert shown(head_table(summaries(), LABELS, LABELS, PLAIN, apart=False), PLAIN).count("") == 0


def test_arrows_stand_below_each_other() -> None:
    labels = Labels(["it", "suitcases", "the"])
    rows = [row(head=i, links=(Link(query, key, 0.5),)) for i, (query, key) in enumerate([(0, 1), (1, 2), (2, 0)])]
    screen = Screen(width=100, color=False)
    lines = shown(head_table(rows, labels, labels, screen), screen)[1:]
    assert [line[-26:] for line in lines] == [
        "       it → suitcases 0.50",
        "suitcases → the       0.50",
        "      the → it        0.50",
    ]


def test_the_column_that_heads_are_sorted_by_stands_out() -> None:
    screen = Screen(color=True)
    for sort in ("focus", "entropy", "itself", "link"):
        first = to_text(head_table(summaries(), LABELS, LABELS, screen, sort=sort), screen).splitlines()[0]
        (bold,) = re.findall(r"\x1b\[1m([^\x1b]*)\x1b", first)
        assert bold.strip().startswith("strongest link" if sort == "link" else sort)
    assert "\x1b[1m" not in to_text(head_table(summaries(), LABELS, LABELS, screen), screen).splitlines()[0]


def test_cross_attention_has_no_positions() -> None:
    rows = [row(kind="cross", distance=None, itself=None, previous=None, focus=float("nan"))]
    lines = shown(head_table(rows, LABELS, LABELS, PLAIN), PLAIN)
    assert lines[0].split() == ["head", "focus", "entropy", "first", "strongest", "links"]
    assert lines[1].split()[1] == "–"


def test_captions() -> None:
    lines = shown(head_table(summaries()[:2], LABELS, LABELS, PLAIN, caption="2 of 15 heads; --all."), PLAIN)
    assert lines[-1] == "2 of 15 heads; --all."
    assert "" not in lines


def test_no_heads() -> None:
    assert shown(head_table([], LABELS, LABELS, PLAIN), PLAIN) == ["head  focus"]
    assert shown(query_table([], LABELS, LABELS, PLAIN), PLAIN) == [""]


def test_where_a_word_looks() -> None:
    labels = Labels(["it", "was", "it"], positions=[4, 5, 9])
    rows = [
        QueryRow(2, 5, 0, (Link(0, 1, 0.5), Link(0, 2, 0.04))),
        QueryRow(2, 11, 0, (Link(0, 0, 1.0),)),
        QueryRow(2, 5, 2, (Link(2, 1, 0.25),)),
    ]
    assert shown(query_table(rows, labels, labels, PLAIN, caption="End."), PLAIN) == [
        "it#1  query 4: its strongest keys by weight",
        "2.5   was  0.50 ━━━━━━━━━━            it#2 0.04 ━",
        "2.11  it#1 1.00 ━━━━━━━━━━━━━━━━━━━━",
        "",
        "it#2  query 9: its strongest keys by weight",
        "2.5   was  0.25 ━━━━━",
        "End.",
    ]


def test_scores_get_no_bars() -> None:
    rows = [QueryRow(0, 0, 9, (Link(9, 2, 12.5), Link(9, 1, -3.25)))]
    lines = shown(query_table(rows, LABELS, LABELS, PLAIN, measure="score"), PLAIN)
    assert lines[1] == "0.0  trophy 12.50  The    -3.25"


@pytest.mark.parametrize("width", [40, 60, 80, 160])
@pytest.mark.parametrize("count", [1, 3, 10])
def test_query_rows_are_never_cut(width: int, count: int) -> None:
    screen = Screen(width=width, color=False)
    rows = [QueryRow(0, 0, 9, tuple(Link(9, key, 0.01 * (key + 1)) for key in range(count)))]
    lines = shown(query_table(rows, LABELS, LABELS, screen), screen)
    assert longest(lines) <= width
    assert re.findall(r"0\.\d\d", "".join(lines)) == [f"{0.01 * (key + 1):.2f}" for key in range(count)]


def info(**changes: object) -> ModelInfo:
    stack = Stack(6, dict.fromkeys(range(6), 12), 12)
    return replace(ModelInfo("org/name", "bert", {"encoder": stack}, "interface"), **changes)  # type: ignore[arg-type]


def record(model: ModelInfo | None = None, tokens: Tokens | None = None) -> Record:
    return Record(model or info(), tokens or source_tokens(), None, ())


def test_model_line() -> None:
    wide = Screen(width=160, color=False)
    assert shown(model_line(record(), "encoder", wide), wide) == [
        (
            "org/name · bert encoder · 6 layers × 12 heads · 5 words, 11 tokens · float32"
            " · captured inside the model's attention"
        )
    ]


def test_model_line_of_a_translation() -> None:
    translation = translation_record()
    wide = Screen(width=200, color=False)
    reads: tuple[tuple[Kind, str], ...] = (
        ("cross", "marian cross-attention · 2 layers × 3 heads · source 5 words, 11 tokens · target 3 words, 6 tokens"),
        ("encoder", "marian encoder · 2 layers × 3 heads · 5 words, 11 tokens"),
        ("decoder", "marian decoder · 2 layers × 3 heads · 3 words, 6 tokens"),
    )
    for kind, read in reads:
        (line,) = shown(model_line(translation, kind, wide), wide)
        assert line.startswith(f"sample-translation · {read} · float32")


def test_model_line_of_averaged_heads() -> None:
    screen = Screen(width=160, color=False)
    one = replace(record(), selection=Selection(measure="rollout"))
    (line,) = shown(model_line(one, "encoder", screen), screen)
    assert line.startswith("org/name · bert encoder · 6 layers, heads averaged · 5 words")


def test_one_word_is_not_words() -> None:
    one = make_tokens("Yes", ["Yes"], [(0, 3)], [False])
    assert "· 1 word, 1 token ·" in " ".join(shown(model_line(record(tokens=one), "encoder", PLAIN), PLAIN))


def test_model_line_of_an_unusual_model() -> None:
    stack = Stack(7, {1: 8, 4: 6}, 2, without={0: "mamba"})
    model = info(stacks={"decoder": stack}, captured="hooks", device="cuda", dtype="bfloat16", name="\x1b[31m/a/b")
    screen = Screen(width=160, color=False, unicode=False)
    assert shown(model_line(record(model, target_tokens()), "decoder", screen), screen) == [
        (
            "?[31m/a/b, bert decoder, 2 of 7 layers x 6-8 heads, 2 key-value heads, 3 words, 6 tokens, "
            "bfloat16 on cuda, captured from its layers' outputs"
        )
    ]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_model_line_fits(width: int) -> None:
    screen = Screen(width=width, color=False)
    lines = shown(model_line(record(info(name="/a/path" * 20 + "/name")), "encoder", screen), screen)
    assert longest(lines) <= width
    assert lines[0].split(" ")[0].startswith("…")
    assert lines[0].split(" ")[0].endswith("/path/name")


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.one_of(st.text(max_size=20), st.sampled_from(NASTY)), min_size=2, max_size=9),
    width=st.integers(40, 170),
    color=st.booleans(),
    unicode=st.booleans(),
)
def test_weights_stay_aligned(texts: list[str], width: int, color: bool, unicode: bool) -> None:
    screen = Screen(width=width, color=color, unicode=unicode)
    labels = Labels(texts)
    last = len(texts) - 1
    rows = [row(head=query, links=(Link(query, last - query, 0.5),)) for query in range(len(texts))]
    lines = shown(head_table(rows, labels, labels, screen), screen)
    assert longest(lines) <= width
    assert len({cells(line) for line in lines[1 : 1 + len(texts)]}) == 1
    looks = [QueryRow(0, head, 0, (Link(0, head, 0.5), Link(0, last, 0.25))) for head in range(len(texts))]
    lines = shown(query_table(looks, labels, labels, screen), screen)
    assert longest(lines) <= width
    assert len({cells(line.split("0.50")[0]) for line in lines[1:]}) <= 1 + len(lines) // len(texts)
