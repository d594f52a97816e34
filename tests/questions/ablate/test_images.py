"""`attn ablate --image`, held against a ViT that is cut by hand: in its weights, or in its scores."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import attn_cli
from attn_cli.errors import UsageError
from tests.conftest import Run
from tests.golden_files import assert_golden
from tests.models.vision import COLUMNS, pixels, states_by_hand
from tests.records import validated

Array = np.ndarray[Any, Any]


def turned(before: Array, after: Array) -> float:
    """1 - cosine of two vectors."""
    return float(1 - before @ after / np.linalg.norm(before) / np.linalg.norm(after))


def test_effects_are_those_of_weights_made_zero(vit: str) -> None:
    found = attn_cli.load(vit).ablate(image=pixels())
    before = states_by_hand(vit)
    assert [trial.only for trial in found.trials] == [(layer, head) for layer in range(2) for head in range(3)]
    for trial in found.trials:
        after = states_by_hand(vit, zeroed=trial.only)
        assert trial.effect == pytest.approx(turned(before.mean(0), after.mean(0)), abs=1e-6)
        expected = [turned(*pair) for pair in zip(before, after, strict=True)]
        np.testing.assert_allclose(trial.after.words, expected, atol=1e-5)
    assert [word.label for word in found.output.words][:3] == ["[CLS]", "r0c0", "r0c1"]


def test_the_effect_of_an_edge_is_that_of_its_score_masked(vit: str) -> None:
    """The patch looks at the other in no head of any layer."""
    row, key = 1 + COLUMNS + 2, 1 + 0

    def masked(_: int, scores: torch.Tensor) -> None:
        scores[:, :, row, key] = -torch.inf

    (trial,) = attn_cli.load(vit).ablate(image=pixels(), edge="r1c2:r0c0").trials
    before, after = states_by_hand(vit), states_by_hand(vit, masked)
    assert trial.effect == pytest.approx(turned(before.mean(0), after.mean(0)), abs=1e-6)
    assert trial.after.words[row] == pytest.approx(turned(before[row], after[row]), abs=1e-5)
    assert trial.edges[0].pairs == ((row, key),)


def test_each_key_of_a_patch_is_cut(attn: Run, vit: str, photo: str) -> None:
    document = validated(
        attn("ablate", "--image", photo, "--model", vit, "--query", "r1c2", "--json").encode(), "ablate"
    )
    assert document["view"] == "keys"
    assert [trial["edges"][0]["key"] for trial in document["trials"]][:3] == ["[CLS]", "r0c0", "r0c1"]
    assert document["source"]["grid"]["name"] == "photo.png"
    (trial,) = attn_cli.load(vit).ablate(image=photo, edge="r1c2:r0c1").trials
    assert document["trials"][2]["effect"] == pytest.approx(trial.effect, rel=1e-3)


@pytest.mark.parametrize("width", ["60", "80"])
@pytest.mark.parametrize(
    ("name", "options"),
    {"heads": ["--with", "mean"], "cut": ["--head", "1.1"], "edge": ["--edge", "r1c2:r0c0"]}.items(),
)
def test_screens(
    attn: Run, vit: str, photo: str, name: str, options: list[str], width: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(vit).parent)
    shown = attn("ablate", "--image", photo, "--model", "vit", "--width", width, *options)
    assert_golden(f"ablate-image-{name}-{width}", shown)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["The cat"], "A text and --image are both given"),
        (["--target", "a"], "--target cannot be used"),
        (["--against", "a", "--target", "b"], "--against cannot be used"),
        (["--mask", "a"], "--mask cannot be used"),
        (["--continue", "a"], "--continue cannot be used"),
        (["--output", "words"], "--output words cannot be used"),
        (["--with", "resample", "--from-text", "a"], "--with resample cannot be used"),
        (["--with", "mean", "--from-probe"], "--from-probe cannot be used"),
        (["--attribution"], "--attribution cannot be used"),
        (["--rows", "output"], "--rows cannot be used"),
        (["--file", "a.txt"], "--file cannot be used"),
        (["--workers", "2"], "Name one with --file"),
    ],
)
def test_what_an_image_has_not(attn: Run, vit: str, photo: str, options: list[str], said: str) -> None:
    error = attn("ablate", "--image", photo, "--model", vit, *options, code=2)
    assert said in error
    assert error.count("\n") == 1


def test_python_refuses_the_same(vit: str) -> None:
    model = attn_cli.load(vit)
    for options, said in (
        ({"text": "a"}, "An image has no text"),
        ({"target": "a"}, "An image has no target"),
        ({"mask": "a"}, "--mask cannot be used"),
        ({"instead": "mean", "from_probe": True}, "--from-probe cannot be used"),
    ):
        with pytest.raises(UsageError, match=said):
            model.ablate(image=pixels(), **options)
    with pytest.raises(UsageError, match="Neither a text nor an image is given"):
        model.ablate()


def test_several_images(
    attn: Run, vit: str, photo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder, files, and a pipe: each image has a title, and the same figures as alone."""
    for name in ("b.png", "a.PNG"):
        (tmp_path / name).write_bytes(Path(photo).read_bytes())
    (tmp_path / "notes.txt").write_text("not an image")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(Path(photo).read_bytes()), isatty=lambda: False))
    options = "--model", vit, "--head", "1.1"
    shown = attn("ablate", "--image", str(tmp_path), "--image", "-", *options)
    alone = attn("ablate", "--image", photo, *options)
    assert [line for line in shown.splitlines() if line[:3] in {"1  ", "2  ", "3  "} and "." in line[:10]][:1] == [
        "1  a.PNG"
    ]
    assert shown.count(alone.split("Output:")[1]) == 3
    for given, said in (([str(tmp_path / "none")], "There is no file"), (["-", "--image", "-"], "given twice")):
        assert said in attn("ablate", "--image", *given, *options, code=2 if "twice" in said else 3)
    (tmp_path / "none").mkdir()
    assert "a folder without an image" in attn("ablate", "--image", str(tmp_path / "none"), *options, code=3)
    assert "Give each image with --image" in attn("ablate", "--image", photo, photo, *options, code=2)
