"""Vision encoders, held against transformers' own eager attention."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoModel

import attn_cli
from attn_cli.data.cuts import CutEdges, EvenHeads, ReplacedHeads, Variation, ZeroedHeads
from attn_cli.data.patches import pixels_of
from attn_cli.data.stream import Block, Request
from attn_cli.errors import InputError, ModelError
from attn_cli.models import Input, Model, load
from attn_cli.models.hf.loading import quiet
from attn_cli.models.hf.trial import TESTED_ON_IMAGES
from attn_cli.models.hf.vision import SPECIAL
from attn_cli.models.images import read_image
from tests.models import folders
from tests.models.vision import (
    COLUMNS,
    FAMILIES,
    PATCH,
    ROWS,
    SETTINGS,
    SIZE,
    SQUARE,
    draw_photo,
    pixels,
    processor,
    read_processor,
    save_vision,
    states_by_hand,
)

EXACT = 1e-6


def test_the_families_are_those_that_are_tested() -> None:
    assert set(FAMILIES) == set(SPECIAL) == TESTED_ON_IMAGES


def reference(folder: Path | str, image: Any) -> Any:
    """Run transformers on an image, with eager attention."""
    with quiet():
        found = read_processor(folder)(image, return_tensors="pt")
        model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
        with torch.no_grad():
            return model(**found, output_attentions=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_are_those_of_transformers(tmp_path: Path, family: str) -> None:
    folder = save_vision(tmp_path / family, family)
    record = attn_cli.load(str(folder)).inspect(image=pixels(), verify=True)
    expected = reference(folder, pixels()).attentions
    assert [map_.layer for map_ in record.maps] == [0, 1]
    for map_ in record.maps:
        assert map_.weights.shape == expected[map_.layer][0].shape
        np.testing.assert_allclose(map_.weights, expected[map_.layer][0].numpy(), atol=EXACT)
    assert record.output is not None
    assert record.output.difference < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_each_patch_is_where_its_label_says(tmp_path: Path, family: str) -> None:
    """A change of one patch's pixels changes the embedding of the position that has its name, and of no other."""
    folder = save_vision(tmp_path / family, family)
    source = attn_cli.load(str(folder)).inspect(image=pixels()).source
    special = FAMILIES[family][1]
    assert source.grid is not None
    assert tuple(token.piece for token in source.tokens[: len(special)]) == special
    with quiet():
        model = AutoModel.from_pretrained(folder)
    embed = next(module for name, module in model.named_modules() if name.endswith("embeddings"))
    image = torch.rand(1, 3, source.grid.rows * PATCH, source.grid.columns * PATCH)
    other = image.clone()
    other[..., 1 * PATCH : 2 * PATCH, 2 * PATCH : 3 * PATCH] += 1
    with torch.no_grad():
        changed = (embed(other) - embed(image)).abs().amax(-1)[0]
    assert [source.tokens[index].piece for index in changed.nonzero()[:, 0].tolist()] == ["r1c2"]


def test_the_hidden_states_are_those_of_the_plain_model(vit: str) -> None:
    from attn_cli.models.hf.vision import ImageSource

    source = load(vit).prepare(Input("", image=read_image(pixels())))
    assert isinstance(source, ImageSource)
    seen: list[torch.Tensor] = []
    hook = source.run.module.register_forward_hook(lambda *given: seen.append(given[2].last_hidden_state))
    source.stream(Request({"encoder": {0: (0, 1, 2), 1: (0,)}}), lambda _: None)
    hook.remove()
    torch.testing.assert_close(seen[0], reference(vit, pixels()).last_hidden_state, atol=1e-5, rtol=0)


