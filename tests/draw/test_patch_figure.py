"""Figures of images: the weights of each patch in its place, over the picture."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from attn_cli.data.patches import pixels_of
from attn_cli.data.shapes import Float
from attn_cli.draw.figure import make_figure, write_figure
from attn_cli.draw.figure_style import FigureStyle
from attn_cli.draw.latex import to_latex
from attn_cli.draw.patches import PatchRow
from attn_cli.draw.picture import PaperPicture, picture_of_images, picture_of_patches
from tests.draw.test_figure import drawn, inside, written
from tests.samples import image_record

QUERY = (2, 1)
QUANTITY = "weight of r2c1 (share of its row)"


def row(head: int, rows: int = 3, columns: int = 5, layer: int = 0) -> Float[np.ndarray, "key"]:
    """Return the row of weights of the query's patch; [CLS] comes first."""
    weights: Float[np.ndarray, "key"] = (
        image_record(rows, columns).maps[layer].weights[head, 1 + QUERY[0] * columns + 1]
    )
    return weights


def patches(head: int = 1, layer: int = 0, *, pixels: bool = True) -> PatchRow:
    grid = image_record().source.grid
    assert grid is not None
    assert grid.thumbnail is not None
    weights = row(head, layer=layer)
    photo = pixels_of(grid.thumbnail) if pixels else None
    return PatchRow(weights[1:].reshape(3, 5), QUERY, [("[CLS]", float(weights[0]))], photo)


def one() -> PaperPicture:
    return picture_of_patches(patches(), QUANTITY)


def every() -> PaperPicture:
    tiles = [[patches(head, layer) for head in range(3)] for layer in range(2)]
    return picture_of_images(tiles, ["0", "1"], ["0", "1", "2"], ("layers", "heads"), QUANTITY)


def frames(figure: Figure, axes: int) -> list[list[tuple[float, float]]]:
    """Left, top, right and bottom of the frames around the patch that looks, as shares of their axes."""
    box: Any = figure.axes[axes]
    wide, high = box.get_xlim()[1], box.get_ylim()[0]
    found = [line for line in box.get_lines() if line.get_color() == "black"]
    return [
        [(min(x) / wide, max(x) / wide), (min(y) / high, max(y) / high)] for x, y in (line.get_data() for line in found)
    ]


def test_each_weight_is_in_the_place_of_its_patch() -> None:
    picture, figure = one(), make_figure(one(), FigureStyle())
    assert np.array_equal(drawn(figure), row(1)[1:].reshape(3, 5))
    texts = written(figure)
    assert {"row", "column", f"[CLS] {row(1)[0]:.2f}"} <= set(texts)
    assert any(text.startswith("weight of r2c1") for text in texts)
    mesh: Any = figure.axes[0].collections[0]
    shares = np.minimum(picture.values / picture.scale.high, 1) ** picture.scale.power
    assert np.allclose(mesh.get_alpha(), 0.88 * shares)
    assert [len(axes.images) for axes in figure.axes[:2]] == [1, 1]  # in grey below the weights, and as it is
    for axes in (0, 1):
        ((across, down),) = frames(figure, axes)
        assert across == pytest.approx((QUERY[1] / 5, (QUERY[1] + 1) / 5))
        assert down == pytest.approx((QUERY[0] / 3, (QUERY[0] + 1) / 3))
    grey: Any = figure.axes[0].images[0].get_array()
    photo: Any = figure.axes[1].images[0].get_array()
    lightness = np.asarray(photo) / 255 @ [0.299, 0.587, 0.114]
    assert np.abs(grey[..., 0] / 255 - (0.55 * lightness + 0.45)).max() < 0.01


def test_every_head_has_its_small_picture() -> None:
    figure = make_figure(every(), FigureStyle())
    cells = drawn(figure)
    assert np.array_equal(cells[~np.isnan(cells).all(axis=1)][:, ~np.isnan(cells).all(axis=0)], every().values)
    assert len(figure.axes[0].images) == len(frames(figure, 0)) == 6
    assert {"layers", "heads"} <= set(written(figure))


