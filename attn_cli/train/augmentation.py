"""Variations of the training texts: other names, numbers and times, no final mark, small letters and capitals.

The pairs name few people and hold few numbers, and end nearly all in a mark; a model that learns from them alone takes
an unknown name for a word, and reads a text without full stop badly. Each epoch varies the texts anew.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from random import Random
from typing import Literal

import numpy as np
import regex
from tokenizers import Tokenizer

from attn_cli.data.shapes import Int
from attn_cli.grammar.lexicon import rows
from attn_cli.grammar.phrase import opens_with_vowel
from attn_cli.grammar.sentences import Relation
from attn_cli.grammar.words import Span

__all__ = ["NAMES", "Linked", "Rates", "SpanLink", "Splitter", "everyday", "is_held_out", "vary"]

Kind = Literal["man", "woman", "family", "city"]
SpanLink = tuple[Span, Span]
"""A span of the English text and the span of the French one that it is linked to."""

HELD_OUT_PERCENT = 10
"""Percentage of the names that training never sees."""


@dataclass(frozen=True)
class Linked:
    """A pair of texts with spans of the English text that are linked to spans of the French one."""

    english: str
    french: str
    links: tuple[SpanLink, ...] = ()
    relations: tuple[Relation, ...] = ()
    """English words that belong together."""


@dataclass(frozen=True)
class Rates:
    """Share of the texts that each variation is made in, of those in which it can be made."""

    names: float = 0.6
    made_up: float = 0.4
    """Share of the new names that are made up."""
    numbers: float = 0.6
    no_mark: float = 0.3
    lower: float = 0.08
    capitals: float = 0.03
    split: float = 0.25
    """Share of the English texts in which some tokens are split into smaller ones."""


@dataclass(frozen=True)
class _Name:
    kind: Kind
    french: frozenset[str]
    """The ways in which the French text may write it."""


def _table() -> Mapping[str, _Name]:
    return {
        row["name"]: _Name(row["kind"], frozenset({row["name"], row["french"] or row["name"]}))  # type: ignore[arg-type]
        for row in rows("names.tsv")
    }


NAMES = _table()
"""Names that may stand in for one another."""
NAMED = regex.compile(r"\b(?:New York|\L<names>)\b", names=list(NAMES))
SYLLABLES = (
    "b br ch d dj f g gr h j k kh kl l m n nd p r s sh st t th tr v w y z".split(),
    "a e i o u a i o ai ei ou".split(),
    "n r l s m k".split(),
)
ENDINGS: Mapping[Kind, Sequence[str]] = {
    "man": ("o", "an", "ek", "us", "im", "ar", "in", "ov", "is", "u"),
    "woman": ("a", "ia", "ine", "ette", "i", "ah", "ella", "ira", "e"),
    "family": ("son", "sky", "ez", "ini", "wala", "ard", "moto", "ade", "berg", "ian"),
    "city": ("ville", "grad", "burg", "ton", "pur", "stad", "ova", "abad", "i", "mouth"),
}


def is_held_out(name: str) -> bool:
    """Return whether training never sees this name, so that tests can ask for it."""
    return zlib.crc32(name.encode()) % 100 < HELD_OUT_PERCENT


@cache
def _drawn_from(kind: Kind) -> tuple[str, ...]:
    return tuple(name for name, known in NAMES.items() if known.kind == kind and not is_held_out(name))


def _new_name(kind: Kind, made_up: float, random: Random) -> str:
    """Draw a name that training may see: one of the table, or one that is made up."""
    if random.random() >= made_up:
        return random.choice(_drawn_from(kind))
    while True:
        onsets, vowels, codas = SYLLABLES
        name = "".join(random.choice(onsets) + random.choice(vowels) for _ in range(random.choice((1, 1, 2))))
        if random.random() < 0.15:
            name = name[random.choice((1, 2)) :] or name
        name += random.choice(codas if random.random() < 0.7 else onsets) + random.choice(ENDINGS[kind])
        if len(name) > 3 and not is_held_out(name.capitalize()):
            return name.capitalize()


def vary(text: Linked, rates: Rates, random: Random) -> Linked:
    """Make the variations of a text that chance allows, with its links moved."""
    if random.random() < rates.names and NAMED.search(text.english):
        text = _rename(text, rates.made_up, random)
    if random.random() < rates.numbers and regex.search(r"\d", text.english):
        text = _renumber(text, random)
    if random.random() < rates.no_mark:
        text = _without_mark(text)
    chance = random.random()
    if chance < rates.lower:
        return _recased(text, str.lower)
    if chance < rates.lower + rates.capitals:
        return _recased(text, str.upper)
    return text


@dataclass
class _Edits:
    """Spans of a text to replace."""

    text: str
    changes: dict[Span, str] = field(default_factory=dict)

    def applied(self) -> tuple[str, Callable[[Span], Span]]:
        """Return the new text, and a function from a word's span before to its span afterwards."""
        done, moves, at = "", [], 0
        for (start, end), new in sorted(self.changes.items()):
            done += self.text[at:start]
            moves.append((start, end, len(done), len(done) + len(new)))
            done += new
            at = end
        done += self.text[at:]

        def moved(span: Span) -> Span:
            first, last = span
            left, right = first, last
            for start, end, new_start, new_end in moves:
                if start <= first < end:
                    left = new_start
                elif first >= end:
                    left = first + new_end - end
                if start < last <= end:
                    right = new_end
                elif last > end:
                    right = last + new_end - end
            return left, right

        return done, moved


