"""`attn translate` through the command line, on small random models: what is printed, saved, refused."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import attn_cli
from attn_cli.cli.app import main
from attn_cli.data.model import ModelInfo
from attn_cli.data.selection import Selection
from attn_cli.data.stream import Eat, Report, Request
from attn_cli.data.text import Tokens, make_tokens
from attn_cli.errors import InputError
from attn_cli.models import Decoding, Input, Translation
from attn_cli.questions.schema.measure import schema
from attn_cli.questions.translate.align import Score, align
from attn_cli.questions.translate.command import FIRST_BATCH
from attn_cli.questions.translate.gold import parse_gold
from tests.cli.examples import examples, run_example
from tests.models.translators import TRANSLATORS, built, folder_of

SENTENCE = "the trophy was too big"
NLLB = ("--model", "nllb", "--from", "en", "--to", "fr", "--max-length", "11")
BART = ("--model", "bart", "--max-length", "11")

Run = Callable[..., str]


@pytest.fixture
def attn(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `attn translate`, where a family's name stands for its folder; its stdout, or where it fails its stderr."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str, code: int = 0, command: str = "translate") -> str:
        named = [folder_of(argument) if argument in TRANSLATORS else argument for argument in arguments]
        got = main([command, *named])
        out, err = capsys.readouterr()
        assert got == code, err
        assert "Traceback" not in err
        return out if code == 0 else err

    return run


def document(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    jsonschema.validate(found, json.loads(schema()))
    return found


def written(name: str, *texts: str, **decoding: Any) -> list[Translation]:
    """Translate texts with the model itself."""
    options = {"max_length": 11} | decoding
    return built(name)[0].translate(texts, decoding=Decoding(**options), languages=TRANSLATORS[name].languages)


def test_the_translation_stands_first_and_its_map_below(attn: Run) -> None:
    lines = attn(SENTENCE, *NLLB).splitlines()
    (found,) = written("nllb", SENTENCE, beam=4)
    assert " ".join(lines[: lines.index("")]) == " ".join(found.text.split())
    assert any("m2m_100 cross-attention · 2 layers × 5 heads" in line for line in lines)
    assert any(line.startswith("Weights of head ") and line.endswith(", input rows") for line in lines)
    assert "This model does not say which of its heads align words." in " ".join(lines)
    assert "rows (target, when read) attend to columns (source)" in " ".join(lines)
    rows = [line for line in lines if line[:2].strip().isdecimal()]
    assert len(rows) >= 3
    assert all(line.count("■") == 1 for line in rows)


def test_one_text_is_searched_with_a_beam_and_a_file_greedily(attn: Run, tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text(SENTENCE, encoding="utf-8")
    greedy, beam = (attn(SENTENCE, *NLLB, "--text-only", "--beam", size) for size in ("1", "4"))
    assert greedy != beam == attn(SENTENCE, *NLLB, "--text-only")
    assert greedy == attn("--file", str(path), *NLLB, "--text-only")


@pytest.mark.parametrize("beam", ["1", "3"])
def test_json_holds_the_tokens_and_all_cross_heads(attn: Run, beam: str) -> None:
    seen = document(attn(SENTENCE, *NLLB, "--beam", beam, "--json"))
    (found,) = written("nllb", SENTENCE, beam=int(beam))
    assert [token["id"] for token in seen["target"]["tokens"]] == list(found.ids)
    assert seen["target"]["text"] == found.text
    assert seen["source"]["text"] == SENTENCE
    assert [(map_["kind"], map_["layer"], map_["head"]) for map_ in seen["maps"]] == [
        ("cross", layer, head) for layer in range(2) for head in range(5)
    ]
    assert np.shape(seen["maps"][0]["weights"]) == (len(found.ids) - 1, len(seen["source"]["tokens"]))
    assert seen["units"]["rows"] == "input row: the step that reads the token"
    assert seen["selection"]["translation"] is True


def test_output_rows_are_the_same_weights_with_other_words(attn: Run) -> None:
    read = document(attn(SENTENCE, *NLLB, "--json", "--rows", "input"))
    output = document(attn(SENTENCE, *NLLB, "--json", "--rows", "output"))
    assert read["maps"] == output["maps"]
    assert output["units"]["rows"] == "output row: the step that outputs the token"
    shown = attn(SENTENCE, *NLLB, "--rows", "output", "--tokens", "--head", "1.2")
    pieces = [token["piece"] for token in output["target"]["tokens"]]
    rows = [line.split()[1] for line in shown.splitlines() if line[:2].strip().isdecimal()]
    assert rows == pieces[1:]
    assert "rows (target, when written) attend to columns (source)" in shown
    shown = attn(SENTENCE, *NLLB, "--tokens", "--head", "1.2")
    start, *rest = (line.split()[1] for line in shown.splitlines() if line[:2].strip().isdecimal())
    assert (start, rest) == ("<start>", pieces[1:-1])


def test_a_given_target_is_not_searched_for(attn: Run) -> None:
    seen = document(attn(SENTENCE, *NLLB[:-2], "--target", "le chat", "--json"))
    assert seen["target"]["text"] == "le chat"
    assert attn(SENTENCE, *NLLB[:-2], "--target", "le chat").splitlines()[0] == "le chat"
    record = attn_cli.load(folder_of("nllb")).inspect(
        SENTENCE, target="le chat", source_language="en", target_language="fr"
    )
    weights = [map_["weights"] for map_ in seen["maps"]]
    np.testing.assert_array_equal(np.asarray(weights[0], np.float32), record.maps[0].weights[0])


SELECTIONS = [
    [],
    ["--rows", "output"],
    ["--layer", "1"],
    ["--head", "1.2"],
    ["--grid"],
    ["--query", "1"],
    ["--query", "1", "--rows", "output"],
    ["--tokens"],
    ["--no-special"],
    ["--scores"],
    ["--all"],
    ["--kind", "encoder"],
    ["--kind", "decoder"],
    ["--kind", "cross", "--sort", "link"],
    ["--verify"],
]


@pytest.mark.parametrize("selection", SELECTIONS, ids=" ".join)
def test_a_saved_translation_shows_the_same_screen(selection: list[str], attn: Run, tmp_path: Path) -> None:
    first, second = str(tmp_path / "record.json"), str(tmp_path / "record.npz")
    shown = attn(SENTENCE, *NLLB, *selection)
    assert attn(SENTENCE, *NLLB, *selection, "--save", first) == ""
    assert attn(first, command="view") == shown
    attn(first, "--save", second, command="view")
    assert attn(second, command="view") == shown
    assert shown.startswith(written("nllb", SENTENCE, beam=4)[0].text[:10])


def test_a_saved_translation_in_other_ways(attn: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "record.npz")
    attn(SENTENCE, *NLLB, "--grid", "--save", file)
    assert attn(file, "--no-grid", command="view") == attn(SENTENCE, *NLLB)
    assert attn(file, "--no-grid", "--rows", "output", command="view") == attn(SENTENCE, *NLLB, "--rows", "output")
    assert "does not hold encoder" in attn(file, "--kind", "encoder", command="view", code=4)


def test_csv_says_which_step_a_row_is(attn: Run, tmp_path: Path) -> None:
    for rows in ("input", "output"):
        file = tmp_path / f"{rows}.csv"
        attn(SENTENCE, *NLLB, "--rows", rows, "--head", "0.0", "--save", str(file))
        table = list(csv.DictReader(io.StringIO(file.read_text())))
        assert {row["rows"] for row in table} == {rows}
    file = tmp_path / "encoder.csv"
    attn(SENTENCE, *NLLB, "--kind", "encoder", "--head", "0.0", "--save", str(file))
    assert "rows" not in file.read_text().splitlines()[0]


def test_heads_that_the_model_declares(attn: Run, tmp_path: Path) -> None:
    folder = tmp_path / "declared"
    folder.mkdir()
    for path in Path(folder_of("bart")).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config["attn"] = {"alignment": {"layer": 1, "heads": [3], "rows": "output", "how": "Chosen on paper."}}
    (folder / "config.json").write_text(json.dumps(config))
    shown = attn(SENTENCE, "--model", str(folder), "--max-length", "5")
    assert "Weights of head 1.3, output rows" in shown
    assert "Chosen on paper. A row is the step that writes its word" in " ".join(shown.split())
    assert "Weights of head 1.3, input rows" in attn(
        SENTENCE, "--model", str(folder), "--max-length", "5", "--rows", "input"
    )
    seen = document(attn(SENTENCE, "--model", str(folder), "--max-length", "5", "--json"))
    assert seen["model"]["alignment"]["heads"] == [3]
    assert seen["units"]["rows"].startswith("output row")


TEXTS = ("the trophy", "", "was too big", "keep reading, keep writing", "an old man", "  ", "laughs", "in a café")


@pytest.fixture
def lines(tmp_path: Path) -> str:
    path = tmp_path / "in.txt"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return str(path)


def test_many_texts_are_one_record_each_in_order(attn: Run, lines: str) -> None:
    assert len(TEXTS) > FIRST_BATCH
    found = [document(line) for line in attn("--file", lines, *NLLB, "--json").splitlines()]
    texts = [text for text in TEXTS if text.strip()]
    assert [seen["source"]["text"] for seen in found] == texts
    assert [seen["target"]["text"] for seen in found] == [one.text for one in written("nllb", *texts)]
    shown = attn("--file", lines, *BART)
    assert shown.index("1  the trophy") < shown.index("2  was too big") < shown.index("6  in a café")


def test_texts_alone_keep_to_their_lines(attn: Run, lines: str) -> None:
    printed = attn("--file", lines, *NLLB, "--text-only")
    expected = [written("nllb", text)[0].text if text.strip() else "" for text in TEXTS]
    assert printed == "".join(f"{text}\n" for text in expected)


@pytest.mark.unchecked
def test_a_pipe_is_read_like_a_file(attn: Run, lines: str) -> None:
    command = [sys.executable, "-m", "attn_cli", "translate", "--model", folder_of("nllb"), *NLLB[2:], "--text-only"]
    with Path(lines).open("rb") as file:
        piped = subprocess.run(command, stdin=file, capture_output=True, check=True)
    assert piped.stdout.decode() == attn(*NLLB, "--text-only", "--file", lines)
    assert piped.stdout.count(b"\n") == len(TEXTS)


def test_links_are_those_of_the_strongest_source_words(attn: Run, lines: str) -> None:
    model = built("nllb")[0]
    languages = TRANSLATORS["nllb"].languages
    expected, weighed = [], []
    for text in TEXTS:
        links: Sequence[Any] = ()
        if text.strip():
            (found,) = written("nllb", text)
            links = align(model.prepare(Input(text, target=found, languages=languages)), Selection(rows="output")).links
        expected.append(" ".join(f"{link.source}-{link.target}" for link in links))
        weighed.append(" ".join(f"{link.source}-{link.target}:{link.weight:.2f}" for link in links))
    assert any(expected)
    assert attn("--file", lines, *NLLB, "--align", "--rows", "output") == "".join(f"{line}\n" for line in expected)
    scored = attn("--file", lines, *NLLB, "--align-score", "--rows", "output")
    assert scored == "".join(f"{line}\n" for line in weighed)


PAIRS = (("the trophy was", "le chat"), ("keep reading, keep", "gardez la lecture"), ("a man", "un vieux homme"))


def table(path: Path, *columns: Sequence[str]) -> str:
    path.write_text("".join("\t".join(row) + "\n" for row in zip(*columns, strict=True)), encoding="utf-8")
    return str(path)


def test_a_table_gives_the_targets(attn: Run, tmp_path: Path) -> None:
    pairs = table(tmp_path / "pairs.tsv", *zip(*PAIRS, strict=True))
    found = [document(line) for line in attn("--file", pairs, *NLLB, "--json").splitlines()]
    assert [(seen["source"]["text"], seen["target"]["text"]) for seen in found] == list(PAIRS)
    found = [document(line) for line in attn("--file", pairs, *NLLB[:6], "--json", command="inspect").splitlines()]
    assert [seen["target"]["text"] for seen in found] == [target for _, target in PAIRS]
    alone = table(tmp_path / "alone.tsv", [source for source, _ in PAIRS])
    assert attn("--file", alone, *NLLB, "--text-only").splitlines() == [
        one.text for one in written("nllb", *(source for source, _ in PAIRS))
    ]


GOLD = ("0-0 2p1", "0-0 1-1 2-2 1p0", "0p0 1-2")


@pytest.mark.parametrize("third_column", [True, False])
def test_error_rate_against_gold(attn: Run, tmp_path: Path, third_column: bool) -> None:
    pairs = table(tmp_path / "pairs.tsv", *zip(*PAIRS, strict=True))
    gold = str(tmp_path / "gold.txt")
    Path(gold).write_text("\n".join(GOLD))
    if third_column:
        gold = pairs = table(tmp_path / "gold.tsv", *zip(*PAIRS, strict=True), GOLD)
    links = attn("--file", pairs, *NLLB, "--align", "--head", "1.2").splitlines()
    total = Score(0, 0, 0, 0)
    for line, right in zip(links, GOLD, strict=True):
        total += Score.of(parse_gold(line).sure, parse_gold(right))
    printed = attn("--file", pairs, *NLLB, "--align", "--head", "1.2", "--gold", gold).splitlines()
    assert printed == [
        f"alignment error rate  {100 * total.error_rate:5.1f} %",
        f"precision             {100 * total.precision:5.1f} %",
        f"recall                {100 * total.recall:5.1f} %",
        f"3 sentences; {total.found} links found, 5 sure in gold",
        "Weights of head 1.2, input rows",
    ]
    assert attn("--file", pairs, *NLLB, "--align", "--gold", gold).splitlines()[-1].endswith(", input rows")


def test_what_came_before_a_fault_is_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "in.txt"
    texts = [f"number {number}" for number in range(2 * FIRST_BATCH + 1)]
    texts[FIRST_BATCH + 2] = "trophy " * 40
    path.write_text("\n".join(texts))
    command = ["translate", "--file", str(path), "--model", folder_of("bart"), "--max-length", "3", "--text-only"]
    assert main(command) == 3
    out, err = capsys.readouterr()
    assert out.count("\n") == FIRST_BATCH + 2
    assert f"line {FIRST_BATCH + 3} of {path}: The text has" in err
    assert main([*command, "--truncate"]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == len(texts)
    assert err.count("The text was cut to 43 of its") == 1
    path.write_bytes("\n".join(texts[:3]).encode() + b"\ncaf\xe9\n")
    assert main(command) == 3
    out, err = capsys.readouterr()
    assert out.count("\n") == 3
    assert f"line 4 of {path} is not UTF-8" in err


def test_notes_are_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "in.txt"
    path.write_text("one\ntwo\nthree\n")
    command = ["translate", "--file", str(path), "--model", folder_of("bart"), "--max-length", "3"]
    for more in (["--json"], ["--text-only"], ["--align"]):
        assert main([*command, *more]) == 0
        assert capsys.readouterr().err.count("was cut after 3 tokens; attn translate --max-length 6") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["", *BART], 3, "The text is empty"),
        (["   ", *BART], 3, "The text is empty"),
        (["a", "--model", "bart", "--target", " "], 3, "The text of --target is empty"),
        (["a", "--target", "le " * 60, "--model", "bart"], 3, "The target has 122 tokens, 79 more than the 43"),
        (["a " * 60, *BART], 3, "The text has"),
        (["a", *BART, "--from", "en"], 2, "takes no languages"),
        (["a", "--model", "nllb", "--from", "en"], 2, "must be told which. Add --to"),
        (["a", "--model", "nllb", "--from", "en", "--to", "klingon"], 2, "does not know the language klingon"),
        (["a", *BART, "--beam", "0"], 2, "--beam"),
        (["a", *BART, "--beam", "101"], 2, "--beam must be between 1 and 100, and 101 is not"),
        (["a", *BART, "--max-length", "0"], 2, "--max-length"),
        (["a", *BART, "--rows", "sideways"], 2, "--rows"),
        (["a", *BART, "--kind", "encoder", "--rows", "output"], 4, "an encoder writes none"),
        (["a", *BART, "--head", "0.7"], 4, "It has heads 0 to 4"),
        (["a", *BART, "--query", "elephant"], 4, "'elephant' is not in the target, whose words are the rows"),
        (["a", *BART, "--align", "--json"], 2, "--align prints only text, so --json cannot be used with it"),
        (["a", *BART, "--align", "--grid"], 2, "so --grid cannot be used with it"),
        (["a", *BART, "--align-score", "--save", "x.json"], 2, "so --save cannot be used with it"),
        (["a", *BART, "--text-only", "--align"], 2, "so --align cannot be used with it"),
        (["a", *BART, "--text-only", "--head", "0.0"], 2, "so --head cannot be used with it"),
        (["a", *BART, "--align", "--verify"], 2, "so --verify cannot be used with it"),
        (
            ["a", *BART, "--target", "b"],
            2,
            "where --target is the translation, so --max-length cannot",
        ),
        (["a", "--model", "bart", "--text-only", "--target", "b"], 2, "so --target cannot be used with it"),
        (["a", *BART, "--gold", "x"], 2, "--gold scores word links. Add --align"),
        (["a", *BART, "--align", "--gold", "missing"], 3, "missing cannot be read"),
        (["a", "--model", "no/such/model"], 5, "no/such/model"),
        (["a", "--model", " "], 2, "--model"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_what_cannot_be(
    arguments: list[str], code: int, message: str, attn: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ATTN_MODEL", raising=False)
    error = attn(*arguments, code=code)
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("pairs", "gold", "message"),
    [
        ("a\tb\nc\n", None, "line 2 of IN has 1 column, and the lines before it have 2"),
        ("a\nb\tc\n", None, "line 2 of IN has 2 columns, and the lines before it have 1"),
        ("a\tb\n\tc\n", None, "line 2 of IN has no text"),
        ("a\tb\nc\t \n", None, "line 2 of IN has no target"),
        ("\n\n", None, "There is no text in IN"),
        ("a\tb\n", "0-0\n0-0\n", "GOLD has 2 lines, and sentence 1 is the last there is"),
        ("a\tb\nc\td\n", "0-0\n", "GOLD has 1 line, and there are more sentences"),
        ("a\tb\n", "0-1\n", "line 1 of GOLD: 0-1 links words beyond the 1 of the text and the 1 of its target"),
        ("a\tb\n", "0-0 1:1\n", "line 1 of GOLD: '1:1' is not a link"),
        ("a\tb\n", "\n", "line 1 of IN"),
    ],
)
def test_tables_that_cannot_be(pairs: str, gold: str | None, message: str, attn: Run, tmp_path: Path) -> None:
    path, right = tmp_path / "in.tsv", tmp_path / "gold.txt"
    path.write_text(pairs)
    arguments = ["--file", str(path), *BART, "--align"]
    if gold is not None:
        right.write_text(gold)
        arguments += ["--gold", str(right)]
    if gold == "\n":  # nobody has linked anything here, and that can be
        assert "0 sure in gold" in attn(*arguments)
        return
    error = attn(*arguments, code=3)
    assert message.replace("IN", str(path)).replace("GOLD", str(right)) in error
    assert error.splitlines()[-1].startswith("attn: ")


def test_a_table_without_a_third_column_is_no_gold(attn: Run, tmp_path: Path) -> None:
    pairs = table(tmp_path / "pairs.tsv", *zip(*PAIRS, strict=True))
    assert "line 1 of" in (error := attn("--file", pairs, *BART, "--align", "--gold", pairs, code=3))
    assert "has no third column" in error
    assert "cannot be used with it" in attn("--file", pairs, "--model", "bart", "--target", "b", code=2)
    assert "already has its target" in attn("--file", pairs, *BART, "--text-only", code=2)


class Bottleneck:
    """A model without attention, which writes its text backwards."""

    info = ModelInfo("toy-rnn", "toy-rnn", {}, "numpy", bottleneck=256)
    fingerprint = "0"
    notes = ()

    def __init__(self, source: str = "", target: str = "") -> None:
        self.model = self.info
        self.source, self.target = self._tokens(source, []), self._tokens(target, ["<s>"])

    def _tokens(self, text: str, start: list[str]) -> Tokens:
        pieces = [*start, *text.split(), "</s>"]
        offsets = [(text.find(piece), text.find(piece) + len(piece)) if piece in text else (0, 0) for piece in pieces]
        return make_tokens(text, pieces, offsets, [piece in {"<s>", "</s>"} for piece in pieces])

    def prepare(self, given: Input) -> Bottleneck:
        assert isinstance(given.target, Translation)
        return Bottleneck(given.text, given.target.text)

    def translate(self, texts: Sequence[str], **_: Any) -> list[Translation]:
        return [Translation(" ".join(reversed(text.split())), (0, 1)) for text in texts]

    def stream(self, request: Request, _: Eat) -> Report:
        assert not any(request.heads.values())
        return Report(notes=("It guesses",))

    def _not_asked(self, *_: Any) -> Any:
        raise AssertionError("only translations and a stream are asked of it")

    of_images = converse = without = write = prepare_tokens = spell_tokens = run = attribute = contexts = _not_asked
    plain_tokens, mask_token, unknown_token, outputs = (), None, None, ()


def test_a_model_without_attention_translates_and_says_so(
    attn: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("attn_cli.models.load", lambda *_: Bottleneck())
    shown = attn("the cat sat", "--model", "toy-rnn")
    assert shown.splitlines()[0] == "sat cat the"
    said = "toy-rnn has no attention to show: the whole text passes to its decoder through one vector of 256 numbers."
    assert " ".join(shown.split("\n", 2)[2].split()) == said
    file = str(tmp_path / "record.json")
    attn("the cat sat", "--model", "toy-rnn", "--save", file)
    assert attn(file, command="view") == shown
    seen = document(attn("the cat sat", "--model", "toy-rnn", "--json"))
    assert (seen["maps"], seen["model"]["bottleneck"], seen["target"]["text"]) == ([], 256, "sat cat the")
    assert attn("the cat sat", "--model", "toy-rnn", "--text-only") == "sat cat the\n"
    for more in (["--grid"], ["--head", "0.0"], ["--align"]):
        assert "one vector of 256 numbers" in attn("the cat sat", "--model", "toy-rnn", *more, code=5)
    assert "one vector of 256 numbers" in attn(file, "--query", "sat", command="view", code=5)


def test_a_batch_that_is_too_much_is_taken_one_by_one(attn: Run, lines: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Small(Bottleneck):
        def translate(self, texts: Sequence[str], **_: Any) -> list[Translation]:
            if len(texts) > 1:
                raise InputError("Too much at once")
            return super().translate(texts)

    monkeypatch.setattr("attn_cli.models.load", lambda *_: Small())
    printed = attn("--file", lines, "--model", "x", "--text-only").splitlines()
    assert printed == [" ".join(reversed(text.split())) for text in TEXTS]


def test_the_record_from_python_is_the_one_that_the_command_prints(attn: Run) -> None:
    printed = document(attn(SENTENCE, *NLLB, "--json"))
    model = attn_cli.load(folder_of("nllb"))
    record = model.translate(SENTENCE, source_language="en", target_language="fr", max_length=11)
    assert record.target is not None
    assert record.target.text == printed["target"]["text"] == written("nllb", SENTENCE, beam=4)[0].text
    np.testing.assert_array_equal(record.maps[1].weights[2], np.asarray(printed["maps"][7]["weights"], np.float32))
    assert (record.maps[1].layer, printed["maps"][7]["layer"], printed["maps"][7]["head"]) == (1, 1, 2)
    html = record._repr_html_()
    assert "input rows" in html
    given = model.translate(SENTENCE, target="le chat", target_language="fr", rows="output", layer=1)
    assert given.selection.rows == "output"
    assert [map_.layer for map_ in given.maps] == [1]
    short = attn_cli.translate(SENTENCE, folder_of("bart"), max_length=3)
    assert short.target is not None
    assert len(short.target) == 4
    assert attn_cli.inspect(SENTENCE, folder_of("bart")).target is None


def test_the_examples_in_the_help_page_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = examples(["translate", "--help"], capsys)
    assert len(commands) == 8
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTN_MODEL", folder_of("bart"))
    Path("english.txt").write_text("The cat sat.\nThe mat.\n")
    table(Path("pairs.tsv"), ["The cat sat.", "The mat."], ["Le chat.", "Le tapis."])
    table(Path("gold.tsv"), ["The cat sat.", "The mat."], ["Le chat.", "Le tapis."], ["0-0 1-1", "0-0 1-1"])
    nllb = folder_of("nllb")
    *_, last = (run_example(line.replace("facebook/nllb-200-distilled-600M", nllb), capsys) for line in commands)
    assert len(Path("french.txt").read_text().splitlines()) == 2
    assert len(Path("links.txt").read_text().splitlines()) == 2
    assert "alignment error rate" in last


def test_notes_of_many_texts_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of the first text are written as they are; of the others one line, or the only one there is."""
    texts = tmp_path / "texts.txt"
    texts.write_text("The wombat sat.\nThe axolotl sat.\nThe wombat slept.\nA dog.\nThe quokka slept.\n")
    for options in (["--text-only"], ["--json"], ["--align"]):
        assert main(["translate", "--file", str(texts), *options]) == 0
        notes = [line for line in capsys.readouterr().err.splitlines() if "note: " in line and "trained" not in line]
        assert len(notes) == 2
        assert "has hardly seen wombat in" in notes[0]
        assert "Some of the 5 texts have notes of their own (2 in all), such as: toy has hardly" in notes[1]
    texts.write_text("The cat sat.\nThe axolotl sat.\nAn axolotl!\n")
    assert main(["translate", "--file", str(texts), "--text-only"]) == 0
    assert capsys.readouterr().err == (
        "attn: note: toy has hardly seen axolotl in training, and may be wrong there; try a larger model with --model\n"
    )
