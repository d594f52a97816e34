"""Translations of every family: the tokens of transformers' own `generate`, the maps of its eager attention."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from attn_cli.data.cuts import Variation, ZeroedHeads
from attn_cli.data.selection import Selection
from attn_cli.data.stream import query_tokens
from attn_cli.errors import InputError, ModelError, UsageError
from attn_cli.models import Decoding, Input, Languages, Model, Translation
from attn_cli.models.hf.model import Pretrained
from attn_cli.models.prepare import read
from attn_cli.questions.inspect.measure import look
from tests.models import folders
from tests.models.families import spread
from tests.models.translators import ENGLISH_FRENCH, TRANSLATORS, built

TEXTS = ("the trophy was too big", "keep reading", "an old man laughs in a café, naïvely, and writes")
FAMILIES = pytest.mark.parametrize("name", TRANSLATORS)


def translated(name: str, **decoding: Any) -> list[Translation]:
    return built(name)[0].translate(TEXTS, decoding=Decoding(**decoding), languages=TRANSLATORS[name].languages)


def by_hand(name: str, text: str, beam: int, limit: int) -> tuple[int, ...]:
    """Translate as a script with transformers alone would for this family; return the tokens' ids."""
    _, whole, tokenizer = built(name)
    one = TRANSLATORS[name]
    if hasattr(tokenizer, "src_lang"):
        tokenizer.src_lang = {"m2m_100": "en", "nllb": "eng_Latn"}.get(name, "en_XX")
    batch = tokenizer(one.prefix + text, return_tensors="pt")
    whole.generation_config.forced_eos_token_id = None
    code = one.code(tokenizer)
    found = whole.generate(**batch, num_beams=beam, do_sample=False, max_new_tokens=limit, **code)
    return tuple(found[0].tolist())


@FAMILIES
@pytest.mark.parametrize("beam", [1, 3])
def test_the_tokens_are_those_of_generate(name: str, beam: int) -> None:
    found = translated(name, beam=beam, max_length=11)
    assert [one.ids for one in found] == [by_hand(name, text, beam, 11) for text in TEXTS]
    assert len({one.ids for one in found}) > 1


@FAMILIES
def test_the_maps_are_those_of_one_pass_over_the_tokens_written(name: str) -> None:
    model, whole, _ = built(name)
    found = translated(name, max_length=11)[2]
    source = model.prepare(Input(TEXTS[2], target=found, languages=TRANSLATORS[name].languages))
    assert source.target is not None
    assert tuple(token.id for token in source.target.tokens) == found.ids
    assert source.target.text == found.text
    whole.set_attn_implementation("eager")
    with torch.no_grad():
        expected = whole(
            input_ids=torch.tensor([[token.id for token in source.source.tokens]]),
            decoder_input_ids=torch.tensor([found.ids[:-1]]),
            output_attentions=True,
            use_cache=False,
        )
    blocks = folders.everything(source)
    for kind in ("encoder", "decoder", "cross"):
        maps = expected[f"{kind}_attentions"]
        assert len(maps) == (3 if kind == "encoder" else 2)
        for layer, map_ in enumerate(maps):
            weights = np.concatenate([block.weights for block in blocks[kind, layer]], axis=1)
            np.testing.assert_allclose(weights, map_[0].numpy(), atol=1e-5)
    # A greedy search takes the best token at each step, so one pass over what it wrote chooses the same.
    forced = 2 if TRANSLATORS[name].code(built(name)[2]).keys() == {"forced_bos_token_id"} else 1
    best = expected.logits[0].argmax(dim=-1).tolist()
    assert best[forced - 1 :] == list(found.ids[forced:])


@FAMILIES
def test_pieces_stand_where_they_were_written(name: str) -> None:
    model = built(name)[0]
    found = translated(name, max_length=11)[0]
    source = model.prepare(Input(TEXTS[0], target=found, languages=TRANSLATORS[name].languages))
    assert source.source.text == TEXTS[0]
    assert [word.text for word in source.source.words] == TEXTS[0].split()
    assert source.target is not None
    spans = [(token.start, token.end) for token in source.target.tokens if not token.special]
    assert spans == sorted(spans)
    assert all(before[1] <= after[0] or after[0] == after[1] for before, after in pairwise(spans))
    if spans:
        assert spans[-1][1] == len(found.text)


