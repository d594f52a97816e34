"""Chapter 4: self-attention, in which a pronoun finds the noun that it stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from attn_cli.data.plan import name_head
from attn_cli.data.selection import Selection
from attn_cli.data.units import Units
from attn_cli.models import Input
from attn_cli.models.prepare import read
from attn_cli.questions.diff.measure import Differences, diff
from attn_cli.questions.inspect.measure import look
from attn_cli.questions.tour.measure import Chapter, Figure, Lesson, command_line, told_key
from attn_cli.questions.why.causality import linking_heads, twin_examples

__all__ = ["MODEL", "NAME", "PRONOUN", "chapter", "linking_head", "with_pronoun"]

NAME: Final = "self-attention"
MODEL = "toy"
PRONOUN = "it"
SENTENCE = "The trophy didn't fit in the suitcase because it was too big"
REASON = re.compile(r"\bbecause\b", re.IGNORECASE)
HYPHENS = "-\u2010\u2011"
"""Characters that join words: what stands beside one is not a word by itself."""
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
    one, other = (read(lesson.models[MODEL], Input(each), choice) for each in (text, twin))
    answer = diff(one, other, choice)
    first, second = _strongest_keys(answer)
    word, instead = _changed(text, twin)
    return {
        "pictures": (answer,),
        "found": (
            f"With “{word}”, “{PRONOUN}” gives {first.weight:.2f} of its weight to {first.told}. With “{instead}” in "
            f"its place, it gives {second.weight:.2f} to {second.told}. {_moved(first, second)}"
        ),
        "figures": (
            Figure(f"weight {PRONOUN} → {first.label} with {word}", first.weight, "share of 1"),
            Figure(f"weight {PRONOUN} → {second.label} with {instead}", second.weight, "share of 1"),
        ),
        "commands": (command_line("diff", text, twin, "--query", PRONOUN, "--head", head, "--model", MODEL),),
    }


def _alone(lesson: Lesson, text: str, head: str) -> dict[str, Any]:
    """Show the pronoun's strongest keys in a sentence whose reason has no contrary that is known here."""
    choice = Selection(view="query", query=PRONOUN, head=head, top_k=KEYS)
    answer = look(read(lesson.models[MODEL], Input(text), choice), choice, keep=False)
    link = answer.heads[0].links[0]
    key = _Key.of(answer.figures.plan.keys, link.key, link.weight)
    turns = "turns to another word" if key.word else "turns to a word"
    advice = f" Change the reason, and attn diff shows whether it {turns}." if REASON.search(text) else ""
    options = ("--query", PRONOUN, "--head", head, "--top-k", str(KEYS), "--model", MODEL)
    return {
        "pictures": (answer,),
        "found": f"“{PRONOUN}” gives {key.weight:.2f} of its weight to {key.told}.{advice}",
        "figures": (Figure(f"weight {PRONOUN} → {key.label}", key.weight, "share of 1"),),
        "commands": (command_line("inspect", text, *options),),
    }


def linking_head(lesson: Lesson) -> str:
    """Return the encoder head that links pronouns to their nouns most, as measured on other sentences."""
    head, _ = linking_heads(lesson.models[MODEL], twin_examples(seed=13, count=CHOSEN_BY))
    return name_head(*head)


def with_pronoun(lesson: Lesson, sentence: str = SENTENCE) -> tuple[str, str]:
    """Return the reader's sentence if *it* is a word of it by itself, once; else the lesson's, and then a note.

    The words are those that a query can name, of which *it's* is one.
    """
    if lesson.text is None:
        return sentence, ""
    side = lesson.models[MODEL].prepare(Input(lesson.text)).source
    pronouns = [word for word in side.words if word.text == PRONOUN]
    if len(pronouns) > 1:
        return sentence, f"Your sentence has “{PRONOUN}” more than once, so this is the lesson's."
    for word in pronouns:
        neighbours = side.text[max(word.start - 1, 0) : word.start] + side.text[word.end : word.end + 1]
        if not any(one in HYPHENS for one in neighbours):
            return lesson.text, ""
    return sentence, f"Your sentence has no “{PRONOUN}” as a word by itself, so this is the lesson's."


def _twin(text: str) -> str | None:
    """Return a sentence with another reason; None if no word of the text has a contrary that is known here."""
    for word in reversed(list(re.finditer(r"\w+", text))):
        if word[0] in CONTRARIES:
            return text[: word.start()] + CONTRARIES[word[0]] + text[word.end() :]
    return None


def _changed(one: str, other: str) -> tuple[str, str]:
    words = zip(re.findall(r"\w+", one), re.findall(r"\w+", other), strict=True)
    return next((word, instead) for word, instead in words if word != instead)


@dataclass(frozen=True, slots=True)
class _Key:
    """A key of the pronoun's row, and its weight."""

    place: int
    label: str
    told: str
    """Its name in a sentence."""
    word: bool
    """True for a word, which a mark such as a quote or the end is not."""
    weight: float

    @classmethod
    def of(cls, keys: Units, key: int, weight: float) -> _Key:
        label = keys.labels[key]
        return cls(key, label, told_key(label, special=keys.special[key]), keys.read_as[key] is not None, weight)


def _moved(first: _Key, second: _Key) -> str:
    """Say whether the pronoun looks most at another key of a sentence with one word changed."""
    if first.place == second.place:
        return f"It still looks most at the same {'word' if first.word and first.label == second.label else 'place'}."
    return "One word has turned it to another." if first.word and second.word else "One word has turned it elsewhere."


def _strongest_keys(answer: Differences) -> tuple[_Key, _Key]:
    """Return the key with the most weight of the pronoun's row in A and in B."""
    head = answer.heads[0]
    rows = [side[0] for side in answer.maps(head.layer, head.head)]
    found = []
    for row, plan, own in zip(rows, answer.plans, (answer.keys.a, answer.keys.b), strict=True):
        best = int(np.argmax(row))
        found.append(_Key.of(plan.keys, int(own[best]), float(row[best])))
    return found[0], found[1]
