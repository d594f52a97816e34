"""`attn find --image` and `attn explain --image`, held against transformers' own eager attention."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

import attn_cli
from attn_cli.errors import SelectionError, UsageError
from attn_cli.models.hf.loading import quiet
from tests.conftest import Run
from tests.golden_files import assert_golden
from tests.models.vision import COLUMNS, ROWS, pixels, read_processor
from tests.records import validated

CELLS = [(row, column) for row in range(ROWS) for column in range(COLUMNS)]
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def expected(vit: str) -> tuple[list[Array], list[Array]]:
    """The weights and the values of each layer: [head, query, key] and [position, dim]."""
    with quiet(), torch.no_grad():
        model = AutoModel.from_pretrained(vit, attn_implementation="eager").eval()
        values: list[Array] = []
        for name, module in model.named_modules():
            if name.endswith(("value", "v_proj")):
                module.register_forward_hook(lambda *given: values.append(given[2][0].numpy()))
        found = model(**read_processor(vit)(pixels(), return_tensors="pt"), output_attentions=True)
    return [one[0].numpy() for one in found.attentions], values


def test_links_are_those_of_transformers(vit: str, expected: tuple[list[Array], list[Array]]) -> None:
    """Usual is what the head gives at the same distance along rows and columns, not along the line of patches."""
    found = attn_cli.load(vit).find(image=pixels(), start="r1c2", end="r0c4")
    query, key = (1 + CELLS.index(cell) for cell in ((1, 2), (0, 4)))
    apart = [
        (1 + CELLS.index(cell), 1 + CELLS.index(other))
        for cell in CELLS
        if cell != (1, 2) and (other := (cell[0] - 1, cell[1] + 2)) in CELLS
    ]
    assert len(found.links) == 6
    assert set(found.alike.values()) == {len(apart)} == {5}
    for link in found.links:
        weights = expected[0][link.layer][link.head]
        assert link.weight == pytest.approx(weights[query, key], abs=1e-6)
        assert link.usual == pytest.approx(np.mean([weights[pair] for pair in apart]), abs=1e-6)
        others = [weights[1 + place, key] for place in range(len(CELLS)) if 1 + place not in {query, key}]
        assert link.others == pytest.approx(np.mean(others), abs=1e-6)
        assert link.even == pytest.approx(1 / 16)


def test_a_special_token_is_at_no_distance(vit: str, photo: str) -> None:
    links = attn_cli.load(vit).find(image=photo, start="[CLS]", end="r0c0", both=True).links
    assert len(links) == 12
    assert {link.usual for link in links} == {None}


def test_steps_are_those_of_transformers(vit: str, expected: tuple[list[Array], list[Array]]) -> None:
    found = attn_cli.load(vit).explain(image=pixels(), query="r1c2", head="1.2")
    weights, values = expected[0][1][2, 1 + COLUMNS + 2], expected[1][1][:, 22:33]
    np.testing.assert_allclose(found.steps.weights, weights, atol=1e-6)
    shifted = found.steps.scores - found.steps.scores.max()
    np.testing.assert_allclose(np.exp(shifted) / np.exp(shifted).sum(), weights, atol=1e-6)
    assert found.steps.context is not None
    np.testing.assert_allclose(found.steps.context.vector, weights @ values, atol=1e-5)
    assert found.labels[:2] == ("[CLS]", "r0c0")


@pytest.mark.parametrize("width", ["60", "80"])
@pytest.mark.parametrize(
    ("name", "command"),
    {"find": ["find", "r1c2", "r0c4"], "explain": ["explain", "--query", "r1c2"]}.items(),
)
def test_screens(
    attn: Run, vit: str, photo: str, name: str, command: list[str], width: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(vit).parent)
    shown = attn(*command, "--image", photo, "--model", "vit", "--width", width)
    assert_golden(f"{name}-image-{width}", shown)


def test_documents_and_tables(attn: Run, vit: str, photo: str, tmp_path: Path) -> None:
    options = "--image", photo, "--model", vit
    document = validated(attn("find", "r1c2", "r0c4", *options, "--json").encode(), "find")
    assert (document["pairs"][0]["alike"], document["source"]["grid"]["rows"]) == (5, ROWS)
    assert validated(attn("explain", "--query", "r1c2", *options, "--json").encode(), "explain")["source"]["grid"]
    attn("find", "r1c2", "r0c4", *options, "--save", str(tmp_path / "links.csv"))
    assert "patch" in (tmp_path / "links.csv").read_text(encoding="utf-8").splitlines()[1]


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (["find", "The cat", "r0c0", "r0c1"], 2, "A text and --image are both given"),
        (["find", "r0c0"], 2, "FROM and TO are missing"),
        (["find", "r0c0", "r9c9"], 4, "is not in the image"),
        (["find", "r0c0", "r0c1", "--pair", "a"], 2, "--pair cannot be used"),
        (["explain"], 2, "There is no query to explain"),
        (["explain", "--scores", "1,2"], 2, "An image and --scores are both given"),
        (["explain", "--query", "r0c0", "--target", "a"], 2, "--target cannot be used"),
    ],
)
def test_what_is_refused(attn: Run, vit: str, photo: str, command: list[str], code: int, said: str) -> None:
    error = attn(*command, "--image", photo, "--model", vit, code=code)
    assert said in error
    assert error.count("\n") == 1


def test_python_refuses_the_same(vit: str) -> None:
    model = attn_cli.load(vit)
    with pytest.raises(UsageError, match="An image has no text"):
        model.explain("The cat", "cat", image=pixels())
    with pytest.raises(UsageError, match="Neither a text nor an image is given"):
        model.find(start="r0c0", end="r0c1")
    with pytest.raises(UsageError, match="Give both"):
        model.find(image=pixels(), start="r0c0")
    with pytest.raises(SelectionError, match="not in the image"):
        model.find(image=pixels(), start="cat", end="r0c0")