@FAMILIES
def test_a_text_to_write_is_written_as_a_search_would(name: str) -> None:
    model, whole, tokenizer = built(name)
    source = model.prepare(Input(TEXTS[1], target="le chat", languages=TRANSLATORS[name].languages))
    assert source.target is not None
    ids = [token.id for token in source.target.tokens]
    code = TRANSLATORS[name].code(tokenizer)
    start = code.get("decoder_start_token_id", whole.config.decoder_start_token_id)
    first = [code["forced_bos_token_id"]] if "forced_bos_token_id" in code else []
    assert ids[: 1 + len(first)] == [start, *first]
    assert ids[-1] == tokenizer.eos_token_id
    assert ids.count(tokenizer.eos_token_id) == (2 if start == tokenizer.eos_token_id else 1)
    assert [word.text for word in source.target.words] == ["le", "chat"]
    # One row for each step: what it reads, and what it outputs.
    assert [token.id for token in query_tokens(source, "cross").tokens] == ids[:-1]
    assert [token.id for token in query_tokens(source, "cross", "output").tokens] == ids[1:]


@pytest.mark.parametrize("name", ["t5", "mt5", "marian to many", "m2m_100", "nllb", "mbart", "mbart50"])
def test_what_the_model_is_told_is_special_and_stands_nowhere(name: str) -> None:
    model = built(name)[0]
    tokens = model.prepare(Input(TEXTS[0], languages=TRANSLATORS[name].languages)).source.tokens
    special = [token for token in tokens if token.special]
    assert len(special) >= 2
    assert all(token.word is None and token.start == token.end for token in special)
    assert "".join(token.piece for token in tokens if not token.special).replace("▁", "") == TEXTS[0].replace(" ", "")


def test_a_search_that_is_cut_short_says_so() -> None:
    model = built("marian")[0]
    (found,) = model.translate(["a"], decoding=Decoding(max_length=5))
    assert len(found.ids) == 6
    assert found.notes == ("The translation was cut after 5 tokens; attn translate --max-length 10 lets it go on",)
    (longer,) = model.translate(["a"])
    assert len(longer.ids) == 44  # as many as its decoder has positions for, and the start token
    with pytest.raises(InputError, match="more than the 43"):
        model.translate(["trophy " * 40])
    (cut,) = model.translate(["trophy " * 40], decoding=Decoding(max_length=3), truncate=True)
    assert cut.notes[0].startswith("The text was cut to 43 of its")


@pytest.mark.parametrize("name", ["no_repeat_ngram_size", "encoder_no_repeat_ngram_size"])
def test_what_must_not_be_repeated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, whole, _ = built("t5")
    plain = translated("t5", max_length=11)
    for settings in (whole.generation_config, model._whole.generation_config):
        monkeypatch.setattr(settings, name, 1)
    found = translated("t5", max_length=11)
    assert [one.ids for one in found] == [by_hand("t5", text, 1, 11) for text in TEXTS]
    assert found != plain
    # More than a text is long: transformers would make a list of so many parts.
    monkeypatch.setattr(model._whole.generation_config, name, 10**30)
    assert translated("t5", max_length=11) == plain


def test_generate_leaves_the_model_as_it_was() -> None:
    model, _, _ = built("bart")
    before = model._whole.generation_config.to_dict()
    model.translate(["a"], decoding=Decoding(beam=2, max_length=3))
    assert model._whole.generation_config.to_dict() == before
    assert isinstance(model, Model)


