"""attn from Python: a model that is loaded once, and records of what it saw."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from attn_cli.data.model import ModelInfo
from attn_cli.data.record import Record
from attn_cli.data.selection import Selection, check_syntax
from attn_cli.data.stream import Source
from attn_cli.errors import InputError
from attn_cli.measure.corpus import gather
from attn_cli.measure.derived import measured
from attn_cli.models import AS_IT_HAS_THEM, Decoding, Languages, LoadOptions, Model, Translation
from attn_cli.models import load as load_model
from attn_cli.models.prepare import read
from attn_cli.questions.diff.measure import Differences, diff
from attn_cli.questions.explain.measure import Explained, explain
from attn_cli.questions.find.measure import FoundLinks, find
from attn_cli.questions.heads.measure import CollectHeads, HeadsFound, find_heads
from attn_cli.questions.heads.probe import probe
from attn_cli.questions.inspect.measure import look

__all__ = ["Inspector", "load"]

LISTS = frozenset({"layer", "head", "query"})
"""What is chosen by a list, of which a number alone is the shortest."""


class Inspector:
    """A loaded model that can be asked what it attends to.

    Args:
        model: as `attn_cli.models.load` gives it.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def __repr__(self) -> str:
        return f"<attn {self.info.name} ({self.info.family})>"

    @property
    def info(self) -> ModelInfo:
        """The model's name and shape."""
        return self._model.info

    def read(
        self,
        text: str,
        *,
        pair: str | None = None,
        target: str | Translation | None = None,
        languages: Languages = AS_IT_HAS_THEM,
        truncate: bool = False,
        wanted: Selection | None = None,
    ) -> Source:
        """A text given to the model, ready to stream its attention to whoever eats the blocks (`attn_cli.data.stream`).

        Args:
            text: what to read.
            pair: a second segment, for models that take two.
            target: the decoder's side, for an encoder-decoder.
            languages: the text's and the target's, for models that are told.
            truncate: cut a text that is too long for the model.
            wanted: what is asked of it; where that is attention of the decoder's side, the text is translated first.

        Raises:
            AttnError: the model cannot read it.
        """
        return read(self._model, text, pair=pair, target=target, languages=languages, truncate=truncate, wanted=wanted)

    def inspect(
        self,
        text: str,
        *,
        pair: str | None = None,
        target: str | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        truncate: bool = False,
        verify: bool = False,
        **selection: Any,
    ) -> Record:
        """What the model attends to in a text: the record that `attn inspect --json` prints.

        Args:
            text: what to read.
            pair: a second segment, for models that take two.
            target: the decoder's side, for an encoder-decoder.
            source_language: the text's, for models that are told: `en`.
            target_language: the target's.
            truncate: cut a text that is too long for the model.
            verify: also run the model without attn and compare; see `Record.verified` and `Record.output`.
            **selection: fields of `attn_cli.data.selection.Selection`: `layer="0-2"`, `head="2.5"`, `query="it"`, ...;
                whole numbers as such, too: `layer=2`.

        Returns:
            The record; its `maps` hold `weights` `[head, query, key]` for each layer.

        Raises:
            AttnError: whatever the command would have said.
        """
        choice = _choice(Selection(), selection)
        languages = Languages(source_language, target_language)
        source = self.read(text, pair=pair, target=target, languages=languages, truncate=truncate)
        return look(source, choice, keep=True, verify=verify, screens=()).record

    def translate(
        self,
        text: str,
        *,
        target: str | None = None,
        beam: int = 1,
        max_length: int | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        truncate: bool = False,
        verify: bool = False,
        **selection: Any,
    ) -> Record:
        """A translation and its cross-attention: the record that `attn translate --json` prints.

        Args:
            text: what to translate.
            target: the translation, where it is known; nothing is searched for then.
            beam: hypotheses to keep at each step; 1 is greedy.
            max_length: the most tokens to write; by default twice those of the text, and 50.
            source_language: the text's, for models that are told: `en`.
            target_language: the language to translate into: `fr`.
            truncate: cut a text that is too long for the model.
            verify: also run the model without attn and compare; see `Record.verified` and `Record.output`.
            **selection: as in `inspect`.

        Returns:
            The record; `target.text` is the translation, and `maps` hold `weights` `[head, query, key]` for each layer.

        Raises:
            AttnError: whatever the command would have said.
        """
        choice = _choice(Selection(translation=True), selection)
        languages = Languages(source_language, target_language)
        written: str | Translation
        if target is None:
            decoding = Decoding(beam, max_length)
            (written,) = self._model.translate([text], decoding=decoding, languages=languages, truncate=truncate)
        else:
            written = target
        source = self.read(text, target=written, languages=languages, truncate=truncate)
        return look(source, choice, keep=True, verify=verify, screens=()).record

    def heads(
        self, text: str | Iterable[str] | None = None, *, seed: int = 0, truncate: bool = False, **selection: Any
    ) -> HeadsFound:
        """What each head is for: what `attn heads` shows.

        Args:
            text: what to read; several texts count together, and None is for repeated random tokens (`--probe`).
            seed: what those are drawn from.
            truncate: cut a text that is too long for the model.
            **selection: as in `inspect`.

        Returns:
            Its `heads` hold each head's figures, its scores, and the `roles` that it has.

        Raises:
            AttnError: whatever the command would have said.
        """
        choice = _choice(Selection(), selection)
        if text is None:
            return probe(self._model, choice, seed)
        if isinstance(text, str):
            return find_heads(self.read(text, truncate=truncate, wanted=choice), choice)
        collect = CollectHeads(choice)
        sources = (measured(self.read(one, truncate=truncate, wanted=choice), choice) for one in text)
        report = gather(sources, collect)
        if not collect.texts:
            raise InputError("There are no texts", "Give one at least")
        return collect.found(self.info, report, "texts")

    def find(
        self,
        text: str,
        start: str | int,
        end: str | int,
        *,
        both: bool = False,
        pair: str | None = None,
        target: str | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        truncate: bool = False,
        verify: bool = False,
        **selection: Any,
    ) -> FoundLinks:
        """Which heads link two words of a text: what `attn find` shows.

        Args:
            text: what to read.
            start: the word that looks: `it`, `it#2`, or its position; where it is none of the text's, one of the
                translation's, which is then written first.
            end: the word that is looked at.
            both: also the other way round.
            pair: a second segment, for models that take two.
            target: the decoder's side, for an encoder-decoder.
            source_language: the text's, for models that are told: `en`.
            target_language: the target's.
            truncate: cut a text that is too long for the model.
            verify: also run the model without attn and compare; see `Record.verified` and `Record.output`.
            **selection: as in `inspect`.

        Returns:
            Its `links` hold each head's weight and what it is held against, strongest first.

        Raises:
            AttnError: whatever the command would have said.
        """
        choice = _choice(Selection(), selection)
        languages = Languages(source_language, target_language)
        wanted = replace(choice, query=str(start))
        source = self.read(text, pair=pair, target=target, languages=languages, truncate=truncate, wanted=wanted)
        return find(source, choice, str(start), str(end), both=both, verify=verify)

    def diff(
        self,
        a: str | Record,
        b: str | Record | None = None,
        *,
        against: Inspector | None = None,
        target: str | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        truncate: bool = False,
        verify: bool = False,
        **selection: Any,
    ) -> Differences:
        """What changed between two texts or records, or between two models: what `attn diff` shows.

        Args:
            a: a text, or a record.
            b: another; `a` again by default.
            against: the model that reads `b`; this one by default.
            target: the decoder's side of both, for an encoder-decoder.
            source_language: the texts', for models that are told: `en`.
            target_language: the target's.
            truncate: cut texts that are too long for the model.
            verify: also run the model without attn and compare; see `Record.verified` and `Record.output`.
            **selection: as in `inspect`.

        Returns:
            Its `heads` hold each head's Jensen-Shannon divergence in bits, those that changed most first.

        Raises:
            AttnError: whatever the command would have said.
        """
        choice = _choice(Selection(), selection)
        languages = Languages(source_language, target_language)

        def look_at(side: str | Record, model: Inspector) -> Source:
            if isinstance(side, Record):
                return side
            return model.read(side, target=target, languages=languages, truncate=truncate, wanted=choice)

        one, other = look_at(a, self), look_at(a if b is None else b, against or self)
        return diff(one, other, choice, verify=verify)

    def explain(
        self,
        text: str,
        query: str | int,
        *,
        pair: str | None = None,
        target: str | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        truncate: bool = False,
        verify: bool = False,
        **selection: Any,
    ) -> Explained:
        """Score, normalize, weighted sum of one query in one head: what `attn explain` shows.

        Args:
            text: what to read.
            query: the word that looks: `it`, `it#2`, or its position; where it is none of the text's, one of the
                translation's, which is then written first.
            pair: a second segment, for models that take two.
            target: the decoder's side, for an encoder-decoder.
            source_language: the text's, for models that are told: `en`.
            target_language: the target's.
            truncate: cut a text that is too long for the model.
            verify: also run the model without attn and compare; see `Record.verified` and `Record.output`.
            **selection: as in `inspect`; `head="2.5"`, or else the most focused head is taken.

        Returns:
            Its `steps` hold `scores`, `weights` and `context`, and what makes up the scores.

        Raises:
            AttnError: whatever the command would have said.
        """
        choice = _choice(Selection(), {**selection, "query": query})
        languages = Languages(source_language, target_language)
        source = self.read(text, pair=pair, target=target, languages=languages, truncate=truncate, wanted=choice)
        return explain(source, choice, verify=verify)


def _choice(base: Selection, given: Mapping[str, Any]) -> Selection:
    """What to look at; who names a query wants to see where it looks.

    Raises:
        UsageError: a list is not written as one.
    """
    numbers = {name: str(value) for name, value in given.items() if name in LISTS and type(value) is int}
    choice = replace(base, **{**given, **numbers})
    if choice.query is not None and choice.view == "heads":
        choice = replace(choice, view="query")
    if choice.scores:  # a word of several pieces has no single score
        choice = replace(choice, unit="token")
    check_syntax(choice)
    return choice


def load(name: str | os.PathLike[str], **options: Any) -> Inspector:
    """Load a model once.

    Args:
        name: a built-in model, a folder, or a name on the hub.
        **options: fields of `attn_cli.models.LoadOptions`: `device`, `dtype`, `revision`, ...

    Raises:
        ModelError: it cannot be found, read or inspected.
    """
    return Inspector(load_model(os.fspath(name), LoadOptions(**options)))
