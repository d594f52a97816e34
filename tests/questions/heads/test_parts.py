"""Parts of a corpus through the command line and from Python: measured apart, merged, and refused where they differ."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import attn_cli
from attn_cli.cli.app import main
from attn_cli.cli.inputs import Given
from attn_cli.cli.options import ModelOptions, PromptOptions
from attn_cli.cli.tables import Sentence
from attn_cli.data.selection import Selection
from attn_cli.data.shard import Shard
from attn_cli.errors import InputError, UsageError
from attn_cli.io.parts import holds_part, read_part
from attn_cli.measure import corpus as measured
from attn_cli.questions.heads import parts as heads_parts
from attn_cli.questions.heads import probe as probes
from attn_cli.questions.heads.corpora import Corpora
from attn_cli.questions.heads.gathered import Asked
from attn_cli.questions.heads.measure import CollectHeads
from attn_cli.questions.heads.retrieval import find_needles
from tests.conftest import Run
from tests.questions.heads.copying import Copying
from tests.questions.heads.test_treebank import GOOD
from tests.records import validated

TEXTS = ["The cat sat on the mat.", "Hello", "The qwertyish dog sat.", "A house is in Paris.", "The dog ran and sat."]
"""A corpus with a text of which nothing is left without special tokens and the first, and one with a note."""
HIDDEN = ("--no-special", "--no-sink")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a corpus of three windows of two texts; a probe makes few."""
    monkeypatch.setattr(measured, "WINDOW", 2)
    monkeypatch.setattr(probes, "SENTENCES", 4)
    monkeypatch.setattr(probes, "TEXTS", 2)
    monkeypatch.chdir(tmp_path)
    Path("corpus.txt").write_text("\n".join(TEXTS))
    return tmp_path


def measure(
    attn: Run, number: int, of: int, *arguments: str, file: str = "corpus.txt", save: str = "", code: int = 0
) -> str:
    save = save or f"part{number}.npz"
    return attn("heads", "--file", file, "--shard", f"{number}/{of}", "--save", save, *arguments, code=code)


@pytest.fixture
def three(folder: Path, attn: Run) -> list[str]:
    """The three parts of the corpus."""
    for number in (1, 2, 3):
        measure(attn, number, 3, *HIDDEN)
    return ["part1.npz", "part2.npz", "part3.npz"]