def test_the_thumbnail_is_what_the_model_sees(vit: str) -> None:
    """Each of its pixels is the mean of those that the processor makes, in the image's own colours."""
    grid = attn_cli.load(vit).inspect(image=pixels()).source.grid
    assert grid is not None
    assert grid.thumbnail is not None
    with quiet():
        seen = read_processor(vit, do_normalize=False)(pixels(), return_tensors="np")
    found = pixels_of(grid.thumbnail)
    assert found.shape == (ROWS * PATCH, COLUMNS * PATCH, 3)
    assert np.abs(found / 255 - seen["pixel_values"][0].transpose(1, 2, 0)).max() < 0.51 / 255


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_record_keeps_the_grid(vit: str, photo: str, tmp_path: Path, suffix: str) -> None:
    record = attn_cli.load(vit).inspect(image=photo)
    record.save(tmp_path / f"record{suffix}")
    again = attn_cli.view(tmp_path / f"record{suffix}")
    assert again.source == record.source
    assert again.source.grid is not None
    assert (again.source.grid.rows, again.source.grid.columns, again.source.grid.name) == (ROWS, COLUMNS, "photo.png")
    for one, other in zip(again.maps, record.maps, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)


def test_texts_are_for_text_models_and_images_for_vision_models(vit: str, minilm: str) -> None:
    with pytest.raises(InputError, match="reads images, not text"):
        attn_cli.load(vit).inspect("The cat")
    for model in (minilm, "toy"):
        with pytest.raises(InputError, match="reads text, not images"):
            attn_cli.load(model).inspect(image=pixels())


def test_a_larger_image_stretches_positions(tmp_path: Path) -> None:
    """A processor that does not scale to the size that the model was trained on needs positions between its own."""
    folder = save_vision(tmp_path / "vit", "vit", image_size=COLUMNS * PATCH)
    with quiet():
        processor((ROWS * PATCH, 7 * PATCH)).save_pretrained(folder)
    record = attn_cli.load(str(folder)).inspect(image=str(draw_photo(tmp_path / "photo.png")))
    assert record.source.grid is not None
    assert (record.source.grid.rows, record.source.grid.columns) == (ROWS, 7)
    assert any("stretched" in note for note in record.notes)
    with quiet():
        found = read_processor(folder)(pixels(), return_tensors="pt")
        model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
        with torch.no_grad():
            expected = model(**found, interpolate_pos_encoding=True, output_attentions=True).attentions
    np.testing.assert_allclose(record.maps[1].weights, expected[1][0].numpy(), atol=EXACT)


def test_norms_of_a_larger_image(tmp_path: Path) -> None:
    """Whether its positions are stretched is one value, and no axis of its pixels is one of tokens."""
    folder = save_vision(tmp_path / "vit", "vit", image_size=COLUMNS * PATCH)
    with quiet():
        processor((ROWS * PATCH, 7 * PATCH)).save_pretrained(folder)
    source = load(str(folder)).prepare(Input("", image=read_image(pixels())))
    blocks: list[Block] = []
    source.stream(Request({"encoder": {1: (0, 1, 2)}}, norms=True), blocks.append)
    values: list[torch.Tensor] = []
    with quiet():
        found = read_processor(folder)(pixels(), return_tensors="pt")
        model = AutoModel.from_pretrained(folder).eval()
    attention = model.layers[1].attention
    attention.v_proj.register_forward_hook(lambda _, __, output: values.append(output[0]))
    with torch.no_grad():
        model(**found, interpolate_pos_encoding=True)
    of_heads = values[0].reshape(-1, 3, 11).transpose(0, 1)
    matrix = attention.o_proj.weight.detach().T.reshape(3, 11, -1)
    assert blocks[0].norms is not None
    np.testing.assert_allclose(blocks[0].norms, (of_heads @ matrix).norm(dim=2), rtol=1e-4)


@pytest.mark.parametrize(("settings", "size"), [({}, (28, 24)), ({"image_size": (8, 32)}, (16, 16))])
def test_positions_of_no_square_are_not_stretched(
    tmp_path: Path, settings: dict[str, Any], size: tuple[int, int]
) -> None:
    """transformers takes them for those of a square: of 2 rows of 8 patches, it would mix up the rows."""
    folder = save_vision(tmp_path / "vit", "vit", **settings)
    with quiet():
        processor(size).save_pretrained(folder)
    with pytest.raises(ModelError, match=r"only the positions of a square can be stretched to \d+ x \d+"):
        attn_cli.load(str(folder)).inspect(image=pixels())


