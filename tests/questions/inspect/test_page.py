"""The page that a record is saved as: what it holds, and what it does in a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import attn_cli
from attn_cli.api import Inspector
from attn_cli.cli.app import main
from attn_cli.cli.browser import can_open
from attn_cli.data.record import Record
from attn_cli.data.selection import Selection
from attn_cli.data.shapes import Float
from attn_cli.data.text import make_tokens
from attn_cli.questions.inspect.measure import Inspection, look
from tests.readme import MODEL, ROOT
from tests.samples import decoder_record, encoder_record, image_record, random_map, translation_record

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SENTENCE = "The trophy doesn't fit in the suitcase because it is too big."
HOSTILE = "</script><script>window.ran = true</script><img src=x onerror=alert(1)>"


def saved(answer: Inspection, folder: Path) -> str:
    file = folder / "page.html"
    answer.save(file, force=True)
    return file.read_text(encoding="utf-8")


def data_of(page: str) -> list[dict[str, Any]]:
    return [
        json.loads(text) for text in re.findall(r'<script type="application/json" class="text">(.*?)</script>', page)
    ]


def numbers_of(data: dict[str, Any]) -> Float[np.ndarray, "head row column"]:
    maps = data["maps"]
    shape = maps["heads"], maps["rows"], maps["columns"]
    planes = np.frombuffer(zlib.decompress(base64.b64decode(maps["numbers"])), np.uint8)
    size = {"float32": 4, "float16": 2, "squares": 1}[maps["packing"]]
    flat = np.ascontiguousarray(planes.reshape(size, -1).T).view(f"<{'u1' if size == 1 else f'f{size}'}")
    numbers: Float[np.ndarray, "head row column"] = flat.reshape(shape).astype(np.float32)
    return (numbers / maps["levels"]) ** 2 if size == 1 else numbers


def hostile_record() -> Record:
    pieces = ["[CLS]", HOSTILE, "it", "[SEP]"]
    text = f"{HOSTILE} it"
    offsets = [(0, 0), (0, len(HOSTILE)), (len(HOSTILE) + 1, len(text)), (0, 0)]
    tokens = make_tokens(text, pieces, offsets, [True, False, False, True], cells_of=lambda _: [*offsets[1:3]])
    maps = tuple(random_map("encoder", layer, 4, 4) for layer in range(2))
    return replace(encoder_record(), source=tokens, maps=maps)


def long_record(tokens: int) -> Record:
    """As many words, which nobody spells."""
    words = [f"w{index}" for index in range(tokens)]
    text = " ".join(words)
    starts = np.cumsum([0, *(len(word) + 1 for word in words[:-1])]).tolist()
    offsets = [(start, start + len(word)) for start, word in zip(starts, words, strict=True)]
    maps = tuple(random_map("encoder", layer, tokens, tokens) for layer in range(2))
    return replace(encoder_record(), source=make_tokens(text, words, offsets, [False] * tokens), maps=maps)


def test_a_page_holds_the_numbers_of_the_document(tmp_path: Path) -> None:
    answer = look(encoder_record(), Selection(), keep=True)
    (data,) = data_of(saved(answer, tmp_path))
    document = answer.to_dict()
    weights = np.array([map_["weights"] for map_ in document["maps"]], np.float32)
    np.testing.assert_array_equal(numbers_of(data), weights)
    assert data["heads"] == [[map_["layer"], map_["head"]] for map_ in document["maps"]]
    focus = [entry["focus"] for entry in document["heads"]]
    assert np.allclose(data["units"]["word"]["figures"]["focus"], focus, atol=1e-4)
    in_tokens = look(encoder_record(), Selection(unit="token"), keep=True).to_dict()
    for name in ("focus", "entropy", "distance", "first", "itself", "previous"):
        known = [entry[name] for entry in in_tokens["heads"]]
        assert np.allclose(data["units"]["token"]["figures"][name], known, atol=1e-4), name
    assert data["units"]["token"]["keys"]["labels"] == [token["piece"] for token in document["source"]["tokens"]]


def test_a_head_that_was_trained_to_look_says_so(tmp_path: Path) -> None:
    answer = attn_cli.load("toy").inspect("The cat sat because it was tired")
    (data,) = data_of(saved(answer, tmp_path))
    said = dict(zip(map(tuple, data["heads"]), data["trained"], strict=True))
    assert said[2, 0] == (
        "Encoder head 2.0 was trained to look from “it” to the noun that it stands for, on the sentences of a grammar."
    )
    assert {head for head, line in said.items() if line} == {(one.layer, one.head) for one in answer.guided}


def test_its_policy_lets_nothing_else_run_and_nothing_be_fetched(tmp_path: Path) -> None:
    page = saved(look(hostile_record(), Selection(), keep=True), tmp_path)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))

    def hashed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert rules == {
        "default-src": "'none'",
        "style-src": hashed(style),
        "script-src": hashed(script),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    rest = page.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|url\(|@import|<link|<img|<iframe|javascript:| style=| on\w+=\"", rest)


def test_every_text_is_escaped(tmp_path: Path) -> None:
    page = saved(look(hostile_record(), Selection(), keep=True), tmp_path)
    assert "window.ran" in page
    assert "<script>window.ran" not in page
    assert "<img" not in page
    (data,) = data_of(page)
    assert data["units"]["token"]["keys"]["labels"][1] == HOSTILE


@pytest.fixture(scope="module")
def trained(minilm: str) -> Inspector:
    return attn_cli.load(minilm)


def test_a_sentence_takes_less_than_a_megabyte(trained: Inspector, tmp_path: Path) -> None:
    page = saved(trained.inspect(SENTENCE), tmp_path)
    pair = json.loads(trained.inspect("The cat sat", pair="It ran").page() or b"")
    assert pair["units"]["word"]["keys"]["second"] == 5  # behind [CLS], three words and [SEP]
    assert len(page) < 400_000
    (data,) = data_of(page)
    # The roles are those that attn heads measures on the same text.
    heads = trained.heads(SENTENCE).to_dict()["heads"]
    scores = {role["name"]: role["scores"] for role in data["units"]["word"]["roles"]}
    for index, head in enumerate(heads):
        for entry in head["scores"]:
            own = scores.get(entry["role"])
            if own is not None and entry["score"] is not None:
                assert own[index] == pytest.approx(entry["score"], abs=1e-4)
    assert [head["roles"][0] if head["roles"] else "" for head in heads] == data["units"]["word"]["has"]


@pytest.mark.parametrize(
    ("room", "packing", "levels", "error"),
    [
        (20_000, "float32", 0, 0.0),
        (9_000, "float16", 0, 1e-3),
        (3_200, "squares", 255, 5e-3),
        (2_400, "squares", 63, 2e-2),
    ],
)
def test_numbers_are_as_exact_as_there_is_room_for(
    room: int, packing: str, levels: int, error: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attn_cli.questions.inspect.page.ROOM", room)
    answer = look(long_record(20), Selection(), keep=True)
    data = json.loads(answer.page() or b"")
    assert (data["maps"]["packing"], data["maps"]["levels"], data["squares"]) == (packing, levels, 1)
    weights = np.concatenate([map_.weights for map_ in answer.maps])
    assert np.abs(numbers_of(data) - weights).max() <= error


def test_a_long_text_is_pooled_and_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attn_cli.questions.inspect.page.ROOM", 3_000)
    answer = look(long_record(40), Selection(), keep=True)
    data = json.loads(answer.page() or b"")
    assert data["squares"] == 2
    assert "largest weight of 2 × 2 words" in data["about"][-1]
    labels = data["units"]["word"]["keys"]["labels"]
    assert labels[1] == "w2 … w3"
    weights = np.concatenate([map_.weights for map_ in answer.maps])
    largest = weights.reshape(6, 20, 2, 20, 2).max(axis=(2, 4))
    assert np.abs(numbers_of(data) - largest).max() < 2e-2


def test_what_a_text_too_long_to_keep_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("attn_cli.questions.inspect.measure.MOST_PLAYED", 200)
    assert main(["inspect", "The cat sat on the mat", "--save", "page.html"]) == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert data_of(page) == []
    assert "<pre" in page
    assert "The page holds only the picture" in capsys.readouterr().err
    assert main(["inspect", "The cat sat on the mat", "--head", "0.0", "--save", "one.html"]) == 0
    assert data_of(Path("one.html").read_text(encoding="utf-8"))


def test_a_page_of_an_image_holds_the_picture_and_each_patch(tmp_path: Path) -> None:
    answer = look(image_record(), Selection(), keep=True)
    (data,) = data_of(saved(answer, tmp_path))
    document = answer.to_dict()
    grid = document["source"]["grid"]
    own = data["grid"]
    assert (own["rows"], own["columns"], own["side"]) == (grid["rows"], grid["columns"], 1) == (3, 5, 1)
    assert own["rgb"] == grid["thumbnail"]["rgb"]
    assert len(base64.b64decode(own["rgb"])) == 3 * own["width"] * own["height"]
    np.testing.assert_array_equal(numbers_of(data), np.array([one["weights"] for one in document["maps"]], np.float32))
    assert list(data["units"]) == ["word"]
    for axis in (data["units"]["word"]["queries"], data["units"]["word"]["keys"]):
        assert axis["labels"] == ["[CLS]", *(f"r{row}c{column}" for row in range(3) for column in range(5))]
        assert axis["names"] == ["#0", *axis["labels"][1:]]
        assert axis["patches"] == [[], *([patch] for patch in range(15))]
    without = json.loads(look(image_record(), Selection(special=False), keep=True).page() or b"")
    assert without["units"]["word"]["queries"]["patches"] == [[patch] for patch in range(15)]
    assert without["units"]["word"]["queries"]["starts"] == list(range(1, 16))
    assert without["units"]["word"]["keys"]["starts"] == list(range(1, 16))


def test_a_page_of_a_large_vision_encoder_takes_less_than_a_megabyte(tmp_path: Path) -> None:
    """12 x 12 heads of 14 x 14 patches and [CLS]: each row of a page is that of 2 x 2 patches."""
    answer = look(image_record(14, 14, layers=12, heads=12), Selection(), keep=True)
    page = saved(answer, tmp_path)
    assert len(page) < 1_000_000
    (data,) = data_of(page)
    assert data["grid"]["side"] == 2
    assert "A row is the mean of 2 × 2 patches" in data["about"][-1]
    queries = data["units"]["word"]["queries"]
    assert (queries["labels"][1], queries["names"][1], queries["patches"][1]) == ("r0c0 … r1c1", "r0c0", [0, 1, 14, 15])
    weights = answer.maps[5].weights[7]
    expected = [weights[0], *(weights[1:].reshape(7, 2, 7, 2, 197).mean(axis=(1, 3)).reshape(49, 197))]
    assert np.abs(numbers_of(data)[5 * 12 + 7] - expected).max() < 2e-2


def test_a_row_that_was_chosen_is_what_the_page_shows(tmp_path: Path) -> None:
    chosen = Selection(view="query", query="fit")
    alone = look(encoder_record(), chosen, keep=True)
    (data,) = data_of(saved(alone, tmp_path))
    assert data["units"]["word"]["queries"]["labels"] == ["fit"]
    assert data["query"] == "fit"
    assert data["maps"]["rows"] == 1
    among = look(encoder_record(), chosen, keep=False, page=True)
    (data,) = data_of(saved(among, tmp_path))
    assert data["query"] == "fit"
    assert data["maps"]["rows"] == 11
    assert among.heads == alone.heads
    others = [[1], [2, 3], [4, 5, 6], [8]]  # the pieces of each other word
    most = [max(map_[7, pieces].sum() for pieces in others) for map_ in numbers_of(data)]
    assert data["head"] == int(np.argmax(most))
    (data,) = data_of(saved(look(alone, chosen, keep=False, page=True), tmp_path))
    assert data["maps"]["rows"] == 1


def test_scores_and_cross_attention_have_pages(tmp_path: Path) -> None:
    (scores,) = data_of(saved(look(decoder_record(), Selection(measure="scores", unit="token"), keep=True), tmp_path))
    assert scores["signed"]
    assert list(scores["units"]) == ["token"]
    assert np.isneginf(numbers_of(scores)[0, 0, 1])
    joint = json.loads(look(encoder_record(), Selection(measure="rollout"), keep=True).page() or b"")
    assert (joint["joint"], joint["heads"], joint["head"]) == (True, [[0, 0], [1, 0]], 1)
    (cross,) = data_of(saved(look(translation_record(), Selection(), keep=True), tmp_path))
    assert cross["kind"] == "cross"
    assert len(cross["units"]["token"]["queries"]["labels"]) != len(cross["units"]["token"]["keys"]["labels"])


def test_several_texts_are_on_one_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("texts.txt").write_text("The cat sat\nThe dog ran\nA bird\n", encoding="utf-8")
    assert main(["inspect", "--file", "texts.txt", "--save", "page.html"]) == 0
    pages = data_of(Path("page.html").read_text(encoding="utf-8"))
    assert [page["title"] for page in pages] == ["The cat sat", "The dog ran", "A bird"]
    monkeypatch.setattr("attn_cli.answer.formats.MOST_PAGED", 1)
    assert main(["inspect", "--file", "texts.txt", "--save", "few.html"]) == 0
    assert len(data_of(Path("few.html").read_text(encoding="utf-8"))) == 1


def test_a_notebook_shows_it_in_a_frame() -> None:
    answer = look(encoder_record(), Selection(), keep=True)
    frame = answer._repr_html_()
    assert re.match(r'<iframe title="attention" sandbox="allow-scripts allow-downloads" ', frame)
    inner = unescape(frame.split('srcdoc="')[1].split('"')[0])
    assert len(data_of(inner)) == 1
    assert look(encoder_record(), Selection(), keep=False)._repr_html_().startswith("<pre")


@pytest.mark.parametrize(
    ("environ", "platform", "can"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"BROWSER": "firefox"}, "linux", True),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "a 1 b 22"}, "darwin", False),
    ],
)
def test_where_a_browser_can_be_opened(environ: dict[str, str], platform: str, can: bool) -> None:
    assert can_open(environ, platform) is can


def test_opening(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened: list[str] = []

    def browse(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr("webbrowser.open", browse)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("BROWSER", "true")
    assert main(["inspect", "The cat sat", "--open"]) == 0
    (file,) = tmp_path.iterdir()
    assert opened == [file.as_uri()]
    assert file.stat().st_mode & 0o077 == 0
    assert f"opened {file}" in capsys.readouterr().err
    assert data_of(file.read_text(encoding="utf-8"))
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    kept = tmp_path / "kept.html"
    assert main(["inspect", "The cat sat", "--save", str(kept), "--open", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["source"]["text"] == "The cat sat"
    assert f"no browser can be opened from here: copy {kept}" in err
    assert len(opened) == 1
    assert main(["translate", "The cat sat", "--text-only", "--open"]) == 2
    assert "--open cannot be used with it" in capsys.readouterr().err


# ---- in a browser ----


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no chromium")
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=arguments)
        yield started
        started.close()


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Any]:
    """Open the page of an answer; nothing may be asked of the network, and nothing may go wrong."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, color_scheme="light")
    context.set_default_timeout(10_000)
    asked: list[str] = []
    wrong: list[str] = []

    def open_page(answer: Inspection, place: str = "") -> Page:
        answer.save(tmp_path / "page.html", force=True)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{(tmp_path / 'page.html').as_uri()}{place}")
        page.wait_for_selector("#numbers tr")
        return page

    yield open_page
    context.close()
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}
    assert wrong == []