@pytest.mark.parametrize(
    ("name", "languages", "message"),
    [
        ("mbart50", Languages("en", "tlh"), "does not know the language tlh. It knows ar_AR, "),
        ("mbart50", Languages("en"), "must be told which. Add --to, "),
        ("mbart", Languages(), "must be told which. Add --to, "),  # saving it made English its own source
        ("m2m_100", Languages("xx", "fr"), "does not know the language xx. It knows af, am, "),
        ("nllb", Languages("en", "elvish"), "does not know the language elvish. It knows ace_Arab, "),
        ("nllb", Languages(), "must be told which. Add --to, "),
        ("marian to many", Languages("en", "xx"), "does not know the language xx. It knows fra, deu"),
        ("marian to many", Languages(), "translates into 2 languages and must be told which. Add --to, "),
        ("t5", Languages("en", "es"), "was not trained on en to es. It knows en to de, en to fr"),
        ("t5", Languages("en"), "en to any language fits several pairs of"),
        ("t5", Languages(), "must be told to translate. Add --from and --to: en to de, en to fr"),
        ("mt5", Languages("en"), "must be told both languages"),
        ("mt5", Languages("en", "tlh"), "There is no language tlh. The known ones are af, "),
        ("bart", Languages("en", "fr"), "takes no languages"),
        ("marian", Languages("en", "fr"), "takes no languages"),
    ],
    ids=str,
)
def test_languages_that_cannot_be(name: str, languages: Languages, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        built(name)[0].translate(["a"], languages=languages)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("name", "languages"),
    [
        ("mbart50", Languages("English", "fr_XX")),
        ("m2m_100", Languages("eng", "French")),
        ("nllb", Languages("en-GB", "FRA_latn")),
        ("t5", Languages(target="fra")),
        ("mt5", Languages("eng_Latn", "fr")),
        ("marian to many", Languages("en", "French")),
    ],
    ids=str,
)
def test_other_names_of_the_same_languages(name: str, languages: Languages) -> None:
    (found,) = built(name)[0].translate([TEXTS[0]], decoding=Decoding(max_length=11), languages=languages)
    assert found.ids == translated(name, max_length=11)[0].ids


def test_a_text_that_tells_the_model_itself() -> None:
    for name in ("t5", "marian to many"):
        model = built(name)[0]
        text = TRANSLATORS[name].prefix + TEXTS[0]
        (found,) = model.translate([text], decoding=Decoding(max_length=11))
        assert found.ids == translated(name, max_length=11)[0].ids
    (summary,) = built("t5")[0].translate(["summarize: " + TEXTS[2]], decoding=Decoding(max_length=3))
    assert 2 <= len(summary.ids) <= 4  # a model of random weights may end at once


def test_a_t5_that_has_a_token_for_each_language() -> None:
    whole = deepcopy(built("mt5")[1])
    tokenizer = folders.t5()
    tokenizer.add_tokens(["<2fr>", "<2de>"])
    whole.resize_token_embeddings(len(tokenizer))
    model = Pretrained("madlad", whole, tokenizer)
    french = model.prepare(Input(TEXTS[0], languages=Languages("en", "French")))
    assert (french.source.tokens[0].piece, french.source.tokens[0].special) == ("<2fr>", True)
    assert [word.text for word in french.source.words] == TEXTS[0].split()
    (found,) = model.translate([TEXTS[0]], decoding=Decoding(max_length=5), languages=Languages(target="de"))
    (same,) = model.translate(["<2de> " + TEXTS[0]], decoding=Decoding(max_length=5))
    assert found.ids == same.ids
    with pytest.raises(UsageError, match=r"translates into 2 languages .* it knows de, fr"):
        model.translate(["a"])
    with pytest.raises(UsageError, match=r"does not know the language es\. It knows de, fr"):
        model.translate(["a"], languages=Languages(target="es"))


def test_a_model_that_may_need_a_task_says_so() -> None:
    (found,) = built("mt5")[0].translate(["a"], decoding=Decoding(max_length=3))
    assert found.notes[0].startswith("No task was put before the text; --from en --to fr")


@pytest.mark.parametrize("tasks", [1, ["x"], {"a": 1}])
def test_tasks_that_are_none(tasks: object, monkeypatch: pytest.MonkeyPatch) -> None:
    model = built("t5")[0]
    monkeypatch.setattr(model._whole.config, "task_specific_params", tasks, raising=False)
    with pytest.raises(ModelError, match=r"config.json of .*: task_specific_params must be"):
        model.translate(["The cat sat"])


