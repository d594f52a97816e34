"""Chapter 4: self-attention, in which a pronoun finds the noun that it stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from attn_cli.data.plan import name_head
from attn_cli.data.selection import Selection
from attn_cli.models import Input
from attn_cli.models.prepare import read
from attn_cli.questions.diff.measure import Differences, diff
from attn_cli.questions.inspect.measure import look
from attn_cli.questions.tour.measure import Chapter, Figure, Lesson, command_line
from attn_cli.questions.why.causality import linking_heads, twin_examples

__all__ = ["MODEL", "NAME", "PRONOUN", "chapter", "linking_head", "with_pronoun"]

NAME: Final = "self-attention"
MODEL = "toy"
PRONOUN = "it"
SENTENCE = "The trophy didn't fit in the suitcase because it was too big"
CONTRARIES: Mapping[str, str] = {
    one: other
    for pair in (
        "large small",
        "big small",
        "wide narrow",
        "heavy light",
        "tall short",
        "long short",
        "high low",
        "thick thin",
        "strong weak",
        "full empty",
        "old new",
        "hot cold",
        "tired wide",
        "hungry ripe",
        "dirty clean",
    )
    for one, other in (pair.split(), pair.split()[::-1])
}
"""Words of a reason -> words that make it a reason of another thing."""
KEYS = 3
"""Keys to list of a pronoun's row."""
CHOSEN_BY = 4
"""Number of pairs of sentences that the head is chosen by."""


def chapter(lesson: Lesson) -> Chapter:
    """Show what the pronoun looks at, and what it looks at when the reason is another."""
    text, note = with_pronoun(lesson)
    head = linking_head(lesson)
    twin = _twin(text)
    return Chapter(
        name=NAME,
        title="Self-attention",
        about=(
            "In a Transformer the words of one text look at each other: each has a query, a key and a value of its "
            f"own. So “{PRONOUN}” can find the noun that it stands for, however far back it is. "
            f"Here is its row in encoder head {head}"
            + ("." if twin is None else ", for two sentences that differ in one word.")
        ),
        note=note,
        **(_alone(lesson, text, head) if twin is None else _beside(lesson, text, twin, head)),
    )


def _beside(lesson: Lesson, text: str, twin: str, head: str) -> dict[str, Any]:
    """Compare the pronoun's row in two sentences that differ in the reason alone."""
    choice = Selection(query=PRONOUN, head=head)
    one, other = (read(lesson.models[MODEL], Input(each, truncate=True), choice) for each in (text, twin))
    answer = diff(one, other, choice)
    (first, weight), (second, changed) = _strongest_keys(answer)
    word, instead = _changed(text, twin)
    moved = "One word has turned it to another." if first != second else "It still looks most at the same word."
    return {
        "pictures": (answer,),
        "found": (
            f"With “{word}”, “{PRONOUN}” gives {weight:.2f} of its weight to “{first}”. With “{instead}” in its place, "
            f"it gives {changed:.2f} to “{second}”. {moved}"
        ),
        "figures": (
            Figure(f"weight {PRONOUN} → {first} with {word}", weight, "share of 1"),
            Figure(f"weight {PRONOUN} → {second} with {instead}", changed, "share of 1"),
        ),
        "commands": (command_line("diff", text, twin, "--query", PRONOUN, "--head", head, "--model", MODEL),),
    }


def _alone(lesson: Lesson, text: str, head: str) -> dict[str, Any]:
    """Show the pronoun's strongest keys in a sentence whose reason has no contrary that is known here."""
    choice = Selection(view="query", query=PRONOUN, head=head, top_k=KEYS)
    answer = look(read(lesson.models[MODEL], Input(text, truncate=True), choice), choice, keep=False)
    link = answer.heads[0].links[0]
    key = answer.figures.plan.keys.labels[link.key]
    options = ("--query", PRONOUN, "--head", head, "--top-k", str(KEYS), "--model", MODEL)
    return {
        "pictures": (answer,),
        "found": (
            f"“{PRONOUN}” gives {link.weight:.2f} of its weight to “{key}”. Change the reason, and attn diff shows "
            "whether it turns to another word."
        ),
        "figures": (Figure(f"weight {PRONOUN} → {key}", link.weight, "share of 1"),),
        "commands": (command_line("inspect", text, *options),),
    }


def linking_head(lesson: Lesson) -> str:
    """Return the encoder head that links pronouns to their nouns most, as measured on other sentences."""
    head, _ = linking_heads(lesson.models[MODEL], twin_examples(seed=13, count=CHOSEN_BY))
    return name_head(*head)


def with_pronoun(lesson: Lesson, sentence: str = SENTENCE) -> tuple[str, str]:
    """Return the reader's sentence if *it* stands in it once, else the lesson's, and then a note."""
    if lesson.text is None:
        return sentence, ""
    count = len(re.findall(rf"\b{PRONOUN}\b", lesson.text))
    if count == 1:
        return lesson.text, ""
    has = f"“{PRONOUN}” more than once" if count else f"no “{PRONOUN}” that could stand for a word before it"
    return sentence, f"Your sentence has {has}, so this is the lesson's."


def _twin(text: str) -> str | None:
    """Return a sentence with another reason; None if no word of the text has a contrary that is known here."""
    for word in reversed(list(re.finditer(r"\w+", text))):
        if word[0] in CONTRARIES:
            return text[: word.start()] + CONTRARIES[word[0]] + text[word.end() :]
    return None


def _changed(one: str, other: str) -> tuple[str, str]:
    words = zip(re.findall(r"\w+", one), re.findall(r"\w+", other), strict=True)
    return next((word, instead) for word, instead in words if word != instead)


def _strongest_keys(answer: Differences) -> tuple[tuple[str, float], tuple[str, float]]:
    """Return the word with the most weight of the pronoun's row in A and in B, and the weight."""
    head = answer.heads[0]
    rows = [side[0] for side in answer.maps(head.layer, head.head)]
    found = []
    for row, plan, own in zip(rows, answer.plans, (answer.keys.a, answer.keys.b), strict=True):
        best = int(np.argmax(row))
        found.append((plan.keys.labels[int(own[best])], float(row[best])))
    return found[0], found[1]