def test_positions_that_are_distances_are_stretched_from_any_grid(tmp_path: Path) -> None:
    folder = save_vision(tmp_path / "beit", "beit")
    with quiet():
        processor((26, 25)).save_pretrained(folder)
        found = read_processor(folder)(pixels(), return_tensors="pt")
        model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
        with torch.no_grad():
            expected = model(**found, interpolate_pos_encoding=True, output_attentions=True).attentions
    record = attn_cli.load(str(folder)).inspect(image=pixels())
    np.testing.assert_allclose(record.maps[1].weights, expected[1][0].numpy(), atol=EXACT)
    assert "Pixels that make no whole patch are left out: 2 rows at the bottom, 1 column at the right" in record.notes


def test_a_model_of_grey_images_reads_lightness(tmp_path: Path) -> None:
    folder = save_vision(tmp_path / "vit", "vit", num_channels=1)
    light = np.asarray(Image.fromarray(pixels()).convert("L"))[..., None]
    with quiet():
        own = processor(SIZE, image_mean=[0.4], image_std=[0.3])
        own.save_pretrained(folder)
        model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
        with torch.no_grad():
            seen = own(light, return_tensors="pt", input_data_format="channels_last")
            expected = model(**seen, output_attentions=True).attentions
    record = attn_cli.load(str(folder)).inspect(image=pixels())
    np.testing.assert_allclose(record.maps[1].weights, expected[1][0].numpy(), atol=5e-3)
    assert record.source.grid is not None
    assert record.source.grid.thumbnail is not None
    shown = pixels_of(record.source.grid.thumbnail)
    assert (shown == shown[..., :1]).all()


def test_the_thumbnail_of_a_model_that_reads_blue_first_is_in_the_image_s_colours(vit: str, tmp_path: Path) -> None:
    with quiet():
        from transformers import MobileViTImageProcessor

        model = AutoModel.from_pretrained(vit)
        flipping = MobileViTImageProcessor(
            size={"shortest_edge": COLUMNS * PATCH}, crop_size={"height": SIZE[0], "width": SIZE[1]}
        )
    grid = attn_cli.wrap(model, flipping).inspect(image=np.full((30, 40, 3), (200, 100, 10), np.uint8)).source.grid
    assert grid is not None
    assert grid.thumbnail is not None
    assert (pixels_of(grid.thumbnail) == (200, 100, 10)).all()


@pytest.mark.parametrize(("family", "said"), [("swin", "windows"), ("vit_mae", "hides"), ("segformer", "joined")])
def test_what_has_no_one_grid_is_refused(tmp_path: Path, family: str, said: str) -> None:
    folder = save_vision(tmp_path / "model", "vit")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"model_type": family, "architectures": None}))
    with pytest.raises(ModelError, match=f"of the family {family}: .*{said}"):
        attn_cli.load(str(folder))


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_the_vision_half_of_a_model_of_both(tmp_path: Path, family: str) -> None:
    """An image shows its vision half, and a text its text half."""
    seen = SETTINGS | SQUARE
    text = {"hidden_size": 30, "num_hidden_layers": 1, "num_attention_heads": 5, "intermediate_size": 17}
    config = AutoConfig.for_model(family, vision_config=seen, text_config=text | {"vocab_size": 99})
    model: Any = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    folders.save(tmp_path, model, folders.wordpiece())
    with quiet():
        processor((COLUMNS * PATCH, COLUMNS * PATCH)).save_pretrained(tmp_path)
    loaded = attn_cli.load(str(tmp_path))
    record = loaded.inspect(image=pixels(), verify=True)
    assert (record.model.family, record.model.stacks["encoder"].total) == (f"{family}_vision_model", 6)
    with quiet(), torch.no_grad():
        found = read_processor(tmp_path)(pixels(), return_tensors="pt")
        vision = AutoModel.from_pretrained(tmp_path, attn_implementation="eager").vision_model.eval()
        expected = vision(**found, output_attentions=True).attentions
    np.testing.assert_allclose(record.maps[1].weights, expected[1][0].numpy(), atol=EXACT)
    assert loaded.inspect("the suit").model.family == f"{family}_text_model"


