"""Other numbers, dates and clock times in a text, the same on both sides, so that a model learns to copy digits."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import regex

from attn_cli.grammar.lexicon import rows
from attn_cli.grammar.words import Span
from attn_cli.train.linked import Linked, edited

__all__ = ["MONTHS", "english_number", "french_number", "ordinal", "renumbered", "sometimes_round"]

MONTHS = {row["english"]: row["french"] for row in rows("months.tsv")}
"""English months and their French names."""
DAYS = range(2, 29)
"""Days that every month has, but the first, which French says otherwise."""

ENGLISH_TIME = regex.compile(r"(?<![\d:])(\d{1,2}):(\d\d)(?![\d:])")
FRENCH_TIME = regex.compile(r"(?<!\d)(\d{1,2})( ?(?:h|:|heures?) ?)(\d\d)(?!\d)")
ENGLISH_NUMBER = regex.compile(
    r"(?<![\w.,:])(?P<number>\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)(?P<ordinal>st|nd|rd|th)?(?![\w:]|[.,]\d)"
)
FRENCH_NUMBER = regex.compile(r"(?<![\w.,:])(?:\d{1,3}(?:[ .\u202f]\d{3})+|\d+(?:,\d+)?)(?![\d:]|[.,]\d| ?h\b)")
GROUPING = regex.compile(r"[ .\u202f]")
DATE = regex.compile(r" \L<months>\b", months=list(MONTHS.values()))
PART_OF_DAY = regex.compile(
    r"(?<=\d ?)[ap]\.?m\b|\b(?:(?P<afternoon>afternoon|après-midi)|(?P<evening>evening|tonight|soir)"
    r"|morning|matin|night|nuit)\b",
    regex.IGNORECASE,
)
"""Words beside which an hour is one of 12."""
ROUND = 0.3
"""Share of the new numbers that are round."""
MILLION = "000000"


def renumbered(text: Linked, random: Random) -> Linked:
    """Redraw the clock times and the numbers above 1 that stand on both sides."""
    english: dict[Span, str] = {}
    french: dict[Span, str] = {}
    times, heures = list(ENGLISH_TIME.finditer(text.english)), list(FRENCH_TIME.finditer(text.french))
    if len(times) == len(heures):
        of_twelve = _hours(text)
        for one, other in zip(times, heures, strict=True):
            gap = int(other[1]) - int(one[1])
            hours = of_twelve or (range(1, 12) if gap else range(24))
            # Twelve and zero are left as they are where the other side may count the hours in another way.
            if one[2] == other[3] and gap in {0, 12} and (len(hours) == 24 or int(one[1]) % 12):
                hour, minute = random.choice(hours), f"{random.randrange(60):02}"
                english[one.span()] = f"{hour}:{minute}"
                french[other.span()] = f"{hour + gap}{':' if other[2] == ':' else ' h '}{minute}"
    taken = [match.span() for match in heures]
    for match in ENGLISH_NUMBER.finditer(text.english):
        value = match["number"].replace(",", "")
        there = next((one for one in FRENCH_NUMBER.finditer(text.french) if _says(one, value, [*taken, *french])), None)
        if there is None or float(value) < 2 or _touches(match.span(), english):
            continue
        is_day = match["ordinal"] is not None or DATE.match(text.french[there.end() :]) is not None
        new = str(random.choice(DAYS)) if is_day else _new_number(value, random)
        english[match.span()] = (
            ordinal(new) if match["ordinal"] else english_number(new, grouped="," in match["number"])
        )
        french[there.span()] = french_number(new, grouped=GROUPING.search(there.group()) is not None)
    return edited(text, english, french)


def _hours(text: Linked) -> range | None:
    """Return the hours that suit the part of the day that either side names; None if neither names one."""
    said = [match for side in (text.english, text.french) for match in PART_OF_DAY.finditer(side)]
    if not said:
        return None
    if any(match["afternoon"] for match in said):
        return range(1, 6)
    return range(6, 12) if any(match["evening"] for match in said) else range(1, 12)


def _says(match: regex.Match[str], value: str, taken: Iterable[Span]) -> bool:
    """Return whether a French number has this value, and is not yet replaced."""
    return GROUPING.sub("", match.group()).replace(",", ".") == value and not _touches(match.span(), taken)


def _touches(span: Span, others: Iterable[Span]) -> bool:
    return any(span[0] < other[1] and other[0] < span[1] for other in others)


def _new_number(value: str, random: Random) -> str:
    """Draw a number of as many digits, with a decimal point where the old one has it; a year stays one."""
    whole, point, part = value.partition(".")
    least, most = {1: (2, 9), 4: (1, 2)}.get(len(whole), (1, 9))
    digits = "".join(map(str, [random.randint(least, most), *(random.randrange(10) for _ in whole[1:])]))
    # French puts `de` after whole millions, and after them alone.
    new = digits[: -len(MILLION)] + MILLION if whole.endswith(MILLION) else sometimes_round(digits, random)
    return new + point + "".join(str(random.randrange(10)) for _ in part)


def sometimes_round(number: str, random: Random) -> str:
    """Return a whole number, or by chance the one with zeros after its first or its first two digits.

    It never becomes one of whole millions, after which French puts `de`: `2 000 000 de livres`.
    """
    if random.random() >= ROUND:
        return number
    kept = random.choice((1, 2))
    new = number[:kept].ljust(len(number), "0")
    return number if new.endswith(MILLION) else new


def english_number(number: str, *, grouped: bool) -> str:
    """Write a number as English does: `3,000` or, not grouped, `3000`; `2.5`."""
    whole, point, part = number.partition(".")
    return (f"{int(whole):,}" if grouped else whole) + point + part


def french_number(number: str, *, grouped: bool) -> str:
    """Write a number as French does: `3 000` or, not grouped, `3000`; `2,5`."""
    return english_number(number, grouped=grouped).replace(",", " ").replace(".", ",")


def ordinal(number: str) -> str:
    """Return an English ordinal: `21st`, `12th`."""
    teen = number[-2:-1] == "1"
    return number + ("th" if teen else {"1": "st", "2": "nd", "3": "rd"}.get(number[-1], "th"))
