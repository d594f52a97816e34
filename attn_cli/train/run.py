"""A training run, from pairs of sentences to a model's folder; it can be stopped at any time and resumed."""

from __future__ import annotations

import hashlib
import math
import operator
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from tokenizers import Tokenizer

from attn_cli.data.model import GuidedRole
from attn_cli.errors import InputError, ModelError, OutputError, counted
from attn_cli.grammar import sentences as grammar
from attn_cli.measure.quality import Quality, judge
from attn_cli.models.toy.folder import Shape, ToyFolder
from attn_cli.models.toy.model import Toy
from attn_cli.system.interrupt import interruptible
from attn_cli.train.architectures import ARCHITECTURES, ArchitectureName, builder, config, first_weights
from attn_cli.train.augmentation import Rates
from attn_cli.train.batches import Mixture, TrainingBatch
from attn_cli.train.linked import Linked, SpanLink
from attn_cli.train.loop import Schedule, Trainer
from attn_cli.train.objective import Guide
from attn_cli.train.pairs import Pair, align, by_source, can_align
from attn_cli.train.product import precision
from attn_cli.train.saving import (
    damaged,
    has_checkpoint,
    known_words,
    make_folder,
    read_checkpoint,
    read_links,
    read_tokenizer,
    save_checkpoint,
    save_model,
    save_start,
)
from attn_cli.train.starting import Start, read_start
from attn_cli.train.vocabulary import train_tokenizer

__all__ = ["Progress", "Settings", "Watcher", "can_go_on", "train"]

CHECKPOINTS = "training"
"""Name of the folder, inside the model's, that holds the checkpoint to resume from."""
SMALLEST = 200
"""Fewest pairs to train on."""
SAVE_EVERY = 120.0
"""Seconds between checkpoints."""
FROM_PEAK, FROM_FALL = 0.6, 0.5
"""For weights that were trained before, the highest learning rate as a share of the architecture's, and the share of
the steps over which it falls."""
TELL_EVERY = 10
"""Steps between progress reports."""
FIRST_JUDGED = 50
"""The step after which the model is judged for the first time."""
JUDGED_AT_ONCE = 100
"""Sentences translated between two looks at whether to stop."""
TRIED = 20
"""Most batches to search for one to compile with."""
SHORT = 500
"""Steps of a run that is too short for compiling to pay."""


@dataclass(frozen=True)
class Settings:
    """Settings of a training run."""

    arch: ArchitectureName
    steps: int
    seed: int = 1
    vocabulary: int = 8000
    batch_tokens: int = 3500
    coreference: float = 0.1
    """Number of the grammar's sentences with a pronoun in each epoch, as a share of the pairs; half as many simple ones
    and as many everyday ones are added. 0: pairs only."""
    guide: bool | None = None
    """True to train cross-attention heads towards word alignments, where the architecture has some for it; None to do
    so if eflomal is installed, or as the training that is resumed does."""
    unguided: tuple[GuidedRole, ...] = ()
    """Roles of heads that are left as training makes them."""
    start: str | None = None
    """Name of the model whose weights and vocabulary to start from; None to start from nothing, or to resume."""
    rates: Rates = field(default_factory=Rates)
    """Share of the texts that are varied in each epoch."""

    def of_any_languages(self) -> Settings:
        """Leave out what is only for pairs of English and French: the grammar's sentences, other names and numbers."""
        return replace(self, coreference=0, rates=replace(self.rates, names=0, numbers=0))

    def drawn(self, pairs: int) -> int:
        """Return the number of the grammar's sentences with a pronoun in each epoch beside so many pairs."""
        return round(self.coreference * pairs)


@dataclass(frozen=True)
class Progress:
    """Progress of a training run; rates and losses are means since the last report."""

    step: int
    steps: int
    loss: float
    """Cross-entropy, in nats per token."""
    tokens_per_second: float
    guided: Mapping[GuidedRole, float]
    """The -log weight of each guided head on the tokens that it should look at."""


@runtime_checkable
class Watcher(Protocol):
    """An observer that shows the progress of a training run."""

    def says(self, what: str) -> None:
        """Report what begins now."""

    def steps(self, progress: Progress) -> None:
        """Report progress, every few steps."""

    def judged(self, step: int, quality: Quality | None, model: Toy) -> None:
        """Report an evaluation: the quality on the sentences set aside (None without any), and the model."""