def _edited(text: Linked, english: Mapping[Span, str], french: Mapping[Span, str]) -> Linked:
    (theirs, move_theirs), (ours, move_ours) = (
        _Edits(text.english, dict(english)).applied(),
        _Edits(text.french, dict(french)).applied(),
    )
    return Linked(
        theirs,
        ours,
        tuple((move_theirs(one), move_ours(other)) for one, other in text.links),
        tuple(one._replace(query=move_theirs(one.query), key=move_theirs(one.key)) for one in text.relations),
    )


def _rename(text: Linked, made_up: float, random: Random) -> Linked:
    """Replace names that stand on both sides, each by another of its kind; French elides before it as it must."""
    english: dict[Span, str] = {}
    french: dict[Span, str] = {}
    for old in dict.fromkeys(match.group() for match in NAMED.finditer(text.english)):
        known = NAMES.get(old) or _Name("city", frozenset({old}))
        places = list(_name_places(text.french, known.french))
        if not places:
            continue
        new = _new_name(known.kind, made_up, random)
        for match in regex.finditer(rf"\b{regex.escape(old)}\b", text.english):
            english[match.span()] = new
        for start, end in places:
            french[start, end] = new
            french.update(_elided(text.french, start, new))
    return _edited(text, english, french)


def _name_places(text: str, names: frozenset[str]) -> Iterator[Span]:
    for match in regex.finditer(r"(?<!\p{L})\L<names>(?!\p{L})", text, names=list(names)):
        yield match.span()


def _elided(text: str, start: int, name: str) -> Iterator[tuple[Span, str]]:
    """Yield the change of the word before a name, where it must elide before the new one or may no longer."""
    before = regex.search(r"(?<!\p{L})(\p{L}*[dD]|\p{L}*[qQ]u)(e |'|’)$", text[:start])
    if before is not None:
        yield (before.start(2), before.end(2)), "'" if _elides(name) else "e "


def _elides(name: str) -> bool:
    """Return whether French elides before a name: before vowels (`d'Ahmed`), and before the mute h of French names."""
    if name[0] in "Hh":
        return name in {"Hélène", "Henri", "Henriette", "Hervé", "Huguette", "Honoré", "Hortense", "Hubert"}
    if name[0] in "Yy":
        return name[1:2] not in "aeiouéAEIOU"
    return opens_with_vowel(name)


ENGLISH_TIME = regex.compile(r"(?<![\d:])(\d{1,2}):(\d\d)(?![\d:])")
FRENCH_TIME = regex.compile(r"(?<!\d)(\d{1,2})( ?(?:h|:|heures?) ?)(\d\d)(?!\d)")
ENGLISH_NUMBER = regex.compile(r"(?<![\w.,:])(?:\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)(?P<suffix>st|nd|rd|th)?(?![\w:]|[.,]\d)")
FRENCH_NUMBER = regex.compile(r"(?<![\w.,:])(?:\d{1,3}(?:[ .\u202f]\d{3})+|\d+(?:,\d+)?)(?![\d:]|[.,]\d| ?h\b)")


