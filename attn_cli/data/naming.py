"""The search for the units of a text that a user names: `it`, `it#2`, `New York`, `11`, `#11`.

A name is matched as it is typed; then ignoring case, variants of the same letters (Unicode normal form KD, curly
quotes, dashes), the kind and number of spaces, and invisible characters; then also ignoring accents. A name may cover
several units, which it joins into one, but not a part of a unit. A number is a word if the text has it, else a
position; `#11` is position 11 in any case.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice

from attn_cli.data.text import WORD_STARTS, word_cells
from attn_cli.data.units import Units
from attn_cli.errors import SelectionError, quoted, shortened

__all__ = ["TEXT", "choose_units", "occurrence"]

NUMBER = re.compile(r"\d{1,18}")
"""The number of an occurrence or a position; Python itself refuses to parse numbers of some thousand digits."""
TEXT = "the text"
"""The name of the text in errors, if there is only one."""
MOST_LISTED = 40
MOST_LOOKED_AT = 20
"""Most places to inspect where a name is only part of a unit; a few of them are listed."""
LONGEST = 60
"""Most characters of a name for which similar labels are suggested."""
ALIKE_ENOUGH = 0.65
"""Least `difflib` ratio of a suggested label; `teh` is that close to `the`."""
ALIKE = str.maketrans(dict.fromkeys("‘’ʼ＇", "'") | dict.fromkeys("“”„", '"') | dict.fromkeys("‐‑‒–—−", "-"))


def choose_units(units: Units, query: str, text: str = TEXT, *, accents: bool = False) -> tuple[range, ...]:
    """Find the units that a user means: a word or several in a row (wherever they occur), `word#2`, or a position.

    Args:
        units: the units shown, none of them joined.
        query: the names as typed; several are separated by commas, unless the commas are part of one name.
        text: the name of the text in errors.
        accents: require the same accents as in the text.

    Returns:
        Runs of indices, in order; a run is longer than one where a name covers several units.

    Raises:
        SelectionError: there is no such word or position.
    """
    query = query.strip()
    parts = [part.strip() for part in query.split(",") if part.strip()]
    if len(parts) < 2 or _numbered(units, query, accents=accents):
        parts = [query]
    spans = dict.fromkeys(span for part in parts for span in _matches(units, part, text, accents=accents))
    return tuple(sorted(spans, key=lambda span: (span.start, span.stop)))


def occurrence(units: Units, index: int) -> int | None:
    """Return which occurrence of its label a unit is, as `it#2` counts them; None if the label occurs once.

    Args:
        units: the units shown, some of them perhaps joined.
        index: the index of the unit.
    """
    same = _as_typed(units.base or units, units.labels[index])
    starts = [span.start for span in same]
    place = units.positions[index]
    return starts.index(place) + 1 if len(same) > 1 and place in starts else None


def _matches(units: Units, name: str, text: str, *, accents: bool) -> Sequence[range]:
    found = _numbered(units, name, accents=accents)
    if found:
        return found
    word, mark, which = name.rpartition("#")
    if mark and word and NUMBER.fullmatch(which):
        same = _named(units, word, accents=accents)
        if not same:
            raise _not_there(units, word, text)
        many = len(same) > 1
        raise SelectionError(
            f"{quoted(word)} appears only {f'{len(same)} times' if many else 'once'}",
            f"Write {shortened(word)}#1" + (f" to {shortened(word)}#{len(same)}" if many else ""),
        )
    number = name.removeprefix("#")
    if number == name and units.hides and _named(units.all_shown, name, accents=accents):
        raise _not_there(units, name, text)  # a number that the text has is a word, though it is hidden
    if re.fullmatch(rf"-?{NUMBER.pattern}", number):
        position = int(number) + (len(units) if int(number) < 0 else 0)
        if not 0 <= position < len(units):
            which = f"Its positions are 0 to {len(units) - 1}" if len(units) > 1 else "Its only position is 0"
            raise SelectionError(f"There is no position {number} in {text}", which)
        return [range(position, position + 1)]
    raise _not_there(units, name, text)


def _numbered(units: Units, name: str, *, accents: bool) -> Sequence[range]:
    """Return every occurrence of a name, or the one that `name#2` selects; empty if there is none."""
    found = _named(units, name, accents=accents)
    word, mark, which = name.rpartition("#")
    if found or not (mark and word and NUMBER.fullmatch(which)):
        return found
    number = int(which)
    return _named(units, word, accents=accents)[number - 1 : number] if number else ()


def _named(units: Units, name: str, *, accents: bool = False) -> Sequence[range]:
    """Return every occurrence of a name: as it is typed, or else as a variant (see the module's docstring)."""
    found = _as_typed(units, name)
    if found or NUMBER.fullmatch(name.removeprefix("-")):  # a number means a position rather than part of `x²`
        return found
    for kept in (True,) if accents else (True, False):
        folded = _folded(name, accents=kept).strip()
        if not folded:
            break
        own = [index for index, label in enumerate(units.labels) if _label(label, accents=kept) == folded]
        found = _with_spans(own, _spans_alike(units, folded, accents=kept))
        if found:
            return found
    return _side_by_side(units, name)


def _as_typed(units: Units, name: str) -> Sequence[range]:
    return _with_spans(units.labelled.get(name, ()), (span for span in _spans_typed(units, name) if len(span) > 1))


def _with_spans(own: Sequence[int], spans: Iterator[range]) -> Sequence[range]:
    """Combine matching units and spans into sorted runs, without spans that overlap an earlier match."""
    found = [range(index, index + 1) for index in own]
    taken = set(own)
    for span in spans:
        if taken.isdisjoint(span):
            found.append(span)
            taken.update(span)
    return sorted(found, key=lambda span: span.start)


def _spans_typed(units: Units, name: str) -> Iterator[range]:
    """Yield the runs of whole units whose text is exactly this name."""
    for segment, start, end in _typed(units, name):
        span = _whole(units, segment, start, end)
        if span is not None:
            yield span


def _typed(units: Units, name: str) -> Iterator[tuple[int, int, int]]:
    for segment, text in enumerate(units.texts):
        start = text.find(name)
        while start >= 0:
            yield segment, start, start + len(name)
            start = text.find(name, start + 1)


def _spans_alike(units: Units, folded: str, *, accents: bool) -> Iterator[range]:
    for segment, start, end in _alike(units, folded, accents=accents):
        span = _whole(units, segment, start, end)
        if span is not None:
            yield span


def _alike(units: Units, folded: str, *, accents: bool) -> Iterator[tuple[int, int, int]]:
    """Yield each place in the texts that folds to this name, with and without the invisible characters after it."""
    for segment, text in enumerate(units.texts):
        letters, places = _folded_text(text, accents=accents)
        start = letters.find(folded)
        while start >= 0:
            stop = start + len(folded)
            if (start == 0 or places[start - 1] < places[start]) and places[stop - 1] < places[stop]:
                rest = text[places[start] : places[stop]]
                yield segment, places[start], places[start] + len(rest.rstrip())
                yield segment, places[start], places[stop - 1] + 1
            start = letters.find(folded, start + 1)


def _side_by_side(units: Units, name: str) -> Sequence[range]:
    """Find consecutive units by their labels, in a text whose tokenizer gives no offsets."""
    words = [_folded(word) for word in name.split()]
    if len(words) < 2 or any(extent is not None for extent in units.extents):
        return []
    labels = [_label(label) for label in units.labels]
    starts = (range(start, start + len(words)) for start in range(len(labels) - len(words) + 1))
    return _with_spans([], (span for span in starts if labels[span.start : span.stop] == words))


def _whole(units: Units, segment: int, start: int, end: int) -> range | None:
    """Return the units that cover exactly these characters; None if a unit is cut or a hidden one lies between."""
    firsts, lasts = units.ends
    first, last = firsts.get((segment, start)), lasts.get((segment, end))
    if first is None or last is None or last < first:
        return None
    if first == last:
        return range(first, last + 1)
    places = units.shown.nonzero()[0]
    return range(first, last + 1) if places[last] - places[first] == last - first else None


def _label(label: str, *, accents: bool = True) -> str:
    bare = label[1:] if len(label) > 1 and label.startswith(WORD_STARTS) else label
    return _folded(bare, accents=accents).strip()


def _folded(text: str, *, accents: bool = True) -> str:
    return _fold(text, accents=accents)[0]


@lru_cache(maxsize=4)
def _folded_text(text: str, *, accents: bool) -> tuple[str, list[int]]:
    return _fold(text, accents=accents)


def _fold(text: str, *, accents: bool) -> tuple[str, list[int]]:
    """Fold a text for comparison; also return each folded character's place in the text, and the text's end."""
    letters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text.translate(ALIKE)):
        for letter in _letters(character, accents):
            if letter != " " or not letters or letters[-1] != " ":
                letters.append(letter)
                places.append(place)
    return "".join(letters), [*places, len(text)]


