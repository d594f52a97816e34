"""`attn ablate` through the command line: screens, documents, tables, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import attn_cli
from attn_cli.cli.app import main
from attn_cli.data.selection import Kind
from attn_cli.draw.screen import Screen, lines_of
from attn_cli.errors import UsageError
from attn_cli.models.capture.variations import SMALLER
from attn_cli.questions.ablate.draw_trials import effect_atlases
from tests.conftest import Run
from tests.drawings import shown
from tests.golden_files import assert_golden
from tests.models import folders
from tests.questions.ablate.models import SMALL, TROPHY, decoder, masked
from tests.records import validated

FIT = "The trophy didn't fit because it was big"
ALL = ["--target-tokens", "all"]
FIRST = ["--target-tokens", "first"]


def found(attn: Run, *arguments: str) -> dict[str, Any]:
    return validated(attn("ablate", *arguments, "--json").encode(), "ablate")


def test_the_document_holds_the_output_and_each_cut(attn: Run) -> None:
    document = found(attn, SMALL, "--kind", "encoder", "--with", "even")
    assert document["view"] == "heads"
    assert document["instead"] == "even"
    assert document["output"]["kind"] == "target"
    assert document["output"]["text"] == document["target"]["text"]
    assert len(document["trials"]) == 24
    first = min(document["trials"], key=lambda trial: trial["effect"])
    assert first["heads"] == [{"layer": 2, "heads": [0]}]
    assert first["value"] - document["output"]["value"] == pytest.approx(first["effect"], abs=1e-5)
    assert sum(first["words"]) == pytest.approx(first["value"], abs=1e-5)
    assert "qu'elle" in document["output"]["text"]
    assert "qu'il" in first["text"]
    edge = found(attn, FIT, "--edge", "it:trophy", "--head", "2.0")
    (trial,) = edge["trials"]
    assert trial["edges"] == [{"kind": "encoder", "query": "it", "key": "trophy", "tokens": [[5, 1]]}]
    assert edge["instead"] is None
    assert len(trial["places"][0]["likeliest"]) == 5


def test_the_table_has_a_row_for_each_cut_and_word(attn: Run, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    attn("ablate", FIT, "--query", "it", "--head", "2.0", "--save", str(file))
    rows = list(csv.DictReader(io.StringIO(file.read_text(), newline="")))
    document = found(attn, FIT, "--query", "it", "--head", "2.0")
    assert len(rows) == len(document["trials"]) * (1 + len(document["output"]["words"]))
    wholes = [row for row in rows if not row["position"]]
    assert [row["key"] for row in wholes] == [trial["edges"][0]["key"] for trial in document["trials"]]
    for row in rows:
        assert float(row["after"]) - float(row["before"]) == pytest.approx(float(row["effect"]), abs=1e-5)


def table_of(attn: Run, file: Path, *arguments: str) -> list[dict[str, str]]:
    attn("ablate", *arguments, "--save", str(file))
    return [row for row in csv.DictReader(io.StringIO(file.read_text(), newline="")) if not row["position"]]


@pytest.mark.parametrize(
    ("arguments", "places"),
    [
        (["--head", "2.0"], [("2", "0", "2", "encoder:2.0")]),
        (["--head", "2.0,2.3"], [("2", "", "2", "encoder:2.0,2.3")]),
        (["--head", "1.1,2.3"], [("", "", "1 2", "encoder:1.1,2.3")]),
        (["--head", "1.1,2.3", "--by", "heads"], [("1", "1", "1", "encoder:1.1"), ("2", "3", "2", "encoder:2.3")]),
    ],
)
def test_a_table_holds_heads_as_whole_numbers_and_as_without_takes_them(
    arguments: list[str], places: list[tuple[str, ...]], attn: Run, tmp_path: Path
) -> None:
    rows = table_of(attn, tmp_path / "out.csv", FIT, *arguments)
    assert [(row["layer"], row["head"], row["layers"], row["heads"]) for row in rows] == places
    attn("find", FIT, "it", "trophy", "--without", rows[0]["heads"])


@pytest.mark.parametrize("cut", [["--with", "even"], ["--edge", "it:trophy"], ["--edge", "it:trophy", "--edge", "it:"]])
def test_by_heads_cuts_each_as_it_is_cut_alone(cut: list[str], attn: Run) -> None:
    document = found(attn, FIT, *cut, "--head", "1.3,2.0,2.5", "--by", "heads")
    assert document["view"] == "heads"
    places = [trial["heads"] for trial in document["trials"]]
    assert places == [[{"layer": layer, "heads": [head]}] for layer, head in ((1, 3), (2, 0), (2, 5))]
    for trial, head in zip(document["trials"], ("1.3", "2.0", "2.5"), strict=True):
        (alone,) = found(attn, FIT, *cut, "--head", head)["trials"]
        assert trial["effect"] == pytest.approx(alone["effect"], abs=1e-5)
        assert trial["words"] == pytest.approx(alone["words"], abs=1e-5)
        assert trial["weight"] == (None if alone["weight"] is None else pytest.approx(alone["weight"], abs=1e-6))
        assert trial["edges"] == alone["edges"]


def test_by_heads_over_a_corpus(attn: Run, tmp_path: Path) -> None:
    file = tmp_path / "in.txt"
    file.write_text("".join(f"{text}\n" for text in TEXTS))
    every = found(attn, "--file", str(file), "--kind", "encoder")["effects"]
    some = found(attn, "--file", str(file), "--layer", "1-2", "--by", "heads")["effects"]
    assert [(one["layer"], one["head"]) for one in some] == [(layer, head) for layer in (1, 2) for head in range(8)]
    for one, other in zip(some, every[8:], strict=True):
        assert one["mean"] == pytest.approx(other["mean"], abs=1e-6)
    assert "Encoder layers 1-2, head by head, zeroed" in attn(
        "ablate", "--file", str(file), "--layer=1-2", "--by=heads"
    )
    assert "Encoder head 1.3 does not." in attn("ablate", FIT, "--head", "1.3", "--by", "heads")
    model = attn_cli.load("toy")
    assert len(model.ablate(TEXTS, layer=2, by="heads").heads) == 8
    with pytest.raises(UsageError, match=r"or choose --by heads"):
        model.ablate(TEXTS, layer=2)


def test_several_edges_and_sentences(attn: Run, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text(f"{FIT}\n{FIT.replace('big', 'small')}\n")
    lines = attn("ablate", "--file", str(tmp_path / "in.txt"), "--edge", "it:trophy", "--edge", "it:fit", "--json")
    documents = [json.loads(line) for line in lines.splitlines()]
    assert [len(one["trials"][0]["edges"]) for one in documents] == [2, 2]
    error = attn("ablate", "--file", str(tmp_path / "in.txt"), "--edge", "it:small", code=4)
    assert "line 1 of" in error


@pytest.mark.parametrize(
    ("edge", "tokens", "names", "heading"),
    [
        ("#5:#1", [[5, 1]], ("it", "trophy"), "it → trophy "),
        ("5:1", [[5, 1]], ("it", "trophy"), "it → trophy "),
        ("-10:trophy", [[5, 1]], ("it", "trophy"), "it → trophy "),
        ("it,was:trophy,fit", [[5, 1], [5, 3], [6, 1], [6, 3]], ("it, was", "trophy, fit"), "it, was → trophy, fit "),
        ("it was:#1", [[5, 1], [6, 1]], ("it was", "trophy"), "it was → trophy "),
        ("it,cat:the", [[5, 9], [5, 12], [10, 9], [10, 12]], ("it, cat", "the"), "it, cat → the "),
        ("it:the#2", [[5, 12]], ("it", "the"), "it → the#2 "),
        (":it", [[query, 5] for query in range(15)], (None, "it"), "all that look at it "),
    ],
)
def test_the_ends_of_an_edge_are_named_as_queries_are(
    edge: str, tokens: list[list[int]], names: tuple[str | None, str], heading: str, attn: Run
) -> None:
    text = f"{FIT} as the cat saw the dog"
    (trial,) = found(attn, text, "--edge", edge, "--head", "2.0")["trials"]
    (own,) = trial["edges"]
    assert sorted(own["tokens"]) == tokens
    assert (own["query"], own["key"]) == names
    assert f"{heading}(weight" in attn("ablate", text, "--edge", edge, "--head", "2.0")


@pytest.mark.unchecked
def test_a_corpus_has_the_mean_of_what_its_texts_have(attn: Run, tmp_path: Path) -> None:
    file = tmp_path / "in.txt"
    file.write_text(f"{FIT}\nThe cat sat.\n{FIT.replace('big', 'small')}\n{FIT} and it was old\n")
    arguments = ("--query", "it", "--head", "2.0,2.3")
    document = found(attn, "--file", str(file), *arguments)
    assert document["view"] == "corpus"
    assert document["texts"] == 2
    for one in document["heads"]:
        texts = [FIT, FIT.replace("big", "small")]
        alone = [found(attn, text, "--query", "it", "--head", f"2.{one['head']}")["correlation"] for text in texts]
        assert one["mean"] == pytest.approx(sum(alone) / 2, abs=0.02)
        assert [one["least"], one["most"]] == pytest.approx(sorted(alone), abs=0.02)
        assert one["texts"] == 2
    assert "2 texts, 18 tokens" in attn("ablate", "--file", str(file), *arguments)
    assert "No text has 'dog' exactly once" in attn("ablate", "--file", str(file), "--query", "dog", code=3)
    assert "There is no head 8" in attn("ablate", "--file", str(file), "--query", "it", "--head", "2.8", code=4)
    file.write_text("The cat sat.\n")
    assert "There is no head 8" in attn("ablate", "--file", str(file), "--query", "it", "--head", "2.8", code=4)


def test_small_effects_are_told_apart(attn: Run, minilm: str) -> None:
    """With one head of MiniLM, no cut turns the mean state by as much as its column has decimals for."""
    arguments = [TROPHY, "--query", "it", "--head", "3.1", "--model", minilm]
    rows = [line.split() for line in attn("ablate", *arguments).splitlines()]
    for trial in found(attn, *arguments)["trials"]:
        effect, turn = (f"{value:.1e}".replace("e-0", "e-") for value in (trial["effect"], max(trial["words"])))
        assert [trial["edges"][0]["key"], effect, "it", turn] in [[row[0], *row[-3:]] for row in rows if row]
    atlas = attn("ablate", TROPHY, "--edge", "it:trophy", "--layer", "2-3", "--by", "heads", "--model", minilm)
    assert "In each cell, millionths; · is within half a millionth of 0." in atlas
    cells = next(line.split() for line in atlas.splitlines() if line.startswith("      3 "))
    trials = found(attn, TROPHY, "--edge", "it:trophy", "--layer", "3", "--by", "heads", "--model", minilm)["trials"]
    parts = [trial["effect"] * 1e6 for trial in trials]
    assert cells[1:] == [f"{part:.0f}" if part >= 0.5 else "·" for part in parts]


def test_a_correlation_that_is_not_defined_is_said_in_a_sentence(attn: Run) -> None:
    screen = " ".join(attn("ablate", "it", "--query", "it").split())
    assert screen.endswith("Rank correlation of weight and size of effect (Spearman) is not defined.")


def test_from_python(attn: Run) -> None:
    model = attn_cli.load("toy")
    one = model.ablate(FIT, edge="it:trophy", head="2.0")
    assert one.to_dict() == found(attn, FIT, "--edge", "it:trophy", "--head", "2.0")
    assert one.trials[0].effect < 0
    assert model.ablate(FIT, edge=["it:trophy", "it:fit"], by="layers").view == "layers"
    assert model.ablate(FIT, query="it", layer=2).view == "keys"
    with pytest.raises(UsageError, match=r"no option 'edges'\. Did you mean edge\?"):
        model.ablate(FIT, edges="it:trophy")  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="no option 'measure'"):
        model.ablate(FIT, measure="scores")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["record.json"], 2, "A record holds no model"),
        ([FIT, "--edge", "it"], 2, "--edge must be FROM:TO"),
        ([FIT, "--edge", ":"], 2, "--edge must be FROM:TO"),
        ([FIT, "--edge", "it:trophy", "--with", "even"], 2, "--edge cuts edges"),
        ([FIT, "--query", "it", "--with", "zero"], 2, "--query cuts edges"),
        ([FIT, "--edge", "it:fit", "--query", "it"], 2, "--edge cannot be used with it"),
        ([FIT, "--by", "layers"], 2, "or choose --by heads"),
        ([FIT, "--by", "layers", "--edge", "it:fit", "--head", "2.0"], 2, "--head cannot be used with it"),
        ([FIT, "--by", "words", "--edge", "it:fit"], 2, "not one of heads, layers"),
        ([FIT, "--by", "heads", "--query", "it"], 2, "--by heads cannot be used with it"),
        ([FIT, "--by", "heads", "--attribution"], 2, "--by cannot be used with it"),
        ([FIT, "--by", "heads", "--edge", "it:fit", "--edge", "grand:fit"], 2, "--by heads takes edges of one kind"),
        ([FIT, "--with", "noise"], 2, "not one of zero, mean, even"),
        ([FIT, "--with", "resample"], 2, "Name the text with --from-text"),
        ([FIT, "--with", "resample", "--from-file", "x.txt"], 2, "and --from-file names several"),
        ([FIT, "--with", "resample", "--from-text", " "], 2, "--from-text is empty"),
        ([FIT, "--with", "resample", "--from-text", "The cat sat."], 3, "as many tokens"),
        ([FIT, "--from-text", FIT], 2, "--with does not ask for it"),
        ([FIT, "--with", "mean", "--seed", "7"], 2, "--seed is for the texts of --from-probe"),
        ([FIT, "--with", "mean", "--from-text", FIT, "--from-probe"], 2, "Give one of them"),
        ([FIT, "--with", "mean", "--from-file", "nowhere.txt"], 3, "nowhere.txt cannot be read"),
        (["-", "--with", "mean", "--from-file", "-"], 2, "both standard input"),
        ([FIT, "--edge", "it:fit", "--with", "resample", "--from-text", FIT], 2, "--edge cuts edges"),
        ([FIT, "--head", "2.0", "--layer", "2"], 2, "--head names layers"),
        ([FIT, "--query", " "], 2, "--query is empty"),
        ([FIT, "--against", " London"], 2, "Give it with --target"),
        ([FIT, "--target", " "], 2, "--target is empty"),
        ([FIT, "--mask", ""], 2, "--mask is empty"),
        ([FIT, "--mask", "it", "--target", "it"], 2, "--target cannot be used with it"),
        ([FIT, "--output", "states", "--target", "it"], 2, "--output states is not"),
        ([FIT, "--output", "states", "--mask", "it"], 2, "--output states is not"),
        ([FIT, "--output", "states", "--target-tokens", "all"], 2, "--output states is not"),
        ([FIT, "--head", "0.0,cross:1.0"], 2, "Write it like --kind cross --head 1.0"),
        ([FIT, "--head", "2.8"], 4, "There is no head 8 in layer 2"),
        ([FIT, "--layer", "3"], 4, "There is no layer 3"),
        ([FIT, "--edge", "it:dog"], 4, "'dog' is not in the text"),
        ([FIT, "--edge", "it#2:fit"], 4, "only once"),
        ([FIT, "--edge", "#20:fit"], 4, "There is no position 20 in the text. Its positions are 0 to 8"),
        ([FIT, "--kind", "decoder", "--edge", "dog:fit"], 4, "'dog' is not in the text"),
        ([FIT, "--edge", "::"], 4, "':' is not in the text"),
        ([FIT, "--edge", " : "], 2, "--edge must be FROM:TO"),
        ([FIT, "--edge", "trophy:it:big"], 4, "'it:big' is not in the text"),
        ([FIT, "--edge", "[bold]:it"], 4, "'[bold]' is not in the text"),
        ([FIT, "--kind", "cross", "--edge", "it:trophy"], 4, "only part of"),
        ([FIT, "--query", "it,trophy"], 4, "names 2 places"),
        ([FIT, "--head", ""], 2, "not a list of numbers"),
        ([FIT, "--dtype", "float16"], 2, "in float32"),
        ([FIT, "a second text"], 2, "Put the sentence in quotes"),
        ([" "], 3, "The text is empty"),
        (["word " * 10_000], 3, "9489 more than the 512 that toy has positions for"),
        (["--file", "*.nothing"], 3, "No file is named like *.nothing"),
        (["--file", "no-such-file", "--query", "it"], 3, "No such file"),
        ([FIT, "--model", "toy-rnn"], 5, "has no attention"),
        ([FIT, "--model", "MODEL", "--mask", "it"], 5, "--mask cannot be measured"),
        ([FIT, "--model", "MODEL", "--kind", "decoder"], 4, "no decoder attention"),
        ([FIT, "--save", "out.npz"], 6, "there are none to save"),
    ],
)
def test_what_is_refused_is_told_in_one_line(arguments: list[str], code: int, message: str, attn: Run) -> None:
    error = attn("ablate", *arguments, code=code)
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("width", [40, 44, 60])
def test_what_is_likeliest_before_and_after_stays_on_a_narrow_screen(width: int, attn: Run) -> None:
    shown = attn("ablate", SMALL, "--edge", "it:suitcase", "--head", "2.0", "--width", str(width), "--no-color")
    assert max(map(len, shown.splitlines())) <= width
    assert "lack of width" not in shown
    assert re.search(r"^elle +0\.\d\d  il +0\.\d\d$", shown, re.MULTILINE)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of a decoder whose tokenizer splits words, and of a masked encoder."""
    folder = tmp_path_factory.mktemp("tiny")
    return {
        "decoder": str(folders.save(folder / "decoder", decoder()._saved, folders.byte_level())),
        "masked": str(folders.save(folder / "masked", masked()._saved, folders.wordpiece())),
    }