def _renumber(text: Linked, random: Random) -> Linked:
    """Redraw the clock times and numbers that stand on both sides."""
    english: dict[Span, str] = {}
    french: dict[Span, str] = {}
    times = [list(pattern.finditer(side)) for pattern, side in ((ENGLISH_TIME, text.english), (FRENCH_TIME, text.french))]
    if len(times[0]) == len(times[1]):
        for one, other in zip(*times, strict=True):
            hour, minute = random.randrange(24 if int(one[1]) == int(other[1]) else 13), random.randrange(60)
            if one[2] == other[3]:
                english[one.span()], french[other.span()] = f"{hour}:{minute:02}", f"{hour} h {minute:02}"
    taken: set[Span] = set(french)
    for match in ENGLISH_NUMBER.finditer(text.english):
        value = match.group().removesuffix(match["suffix"] or "").replace(",", "")
        same = [
            other
            for other in FRENCH_NUMBER.finditer(text.french)
            if _plain_value(other.group()) == value and not any(_overlap(other.span(), span) for span in taken)
        ]
        if not same or float(value) < 2 or any(_overlap(match.span(), span) for span in english):
            continue
        other = same[0]
        new = _new_number(value, is_day=bool(match["suffix"]) or _is_day(text.french, other.end()), random=random)
        english[match.span()] = _english_number(new, grouped="," in match.group()) + _suffix(new, match["suffix"])
        french[other.span()] = _french_number(new, grouped=bool(regex.search(r"[ .\u202f]", other.group())))
        taken.add(other.span())
    return _edited(text, english, french)


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _plain_value(number: str) -> str:
    return regex.sub(r"[ .\u202f]", "", number).replace(",", ".")


MONTHS = dict(
    zip(
        "January February March April May June July August September October November December".split(),
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split(),
        strict=True,
    )
)


def _is_day(french: str, end: int) -> bool:
    return bool(regex.match(r" \L<months>\b", french[end:], months=list(MONTHS.values())))


def _new_number(value: str, *, is_day: bool, random: Random) -> str:
    """Draw a number of as many digits; a year stays one."""
    whole, point, part = value.partition(".")
    if is_day:
        return str(random.randrange(2, 29))
    first = random.randrange(1, 3) if len(whole) == 4 else random.randrange(2 if len(whole) == 1 else 1, 10)
    digits = [str(first), *(str(random.randrange(10)) for _ in whole[1:])]
    return "".join([*digits, point, *(str(random.randrange(10)) for _ in part)])


def _english_number(number: str, *, grouped: bool) -> str:
    whole, point, part = number.partition(".")
    return (f"{int(whole):,}" if grouped else whole) + point + part


def _french_number(number: str, *, grouped: bool) -> str:
    whole, point, part = number.partition(".")
    return (f"{int(whole):,}".replace(",", " ") if grouped else whole) + ("," if point else "") + part


def _suffix(number: str, old: str | None) -> str:
    if old is None:
        return ""
    return "th" if number[-2:] in {"11", "12", "13"} else {"1": "st", "2": "nd", "3": "rd"}.get(number[-1], "th")


def _without_mark(text: Linked) -> Linked:
    """Leave the final mark out, where both sides have one."""
    marks = [regex.search(r"(?<=[\p{L}\p{N}]) ?[.?!]$", side) for side in (text.english, text.french)]
    if marks[0] is None or marks[1] is None:
        return text
    english, french = marks[0].start(), marks[1].start()
    kept = tuple(link for link in text.links if link[0][1] <= english and link[1][1] <= french)
    return Linked(text.english[:english], text.french[:french], kept, text.relations)


def _recased(text: Linked, change: Callable[[str], str]) -> Linked:
    """Write both sides in small letters or in capitals; a text that would change its length stays."""
    english, french = change(text.english), change(text.french)
    if (len(english), len(french)) != (len(text.english), len(text.french)):
        return text
    return Linked(english, french, text.links, text.relations)


def everyday(seed: int) -> Iterator[Linked]:
    """Yield everyday sentences with names, times and numbers, endlessly and the same for the same seed."""
    random = Random(f"everyday {seed}")  # noqa: S311 (nothing secret)
    templates = [(row["english"], row["french"]) for row in rows("everyday.tsv")]
    while True:
        english, french = random.choice(templates)
        slots = {slot: _fill(slot, random) for slot in sorted(set(regex.findall(r"\{(\w+)\}", english)))}
        yield _filled(english, french, slots)


