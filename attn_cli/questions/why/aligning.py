"""Interpretability: how often the source word with the most weight is the one that was translated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from attn_cli.data.model import ModelInfo
from attn_cli.data.selection import Selection
from attn_cli.grammar import sentences as grammar
from attn_cli.grammar.words import spaced, spans
from attn_cli.models import Input
from attn_cli.models.toy.model import Toy
from attn_cli.questions.translate.align import Gold, Score, align
from attn_cli.questions.why.measure import Experiment, Measure, Point, Series

__all__ = ["NAME", "GoldPair", "error_rate", "grammar_pairs", "run"]

NAME: Final = "interpretability"
SENTENCES = 60
"""Number of sentences of each of the grammar's two kinds."""
QUICK = 6
"""The same, if few are enough."""
DIAGONAL = "the diagonal"
GoldPair = tuple[str, str, Gold]
"""A text and its translation, with spaces between words, and the links between the words."""


def run(models: Mapping[str, Toy], *, quick: bool = False) -> Experiment:
    """Force the translation, link each word to its strongest source word, and compute the AER (Och and Ney 2003)."""
    each = QUICK if quick else SENTENCES
    pairs = grammar_pairs([*grammar.held_out(each), *grammar.simple_held_out(each)])
    series = []
    for name, model in models.items():
        if "cross" in model.info.stacks:
            rate = error_rate(model, pairs, Selection(translation=True))
            series.append(Series(name, (Point(0.0, 100 * rate, len(pairs)),)))
        else:
            series.append(Series(name, (), absent="no map at all"))
    series.append(Series(DIAGONAL, (Point(0.0, 100 * diagonal_error(pairs), len(pairs)),)))
    measure = Measure("alignment error rate", "%", "", "low", 100.0, tuple(series))
    return _judged(measure, {name: model.info for name, model in models.items()})


def grammar_pairs(examples: Sequence[grammar.Example]) -> list[GoldPair]:
    """Return sentences of the grammar with their own links, spaced as aligners write them."""
    rows = []
    for one in examples:
        numbers = [{span: number for number, span in enumerate(spans(text))} for text in (one.english, one.french)]
        links = frozenset(
            (numbers[0][ours], numbers[1][theirs])
            for ours, theirs in one.links
            if ours in numbers[0] and theirs in numbers[1]
        )
        rows.append((spaced(one.english, [])[0], spaced(one.french, [])[0], Gold(links, links)))
    return rows


def error_rate(model: Toy, pairs: Sequence[GoldPair], selection: Selection) -> float:
    """Compute the alignment error rate of the selected heads' links, with the target forced."""
    total = Score(0, 0, 0, 0)
    for english, french, gold in pairs:
        found = align(model.prepare(Input(english, target=french)), selection)
        total += Score.of([(link.source, link.target) for link in found.links], gold)
    return total.error_rate


def diagonal_error(pairs: Sequence[GoldPair]) -> float:
    """Compute the error rate of linking each target word to the source word at the same relative position."""
    total = Score(0, 0, 0, 0)
    for english, french, gold in pairs:
        source, target = len(english.split()), len(french.split())
        total += Score.of([((2 * word + 1) * source // (2 * target), word) for word in range(target)], gold)
    return total.error_rate


def _judged(measure: Measure, models: Mapping[str, ModelInfo]) -> Experiment:
    aligned = {name: model.alignment for name, model in models.items()}
    guidance = {
        name: () if one is None else models[name].guided_among((one.kind, one.layer, head) for head in one.heads)
        for name, one in aligned.items()
    }
    hows = " ".join(f"{name}: {one.how}" for name, one in aligned.items() if one is not None and not guidance[name])
    baseline = measure.of(DIAGONAL).points[0].value
    found = {one.model: one.points[0].value for one in measure.series if one.points and one.model != DIAGONAL}
    listed = ", ".join(f"{name} {rate:.0f}%" for name, rate in found.items())
    return Experiment(
        name=NAME,
        claim="Attention shows which source word a word was translated from.",
        how="Sentences of the grammar whose links are known; a word is linked to the source word with the most weight "
        f"in the head that the model names for it. {hows}".strip(),
        measures=(measure,),
        borne_out=bool(found) and all(rate < baseline for rate in found.values()),
        found=f"Links that are wrong or missing: {listed}; linking by position alone {baseline:.0f}%.",
        guidance=guidance,
    )
