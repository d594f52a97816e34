"""A user's selection, as typed: `0-2,5`, `2.5`, `it#2`. Imports nothing heavy, so that typing errors show at once."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, get_args

from attn_cli.errors import UsageError, quoted, shortened

__all__ = [
    "GRID_OF_TEXT",
    "HOLDS_NO_MODEL",
    "JOINT",
    "KINDS",
    "Choices",
    "ChoicesOfACut",
    "ChoicesOfAMatrix",
    "ChoicesOfARow",
    "ChoicesOfChanges",
    "ChoicesOfHeads",
    "ChoicesOfSegments",
    "Kind",
    "Measure",
    "Rows",
    "Selection",
    "SortKey",
    "Unit",
    "check_known",
    "check_needle",
    "check_probed",
    "check_syntax",
    "check_without",
    "fields_of_texts",
    "parse_heads",
    "parse_numbers",
    "parse_without",
]

Kind = Literal["encoder", "decoder", "cross"]
KINDS: tuple[Kind, ...] = ("encoder", "decoder", "cross")

Rows = Literal["output", "input"]
"""The token that a decoder's step belongs to: the one it outputs, or the one it reads as input."""

SortKey = Literal["layer", "focus", "entropy", "distance", "first", "itself", "previous", "link"]

JointMeasure = Literal["rollout", "flow"]
JOINT: tuple[JointMeasure, ...] = get_args(JointMeasure)
"""The measures that combine all heads of all layers up to one."""
Measure = Literal["weights", "scores", "norms", "relevance", JointMeasure]
"""The quantity that is shown; `attn_cli.measure.measures` has an entry for each."""

View = Literal["heads", "query", "grid", "map"]
Unit = Literal["word", "token"]

HOLDS_NO_MODEL = "A record holds maps and no model, so it cannot be run without heads"
"""The problem of a record if heads are to be cut."""
GRID_OF_TEXT = ("--grid shows all queries of a text, so --query cannot be used with it", "Choose one of them")
"""The problem of a query and the maps of all heads, and its remedy; of an image, the maps are that query's rows."""
MOST_KEYS = 2**31
"""An upper bound that no text reaches, and that every reader of JSON can hold."""

# Python itself refuses to parse numbers of some thousand digits.
RANGE = re.compile(r"(-?\d{1,18})(?:-(-?\d{1,18}))?")
PLACE = re.compile(r"(-?\d{1,18})\.(-?\d{1,18})")


@dataclass(frozen=True)
class Selection:
    """A user's selection, as it was typed; `attn_cli.data.plan` turns it into indices."""

    view: View = "heads"
    """The view; `heads` shows the whole map of a head if only one is selected, or of an image a row on its patches;
    `map` the map of an image, too."""
    kind: Kind | None = None
    """The kind of attention; None for the model's first kind, or `cross` if there is a target."""
    layer: str | None = None
    """Layers, like `0-2,5` or `-1`; None for all."""
    head: str | None = None
    """Heads, like `3`, `0-3`, or `2.5,4.1` (layer.head); None for all."""
    query: str | None = None
    """Queries, like `it`, `it#2` or `11`; None for all."""
    unit: Unit = "word"
    special: bool = True
    """True if special tokens are shown; otherwise the rows are renormalized."""
    sink: bool | None = None
    """True if the first token is shown; otherwise the rows are renormalized. None to hide it in a decoder's relevance
    alone, which is mostly on it."""
    rows: Rows | None = None
    """The word that a decoder's row belongs to; None: that written behind a prompt, and in cross-attention as the model
    declares; else the one that is read (see `plan`)."""
    from_segment: int | None = None
    """The segment whose words are the rows, 0 for the text and 1 for its pair; None for both and special tokens."""
    to_segment: int | None = None
    """The segment whose words are the columns, likewise; the rows are renormalized."""
    measure: Measure = "weights"
    relevant_to: str | None = None
    """The output that relevance is measured for: a word of the translation, one that follows a decoder's text or fills
    a mask, or another text; None for what the model makes of the text."""
    top_k: int = 3
    sort: SortKey = "layer"
    all: bool = False
    translation: bool = False
    """True to show the target as a translation: its text, and the heads that align best instead of a table of heads."""

    @property
    def scores(self) -> bool:
        """True if scores are shown, which are not shares of a row."""
        return self.measure == "scores"

    def hides_first(self, kind: Kind) -> bool:
        """Return whether the first token is hidden in attention of this kind."""
        return self.sink is False or (self.sink is None and self.relevance and kind == "decoder")

    @property
    def segmented(self) -> bool:
        """True if the rows or the columns are those of one segment."""
        return self.from_segment is not None or self.to_segment is not None

    @property
    def relevance(self) -> bool:
        """True if relevance for an output is measured."""
        return self.measure == "relevance"

    @property
    def joint(self) -> bool:
        """True if all heads of all layers up to one are shown as one."""
        return self.measure in JOINT

    @property
    def plain(self) -> bool:
        """True if nothing is selected but a query, what is drawn of it, and in which order."""
        free = ("view", "query", "special", "sink", "top_k", "sort", "all", "translation")
        return self == Selection(**{name: getattr(self, name) for name in free})

    @property
    def drawn(self) -> Literal["weight", "score"]:
        """The form of the numbers in heatmaps and tables of keys: shares of a row, or scores."""
        return "score" if self.scores else "weight"

    @property
    def noun(self) -> str:
        """The name of one number."""
        return self.measure.removesuffix("s")


