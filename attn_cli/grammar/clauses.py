"""The parts of the grammar's sentences: noun phrases, negated verbs, reasons."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import TypeVar

from attn_cli.grammar.constructions import CLAUSES, COMPARED, DEGREES, Verb
from attn_cli.grammar.lexicon import (
    ADJECTIVES,
    BEFORE_NOUN,
    COLORS,
    DEEDS,
    DETERMINERS,
    GIVERS,
    Gender,
    Noun,
    Person,
    Templates,
    Tense,
    phrases,
)
from attn_cli.grammar.phrase import EMPTY, Phrase, marked, weave

__all__ = ["Draw", "cannot", "negated", "noun_phrase", "reason", "thing"]

T = TypeVar("T")

NEGATED: dict[Tense, tuple[tuple[str, bool], ...]] = {  # the auxiliary, and whether it says "able to"
    "past": (("didn't", False), ("did not", False), ("wouldn't", False), ("couldn't", True), ("could not", True)),
    "present": (("doesn't", False), ("does not", False), ("can't", True), ("cannot", True)),
    "future": (("won't", False), ("will not", False)),
}
CANNOT: dict[Tense, tuple[str, ...]] = {
    "past": ("couldn't", "could not"),
    "present": ("can't", "cannot"),
    "future": ("won't be able to", "will not be able to"),
}


class Draw(random.Random):
    """A source of random choices, the same for the same name, that repeats no telling word in a sentence."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._said: set[str] = set()

    def new_sentence(self) -> None:
        """Forget the telling words drawn so far."""
        self._said.clear()

    def unsaid(self, options: Sequence[T], english: Callable[[T], str]) -> T | None:
        """Draw an option whose English shares no telling word with those drawn before; None where all do."""
        free = [option for option in options if not self._said & _telling(english(option))]
        if not free:
            return None
        chosen = self.choice(free)
        self._said |= _telling(english(chosen))
        return chosen

    def fresh(self, options: Sequence[Templates]) -> Phrase:
        """Draw a phrase that repeats no telling word; empty where all do."""
        chosen = self.unsaid(options, lambda templates: templates[0])
        return EMPTY if chosen is None else weave(*chosen)

    def one_of(self, options: str) -> str:
        """Draw one of the words, which are separated by spaces."""
        return self.choice(options.split())

    def happens(self, chance: float) -> bool:
        """Return True with the probability `chance`, between 0 and 1."""
        return self.random() < chance


@cache
def _telling(template: str) -> frozenset[str]:
    words = {piece.partition("/")[0] for piece in template.split()}
    return frozenset(words) - {
        ",",
        "'s",
        "the",
        "of",
        "in",
        "on",
        "had",
        "that",
        "my",
        "our",
        "his",
        "for",
        "to",
        "as",
        "you",
    }


def noun_phrase(
    noun: Noun, determiner: Templates, adjective: str = "", *, mark: str = "noun", tail: Phrase = EMPTY
) -> Phrase:
    """Build a noun with its determiner, an adjective where French puts it, and a tail."""
    left = right = EMPTY
    if adjective in COLORS:
        right = weave(f"{adjective}/1", f"{ADJECTIVES[adjective].french(noun.gender)}/1")
    elif adjective:
        left = weave(f"{adjective}/1", f"{ADJECTIVES[adjective].before(noun)}/1")
    return weave(
        f"{{determiner}} {{left}} {{right}} {noun.english}/{mark} {{tail}}",
        f"{{determiner}} {{left}} {noun.french}/{mark} {{right}} {{tail}}",
        determiner=weave(*determiner),
        left=left,
        right=right,
        tail=tail,
    )


def thing(noun: Noun, mark: str, tense: Tense, draw: Draw, *, told: bool, reasons: Collection[str]) -> Phrase:
    """Build the noun phrase of one of the two nouns, with its modifiers.

    Args:
        noun: noun of the phrase.
        mark: labels to find the noun again by, joined by `+`; the first, with `.subject`, `.verb` and `.object` behind
            it, marks the words of its relative clause.
        tense: tense of the sentence.
        draw: source of random choices.
        told: True to add a relative clause about who bought or noticed the thing.
        reasons: adjectives that the sentence uses as reasons, which must not be contradicted.
    """
    choices = [row for row in DETERMINERS if not row.owns or (noun.can_be_owned and not told)]
    chosen = draw.choices(choices, [row.weight for row in choices])[0]
    determiner = f"{chosen.english}/1", f"{noun.agree(chosen.masculine, chosen.feminine)}/1"
    tail = EMPTY
    if told:
        tail = _told(noun, mark.partition("+")[0], tense, draw)
    elif noun.can_be_owned and draw.happens(0.1):
        owner = draw.fresh(phrases("owner", tense))
        if owner.english:
            return _owned(noun, mark, owner)
    adjective = ""
    if draw.happens(0.13):
        fitting = [
            word
            for word in BEFORE_NOUN
            if not {word, *ADJECTIVES[word].contraries} & set(reasons) and (word != "new" or noun.can_be_new)
        ]
        adjective = draw.choice(fitting) if fitting else ""
    elif noun.can_be_colored and draw.happens(0.2):
        adjective = draw.choice(COLORS)
    return noun_phrase(noun, determiner, adjective, mark=mark, tail=tail)