def row_of(page: Page) -> dict[int, float]:
    """The numbers beside the drawing, of each column, as exactly as the page knows them."""
    lines = page.eval_on_selector_all(
        "#numbers tr", "rows => rows.map((row) => [row.dataset.key, row.querySelector('td').title])"
    )
    return {int(column): float(number) for column, number in lines}


def test_what_is_chosen_is_what_is_read(visit: Any) -> None:
    answer = look(encoder_record(), Selection(), keep=True)
    weights = {(map_["layer"], map_["head"]): map_["weights"] for map_ in answer.to_dict()["maps"]}
    page = visit(answer, "#0.0/fit/token")
    tokens = [token.piece for token in answer.source.tokens]
    row = row_of(page)
    assert list(row.values()) == sorted(row.values(), reverse=True)
    assert row == dict(enumerate(weights[0, 0][tokens.index("fit")]))  # to the last digit
    page.click("#atlas [data-head='5']")
    page.click("#words button:has-text('phy')")
    assert row_of(page) == dict(enumerate(weights[1, 2][tokens.index("##phy")]))
    assert page.evaluate("location.hash") == "#1.2/%233/token"
    page.click("[data-unit='word']")
    assert page.evaluate("location.hash") == "#1.2/trophy"
    words = [float(str(cells[7])) for cells in answer.rows() if cells[1:3] == (1, 2) and cells[4] == "trophy"]
    assert row_of(page) == pytest.approx(dict(enumerate(words)), abs=1e-6)
    assert page.text_content("#says").startswith("Head 1.2")