def train(
    pairs: Sequence[Pair],
    aside: Sequence[Pair],
    settings: Settings,
    out: Path,
    watcher: Watcher,
    *,
    resume: bool = False,
    device: str = "cpu",
    judge_every: int = 1000,
    fuse: bool | None = None,
) -> None:
    """Train a model and write its folder.

    A checkpoint is written every two minutes, and when training is interrupted.

    Args:
        pairs: English sentences and their French translations.
        aside: pairs to evaluate on, none of them in `pairs`; all references of a sentence count.
        settings: settings of the run; when it is resumed, only `steps` may differ, and what is None is as it was.
        out: folder of the model; it holds a usable model from the first evaluation on.
        watcher: observer to report progress to.
        resume: True to go on from the last checkpoint.
        device: device to train on.
        judge_every: steps between evaluations.
        fuse: True to compile; None to compile unless few steps are left.

    Raises:
        InputError: there are too few pairs, no checkpoint to resume from, or one of another training run.
        ModelError: the loss is not a number; the last checkpoint stays.
        OutputError: the folder cannot be written, or already holds a training run.
        UsageError: a package needed for training is not installed.
    """
    if len(pairs) < SMALLEST:
        raise InputError(f"{len(pairs)} pairs are too few to train on", f"Give at least {SMALLEST}")
    run = (
        _TrainingRun.resumed(out, settings, pairs, aside)
        if resume
        else _TrainingRun.started(out, settings, pairs, aside, watcher)
    )
    settings = run.settings  # a resumed run knows where it started from, which sets the learning rate
    watcher.says("Reading the pairs")
    architecture = ARCHITECTURES[settings.arch]
    shape = run.shape
    heads = {
        role: place
        for role, place in architecture.guide.heads.items()
        if role not in settings.unguided and (run.links is not None if place.kind == "cross" else settings.coreference)
    }
    if fuse is None:
        fuse = settings.steps - run.step >= SHORT
    dtype = precision(device)
    trainer = Trainer(
        first_weights(shape, settings.seed) if run.start is None else dict(run.start.weights),
        builder(shape, device, dtype, fuse=fuse),
        Guide(heads),
        Schedule(settings.steps, architecture.peak)
        if settings.start is None
        else Schedule(settings.steps, FROM_PEAK * architecture.peak, fall=FROM_FALL),
        dropout=architecture.dropout,
        device=device,
        dtype=dtype,
        fuse=architecture.fuse if fuse else "nothing",
    )
    if run.tensors is not None:
        try:
            trainer.restore(run.tensors, run.step)
        except (KeyError, ValueError) as fault:
            raise damaged(out / CHECKPOINTS) from fault
        run.tensors = None
    mixture = Mixture(
        run.tokenizer, pairs, run.links, settings.drawn(len(pairs)), settings.seed, shape.positions, settings.rates
    )
    if too_long := mixture.too_long():
        left = f"{counted(too_long, 'pair')} of more than {shape.positions} tokens"
        if len(pairs) - too_long < SMALLEST:
            raise InputError(
                f"Without {left}, too few are left to train on: {len(pairs) - too_long}",
                f"Give at least {SMALLEST} shorter ones",
            )
        watcher.says(f"{left} {'is' if too_long == 1 else 'are'} left out")
    references = by_source(aside)
    described = config(shape, [role for role in architecture.guide.heads if role in heads or role in run.inherited])
    words = run.words.union(
        known_words(
            chain((pair[0] for pair in pairs), (one.english for one in _grammar(settings, settings.drawn(len(pairs)))))
        )
    )

    def save() -> None:
        save_checkpoint(out / CHECKPOINTS, trainer.state(), run.state(trainer.step))
        run.saved = time.monotonic()

    def save_all() -> None:
        save()  # first, because a model is never written without a checkpoint beside it
        save_model(out, trainer.average, described, run.tokenizer, sorted(words))

    def show(asked: Callable[[], bool] = lambda: False) -> None:
        save_all()
        model = Toy(ToyFolder(str(out), out))
        watcher.judged(trainer.step, _judge(model, references, asked) if references else None, model)

    fixed = mixture.fixed()
    if fuse and trainer.step < settings.steps:
        watcher.says("Compiling the training step, which takes a minute or two")
        trainer.prepare(_uneven(mixture.epoch(run.epoch, fixed, settings.batch_tokens)))
    watcher.says("Training")
    try:
        with interruptible(lambda: watcher.says("Stopping after this step")) as asked:
            for progress in _steps(trainer, run, mixture, fixed, settings, judge_every, asked):
                watcher.steps(progress)
                if _is_judged(trainer.step, judge_every) and trainer.step < settings.steps:
                    show(asked)
                elif time.monotonic() - run.saved > SAVE_EVERY:
                    save()
    except KeyboardInterrupt:
        if trainer.step > run.step:
            save_all()
        raise
    show()


def _is_judged(step: int, judge_every: int) -> bool:
    return step % judge_every == 0 or step == FIRST_JUDGED