def test_a_model_in_memory_with_its_image_processor(vit: str, photo: str) -> None:
    with quiet():
        model = AutoModel.from_pretrained(vit, attn_implementation="eager")
    found = attn_cli.wrap(model, read_processor(vit)).inspect(image=photo)
    expected = attn_cli.load(vit).inspect(image=photo)
    np.testing.assert_array_equal(found.maps[1].weights, expected.maps[1].weights)


def states_after(model: Model, cuts: list[Variation]) -> list[np.ndarray]:
    """The last states with each of some cuts, as attn computes them."""
    found = dict(model.run(model.prepare(Input("", image=read_image(pixels()))), cuts))
    return [states for states in (found[index].states for index in range(len(cuts))) if states is not None]


@pytest.mark.parametrize("family", FAMILIES)
def test_cuts_are_those_made_by_hand(tmp_path: Path, family: str) -> None:
    """A head without its part of the output projection, one of even scores, an edge whose score is masked."""
    folder = save_vision(tmp_path / family, family)
    cuts: list[Variation] = [
        (),
        (ZeroedHeads("encoder", 1, (2,)),),
        (EvenHeads("encoder", 0, (1,)),),
        (CutEdges("encoder", 0, (0, 2), edges=((3, 4), (3, 5))),),
        (ZeroedHeads("encoder", 0, (0,)),),
    ]

    def even(layer: int, scores: torch.Tensor) -> None:
        if layer == 0:
            scores[:, 1] = 0

    def masked(layer: int, scores: torch.Tensor) -> None:
        if layer == 0:
            scores[:, [0, 2], 3, 4:6] = -torch.inf

    expected = [
        states_by_hand(folder),
        states_by_hand(folder, zeroed=(1, 2)),
        states_by_hand(folder, even),
        states_by_hand(folder, masked),
        states_by_hand(folder, zeroed=(0, 0)),
    ]
    found = states_after(load(str(folder)), cuts)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)
    assert all(np.abs(one - found[0]).max() > 1e-2 for one in found[1:])


def test_means_of_heads_are_those_of_their_outputs(vit: str) -> None:
    """A head replaced by its own outputs changes nothing; by their mean, as much as by hand."""
    model = load(vit)
    outputs: dict[int, np.ndarray] = {}
    source = model.prepare(Input("", image=read_image(pixels())))
    model.contexts(source, lambda _, layer, sums: outputs.update({layer: sums}))
    seen = reference(vit, pixels())
    assert outputs[1].shape == (3, 1 + ROWS * COLUMNS, 11)
    same, mean = (
        ReplacedHeads("encoder", 1, (2,), vectors=one) for one in (outputs[1][2:], outputs[1][2:].mean(1)[:, None])
    )
    plain, again, averaged = states_after(model, [(), (same,), (mean,)])
    np.testing.assert_allclose(again, plain, atol=1e-5)
    np.testing.assert_allclose(plain, seen.last_hidden_state[0].numpy(), atol=1e-5)
    assert np.abs(averaged - plain).max() > 1e-2


def test_a_stretched_image_can_be_cut(tmp_path: Path) -> None:
    """The option that says that positions are stretched is one value, for all runs of a batch."""
    folder = save_vision(tmp_path / "vit", "vit", image_size=COLUMNS * PATCH)
    with quiet():
        processor((ROWS * PATCH, 7 * PATCH)).save_pretrained(folder)
    zeroed = ZeroedHeads("encoder", 0, (1,))
    model = load(str(folder))
    found = states_after(model, [(), (zeroed,), (ZeroedHeads("encoder", 1, (1,)),)])
    np.testing.assert_allclose(found[1], states_after(model.without({"encoder": {0: (1,)}}), [()])[0], atol=1e-5)


def test_an_image_of_another_model_is_not_run(vit: str, photo: str) -> None:
    one, other = load(vit), load(vit)
    source = one.prepare(Input("", image=read_image(photo)))
    with pytest.raises(InputError, match="was not prepared by"):
        next(other.run(source, [()]))
