"""Tests of the effects of cuts on outputs: known answers of trained models, and runs without attn."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch

import attn_cli
from attn_cli.data.selection import Selection
from attn_cli.draw.page import to_text
from attn_cli.draw.screen import Screen
from attn_cli.errors import AttnError, InputError, ModelError, SelectionError, UsageError
from attn_cli.models import Input, Model, load, translate_one
from attn_cli.models.hf.model import Pretrained
from attn_cli.questions.ablate.choices import CutChoice, OutputChoice
from attn_cli.questions.ablate.cutting import bands, keys_of
from attn_cli.questions.ablate.draw import draw
from attn_cli.questions.ablate.measure import ablate
from attn_cli.questions.ablate.reader import read_output
from attn_cli.questions.ablate.trials import ROUNDING, Ablation, CutTrial, beyond_rounding, rank_correlation
from tests.golden_files import assert_golden
from tests.models import folders, marian, translators
from tests.models.families import spread
from tests.questions.ablate.models import FRANCE, SMALL, TROPHY, decoder, masked, minilm, smollm2, toy


def cut(
    model: Model,
    text: str,
    *edges: str,
    output: OutputChoice = OutputChoice(),  # noqa: B008
    target: str | None = None,
    by: Any = None,
    instead: Any = None,
    **selection: Any,
) -> Ablation:
    given = Input(text, target=target)
    return ablate(model, given, Selection(**selection), output, CutChoice(instead, edges, by))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_effects_that_rounding_makes_are_ranked_alike(dtype: str) -> None:
    noise = ROUNDING[dtype] * np.random.default_rng(3).uniform(-0.99, 0.99, 11)
    found = []
    for order in (slice(None), slice(None, None, -1)):
        effects = [0.3, *noise[order].tolist()]
        ranked = [abs(beyond_rounding(effect, dtype)) for effect in effects]
        found.append(rank_correlation(list(zip(np.linspace(1, 0, 12), ranked, strict=True))))
    # One key of n stands out on both sides, and all other effects are tied: the coefficient is sqrt(3 / (n + 1)).
    assert found == pytest.approx([math.sqrt(3 / 13)] * 2)
    assert beyond_rounding(-0.3, dtype) == -0.3
    assert rank_correlation([(1.0, 0.0), (0.5, 0.0), (0.2, 0.0)]) is None


def test_a_head_that_looks_at_one_word_has_the_correlation_of_that_word_alone() -> None:
    """Head 2.0 gives *cat* or *trophy* all of its weight; cutting another key changes the output by rounding only."""
    texts = ["The trophy didn't fit because it was big", "The cat slept because it was tired"]
    found = attn_cli.load("toy").ablate(texts, query="it", head="2.0")
    lengths = (9, 8)
    assert found.heads[0].mean == pytest.approx(np.mean([math.sqrt(3 / (count + 1)) for count in lengths]))


def chances(found: Ablation, trial: CutTrial | None = None) -> dict[str, float]:
    """The probability of each word of the output."""
    figures = found.before if trial is None else trial.after
    labels = [word.label for word in found.output.words]
    return dict(zip(labels, np.exp(figures.words).tolist(), strict=True))


def plain_words(text: str, target: str) -> np.ndarray:
    """Return the log-probability of each token of a target in plain transformers."""
    ids = marian.ids_of(target)
    return marian.log_probabilities(text, target).numpy()[np.arange(len(ids)), ids]


def test_one_head_of_the_built_in_model_decides_on_the_pronoun() -> None:
    """The reference is MarianMT, with the slice of a head zeroed before its output projection."""
    found = cut(toy(), SMALL, unit="token")
    assert len(found.trials) == 72
    assert found.kinds == ("encoder", "decoder", "cross")
    target = marian.written(SMALL)
    elle = marian.place_of("elle", target)
    np.testing.assert_allclose(found.before.words, plain_words(SMALL, target), atol=1e-4)
    (first,) = (trial for trial in found.trials if (trial.kind, trial.heads) == ("encoder", {2: (0,)}))
    with marian.slices_zeroed({"encoder": {2: (0,)}}):
        np.testing.assert_allclose(first.after.words, plain_words(SMALL, target), atol=1e-4)
    fall = {id(trial): np.exp(found.before.words[elle]) - np.exp(trial.after.words[elle]) for trial in found.trials}
    assert fall.pop(id(first)) > max(0.3, *fall.values()) + 0.2
    assert first.summary is not None
    assert (first.summary.layer, first.summary.head) == (2, 0)


def test_one_head_changes_the_pronoun() -> None:
    found = cut(toy(), SMALL, kind="encoder")
    (first,) = found.changing
    assert (first.kind, first.heads) == ("encoder", {2: (0,)})
    assert found.text_before == marian.written(SMALL)
    assert found.text_before.endswith("parce qu'elle était trop petite")
    assert first.translation is not None
    assert first.translation.endswith("parce qu'il était trop petit")
    assert found.flip is None
    assert all(trial.translation is None for trial in found.trials if trial is not first)


@pytest.mark.parametrize(
    ("text", "noun", "other", "pronoun"),
    [(TROPHY, ("trophy", 1), "suitcase", "il"), (SMALL, ("suitcase", 6), "trophy", "elle")],
    ids=["big", "small"],
)
def test_one_edge_decides_on_the_pronoun(text: str, noun: tuple[str, int], other: str, pronoun: str) -> None:
    """The reference is MarianMT, with minus infinity at that place of a mask."""
    found = cut(toy(), text, f"it:{noun[0]}", head="2.0", unit="token")
    (trial,) = found.trials
    target = marian.written(text)
    assert found.text_before in (target, None)
    with marian.edge_cut(2, 0, text.split().index("it"), noun[1]):
        np.testing.assert_allclose(trial.after.words, plain_words(text, target), atol=1e-4)
        assert trial.translation == marian.written(text)
    place = marian.place_of(pronoun, target)
    assert np.exp(trial.after.words[place]) < np.exp(found.before.words[place]) - 0.15
    assert trial.weight == pytest.approx(1, abs=0.01)
    assert found.instead is None
    nothing = cut(toy(), text, f"it:{other}", head="2.0")
    assert nothing.trials[0].translation == nothing.text_before
    assert nothing.trials[0].effect == pytest.approx(0, abs=1e-5)


def test_ways_of_cutting_a_head_disagree() -> None:
    """The reference is MarianMT, with zeros, means of the values or the mean of the slice in the slice's place."""
    vectors = {
        "zero": torch.zeros(32),
        "even": marian.slice_of(2, 0, SMALL, values=True).mean(dim=0),
        "mean": marian.slice_of(2, 0, SMALL).mean(dim=0),
    }
    target = marian.written(SMALL)
    effects = []
    for way, vector in vectors.items():
        (trial,) = cut(toy(), SMALL, head="2.0", instead=way, unit="token").trials
        with marian.slices_changed("encoder", 2, (0,), vector.expand_as):
            np.testing.assert_allclose(trial.after.words, plain_words(SMALL, target), atol=1e-4)
            assert trial.translation == marian.written(SMALL)
        effects.append(trial.effect)
    assert max(effects) - min(effects) > 0.1