def _judge(model: Toy, references: Mapping[str, Sequence[str]], asked: Callable[[], bool]) -> Quality:
    """Translate the sentences set aside, and judge the translations.

    Raises:
        KeyboardInterrupt: a stop was asked for.
    """
    sentences = sorted(references, key=len)
    made: dict[str, str] = {}
    for first in range(0, len(sentences), JUDGED_AT_ONCE):
        if asked():
            raise KeyboardInterrupt
        part = sentences[first : first + JUDGED_AT_ONCE]
        made.update(zip(part, (one.text for one in model.translate(part, truncate=True)), strict=True))
    return judge(made, references)


def can_go_on(out: Path) -> bool:
    """Return whether a model's folder holds a training run that can be resumed."""
    return has_checkpoint(out / CHECKPOINTS)


def _steps(
    trainer: Trainer,
    run: _TrainingRun,
    mixture: Mixture,
    fixed: Sequence[Linked],
    settings: Settings,
    judge_every: int,
    asked: Callable[[], bool],
) -> Iterator[Progress]:
    """Train, and yield progress after the first step, then every few, before each evaluation and at the end.

    Raises:
        KeyboardInterrupt: a stop was asked for; raised between two steps.
        ModelError: the loss is not a number.
    """
    first = trainer.step + 1
    begun, tokens = time.monotonic(), 0
    seen: list[list[float]] = []
    while trainer.step < settings.steps:
        for batch in _batches(mixture, run, fixed, settings.batch_tokens):
            surprise, guided = trainer.learn(batch)
            if not math.isfinite(surprise):
                raise ModelError(
                    f"The loss at step {trainer.step:,} is not a number",
                    "Start with another --seed, or from other weights",
                )
            seen.append([surprise, *guided])
            tokens += batch.tokens
            run.batch += 1
            if asked():
                raise KeyboardInterrupt
            telling = trainer.step in {first, settings.steps} or trainer.step % TELL_EVERY == 0
            if telling or _is_judged(trainer.step, judge_every):
                loss, *means = (float(mean) for mean in np.mean(seen, axis=0))
                speed = tokens / (time.monotonic() - begun)
                yield Progress(
                    trainer.step, settings.steps, loss, speed, dict(zip(trainer.guide.heads, means, strict=True))
                )
                begun, tokens, seen = time.monotonic(), 0, []
            if trainer.step == settings.steps:
                return
        run.epoch, run.batch = run.epoch + 1, 0


def _uneven(batches: Iterator[TrainingBatch]) -> TrainingBatch:
    """Return the first batch whose numbers of texts, source tokens and target tokens all differ, or else the first.

    The compiler assumes that sizes which are equal in the batch that it sees are always equal, and that a size of 1 is
    always 1; it compiles anew, for minutes, when they are not.
    """
    some = list(islice(batches, TRIED))
    sizes = [{1, *one.source.shape, one.read.shape[1]} for one in some]
    return next((one for one, differing in zip(some, sizes, strict=True) if len(differing) == 4), some[0])


def _batches(mixture: Mixture, run: _TrainingRun, fixed: Sequence[Linked], tokens: int) -> Iterator[TrainingBatch]:
    return islice(mixture.epoch(run.epoch, fixed, tokens), run.batch, None)