@pytest.mark.parametrize("size", ["1.5in", "single", "double"])
@pytest.mark.parametrize("picture", [one, every], ids=["one", "every"])
def test_an_image_keeps_its_proportions_within_its_figure(picture: Any, size: str) -> None:
    figure = make_figure(picture(), FigureStyle(size=size, title="A title"))
    inside(figure)
    box: Any = figure.axes[0]
    wide, high = box.get_xlim()[1], box.get_ylim()[0]
    gaps = (4, 2) if picture is every else (0, 0)
    across, down = (3, 2) if picture is every else (1, 1)
    assert (wide - gaps[0]) / across / 5 == pytest.approx((high - gaps[1]) / down / 3)


def test_many_layers_of_few_heads_keep_them_too() -> None:
    layers = list(map(str, range(24)))
    figure = make_figure(
        picture_of_images([[patches()]] * 24, layers, ["0"], ("layers", "heads"), QUANTITY), FigureStyle()
    )
    inside(figure)
    box: Any = figure.axes[0]
    assert (box.get_xlim()[1] / 5) == pytest.approx((box.get_ylim()[0] - 23 * 2) / 24 / 3)
    assert figure.get_figheight() < 2 * figure.get_figwidth()


@pytest.mark.parametrize("suffix", [".pdf", ".png", ".svg"])
def test_cells_are_vectors_and_bytes_the_same(suffix: str) -> None:
    first, notes = write_figure(one(), FigureStyle(), suffix, "x")
    assert (first, notes) == write_figure(one(), FigureStyle(), suffix, "x")
    assert notes == ()
    if suffix == ".pdf":
        assert first.count(b"/Subtype /Image") == 2
    if suffix == ".svg":
        assert first.count(b"<image") == 2
        assert len(re.findall(rb"fill-opacity: 0\.\d+", first)) == 15


def test_of_very_many_cells_the_image_shows_through_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attn_cli.draw.figure.MOST_VECTORS", 10)
    figure = make_figure(every(), FigureStyle())
    arrays: list[Any] = [layer.get_array() for layer in figure.axes[0].images]
    layers = [array for array in arrays if array.shape[-1] == 4]
    values, scale = every().values, every().scale
    assert [layer.shape for layer in layers] == [(3, 5, 4)] * 6
    shares = np.minimum(values[:3, :5] / scale.high, 1) ** scale.power
    assert np.abs(layers[0][..., 3] - 0.88 * shares).max() < 0.01


def test_without_the_image_there_are_the_weights() -> None:
    figure = make_figure(picture_of_patches(patches(pixels=False), QUANTITY), FigureStyle())
    assert [len(axes.images) for axes in figure.axes] == [0, 0]  # with that of the colour bar
    assert len(frames(figure, 0)) == 1
    inside(figure)


def test_what_has_no_place_in_the_image_is_in_whole_pairs_below_it() -> None:
    named = [(f"[REG{number}]", number / 10 - 0.1) for number in range(4)]
    figure = make_figure(picture_of_patches(replace(patches(), beside=named), QUANTITY), FigureStyle())
    inside(figure)
    below = [text for text in written(figure) if text.startswith("[")]
    assert below == ["[REG0] −0.10, [REG1] 0.00,", "[REG2] 0.10, [REG3] 0.20"]


def test_scores_have_colours_to_both_sides() -> None:
    scores = np.linspace(-3, 4, 15, dtype=np.float32).reshape(3, 5)
    shown = replace(patches(), values=scores, measure="score")
    figure = make_figure(picture_of_patches(shown, "score of r2c1 (before the softmax)"), FigureStyle())
    inside(figure)
    mesh: Any = figure.axes[0].collections[0]
    assert np.allclose(mesh.get_alpha(), 0.88 * (np.abs(scores) / 5) ** (2 / 3))


def test_a_table_of_latex_has_rows_and_columns_of_patches() -> None:
    lines = to_latex(one(), FigureStyle(), "x").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(r"row & \multicolumn{5}{c}{column}"))
    assert lines[start + 1].split(" & ") == ["", "{0}", "{1}", "{2}", "{3}", r"{4} \\"]
    cells = [re.findall(r"\\attncell\{\d+\}\{([\d.]+)\}", line) for line in lines[start + 2 : start + 5]]
    assert np.allclose([[float(cell) for cell in line] for line in cells], row(1)[1:].reshape(3, 5), atol=0.006)
    assert rf"\par\smallskip [CLS] {row(1)[0]:.2f}".replace("0.", ".") in lines