class ChoicesOfARow(TypedDict, total=False):
    """Fields of `Selection` that a caller from Python may set; a whole number stands for a list of one.

    These are those of one row, as `attn explain` takes them.
    """

    kind: Kind | None
    layer: str | int | None
    head: str | int | None
    unit: Unit
    rows: Rows | None


class ChoicesOfHeads(ChoicesOfARow, total=False):
    """The same, and what is measured and listed of each head, as `attn heads` and `attn find` take it."""

    special: bool
    sink: bool
    measure: Measure
    relevant_to: str | None
    all: bool


class ChoicesOfChanges(ChoicesOfHeads, total=False):
    """The same, and the queries with their strongest keys, as `attn diff` takes them."""

    query: str | int | None
    top_k: int


class Choices(ChoicesOfChanges, total=False):
    """The same, and how maps and heads are shown, as most questions take it."""

    view: View
    sort: SortKey


class ChoicesOfSegments(Choices, total=False):
    """The same, and the segments that are shown, where the text may be a pair."""

    from_segment: int | None
    to_segment: int | None


class ChoicesOfAMatrix(TypedDict, total=False):
    """The same, where the maps are a matrix of weights from elsewhere."""

    view: View
    layer: str | int | None
    head: str | int | None
    query: str | int | None
    special: bool
    sink: bool
    measure: Measure
    top_k: int
    sort: SortKey
    all: bool


class ChoicesOfACut(TypedDict, total=False):
    """The fields that say what is cut, and in which units the output is measured."""

    kind: Kind | None
    layer: str | int | None
    head: str | int | None
    query: str | int | None
    unit: Unit
    rows: Rows | None
    all: bool


def fields_of_texts(selection: Selection) -> tuple[str, ...]:
    """Return the fields of a selection that are set and that only a text has, and no image."""
    given = {
        "rows": selection.rows is not None,
        "from_segment": selection.from_segment is not None,
        "to_segment": selection.to_segment is not None,
        "measure relevance": selection.relevance,
    }
    return tuple(name for name, used in given.items() if used)


def parse_numbers(text: str, option: str) -> tuple[tuple[int, int], ...]:
    """Parse `0-2,5,-1` as inclusive ranges.

    Raises:
        UsageError: the text has another form.
    """
    _check_one_kind(text, option)
    ranges = []
    for part in text.split(","):
        match = RANGE.fullmatch(part.strip())
        if match is None:
            raise UsageError(
                f"{option} {quoted(text)} is not a list of numbers", f"Write it like {option} 0-2,5 or {option} -1"
            )
        first = int(match[1])
        ranges.append((first, first if match[2] is None else int(match[2])))
    return tuple(ranges)


def _check_one_kind(text: str, option: str) -> None:
    """Check that no kind of attention is named among heads or layers, which are all of one kind.

    Raises:
        UsageError: one is named.
    """
    for part in text.split(","):
        named, colon, number = (piece.strip() for piece in part.rpartition(":"))
        if colon and named in KINDS:
            raise UsageError(
                f"{option} takes heads and layers of one kind of attention, which --kind names, and {quoted(text)} "
                "names a kind itself",
                f"Write it like --kind {named} {option} {number}",
            )


def parse_heads(text: str) -> tuple[tuple[int, int], ...] | None:
    """Parse `2.5,4.1` as (layer, head) pairs; return None for a plain list of head numbers.

    Raises:
        UsageError: the two forms are mixed, or the text has neither.
    """
    _check_one_kind(text, "--head")
    parts = [part.strip() for part in text.split(",")]
    places = [PLACE.fullmatch(part) for part in parts]
    if any(places):
        if not all(places):
            raise UsageError(
                f"--head {quoted(text)} mixes layer.head with plain heads",
                "Write --head 2.5,4.1, or --layer 2 --head 5,1",
            )
        return tuple((int(place[1]), int(place[2])) for place in places if place)
    parse_numbers(text, "--head")
    return None


