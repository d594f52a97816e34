"""attn from Python, and one look at one text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest

import attn_cli
from attn_cli import errors
from attn_cli.cli.app import main
from attn_cli.data.selection import Measure, Selection
from attn_cli.errors import MemoryLimitError, SelectionError, UsageError
from attn_cli.io.records import from_json
from attn_cli.questions.inspect.measure import look
from attn_cli.system import memory
from tests.samples import decoder_record, encoder_record, translation_record

SENTENCE = "The trophy didn't fit in the suitcase because it was too big"


@pytest.mark.parametrize("measure", ["norms", "rollout", "scores"])
def test_several_texts_are_measured_as_one_is(measure: Measure) -> None:
    model = attn_cli.load("toy")
    several, one = (model.heads(text, measure=measure) for text in ([SENTENCE, SENTENCE], SENTENCE))
    weights = model.heads([SENTENCE])
    assert len(several.heads) == len(one.heads)
    for head, same in zip(several.heads, one.heads, strict=True):
        assert head.summary.entropy == pytest.approx(same.summary.entropy)
        found, expected = head.score("previous"), same.score("previous")
        assert found is not None
        assert expected is not None
        assert found.rows == 2 * expected.rows
        assert (found.score, found.baseline) == pytest.approx((expected.score, expected.baseline))
    if measure != "scores":
        assert several.heads[0].summary.entropy != pytest.approx(weights.heads[0].summary.entropy)
    with pytest.raises(UsageError, match="looks at weights"):
        model.heads(measure=measure)


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = (
        "import sys, attn_cli; print([name for name in ('numpy', 'torch', 'transformers') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"[]\n"


def test_the_record_is_the_one_that_the_command_prints(minilm: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = attn_cli.load(minilm)
    assert model.info.family == "bert"
    assert "bert" in repr(model)
    record = model.inspect(SENTENCE, head="3.1", query="it", unit="token")
    assert main(["inspect", SENTENCE, "--model", minilm, "--head", "3.1", "--query", "it", "--tokens", "--json"]) == 0
    printed = from_json(capsys.readouterr().out.encode())
    assert record.selection == printed.selection
    assert record.source == printed.source
    np.testing.assert_array_equal(record.maps[0].weights, printed.maps[0].weights)
    assert record.maps[0].weights.shape == (1, 1, 16)
    assert round(float(record.maps[0].weights[0, 0, 2]), 2) == 0.58


def test_a_record_has_a_short_name() -> None:
    assert repr(encoder_record()) == "<attn record: 'sample', 11 tokens, maps of 2 layers>"


@pytest.mark.parametrize("text", ["None", "b'it'", "['it', 'was']", "3"])
def test_what_is_no_text(text: str) -> None:
    """In a process of its own: here the signatures' own checks would come first."""
    script = f"from attn_cli.system.encoding import *\ntry: check_text({text})\nexcept Exception as e: print(repr(e))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("InputError('The text must be a str, not ")
    assert "Give one text at a time" in ran.stdout


def test_a_notebook_shows_the_screen(minilm: str) -> None:
    record = attn_cli.load(minilm).inspect(SENTENCE + " <script>", layer="3")
    html = record._repr_html_()
    assert "3.11" in html
    assert "Mean weight of 12 heads, layer 3" in html
    assert "<script" not in html


def test_python_gets_the_same_errors(minilm: str) -> None:
    model = attn_cli.load(minilm)
    with pytest.raises(SelectionError, match="layers 0 to 5"):
        model.inspect(SENTENCE, layer="9")
    with pytest.raises(UsageError, match="--layer"):
        model.inspect(SENTENCE, layer="x")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("layer=1.5", "layer must be a str, and '1.5' is not. Write it like layer=\"2\"."),
        ("head=['2.5']", "must be a str"),
        ("view='table'", "There is no view 'table'. Choose from heads, query, grid, map."),
        ("unit='words'", "Choose from word, token."),
        ("kind='self'", "Choose from encoder, decoder, cross."),
        ("sort=None", "There is no sort 'None'. Choose from layer, focus,"),
        ("top_k=0", "--top-k must be a number of keys, and '0' is not"),
        ("top_k='3'", "Give a whole number from 1."),
        ("layer='x'", "--layer 'x' is not a list of numbers"),
    ],
)
def test_what_python_lets_through_is_refused(written: str, message: str) -> None:
    """In a process of its own: here the signatures' own checks would come first."""
    script = (
        "from attn_cli.data.selection import Selection, check_syntax\n"
        f"try: check_syntax(Selection({written}))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("UsageError ")
    assert message in ran.stdout


def test_numbers_and_paths_are_taken_as_they_are(minilm: str) -> None:
    model = attn_cli.load(Path(minilm))
    record = model.inspect(SENTENCE, layer=3, head=1, query=9)
    assert record.selection == Selection(view="query", layer="3", head="1", query="9")
    assert [(map_.layer, map_.heads) for map_ in record.maps] == [(3, (1,))]
    assert record.model.name == minilm


@pytest.mark.parametrize(
    ("selection", "keep"),
    [(Selection(), True), (Selection(), False), (Selection(view="grid"), False), (Selection(head="0.1"), False)],
)
def test_memory_is_predicted(selection: Selection, keep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10))
    with pytest.raises(MemoryLimitError, match=r"GB of memory.*--query"):
        look(encoder_record(), selection, keep=keep)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10**9))
    assert look(encoder_record(), selection, keep=keep).heads


