"""Causality: share of pronouns that are right as the model is, without the head that links them, without another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from math import hypot
from typing import Final

import numpy as np

from attn_cli.data.cuts import ZeroedHeads
from attn_cli.data.plan import name_head
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block, Request
from attn_cli.data.text import Tokens
from attn_cli.grammar import sentences as grammar
from attn_cli.models import Input
from attn_cli.models.toy.model import Toy
from attn_cli.questions.why.measure import Experiment, Measure, Point, Series, guided_for, standard_error

__all__ = ["NAME", "find_linking_heads", "linking_heads", "links", "run", "twin_examples"]

NAME: Final = "causality"
CHOSEN_BY, TRIED_ON = 20, 60
"""Numbers of pairs of sentences that the heads are chosen by, and that they are cut in."""
QUICK = 4, 16
"""The same, if few are enough."""


def run(models: Mapping[str, Toy], *, quick: bool = False) -> Experiment:
    """Translate sentences with a pronoun with nothing cut, without the linking head, and without another."""
    tried_on = QUICK[1] if quick else TRIED_ON
    series: list[Series] = []
    verdicts: list[bool] = []
    told: list[str] = []
    for name, model in models.items():
        if "encoder" not in model.info.stacks:
            continue
        (layer, linking), (_, other) = find_linking_heads(model, quick=quick)
        examples = twin_examples(seed=11, count=tried_on)
        shares = [_right(model, examples, layer, heads) for heads in ((), (linking,), (other,))]
        names = [name, *(f"{name}, no {name_head(layer, head)}" for head in (linking, other))]
        series += [
            Series(one, (Point(0.0, 100 * share, len(examples)),)) for one, share in zip(names, shares, strict=True)
        ]
        verdicts.append(_bears_out(shares, len(examples)))
        told.append(
            f"{name} has {shares[0]:.0%} right, {shares[1]:.0%} without head {name_head(layer, linking)} and "
            f"{shares[2]:.0%} without {name_head(layer, other)}"
        )
    return Experiment(
        name=NAME,
        claim="Attention is not only a picture: take away the head that links a pronoun to its noun, and most of what "
        "the model knows of pronouns is gone.",
        how="Sentences of the grammar that training has not shown, in which it could stand for two nouns. In other "
        "sentences, one encoder head gives the noun that is meant more weight than all others; it is set to zero, and "
        "then the one of its layer that comes second.",
        measures=(Measure("pronoun right", "%", "", "high", 100.0, tuple(series)),),
        borne_out=bool(verdicts) and all(verdicts),
        found=f"{'; '.join(told)}; guessing il or elle has 50%.",
        guidance=guided_for(
            "coreference", {name: model.info for name, model in models.items() if "encoder" in model.info.stacks}
        ),
    )


def twin_examples(seed: int, count: int) -> list[grammar.Example]:
    """Return sentences and their twins, all held out of training; always guessing *il* is right in half of them."""
    return [one for pair in islice(grammar.pairs(seed=seed, held_out=True), count) for one in pair]


def find_linking_heads(model: Toy, *, quick: bool = False) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the `linking_heads` of a model in sentences that no experiment tries them on."""
    return linking_heads(model, twin_examples(seed=13, count=QUICK[0] if quick else CHOSEN_BY))


def linking_heads(model: Toy, examples: Sequence[grammar.Example]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return layer and head of the encoder head that links pronouns most, and of the next in its layer.

    A head links by the weight from a pronoun to the noun meant, less that to the other noun, over all sentences.
    """
    total: dict[int, Float[np.ndarray, "head"]] = {}
    for example in examples:
        for layer, link in links(model, example).items():
            total[layer] = total.get(layer, 0.0) + link
    layer = max(total, key=lambda number: float(total[number].max()))
    first, second = np.argsort(-total[layer], kind="stable")[:2].tolist()
    return (layer, first), (layer, second)


def links(model: Toy, example: grammar.Example) -> Mapping[int, Float[np.ndarray, "head"]]:
    """Return each layer's weights from the pronoun to the noun that is meant, less those to the other noun."""
    found: dict[int, Float[np.ndarray, "head"]] = {}
    source = model.prepare(Input(example.english))
    link = example.coreference
    assert link is not None  # noqa: S101 (every sentence of a pair has one)
    query, meant, other = (_tokens(source.source, span) for span in (link.pronoun, link.meant, link.other))

    def eat(block: Block) -> None:
        rows = block.weights[:, query].mean(axis=1, dtype=np.float64)
        found[block.layer] = rows[:, meant].sum(axis=1) - rows[:, other].sum(axis=1)

    stack = model.info.stacks["encoder"]
    source.stream(Request({"encoder": {layer: tuple(range(count)) for layer, count in stack.heads.items()}}), eat)
    return found


def _tokens(tokens: Tokens, span: tuple[int, int]) -> list[int]:
    """Return the positions of the tokens that cover some characters."""
    start, end = span
    return [
        index
        for index, token in enumerate(tokens.tokens)
        if not token.special and token.start < end and start < token.end
    ]


def _right(model: Toy, examples: Sequence[grammar.Example], layer: int, heads: tuple[int, ...]) -> float:
    """Return the share of pronouns that are right without some heads of a layer."""
    cut = (ZeroedHeads("encoder", layer, heads),) if heads else ()
    made = model.translate([one.english for one in examples], variations=[cut] * len(examples))
    right = sum(grammar.is_right(one, translation.text) for one, translation in zip(examples, made, strict=True))
    return right / len(examples)


def _bears_out(shares: Sequence[float], count: int) -> bool:
    """Return whether the first cut, and not the other, leaves less than half of what is right beyond guessing.

    That a cut changes something at all, or leaves less than guessing, counts from two standard errors on; the half is
    held against the share as it was measured.
    """
    whole, cut, other = shares
    chance = 2 * standard_error(0.5, count)

    def ahead(one: float, two: float) -> bool:
        return one - two > 2 * hypot(standard_error(one, count), standard_error(two, count))

    return ahead(whole, cut) and 0.5 - chance <= cut < (whole + 0.5) / 2 and not ahead(whole, other)