def test_keys_sliders_and_the_address(visit: Any) -> None:
    page = visit(look(encoder_record(), Selection(), keep=True), "#0.1/fit")

    def place() -> str:
        return str(page.evaluate("location.hash"))

    for key, expected in (
        ("ArrowRight", "#0.2/fit"),
        ("ArrowDown", "#1.2/fit"),
        ("ArrowLeft", "#1.1/fit"),
        ("k", "#1.1/didn't"),
        ("j", "#1.1/fit"),
        ("v", "#1.1/fit/lines"),
        ("w", "#1.1/fit/lines/token"),
        ("v", "#1.1/fit/heads/token"),
        ("v", "#1.1/fit/token"),
        ("Escape", "#1.1//token"),
        ("w", "#1.1"),
    ):
        page.keyboard.press(key)
        assert place() == expected, key
    page.keyboard.press("/")
    page.keyboard.type("troph")
    assert place() == "#1.1/trophy"
    page.focus("#layer")
    page.keyboard.press("ArrowLeft")
    assert place() == "#0.1/trophy"
    page.reload()
    page.wait_for_selector("#numbers tr")
    assert place() == "#0.1/trophy"
    page.evaluate("location.hash = '#1.1/100%'")  # no such word
    page.wait_for_selector("#heading:has-text('Head 1.1,')")
    page.evaluate("location.hash = '#1.0/fit/lines'")
    page.wait_for_selector("#heading:has-text('Head 1.0,')")
    assert page.locator("#drawing path").count() > 3
    page.select_option("#order", "focus")
    page.select_option("#figure", "entropy")
    assert page.locator("#atlas button").count() == 6
    for theme, ground in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(14, 15, 19)")):
        page.click("#theme")
        assert theme in page.text_content("#theme")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
    unnamed = """nodes => nodes.filter((node) => !(node.getAttribute('aria-label') || node.textContent.trim()
    || node.closest('label'))).length"""
    assert page.eval_on_selector_all("button, input, select, svg, section", unnamed) == 0


