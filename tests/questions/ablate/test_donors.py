"""Heads' outputs replaced by means and by those of another text, held against hooks in plain transformers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import attn_cli
from attn_cli.api import Inspector
from attn_cli.data.selection import Selection
from attn_cli.errors import AttnError, InputError, UsageError
from attn_cli.models import Input, LoadOptions, Model
from attn_cli.models.hf.checkpoint import examine
from attn_cli.models.hf.from_checkpoint import load as load_pretrained
from attn_cli.models.toy.folder import built_in
from attn_cli.questions.ablate.choices import CutChoice, DonorChoice, Instead, OutputChoice
from attn_cli.questions.ablate.donors import Means, mean_outputs, probe_name, probe_texts
from attn_cli.questions.ablate.measure import ablate
from attn_cli.questions.ablate.trials import Ablation
from tests.models import marian
from tests.questions.ablate.models import FRANCE, SMALL, TROPHY, decoder, masked, minilm, smollm2, toy

ITALY = "The capital of Italy is"
OTHERS = ["The cat sat on the mat", "It was tired because it did not fit", "The trophy was big"]
MEAN, RESAMPLE = CutChoice("mean"), CutChoice("resample")

Dense = Callable[[Any, int], torch.nn.Module]
DENSE: dict[str, tuple[Callable[[], Model], Dense, int]] = {
    "gpt2": (decoder, lambda model, layer: model.h[layer].attn.c_proj, 8),
    "bert": (masked, lambda model, layer: model.encoder.layer[layer].attention.output.dense, 8),
    "minilm": (minilm, lambda model, layer: model.encoder.layer[layer].attention.output.dense, 32),
    "smollm2": (smollm2, lambda model, layer: model.layers[layer].self_attn.o_proj, 64),
}


@cache
def in_torch() -> Model:
    """The built-in model as transformers computes it."""
    return load_pretrained(examine("marian", built_in("toy"), LoadOptions()), LoadOptions())


@contextmanager
def hooked(module: torch.nn.Module, change: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Change what enters the output projection of a layer's heads."""
    handle = module.register_forward_pre_hook(lambda _, given: (change(given[0]), *given[1:]))
    yield
    handle.remove()


def states(model: Any, text: str) -> torch.Tensor:
    source = model.prepare(Input(text))
    with torch.no_grad():
        found: torch.Tensor = model.model(**source.inputs).last_hidden_state[0].double()
    return found


def entering(model: Any, dense: torch.nn.Module, text: str, part: slice) -> torch.Tensor:
    """The slice of a head in what enters the output projection."""
    seen: list[torch.Tensor] = []

    def keep(given: torch.Tensor) -> torch.Tensor:
        seen.append(given[0, :, part].clone())
        return given

    with hooked(dense, keep):
        states(model, text)
    return seen[0]


def with_slice(model: Any, dense: torch.nn.Module, text: str, part: slice, vectors: torch.Tensor) -> torch.Tensor:
    """The last states with vectors in the place of a head's slice."""

    def put(given: torch.Tensor) -> torch.Tensor:
        changed = given.clone()
        changed[0, :, part] = vectors
        return changed

    with hooked(dense, put):
        return states(model, text)