@pytest.mark.unchecked
def test_effects_are_those_of_runs_one_by_one() -> None:
    together = cut(toy(), TROPHY)
    for trial in together.trials[::11]:
        ((layer, (head,)),) = trial.heads.items()
        alone = cut(toy(), TROPHY, kind=trial.kind, head=f"{layer}.{head}")
        assert alone.trials[0].effect == pytest.approx(trial.effect, abs=1e-4)
        np.testing.assert_allclose(alone.trials[0].after.words, trial.after.words, atol=1e-4)
    assert together.before.whole == pytest.approx(sum(together.before.words), abs=1e-5)


def test_the_keys_of_a_word_beside_their_weights() -> None:
    found = cut(toy(), TROPHY, query="it", head="2.0")
    assert [trial.edges[0].names[1] for trial in found.trials] == [*TROPHY.split(), "</s>"]
    weights = [trial.weight or 0.0 for trial in found.trials]
    assert sum(weights) == pytest.approx(1, abs=1e-5)
    assert found.ranked[0].edges[0].names == ("it", "trophy")
    links = {
        link.pair.key: link.weight
        for word in TROPHY.split()
        for link in attn_cli.load("toy").find(TROPHY, "it", word, head="2.0").links
    }
    assert weights[0] == pytest.approx(links[0], abs=1e-6)
    # Spearman's coefficient by hand, with mean ranks for effects that are rounding and so tie.
    effects = [abs(trial.effect) if abs(trial.effect) > 4e-6 else 0.0 for trial in found.trials]
    ranks = [
        [sum(one < this for one in column) + sum(one <= this for one in column) for this in column]
        for column in (weights, effects)
    ]
    one, other = (np.array(column) - np.mean(column) for column in ranks)
    assert found.correlation == pytest.approx(float(one @ other / np.sqrt((one @ one) * (other @ other))))
    assert found.correlation is not None