def test_a_batch_that_is_smaller_for_want_of_memory_is_told(
    attn: Run, tiny: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("Attention is all you need", "--model", tiny["decoder"])

    def effects(free: int) -> tuple[list[str], list[float]]:
        monkeypatch.setattr("attn_cli.models.capture.variations.free_on", lambda _: free)
        document = found(attn, *arguments)
        return document["notes"], [trial["effect"] for trial in document["trials"]]

    notes, roomy = effects(2**40)
    assert SMALLER not in notes
    told, short = effects(0)
    assert told == [*notes, SMALLER]
    assert short == pytest.approx(roomy, abs=1e-5)
    model = attn_cli.load(tiny["decoder"])
    assert SMALLER in model.ablate(arguments[0]).notes
    assert SMALLER not in model.ablate(arguments[0], head="0.0").notes  # one cut needs no batch
    assert main(["ablate", *arguments]) == 0
    assert f"note: {SMALLER}" in " ".join(capsys.readouterr().err.split())


def test_the_tokens_of_a_target_are_chosen(attn: Run, tiny: dict[str, str]) -> None:
    """The reference is GPT2LMHeadModel's own log-probabilities."""
    arguments = ("all", "--target", " you need", "--head", "1.0", "--tokens", "--model", tiny["decoder"])
    every, first, plain = (found(attn, *arguments, *more)["output"] for more in (ALL, FIRST, []))
    model = decoder()
    ids = model.tokenizer("all you need", return_tensors="pt")["input_ids"]
    before = len(model.tokenizer("all")["input_ids"])
    with torch.no_grad():
        logits = model._saved(ids).logits[0].log_softmax(dim=-1)
    expected = logits[torch.arange(before - 1, ids.shape[1] - 1), ids[0, before:]].tolist()
    assert len(expected) > 2
    assert [word["value"] for word in every["words"]] == pytest.approx(expected, abs=1e-5)
    assert [word["value"] for word in first["words"]] == pytest.approx(expected[:1], abs=1e-5)
    assert plain["words"] == every["words"]
    split = "all are measured"
    assert split in " ".join(found(attn, *arguments)["notes"])
    assert all(split not in " ".join(found(attn, *arguments, *more)["notes"]) for more in (ALL, FIRST))
    against = found(attn, *arguments, *FIRST, "--against", " is")["output"]
    other = model.tokenizer("all is")["input_ids"][before]
    difference = float(logits[before - 1, ids[0, before]] - logits[before - 1, other])
    assert against["value"] == pytest.approx(difference, abs=1e-5)


def test_two_masks_are_both_measured(attn: Run, tiny: dict[str, str]) -> None:
    text = "the [MASK] was [MASK]"
    document = found(attn, text, "--model", tiny["masked"])
    assert document["output"]["kind"] == "mask"
    assert len(document["output"]["words"]) == 2
    model = masked()
    ids = model.tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = model._saved(ids).logits[0].log_softmax(dim=-1)
    likeliest = logits[ids[0] == model.tokenizer.mask_token_id].max(dim=-1).values
    assert [word["value"] for word in document["output"]["words"]] == pytest.approx(likeliest.tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "arguments", "code", "message"),
    [
        ("decoder", ["all", "--target", " you need", "--against", " is"], 2, "'y', 'ou'"),
        ("decoder", ["all", "--target", " is", "--against", " is"], 2, "--against is the same as --target"),
        ("decoder", ["all you need", "--target-tokens", "all"], 2, "--target-tokens is about --target"),
        ("decoder", ["all", "--mask", "all"], 2, "--mask goes with masked encoders"),
        ("decoder", ["Attention i", "--target", "s"], 3, "in one token"),
        ("decoder", ["all you need", "--edge", "you:need"], 4, "is masked"),
        ("decoder", ["all you", "--target-tokens", "last"], 2, "not one of first, all"),
        ("masked", ["the trophy was big", "--target", "big"], 3, "The text has no mask. Write [MASK]"),
        ("masked", ["the trophy was big", "--output", "words"], 3, "The text has no mask. Write [MASK]"),
        ("masked", ["the [MASK] was [MASK]", "--target", "it"], 2, "several masks. Leave one mask"),
        ("masked", ["the [MASK] was", "--mask", "was"], 2, "a [MASK] already"),
        ("masked", ["the [MASK] was", "--target", "suitcase"], 2, "'suit', '##case'"),
    ],
)
def test_what_small_models_refuse_is_told_in_one_line(
    name: str, arguments: list[str], code: int, message: str, attn: Run, tiny: dict[str, str]
) -> None:
    error = attn("ablate", *arguments, "--model", tiny[name], code=code)
    assert message in error
    assert error.count("\n") == 1


