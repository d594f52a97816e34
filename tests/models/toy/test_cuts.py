"""Cuts in the built-in models: what they do, and that MarianMT with the same weights does the same."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest

from attn_cli.data.cuts import CutEdges, EvenHeads, ReplacedHeads, Variation, ZeroedHeads
from attn_cli.data.outcomes import Wanted
from attn_cli.data.selection import Kind
from attn_cli.errors import InputError, ModelError, SelectionError
from attn_cli.models import Decoding, Input, LoadOptions, Model, load
from attn_cli.models.hf.checkpoint import examine
from attn_cli.models.hf.from_checkpoint import load as load_pretrained
from attn_cli.models.toy.folder import built_in
from tests.models import marian
from tests.models.contexts import contexts_of

TROPHY = "The trophy didn't fit in the suitcase because it was too small"
IT, TROPHY_AT, SUITCASE_AT = 8, 1, 6
HEADS: list[tuple[Kind, int, int]] = [
    (kind, layer, head) for kind in ("encoder", "decoder", "cross") for layer in range(3) for head in range(8)
]


def edge(query: int, key: int) -> Variation:
    return (CutEdges("encoder", 2, (0,), edges=((query, key),)),)


@cache
def toy() -> Model:
    return load("toy")


@cache
def in_torch() -> Model:
    """The toy's folder, read as what it is: a MarianMT checkpoint."""
    return load_pretrained(examine("marian", built_in("toy"), LoadOptions()), LoadOptions())


VARIATIONS: list[Variation] = [
    (),
    edge(IT, SUITCASE_AT),
    edge(IT, TROPHY_AT),
    (ZeroedHeads("encoder", 2, (0,)),),
    (EvenHeads("encoder", 2, (0,)),),
    (ZeroedHeads("cross", 2),),
    (CutEdges("cross", 1, (0, 3), edges=((4, 5), (5, 6))), CutEdges("decoder", 0, edges=((4, 2), (9, 8)))),
    (ReplacedHeads("decoder", 1, (2, 5), vectors=np.ones((2, 1, 32), np.float32)), EvenHeads("decoder", 2)),
    (CutEdges("encoder", 0, edges=tuple((3, key) for key in range(13))),),
]


@pytest.mark.parametrize("beam", [1, 4])
def test_an_edge_of_one_head_decides_on_the_pronoun(beam: int) -> None:
    """The reference is MarianMT, with minus infinity at that place of a mask."""
    translated = toy().translate([TROPHY] * 3, decoding=Decoding(beam=beam), variations=VARIATIONS[:3])
    texts = [one.text for one in translated]
    assert texts[0].endswith("parce qu'elle était trop petite")
    assert texts[1].endswith("parce qu'il était trop petit")
    assert texts[2] == texts[0] == marian.written(TROPHY, beam=beam)
    with marian.edge_cut(2, 0, IT, SUITCASE_AT):
        assert texts[1] == marian.written(TROPHY, beam=beam)


def test_one_head_of_all_decides_on_the_pronoun() -> None:
    """The reference is MarianMT, with the slice of a head zeroed before its output projection."""
    (translation,) = toy().translate([TROPHY])
    source = toy().prepare(Input(TROPHY, target=translation))
    elle = marian.place_of("elle", translation.text)
    variations: list[Variation] = [(), *((ZeroedHeads(kind, layer, (head,)),) for kind, layer, head in HEADS)]
    found: dict[int, Any] = dict(toy().run(source, variations))
    steps = np.arange(len(found[0].tokens)), marian.ids_of(translation.text)
    for kind, layer, head in HEADS[::23]:
        with marian.slices_zeroed({kind: {layer: (head,)}}):
            expected = marian.log_probabilities(TROPHY, translation.text)[steps]
        np.testing.assert_allclose(found[1 + HEADS.index((kind, layer, head))].tokens, expected, atol=1e-4)
    chances = {place: np.exp(found[1 + index].tokens[elle]) for index, place in enumerate(HEADS)}
    with marian.slices_zeroed({"encoder": {2: (0,)}}):
        expected = marian.log_probabilities(TROPHY, translation.text)[steps]
    assert chances.pop(("encoder", 2, 0)) == pytest.approx(float(expected[elle].exp()), abs=1e-4)
    whole = np.exp(found[0].tokens[elle])
    assert expected[elle].exp() < whole - 0.3
    assert min(chances.values()) > expected[elle].exp() + 0.2


def test_marian_has_the_same_outputs_under_the_same_cuts() -> None:
    (translation,) = toy().translate([TROPHY])
    wanted = Wanted("target", places=(0, 5))
    ours: dict[int, Any] = dict(toy().run(toy().prepare(Input(TROPHY, target=translation)), VARIATIONS, wanted))
    theirs: dict[int, Any] = dict(
        in_torch().run(in_torch().prepare(Input(TROPHY, target=translation)), VARIATIONS, wanted)
    )
    assert sorted(ours) == sorted(theirs) == list(range(len(VARIATIONS)))
    for index, output in theirs.items():
        np.testing.assert_allclose(ours[index].tokens, output.tokens, atol=2e-5)
        np.testing.assert_allclose(ours[index].logits, output.logits, atol=2e-5, rtol=1e-5)
        assert ours[index].notes == output.notes
        assert bool(output.notes) == (index == len(VARIATIONS) - 1)
    plain = ours[0].tokens
    changed = [index for index in range(1, len(VARIATIONS)) if np.abs(ours[index].tokens - plain).max() > 1e-5]
    assert changed == [index for index in range(1, len(VARIATIONS)) if VARIATIONS[index] != VARIATIONS[2]]