def test_words_of_a_translation_are_cut_in_the_attention_that_has_them() -> None:
    assert cut(toy(), TROPHY, "trophée:trophy").trials[0].kind == "cross"
    assert cut(toy(), TROPHY, "grand:trophée").trials[0].kind == "decoder"
    assert cut(toy(), TROPHY, "il:", unit="token").trials[0].kind == "cross"
    assert cut(toy(), TROPHY, query="valise").trials[0].kind == "cross"
    both = cut(toy(), TROPHY, "it:trophy", "grand:trophée", head="2.0")
    assert [edges.plan.kind for edges in both.trials[0].edges] == ["encoder", "decoder"]
    assert both.trials[0].weight is None


@pytest.mark.parametrize("target", [None, " it", " it is"])
@pytest.mark.parametrize("tokens", [None, "first"])
def test_rows_are_refused_that_reach_nothing_measured(target: str | None, tokens: Any) -> None:
    """These are the rows whose cuts change nothing that is measured."""
    model = decoder()
    choice = OutputChoice(target_tokens=None if target is None else tokens)
    read = read_output(model, Input(FRANCE, target=target), choice, "token")
    refused = []
    for row in range(len(read.source.source)):
        groups = keys_of(read.source, Selection(unit="token"), str(row))
        cuts = [edges.variation() for edges in groups]
        plain, *others = (
            read.figures(output).words for _, output in sorted(model.run(read.source, [(), *cuts], read.wanted))
        )
        if any(np.abs(other - plain).max() > 1e-4 for other in others):
            read.check_reach(groups)
        else:
            refused.append(row)
            with pytest.raises(SelectionError, match="Nothing that is measured comes after the row of"):
                read.check_reach(groups)
    assert refused == list(
        range(max(read.wanted.places, default=len(read.source.source) - 2) + 1, len(read.source.source))
    )


def test_edges_of_minilm() -> None:
    """The published weight of the README: it decides on nothing, while hiding the trophy from all does."""
    star = cut(minilm(), TROPHY, "it:trophy", head="3.1")
    assert star.trials[0].weight == pytest.approx(0.58, abs=0.01)
    assert star.trials[0].effect == pytest.approx(2.8e-5, rel=0.05)
    assert cut(minilm(), TROPHY, ":trophy").trials[0].effect == pytest.approx(0.18, abs=0.01)
    assert star.output.words[star.hit(star.trials[0])].label == "it"


def test_states_are_held_against_those_of_the_model_as_it_is() -> None:
    found = cut(minilm(), TROPHY, layer="5")
    model: Any = minilm()
    source = model.prepare(Input(TROPHY))
    before, after = (
        model.model(**source.inputs).last_hidden_state[0].detach().double()
        if not zeroed
        else _without_layer(model.model, source.inputs, 5)
        for zeroed in (False, True)
    )
    whole = 1 - torch.nn.functional.cosine_similarity(before.mean(0), after.mean(0), dim=0)
    assert found.trials[0].effect == pytest.approx(float(whole), abs=1e-5)
    word = 1 - torch.nn.functional.cosine_similarity(before[2], after[2], dim=0)
    assert found.trials[0].after.words[2] == pytest.approx(float(word), abs=1e-5)
    assert found.before.whole == 0
    assert not found.before.words.any()


def _without_layer(model: Any, inputs: Any, layer: int) -> torch.Tensor:
    dense = model.encoder.layer[layer].attention.output.dense
    handle = dense.register_forward_pre_hook(lambda _, given: (torch.zeros_like(given[0]),))
    states: torch.Tensor = model(**inputs).last_hidden_state[0].detach().double()
    handle.remove()
    return states


