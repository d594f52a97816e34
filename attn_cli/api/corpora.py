"""Corpora: their texts, their heads measured in parts or by workers, and the parts merged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from attn_cli.api.inputs import Chat, model_without
from attn_cli.data.selection import Selection
from attn_cli.data.shard import Fingerprinted, Shard
from attn_cli.data.stream import Source
from attn_cli.errors import InputError, UsageError
from attn_cli.measure.corpus import gather, share_of
from attn_cli.measure.derived import measured, measured_model
from attn_cli.models import LoadOptions, Model
from attn_cli.questions.heads.gathered import Asked, Gathered
from attn_cli.questions.heads.measure import CollectHeads, HeadsFound
from attn_cli.questions.heads.probe import SERIES
from attn_cli.system.encoding import check_text

if TYPE_CHECKING:
    from attn_cli.questions.heads.corpora import Corpora

__all__ = ["corpora_of", "heads_of_part", "merge", "read_texts"]


def read_texts(path: str | os.PathLike[str], *, field: str | None = None) -> Iterator[str]:
    """Read the texts of a corpus one after another, as `--file` does; see `attn_cli.read_texts`.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    # Imported late: only a corpus needs it.
    from attn_cli.cli.tables import FieldNames
    from attn_cli.cli.texts import sentences

    return (one.text for one in sentences(None, Path(path), chosen=FieldNames(field)))


def corpora_of(
    model: Model,
    options: LoadOptions | None,
    texts: Iterable[str | Chat],
    asked: Asked,
    *,
    workers: str | int | None,
    without: str | int | None,
) -> Corpora:
    """Prepare heads to be measured over several texts, or texts that are made, as `attn heads` does.

    Args:
        model: the model.
        options: the settings that it was loaded with by its name; None for a model in memory.
        texts: the texts; none for those that are made.
        asked: the figures and the texts asked for.
        workers: processes of this machine, or the address of a scheduler; None to measure in this process.
        without: the heads to run without.

    Raises:
        AttnError: the model cannot be run so, or there are workers and it is one in memory.
    """
    # Imported late: only workers and parts need what the command line is made of.
    from attn_cli.cli.inputs import Given
    from attn_cli.cli.options import ModelOptions, PromptOptions
    from attn_cli.cli.tables import Sentence
    from attn_cli.cli.workers import Workers
    from attn_cli.questions.heads.corpora import Corpora

    if workers is not None and options is None:
        raise UsageError("Workers load a model by its name", "Save this one in a folder, and load it from there")
    farm = None if workers is None else Workers.parse(str(workers), shared=True, instead="")
    choice = asked.selection
    cut = model_without(model, without, choice.kind)
    named = ModelOptions(
        model=model.info.name,
        **({} if options is None else {one.name: getattr(options, one.name) for one in fields(options)}),
    )
    heads = None if without is None else str(without)
    given = Given(
        (Sentence(_no_chat(one), f"text {number}") for number, one in enumerate(texts, start=1)),
        None,
        None,
        PromptOptions(),
        named,
        choice,
        heads,
        choice.kind,
    )
    corpora = Corpora(given, asked, farm, series=SERIES[:2])
    corpora.measurer.model = cut
    return corpora


def _no_chat(text: str | Chat) -> str:
    """Return a text, for workers.

    Raises:
        UsageError: it is a chat.
    """
    if not isinstance(text, str):
        raise UsageError("Workers read texts, not chats", "Leave workers out")
    return check_text(text)


def heads_of_part(
    shard: Shard,
    texts: Iterable[str | Chat],
    model: Model,
    selection: Selection,
    prepare: Callable[[str | Chat], Source],
) -> HeadsFound:
    """Measure the heads over a part of several texts."""
    # Imported late: only parts need what describes them.
    from attn_cli.questions.heads.parts import CorpusPart, part_figures, part_of

    whole = Fingerprinted(texts, lambda one: one)
    gathered, collect = Gathered(Asked(selection)), CollectHeads(selection)
    tally = gather((measured(prepare(one), selection) for _, one in share_of(whole, shard)), collect)
    gathered.merge(collect.state())
    info = measured_model(model.info, selection.measure)
    of = CorpusPart(shard, "texts", whole.fingerprint)
    return part_figures(part_of(of, info, model.fingerprint, tally, gathered))


def merge(*parts: str | os.PathLike[str]) -> HeadsFound:
    """Merge the parts of a corpus that were measured apart, as `attn heads part*.npz` shows them.

    Args:
        parts: the files of all parts, in any order.

    Returns:
        The finding over the whole corpus, as `Inspector.heads` returns it.

    Raises:
        InputError: a file is damaged or no part, a part is missing or given twice, or is of another run.
    """
    # Imported late: only parts need what describes them.
    from attn_cli.questions.heads.parts import merge_parts

    if not parts:
        raise InputError("There are no parts", "Give the files of all parts")
    return merge_parts([Path(part) for part in parts])