def test_only_what_is_kept_needs_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10))
    assert look(encoder_record(), Selection(view="query", query="fit"), keep=False).heads


def test_a_look_without_keeping_has_no_maps_and_the_same_figures() -> None:
    for record in (encoder_record(), decoder_record(), translation_record()):
        light, whole = (look(record, Selection(), keep=keep) for keep in (False, True))
        assert light.maps == ()
        assert whole.maps
        assert repr(light.heads) == repr(whole.heads)  # not-a-number is not equal to itself


def test_layers_without_attention_are_named() -> None:
    from attn_cli.draw.screen import Screen, to_text

    text = to_text(look(decoder_record(), Selection(), keep=False).draw(Screen(color=False)), Screen(color=False))
    assert "Without attention: mamba in layer 1." in text
    assert "2 of 3 layers" in text


def test_explain(minilm: str) -> None:
    """The weights are the record's."""
    model = attn_cli.load(minilm)
    found = model.explain(SENTENCE, "it", head="3.1")
    record = model.inspect(SENTENCE, head="3.1", query="it")
    assert np.allclose(found.steps.weights, record.maps[0].weights[0, 0], atol=1e-6)
    assert (found.layer, found.head, found.query) == (3, 1, 11)
    translated = attn_cli.load("toy").explain("The cat sat on the mat", "chat")
    assert translated.plan.kind == "cross"
    assert translated.labels[int(translated.steps.weights.argmax())] == "cat"


@pytest.mark.unchecked
def test_misspelled_options_are_named() -> None:
    """The comments hold the types: mypy reports one that ignores nothing."""
    with pytest.raises(attn_cli.UsageError, match=r"load\(\) has no option 'devise'. Did you mean device\?"):
        attn_cli.load("toy", devise="cpu")  # type: ignore[call-arg]
    model = attn_cli.load("toy")
    with pytest.raises(attn_cli.UsageError, match=r"inspect\(\) has no option 'layr'. Did you mean layer\?"):
        model.inspect("x", layr="2")  # type: ignore[call-arg]
    with pytest.raises(attn_cli.UsageError, match=r"translate\(\) has no option 'beem'. Did you mean beam\?"):
        model.translate("x", beem=2)  # type: ignore[call-arg]
    with pytest.raises(attn_cli.UsageError, match=r"explain\(\) has no option 'xyz'. Use head, image, "):
        model.explain("x", "x", xyz=1)  # type: ignore[call-arg]
    with pytest.raises(attn_cli.UsageError, match=r"heads\(\) has no option 'query'"):
        model.heads("x", query="x")  # type: ignore[call-arg]
    with pytest.raises(attn_cli.UsageError, match="must be a number of keys, and 'many' is not"):
        model.inspect("x", top_k="many")  # type: ignore[arg-type]


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("method", "arguments", "fields"),
    [
        ("find", ["trophy", "it"], ["view", "top_k", "query"]),
        ("diff", [SENTENCE], ["view"]),
        ("heads", [], ["view", "top_k", "sort", "query"]),
        ("explain", ["it"], ["view", "top_k", "sort", "all", "special", "sink", "measure"]),
    ],
)
def test_fields_that_mean_nothing_are_refused(method: str, arguments: list[str], fields: list[str]) -> None:
    asked = getattr(attn_cli.load("toy"), method)
    for field in fields:
        with pytest.raises(UsageError, match=rf"{method}\(\) has no option '{field}'"):
            asked(SENTENCE, *arguments, **{field: 1})