@pytest.mark.parametrize("beam", [1, 4])
def test_marian_has_the_same_translations_under_the_same_cuts(beam: int) -> None:
    texts = [TROPHY, "The cat sat on the table.", *([TROPHY] * (len(VARIATIONS) - 2))]
    given: dict[str, Any] = {"decoding": Decoding(beam=beam), "variations": VARIATIONS}
    ours, theirs = (model.translate(texts, **given) for model in (toy(), in_torch()))
    assert [one.ids for one in ours] == [one.ids for one in theirs]
    alone = [
        toy().translate([text], **given | {"variations": [cut]})[0] for text, cut in zip(texts, VARIATIONS, strict=True)
    ]
    assert [one.ids for one in alone] == [one.ids for one in ours]
    assert [bool(one.notes) for one in ours] == [False] * (len(VARIATIONS) - 1) + [True]
    after = toy().translate([TROPHY])[0].ids
    assert after == in_torch().translate([TROPHY])[0].ids == ours[0].ids or beam > 1


def test_the_sums_of_another_text_are_put_in_a_heads_place() -> None:
    """A head that is given what it computes itself changes nothing; with another text's sums, it does."""
    (translation,) = toy().translate([TROPHY])
    source = toy().prepare(Input(TROPHY, target=translation))
    own = contexts_of(toy().contexts, source)
    other = contexts_of(toy().contexts, toy().prepare(Input(TROPHY.replace("small", "big"), target=translation)))
    variations: list[Variation] = [
        (),
        *((ReplacedHeads(kind, layer, (head,), vectors=own[kind, layer][[head]]),) for kind, layer, head in HEADS[::7]),
        (ReplacedHeads("encoder", 2, (0,), vectors=other["encoder", 2][[0]]),),
    ]
    found: dict[int, Any] = dict(toy().run(source, variations))
    for index in range(1, len(variations) - 1):
        np.testing.assert_allclose(found[index].tokens, found[0].tokens, atol=1e-6)
    assert np.abs(found[len(variations) - 1].tokens - found[0].tokens).max() > 1
    theirs = contexts_of(in_torch().contexts, in_torch().prepare(Input(TROPHY, target=translation)))
    assert theirs.keys() == own.keys()
    for place, sums in own.items():
        np.testing.assert_allclose(theirs[place], sums, atol=1e-5)


def test_additive_attention_is_cut_in_the_same_ways() -> None:
    model = load("toy-rnn-attention")
    (translation,) = model.translate([TROPHY])
    source = model.prepare(Input(TROPHY, target=translation))
    own = contexts_of(model.contexts, source)["cross", 0]
    variations: list[Variation] = [
        (),
        (ReplacedHeads("cross", 0, vectors=own),),
        (ZeroedHeads("cross", 0),),
        (EvenHeads("cross", 0),),
        (CutEdges("cross", 0, edges=((3, 2), (3, 3), (40, 2))),),
        (CutEdges("cross", 0, edges=tuple((3, key) for key in range(13))),),
    ]
    found: dict[int, Any] = dict(model.run(source, variations))
    plain = found[0].tokens
    np.testing.assert_allclose(found[1].tokens, plain, atol=1e-5)
    assert found[5].notes
    for index in range(2, 6):
        assert np.abs(found[index].tokens - plain).max() > 1e-4
        # Up to the step that is cut first, nothing changes.
        np.testing.assert_allclose(found[index].tokens[: 3 * (index > 3)], plain[: 3 * (index > 3)], atol=1e-6)
    together = model.translate([TROPHY] * 6, decoding=Decoding(beam=3), variations=variations)
    for variation, one in zip(variations, together, strict=True):
        assert model.translate([TROPHY], decoding=Decoding(beam=3), variations=[variation])[0].ids == one.ids


def test_what_cannot_be_cut_or_measured_is_told() -> None:
    source = toy().prepare(Input(TROPHY))
    with pytest.raises(InputError, match="no target to measure"):
        next(toy().run(source, [()]))
    with pytest.raises(ModelError, match="no output of the kind states"):
        next(toy().run(source, [()], Wanted("states")))
    with pytest.raises(SelectionError, match=r"no head 1\.8 to cut"):
        toy().translate([TROPHY], variations=[(ZeroedHeads("cross", 1, (8,)),)])
    with pytest.raises(SelectionError, match=r"no cross layer 7 with attention to cut\. The layers .* are 0-2\."):
        toy().translate([TROPHY], variations=[(ZeroedHeads("cross", 7),)])
    with pytest.raises(SelectionError, match=r"no cross attention to cut\. This model has no attention"):
        load("toy-rnn").translate([TROPHY], variations=[(ZeroedHeads("cross", 0),)])
    cut = ReplacedHeads("encoder", 1, (2, 5), vectors=np.ones((2, 1, 16), np.float32))
    for model in (toy(), in_torch()):
        with pytest.raises(ModelError, match="vectors of 32 numbers, but 2 x 1 x 16 are given"):
            next(model.run(model.prepare(Input(TROPHY, target="Le chat")), [(cut,)]))
    with pytest.raises(InputError, match="not prepared by marian"):
        next(in_torch().run(source, [()]))


def test_neither_torch_nor_transformers_is_imported() -> None:
    script = f"""
import json, sys
from attn_cli.data.cuts import ZeroedHeads
from attn_cli.models import Input, load
model = load("toy")
cut = (ZeroedHeads("encoder", 2, (0,)),)
(written,) = model.translate([{TROPHY!r}], variations=[cut])
list(model.run(model.prepare(Input({TROPHY!r}, target=written)), [(), cut]))
print(json.dumps(sorted({{"torch", "transformers"}} & sys.modules.keys())))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert json.loads(done.stdout) == []
