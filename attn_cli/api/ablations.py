"""Cuts of heads and edges in several texts, and the outputs of other texts that stand in their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import repeat, zip_longest

from attn_cli.api.inputs import Texts
from attn_cli.data.selection import Selection
from attn_cli.errors import UsageError
from attn_cli.models import Input, Model
from attn_cli.questions.ablate.choices import OutputChoice
from attn_cli.questions.ablate.corpus import Correlate, Correlations
from attn_cli.questions.ablate.donors import Means, mean_outputs, probe_name, probe_texts
from attn_cli.questions.ablate.effects import CollectEffects, HeadEffects

__all__ = ["correlations_over", "effects_over", "means_over"]


def means_over(texts: str | Texts | None, model: Model, given: Input, choice: Selection, seed: int) -> Means:
    """Take the heads' mean outputs over texts; None stands for those that probe heads."""
    if texts is None:
        return mean_outputs(model, probe_texts(model, given, seed), choice, probe_name(seed))
    if isinstance(texts, str):
        return mean_outputs(model, [replace(given, text=texts)], choice, texts, several=False)
    return mean_outputs(model, (replace(given, text=text) for text in texts), choice, "a list")


def correlations_over(
    texts: Iterable[str], model: Model, given: Input, choice: Selection, wanted: OutputChoice, *, verify: bool = False
) -> Correlations:
    """Cut each key of a query in each head, and correlate the effects with the weights over several texts.

    Args:
        texts: the texts.
        model: the model.
        given: everything else that the model is to read.
        choice: the selection, with its query.
        wanted: the output to measure.
        verify: also run the model without attn, and compare.

    Raises:
        AttnError: a text cannot be read, or cannot be measured so.
    """
    links = Correlate(model, choice, wanted, verify=verify)
    for text in texts:
        links.add(replace(given, text=text))
    return links.found("texts")


def effects_over(texts: Texts, effects: CollectEffects, given: Input, donors: str | Texts | None) -> HeadEffects:
    """Cut each head in turn, and collect the effects over several texts.

    Args:
        texts: the texts.
        effects: the collector, which cuts.
        given: everything else that the model is to read.
        donors: the text whose outputs stand in the place of what is cut, or one for each text; None if there are none.

    Raises:
        AttnError: a text cannot be read, or cannot be measured so, or there are not as many texts as donors.
    """
    pairs = zip(texts, repeat(donors), strict=False) if isinstance(donors, str | None) else _pairs(texts, donors)
    for text, donor in pairs:
        effects.add(replace(given, text=text), donor)
    return effects.found("texts")


def _pairs(texts: Texts, donors: Texts) -> Iterator[tuple[str, str]]:
    """Yield each text with the one that outputs are taken from, as they come.

    Raises:
        UsageError: there are not as many of both; it is raised when one of them has ended.
    """
    for count, (text, donor) in enumerate(zip_longest(texts, donors)):
        if text is None or donor is None:
            some, others = (f"More than {count}", str(count)) if donor is None else (str(count), "more")
            raise UsageError(f"{some} texts need as many to take outputs from, not {others}", "Give one for each")
        yield text, donor