def _told(noun: Noun, mark: str, tense: Tense, draw: Draw) -> Phrase:
    """Build a relative clause: `that my brother had bought in Paris`, `que mon frère avait achetée à Paris`."""
    giver = draw.unsaid(GIVERS, lambda row: row.name[0])
    if giver is None:
        return EMPTY
    done = draw.choice(DEEDS[noun.can_be_owned])
    if tense == "past" and draw.happens(0.6):
        verb = weave(f"had/1 {done.participle}/2+{mark}.verb", f"{giver.had}/1 {done.french}{noun.agree('', 'e')}/2")
    else:
        verb = weave(f"{done.past}/1+{mark}.verb", f"{giver.have}/1 {done.french}{noun.agree('', 'e')}/1")
    return weave(
        f"that/1+{mark}.object {{giver}} {{verb}} {{where}}",
        "que/1 {giver} {verb} {where}",
        giver=marked(weave(*giver.name), f"{mark}.subject"),
        verb=verb,
        where=draw.fresh(phrases("where", tense)) if draw.happens(0.8) else EMPTY,
    )


def _owned(noun: Noun, mark: str, owner: Phrase) -> Phrase:
    """Build a possessive: `my uncle's violin`, `le violon de mon oncle`."""
    return weave(
        f"{{owner}} {noun.english}/{mark}",
        f"{noun.agree('le', 'la')} {noun.french}/{mark} {{owner}}",
        owner=owner,
    )


def negated(verb: Verb, tense: Tense, ending: str, draw: Draw) -> Phrase:
    """Build the negated verb, for what a thing does not or cannot do: `didn't fit` and `ne rentrait pas`.

    Args:
        verb: verb to negate; the English one is marked `@main.verb`.
        tense: tense of the sentence.
        ending: ending of a French participle that agrees with the subject.
        draw: source of random choices.
    """
    auxiliary, able = draw.choice(
        [
            (word, able)
            for word, able in NEGATED[tense]
            if able or tense == "future" or not (verb.only_able or (verb.perfect and word == "wouldn't"))
        ],
    )
    english = " ".join(f"{word}/1" for word in auxiliary.split()) + f" {verb.english}/2+@main.verb"
    if able:
        can = "pouvait" if tense == "past" else "peut"
        return weave(english, f"ne/1 {can}/1 pas/1 {verb.infinitive}/2")
    if tense == "past" and verb.perfect:
        return weave(english, f"ne/1 {verb.auxiliary}/1 pas/1 {verb.perfect.replace('~', ending)}/2")
    form = {"past": verb.imperfect, "present": verb.present, "future": verb.future}[tense]
    return weave(english, f"ne/1 {form}/2 pas/1")


def cannot(person: Person, tense: Tense, draw: Draw) -> Phrase:
    """Build a person who is not able to do something: `Tom couldn't` and `Tom ne pouvait pas`."""
    able = {"past": person.imperfect, "present": person.present, "future": person.future}[tense]
    words = " ".join(f"{word}/1" for word in draw.choice(CANNOT[tense]).split())
    who = marked(weave(*person.name), "@main.subject")
    return weave(f"{{who}} {words}", f"{{who}} ne/1 {able}/1 pas/1", who=who)


def reason(
    name: str, gender: Gender, degree: str, tense: Tense, *, contracted: bool = False, subjunctive: bool = False
) -> tuple[Phrase, str]:
    """Build the clause about the pronoun, and return the French adjective that agrees with it too, "" if there is none.

    The pronoun is marked `@it` and `@it.subject`, the adjective or the verb `@it.verb`.

    Args:
        name: name of the reason, as in `constructions`.
        gender: gender of the French noun meant.
        degree: key of `constructions.DEGREES`, for an adjective that takes degrees, without comparison.
        tense: tense of the main clause; the reason for a future one is in the present.
        contracted: True to turn "it is" into "it's".
        subjunctive: True to put the French verb in the subjunctive, as after `jusqu'à ce que`.
    """
    it_is = "it/@it+@it.subject 's/1" if contracted else "it/@it+@it.subject is/1"
    pronoun = "il" if gender == "m" else "elle"
    if name in CLAUSES:
        english, french = CLAUSES[name][tense != "past"]
        english = f"it/@it+@it.subject {english}".replace("it/@it+@it.subject is/1", it_is)
        return weave(english, f"{pronoun}/@it {french}"), ""
    form, be = "", {"past": "était", "present": "est", "future": "est"}[tense]
    if name in COMPARED:
        french_degree, positive = COMPARED[name]
        form = ADJECTIVES[positive].french(gender)
        predicate = weave(f"{name}/1+2+@it.verb", f"{french_degree}/1 {form}/2")
    else:
        degree = {"+": "more", "-": "less"}.get(name[0], degree)
        adjective = ADJECTIVES[name.lstrip("+-")]
        if "absolute" in adjective.uses:
            degree = "plain"
        predicate = weave(
            *DEGREES[degree],
            adjective=weave(f"{adjective.english}/1+@it.verb", f"{adjective.french(gender)}/1"),
        )
        if "had" in adjective.uses:
            be = "avait" if tense == "past" else "a"
        else:
            form = adjective.french(gender)
    if subjunctive:
        be = "soit"
    it_was = "it/@it+@it.subject was/1" if tense == "past" else it_is
    return weave(f"{it_was} {{predicate}}", f"{pronoun}/@it {be}/1 {{predicate}}", predicate=predicate), form