def test_smollm2_and_the_capital_of_france() -> None:
    model = smollm2()
    found = cut(model, FRANCE, target=" Paris")
    assert chances(found)["Paris"] == pytest.approx(0.773, abs=0.02)
    first = found.ranked[0]
    assert first.heads == {23: (4,)}
    assert chances(found, first)["Paris"] == pytest.approx(0.14, abs=0.02)
    assert found.changing == []
    assert found.flip is not None
    assert found.flip.heads[0] == ("decoder", 23, 4)
    against = cut(model, FRANCE, target=" Paris", output=OutputChoice(against=" London"), head="23.4")
    assert against.trials[0].effect == pytest.approx(-3.85, abs=0.02)
    layers = cut(model, FRANCE, "is:France", target=" Paris", by="layers")
    after = {tuple(trial.heads): chances(layers, trial)["Paris"] for trial in layers.trials}
    assert after[20, 21, 22, 23, 24] == pytest.approx(0.077, abs=0.02)
    assert after[tuple(range(30))] == pytest.approx(0.002, abs=0.002)
    screen = Screen(width=80, color=False)
    for name, answer, begin in (("heads", found, "head  effect"), ("layers", layers, "is →")):
        _, first_words, rest = to_text(answer.draw(screen), screen).partition(begin)  # before it stands the file's name
        assert_golden(f"smollm2-ablate-{name}-80", first_words + rest)


def test_smollm2_and_the_drink_for_mary() -> None:
    """The task of Wang et al. 2022."""
    text = "When Mary and John went to the store, John gave a drink to"
    found = cut(smollm2(), text, target=" Mary", output=OutputChoice(against=" John"))
    assert found.before.top[0].text == " Mary"
    assert found.before.top[0].probability == pytest.approx(0.923, abs=0.02)
    largest = [next((layer, heads[0]) for layer, heads in trial.heads.items()) for trial in found.ranked[:3]]
    assert largest == [(23, 3), (1, 5), (29, 1)]
    assert [trial.effect for trial in found.ranked[:3]] == pytest.approx([-3.04, -2.18, -1.68], abs=0.05)


def test_a_decoder_is_measured_by_its_next_tokens() -> None:
    model = decoder()
    text = "Attention is all you need"
    found = cut(model, text, unit="token")
    source = model.prepare(Input(text))
    with torch.no_grad():
        logits = model._saved(**source.inputs).logits[0].log_softmax(dim=-1)
    ids = source.inputs["input_ids"][0]
    expected = logits[torch.arange(len(ids) - 1), ids[1:]].numpy()
    np.testing.assert_allclose(found.before.words, expected, atol=1e-5)
    assert found.before.top[0].token == int(logits[-1].argmax())
    assert found.before.top[0].probability == pytest.approx(float(logits[-1].exp().max()), abs=1e-6)
    words = cut(model, text)
    assert words.before.whole == pytest.approx(found.before.whole, abs=1e-5)
    assert [word.label for word in words.output.words][-1] == "need"
    whole = cut(model, text, target=", said the committee")
    assert "all are measured" in " ".join(whole.notes)
    assert [word.label for word in whole.output.words] == [",", "said", "the", "committee"]
    first = cut(model, text, target=", said the committee", output=OutputChoice(target_tokens="first"))
    assert len(first.output.words) == 1
    assert first.before.whole == pytest.approx(whole.before.words[0], abs=1e-5)
    states = cut(model, text, output=OutputChoice(output="states"))
    assert states.output.states
    assert states.before.top == ()
    assert states.flip is None


def test_a_word_that_is_measured_in_part_has_the_name_of_that_part() -> None:
    model, text, word = decoder(), "Attention is all you need", " suitcases"
    first, *rest = model.tokenizer.tokenize(word)
    assert rest
    source = model.prepare(Input(text + word))
    place = len(model.prepare(Input(text)).source)
    with torch.no_grad():
        logits = model._saved(**source.inputs).logits[0, place - 1].log_softmax(dim=-1)
    found = cut(model, text, target=word, output=OutputChoice(target_tokens="first"), head="1.0")
    (measured,) = found.output.words
    assert measured.label == first.removeprefix("Ġ") != word.strip()
    assert found.before.whole == pytest.approx(float(logits[source.inputs["input_ids"][0, place]]), abs=1e-5)
    assert f"“{measured.label}” after the text" in drawn(found)
    unread = model.tokenizer.tokenize("Attention")[0]
    every = cut(model, text, head="1.0").output.words
    assert [word.label for word in every] == ["Attention".removeprefix(unread), "is", "all", "you", "need"]
    begun = cut(model, "Attention is a", target="q", head="1.0").output.words
    assert [word.label for word in begun] == ["q"]