def turned(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(1 - torch.nn.functional.cosine_similarity(one.mean(0), other.mean(0), dim=0))


def replaced(
    model: Model, text: str, head: str, instead: Instead, donor: Means | str, *, output: str = "states", **given: Any
) -> Ablation:
    choice = OutputChoice("states") if output == "states" else OutputChoice(**given.pop("choice", {}))
    return ablate(model, Input(text, **given), Selection(head=head), choice, CutChoice(instead), donor=donor)


@pytest.mark.parametrize("name", DENSE)
def test_a_mean_is_that_of_the_slices_that_enter_the_output_projection(name: str) -> None:
    load, dense_of, size = DENSE[name]
    model: Any = load()
    means = mean_outputs(model, [Input(text) for text in OTHERS], Selection(layer="1"), "others")
    assert (means.donor.texts, means.donor.several) == (3, True)
    dense, part = dense_of(model.model, 1), slice(2 * size, 3 * size)
    slices = [entering(model, dense, text, part) for text in OTHERS]
    assert means.donor.tokens == sum(map(len, slices))
    mean = torch.cat(slices).mean(dim=0)
    kind = next(iter(model.info.stacks))
    np.testing.assert_allclose(means.vectors[kind, 1][2, 0], mean, atol=1e-5)
    text = "The suitcase was too big"
    found = replaced(model, text, "1.2", "mean", means)
    expected = turned(states(model, text), with_slice(model, dense, text, part, mean))
    assert found.trials[0].effect == pytest.approx(expected, abs=1e-5)
    assert found.donor == means.donor


@pytest.mark.parametrize("name", DENSE)
def test_a_head_is_given_its_output_in_another_text_position_by_position(name: str) -> None:
    load, dense_of, size = DENSE[name]
    model: Any = load()
    text, other = "the trophy was too big", "the trophy too was big"
    dense, part = dense_of(model.model, 1), slice(2 * size, 3 * size)
    found = replaced(model, text, "1.2", "resample", other)
    here, there = states(model, text), states(model, other)
    after = with_slice(model, dense, text, part, entering(model, dense, other, part))
    assert found.trials[0].effect == pytest.approx(turned(here, after), abs=1e-5)
    line = there.mean(0) - here.mean(0)
    share = float((after.mean(0) - here.mean(0)) @ line / (line @ line))
    assert found.trials[0].moved == pytest.approx(share, abs=1e-3)
    assert found.other is not None
    assert found.other.figures.whole == pytest.approx(turned(here, there), abs=1e-5)
    assert found.other.text == other


def test_the_pronoun_turns_with_one_heads_output_in_the_other_text() -> None:
    """The reference is MarianMT, with the slice of the head in the other text."""
    found = replaced(toy(), TROPHY, "2.0", "resample", SMALL, output="words")
    (trial,) = found.trials
    assert found.output.apart is not None
    assert found.output.apart.names == ("il", "elle")
    target = marian.written(TROPHY)
    place = marian.place_of("il", target)
    answers = [marian.ids_of(target)[place], marian.ids_of(marian.written(SMALL))[place]]

    def plain(text: str) -> torch.Tensor:
        return marian.log_probabilities(text, target)[place, answers]

    patch = marian.slice_of(2, 0, SMALL)
    here, there = plain(TROPHY), plain(SMALL)
    with marian.slices_changed("encoder", 2, (0,), lambda _: patch):
        after = plain(TROPHY)
        assert trial.translation == marian.written(TROPHY)
    assert trial.after.answers == pytest.approx(after.exp().tolist(), abs=1e-4)
    lead = [float(one[0] - one[1]) for one in (here, there, after)]
    assert trial.moved == pytest.approx((lead[2] - lead[0]) / (lead[1] - lead[0]), abs=1e-3)
    assert trial.moved is not None
    assert trial.moved > 0.8
    assert trial.translation.endswith("elle était trop grande")
    assert found.other is not None
    assert found.other.translation == marian.written(SMALL)
    assert found.text_before == target
    assert target.endswith("il était trop grand")
    assert found.other.translation.endswith("elle était trop petite")


@pytest.mark.parametrize(
    ("kind", "head"), [("encoder", "2.0"), ("encoder", "1.3"), ("cross", "2.5"), ("decoder", "1.1")]
)
def test_the_built_in_model_and_its_copy_in_transformers_are_patched_alike(kind: Any, head: str) -> None:
    (translation,) = toy().translate([TROPHY])
    ours, theirs = (
        ablate(
            model, Input(TROPHY, target=translation.text), Selection(kind=kind, head=head), cut=RESAMPLE, donor=SMALL
        )
        for model in (toy(), in_torch())
    )
    np.testing.assert_allclose(ours.trials[0].after.words, theirs.trials[0].after.words, atol=1e-4)
    assert ours.trials[0].moved == pytest.approx(theirs.trials[0].moved, abs=1e-3)
    assert ("translated again" in " ".join(ours.notes)) == (kind != "encoder")


def test_a_mean_over_translations_of_the_built_in_model_is_that_of_its_copy() -> None:
    texts = [Input(text) for text in OTHERS[:2]]
    ours, theirs = (mean_outputs(model, texts, Selection(), "others") for model in (toy(), in_torch()))
    assert ours.donor == theirs.donor
    assert (
        ours.vectors.keys()
        == theirs.vectors.keys()
        == {(kind, layer) for kind in toy().info.stacks for layer in range(3)}
    )
    for place, vectors in ours.vectors.items():
        np.testing.assert_allclose(vectors, theirs.vectors[place], atol=1e-4)
    encoder = mean_outputs(toy(), texts, Selection(kind="encoder"), "others")
    assert {kind for kind, _ in encoder.vectors} == {"encoder"}
    assert encoder.donor.tokens < ours.donor.tokens  # nothing was translated


def test_the_capital_of_italy() -> None:
    model = smollm2()
    found = replaced(
        model, FRANCE, "23.4", "resample", ITALY, output="words", target=" Paris", choice={"against": " Rome"}
    )
    (trial,) = found.trials
    assert found.before.whole == pytest.approx(7.31, abs=0.05)
    assert trial.after.whole == pytest.approx(-5.46, abs=0.05)
    assert found.other is not None
    assert trial.moved == pytest.approx(trial.effect / (found.other.figures.whole - found.before.whole), abs=1e-4)
    assert trial.moved == pytest.approx(0.96, abs=0.02)
    assert trial.after.top[0].text == " Rome"
    following = replaced(model, FRANCE, "23.4", "resample", ITALY, output="words")
    assert following.output.apart is not None
    assert following.output.apart.names == (" Paris", " Rome")
    assert following.trials[0].moved == pytest.approx(trial.moved, abs=1e-3)
    assert not following.output.comparable
    single = replaced(model, FRANCE, "23.4", "resample", ITALY, output="words", target=" Paris")
    assert single.other is not None
    assert np.exp(single.other.figures.whole) == pytest.approx(0.004, abs=0.01)


def test_masks_of_both_texts_are_filled() -> None:
    model = masked()
    asked = {"output": "words", "target": "big"}
    same = replaced(model, "the trophy was too [MASK]", "1.0", "resample", "the trophy was too [MASK]", **asked)
    assert same.trials[0].effect == pytest.approx(0, abs=1e-5)
    assert same.trials[0].moved is None
    filled, written = (
        replaced(model, "the trophy was too [MASK]", "1.0", "resample", f"the trophy was it {word}", **asked)
        for word in ("big", "[MASK]")
    )
    assert filled.trials[0].effect == pytest.approx(written.trials[0].effect, abs=1e-6)
    with pytest.raises(InputError, match="in different places"):
        replaced(model, "the trophy was too [MASK]", "1.0", "resample", "the [MASK] was too big", **asked)


def test_texts_that_probe_heads_have_means_too() -> None:
    for model, texts in ((decoder(), 16 + 300), (toy(), 300)):
        found = list(probe_texts(model, Input(""), 0))
        assert len(found) == texts
    means = mean_outputs(decoder(), found_few(decoder()), Selection(), probe_name(3))
    assert means.donor.name == "the probe (seed 3)"
    assert means.vectors["decoder", 1].shape == (3, 1, 8)


def found_few(model: Model) -> Sequence[Any]:
    return list(probe_texts(model, Input(""), 3))[:20:4]


BAD: list[tuple[Callable[[], Model], dict[str, Any], type[AttnError], str]] = [
    (toy, {"text": TROPHY, "from_text": "The cat sat"}, InputError, "13 tokens and that of --from-text 4"),
    (toy, {"text": TROPHY, "from_text": ""}, UsageError, "--from-text is empty"),
    (toy, {"text": TROPHY}, UsageError, "Name the text with --from-text"),
    (toy, {"text": TROPHY, "from_text": ["a", "b"]}, UsageError, "--from-file names several"),
    (toy, {"text": [TROPHY], "from_text": ["a", "b"]}, UsageError, "1 texts need as many"),
    (toy, {"text": TROPHY, "from_text": SMALL, "instead": "even"}, UsageError, "Add --with mean"),
    (toy, {"text": TROPHY, "from_text": SMALL, "from_probe": True}, UsageError, "Give one of them"),
    (toy, {"text": [TROPHY], "from_text": [SMALL], "from_probe": True}, UsageError, "Give one of them"),
    (toy, {"text": TROPHY, "from_text": [], "instead": "mean"}, InputError, "There are no texts"),
    (toy, {"text": [TROPHY], "head": "2.0", "instead": "mean"}, UsageError, "Ablate the texts singly"),
    (decoder, {"text": "all you need", "from_text": "Attention is all you need"}, InputError, "choose --with mean"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "asked", "kind", "message"), BAD)
def test_what_cannot_be_replaced_is_told_in_one_line(
    model: Callable[[], Model], asked: dict[str, Any], kind: type[AttnError], message: str
) -> None:
    with pytest.raises(kind, match=re.escape(message)) as raised:
        Inspector(model()).ablate(**{"instead": "resample", **asked})
    assert "\n" not in str(raised.value)


def test_decoder_heads_are_patched_whatever_the_length_of_the_other_text() -> None:
    """Both texts have the same target, so the rows of its decoder correspond."""
    model = attn_cli.load("toy")
    found = model.ablate(
        TROPHY, instead="resample", from_text="The trophy didn't fit because it was small", kind="cross"
    )
    assert len(found.trials) == 24
    assert max(abs(trial.effect) for trial in found.trials) > 0.1


def test_choices_of_a_donor_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="both name texts"):
        DonorChoice("a", "b").check("mean")
    DonorChoice("a").check("mean")
    DonorChoice().check(None)
