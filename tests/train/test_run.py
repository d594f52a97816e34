"""Training from pairs to a folder: what it learns, that it can be stopped anywhere, and that nothing is lost."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from attn_cli.errors import InputError, ModelError, OutputError
from attn_cli.grammar import sentences as grammar
from attn_cli.measure.quality import Quality, judge
from attn_cli.models import load
from attn_cli.models.toy.folder import ToyFolder
from attn_cli.models.toy.model import Toy
from attn_cli.train import architectures, run
from attn_cli.train.batches import TrainingBatch
from attn_cli.train.loop import Schedule
from attn_cli.train.pairs import Pair, by_source, read_pairs, split, written_for
from attn_cli.train.run import Progress, Settings, can_go_on, train
from attn_cli.train.saving import known_words
from tests.train.small import SMALL, small_architectures


@pytest.fixture(autouse=True)
def small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real architectures, at sizes that a test can train."""
    monkeypatch.setattr(run, "ARCHITECTURES", small_architectures())


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return list(dict.fromkeys((one.english, one.french) for one in islice(grammar.simple(3), 260)))


class Listener:
    """A watcher that stops the training after so many reports, where it is told to."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after
        self.said: list[str] = []
        self.progress: list[Progress] = []
        self.judgements: list[tuple[int, Quality | None]] = []

    def says(self, what: str) -> None:
        self.said.append(what)

    def steps(self, progress: Progress) -> None:
        self.progress.append(progress)
        if len(self.progress) == self.stop_after:
            raise KeyboardInterrupt

    def judged(self, step: int, quality: Quality | None, model: Toy) -> None:
        assert isinstance(model, Toy)
        self.judgements.append((step, quality))


def settings(arch: str, steps: int = 30) -> Settings:
    return Settings(arch, steps, vocabulary=400, batch_tokens=500, coreference=0.15)  # type: ignore[arg-type]


def weights_of(folder: Path) -> dict[str, np.ndarray]:
    return ToyFolder("it", folder).weights()


@pytest.mark.unchecked
@pytest.mark.parametrize("arch", SMALL)
def test_training_leaves_a_model_that_works(arch: str, pairs: list[Pair], tmp_path: Path) -> None:
    told, aside = split(pairs, 5)
    listener = Listener()
    train(told, aside, settings(arch), tmp_path / "it", listener, judge_every=20, fuse=False)
    assert [progress.step for progress in listener.progress] == [1, 10, 20, 30]
    assert listener.progress[-1].loss < listener.progress[0].loss
    assert [step for step, _ in listener.judgements] == [20, 30]
    assert all(quality is not None and quality.sentences == len(by_source(aside)) for _, quality in listener.judgements)
    model = load(str(tmp_path / "it"))
    translation = model.translate(["The cat sat on the mat"])[0]
    assert translation.ids[0] == 0
    assert not list((tmp_path / "it").rglob(".*.part"))


def test_a_transformer_says_which_heads_were_guided(pairs: list[Pair], tmp_path: Path) -> None:
    train(pairs, [], settings("transformer", 10), tmp_path / "it", Listener(), fuse=False)
    config = json.loads((tmp_path / "it" / "config.json").read_text())
    assert config["attn"]["alignment"]["heads"] == [0]
    guided = {one["role"]: (one["kind"], one["layer"], one["head"]) for one in config["attn"]["guided"]}
    assert guided == {
        "reading": ("cross", 1, 0),
        "writing": ("cross", 2, 0),
        "coreference": ("encoder", 2, 0),
        "subject": ("encoder", 1, 0),
        "object": ("encoder", 1, 1),
    }
    assert all(one["towards"] and one["on"] for one in config["attn"]["guided"])
    model = load(str(tmp_path / "it"))  # through transformers
    assert model.info.captured == "interface"
    assert model.info.alignment is not None
    assert "word alignments" in model.info.alignment.how


def test_a_head_can_be_left_unguided(pairs: list[Pair], tmp_path: Path) -> None:
    told = replace(settings("transformer", 2), unguided=("coreference", "object"))
    train(pairs, [], told, tmp_path / "it", Listener(), fuse=False)
    listener = Listener()
    train(pairs, [], replace(told, steps=3), tmp_path / "it", listener, resume=True, fuse=False)
    assert set(listener.progress[-1].guided) == {"reading", "writing", "subject"}
    config = json.loads((tmp_path / "it" / "config.json").read_text())
    assert [one["role"] for one in config["attn"]["guided"]] == ["reading", "writing", "subject"]
    with pytest.raises(InputError, match=r"other settings or pairs: unguided coreference, object\. Give"):
        train(pairs, [], settings("transformer", 4), tmp_path / "it", Listener(), resume=True, fuse=False)


def test_a_run_from_before_heads_could_be_left_unguided_goes_on(pairs: list[Pair], tmp_path: Path) -> None:
    train(pairs, [], settings("transformer", 1), tmp_path / "it", Listener(), fuse=False)
    file = tmp_path / "it" / "training" / "state.json"
    state = json.loads(file.read_text())
    del state["settings"]["unguided"]
    assert state.pop("digests").keys() == {"pairs", "aside"}
    file.write_text(json.dumps(state))
    train(pairs, [], settings("transformer", 2), tmp_path / "it", Listener(), resume=True, fuse=False)
    state = json.loads(file.read_text())
    state["settings"]["unguided"] = 3
    file.write_text(json.dumps(state))
    with pytest.raises(InputError, match="damaged"):
        train(pairs, [], settings("transformer", 3), tmp_path / "it", Listener(), resume=True, fuse=False)


@pytest.mark.parametrize("arch", ["transformer", "rnn-attention"])
def test_the_precision_of_the_processor_is_that_of_the_products(
    arch: str, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[float] = []
    for dtype in (torch.float32, torch.float32, torch.bfloat16):
        monkeypatch.setattr(run, "precision", lambda _, dtype=dtype: dtype)
        listener = Listener()
        told = replace(settings(arch, 1), guide=False)
        train(pairs, [], told, tmp_path / f"{len(losses)}", listener, fuse=False)
        losses.append(listener.progress[0].loss)
    assert losses[0] == losses[1] != losses[2]
    assert losses[2] == pytest.approx(losses[0], rel=0.02)


def test_the_step_is_compiled_with_sizes_that_all_differ() -> None:
    def batch(texts: int, source: int, target: int) -> TrainingBatch:
        tokens = np.ones((texts, target), np.int64)
        return TrainingBatch(np.ones((texts, source), np.int64), tokens, tokens, {})

    same, one, other = batch(5, 7, 7), batch(1, 7, 5), batch(5, 7, 3)
    assert run._uneven(iter([same, one, other, same])) is other
    assert run._uneven(iter([same, one])) is same
    assert run._uneven(iter([same] * run.TRIED + [other])) is same


@pytest.mark.unchecked
def test_stopping_and_going_on_changes_nothing(pairs: list[Pair], tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    told = replace(settings("transformer"), guide=False)  # the aligner draws anew each time
    train(pairs, [], told, one, Listener(), fuse=False)
    with pytest.raises(KeyboardInterrupt):
        train(pairs, [], told, other, Listener(stop_after=1), fuse=False)
    train(pairs, [], told, other, Listener(), resume=True, fuse=False)
    for name, weight in weights_of(one).items():
        assert np.allclose(weights_of(other)[name], weight, atol=1e-4), name


def test_ctrl_c_waits_for_the_end_of_a_step(pairs: list[Pair], tmp_path: Path) -> None:
    class Impatient(Listener):
        def steps(self, progress: Progress) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            assert self.said[-1] == "Stopping after this step"
            super().steps(progress)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(pairs, [], settings("rnn", 20), tmp_path / "it", Impatient(), fuse=False)
    listener = Listener()
    train(pairs, [], settings("rnn", 20), tmp_path / "it", listener, resume=True, fuse=False)
    assert [progress.step for progress in listener.progress] == [3, 10, 20]
    assert signal.getsignal(signal.SIGINT) is before


def test_more_steps_go_on_from_the_end(pairs: list[Pair], tmp_path: Path) -> None:
    train(pairs, [], settings("rnn", 10), tmp_path / "it", Listener(), fuse=False)
    listener = Listener()
    train(pairs, [], settings("rnn", 20), tmp_path / "it", listener, resume=True, fuse=False)
    assert [progress.step for progress in listener.progress] == [11, 20]


def test_going_on_keeps_the_rates_of_a_run_that_started_from_a_model(
    pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(pairs, [], settings("rnn", 1), tmp_path / "first", Listener(), fuse=False)
    start = replace(settings("rnn", 2), start=str(tmp_path / "first"))
    train(pairs, [], start, tmp_path / "it", Listener(), fuse=False)
    made: list[Schedule] = []

    def spy(*arguments: float, **options: float) -> Schedule:
        made.append(Schedule(*arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(run, "Schedule", spy)
    for told in (replace(start, steps=3), settings("rnn", 3)):  # with --from, and without
        train(pairs, [], told, tmp_path / "it", Listener(), resume=True, fuse=False)
    peak = 0.6 * small_architectures()["rnn"].peak
    assert made == [Schedule(3, peak, fall=0.5)] * 2


def test_long_sentences_are_cut_where_it_is_judged_and_left_out_where_it_learns(
    pairs: list[Pair], tmp_path: Path
) -> None:
    long = ("cat " * 300, "chat " * 300)  # the small models have 97 positions
    listener = Listener()
    train([*pairs, long], [long], settings("rnn", 1), tmp_path / "it", listener, fuse=False)
    assert [step for step, quality in listener.judgements if quality is not None] == [1]
    assert listener.said.count("1 pair of more than 97 tokens is left out") == 1
    few = [*pairs[: run.SMALLEST - 1], long, long]
    with pytest.raises(InputError, match=r"Without 2 pairs of more than 97 tokens, too few are left to train on: 199"):
        train(few, [], settings("rnn", 1), tmp_path / "few", Listener(), fuse=False)


def test_a_loss_that_is_no_number_ends_the_run(pairs: list[Pair], tmp_path: Path) -> None:
    train(pairs, [], settings("rnn", 1), tmp_path / "it", Listener(), fuse=False)
    weights = tmp_path / "it" / "model.safetensors"
    saved = load_file(weights)
    huge = {name: weight.float() * 1e30 for name, weight in saved.items() if weight.dtype != torch.int8}
    save_file(saved | huge, weights)
    start = replace(settings("rnn"), start=str(tmp_path / "it"))
    with pytest.raises(ModelError, match=r"The loss at step 1 is not a number. Start with another --seed"):
        train(pairs, [], start, tmp_path / "broken", Listener(), fuse=False)


def test_what_cannot_go_on_says_why(pairs: list[Pair], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no checkpoint"):
        train(pairs, [], settings("rnn"), tmp_path / "none", Listener(), resume=True)
    train(pairs, [], settings("rnn", 10), tmp_path / "it", Listener(), fuse=False)
    with pytest.raises(OutputError, match=r"already holds a training run.*--resume"):
        train(pairs, [], settings("rnn"), tmp_path / "it", Listener())
    with pytest.raises(InputError, match=r"other settings.*seed 1"):
        train(pairs, [], replace(settings("rnn"), seed=2), tmp_path / "it", Listener(), resume=True)
    with pytest.raises(InputError, match="another number of pairs"):
        train(pairs[:-1], [], settings("rnn"), tmp_path / "it", Listener(), resume=True)
    with pytest.raises(InputError, match=r"other settings or pairs: other pairs\. Give"):  # the links are by line
        train(pairs[::-1], [], settings("rnn"), tmp_path / "it", Listener(), resume=True)
    with pytest.raises(InputError, match=r"pairs: other pairs to evaluate on\. Give"):
        train(pairs, [("a", "b")], settings("rnn"), tmp_path / "it", Listener(), resume=True)
    (tmp_path / "it" / "training" / "state.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        train(pairs, [], settings("rnn"), tmp_path / "it", Listener(), resume=True)


def test_what_is_damaged_is_told_as_such(pairs: list[Pair], tmp_path: Path) -> None:
    folder = tmp_path / "it" / "training"
    train(pairs, [], settings("transformer", 10), tmp_path / "it", Listener(), fuse=False)
    state = json.loads((folder / "state.json").read_text())

    def refused() -> None:
        with pytest.raises(InputError, match="is damaged"):
            train(pairs, [], settings("transformer", 20), tmp_path / "it", Listener(), resume=True, fuse=False)

    for changed in ({"step": "x"}, {"settings": {"arch": "rnn"}}, {"settings": 3}, {"batch": None}, {"batch": -1}):
        (folder / "state.json").write_text(json.dumps(state | changed))
        refused()
    (folder / "state.json").write_text(json.dumps(state))
    tensors = folder / state["tensors"]
    whole = load_file(tensors)
    for name, tensor in (
        ("other", torch.zeros(3)),
        ("weights/model.shared.weight", torch.zeros(3, 5)),
        ("exp_avg/model.shared.weight", torch.zeros(1, 1)),
    ):
        changed_tensors = {name: tensor} if name == "other" else {**whole, name: tensor}
        save_file(changed_tensors, tensors)
        refused()
    tensors.unlink()
    refused()
    save_file(whole, tensors)
    save_file({"links": torch.tensor([3, 7], dtype=torch.int32)}, folder / "links.safetensors")
    refused()
    (folder / "links.safetensors").unlink()
    refused()


def test_a_start_that_was_stopped_can_be_made_anew(pairs: list[Pair], tmp_path: Path) -> None:
    class Hasty(Listener):
        def says(self, what: str) -> None:
            super().says(what)
            if what == "Reading the pairs":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(pairs, [], settings("transformer", 10), tmp_path / "it", Hasty(), fuse=False)
    assert (tmp_path / "it" / "training" / "tokenizer.json").exists()
    assert not can_go_on(tmp_path / "it")
    train(pairs, [], settings("transformer", 10), tmp_path / "it", Listener(), fuse=False)
    assert can_go_on(tmp_path / "it")


def test_a_folder_that_cannot_be_made_is_told_first(pairs: list[Pair], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    listener = Listener()
    with pytest.raises(OutputError, match="cannot be made"):
        train(pairs, [], settings("transformer"), tmp_path / "file" / "it", listener)
    assert not listener.said


def test_a_folder_with_something_in_it_is_left_alone(pairs: list[Pair], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        train(pairs, [], settings("rnn"), tmp_path, Listener())
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_too_few_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 pairs are too few"):
        train([("a", "b")] * 3, [], settings("rnn"), tmp_path / "it", Listener())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("one\tun\ntwo\n", "line 2 has 1 of the two"),
        ("one\tun\n\ttwo\n", "line 2 has 1 of the two"),
        ("one\tun\ttrois\n", "line 1 has 3"),
        ("\n\n", "holds no pairs"),
    ],
)
def test_pairs_without_two_sides_are_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_pairs(path)


def test_pairs_are_read_and_split_by_sentence(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"s{number // 2}\tt{number}\n" for number in range(60)))
    told, aside = split(read_pairs(path), 3)
    assert [pair[0] for pair in aside] == ["s0", "s0", "s10", "s10", "s20", "s20"]
    assert len(told) == 54
    with pytest.raises(InputError, match="cannot be read"):
        read_pairs(tmp_path / "none.tsv")


def test_sentences_of_the_project_are_added_as_a_share_of_the_pairs_and_none_that_is_set_aside() -> None:
    pairs = [("a", "b")] * 400
    first, *others = written_for(pairs, [])
    assert len({first, *others}) == 192
    without = written_for(pairs, [("x", first[1])])
    assert len(without) == 192
    assert first not in without
    assert written_for([], []) == []


def test_the_rate_rises_stays_and_falls() -> None:
    schedule = Schedule(100, peak=1.0, warm_up=10, fall=0.2)
    assert [schedule.rate(step) for step in (0, 4, 9, 50, 80, 90, 99)] == pytest.approx([0.1, 0.5, 1, 1, 1, 0.5, 0.05])


def test_known_words_are_frequent_ones() -> None:
    assert known_words(["The cat's hat"] * 5 + ["A the dog"] * 4) == ["cat's", "hat", "the"]


def test_a_perfect_translation_scores_100_on_any_of_its_references() -> None:
    references = {"a b": ["le chat dort ici bien"], "c": ["il est parti hier soir", "il partit hier au soir"]}
    made = {"a b": "le chat dort ici bien", "c": "il partit hier au soir"}
    quality = judge(made, references)
    assert [quality.bleu, quality.chrf] == pytest.approx([100, 100])
    assert quality.sentences == 2
    assert judge({**made, "c": "autre chose"}, references).bleu < 80


def test_first_weights_follow_their_seed() -> None:
    shape = SMALL["transformer"](31)
    one, same, other = (architectures.first_weights(shape, seed) for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["model.shared.weight"], other["model.shared.weight"])