def test_a_masked_word_is_measured_where_it_stood() -> None:
    model = masked()
    source = model.prepare(Input("the trophy was too [MASK]"))
    place = source.inputs["input_ids"][0].tolist().index(model.tokenizer.mask_token_id)
    with torch.no_grad():
        logits = model._saved(**source.inputs).logits[0, place].log_softmax(dim=-1)
    big = model.tokenizer.convert_tokens_to_ids("big")
    found = cut(model, "the trophy was too big", output=OutputChoice(mask="big"))
    assert found.before.whole == pytest.approx(float(logits[big]), abs=1e-5)
    assert found.record.source.text == "the trophy was too [MASK]"
    assert found.output.words[0].label == "big"
    given = cut(model, "the trophy was too [MASK]", target="big")
    assert given.before.whole == pytest.approx(found.before.whole, abs=1e-6)
    assert [trial.effect for trial in given.trials] == pytest.approx([trial.effect for trial in found.trials], abs=1e-5)
    likeliest = cut(model, "the trophy was too [MASK]")
    assert likeliest.before.whole == pytest.approx(float(logits.max()), abs=1e-5)
    assert likeliest.output.ids == (int(logits.argmax()),)
    against = cut(model, "the trophy was too [MASK]", target="big", output=OutputChoice(against="was"), head="1.0")
    was = model.tokenizer.convert_tokens_to_ids("was")
    assert against.before.whole == pytest.approx(float(logits[big] - logits[was]), abs=1e-5)
    several = cut(model, "the suitcase was big", output=OutputChoice(mask="suitcase"))
    assert len(several.output.ids) == 2
    assert several.output.words[0].label == "suitcase"
    assert "there is a mask for each" in " ".join(several.notes)
    assert cut(model, "the trophy was too big").output.states


def test_a_mask_is_written_the_same_way_for_every_tokenizer() -> None:
    sizes = {**folders.BERT, "vocab_size": 337, "max_position_embeddings": 64, "pad_token_id": 1}
    model = Pretrained("tiny", folders.made("Roberta", "ForMaskedLM", **sizes), folders.roberta())
    found = cut(model, "Attention is [MASK] you", target=" all", output=OutputChoice(target_tokens="first"))
    assert found.record.source.text == "Attention is <mask> you"
    assert found.output.kind == "mask"
    assert len(found.trials) == 6


def test_a_word_left_nothing_is_told_of() -> None:
    found = cut(decoder(), "Attention is all you need", "Attention:Attention", layer="0")
    assert "left nothing to look at by the cut in decoder layer 0:" in " ".join(found.notes)
    (note,) = cut(decoder(), "Attention is all you need", "Attention:Attention").notes
    assert "left nothing to look at by the cut in decoder layers 0-" in note


def test_heads_that_change_a_word_together_are_looked_for() -> None:
    """The heads that speak most for the output, as few as it takes."""
    text = "The trophy didn't fit in the suitcase because it was too big"
    found = cut(toy(), text, kind="encoder")
    assert found.changing == []
    assert found.flip is not None
    names = [f"{layer}.{head}" for _, layer, head in found.flip.heads]
    against = [trial for trial in found.ranked if trial.effect < 0]
    ranked = [f"{layer}.{head}" for trial in against for layer, (head,) in trial.heads.items()]
    assert names == ranked[: len(names)]
    together, fewer = (cut(toy(), text, head=",".join(some)).trials[0] for some in (names, names[:-1]))
    assert together.translation == found.flip.translation
    place, before = found.flip.place, found.before.top[found.flip.place].token
    assert together.after.top[place].token == found.flip.after.token != before
    assert fewer.after.top[place].token == before


def test_bands_cover_all_layers_once() -> None:
    assert bands(range(3)) == [(0,), (1,), (2,)]
    assert bands(range(30))[4] == (20, 21, 22, 23, 24)
    assert [layer for band in bands(range(13)) for layer in band] == list(range(13))