def close(one: Any, other: Any) -> None:
    """Compare documents, numbers within 1e-12 of float32's digits."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            close(one[name], other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for item, twin in zip(one, other, strict=True):
            close(item, twin)
    else:
        assert one == (pytest.approx(other, rel=1e-6, abs=1e-12) if isinstance(other, float) else other)


def test_parts_give_what_the_whole_gives(three: list[str], attn: Run) -> None:
    whole = ["heads", "--file", "corpus.txt", *HIDDEN]
    merged = validated(attn("heads", *reversed(three), "--json").encode(), "heads")
    close(merged, validated(attn(*whole, "--json").encode(), "heads"))
    assert merged["seen"] == "corpus.txt"
    assert any(note.startswith("1 text was left out: line 2 of corpus.txt") for note in merged["notes"])
    assert any("Some of the 4 texts have notes of their own (1 in all)" in note for note in merged["notes"])
    for shown in (["--by", "focus"], ["--width", "60", "--all"]):
        assert attn("heads", *three, *shown) == attn(*whole, *shown)
    attn("heads", *three, "--save", "parts.csv")
    attn(*whole, "--save", "whole.csv")
    names = ("layer", "head", "role", "rows", "given")
    rows = [
        [[row[name] for name in names] for row in csv.DictReader(io.StringIO(Path(file).read_text(), newline=""))]
        for file in ("parts.csv", "whole.csv")
    ]
    assert rows[0] == rows[1]
    assert attn_cli.merge(*three).to_dict() == merged


BANK = GOOD + "\nbroken\n\n" + GOOD
"""A treebank of five sentences, of which the third cannot be used."""


def merged_is_whole(attn: Run, of: int, *given: str) -> dict[str, Any]:
    """Measure parts, and compare the document and the screen of all with those of one process."""
    files = [f"part{number}.npz" for number in range(1, of + 1)]
    for number, file in enumerate(files, start=1):
        attn("heads", *given, "--shard", f"{number}/{of}", "--save", file, "--force")
    merged = validated(attn("heads", *files, "--json").encode(), "heads")
    close(merged, validated(attn("heads", *given, "--json").encode(), "heads"))
    return merged


def test_parts_of_a_treebank(folder: Path, attn: Run) -> None:
    Path("bank.conllu").write_text(BANK)
    merged = merged_is_whole(attn, 2, "--conllu", "bank.conllu", "--probe", "--seed", "3", "--layer", "1")
    assert {one["count"] for one in merged["relations"] if one["relation"] == "case"} == {2}
    assert any(note.startswith("1 text was left out: sentence 3 of bank.conllu") for note in merged["notes"])
    assert "Left out of bank.conllu: 6 punctuation marks, 2 empty nodes" in merged["notes"]
    assert merged["heads"][0]["repeats"] is not None
    assert "word → head" in attn("heads", "part2.npz", "part1.npz", "--by", "relation")
    again = ["heads", "--conllu", "bank.conllu", "--probe", "--layer", "1", "--shard", "1/2", "--save", "part1.npz"]
    assert "part1.npz was measured with --probe --seed 3, and this run with --probe --seed 0" in attn(*again, code=6)
    attn(*again, "--seed", "3")  # which is there
    assert "These parts measured no retrieval" in attn("heads", "part1.npz", "part2.npz", "--by", "retrieval", code=2)


def test_parts_of_a_probe(folder: Path, attn: Run) -> None:
    """Its random tokens, its control and its sentences are a window each, of which a fourth part has none."""
    merged = merged_is_whole(attn, 4, "--probe", "--layer", "0")
    assert merged["seen"] == "random tokens twice (seed 0)"
    assert {score["role"] for score in merged["heads"][0]["scores"]} >= {"induction", "coreference"}
    shown = attn("heads", "--probe", "--layer", "0", "--shard", "4/4", "--save", "part4.npz")
    assert "This part has nothing to show by itself." in shown
    attn("heads", "--probe", "--seed", "1", "--layer", "0", "--shard", "2/4", "--save", "seed2.npz")
    attn("heads", "--file", "corpus.txt", "--layer", "0", "--shard", "2/4", "--save", "corpus2.npz")
    for file, message in (
        ("seed2.npz", "seed2.npz was measured with --probe --seed 1, and part1.npz with --probe --seed 0"),
        ("corpus2.npz", "corpus2.npz is of a corpus, and part1.npz of a probe"),
    ):
        assert message in attn("heads", "part1.npz", file, "part3.npz", "part4.npz", code=3)


def test_parts_of_a_corpus_that_is_probed_too(folder: Path, attn: Run) -> None:
    merged = merged_is_whole(attn, 2, "--file", "corpus.txt", "--probe", "--layer", "0")
    assert merged["seen"] == "corpus.txt"
    attn("heads", "--file", "corpus.txt", "--layer", "0", "--shard", "2/2", "--save", "plain2.npz")
    error = attn("heads", "part1.npz", "plain2.npz", code=3)
    assert "plain2.npz was measured without --probe, and part1.npz with --probe --seed 0" in error


def test_parts_of_needles(folder: Path) -> None:
    """Each needle is measured by itself, whichever part it is in."""
    whole = find_needles(Copying(), Selection(), cut=True)
    for number in (1, 2):
        corpora = Corpora(given_nothing(), Asked(Selection(), "needles"))
        corpora.measurer.described = (Copying().info, "by hand")
        corpora.measurer.model = cast("Any", Copying())
        corpora.part(Shard(number, 2), "").save(f"part{number}.npz")
    merged = attn_cli.merge("part2.npz", "part1.npz")
    close(merged.to_dict(), find_needles(Copying(), Selection()).to_dict())
    assert whole.needles is not None
    assert merged.needles is not None
    assert merged.needles.trials == whole.needles.trials
    assert merged.by == "retrieval"


def given_nothing() -> Given:
    """The input of a command whose texts are made."""
    return Given(iter(()), None, None, PromptOptions(), ModelOptions())


def test_no_part_of_needles_is_saved_for_a_model_that_cannot_find_any(folder: Path, attn: Run) -> None:
    """This part has no needle."""
    error = attn("heads", "--needle", "--shard", "7/7", "--save", "part7.npz", code=5)
    assert "--needle needs a decoder" in error
    assert not Path("part7.npz").exists()


def test_many_parts_that_are_missing_are_counted_at_once(folder: Path, attn: Run) -> None:
    measure(attn, 2, 999999999)
    error = attn("heads", "part2.npz", code=3)
    assert "Parts 1, 3-999,999,999 of 999,999,999 are missing" in error


def test_a_pipe_is_not_waited_for(folder: Path, attn: Run) -> None:
    os.mkfifo("part1.npz")
    assert not holds_part(Path("part1.npz"))


def test_a_part_shows_its_own_figures(folder: Path, attn: Run) -> None:
    assert measure(attn, 2, 3) == ""
    shown = measure(attn, 2, 3)  # again, from what is saved
    assert "2 texts, " in shown
    document = validated(measure(attn, 3, 3, "--json").encode(), "heads")
    assert (document["seen"], document["texts"]) == ("corpus.txt (part 3 of 3)", 1)
    assert Path("part3.npz").stat().st_size < 60_000
    with np.load("part3.npz") as arrays:
        assert json.loads(arrays["part"].tobytes())["texts"] == 1
        assert arrays["encoder.0.heads"].tolist() == list(range(8))
        focus = arrays["encoder.0.focus"] / arrays["encoder.0.focus.rows"]
    assert focus == pytest.approx([one["focus"] for one in document["heads"][:8]], rel=1e-6)


def test_there_may_be_more_parts_than_windows(folder: Path, attn: Run) -> None:
    for number in range(1, 6):
        measure(attn, number, 5)
    assert "This part has nothing to show by itself." in measure(attn, 5, 5)
    merged = attn("heads", *(f"part{number}.npz" for number in range(1, 6)))
    assert merged == attn("heads", "--file", "corpus.txt")


@pytest.mark.unchecked
def test_other_kinds_and_measures(folder: Path, attn: Run) -> None:
    Path("pairs.tsv").write_text("The cat sat\tLe chat était assis\nThe dog ran\tLe chien courait\nA dog\tUn chien\n")
    for chosen in (["--kind", "cross"], ["--measure", "scores", "--layer", "1"], ["--without", "0", "--verify"]):
        for number in (1, 2):
            measure(attn, number, 2, "--force", *chosen, file="pairs.tsv")
        merged = attn("heads", "part1.npz", "part2.npz", "--json")
        close(json.loads(merged), json.loads(attn("heads", "--file", "pairs.tsv", *chosen, "--json")))


def test_the_kind_does_not_depend_on_how_the_texts_are_divided(folder: Path, attn: Run) -> None:
    """The second window begins with a text of the other kind, and the third has no other."""
    targeted = {"text": "The dog slept", "target": "Le chien dormait"}
    plain = {"text": "The cat sat on the mat"}
    Path("mixed.jsonl").write_text("\n".join(map(json.dumps, [targeted, targeted, plain, targeted, plain])))
    for of in (2, 3):
        merged = merged_is_whole(attn, of, "--file", "mixed.jsonl", "--layer", "0")
        assert (merged["kind"], merged["texts"]) == ("cross", 3)
        assert any(
            note.startswith("2 texts were left out; the first: line 3 of mixed.jsonl") for note in merged["notes"]
        )
    chosen = replace(Selection(), layer="0")
    sentences = Sentence("The cat", "line 1"), Sentence("The dog", "line 2", target="Le chien")
    corpora = Corpora(replace(given_nothing(), sentences=iter(sentences)), Asked(chosen))
    texts = list(enumerate(corpora._texts()))
    for window, measured_there in ((texts[:1], 1), (texts[1:], 0)):
        assert corpora.measurer.to_send.window(window).tally.texts == measured_there  # as on a worker


def test_a_part_that_is_there_is_not_run_again(
    folder: Path, attn: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(attn, 1, 3)
    written = Path("part1.npz").stat().st_mtime_ns
    runs: list[object] = []
    monkeypatch.setattr(CollectHeads, "request", lambda *given: runs.append(given))
    command = ["heads", "--file", "corpus.txt", "--shard", "1/3", "--save", "part1.npz"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert runs == []
    assert "2 texts, " in out
    assert "part1.npz is there already and holds part 1 of 3, so it is not run again" in err
    assert Path("part1.npz").stat().st_mtime_ns == written
    Path("other.txt").write_text("The cat sat.\n")
    for changed, message in (
        (["--file", "other.txt"], "is of a corpus with other texts than this run: corpus.txt, and not other.txt"),
        (["--shard", "2/3"], "holds part 1 of 3, and not part 2 of 3"),
        (["--shard", "1/2"], "is one of 3 parts, and this run one of 2"),
        (["--no-sink"], "was measured with other options than this run"),
        (["--from", "en", "--to", "fr"], "was measured with other options than this run"),
        (["--without", "0.1"], "is of a model run without other heads"),
        (["--model", "toy-rnn-attention"], "is of a model with other weights than this run: toy, and not toy-rnn-att"),
    ):
        error = attn(*command, *changed, code=6)
        assert f"part1.npz {message}" in error
        assert error.endswith("Add --force to replace it, or choose another name.\n")


def test_ctrl_c_shows_the_figures_so_far_and_saves_no_part(
    folder: Path, attn: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    merge = CollectHeads.merge

    def stop(self: CollectHeads, state: Any) -> None:
        monkeypatch.setattr(CollectHeads, "merge", merge)
        signal.raise_signal(signal.SIGINT)
        merge(self, state)

    Path("corpus.txt").write_text("The cat sat.\n" * 6)
    monkeypatch.setattr(CollectHeads, "merge", stop)
    assert main(["heads", "--file", "corpus.txt", "--shard", "1/2", "--save", "part1.npz"]) == 130
    out, err = capsys.readouterr()
    assert "2 texts, " in out
    assert "part1.npz is not saved, since part 1 of 2 was stopped" in err
    assert "Stopped with Ctrl-C after 2 texts" in err
    assert not Path("part1.npz").exists()


def test_parts_that_do_not_belong_together(three: list[str], attn: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("other.txt").write_text("The cat sat.\n" * 4)
    measure(attn, 2, 3, *HIDDEN, file="other.txt", save="corpus2.npz")
    measure(attn, 2, 3, "--model", "toy-rnn-attention", "--kind", "cross", save="model2.npz")
    measure(attn, 2, 3, "--no-special", save="selection2.npz")
    measure(attn, 2, 4, *HIDDEN, save="of2.npz")
    with monkeypatch.context() as patched:
        patched.setattr("attn_cli.data.record.__version__", "9.9")
        measure(attn, 2, 3, *HIDDEN, save="version2.npz")
    one, _, last = three
    for files, message in (
        ([one], "Parts 2-3 of 3 are missing"),
        ([one, last], "Part 2 of 3 is missing"),
        ([*three, one], "part1.npz and part1.npz are both part 1 of 3"),
        ([one, "corpus2.npz", last], "corpus2.npz is of a corpus with other texts than part1.npz: other.txt, and not"),
        ([one, "model2.npz", last], "model2.npz is of a model with other weights than part1.npz: toy-rnn-attention"),
        ([one, "selection2.npz", last], "selection2.npz was measured with other options than part1.npz"),
        ([one, "of2.npz", last], "of2.npz is one of 4 parts, and part1.npz one of 3"),
        ([one, "version2.npz", last], "version2.npz was written by attn 9.9, and part1.npz by"),
        ([one, "missing.npz", last], "missing.npz cannot be read"),
    ):
        error = attn("heads", *files, code=3)
        assert message in error
        assert error.count("\n") == 1


def test_files_that_are_no_parts(three: list[str], attn: Run) -> None:
    data = Path("part2.npz").read_bytes()
    attn("inspect", "The cat", "--save", "record.npz")
    Path("short.npz").write_bytes(data[: len(data) // 2])
    flipped = bytearray(data)
    with zipfile.ZipFile("part2.npz") as archive:
        flipped[archive.getinfo("encoder.0.role.weight.npy").header_offset + 100] ^= 255
    Path("flipped.npz").write_bytes(flipped)
    with np.load("part2.npz") as arrays:
        sound = dict(arrays)

    def changed(name: str, **arrays: Any) -> str:
        np.savez_compressed(name, **{key: value for key, value in {**sound, **arrays}.items() if value is not None})
        return name

    entry = json.loads(sound["part"].tobytes())
    newer, wrong, over = ({**entry, **other} for other in ({"format": 1}, {"texts": -1}, {"shard": 4}))

    def encoded(document: Any) -> Any:
        return np.frombuffer(json.dumps(document).encode(), np.uint8)

    for file, message in (
        ("record.npz", "record.npz is not a part of a corpus"),
        ("short.npz", "short.npz is damaged: "),
        ("flipped.npz", "flipped.npz is damaged: "),
        (changed("newer.npz", part=encoded(newer)), "newer.npz was written by another version of attn"),
        (changed("wrong.npz", part=encoded(wrong)), "wrong.npz is damaged: Expected `int` >= 0"),
        (changed("over.npz", part=encoded(over)), "over.npz is damaged: it calls itself part 4 of 3"),
        (changed("text.npz", part=np.zeros(3)), "text.npz is not a part of a corpus"),
        (changed("roles.npz", roles=np.array(["next"])), "roles.npz is damaged: these are sums of other roles"),
        (changed("heads.npz", **{"encoder.0.heads": np.array([9])}), "heads.npz is damaged: there are no heads (9,)"),
        (changed("kind.npz", **{"cross.7.heads": np.array([0])}), "kind.npz is damaged: there are no heads (0,)"),
        (changed("lacks.npz", tokens=None), "lacks.npz is damaged: 'tokens' is missing"),
    ):
        error = attn("heads", "part1.npz", file, "part3.npz", code=3)
        assert message in error
        assert error.count("\n") == 1
    for file in ("newer.npz", "wrong.npz", "lacks.npz"):
        error = measure(attn, 2, 3, *HIDDEN, save=file, code=6)
        assert error.endswith("Add --force to replace it, or choose another name.\n")
    assert "part2.npz holds a part of a corpus, and no maps. Give all its" in attn("view", "part2.npz", code=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--file", "corpus.txt", "--shard", "1/2"],
            "must be saved to be merged with the others. Add --save part1.npz",
        ),
        (["--file", "corpus.txt", "--shard", "2/2", "--save", "part.csv"], "Add --save part2.npz"),
        (["--file", "corpus.txt", "--shard", "1", "--save", "a.npz"], "--shard '1' is not a part of a corpus"),
        (["The cat", "--shard", "1/2", "--save", "a.npz"], "--shard divides a corpus, and this is one text. Name a"),
        (["--needle", "--cut", "--shard", "1/2", "--save", "a.npz"], "which are known once all parts are measured"),
        (["part1.npz", "part2.npz", "part3.npz", "--layer", "1"], "hold what was selected when they were measured"),
        (["part1.npz", "part2.npz", "part3.npz", "--probe"], "Parts of a corpus hold figures and no model"),
        (["part1.npz", "part2.npz", "part3.npz", "--without", "0"], "Parts of a corpus hold figures and no model"),
        (["part1.npz", "part2.npz", "part3.npz", "--truncate"], "Parts of a corpus hold figures and no model"),
        (["part1.npz", "The cat"], "Unexpected argument 'The cat'. Put the sentence in quotes."),
    ],
)
def test_usage(arguments: list[str], message: str, three: list[str], attn: Run) -> None:
    error = attn("heads", *arguments, code=2)
    assert message in error
    assert error.count("\n") == 1


def test_from_python(folder: Path) -> None:
    model = attn_cli.load("toy")
    for number in (1, 2):
        part = model.heads(TEXTS, shard=f"{number}/2", layer=1)
        assert re.fullmatch(r"<attn HeadsPart: 'texts \(part . of 2\)'>", repr(part))
        part.save(f"part{number}.npz")
    merged = attn_cli.merge("part2.npz", "part1.npz").to_dict()
    close(merged["heads"], model.heads(TEXTS, layer=1).to_dict()["heads"])
    assert len({read_part(Path(f"part{number}.npz")).entry.corpus_fingerprint for number in (1, 2)}) == 1
    with pytest.raises(UsageError, match="shard divides a corpus"):
        model.heads(TEXTS[0], shard="1/2")
    with pytest.raises(InputError, match="There are no parts"):
        attn_cli.merge()
    with pytest.raises(TypeError, match="no sums"):
        heads_parts.HeadsPart.archive(
            heads_parts.HeadsPart(**{one: getattr(part, one) for one in part.__dataclass_fields__ if one != "part"})
        )


def test_parts_of_nothing_that_can_be_read(folder: Path, attn: Run) -> None:
    Path("corpus.txt").write_text("Hello\n" * 3)
    for number in (1, 2):
        measure(attn, number, 2, *HIDDEN)
    assert "line 1 of corpus.txt" in attn("heads", "part1.npz", "part2.npz", code=3)
