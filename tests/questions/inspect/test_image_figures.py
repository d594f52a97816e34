"""Figures of images: what is drawn is what JSON holds, and the same from a record."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import attn_cli
from attn_cli.api import Inspector
from attn_cli.data.selection import Selection
from attn_cli.data.shapes import Float
from attn_cli.draw.figure_style import FigureStyle
from attn_cli.questions.inspect.measure import Inspection, look
from tests.conftest import Run
from tests.models.vision import COLUMNS, ROWS
from tests.readme import ROOT
from tests.samples import image_record

PATCHES = ROWS, COLUMNS


@pytest.fixture(scope="module")
def model(vit: str) -> Inspector:
    return attn_cli.load(vit)


def weights(answer: Inspection) -> dict[tuple[int, int], Float[np.ndarray, "query key"]]:
    return {(one["layer"], one["head"]): np.array(one["weights"], np.float32) for one in answer.to_dict()["maps"]}


def test_one_patch_in_one_head(model: Inspector, photo: str) -> None:
    answer = model.inspect(image=photo, head="1.2", query="r2c3")
    picture = answer.picture()
    (row,) = weights(answer)[1, 2]
    assert np.array_equal(picture.values, row[1:].reshape(PATCHES))
    assert picture.quantity == "weight of r2c3 (share of its row)"
    assert picture.image is not None
    assert picture.image.marks == ((2, 3),)
    assert picture.image.beside == (("[CLS]", row[0]),)
    assert picture.image.pixels is not None


def test_a_head_and_the_mean_of_heads_are_those_of_cls(model: Inspector, photo: str) -> None:
    head = model.inspect(image=photo, head="0.1")
    assert np.array_equal(head.picture().values, weights(head)[0, 1][0, 1:].reshape(PATCHES))
    assert head.picture().quantity == "weight of [CLS] (share of its row)"
    telling = model.inspect(image=photo)
    assert telling.figures.chosen is not None
    chosen = telling.figures.chosen
    assert np.array_equal(telling.picture().values, weights(telling)[chosen.layer, chosen.head][0, 1:].reshape(PATCHES))
    layer = model.inspect(image=photo, layer=1)
    mean = np.mean([map_[0, 1:] for map_ in weights(layer).values()], axis=0)
    assert layer.picture().values == pytest.approx(mean.reshape(PATCHES), abs=1e-7)


@pytest.mark.parametrize(
    ("choice", "query", "quantity"),
    [
        ({"view": "grid"}, 0, "weight of [CLS] (share of its row)"),
        ({"view": "grid", "query": "r1c4"}, 0, "weight of r1c4 (share of its row)"),
        ({"query": "r1c4"}, 0, "weight of r1c4 (share of its row)"),
    ],
)
def test_every_head_has_a_small_picture(
    choice: dict[str, str], query: int, quantity: str, model: Inspector, photo: str
) -> None:
    answer = model.inspect(image=photo, **choice)  # type: ignore[arg-type]
    picture = answer.picture()
    assert picture.tile == PATCHES
    assert (picture.sides, picture.quantity) == (("layers", "heads"), quantity)
    for (layer, head), map_ in weights(answer).items():
        part = picture.values[ROWS * layer : ROWS * (layer + 1), COLUMNS * head : COLUMNS * (head + 1)]
        assert np.array_equal(part, map_[query, 1:].reshape(PATCHES))


def test_several_patches_lie_beside_or_below_one_another(model: Inspector, photo: str) -> None:
    one = model.inspect(image=photo, head="1.0", query="r0c0,r2c4").picture()
    assert (one.tile, list(one.columns.texts), one.sides) == (PATCHES, ["r0c0", "r2c4"], ("", "queries"))
    assert one.image is not None
    assert one.image.marks == ((0, 0), (2, 4))
    every = model.inspect(image=photo, query="r0c0,r2c4").picture()
    assert list(every.rows.texts) == ["r0c0 0", "r0c0 1", "r2c4 0", "r2c4 1"]
    assert every.values[3 * ROWS :, :COLUMNS] == pytest.approx(one.values[:, COLUMNS:], abs=1e-6)
    layers = model.inspect(image=photo, query="r2c4", measure="rollout").picture()
    assert (list(layers.columns.texts), layers.sides) == (["0", "1"], ("", "layers"))


def test_the_whole_map_is_from_patch_to_patch(model: Inspector, photo: str) -> None:
    answer = model.inspect(image=photo, head="1.2", view="map")
    assert np.array_equal(answer.picture().values, weights(answer)[1, 2])
    assert answer.picture().image is None


@pytest.mark.parametrize(
    ("name", "choice", "size"),
    [
        ("figure-image", {"head": "3.2", "query": "r9c9"}, "double"),
        ("figure-heads", {"view": "grid", "query": "r9c9"}, "single"),
    ],
)
def test_the_documentation_shows_it(name: str, choice: dict[str, str], size: str) -> None:
    """With `ATTN_WRITE_GOLDEN=1` the picture is drawn anew."""
    file = ROOT / "docs" / f"{name}.svg"
    if os.environ.get("ATTN_WRITE_GOLDEN") == "1":
        answer = look(image_record(14, 14, layers=4, heads=6), Selection(**choice), keep=True)  # type: ignore[arg-type]
        answer.save(file, force=True, figure=FigureStyle(size=size))
    assert file.stat().st_size > 10_000


def test_a_record_has_the_same_figure(vit: str, photo: str, attn: Run, tmp_path: Path) -> None:
    record, ours, theirs = tmp_path / "record.json", tmp_path / "a.svg", tmp_path / "b.svg"
    attn("inspect", "--image", photo, "--model", vit, "--save", str(record))
    chosen = ["--query", "r1c1", "--head", "0.2", "--figure", "--size", "8cm"]
    attn("inspect", "--image", photo, "--model", vit, *chosen, "--save", str(ours))
    attn("view", str(record), *chosen, "--save", str(theirs))
    assert ours.read_bytes() == theirs.read_bytes()
    attn("view", str(record), "--query", "r1c1", "--head", "0.2", "--save", str(tmp_path / "a.tex"))
    assert r"row & \multicolumn{5}{c}{column}" in (tmp_path / "a.tex").read_text()
    error = attn("view", str(record), "--query", "r1c1", "--save", str(tmp_path / "b.tex"), code=2)
    assert "and this is a grid of pictures. Save it as .pdf, or name one head with --head" in error