def _grammar(settings: Settings, count: int) -> Iterator[grammar.Example]:
    """Yield sentences of the grammar: `count` with a pronoun, and half as many simple ones."""
    if not count:
        return
    seed = random.Random(settings.seed).randrange(2**31)  # noqa: S311 (nothing secret)
    yield from islice(grammar.examples(seed), count)
    yield from islice(grammar.simple(seed), count // 2)


@dataclass
class _TrainingRun:
    """The state of a training run, with the parts that are not made anew when it is resumed."""

    settings: Settings
    tokenizer: Tokenizer
    shape: Shape
    words: frozenset[str]
    """Words that the model to start from knew."""
    inherited: frozenset[GuidedRole]
    """Roles that its heads had been trained for."""
    links: Sequence[Sequence[SpanLink]] | None
    pairs: int
    digests: Mapping[str, str]
    """Digests of the pairs to train on and of those to evaluate on; the links are of the former, by line."""
    start: Start | None = None
    step: int = 0
    epoch: int = 0
    batch: int = 0
    tensors: Mapping[str, torch.Tensor] | None = None
    saved: float = 0.0

    @classmethod
    def started(
        cls, out: Path, settings: Settings, pairs: Sequence[Pair], aside: Sequence[Pair], watcher: Watcher
    ) -> _TrainingRun:
        """Start a new run, with its own vocabulary and word alignments."""
        if has_checkpoint(out / CHECKPOINTS):
            raise OutputError(f"{out} already holds a training run", "Add --resume to go on, or name another folder")
        # A run stopped before its first checkpoint leaves only the checkpoints' folder, which is written anew.
        if out.exists() and any(path.name != CHECKPOINTS for path in out.iterdir()):
            raise OutputError(f"{out} is not empty", "Name a new folder with --out")
        start = None if settings.start is None else read_start(settings.start, settings.arch, settings.seed)
        make_folder(out / CHECKPOINTS)
        links = None
        guidable = "reading" in ARCHITECTURES[settings.arch].guide.heads
        if settings.guide is None:
            settings = replace(settings, guide=can_align())
            if guidable and not settings.guide:
                watcher.says("No head learns word alignments, which takes pip install eflomal")
        if settings.guide and guidable:
            watcher.says("Aligning words")
            links = align(pairs)
        if start is None:
            watcher.says("Learning a vocabulary")
            written = ((one.english, one.french) for one in _grammar(settings, settings.drawn(len(pairs)) // 2))
            tokenizer = train_tokenizer(chain.from_iterable(chain(pairs, written)), settings.vocabulary)
            shape = ARCHITECTURES[settings.arch].shape(tokenizer.get_vocab_size())
        else:
            tokenizer, shape = start.tokenizer, start.shape
        words = frozenset[str]() if start is None else start.words
        inherited = frozenset[GuidedRole]() if start is None else start.guided
        save_start(out / CHECKPOINTS, tokenizer, links)
        return cls(
            settings,
            tokenizer,
            shape,
            words,
            inherited,
            links,
            len(pairs),
            _digests(pairs, aside),
            start,
            saved=time.monotonic(),
        )

    @classmethod
    def resumed(cls, out: Path, settings: Settings, pairs: Sequence[Pair], aside: Sequence[Pair]) -> _TrainingRun:
        """Resume a run that was stopped."""
        tensors, state = read_checkpoint(out / CHECKPOINTS)
        links = read_links(out / CHECKPOINTS)
        try:
            told = state["settings"]
            # Runs from before heads could be left unguided lack that setting.
            before = Settings(
                **told | {"rates": Rates(**told["rates"]), "unguided": tuple(told.get("unguided", ()))},
            )
            shape = type(ARCHITECTURES[before.arch].shape(1))(**state["shape"])
            words = frozenset[str](state["words"])
            inherited = frozenset[GuidedRole](state.get("inherited", ()))
            pairs_then, step, epoch, batch = (
                operator.index(state[name]) for name in ("pairs", "step", "epoch", "batch")
            )
            digests = _digests(pairs, aside)
            digests_then = digests | state.get("digests", {})  # older runs have none
        except (KeyError, TypeError) as fault:
            raise damaged(out / CHECKPOINTS) from fault
        if settings.guide is None:
            settings = replace(settings, guide=before.guide)
        if settings.start is None:
            settings = replace(settings, start=before.start)
        if min(step, epoch, batch) < 0:
            raise damaged(out / CHECKPOINTS)
        if links is None and before.guide and "reading" in ARCHITECTURES[before.arch].guide.heads:
            raise damaged(out / CHECKPOINTS)
        differences = _differences(before, settings)
        if pairs_then != len(pairs):
            differences.append("another number of pairs")
        elif digests_then["pairs"] != digests["pairs"]:
            differences.append("other pairs")
        if digests_then["aside"] != digests["aside"]:
            differences.append("other pairs to evaluate on")
        if differences:
            raise InputError(
                f"The training in {out} was started with other settings or pairs: {', '.join(differences)}",
                "Give it the same again (only --steps may differ), or name another folder",
            )
        return cls(
            settings,
            read_tokenizer(out / CHECKPOINTS),
            shape,
            words,
            inherited,
            links,
            len(pairs),
            digests,
            step=step,
            epoch=epoch,
            batch=batch,
            tensors=tensors,
            saved=time.monotonic(),
        )

    def state(self, step: int) -> dict[str, Any]:
        """Return the state that `resumed` needs."""
        return {
            "step": step,
            "epoch": self.epoch,
            "batch": self.batch,
            "pairs": self.pairs,
            "digests": dict(self.digests),
            "settings": asdict(self.settings),
            "shape": asdict(self.shape),
            "words": sorted(self.words),
            "inherited": sorted(self.inherited),
        }


def _digests(pairs: Sequence[Pair], aside: Sequence[Pair]) -> dict[str, str]:
    """Return digests by which a resumed run knows its pairs, in their order."""
    return {
        name: hashlib.sha256("\n".join(map("\t".join, some)).encode()).hexdigest()
        for name, some in (("pairs", pairs), ("aside", aside))
    }


def _differences(before: Settings, now: Settings) -> list[str]:
    old, new = (asdict(one) | {"unguided": ", ".join(one.unguided) or "none"} for one in (before, now))
    return [f"{name} {old[name]}" for name in old if old[name] != new[name] and name != "steps"]