@lru_cache(maxsize=4096)
def _letters(character: str, accents: bool) -> str:
    if character.isspace():
        return " "
    if _unseen(character):
        return ""
    whole = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    return whole if accents else "".join(letter for letter in whole if not _accent(letter))


def _unseen(character: str) -> bool:
    """Return whether a character is invisible: a control, a joiner, a direction mark or a variation selector."""
    return unicodedata.category(character) in {"Cf", "Cc"} or "VARIATION SELECTOR" in unicodedata.name(character, "")


def _accent(letter: str) -> bool:
    """Return whether a letter is an accent or a Hebrew or Arabic vowel point, but no vowel sign of other scripts."""
    return unicodedata.combining(letter) >= 200 or 10 <= unicodedata.combining(letter) <= 36


def _not_there(units: Units, name: str, text: str) -> SelectionError:
    """Build the error for a name that matches nothing, with what can be named instead."""
    everything = units.all_shown
    if units.hides and _named(everything, name):
        remedy = "Show it with --special or --sink"
        if units.segment is not None:
            remedy = "Choose another segment with --from-segment and --to-segment, or show all without them"
        if NUMBER.fullmatch(name):
            remedy += f", or write #{name} for the position"
        return SelectionError(f"{quoted(name)}, or part of it, is hidden here", remedy)
    if (grid := units.side.grid) is not None:
        special = ", ".join(label for label, mark in zip(units.labels, units.special, strict=True) if mark)
        patches = f"r0c0 to r{grid.rows - 1}c{grid.columns - 1}, by row and column"
        return SelectionError(
            f"{quoted(name)} is not in the image",
            f"Its patches are {patches}" + (f"; and {special}" if special else ""),
        )
    unit = "piece" if units.unit == "token" else "word"
    holders = _holders(everything, name)
    if holders:
        listed = ", ".join(map(quoted, holders[:3])) + (" and others" if len(holders) > 3 else "")
        finer = ", or choose the model's own pieces with --tokens" if unit == "word" else ""
        whole = f"the whole {unit}" if len(holders) == 1 else f"whole {unit}s"
        return SelectionError(f"{quoted(name)} is only part of {listed} in {text}", f"Name {whole}{finer}")
    shown = list(dict.fromkeys(units.labels))
    listed = ", ".join(map(shortened, shown[:MOST_LISTED]))
    listed += f" and {len(shown) - MOST_LISTED} more" if len(shown) > MOST_LISTED else ""
    return SelectionError(f"{quoted(name)} is not in {text}{_nearest(units, name)}", f"Its {unit}s are: {listed}")