def test_a_tokenizer_that_has_no_languages_of_its_own() -> None:
    _, whole, tokenizer = built("m2m_100")
    tokenizer.init_kwargs.pop("src_lang", None)
    with pytest.raises(UsageError, match=r"must be told which\. Add --from and --to, "):
        Pretrained("m2m", whole, tokenizer).translate(["a"])
    with pytest.raises(UsageError, match=r"must be told which\. Add --to, "):
        Pretrained("m2m", whole, tokenizer).prepare(Input("a", target="b"))
    assert Pretrained("m2m", whole, tokenizer).prepare(Input("a")).source.tokens[0].piece == "__en__"


def test_languages_are_forgotten_again() -> None:
    model = built("nllb")[0]
    french = model.prepare(Input("a", languages=Languages("fr", "en")))
    plain = model.prepare(Input("a"))
    assert french.source.tokens[0].piece == "fra_Latn"
    assert plain.source.tokens[0].piece == "eng_Latn"


def test_a_pair_of_languages_that_the_model_has(tmp_path: Path) -> None:
    tokenizer: Any = folders.marian(tmp_path)
    tokenizer.source_lang, tokenizer.target_lang = "en", "fra"
    whole = built("marian")[1]
    model = Pretrained("opus", whole, tokenizer)
    (found,) = model.translate(["a"], decoding=Decoding(max_length=3), languages=Languages("eng", "fr"))
    assert found.ids == built("marian")[0].translate(["a"], decoding=Decoding(max_length=3))[0].ids
    with pytest.raises(UsageError, match="does not know the language de: it translates en to fra"):
        model.translate(["a"], languages=Languages("en", "de"))
    tokenizer.source_lang = "mul"
    assert model.translate(["a"], decoding=Decoding(max_length=3), languages=Languages("de", "fr"))


@pytest.mark.parametrize(("part", "kind"), [("Model", "encoder"), ("ForMaskedLM", "encoder")])
def test_an_encoder_cannot_translate(tmp_path: Path, part: str, kind: str) -> None:
    model = folders.opened(folders.bert(tmp_path, part))
    with pytest.raises(ModelError, match=f"it is an? {kind}") as raised:
        model.translate(["a"])
    assert "opus-mt-en-fr" in raised.value.remedy


def test_a_decoder_cannot_translate() -> None:
    gpt = folders.made("GPT2", "LMHeadModel", vocab_size=401, n_embd=12, n_layer=1, n_head=2, n_positions=17)
    with pytest.raises(ModelError, match="it is a decoder"):
        Pretrained("tiny", gpt, folders.byte_level()).translate(["a"])


def test_a_model_without_its_last_layer_cannot_translate(tmp_path: Path) -> None:
    bare = folders.made("Bart", "Model", vocab_size=401, d_model=16, encoder_layers=1, decoder_layers=1)
    with pytest.raises(ModelError, match="without the layer that chooses words"):
        Pretrained("tiny", bare, folders.roberta()).translate(["a"])
    _, whole, tokenizer = built("bart")
    folders.save(tmp_path, whole.model, tokenizer)  # the words' layer is another than the embeddings here
    folders.edit(tmp_path, architectures=["BartForConditionalGeneration"])
    with pytest.raises(ModelError, match="without the layer that chooses words"):
        folders.opened(tmp_path).translate(["a"])


def assert_told(model: Pretrained) -> None:
    """A model without its last layer neither writes nor measures words, and says the same of both."""
    choice, given = Selection(measure="relevance"), Input(TEXTS[0], target=TEXTS[1])
    for ask in (
        lambda: model.translate([TEXTS[0]]),
        lambda: next(model.run(model.prepare(given), [()])),
        lambda: look(read(model, given, choice), choice, keep=False),
        lambda: read(model, Input(TEXTS[0]), Selection(kind="cross")),
    ):
        with pytest.raises(ModelError, match="saved without the layer that chooses words"):
            ask()


