"""Walks in an image: the row of a patch on the grid of patches, and what is asked of it."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import attn_cli
from attn_cli.api import Inspector
from attn_cli.cli.app import main
from attn_cli.data.selection import Selection
from attn_cli.draw.screen import Screen
from attn_cli.io.read import read_records
from attn_cli.models import Input, Model, load
from attn_cli.models.images import read_image
from attn_cli.questions.explore.app import Explorer
from attn_cli.questions.explore.panes import picture
from attn_cli.questions.explore.subject import Subject
from attn_cli.questions.explore.walk import Walk
from tests.golden_files import assert_golden
from tests.questions.explore.screens import screens, typed
from tests.samples import image_record

PLAIN = Screen(color=False)
DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def folder(vit: str, photo: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, a picture, and the picture upside down."""
    folder = tmp_path_factory.mktemp("image")
    shutil.copytree(vit, folder / "vit")
    shutil.copy(photo, folder / "photo.png")
    Image.open(photo).rotate(180).save(folder / "turned.png")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return load("vit").of_images()


@pytest.fixture
def walk(model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Walk:
    monkeypatch.chdir(folder)
    return Walk([Subject(model, Input("", image=read_image("photo.png")), file="photo.png")], Selection())


def query(walk: Walk) -> str:
    return walk.queries.texts[walk.spot.query]


def pane(walk: Walk) -> str:
    return walk.spot.pane


def asked(walk: Walk, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command that shows what the walk shows, and return what it prints as JSON."""
    assert main([*shlex.split(typed(walk.command))[1:], "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_screens(walk: Walk) -> None:
    start, moved, whole = screens(walk, ["tab up left", "tab"])
    assert_golden("explore-image-80", start)
    assert_golden("explore-image-moved-80", moved)
    assert_golden("explore-image", moved, DOCS)  # the picture of the page that tells of it
    assert_golden("explore-image-map-80", whole)


def test_larger_screens_have_the_picture_above_the_map(walk: Walk) -> None:
    start, beside = screens(walk, [f"d {'backspace ' * 9}t u r n e d full_stop p n g enter"], (120, 46))
    assert_golden("explore-image-120", start)
    assert_golden("explore-image-beside-120", beside)


@pytest.mark.parametrize(("rows", "whole"), [(14, True), (16, True), (24, False)])
def test_a_picture_has_a_line_for_each_row_of_patches_where_a_map_finds_room_below_it(rows: int, whole: bool) -> None:
    walk = Walk([Subject(record=image_record(rows, rows, 1, 2), file="image.npz")], Selection())
    drawn = picture(walk, Screen(width=120, height=40, part=True))
    region, below = drawn.regions["picture"], drawn.regions["map"]
    text = [line.plain for line in drawn.lines[region.y : region.y + region.height]]
    assert any("weight" in line for line in text)
    places = [drawn.at(region.x + 4, region.y + y) for y in range(region.height)]
    seen = {hit[1][0] for hit in places if hit is not None and hit[0] == "picture" and hit[1] is not None}
    assert (seen == set(range(rows))) is whole
    assert below.height >= 10


def test_the_small_pictures_are_those_of_the_command(walk: Walk, capsys: pytest.CaptureFixture[str]) -> None:
    command = walk.grid().command
    gallery = screens(walk, ["g"], look=PLAIN)[-1]
    assert main(shlex.split(typed(command))[1:]) == 0
    printed = [line for line in capsys.readouterr().out.splitlines() if "░" in line and "weight" not in line]
    assert printed
    assert all(line in gallery for line in printed)


def test_screens_without_colour(walk: Walk) -> None:
    (start,) = screens(walk, [], look=PLAIN)
    assert_golden("explore-image-80", start)
    assert not [line for line in screens(walk, [], look=Screen(color=False, unicode=False))[0] if not line.isascii()]


def test_arrows_move_among_the_patches(walk: Walk) -> None:
    walk.find("r1c1")
    walk.turn()
    assert pane(walk) == "picture"
    places = []
    for step in ((1, 0), (0, 1), (0, 9), (9, 0), (-9, 0), (0, -9)):
        walk.step(*step)
        places.append(query(walk))
    assert places == ["r2c1", "r2c2", "r2c4", "r2c4", "r0c4", "r0c0"]
    for step, name in (((-1, 0), "[CLS]"), ((-1, 0), "[CLS]"), ((1, 0), "r0c0")):
        walk.step(*step)
        assert query(walk) == name
    walk.turn()
    assert pane(walk) == "map"
    walk.turn()
    walk.step(0, 2, other=True)
    assert (walk.spot.pane, query(walk)) == ("heads", "r0c2")


def test_a_patch_is_clicked_and_its_value_is_said(walk: Walk) -> None:
    drawn = picture(walk, Screen(width=80, height=24, part=True))
    region = drawn.regions["picture"]
    row = walk.row[walk.keys.texts.index("r1c3")]
    found = next(
        (name, place)
        for y in range(region.y, region.y + region.height)
        for x in range(region.x, region.x + region.width)
        if (hit := drawn.at(x, y)) is not None
        for name, place in [hit]
        if name == "picture" and place == (1, 3)
    )
    assert walk.value(*found) == f"{query(walk)} > r1c3: {row:.3f}"
    walk.click(*found)
    assert (walk.spot.pane, query(walk)) == ("picture", "r1c3")


@pytest.mark.parametrize(("turns", "shown"), [(1, "picture"), (2, "map")])
def test_the_command_shows_the_same(walk: Walk, turns: int, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(turns):
        walk.turn()
    printed = asked(walk, capsys)
    (one,) = printed["maps"]
    values = walk.here.view.shown if shown == "map" else walk.row[None]
    assert np.allclose(np.asarray(one["weights"], np.float32), values)
    drawn = picture(walk, Screen(width=80, height=24, color=False, part=True))
    assert shown in drawn.panes


def test_cutting_a_head_is_what_transformers_computes_without_it(
    walk: Walk, model: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    walk.go_to(0, 1)
    shown = walk.cut()
    assert main([*shlex.split(typed(shown.command))[1:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == shown.answer.to_dict()["trials"]
    source = model.prepare(Input("", image=read_image("photo.png"))).run
    body, size = model.model, model.model.config.hidden_size // 3

    def zero(_: Any, given: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        values = given[0].clone()
        values[..., size : 2 * size] = 0
        return (values,)

    with torch.no_grad():
        before = body(**source.inputs).last_hidden_state[0]
        hook = body.layers[0].attention.o_proj.register_forward_pre_hook(zero)
        after = body(**source.inputs).last_hidden_state[0]
        hook.remove()
    turns = 1 - torch.nn.functional.cosine_similarity(before.double(), after.double(), dim=1).numpy()
    (trial,) = shown.answer.to_dict()["trials"]
    assert np.allclose(trial["words"], turns, atol=1e-5)
    walk.choose_atlas("effect")
    assert walk.board.values[0, 1] == pytest.approx(trial["effect"], abs=1e-6)


def test_the_edge_of_a_patch_is_cut_and_its_row_taken_apart(walk: Walk, capsys: pytest.CaptureFixture[str]) -> None:
    walk.turn()
    walk.turn()
    assert walk.cut().title.startswith(f"Cutting edge {query(walk)}:")
    shown = walk.explain()
    assert shown.title.startswith(f"The three steps of {query(walk)}")
    assert main([*shlex.split(typed(shown.command))[1:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["keys"] == shown.answer.to_dict()["keys"]


def test_a_second_image_is_laid_beside(walk: Walk, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    walk.lay_beside("turned.png")
    assert walk.laid is not None
    inspector = Inspector(walk.subject.model)  # type: ignore[arg-type]
    place = walk.spot.layer, walk.spot.head
    maps = [
        inspector.inspect(image=folder / name, head="{}.{}".format(*place)).maps[0].weights[0]
        for name in ("photo.png", "turned.png")
    ]
    sides = walk.laid.sides(*place, walk.spot.query)
    assert all(np.allclose(side, one[walk.spot.query], atol=1e-6) for side, one in zip(sides, maps, strict=True))
    assert typed(walk.command).count("--image") == 2
    other = asked(walk, capsys)["other"]
    assert "turned.png" in json.dumps(other)
    drawn = picture(walk, Screen(width=80, height=24, color=False, part=True))
    text = "\n".join(line.plain for line in drawn.lines)
    assert f"A photo.png: {query(walk)} in" in text
    assert f"B turned.png: {query(walk)} in" in text
    low = picture(walk, Screen(width=80, height=14, color=False, part=True))
    assert any(f"B - A: {query(walk)} in" in line.plain for line in low.lines)


def test_another_image_is_typed(walk: Walk) -> None:
    before = query(walk)
    walk.run("turned.png")
    assert (walk.subject.text, query(walk)) == ("turned.png", before)
    assert "--image turned.png" in typed(walk.command)
    for wrong in ("nosuch.png", " "):
        with pytest.raises(attn_cli.InputError):
            walk.run(wrong)
    assert walk.subject.text == "turned.png"


def test_what_an_image_lacks_is_said_or_not_offered(walk: Walk) -> None:
    assert [one.value for one in walk.atlases] == ["focus", "effect", "self"]
    with pytest.raises(attn_cli.UsageError, match="shown in patches in any case"):
        walk.change_units()
    *_, told, menu, find = screens(walk, ["e", "y", "escape escape s", "escape slash"], look=PLAIN)
    assert "attn explain --image photo.png --query" in " ".join(told.split())
    assert "previous" not in menu
    assert "Find a patch:" in find


def test_a_record_of_an_image_is_walked(walk: Walk, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "image.npz"
    walk.scene.everything.save(file)
    (record,) = read_records(file)
    again = Walk([Subject(record=record, file=str(file))], Selection())
    assert again.subject.text == "photo.png"
    assert np.allclose(again.row, walk.row, atol=1e-6)
    again.turn()
    again.step(0, 1)
    printed = asked(again, capsys)
    assert np.allclose(np.asarray(printed["maps"][0]["weights"], np.float32)[0], again.row, atol=1e-6)


def test_an_image_is_opened_by_the_command_and_by_python(
    folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    walks: list[Walk] = []
    monkeypatch.chdir(folder)
    monkeypatch.setattr("attn_cli.questions.explore.command.check_terminal", lambda: None)
    monkeypatch.setattr("attn_cli.questions.explore.opening.check_terminal", lambda: None)
    monkeypatch.setattr("attn_cli.questions.explore.command.take_keys_from_terminal", lambda: None)
    monkeypatch.setattr(Explorer, "run", lambda self: walks.append(self.walk))
    assert main(["explore", "--image", "photo.png", "--model", "vit"]) == 0
    assert walks[0].subject.text == "photo.png"
    Inspector(model).explore(image="photo.png")
    assert np.allclose(walks[1].row, walks[0].row, atol=1e-6)
    assert main(["explore", "The cat", "--image", "photo.png", "--model", "vit"]) == 2
    assert "A text and --image are both given" in capsys.readouterr().err
    with pytest.raises(attn_cli.UsageError, match="Neither a text nor an image is given"):
        Inspector(model).explore()


@pytest.mark.parametrize("size", [(40, 12), (61, 16), (80, 24), (160, 50), (250, 70)])
def test_every_screen_is_filled_and_no_wider(walk: Walk, size: tuple[int, int]) -> None:
    screen = Screen(width=size[0], height=size[1], part=True)
    for _ in range(3):
        walk.turn()
        drawn = picture(walk, screen)
        assert len(drawn.lines) == size[1]
        panes = [(drawn.regions[name].width, pane) for name, pane in drawn.panes.items()]
        assert [line.plain for room, pane in panes for line in pane.lines if line.cell_len > room] == []