def _holders(units: Units, name: str) -> list[str]:
    """Return the texts of the units that contain a name only as a part."""
    found: dict[str, None] = {}
    folded = _folded(name).strip()
    for places in (_typed(units, name), _alike(units, folded, accents=True) if folded else iter(())):
        for segment, start, end in islice(places, MOST_LOOKED_AT):
            touched = [
                index
                for index, extent in enumerate(units.extents)
                if extent is not None and extent[0] == segment and extent[1] < end and start < extent[2]
            ]
            if touched:
                found[units.text_of(range(touched[0], touched[-1] + 1))] = None
        if found:
            break
    return list(found)


def _nearest(units: Units, name: str) -> str:
    """Return a hint at the labels that may have been meant, as the end of a message."""
    if len(name) > LONGEST:
        return ""
    labels = {_label(label): label for label in reversed(units.labels)}
    words = [_folded(name[start:end]) for start, end in word_cells(name)]
    unknown = [word for word in words if word not in labels]
    if not unknown:
        return " as it is typed: its words are separate there"
    near = list(
        dict.fromkeys(
            labels[match] for word in unknown for match in get_close_matches(word, labels, cutoff=ALIKE_ENOUGH)
        )
    )[:3]
    return f"; the nearest {'is' if len(near) == 1 else 'are'} {', '.join(map(shortened, near))}" if near else ""