@pytest.mark.parametrize("name", ["marian", "mbart"])
def test_a_word_that_the_model_has_no_token_for_is_noted_in_a_target(name: str) -> None:
    model, languages = translators.built(name)[0], translators.TRANSLATORS[name].languages
    noted = f"{model.info.name} has no token for '¤': '<unk>' stands for it in what is measured"
    for target, said in (("the ¤", (noted,)), ("¤ and 漢", (f"{noted} (and 1 more)",)), ("the", ()), ("<unk>", ())):
        given = Input("the trophy", target=target, languages=languages)
        assert read_output(model, given, OutputChoice()).notes == said
    assert read_output(masked(), Input("the [MASK]", target="[UNK]"), OutputChoice()).words[0].label == "[UNK]"


def test_a_likeliest_word_is_said_to_be_that() -> None:
    for target, said in ((None, ", the likeliest, log-probability"), ("big", "in place of [MASK], log-probability")):
        answer = ablate(masked(), Input("the trophy was [MASK]", target=target), Selection(head="0.0"))
        assert said in " ".join(to_text(answer.draw(Screen(width=200)), Screen(width=200)).split())


def test_probabilities_too_small_for_two_decimals_are_told_apart() -> None:
    """A random model of 337 tokens finds each of them unlikely."""
    given = Input("all you need", target=" is")
    answer = ablate(decoder(), given, Selection(head="0.0"))
    before = float(np.exp(answer.before.whole))
    assert before < 0.005
    shown = drawn(answer)
    assert f"{before:.1e}".replace("e-0", "e-") in shown
    swept = drawn(ablate(decoder(), given, Selection()))
    assert f"{before:.1e}".replace("e-0", "e-") in swept
    assert "0.00 →" not in swept


def test_what_speaks_for_the_output_is_named_in_its_number() -> None:
    for edges, said in (
        (("it:trophy",), "the edge speaks"),
        (("it:trophy", "it:big"), "the edges speak"),
        (("it:",), "the edges speak"),
    ):
        assert said in drawn(ablate(toy(), Input(TROPHY), Selection(head="2.0"), cut=CutChoice(edges=edges)))


BAD: list[tuple[Any, dict[str, Any], type[AttnError], str]] = [
    (toy, {"text": TROPHY, "edges": ("it:dog",)}, SelectionError, "'dog' is not in the text"),
    (toy, {"text": TROPHY, "query": "dog"}, SelectionError, "'dog' is not in the text"),
    (toy, {"text": TROPHY, "head": "9.0"}, SelectionError, "There is no layer 9"),
    (toy, {"text": TROPHY, "edges": ("trophée:valise",), "kind": "decoder"}, SelectionError, "masked"),
    (decoder, {"text": "all you need", "edges": ("you:need",)}, SelectionError, "'you:need' is masked"),
    (decoder, {"text": "all you need all", "query": "all"}, SelectionError, "names 2 places"),
    (toy, {"text": TROPHY, "edges": ("it:trophy", "trophée:trophy"), "by": "layers"}, UsageError, "one kind"),
    (toy, {"text": TROPHY, "output": OutputChoice(output="states")}, UsageError, "toy is an encoder-decoder"),
    (toy, {"text": TROPHY, "output": OutputChoice(mask="it")}, UsageError, "toy translates"),
    (
        toy,
        {"text": "The cat", "target": "Le chat", "output": OutputChoice(target_tokens="first")},
        UsageError,
        "toy translates, and --target-tokens goes with other models. Leave",
    ),
    (decoder, {"text": "all", "output": OutputChoice(mask="all")}, UsageError, "goes with masked encoders"),
    (decoder, {"text": "Attention i", "target": "s"}, InputError, "in one token, 'Ġis'"),
    (decoder, {"text": "all", "target": " you need", "output": OutputChoice(against=" is")}, UsageError, "'y', 'ou'"),
    (minilm, {"text": TROPHY, "output": OutputChoice(mask="it")}, ModelError, "saved without the layer"),
    (minilm, {"text": TROPHY, "target": "it"}, ModelError, "so --target cannot be measured"),
    (minilm, {"text": "It is [MASK]"}, ModelError, "saved without the layer"),
    (masked, {"text": "the trophy was big", "target": "big"}, InputError, "The text has no mask"),
    (masked, {"text": "the trophy was big", "output": OutputChoice(output="words")}, InputError, "no mask"),
    (masked, {"text": "was it was", "output": OutputChoice(mask="was")}, SelectionError, "stands there 2 times"),
    (masked, {"text": "the [MASK] was", "output": OutputChoice(mask="was")}, UsageError, "a [MASK] already"),
    (masked, {"text": "the [MASK] was", "target": "suitcase"}, UsageError, "'suit', '##case'"),
    (masked, {"text": "the [MASK] was", "target": "¤"}, InputError, "no token for '¤': '[UNK]' stands for it"),
    (masked, {"text": "the [MASK]", "target": "it", "output": OutputChoice(against="¤")}, InputError, "no token for"),
    (masked, {"text": "it was ¤", "output": OutputChoice(mask="¤")}, InputError, "no token for"),
    (masked, {"text": "[MASK] was [MASK]", "target": "it"}, UsageError, "several masks"),
    (masked, {"text": "it was", "output": OutputChoice(mask="dog")}, SelectionError, "'dog' is not in the text"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "asked", "kind", "message"), BAD)