def _fill(slot: str, random: Random) -> tuple[str, str]:
    """Draw the words of a slot, in English and in French."""
    kind = slot.removeprefix("other_")
    if kind in {"name", "other"}:
        kind = random.choice(("man", "woman"))
    if kind in ENDINGS:
        name = _new_name(kind, Rates.made_up, random)
        return name, name
    if kind == "month":
        return random.choice(list(MONTHS.items()))
    if kind == "time":
        hour, minute = random.randrange(24), random.randrange(60)
        return f"{hour}:{minute:02}", f"{hour} h {minute:02}"
    if kind == "day":
        number = str(random.randrange(2, 29))
        return number + (_suffix(number, "th") if random.random() < 0.5 else ""), number
    if kind == "price":
        number = f"{random.randrange(2, 100)}.{random.randrange(100):02}"
        return number, _french_number(number, grouped=False)
    if kind == "many":
        number = str(random.randrange(100, 10 ** random.choice((3, 4, 5))))
        return _english_number(number, grouped=True), _french_number(number, grouped=True)
    number = {
        "count": lambda: random.randrange(2, 100),
        "year": lambda: random.randrange(1400, 2060),
        "code": lambda: random.randrange(10, 10 ** random.choice((2, 3, 4))),
    }[kind]()
    return str(number), str(number)


def _filled(english: str, french: str, slots: Mapping[str, tuple[str, str]]) -> Linked:
    """Put words into a template's slots, and link them."""
    texts, places = [], []
    for side, template in enumerate((english, french)):
        text, found, at = "", {}, 0
        for match in regex.finditer(r"\{(\w+)\}", template):
            text += template[at : match.start()]
            word = slots[match[1]][side]
            before = regex.search(r"(?<!\p{L})(\p{L}*[dD]|\p{L}*[qQ]u)e $", text) if side else None
            if before is not None and word[0].isalpha() and _elides(word):
                text = text[: before.end(1)] + "'"
            found[match[1]] = (len(text), len(text) + len(word))
            text += word
            at = match.end()
        texts.append(text + template[at:])
        places.append(found)
    return Linked(texts[0], texts[1], tuple((places[0][slot], places[1][slot]) for slot in places[0]))


SPLIT_TOKENS = 0.12
"""Share of the tokens that are split, in a text in which some are."""


@dataclass(frozen=True)
class Splitter:
    """Splits tokens into smaller ones of the same vocabulary, so that words are known in parts as well.

    As BPE-dropout does (Provilkov et al. 2020), on the English side only and from a seed.
    """

    tokenizer: Tokenizer

    @cached_property
    def _splits(self) -> Mapping[int, Int[np.ndarray, "split 2"]]:
        """The two smaller tokens of each token, for each place to cut it."""
        vocabulary = self.tokenizer.get_vocab()
        found: dict[int, list[tuple[int, int]]] = {}
        for token, number in vocabulary.items():
            if token.startswith("<"):
                continue
            for place in range(1, len(token)):
                parts = vocabulary.get(token[:place]), vocabulary.get(token[place:])
                if token[:place] != "▁" and parts[0] is not None and parts[1] is not None:
                    found.setdefault(number, []).append((parts[0], parts[1]))
        return {number: np.asarray(parts, np.int32) for number, parts in found.items()}

    def split(
        self, tokens: Int[np.ndarray, "token"], random: np.random.Generator
    ) -> tuple[Int[np.ndarray, "part"], Int[np.ndarray, "part"]]:
        """Split some tokens of a text.

        Returns:
            The new tokens, and for each the index of the token that it is, or is a part of.
        """
        chances = random.random(len(tokens))
        made: list[int] = []
        places: list[int] = []
        for place, (token, chance) in enumerate(zip(tokens.tolist(), chances.tolist(), strict=True)):
            ways = self._splits.get(token) if chance < SPLIT_TOKENS else None
            parts = [token] if ways is None else ways[int(chance / SPLIT_TOKENS * len(ways))].tolist()
            made += parts
            places += [place] * len(parts)
        return np.asarray(made, np.int32), np.asarray(places, np.int32)