def parse_without(text: str) -> tuple[tuple[Kind | None, str | None, str | None], ...]:
    """Parse `2.0,cross:1.3,2` as heads and layers of a kind, which holds until another is named.

    Returns:
        The kind (None where none is named), the layers and the head of each part, one of which is None.

    Raises:
        UsageError: the text has another form.
    """
    parts: list[tuple[Kind | None, str | None, str | None]] = []
    kind: Kind | None = None
    for part in text.split(","):
        named, colon, place = part.strip().rpartition(":")
        place = place.strip()
        is_head = PLACE.fullmatch(place) is not None
        if (colon and named not in KINDS) or not (is_head or RANGE.fullmatch(place)):
            raise UsageError(
                f"--without {quoted(text)} is not a list of heads and layers",
                "Write it like --without 2.0,1.3, --without cross:1.0, or --without 2 for a layer",
            )
        kind = next((one for one in KINDS if one == named), kind)
        parts.append((kind, None if is_head else place, place if is_head else None))
    return tuple(parts)


def check_without(text: str | None, selection: Selection) -> None:
    """Check what `--without` names, as far as that does not depend on the model.

    Raises:
        UsageError: the text is not a list of heads, or the measure follows all heads.
    """
    if text is None:
        return
    parse_without(text)
    if selection.joint or selection.relevance:
        raise UsageError(
            f"--measure {selection.measure} follows what all heads hand on, so --without cannot be used with it",
            "Choose another measure, or leave --without out",
        )


def check_probed(selection: Selection, option: str = "--probe") -> None:
    """Check that the measure is weights, which is all that a probe can take.

    Args:
        selection: the selection.
        option: the option that asks for the probe.

    Raises:
        UsageError: the measure is another.
    """
    if selection.measure != "weights":
        raise UsageError(f"{option} looks at weights, not at {selection.measure}", "Leave one of them out")


def check_needle(selection: Selection) -> None:
    """Check that a selection leaves all keys of the weights to choose the strongest from.

    Raises:
        UsageError: it does not.
    """
    check_probed(selection, "--needle")
    for hidden, option in ((not selection.special, "--no-special"), (selection.sink is False, "--no-sink")):
        if hidden:
            raise UsageError("--needle takes the strongest of all keys", f"Leave {option} out")
    if selection.rows is not None:
        raise UsageError("--needle takes the steps that write what is copied", "Leave --rows out")


def check_syntax(selection: Selection) -> None:
    """Check for errors that do not depend on the model, before one is loaded.

    Raises:
        UsageError: a list is malformed, two options contradict each other, or (from Python) a field is invalid.
    """
    _check_values(selection)
    if selection.layer is not None:
        parse_numbers(selection.layer, "--layer")
    if selection.head is not None and parse_heads(selection.head) is not None and selection.layer is not None:
        raise UsageError("--head names layers already, so --layer cannot be used with it", "Leave --layer out")
    if selection.query is not None and not selection.query.strip():
        raise UsageError("--query is empty", "Give a word of the sentence or its position")
    if selection.relevant_to is not None:
        if not selection.relevance:
            raise UsageError("--relevant-to names an output for --measure relevance", "Add --measure relevance")
        if not selection.relevant_to.strip():
            raise UsageError("--relevant-to is empty", "Give a word of the output, or another text")
    if selection.joint and selection.head is not None:
        raise UsageError(
            f"--measure {selection.measure} averages the heads of each layer, so --head cannot be used with it",
            "Choose a layer with --layer",
        )


def check_known(name: str, value: object, known: Collection[str | None]) -> None:
    """Check a value that the command line restricts and Python does not.

    Raises:
        UsageError: it is none of those known.
    """
    if value not in known:
        raise UsageError(f"There is no {name} {quoted(str(value))}", f"Choose from {', '.join(filter(None, known))}")


def _check_values(selection: Selection) -> None:
    """Check the values of all fields: the command line restricts them, but Python code can set anything."""
    choices: dict[str, tuple[str | None, ...]] = {
        "view": get_args(View),
        "kind": (None, *KINDS),
        "unit": get_args(Unit),
        "measure": get_args(Measure),
        "rows": (None, *get_args(Rows)),
        "sort": get_args(SortKey),
    }
    for name, known in choices.items():
        check_known(name, getattr(selection, name), known)
    for name in ("layer", "head", "query", "relevant_to"):
        value = getattr(selection, name)
        if not isinstance(value, str | None):
            raise UsageError(f"{name} must be a str, and {quoted(str(value))} is not", f'Write it like {name}="2"')
    for name in ("from_segment", "to_segment"):
        segment: Any = getattr(selection, name)
        if segment is not None and (type(segment) is not int or segment not in (0, 1)):
            raise UsageError(
                f"There is no segment {shortened(str(segment))}", "0 is the text, and 1 is the second text, of --pair"
            )
    keys: Any = selection.top_k
    if not isinstance(keys, int) or not 1 <= keys < MOST_KEYS:
        raise UsageError(
            f"--top-k must be a number of keys, and {quoted(str(keys))} is not", "Give a whole number from 1"
        )