def test_what_cannot_be_cut_or_measured_is_told_in_one_line(
    model: Any, asked: dict[str, Any], kind: type[AttnError], message: str
) -> None:
    asked = dict(asked)
    edges = asked.pop("edges", ())
    with pytest.raises(kind, match=re.escape(message)) as raised:
        cut(model(), asked.pop("text"), *edges, **asked)
    assert "\n" not in str(raised.value)


def test_the_same_token_cannot_be_held_against_itself() -> None:
    with pytest.raises(UsageError, match="the same token"):
        cut(decoder(), "all", target=" you", output=OutputChoice(against=" y", target_tokens="first"))
    with pytest.raises(UsageError, match="--against is the same as --target"):
        cut(decoder(), "all", target=" you", output=OutputChoice(against=" you"))
    with pytest.raises(UsageError, match="--against is the same token as the word of --mask"):
        cut(masked(), "the trophy was big", output=OutputChoice(mask="was", against="was"))


@pytest.mark.parametrize("tokens", ["first", "all"])
def test_tokens_of_a_target_that_is_not_there(tokens: Any) -> None:
    with pytest.raises(UsageError, match="--target-tokens is about --target, and there is none"):
        cut(decoder(), "all you need", output=OutputChoice(target_tokens=tokens))
    OutputChoice(target_tokens=tokens).check(None, in_lines=True)


def test_a_model_without_attention_has_nothing_to_cut() -> None:
    with pytest.raises(ModelError, match="has no attention"):
        cut(load("toy-rnn"), TROPHY)
    found = cut(load("toy-rnn-attention"), TROPHY)
    assert [trial.kind for trial in found.trials] == ["cross"]


def test_older_code_translates_again_and_has_means() -> None:
    sizes = {"vocab_size": 337, "d_model": 30, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 37}
    sizes |= {"encoder_attention_heads": 3, "decoder_attention_heads": 3, "decoder_ffn_dim": 41}
    whole = folders.made("Mvp", "ForConditionalGeneration", **sizes, max_position_embeddings=64, pad_token_id=1)
    model = Pretrained("tiny", spread(whole, 0.7), folders.roberta())
    found = cut(model, "Attention is all you need", layer="0", kind="cross")
    assert found.text_before == translate_one(model, Input("Attention is all you need")).text
    assert found.trials[0].translation not in (None, found.text_before)
    means = cut(model, "Attention is all you need", layer="0", kind="cross", instead="mean")
    assert 0 < abs(means.trials[0].effect) != abs(found.trials[0].effect)