def test_a_patch_is_chosen_on_the_picture(visit: Any) -> None:
    answer = look(image_record(), Selection(), keep=True)
    weights = {(map_["layer"], map_["head"]): map_["weights"] for map_ in answer.to_dict()["maps"]}
    page = visit(answer, "#1.2/r1c3")
    index = 1 + 5 + 3
    assert row_of(page) == dict(enumerate(weights[1, 2][index]))
    assert page.text_content("#heading") == "Head 1.2, weights of r1c3"
    assert page.locator("#drawing image").count() == 2  # the image below the weights, and the image
    assert not page.is_visible("[data-view='lines']")
    box, grid = page.locator("#drawing svg").bounding_box(), page.evaluate("drawn.grid")

    def at(row: float, column: float) -> tuple[float, float]:
        across, down = ((place + 0.5) * grid["cell"] for place in (column, row))
        return float(box["x"] + grid["left"] + across), float(box["y"] + grid["top"] + down)

    page.mouse.move(*at(2, 4))
    number = page.evaluate("exact(numbersOfRow()[15])")
    assert float(number) == weights[1, 2][index][15]
    assert page.text_content("#tip") == f"r1c3 → r2c4 (row 2, column 4)  {number}"
    page.mouse.click(*at(0, 1))
    assert page.evaluate("location.hash") == "#1.2/r0c1"
    assert row_of(page) == dict(enumerate(weights[1, 2][2]))
    for key, expected in (
        ("ArrowRight", "#1.2/r0c2"),
        ("ArrowDown", "#1.2/r1c2"),
        ("ArrowLeft", "#1.2/r1c1"),
        ("ArrowUp", "#1.2/r0c1"),
        ("ArrowUp", "#1.2/%230"),  # [CLS] is above the first row
        ("ArrowLeft", "#1.2/%230"),
        ("ArrowDown", "#1.2/r0c0"),
        ("ArrowLeft", "#1.2/r0c0"),
        ("h", "#1.1/r0c0"),
        ("v", "#1.1/r0c0/map"),
        ("ArrowUp", "#0.1/r0c0/map"),
        ("v", "#0.1/r0c0/heads"),
    ):
        page.keyboard.press(key)
        assert page.evaluate("location.hash") == expected, key
    assert page.text_content("#heading") == "All heads, weights of r0c0, by layer"
    assert page.locator("#drawing use").count() == 6
    page.keyboard.press("v")
    shades = page.eval_on_selector_all(
        "#drawing g rect", "cells => cells.map((cell) => cell.getAttribute('fill-opacity'))"
    )
    high = page.evaluate("drawn.scale.high")
    assert np.allclose(
        [float(one) for one in shades],
        0.88 * np.minimum(np.array(weights[0, 1][1][1:]) / high, 1) ** (2 / 3),
        atol=1e-3,
    )
    chip = page.evaluate("unit().keys.patches.findIndex((own) => !own.length)")
    texts = page.eval_on_selector_all("#drawing text", "texts => texts.map((text) => text.textContent)")
    assert texts[-2:] == ["[CLS]", f"{weights[0, 1][1][chip]:.2f}"]
    picture = ET.fromstring(page.evaluate("svgText()"))  # noqa: S314 - our own
    assert "r0c0 looks most at" in picture.attrib["aria-label"]
    page.keyboard.press("Escape")
    page.mouse.move(*at(1, 1))
    mean = float(page.evaluate("exact(numbersOfRow()[7])"))
    assert mean == pytest.approx(np.mean(weights[0, 1], axis=0)[7], abs=1e-6)
    assert page.text_content("#tip").startswith("All rows, on average → r1c1 (row 1, column 1)  0.")


