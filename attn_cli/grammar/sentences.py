"""English sentences in which *it* could stand for two nouns, with French translations that show which one it is.

"The trophy didn't fit in the suitcase because it was too big": in French the pronoun and the adjective agree with the
noun meant (*le trophée … il était trop grand*; *la valise … elle était trop petite*), as in the Winograd schemas
(Levesque, Davis and Morgenstern 2012). A sentence is a main clause about two things (`constructions`), a reason that
fits only one of them, and a frame that joins the two (because, since, so, two sentences …), with an optional phrase
between them. Its twin differs only in the reason, so that *it* stands for the other noun.

`simple` sentences have no such pronoun. Every sentence comes with links between the words that stand for each other,
and with its relations: which noun a pronoun stands for, and which verb a word is the subject or the object of.
Some nouns (`kept` in nouns.tsv), pairs of nouns (`is_held_out`) and whole constructions (`HELD_OUT_CONSTRUCTIONS`) are
never drawn for training.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple, cast

from attn_cli.grammar.agreement import agrees, said_of_pronoun
from attn_cli.grammar.clauses import Draw, cannot, negated, reason, thing
from attn_cli.grammar.constructions import CONSTRUCTIONS, FRAMES, HELD_OUT_CONSTRUCTIONS, Construction
from attn_cli.grammar.lexicon import BY_KIND, KEPT_BY_KIND, PEOPLE, Gender, Noun, Templates, Tense, phrases
from attn_cli.grammar.phrase import EMPTY, PUNCTUATION, Link, Phrase, Span, Spelled, marked, spell, weave
from attn_cli.grammar.simple import is_simple_held_out, sentence

__all__ = [
    "HELD_OUT_CONSTRUCTIONS",
    "Coreference",
    "Example",
    "HeldOutBy",
    "WordRelation",
    "examples",
    "held_out",
    "is_held_out",
    "is_right",
    "pairs",
    "simple",
    "simple_held_out",
]

LONGEST_DISTANCE = 20  # most words between the noun meant and the pronoun
LONGEST_SIMPLE = 15  # most words of a simple sentence, the full stop counted
HELD_OUT_PERCENT = 15  # percentage of the pairs of nouns
HELD_OUT_CONSTRUCTION_SHARE = 0.25  # share of the test sentences
CONTRACTED_SHARE = 0.25  # share of "it's" among the training sentences that say "it is"
NO_STOP_SHARE = 0.15  # share of sentences without full stop, as users type them
SAME_GENDER_SHARE = 0.15  # share of the training sentences
HELD_OUT_PAIRS = {frozenset({"trophy", "suitcase"}), frozenset({"animal", "street"})}
"""Nouns of the best-known examples; the hash of a pair decides on the others."""

HeldOutBy = Literal["noun", "pair", "construction"]
"""The part of a test sentence that training never shows."""


class WordRelation(NamedTuple):
    """Two English words that belong together.

    Attributes:
        kind: `coreference` from a pronoun to the noun that it stands for, `subject` and `object` from a word to its
            verb, or to the adjective that a form of *be* says of it.
        query: span of the pronoun, the subject or the object.
        key: span of what it belongs to.
    """

    kind: Literal["coreference", "subject", "object"]
    query: Span
    key: Span


@dataclass(frozen=True)
class Coreference:
    """The pronoun of a sentence and the noun that it stands for.

    Attributes:
        pronoun: span of the English pronoun, also where it is a part of "it's" (which no test sentence has).
        meant: span of the English noun that it stands for, without article.
        other: span of the English noun that it could have stood for.
        french_pronoun: `il` or `elle`, as the translation must have it.
        french_adjective: the French adjective in the form that agrees; empty where the reason has none.
        french_meant: the French noun that the pronoun stands for, without article.
        french_other: the other French noun.
        distance: number of words between the noun meant and the pronoun.
        construction: names of the construction and of the frame.
    """

    pronoun: Span
    meant: Span
    other: Span
    french_pronoun: str
    french_adjective: str
    french_meant: str
    french_other: str
    distance: int
    construction: str


@dataclass(frozen=True)
class Example:
    """A sentence, its translation, and the words that stand for each other.

    Attributes:
        english: the sentence.
        french: its translation.
        links: pairs of spans, an English word and a French one.
        coreference: the pronoun and its noun; None where there is no such pronoun.
        relations: pairs of spans of English words that belong together, that of the coreference among them.
    """

    english: str
    french: str
    links: tuple[Link, ...]
    coreference: Coreference | None = None
    relations: tuple[WordRelation, ...] = ()


def is_held_out(first: str, second: str) -> bool:
    """Return whether two English nouns, in either order, never meet in a training sentence."""
    pair = frozenset({first, second})
    return pair in HELD_OUT_PAIRS or zlib.crc32("+".join(sorted(pair)).encode()) % 100 < HELD_OUT_PERCENT


def pairs(seed: int, *, held_out: bool = False, by: HeldOutBy | None = None) -> Iterator[tuple[Example, Example]]:
    """Yield sentences with their twins, endlessly and the same for the same seed.

    With `held_out`, yield only sentences that are never drawn without it, with nouns of two genders, so that a
    translation cannot be right by chance.

    Args:
        seed: seed of the random choices.
        held_out: True for sentences kept for testing.
        by: what keeps them apart; by default it is the pair of nouns in most and the construction in the others.
    """
    for draft in _drafts(Draw(f"pairs {seed} {held_out}{by or ''}"), held=held_out, by=by):
        one, twin = _written(draft, 0), _written(draft, 1)
        if one and twin:
            yield one, twin


def examples(seed: int, *, held_out: bool = False) -> Iterator[Example]:
    """Yield sentences with a pronoun, the same for the same seed; with `held_out`, those kept for testing."""
    draw = Draw(f"examples {seed} {held_out}")
    for draft in _drafts(draw, held=held_out):
        found = _written(draft, draw.choice((0, 1)))
        if found:
            yield found


def held_out(count: int, seed: int = 0, by: HeldOutBy | None = None) -> tuple[Example, ...]:
    """Return `count` different test sentences: one at each even index, and its twin at the next; `by` as in `pairs`."""
    found: dict[str, Example] = {}
    for pair in pairs(seed, held_out=True, by=by):
        if len(found) >= count:
            break
        if not {example.english for example in pair} & found.keys():
            found.update((example.english, example) for example in pair)
    return tuple(found.values())[:count]


def simple(seed: int) -> Iterator[Example]:
    """Yield sentences like "The cat sat on the mat near the window", endlessly and the same for the same seed."""
    draw = Draw(f"simple {seed}")
    while True:
        key, phrase = sentence(draw)
        if not is_simple_held_out(*key) and len(phrase.english) <= LONGEST_SIMPLE:
            yield _plain(phrase)


def simple_held_out(count: int, seed: int = 0) -> tuple[Example, ...]:
    """Return `count` different simple sentences whose subject, verb and place never meet in `simple`."""
    draw = Draw(f"simple held out {seed}")
    found: dict[str, Example] = {}
    while len(found) < count:
        key, phrase = sentence(draw)
        if is_simple_held_out(*key) and len(phrase.english) <= LONGEST_SIMPLE:
            example = _plain(phrase)
            found[example.english] = example
    return tuple(found.values())


def is_right(example: Example, translation: str) -> bool:
    """Return whether the clause about the pronoun has the right one of `il` and `elle`, and an adjective that agrees.

    The rest of the translation, the conjunction and the choice of adjective are free.

    Raises:
        ValueError: the example has no pronoun.
    """
    if example.coreference is None:
        raise ValueError("no pronoun in this example")
    gold = example.coreference.french_pronoun
    gender: Gender = "m" if gold == "il" else "f"
    said = said_of_pronoun(translation)
    return bool(said) and all(
        pronoun == gold and (not adjective or agrees(adjective, gender)) for pronoun, adjective in said
    )


def _plain(phrase: Phrase) -> Example:
    spelled = spell(phrase)
    return Example(spelled.english, spelled.french, spelled.links, relations=_relations(spelled))


def _relations(spelled: Spelled) -> tuple[WordRelation, ...]:
    """Collect subjects and objects with their verbs.

    In each clause, whose name opens its marks, they are marked `@clause.subject`, `@clause.object` and `@clause.verb`,
    or `@clause.object.verb` where the object belongs to another verb than the subject does.
    """
    marks = spelled.marks
    found = []
    for mark, query in marks.items():
        clause, _, role = mark.partition(".")
        if role in {"subject", "object"}:
            key = marks.get(f"{mark}.verb", marks.get(f"{clause}.verb"))
            if key is not None:
                found.append(WordRelation(cast("Literal['subject', 'object']", role), query, key))
    return tuple(sorted(found))


@dataclass(frozen=True)
class Draft:
    """A sentence before the choice of the noun that the pronoun stands for."""

    nouns: tuple[Noun, Noun]
    main: Phrase
    between: Phrase
    frame: Templates
    reasons: tuple[str, str]
    degree: str
    tense: Tense
    contracted: bool
    subjunctive: bool
    construction: str


def _drafts(draw: Draw, *, held: bool, by: HeldOutBy | None = None) -> Iterator[Draft]:
    while True:
        draw.new_sentence()
        kept = by
        if held and not by:
            kept = "construction" if draw.happens(HELD_OUT_CONSTRUCTION_SHARE) else "pair"
        choices = [row for row in CONSTRUCTIONS if row.held_out == (kept == "construction")]
        construction = draw.choices(choices, [row.weight for row in choices])[0]
        same_gender = not held and draw.happens(SAME_GENDER_SHARE)
        nouns = _nouns(construction, draw, same_gender=same_gender, kept=kept)
        if nouns:
            yield _draft(construction, nouns, draw, held=held)


def _draft(construction: Construction, nouns: tuple[Noun, Noun], draw: Draw, *, held: bool) -> Draft:
    frame = _frame(construction, draw)
    because = construction.because_of_a, construction.because_of_b
    of_a, of_b = construction.despite if frame == "even though" and construction.despite else because
    reasons = draw.one_of(of_a), draw.one_of(of_b)
    tense = draw.choice(construction.tenses)
    degree = draw.choice(construction.degrees)
    if frame == "even though" or (degree == "so" and frame in {"so", "two sentences"}):
        degree = "very"
    main, between = _main(construction, nouns, reasons, tense, frame, draw)
    english, french = FRAMES[frame].templates
    if draw.happens(NO_STOP_SHARE):
        english, french = english.removesuffix(" ."), french.removesuffix(" .")
    contracted = not held and tense != "past" and draw.happens(CONTRACTED_SHARE)
    return Draft(
        nouns=nouns,
        main=main,
        between=between,
        frame=(english, french),
        reasons=reasons,
        degree=degree,
        tense=tense,
        contracted=contracted,
        subjunctive=FRAMES[frame].subjunctive,
        construction=f"{construction.name}, {frame}",
    )


def _nouns(
    construction: Construction, draw: Draw, *, same_gender: bool, kept: HeldOutBy | None
) -> tuple[Noun, Noun] | None:
    """Draw two nouns that the clause can be about; None where a hundred tries fail."""
    for _ in range(100):
        of_a, of_b = _of_kinds(construction.a), _of_kinds(construction.b)
        if kept == "noun" and draw.happens(0.5):
            of_a = _of_kinds(construction.a, kept=True)
        elif kept == "noun":
            of_b = _of_kinds(construction.b, kept=True)
        if not of_a or not of_b:
            continue
        a, b = draw.choice(of_a), draw.choice(of_b)
        differ = a.english != b.english and a.french != b.french
        wanted = kept in {"noun", "construction"} or is_held_out(a.english, b.english) == (kept == "pair")
        if differ and wanted and (a.gender == b.gender) == same_gender:
            return a, b
    return None


@cache
def _of_kinds(kinds: str, *, kept: bool = False) -> tuple[Noun, ...]:
    nouns = KEPT_BY_KIND if kept else BY_KIND
    return tuple(dict.fromkeys(noun for kind in kinds.split() for noun in nouns.get(kind, ())))


def _frame(construction: Construction, draw: Draw) -> str:
    names = construction.frames or tuple(FRAMES)
    names = tuple(name for name in names if name != "even though" or construction.despite)
    weights = [1 if construction.frames else FRAMES[name].weight for name in names]
    return draw.choices(names, weights)[0]


def _main(
    construction: Construction,
    nouns: tuple[Noun, Noun],
    reasons: tuple[str, str],
    tense: Tense,
    frame: str,
    draw: Draw,
) -> tuple[Phrase, Phrase]:
    """Build the clause about the two things, and the optional phrase between it and the reason."""
    long = draw.happens(0.55)
    person = draw.unsaid(PEOPLE, lambda person: person.name[0]) or PEOPLE[0]
    slots = {"who": marked(weave(*person.name), "@main.subject"), "cannot": cannot(person, tense, draw)}
    ending = nouns[0].agree("", "e")
    if construction.verb:
        slots["verb"] = negated(construction.verb, tense, ending, draw)
    words = {word.lstrip("+-") for word in reasons}
    told = [long and draw.happens(0.5) for _ in nouns]
    roles = {construction.subject: "+@main.subject", construction.object: "+@main.object"}
    for slot, noun, tells in zip("ab", nouns, told, strict=True):
        slots[slot] = thing(noun, f"@{slot}{roles.get(slot, '')}", tense, draw, told=tells, reasons=words)
    english, french = draw.choice((construction.clause, construction.clause, *construction.variants))
    french = french.replace("~", ending).replace("{have}", f"{person.have}/1")
    main = weave(english, french, **slots)
    if draw.happens(0.55 if long else 0.2):
        when = draw.fresh(phrases("anyhow" if told[1] else "when", tense))
        main = weave("{main} {when}", "{main} {when}", main=main, when=when)
    if draw.happens(0.15) and not FRAMES[frame].first:
        openings = phrases("opening", tense) + (() if construction.event else phrases("said", tense))
        main = weave("{opening} {main}", "{opening} {main}", main=main, opening=draw.fresh(openings))
    insertions = phrases("between", tense)
    between = draw.fresh(insertions) if long and insertions and draw.happens(0.2) else EMPTY
    return main, between


def _written(draft: Draft, index: int) -> Example | None:
    """Write the sentence whose pronoun stands for the noun of that index; None where a noun is too far away."""
    meant, other = draft.nouns[index], draft.nouns[1 - index]
    it, adjective = reason(
        draft.reasons[index],
        meant.gender,
        draft.degree,
        draft.tense,
        contracted=draft.contracted,
        subjunctive=draft.subjunctive,
    )
    phrase = weave(*draft.frame, main=draft.main, it=it, between=draft.between)
    distances = _distance(phrase, "@a"), _distance(phrase, "@b")
    if max(distances) > LONGEST_DISTANCE:  # for both nouns, or the nearer one would be meant more often
        return None
    spelled = spell(phrase)
    spans = spelled.marks["@a"], spelled.marks["@b"]
    coreference = Coreference(
        pronoun=spelled.marks["@it"],
        meant=spans[index],
        other=spans[1 - index],
        french_pronoun=meant.agree("il", "elle"),
        french_adjective=adjective,
        french_meant=meant.french,
        french_other=other.french,
        distance=distances[index],
        construction=draft.construction,
    )
    refers = WordRelation("coreference", coreference.pronoun, coreference.meant)
    return Example(spelled.english, spelled.french, spelled.links, coreference, (refers, *_relations(spelled)))


def _distance(phrase: Phrase, mark: str) -> int:
    """Count the words between the marked noun and the pronoun."""
    places = [index for index, word in enumerate(phrase.english) if word.labels & {mark, "@it"}]
    between = phrase.english[places[0] + 1 : places[1]]
    return sum(word.text not in PUNCTUATION and word.text != "'s" for word in between)