def saved_without_head(folder: Path, name: str, *, tied: bool) -> tuple[Pretrained, Pretrained]:
    """A translator, and the same saved without its last layer."""
    _, whole, tokenizer = built(name)
    config = deepcopy(whole.config)
    config.tie_word_embeddings = tied
    torch.manual_seed(3)
    full = spread(type(whole)(config).eval())
    full.generation_config = deepcopy(whole.generation_config)
    folders.save(folder / "full", full, tokenizer)
    folders.save(folder / "bare", full.model, tokenizer)
    return folders.opened(folder / "full"), folders.opened(folder / "bare")


@pytest.mark.parametrize("name", ["bart", "mbart50", "m2m_100"])
def test_a_last_layer_that_is_the_embeddings_is_made_of_them(tmp_path: Path, name: str) -> None:
    full, bare = saved_without_head(tmp_path, name, tied=True)
    assert not hasattr(bare._saved, "lm_head")
    languages, decoding = TRANSLATORS[name].languages, Decoding(beam=2, max_length=9)
    cut: Variation = (ZeroedHeads("cross", 1, (0, 3)),)
    for variations in ((), [cut] * len(TEXTS)):
        one, other = (
            model.translate(TEXTS, decoding=decoding, languages=languages, variations=variations)
            for model in (full, bare)
        )
        assert [text.ids for text in one] == [text.ids for text in other]
    given = Input(TEXTS[0], target=TEXTS[1], languages=languages)
    (expected,), (outcome,) = (dict(model.run(model.prepare(given), [()])).values() for model in (full, bare))
    assert outcome.tokens is not None
    assert expected.tokens is not None
    np.testing.assert_allclose(outcome.tokens, expected.tokens, atol=1e-5)
    choice = Selection(measure="relevance")
    relevance = [look(read(model, given, choice), choice, keep=False).relevance for model in (full, bare)]
    assert relevance[0] is not None
    assert relevance[1] is not None
    assert relevance[1].value == pytest.approx(relevance[0].value, abs=1e-4)
    np.testing.assert_allclose(relevance[1].source, relevance[0].source, atol=1e-5)


@pytest.mark.parametrize(("name", "tied"), [("bart", False), ("marian", False), ("marian", True)])
def test_no_words_are_made_up(tmp_path: Path, name: str, *, tied: bool) -> None:
    """Marian's last layer has a trained bias beside the embeddings, which is lost with it."""
    full, bare = saved_without_head(tmp_path, name, tied=tied)
    assert full.translate(TEXTS, decoding=Decoding(max_length=5))
    assert_told(bare)
    folders.edit(tmp_path / "bare", architectures=[type(full._saved).__name__])
    assert_told(folders.opened(tmp_path / "bare"))


def test_no_words_are_made_up_by_two_models_in_one(tmp_path: Path) -> None:
    settings = {**folders.BERT, "is_decoder": True, "add_cross_attention": True, "tie_word_embeddings": False}
    sides = folders.made("Bert", "Model", **folders.BERT), folders.made("Bert", "LMHeadModel", **settings)
    whole = transformers.EncoderDecoderModel(encoder=sides[0], decoder=sides[1])
    whole.config.decoder_start_token_id, whole.config.pad_token_id, whole.config.eos_token_id = 2, 0, 3
    folders.save(tmp_path, whole, folders.wordpiece())
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    assert folders.opened(tmp_path)._with_head().can_generate()
    save_file({name: one for name, one in weights.items() if ".cls." not in name}, path, {"format": "pt"})
    assert_told(folders.opened(tmp_path))


@pytest.mark.parametrize("decoding", [{"beam": 0}, {"max_length": 0}])
def test_numbers_below_one(decoding: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must be at least 1, and 0 is not"):
        Decoding(**decoding)


@pytest.mark.parametrize("text", ["", "  ", "\ud800"])
def test_texts_that_are_none(text: str) -> None:
    with pytest.raises(InputError):
        built("t5")[0].translate(["fine", text], languages=ENGLISH_FRENCH)
