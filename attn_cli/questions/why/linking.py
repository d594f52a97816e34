"""Context linking: pronouns that are right, by the distance of their noun, and the head that looks there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from math import hypot
from typing import Final

from attn_cli.data.plan import name_head
from attn_cli.grammar import sentences as grammar
from attn_cli.models.toy.model import Toy
from attn_cli.questions.why.causality import find_linking_heads, links
from attn_cli.questions.why.measure import Experiment, Measure, Point, Series, Verdict, guided_for, standard_error

__all__ = ["NAME", "run"]

NAME: Final = "context-linking"
DISTANCES = ((1, 5), (6, 8), (9, 12), (13, 20))
"""Fewest and most words between the noun and its pronoun, for each group of sentences."""
EACH = 60
"""Number of sentences in each group."""
QUICK = 16
"""Number of sentences of the group with the most words between, if only these are translated."""
TRIED = 4000
"""Most pairs of sentences to search for the groups."""


def run(models: Mapping[str, Toy], *, quick: bool = False) -> Experiment:
    """Translate sentences in which *it* could stand for two nouns, and see which one the French pronoun means.

    Where the encoder attends to itself, the head that links pronouns best in other sentences is looked at as well, in
    the sentences with the most words between.
    """
    groups = _by_distance()
    if quick:
        groups = [groups[-1][:QUICK]]
    pronouns, heads = [], []
    for name, model in models.items():
        points = []
        whole = [one for group in groups for one in group]
        made = model.translate([one.english for one in whole])
        texts = {one.english: translation.text for one, translation in zip(whole, made, strict=True)}
        for group in groups:
            right = sum(grammar.is_right(one, texts[one.english]) for one in group)
            distances = [one.coreference.distance for one in group if one.coreference is not None]
            points.append(Point(sum(distances) / len(distances), 100 * right / len(group), len(group)))
        pronouns.append(Series(name, tuple(points)))
        heads.append(_of_head(name, model, groups[-1]))
    return _judged(
        Measure("pronoun right", "%", "words between", "high", 100.0, tuple(pronouns)),
        Measure("more weight on the noun meant", "%", "", "high", 100.0, tuple(heads)),
        models,
    )


def _of_head(name: str, model: Toy, examples: Sequence[grammar.Example]) -> Series:
    """Count sentences in which the model's best head for pronouns gives the noun meant more weight than the other."""
    if "encoder" not in model.info.stacks:
        return Series(name, (), absent="no self-attention")
    (layer, head), _ = find_linking_heads(model)  # few sentences would not tell which, where no head links well
    share = sum(bool(links(model, one)[layer][head] > 0) for one in examples) / len(examples)
    return Series(f"{name}, head {name_head(layer, head)}", (Point(0.0, 100 * share, len(examples)),))


def _by_distance() -> list[list[grammar.Example]]:
    """Group sentences and their twins, all held out of training; always guessing *il* is right half of the time."""
    groups: list[dict[str, grammar.Example]] = [{} for _ in DISTANCES]
    for pair in islice(grammar.pairs(seed=11, held_out=True), TRIED):
        for one in pair:
            assert one.coreference is not None  # noqa: S101 (every sentence of a pair has one)
            for group, (nearest, farthest) in zip(groups, DISTANCES, strict=True):
                if nearest <= one.coreference.distance <= farthest and len(group) < EACH:
                    group[one.english] = one
        if all(len(group) == EACH for group in groups):
            break
    return [list(group.values()) for group in groups]


def _judged(pronouns: Measure, heads: Measure, models: Mapping[str, Toy]) -> Experiment:
    last = {one.model: one.points[-1] for one in pronouns.series}
    attending = [name for name, model in models.items() if "encoder" in model.info.stacks]
    recurrent = [name for name in models if name not in attending]
    guidance = guided_for("coreference", {name: model.info for name, model in models.items()})

    def ahead(name: str, other: str) -> bool:
        """Test if a model leads by more than twice the standard error of the difference, and so not by chance."""
        (mine, its) = (last[one].value / 100 for one in (name, other))
        error = hypot(standard_error(mine, last[name].count), standard_error(its, last[other].count))
        return mine - its > 2 * error

    def figures(names: Sequence[str]) -> str:
        shares = ", ".join(f"{name} {last[name].value:.0f}%" for name in names)
        words = next(iter(last.values())).at
        return f"Pronouns right with {words:.0f} words between noun and pronoun: {shares}; guessing il or elle has 50%."

    verdicts = tuple(
        Verdict(
            f"With {'a' if guidance[name] else 'no'} head that was trained to link pronouns ({name})",
            borne_out=bool(recurrent) and all(ahead(name, other) for other in recurrent),
            found=f"{figures([name, *recurrent])} {models[name].caveat}".rstrip(),
        )
        for name in attending
    )
    return Experiment(
        name=NAME,
        claim="Self-attention links a word to what it stands for however far apart they are, whereas a recurrent "
        "encoder has to carry it from word to word.",
        how="Sentences of the grammar, not seen in training, in which a pronoun could stand for either of two nouns; "
        "the French pronoun and adjective show which one was understood, and a translation with neither counts as "
        "wrong. In the sentences with the most words between: how often the encoder head that links pronouns best in "
        "others gives the noun meant more weight.",
        measures=(pronouns, heads),
        borne_out=bool(verdicts) and all(one.borne_out for one in verdicts),
        found=" ".join(filter(None, (figures(list(models)), *(models[name].caveat for name in attending)))),
        verdicts=verdicts,
        guidance=guidance,
    )
