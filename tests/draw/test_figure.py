"""Figures for a paper: what is drawn is what JSON holds, in the width asked for, the same bytes each time."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

import attn_cli
from attn_cli.answer import Answer
from attn_cli.api import Inspector
from attn_cli.data.shapes import Float
from attn_cli.draw.colors import CHANGES, SHARES, Scale
from attn_cli.draw.figure import write_figure
from attn_cli.draw.figure_style import FigureStyle
from attn_cli.draw.labels import Labels
from attn_cli.draw.latex import escaped
from attn_cli.draw.map_view import MapView
from attn_cli.draw.picture import picture_of_grid, picture_of_heads, picture_of_map, picture_of_rows
from tests.conftest import Run
from tests.questions.samples import ANSWERS

BIG = "The trophy didn't fit in the suitcase because it was too big"
SMALL = BIG.replace("big", "small")


@pytest.fixture(scope="module")
def toy() -> Inspector:
    return attn_cli.load("toy")


def weights(answer: Answer) -> dict[tuple[int, int], Float[np.ndarray, "query key"]]:
    """The maps of an answer's document; those of the toys' words are those of its tokens."""
    return {(one["layer"], one["head"]): np.array(one["weights"], np.float32) for one in answer.to_dict()["maps"]}


def drawn(figure: Figure) -> Float[np.ndarray, "row column"]:
    """The numbers in the cells of a figure."""
    mesh: Any = figure.axes[0].collections[0]
    return np.ma.filled(mesh.get_array(), np.nan).astype(np.float32)


def texts_of(figure: Figure) -> list[Text]:
    found: list[Any] = figure.findobj(Text)
    return [text for text in found if text.get_text() and text.get_visible()]


def written(figure: Figure) -> list[str]:
    return [text.get_text() for text in texts_of(figure)]


def test_a_map_is_that_of_the_document(toy: Inspector) -> None:
    answer = toy.inspect(BIG, head="2.0", unit="token")
    picture, figure = answer.picture(), answer.figure()
    assert np.array_equal(picture.values, weights(answer)[2, 0])
    assert np.array_equal(drawn(figure), picture.values)
    pieces = [token["piece"] for token in answer.to_dict()["source"]["tokens"]]
    assert list(picture.rows.texts) == list(picture.columns.texts) == pieces
    texts = written(figure)
    assert texts[: 2 * len(pieces)] == pieces * 2
    assert {"queries", "keys", "weight (share of its row)", "0.25"} <= set(texts)
    assert {text.get_text() for text in texts_of(figure) if text.get_color() == "#8a8a8a"} == {"</s>"}


def test_a_grid_holds_every_map(toy: Inspector) -> None:
    answer = toy.inspect(BIG, view="grid", unit="token")
    picture, maps = answer.picture(), weights(answer)
    down, across = picture.tile
    for (layer, head), map_ in maps.items():
        part = picture.values[layer * down : (layer + 1) * down, head * across : (head + 1) * across]
        assert np.array_equal(part, map_)
    cells = drawn(answer.figure(FigureStyle(size="double")))
    assert np.array_equal(cells[~np.isnan(cells).all(axis=1)][:, ~np.isnan(cells).all(axis=0)], picture.values)


def test_a_grid_of_a_long_text_is_not_pooled(toy: Inspector) -> None:
    answer = toy.inspect("the cat sat on the mat " * 50, view="grid", layer=1, head="0-1", unit="token")
    picture = answer.picture()
    assert picture.tile == (301, 301)
    assert np.array_equal(picture.values, np.concatenate(list(weights(answer).values()), axis=1))


def test_rows_of_a_word_in_every_head(toy: Inspector) -> None:
    answer = toy.inspect(BIG, query="it", unit="token")
    picture = answer.picture()
    assert np.array_equal(picture.values, [rows[0] for rows in weights(answer).values()])
    assert picture.rows.texts[8] == "1.0"
    assert picture.sides == ("▁it in each head", "keys")
    layers = toy.inspect(BIG, query="it", measure="rollout").picture()
    assert (layers.rows.texts, layers.sides[0]) == (["0", "1", "2"], "it in each layer")


def test_a_difference_is_one_map_less_the_other(toy: Inspector) -> None:
    answer = toy.diff(BIG, SMALL, unit="token")
    most = answer.heads[0]
    one, other = (
        weights(toy.inspect(text, layer=most.layer, unit="token"))[most.layer, most.head] for text in (BIG, SMALL)
    )
    assert answer.picture().values == pytest.approx(other - one, abs=1e-6)
    assert "change of the weight (B − A)" in written(answer.figure())


def test_values_of_heads(toy: Inspector) -> None:
    answer = toy.find(BIG, "it", "trophy")
    values = answer.picture().values
    assert {(link.layer, link.head): pytest.approx(link.weight) for link in answer.links} == {
        (layer, head): values[layer, head] for layer in range(3) for head in range(8)
    }
    row = toy.explain(BIG, "it", layer=2, head=0)
    assert row.picture().values[0] == pytest.approx([cells[-3] for cells in row.rows()], abs=1e-6)


@pytest.mark.parametrize("name", [*(name for name in ANSWERS if "-" not in name), "diff-cross", "explain-cross"])
def test_every_picture_lies_within_its_figure(name: str) -> None:
    figure = ANSWERS[name].figure(FigureStyle(title="What is " + "long " * 30))
    assert figure.get_figwidth() == pytest.approx(240 / 72)
    inside(figure)


def inside(figure: Figure) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = figure.bbox.size
    for text in texts_of(figure):
        box = text.get_window_extent(canvas.get_renderer())
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= -1, text


def test_an_answer_without_a_picture_says_so() -> None:
    with pytest.raises(attn_cli.UsageError, match="The answer of attn terms has no figure"):
        attn_cli.terms("head").picture()


def view(rows: int, columns: int, label: Callable[[int], str]) -> MapView:
    values = np.random.default_rng(0).dirichlet(np.ones(columns), rows).astype(np.float32)
    return MapView(values, Labels([label(row) for row in range(rows)]), Labels([label(one) for one in range(columns)]))


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 40), (70, 70), (160, 160)])
def test_any_shape_is_legible(rows: int, columns: int) -> None:
    picture = picture_of_map(view(rows, columns, lambda place: f"word{place}" * 3), "weight")
    from attn_cli.draw.figure import make_figure

    figure = make_figure(picture, FigureStyle())
    inside(figure)
    assert min(float(text.get_fontsize()) for text in texts_of(figure)) >= 4.5
    texts = set(written(figure))
    assert ("word0" * 3 in texts) == (columns < 70)
    assert ("50" in texts) == (columns >= 70)


@pytest.mark.parametrize(("size", "font_size"), [("1in", 7), ("2in", 15), ("6in", 20)])
@pytest.mark.parametrize("columns", [2, 30])
def test_any_size_is_legible_or_refused(size: str, font_size: float, columns: int) -> None:
    from attn_cli.draw.figure import make_figure

    picture = picture_of_map(view(columns, columns, str), "weight (share of its row)")
    inside(make_figure(picture, FigureStyle(size=size, font_size=font_size, title=" A\ntitle ")))
    with pytest.raises(
        attn_cli.UsageError, match="Beside text of 40 points, a figure of 1in has no room for its cells"
    ):
        make_figure(picture, FigureStyle(size="1in", font_size=40))


def test_a_name_longer_than_the_colour_bar_is_whole() -> None:
    from attn_cli.draw.figure import make_figure

    places = [(layer, head) for layer in range(6) for head in range(12)]
    grid = picture_of_grid({place: np.eye(4, dtype=np.float32) for place in places}, "score (before the softmax)")
    figure = make_figure(grid, FigureStyle())
    assert "score (before the softmax)" in written(figure)
    inside(figure)


def test_a_scale_that_some_changes_go_beyond_is_open_at_both_ends() -> None:
    from attn_cli.draw.figure import make_figure

    changes = picture_of_heads({(0, 0): 0.01, (0, 1): -0.6}, CHANGES, "change")
    clipped = Scale.weights(0.05, clipped=True)
    for scale, ends in (
        (clipped.both_ways(), {"≤ −0.05", "≥ +0.05"}),
        (replace(clipped.both_ways(), clipped=False), {"−0.05", "+0.05"}),
        (clipped, {"0", "≥ 0.05"}),
    ):
        assert ends <= set(written(make_figure(replace(changes, scale=scale), FigureStyle())))


def test_of_more_heads_than_there_is_room_for_the_first_of_each_layer_is_named() -> None:
    from attn_cli.draw.figure import make_figure

    rows = {(layer, head): np.ones((2, 2), np.float32) for layer in range(3) for head in range(12)}
    picture = picture_of_rows(rows, ["it", "too"], Labels(["a", "b"]), ("queries", "keys"), "weight")
    named = written(make_figure(picture, FigureStyle()))
    assert [name for name in named if name.split()[0] in ("it", "too")] == [
        f"{query} {layer}.0" for query in ("it", "too") for layer in range(3)
    ]
    assert "10" not in named


@pytest.mark.parametrize("suffix", [".pdf", ".png", ".svg"])
def test_bytes_are_the_same_and_say_what_they_are(suffix: str, toy: Inspector) -> None:
    picture = toy.inspect("The cat <b>&x $a^2$", head="2.0").picture()
    style = FigureStyle(size="9cm", title="On $x$", dpi=100 if suffix == ".png" else 300)
    first, _ = write_figure(picture, style, suffix, "attn inspect: x")
    assert write_figure(picture, style, suffix, "attn inspect: x") == (first, ())
    assert b"20" + b"26-" not in first
    if suffix == ".png":
        assert struct.unpack(">II", first[16:24])[0] == round(9 / 2.54 * 100)
    elif suffix == ".pdf":
        assert b"/FontFile2" in first
        assert b"/Type3" not in first
        assert b"/Title (attn inspect: x)" in first
        assert b"/Subtype /Image" not in first
    else:
        svg = first.decode()
        assert "<title>attn inspect: x</title>" in svg
        assert {"$", "&lt;", "a"} <= set(re.findall(r"<text [^>]*>([^<]*)</text>", svg))
        assert "<image" not in svg
        assert "<script" not in svg


def test_a_title_with_control_characters_is_xml(toy: Inspector) -> None:
    svg, _ = write_figure(toy.inspect("x").picture(), FigureStyle(), ".svg", "attn inspect: \x1b[31mx\n")
    assert "attn inspect: ␛[31mx␊" in (ET.fromstring(svg)[0].text or "")  # noqa: S314 (our own)


def test_what_no_font_has_is_said(toy: Inspector) -> None:
    picture = picture_of_map(view(2, 2, lambda _: "a\U0001f9ff\u0378"), "weight")
    _, notes = write_figure(picture, FigureStyle(), ".svg", "x")
    assert [note.partition(",")[0].startswith("No installed font has ") for note in notes] == [True]


def test_a_ground_may_be_left_out() -> None:
    picture = picture_of_heads({(0, 0): 0.5, (1, 0): 0.2}, SHARES, "focus")
    white, clear = (
        write_figure(picture, FigureStyle(transparent=clear), ".svg", "x")[0].decode() for clear in (False, True)
    )
    assert "fill: #ffffff" in white
    assert "fill: #ffffff" not in clear


def test_the_command_and_python_write_the_same(toy: Inspector, attn: Run, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "a.svg", tmp_path / "b.svg"
    toy.inspect(BIG, head="2.0").save(ours, figure=FigureStyle(size="double", title="T"))
    attn("inspect", BIG, "--head", "2.0", "--save", str(theirs), "--figure", "--size", "double", "--title", "T")
    assert ours.read_bytes() == theirs.read_bytes()
    toy.inspect(BIG, head="2.0").save(tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--figure"], 2, "--figure is for a figure that is saved. Name a file with --save"),
        (["--size", "single"], 2, "--size is for a figure that is saved"),
        (["--size", "single", "--save", "a.svg"], 2, "--size is for a figure, and a.svg would be none. Add --figure"),
        (["--figure", "--save", "a.json"], 6, "a.json cannot hold a figure. Use a name that ends in .pdf, .png, .svg"),
        (["--figure", "--save", "a.doc"], 6, "a.doc: unknown format. Use .pdf, .png, .svg or .tex"),
        (["--save", "a.pdf", "--size", "9"], 2, "'9' is not a width. Use single or double, or a length such as 8.4cm"),
        (["--save", "a.pdf", "--size", "9mm"], 2, "--size must be between 1 and 40 inches, and 9mm is not"),
        (["--save", "a.pdf", "--font-size", "99"], 2, "--font-size must be between 4 and 40"),
        (["--save", "a.pdf", "--dpi", "9"], 2, "--dpi must be between 50 and 2,400"),
        (["--save", "a.png", "--dpi", "600", "--size", "40in"], 2, "A .png is at most 20,000 dots wide, and 40in with"),
        (["--save", "a.pdf", "--dpi", "100"], 2, "--dpi says nothing about a.pdf. Leave it out, or use a name"),
        (["--save", "a.tex", "--size", "double"], 2, "--size says nothing about a.tex"),
        (["--save", "a.pdf", "--font", "Nope"], 2, "No font 'Nope' is installed"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_a_model_is_loaded(
    options: list[str], code: int, message: str, attn: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in attn("inspect", "a cat", "--model", "no/such/model", *options, code=code)


def test_several_texts_have_no_figure(attn: Run, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("A cat.\nA dog.\n")
    error = attn("inspect", "--file", str(tmp_path / "in.txt"), "--save", str(tmp_path / "a.pdf"), code=6)
    assert "can hold only one sentence, and there are more. Give one sentence." in error
    assert "would hold a figure, but there is none to save" in attn("terms", "head", "--save", "a.pdf", code=6)


@pytest.mark.parametrize(("package", "name"), [("matplotlib", "a.png"), ("pyarrow", "a.parquet")])
def test_a_missing_extra_is_one_line(package: str, name: str, attn: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from attn_cli.answer import formats

    monkeypatch.setattr(formats, "find_spec", lambda _: None)
    extra = {"matplotlib": "figures", "pyarrow": "parquet"}[package]
    error = attn("inspect", "a cat", "--model", "no/such/model", "--save", name, code=6)
    assert (
        error == f"attn: {name} needs {package} to be written. Run `pip install 'attn-cli[{extra}]'`, then try again.\n"
    )


SPECIAL = r'[CLS] 50% & a_b #1 {x} $y$ ~ ^ \z <a> | "q" `c` -- été'


def test_latex_is_escaped() -> None:
    assert escaped(SPECIAL) == (
        r"[CLS] 50\% \& a\_b \#1 \{x\} \$y\$ \textasciitilde{} \textasciicircum{} \textbackslash{}z"
        r" \textless{}a\textgreater{} \textbar{} \char34{}q\char34{} \textasciigrave{}c\textasciigrave{} {-}{-} été"
    )


def test_a_table_of_latex(toy: Inspector, tmp_path: Path) -> None:
    file = tmp_path / "figure.tex"
    answer = toy.inspect(SPECIAL, head="2.0")
    answer.save(file, figure=FigureStyle(title=" A\n& B "))
    text = file.read_text()
    picture = answer.picture()
    body = text.partition(r"\begin{tabular}")[2].partition(r"\end{tabular}")[0].splitlines()[3:]
    cells = [re.findall(r"\\attncell\{\d+\}\{([\d.]+)\}", line) for line in body]
    assert [[float(cell) for cell in row] for row in cells] == pytest.approx(np.round(picture.values, 2), abs=0.006)
    assert len(body) == len(picture.rows)
    assert r"\textbf{A \& B}" in text
    assert "pdfLaTeX does not know" not in text
    assert text.splitlines()[1] == r"% In the preamble: \usepackage{colortbl,graphicx}"
    toy.inspect("« a »", head="2.0").save(tmp_path / "quoted.tex")
    assert (tmp_path / "quoted.tex").read_text().splitlines()[1].endswith(r", and \usepackage[T1]{fontenc}")
    toy.inspect("猫", head="2.0").save(tmp_path / "cat.tex")
    assert "% pdfLaTeX does not know 猫: run LuaLaTeX or XeLaTeX" in (tmp_path / "cat.tex").read_text()
    with pytest.raises(attn_cli.UsageError, match="and this is a grid of maps"):
        toy.inspect("a cat", view="grid").save(tmp_path / "grid.tex")
    if shutil.which("pdflatex"):
        answer.save(tmp_path / "figure.pdf", figure=True)
        paper = tmp_path / "paper.tex"
        paper.write_text(
            "\\documentclass[twocolumn]{article}\\usepackage{colortbl,graphicx}\\begin{document}\n"
            "\\begin{figure}\\input{figure.tex}\\end{figure}\n"
            "\\begin{figure}\\includegraphics[width=\\columnwidth]{figure.pdf}\\end{figure}x\\end{document}\n"
        )
        run = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", paper.name]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, check=False, text=True)
        assert done.returncode == 0, done.stdout[-2000:]


def test_nothing_of_a_users_settings_is_taken(toy: Inspector, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    picture = toy.inspect("a cat", head="2.0").picture()
    usual = write_figure(picture, FigureStyle(), ".svg", "x")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert write_figure(picture, FigureStyle(), ".svg", "x") == usual