TEXTS = [FIT, "The box didn't fit in the bag because it was too big", "The cat slept because it was tired"]
SCREENS = {
    "heads": [SMALL, "--with", "even"],
    "states": [TROPHY, "--model", "MODEL"],
    "head": [SMALL, "--head", "2.0", "--with", "even"],
    "edge": [TROPHY, "--edge", "it:trophy", "--head", "3.1", "--model", "MODEL"],
    "layers": [SMALL, "--edge", "it:suitcase", "--by", "layers"],
    "by-heads": [SMALL, "--layer", "1-2", "--by", "heads"],
    "edge-heads": [SMALL, "--edge", "it:suitcase", "--by", "heads"],
    "keys": [SMALL, "--query", "it"],
    "resample": [TROPHY, "--with", "resample", "--from-text", SMALL],
    "resample-head": [TROPHY, "--with", "resample", "--from-text", SMALL, "--head", "2.0"],
    "mean": [FIT, "--with", "mean", "--from-file", "texts.txt", "--kind", "encoder"],
    "effects": ["--file", "texts.txt"],
    "effects-pairs": ["--file", "pairs.tsv", "--with", "resample", "--kind", "encoder"],
}


@pytest.mark.parametrize("width", [60, 80, 160])
@pytest.mark.parametrize("color", [True, False], ids=["color", "plain"])
@pytest.mark.parametrize("screen", SCREENS)
def test_golden_screens(
    screen: str, width: int, color: bool, attn: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    (tmp_path / "pairs.tsv").write_text("".join(f"{text}\t{text.replace('big', 'small')}\n" for text in TEXTS[:2]))
    flags = ["--width", str(width), "--color" if color else "--no-color"]
    # The first lines name MiniLM's folder, which is another on every machine.
    kept = attn("ablate", *SCREENS[screen], *flags).partition("\n\n")[2]
    assert_golden(f"ablate-{screen}-{width}{'-color' if color else ''}", kept)


def test_effects_of_many_layers_leave_room_on_a_low_screen() -> None:
    """Half-blocks take two layers a line where 30 lines of numbers would push the rest off the screen."""
    values: dict[Kind, dict[tuple[int, int], float]] = {
        "decoder": {(layer, head): (head - 4) / 10 for layer in range(30) for head in range(9)}
    }
    screen = Screen(width=80)

    def height(room: int | None) -> int:
        return sum(lines_of(part, screen) for part in effect_atlases(values, screen, states=False, room=room))

    assert height(None) == height(40) == 1 + 30 + 1 + 1
    assert height(25) == height(3) == 1 + 15 + 1


def test_kinds_on_one_scale_have_one_legend() -> None:
    few = {(layer, head): 0.5 for layer in range(3) for head in range(8)}
    values: dict[Kind, dict[tuple[int, int], float]] = {"encoder": few, "cross": few}
    screen = Screen(width=80)
    (part,) = effect_atlases(values, screen, states=False, room=2)
    kind_by_kind = [kind if row < 0 else "layer" if not row else str(row) for kind in values for row in range(-1, 3)]
    assert [line.split()[0] for line in shown(part, screen)] == [*kind_by_kind, "effect"]