@pytest.mark.unchecked
def test_find_and_diff_have_orders_of_their_own() -> None:
    model = attn_cli.load("toy")
    links = model.find(SENTENCE, "it", "trophy", sort="layer")
    assert (links.sort, links.to_dict()["sort"]) == ("layer", "layer")
    assert model.find(SENTENCE, "it", "trophy").sort == "weight"
    other = SENTENCE.replace("big", "small")
    changes = model.diff(SENTENCE, other, sort="layer")
    places = [(one.layer, one.head) for one in changes.listed]
    assert (changes.sort, places) == ("layer", sorted(places))
    assert model.diff(SENTENCE, other).sort == "divergence"
    with pytest.raises(UsageError, match=r"There is no sort 'focus'\. Choose from weight, usual, others, layer"):
        model.find(SENTENCE, "it", "trophy", sort="focus")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"There is no sort 'usual'\. Choose from divergence, layer"):
        model.diff(SENTENCE, other, sort="usual")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [{"max_tokens": 9}, {"beam": 5}, {"temperature": 0.5}, {"top_p": 0.5}, {"seed": 3}, {"stop": "x"}],
)
def test_settings_of_a_search_that_is_not_done_are_refused(given: dict[str, Any]) -> None:
    model = attn_cli.load("toy")
    with pytest.raises(UsageError, match=f"Nothing is written .* so {next(iter(given))} cannot be used with it"):
        model.generate("The cat sat", continuation="Le chat", **given)


@pytest.mark.parametrize("given", [{"beam": 7}, {"max_length": 3}])
def test_a_translation_that_is_known_is_not_searched(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"Nothing is searched .* so {next(iter(given))} cannot be used with it"):
        attn_cli.load("toy").translate("The cat sat", target="Le chat", **given)


@pytest.mark.parametrize(
    "given",
    [{"target": "x"}, {"source_language": "en"}, {"target_language": "fr"}, {"truncate": True}],
)
def test_a_record_is_not_read_again(given: dict[str, Any]) -> None:
    record = encoder_record()
    model = attn_cli.load("toy")
    for sides in ((record, record), (record, SENTENCE), (SENTENCE, record)):
        with pytest.raises(UsageError, match=f"A record is read already, so {next(iter(given))} cannot be used"):
            model.diff(*sides, **given)


def test_a_seed_without_anything_to_draw_is_refused() -> None:
    model = attn_cli.load("toy")
    with pytest.raises(UsageError, match="seed is for random tokens"):
        model.heads(SENTENCE, seed=3)
    with pytest.raises(UsageError, match="seed is for the texts of from_probe"):
        model.ablate(SENTENCE, seed=3)


@pytest.mark.unchecked
def test_misspelled_experiments_and_terms_are_named() -> None:
    with pytest.raises(attn_cli.UsageError, match=r"no experiment 'paralelization'. Did you mean parallelization\?"):
        attn_cli.why("paralelization")  # type: ignore[arg-type]
    with pytest.raises(attn_cli.UsageError, match=r"no experiment 'x'. Use long-sequences, context-linking, "):
        attn_cli.why("x")  # type: ignore[arg-type]
    with pytest.raises(attn_cli.SelectionError, match=r"no term 'entropi'. Did you mean entropy\?"):
        attn_cli.terms("entropi")
    assert [term.name for term in attn_cli.terms("entropy").terms] == ["entropy"]


def test_errors_are_importable_from_the_package() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.AttnError)}
    assert kinds == {getattr(attn_cli, kind.__name__) for kind in kinds}
    assert {kind.__name__ for kind in kinds} <= set(attn_cli.__all__)