def test_the_documentation_shows_an_image(request: pytest.FixtureRequest) -> None:
    """With `ATTN_WRITE_GOLDEN=1` the picture is taken anew."""
    file = ROOT / "docs" / "page-image.png"
    if os.environ.get("ATTN_WRITE_GOLDEN") == "1":
        answer = look(image_record(14, 14, layers=6, heads=6), Selection(), keep=True)
        page = request.getfixturevalue("visit")(answer, "#3.2/r9c9")
        page.set_viewport_size({"width": 1400, "height": 780})
        page.screenshot(path=file)
    assert file.stat().st_size > 10_000


def test_the_patches_of_one_row_are_chosen_together(visit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attn_cli.questions.inspect.page.ROOM", 1_000)
    page = visit(look(image_record(5, 7), Selection(), keep=True), "#1.2/r1c4")
    assert page.evaluate("page.grid.side") == 4
    assert page.evaluate("location.hash") == "#1.2/r0c4"
    assert page.text_content("#row-heading") == "r0c4 … r3c6 looks at"
    page.focus("#drawing")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("location.hash") == "#1.2/r4c4"
    assert page.text_content("#row-heading") == "r4c4 … r4c6 looks at"
    page = visit(look(image_record(), Selection(view="map", head="1.2"), keep=True), "#1.2/r1c4")
    assert page.get_attribute("[data-view='map']", "aria-pressed") == "true"
    page.keyboard.press("v")
    page.keyboard.press("v")
    assert page.evaluate("location.hash") == "#1.2/r1c4/picture"


def test_numbers_stay_in_their_cells(visit: Any) -> None:
    page = visit(look(encoder_record(), Selection(), keep=True), "#0.1/fit")
    cells = page.evaluate("maps.map(state.head, state.unit).seen.reduce((so, seen) => so + seen)")
    assert page.locator("#drawing g text").count() == cells
    page.evaluate("() => { maps.map(state.head, state.unit).values.fill(920531); show(); }")
    assert page.locator("#drawing g text").count() == 0
    assert page.text_content("#numbers b >> nth=0") == "9.21e+5"


def test_the_picture_can_be_taken_away(visit: Any) -> None:
    page = visit(look(encoder_record(), Selection(), keep=True), "#0.1/fit")
    picture = ET.fromstring(page.evaluate("svgText()"))  # noqa: S314 - our own
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#svg")
    page.wait_for_selector("#says:text-is('The SVG is on the clipboard.')")
    assert page.evaluate("navigator.clipboard.readText()") == page.evaluate("svgText()")
    page.click("#png")
    page.wait_for_selector("#says:text-is('The PNG is on the clipboard.')")
    page.context.clear_permissions()
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed')); }")
    with page.expect_download() as download:
        page.click("#svg")
    assert download.value.suggested_filename == "0.1.svg"
    box = page.locator("#drawing svg").bounding_box()
    grid = page.evaluate("drawn.grid")
    page.mouse.move(box["x"] + grid["left"] + grid["cell"] * 1.5, box["y"] + grid["top"] + grid["cell"] * 2.5)
    shown = page.text_content("#tip")
    seen = page.evaluate("exact(maps.map(1, 'word').values[2 * maps.map(1, 'word').columns + 1])")
    labels = page.evaluate("unit().keys.labels")
    assert shown == f"{labels[2]} → {labels[1]}  {seen}"


def test_the_documentation_shows_it(visit: Any, trained: Inspector) -> None:
    """With `ATTN_WRITE_GOLDEN=1` the picture is taken anew: pixels differ from machine to machine."""
    answer = trained.inspect(SENTENCE)
    page = visit(replace(answer, model=replace(answer.model, name=MODEL)), "#3.1/it")
    assert page.text_content("#says") == "Head 3.1: it looks most at trophy (0.62)."
    page.select_option("#figure", "role")
    assert page.text_content("#atlas [data-head='24']") == "1st"
    word = json.loads(answer.page() or b"")["units"]["word"]
    (first,) = (role["scores"] for role in word["roles"] if role["name"] == "first")
    for figure, numbers in (("first", word["figures"]["first"]), ("role: first", first)):
        page.select_option("#figure", figure)
        said = page.get_attribute("#atlas [data-head='24']", "aria-label")
        assert said == f"head 2.0, {figure} {numbers[24]:.2f}"
    orders = page.eval_on_selector_all("#order option", "options => options.map((option) => option.value)")
    assert len(set(orders)) == len(orders)
    for order in (*orders[1:], orders[0]):  # the key goes through all of them, and back
        page.keyboard.press("s")
        assert page.input_value("#order") == order
    page.select_option("#figure", "focus")
    page.set_viewport_size({"width": 1400, "height": 910})
    if os.environ.get("ATTN_WRITE_GOLDEN") == "1":
        page.screenshot(path=ROOT / "docs" / "page.png")
    assert (ROOT / "docs" / "page.png").stat().st_size > 10_000
    page.emulate_media(media="print")
    from playwright.sync_api import expect

    expect(page.locator("#drawing svg")).to_have_css("max-width", "100%")  # of the picture that is drawn for paper


def test_a_script_in_a_token_stays_text(visit: Any) -> None:
    page = visit(look(hostile_record(), Selection(), keep=True), "#0.0//token")
    assert page.evaluate("window.ran") is None
    assert page.text_content("#words button >> nth=1") == HOSTILE
    assert page.locator("img").count() == 0
    page.click("#words button >> nth=1")
    assert page.text_content("#row-heading").startswith(HOSTILE[:20])


def test_without_scripts_the_picture_is_there(browser: Browser, tmp_path: Path) -> None:
    look(encoder_record(), Selection(), keep=True).save(tmp_path / "page.html")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    assert page.locator("pre").is_visible()
    assert not page.locator("main").is_visible()
    context.close()


def test_in_a_frame_of_a_notebook(browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.set_content(look(encoder_record(), Selection(), keep=True)._repr_html_())
    frame = page.frame_locator("iframe")
    frame.locator("#atlas [data-head='5']").click()
    assert (frame.locator("#heading").text_content() or "").startswith("Head 1.2")
    assert wrong == []
    context.close()