@pytest.mark.parametrize("family", ["Bart", "Mvp"])
def test_a_model_is_as_it_was_after_an_interrupt_while_it_translates_again(family: str) -> None:
    sizes = {"vocab_size": 337, "d_model": 30, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 37}
    sizes |= {"encoder_attention_heads": 3, "decoder_attention_heads": 3, "decoder_ffn_dim": 41}
    whole = folders.made(family, "ForConditionalGeneration", **sizes, max_position_embeddings=64, pad_token_id=1)
    model = Pretrained("tiny", spread(whole, 0.7), folders.roberta())
    text = "Attention is all you need"
    before, (expected,) = _left_in(whole), model.translate([text])
    passes: list[int] = []
    last: int | None = None

    def interrupt(*_: Any) -> None:
        passes.append(len(passes))
        if len(passes) == last:
            raise KeyboardInterrupt

    handle = whole.model.decoder.layers[1].register_forward_hook(interrupt)
    found = cut(model, text, layer="0", kind="cross")
    assert found.trials[0].translation is not None
    last = len(passes) - 2  # among the steps of what is written last
    passes.clear()
    with pytest.raises(KeyboardInterrupt):
        cut(model, text, layer="0", kind="cross")
    assert len(passes) == last
    handle.remove()
    assert _left_in(whole) == before
    assert model.translate([text]) == [expected]
    again = cut(model, text, layer="0", kind="cross")
    assert again.trials[0].effect == found.trials[0].effect
    assert again.trials[0].translation == found.trials[0].translation


def _left_in(whole: Any) -> list[Any]:
    """Return what a pass could leave behind in a model."""
    modules = list(whole.modules())
    return [
        modules,
        whole.config.to_dict(),
        whole.generation_config.to_dict(),
        whole.config._attn_implementation,
        [(dict(one._forward_hooks), dict(one._forward_pre_hooks)) for one in modules],
        [(vars(one).get("forward"), one.training) for one in modules],
    ]


@pytest.mark.parametrize("asked", [{"target": " you"}, {"output": OutputChoice(output="states")}])
def test_what_is_not_a_number_is_told(asked: dict[str, Any]) -> None:
    sizes: dict[str, Any] = {"vocab_size": 337, "n_embd": 24, "n_head": 3, "n_layer": 2, "n_positions": 97}
    whole = spread(folders.made("GPT2", "LMHeadModel", **sizes))
    with torch.no_grad():
        whole.transformer.ln_f.bias[3] = torch.nan  # after all attention
    with pytest.raises(ModelError, match="not numbers"):
        cut(Pretrained("tiny", whole, folders.byte_level()), "Attention is all", layer="0", **asked)


def test_an_edge_named_twice_is_cut_once() -> None:
    (trial,) = cut(toy(), TROPHY, "it:trophy", "it:trophy", head="2.0").trials
    assert len(trial.edges) == 1
    assert trial.weight == pytest.approx(1, abs=0.01)


def test_a_word_that_is_one_token_after_a_space() -> None:
    """The message about a word of several tokens offers the same after a space, where the tokenizer has that whole."""
    pieces = decoder().tokenizer.get_vocab()
    words = [piece.removeprefix("\u0120") for piece in pieces if re.fullmatch("\u0120[a-z]+", piece)]
    word = next(word for word in words if len(decoder().tokenizer(word).input_ids) > 1)
    with pytest.raises(UsageError, match=f"Write ' {word}', with a space, which is one token, or add --target-tokens"):
        cut(decoder(), "all", target=word, output=OutputChoice(against=" you"))


SCREEN = Screen(width=100)


def drawn(found: Ablation) -> str:
    """Draw an answer on a screen, and return its text on one line."""
    return " ".join(to_text(draw(found, SCREEN), SCREEN).split())


def test_a_change_of_the_likeliest_token_says_where() -> None:
    found = cut(decoder(), "Attention is all you need")
    assert len(found.changing) > 1
    assert drawn(found).count(" after the text ") == len(found.changing)
    two = cut(decoder(), "Attention is", target=" all you", unit="token")
    assert any(f" in the place of {word.label} " in drawn(two) for word in two.output.words)
    one = cut(decoder(), "Attention is", target=" all you", output=OutputChoice(target_tokens="first"))
    assert "in the place of" not in drawn(one)


@pytest.mark.parametrize("rows", ["input", "output"])
def test_the_heading_says_whose_row_a_target_word_has(rows: Any) -> None:
    found = cut(toy(), "The cat sat", target="Le chat dort", query="chat", kind="cross", rows=rows)
    assert f"cut in all cross heads, {rows} rows Output" in drawn(found)
    for by, said in (("layers", "cut in each band of cross layers in turn"), ("heads", "head by head")):
        found = cut(toy(), "The cat sat", "chat:cat", target="Le chat dort", by=by, kind="cross", rows=rows)
        assert f"{said}, {rows} rows Output" in drawn(found)
    assert "rows" not in drawn(cut(toy(), "The cat sat", target="Le chat dort", query="cat"))
