"""`attn diff --image`, held against transformers' own eager attention and scipy's divergence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from transformers import AutoModel

import attn_cli
from attn_cli.errors import SelectionError, UsageError
from attn_cli.models.hf.loading import quiet
from tests.conftest import Run
from tests.golden_files import assert_golden
from tests.models.vision import draw_photo, pixels, read_processor, save_vision
from tests.records import validated

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Another image."""
    return str(draw_photo(tmp_path_factory.mktemp("other") / "other.png", 50, 20))


def maps_of(folder: str, image: Array) -> list[Array]:
    """The weights of each layer, of transformers' own model."""
    with quiet(), torch.no_grad():
        model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
        found = model(**read_processor(folder)(image, return_tensors="pt"), output_attentions=True)
    return [one[0].double().numpy() for one in found.attentions]


def test_divergence_is_that_of_the_same_rows(vit: str) -> None:
    found = attn_cli.load(vit).diff(image=(pixels(), pixels()[:, ::-1].copy()))
    one, other = maps_of(vit, pixels()), maps_of(vit, pixels()[:, ::-1].copy())
    assert len(found.heads) == 6
    for head in found.heads:
        rows = zip(one[head.layer][head.head], other[head.layer][head.head], strict=True)
        expected = np.mean([jensenshannon(*pair, base=2) ** 2 for pair in rows])
        assert head.divergence == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("width", ["60", "80"])
@pytest.mark.parametrize(("name", "options"), {"heads": [], "query": ["--query", "r1c2"]}.items())
def test_screens(
    attn: Run,
    vit: str,
    photo: str,
    mirrored: str,
    name: str,
    options: list[str],
    width: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(Path(vit).parent)
    shown = attn("diff", "--image", photo, "--image", mirrored, "--model", "vit", "--width", width, *options)
    assert_golden(f"diff-image-{name}-{width}", shown)


def test_one_image_without_a_head(attn: Run, vit: str, photo: str) -> None:
    document = validated(attn("diff", "--image", photo, "--model", vit, "--without", "0.1", "--json").encode(), "diff")
    assert {head["divergence"] for head in document["heads"] if head["layer"] == 0} == {0}
    assert all(head["divergence"] > 0 for head in document["heads"] if head["layer"] == 1)


def test_grids_must_be_the_same(tmp_path: Path, vit: str) -> None:
    folder = save_vision(tmp_path / "vit", "vit", image_size=8)
    with pytest.raises(SelectionError, match="A has 3 rows of 5 patches, and B 2 of 2"):
        attn_cli.load(vit).diff(image=pixels(), against=attn_cli.load(str(folder)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "nothing to compare it with"),
        (["--image", "PHOTO", "--against", "toy"], "Leave out the second image"),
        (["--image", "PHOTO", "--image", "PHOTO"], "and more are given"),
        (["The cat"], "A text and --image are both given"),
        (["--image", "PHOTO", "--target", "a"], "--target cannot be used"),
    ],
)
def test_what_is_refused(attn: Run, vit: str, photo: str, options: list[str], said: str) -> None:
    typed = [photo if option == "PHOTO" else option for option in options]
    error = attn("diff", "--image", photo, "--model", vit, *typed, code=2)
    assert said in error
    assert error.count("\n") == 1


def test_python_refuses_the_same(vit: str) -> None:
    model = attn_cli.load(vit)
    with pytest.raises(UsageError, match="3 are given"):
        model.diff(image=(pixels(),) * 3)
    with pytest.raises(UsageError, match="An image has no a"):
        model.diff("The cat", image=pixels())
    with pytest.raises(UsageError, match="Neither a text, a record nor an image is given"):
        model.diff()
