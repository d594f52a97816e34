"""`attn inspect --image`: what it prints, saves and refuses."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import attn_cli
from attn_cli.draw.page import to_svg
from attn_cli.draw.screen import Screen
from attn_cli.questions.inspect.measure import Inspection
from tests.conftest import Run
from tests.golden_files import assert_golden
from tests.models.vision import COLUMNS, ROWS, pixels

PICTURE = Path(__file__).parents[3] / "docs" / "image.svg"
VIEWS = {
    "cls": [],
    "head": ["--head", "1.1"],
    "layer": ["--layer", "1"],
    "query": ["--query", "r1c2"],
    "grid": ["--grid"],
    "grid-query": ["--grid", "--query", "r1c2"],
    "map": ["--map", "--head", "0.1"],
    "rollout": ["--measure", "rollout"],
    "scores": ["--scores", "--head", "1.1"],
}


@pytest.mark.parametrize("width", ["60", "80"])
@pytest.mark.parametrize("view", VIEWS)
def test_screens(attn: Run, vit: str, photo: str, view: str, width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(vit).parent)
    shown = attn("inspect", "--image", photo, "--model", "vit", "--width", width, *VIEWS[view])
    assert_golden(f"image-{view}-{width}", shown)


def test_the_picture_of_the_page(vit: str, photo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(vit).parent)
    screen = Screen(width=80)
    answer = attn_cli.load("vit").inspect(image=photo, head="1.2")
    picture = to_svg(answer.draw(screen), screen)
    if os.environ.get("ATTN_WRITE_GOLDEN") == "1":
        PICTURE.write_text(picture, encoding="utf-8")
    assert PICTURE.read_text(encoding="utf-8") == picture


@pytest.fixture(scope="module")
def record(vit: str, photo: str) -> Inspection:
    return attn_cli.load(vit).inspect(image=photo)


def test_the_picture_shows_the_row(record: Inspection, vit: str, photo: str) -> None:
    """The rows that are drawn are those of the maps: [CLS]'s, a patch's, and without [CLS] the mean over patches."""
    assert record.patches is not None
    assert record.patches.queries == (0,)
    for map_ in record.maps:
        for head in map_.heads:
            np.testing.assert_allclose(record.patches.rows[map_.layer, head][0], map_.weights[head, 0])
    model = attn_cli.load(vit)
    chosen = model.inspect(image=photo, query="r1c2").patches
    mean = model.inspect(image=photo, special=False).patches
    assert chosen is not None
    assert mean is not None
    assert (chosen.queries, mean.queries) == ((1 + COLUMNS + 2,), ())
    for layer in range(2):
        weights = record.maps[layer].weights[2]
        np.testing.assert_allclose(chosen.rows[layer, 2][0], weights[1 + COLUMNS + 2], rtol=1e-5)
        without = weights[1:, 1:] / weights[1:, 1:].sum(-1, keepdims=True)
        np.testing.assert_allclose(mean.rows[layer, 2][0], without.mean(0), rtol=1e-5)


def test_distance_is_along_a_straight_line(record: Inspection) -> None:
    """The mean over patches of the mean distance, weighed by the weights on patches (Dosovitskiy et al. 2021)."""
    down, across = np.divmod(np.arange(ROWS * COLUMNS), COLUMNS)
    away = np.hypot(down[:, None] - down, across[:, None] - across)
    for head in record.heads:
        weights = record.maps[head.layer].weights[head.head, 1:, 1:]
        assert head.distance == pytest.approx(((weights * away).sum(1) / weights.sum(1)).mean(), rel=1e-5)
        assert head.previous is None


def test_a_table_has_rows_and_columns(record: Inspection, tmp_path: Path) -> None:
    record.save(tmp_path / "weights.csv")
    with (tmp_path / "weights.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * 16 * 16
    found = next(
        row
        for row in rows
        if (row["layer"], row["head"], row["query_text"], row["key_text"]) == ("1", "2", "r2c0", "r0c4")
    )
    assert [found[f"{side}_{part}"] for side in ("query", "key") for part in ("row", "column")] == ["2", "0", "0", "4"]
    assert float(found["weight"]) == pytest.approx(record.maps[1].weights[2, 1 + 2 * COLUMNS, 1 + 4])
    assert found["unit"] == "patch"
    assert {row["key_row"] for row in rows if row["key_text"] == "[CLS]"} == {""}


def test_a_record_is_shown_again(attn: Run, record: Inspection, vit: str, photo: str, tmp_path: Path) -> None:
    for suffix in (".json", ".npz"):
        path = str(tmp_path / f"record{suffix}")
        record.save(path)
        for view in (["--query", "r2c3"], ["--grid"], ["--grid", "--query", "r2c3"], ["--map"]):
            asked = attn("inspect", "--image", photo, "--model", vit, *view)
            assert attn("view", path, *view) == asked
    document = json.loads(attn("inspect", "--image", photo, "--model", vit, "--json"))
    assert document["units"]["distance"] == "patches"
    assert document["source"]["grid"]["name"] == "photo.png"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["The cat"], 2, "A text and --image are both given"),
        (["--pair", "a"], 2, "--pair cannot be used"),
        (["--target", "a"], 2, "--target cannot be used"),
        (["--split", "spaces"], 2, "--split cannot be used"),
        (["--file", "a.txt"], 2, "--file cannot be used"),
        (["--rows", "output"], 2, "--rows cannot be used"),
        (["--from-segment", "0"], 2, "--from-segment cannot be used"),
        (["--measure", "relevance"], 2, "--measure relevance cannot be used"),
        (["--map", "--grid"], 2, "--grid cannot be used with it"),
        (["--map", "--query", "r0c0"], 2, "--query cannot be used with it"),
        (["--query", "r9c9"], 4, "is not in the image"),
        (["--query", "cat"], 4, "is not in the image"),
        (["--kind", "decoder"], 4, "decoder"),
    ],
)
def test_what_an_image_has_not(attn: Run, vit: str, photo: str, options: list[str], code: int, said: str) -> None:
    error = attn("inspect", "--image", photo, "--model", vit, *options, code=code)
    assert said in error
    assert error.count("\n") == 1


def test_models_and_inputs_that_do_not_fit(attn: Run, vit: str, photo: str) -> None:
    assert "reads text, not images" in attn("inspect", "--image", photo, code=2)
    assert "reads text, not images" in attn("inspect", "--image", photo, "--model", "MODEL", code=3)
    assert "reads images, not text" in attn("inspect", "The cat", "--model", vit, code=3)
    assert "--map shows the map of an image" in attn("inspect", "The cat", "--map", code=2)


def test_files_that_are_no_images(attn: Run, vit: str, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    whole = tmp_path / "whole.png"
    Image.fromarray(pixels(300, 400)).save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:600])
    Image.new("L", (1, 101)).save(tmp_path / "narrow.png")
    (tmp_path / "empty").mkdir()
    for name, said in {
        "missing.png": "There is no file",
        "empty": "is a folder without an image",
        "text.png": "is not an image",
        "cut.png": "cannot be read",
        "narrow.png": "too narrow",
    }.items():
        error = attn("inspect", "--image", str(tmp_path / name), "--model", vit, code=3)
        assert said in error
        assert error.count("\n") == 1


def test_an_empty_name_is_not_the_folder_one_is_in(attn: Run, vit: str) -> None:
    """A shell makes it of a variable that is not set."""
    assert "--image is empty" in attn("inspect", "--image", "", "--model", vit, code=2)
