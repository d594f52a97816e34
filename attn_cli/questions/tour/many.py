"""Chapter 5: many heads, what each is for, and what becomes of the translation without one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from attn_cli.data.plan import name_head
from attn_cli.data.selection import Selection
from attn_cli.data.shapes import Float
from attn_cli.errors import counted
from attn_cli.models import Input
from attn_cli.questions.ablate.choices import CutChoice, OutputChoice
from attn_cli.questions.ablate.measure import ablate
from attn_cli.questions.ablate.trials import Ablation
from attn_cli.questions.heads.measure import HeadFigures, HeadsFound
from attn_cli.questions.heads.probe import probe
from attn_cli.questions.tour.linking import MODEL, linking_head, with_pronoun
from attn_cli.questions.tour.measure import Chapter, Figure, Lesson, command_line

__all__ = ["LITTLE", "NAME", "chapter", "tell_cut"]

NAME: Final = "many-heads"
SENTENCE = "The trophy didn't fit in the suitcase because it was too small"
"""The second sentence of the chapter before: the cut takes more from its pronoun than from the first one's."""
LITTLE = 0.05
"""Least change of a word's probability that is worth telling."""
SEED = 0
"""Seed of the texts that heads are probed with: that of attn heads."""


def chapter(lesson: Lesson) -> Chapter:
    """Say what the heads of a layer are for, and cut the one that links pronouns."""
    text, note = with_pronoun(lesson, SENTENCE)
    head = linking_head(lesson)
    layer = head.partition(".")[0]
    model = lesson.models[MODEL]
    choice = Selection(layer=layer)
    heads = probe(model, choice, SEED, prepare=lambda made: model.prepare(Input(made)))
    ablation = ablate(model, Input(text), Selection(head=head), OutputChoice(), CutChoice())
    roles, role_figures = _roles(heads)
    cut, cut_figures = _cut(ablation, f"encoder head {head}")
    return Chapter(
        name=NAME,
        title="Many heads",
        about=(
            "A layer has several heads. Each has queries, keys and values of its own, so each can look for something "
            "else. What a head is for is measured on sentences made for that: it has a role if its score reaches the "
            "role's threshold and beats its baseline (what a head scores without looking for anything), or if it was "
            "trained for that role. And whether a head matters shows when it is cut: here it is "
            f"encoder head {head}, and the text is translated again."
        ),
        pictures=(heads, ablation),
        found=(f"{roles} {cut}"),
        figures=(*role_figures, *cut_figures),
        commands=(
            command_line("heads", "--probe", "--layer", layer, "--model", MODEL),
            command_line("ablate", text, "--head", head, "--model", MODEL),
        ),
        note=note,
    )


def _roles(heads: HeadsFound) -> tuple[str, tuple[Figure, ...]]:
    """Say how many heads have a role, and the evidence for the clearest."""
    named = [head for head in heads.heads if head.roles]
    count = Figure("heads with a role", float(len(named)), "heads")
    several = counted(len(heads.heads), "head")
    if not named:
        return f"None of the {several} has a role.", (count,)

    def margin(head: HeadFigures) -> float:
        return head.roles[0].score - head.roles[0].baseline

    best = max(named, key=margin)
    role, name = best.roles[0], name_head(best.layer, best.head)
    have = f"{len(named)} of the {several} {'has' if len(named) == 1 else 'have'} a role"
    which = "" if len(named) == 1 else "the clearest is "
    told = (
        f"{have}: {which}encoder head {name}, {role.name}, with a score of {role.score:.2f}, where the threshold is "
        f"{role.role.threshold:.2f} and the baseline {role.baseline:.2f}."
    )
    return told, (
        count,
        Figure(f"score of {name} as {role.name}", role.score, ""),
        Figure(f"threshold of {name} as {role.name}", role.role.threshold, ""),
        Figure(f"baseline of {name} as {role.name}", role.baseline, ""),
    )


def _cut(ablation: Ablation, head: str) -> tuple[str, tuple[Figure, ...]]:
    """Say what the translation is without the head, and which of its words changes most."""
    (trial,) = ablation.trials
    told, figures = tell_cut(
        head,
        [word.label for word in ablation.output.words],
        ablation.before.words,
        trial.after.words,
        another=trial.translation is not None and trial.translation != ablation.text_before,
    )
    return told, (Figure("effect on the translation", trial.effect, "nats"), *figures)


def tell_cut(
    head: str,
    words: Sequence[str],
    before: Float[np.ndarray, "word"],
    after: Float[np.ndarray, "word"],
    *,
    another: bool,
) -> tuple[str, tuple[Figure, ...]]:
    """Say what becomes of a translation without a head, and which of its words changes most, in either direction.

    Args:
        head: the head that is cut.
        words: the words of the translation that the model writes with the head.
        before: log-probability of each word with the head, in nats.
        after: the same without the head.
        another: True if the model writes another translation without the head.

    Returns:
        The sentence, and the figures of the word whose probability changes most.
    """
    chances = np.exp(before), np.exp(after)
    place = int(np.argmax(np.abs(chances[1] - chances[0])))
    word, effect = words[place], float(after[place] - before[place])
    was, becomes = (float(side[place]) for side in chances)
    figures = (
        Figure(f"probability of {word} before", was, "probability"),
        Figure(f"probability of {word} after", becomes, "probability"),
        Figure(f"effect on {word}", effect, "nats"),
    )
    start = f"Without {head} the translation {'is another' if another else 'stays'}"
    if abs(becomes - was) < LITTLE:
        unchanged = f"no word's probability changes by {LITTLE} or more"
        if another:
            return f"{start}, though in the first {unchanged}.", figures
        return f"{start}, and is about as likely: {unchanged}, so this text does not need the head.", figures
    goes, speaks = ("rises", "against") if becomes > was else ("falls", "for")
    measured = "the words of the first" if another else "its words"
    return (
        f"{start}. Of {measured}, “{word}” changes most: its probability {goes} from {was:.2f} to {becomes:.2f} "
        f"(effect {effect:+.2f} nats), so the head speaks {speaks} it."
    ), figures
