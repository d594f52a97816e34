"""Options that several commands share, each declared once, in dataclasses that a command takes whole."""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from attn_cli.answer.formats import FIGURES, FORMATS, FigureFormat, listed_formats
from attn_cli.cli.tables import FieldNames
from attn_cli.data.devices import DEVICES
from attn_cli.data.selection import GRID_OF_TEXT, Kind, Measure, Rows, Selection, SortKey
from attn_cli.draw.figure_style import FigureStyle
from attn_cli.errors import UsageError

__all__ = [
    "DEFAULT_MODEL",
    "AllOption",
    "DisplayOptions",
    "FigureOptions",
    "HeadOption",
    "HeadOptions",
    "ImageOption",
    "ImagesOption",
    "KindOption",
    "LayerOption",
    "ModelOptions",
    "OutputOptions",
    "PageOptions",
    "PairOption",
    "PartsOptions",
    "PromptOptions",
    "QueryOptions",
    "RowsOption",
    "SegmentOptions",
    "SelectionOptions",
    "TextArgument",
    "TextOptions",
    "UnitOption",
    "WithoutOption",
    "display_option",
    "model_option",
    "output_option",
    "select_option",
    "text_option",
]

text_option = functools.partial(typer.Option, rich_help_panel="Text")
model_option = functools.partial(typer.Option, rich_help_panel="Model")
select_option = functools.partial(typer.Option, rich_help_panel="Selection")
display_option = functools.partial(typer.Option, rich_help_panel="Display")
output_option = functools.partial(typer.Option, rich_help_panel="Output")
figure_option = functools.partial(typer.Option, rich_help_panel="Figure")

TextArgument = Annotated[str | None, typer.Argument(metavar="TEXT", help="The sentence; - or a pipe for one per line.")]
LayerOption = Annotated[
    str | None, select_option("--layer", "-l", metavar="LIST", help="Layers, as 0-2,5, or -1 for the last.")
]
HeadOption = Annotated[str | None, select_option(metavar="LIST", help="Heads, as 3 or 0-3, or as layer.head: 2.5,4.1.")]
UnitOption = Annotated[
    bool | None, select_option("--tokens/--words", help="Show the model's own pieces, or whole words (default).")
]
AllOption = Annotated[bool | None, display_option("--all/--fit", help="Show every head, or as many as fit (default).")]
PairOption = Annotated[str | None, text_option(metavar="TEXT", help="A second segment, for models that take two.")]
ImageOption = Annotated[
    Path | None,
    text_option(
        "--image", metavar="PATH", help="Read an image instead of a text, with a vision encoder (ViT, CLIP, …)."
    ),
]
ImagesOption = Annotated[
    list[str] | None,
    text_option(
        "--image",
        metavar="PATH",
        help="Read an image instead of a text, with a vision encoder (ViT, CLIP, …), or all in a folder; - takes one "
        "from a pipe; may be given again.",
    ),
]
KindOption = Annotated[Kind | None, select_option(help="Which attention of an encoder-decoder to show.")]
RowsOption = Annotated[
    Rows | None,
    select_option(help="In a decoder, take a word's row at the step that outputs it, or that reads it as input."),
]

WithoutOption = Annotated[
    str | None,
    select_option(
        "--without",
        metavar="LIST",
        help="Run without these heads, their output zero: 2.0,1.3 or cross:1.0, or a layer's: 2.",
    ),
]


@dataclass(frozen=True)
class TextOptions:
    """Options for the text and for what the model reads with it."""

    file: Annotated[
        Path | None,
        text_option(
            metavar="PATH",
            help="Read sentences from a file, one per line, or from .tsv, .csv, .jsonl, .json or .parquet, also "
            "compressed (.gz, .zst); a folder or pattern of these; or hf://datasets/OWNER/NAME.",
        ),
    ] = None
    field: Annotated[str | None, text_option(metavar="NAME", help="The text's column there, or its field of JSON.")] = (
        None
    )
    target_field: Annotated[
        str | None, text_option(metavar="NAME", help="The column of the decoder's text, for an encoder-decoder.")
    ] = None
    pair_field: Annotated[
        str | None, text_option(metavar="NAME", help="The column of a second segment, for models that take two.")
    ] = None
    target: Annotated[str | None, text_option(metavar="TEXT", help="The decoder's text, for an encoder-decoder.")] = (
        None
    )
    source_language: Annotated[
        str | None,
        text_option("--from", metavar="LANG", help="The text's language, for models that must be told, such as en."),
    ] = None
    target_language: Annotated[
        str | None, text_option("--to", metavar="LANG", help="The language to translate into, such as fr.")
    ] = None
    truncate: Annotated[bool, text_option("--truncate", help="Cut a text that is too long for the model.")] = False

    @property
    def used(self) -> tuple[str, ...]:
        """The options that are given, as they are typed."""
        typed = {"source_language": "--from", "target_language": "--to"}
        given = (field.name for field in fields(self) if getattr(self, field.name) != field.default)
        return tuple(typed.get(name, f"--{name.replace('_', '-')}") for name in given)

    @property
    def field_names(self) -> FieldNames:
        """The names of the columns that are given."""
        return FieldNames(self.field, self.target_field, self.pair_field)


@dataclass(frozen=True)
class PromptOptions(TextOptions):
    """Options for the text, which may also be a chat or a whole file."""

    chat: Annotated[
        Path | None,
        text_option(
            metavar="PATH", help="Read a chat, as JSON messages or lines like `user: …`, with the model's own template."
        ),
    ] = None
    system: Annotated[
        str | None, text_option(metavar="TEXT", help="Put this system turn before the chat, or before TEXT as a chat.")
    ] = None
    whole: Annotated[bool, text_option("--whole", help="Read all lines of --file as one text.")] = False
    split: Annotated[
        str | None,
        text_option(
            metavar="HOW",
            help="What a word is: words (at Unicode word boundaries, the default), spaces (what stands between), or a "
            "file of words, one a line.",
        ),
    ] = None


@dataclass(frozen=True)
class PartsOptions(PromptOptions):
    """Options for a text whose parts are told apart."""

    parts: Annotated[
        str | None,
        text_option(
            "--parts",
            metavar="HOW",
            help="Show how much each part of the text is looked at: turns, lines (or paragraphs), or those that a "
            "file names (a name, a tab, the part's first words).",
        ),
    ] = None


DEFAULT_MODEL = "toy"
"""The model of every command that is given none."""


def _devices(incomplete: str) -> list[str]:
    """List the devices whose names begin as what has been typed."""
    return [name for name in DEVICES if name.startswith(incomplete)]


@dataclass(frozen=True)
class ModelOptions:
    """Options for the model and how to load it."""

    model: Annotated[
        str,
        model_option(
            "--model",
            "-m",
            metavar="NAME",
            envvar="ATTN_MODEL",
            help="A built-in model, a folder, or a name on the hub.",
        ),
    ] = DEFAULT_MODEL
    device: Annotated[
        str,
        model_option(
            metavar="NAME",
            autocompletion=_devices,
            help="Where to run the model: auto, cpu, cuda (cuda:1 for the second GPU), mps, or balanced (on all GPUs, "
            "then in memory, then on disk, as far as it fits).",
        ),
    ] = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "float16", "bfloat16"],
        model_option(
            help="The number format to compute in; auto is float32 on a CPU, and the checkpoint's own on a GPU."
        ),
    ] = "auto"
    revision: Annotated[str | None, model_option(metavar="NAME", help="Branch, tag or commit on the hub.")] = None
    base: Annotated[
        str | None,
        model_option(metavar="NAME", help="The model that an adapter is put on (default: the one that it names)."),
    ] = None
    trust_remote_code: Annotated[
        bool, model_option("--trust-remote-code", help="Allow Python code that comes with the model to run.")
    ] = False
    allow_pickle: Annotated[
        bool, model_option("--allow-pickle", help="Allow pickled weights, which can run code when read.")
    ] = False
    verify: Annotated[
        bool, model_option("--verify", help="Compare the output with that of the model without attn.")
    ] = False

    @property
    def used(self) -> tuple[str, ...]:
        """The options beside the model's name that are given, as they are typed."""
        given = (field.name for field in fields(self) if getattr(self, field.name) != field.default)
        return tuple(f"--{name.replace('_', '-')}" for name in given if name != "model")


@dataclass(frozen=True)
class HeadOptions:
    """Options that select the attention, the heads and the units. None keeps the record's choice, or the default."""

    kind: KindOption = None
    layer: LayerOption = None
    head: HeadOption = None
    tokens: UnitOption = None
    special: Annotated[
        bool | None,
        select_option("--special/--no-special", help="Show special tokens (default), or hide them and renormalize."),
    ] = None
    sink: Annotated[
        bool | None,
        select_option("--sink/--no-sink", help="Show the first token (default), or hide it and renormalize."),
    ] = None
    rows: RowsOption = None
    measure: Annotated[
        Measure | None,
        display_option(help="The figure to show (default: weights); see attn terms."),
    ] = None
    relevant_to: Annotated[
        str | None,
        display_option(
            metavar="TEXT",
            help="With --measure relevance: what for. A word of the translation, one that follows a decoder's text or "
            "fills [MASK], or another text, for their similarity (default: what the model makes of the text).",
        ),
    ] = None
    all: AllOption = None

    def over(self, base: Selection) -> Selection:
        """Override the selection `base` with these choices.

        Raises:
            UsageError: two of them exclude each other.
        """
        return replace(base, **self._in_pieces(self._given(), base))

    def _in_pieces(self, given: dict[str, Any], base: Selection) -> dict[str, Any]:
        """Return the choices with tokens as the unit if scores are selected.

        Raises:
            UsageError: words are selected as well.
        """
        if given.get("measure", base.measure) != "scores":
            return given
        if self.tokens is False:
            raise UsageError(
                "A word of several pieces has no single score", "Leave --words out, or add --measure weights"
            )
        return {**given, "unit": "token"}

    def _given(self) -> dict[str, Any]:
        """Return the fields of a `Selection` that are chosen."""
        known = {field.name for field in fields(Selection)}
        given = {
            field.name: value
            for field in fields(self)
            if field.name in known and (value := getattr(self, field.name)) is not None
        }
        if self.tokens is not None:
            given["unit"] = "token" if self.tokens else "word"
        if (self.layer is None) != (self.head is None):  # a new choice of one replaces both
            given = {"layer": None, "head": None, **given}
        return given


@dataclass(frozen=True)
class QueryOptions(HeadOptions):
    """Options that select heads and the rows of queries."""

    query: Annotated[
        str | None,
        select_option(
            "--query",
            "-q",
            metavar="WORD",
            help="Show where one word, or several in a row, attend: it, it#2, New York, or a position.",
        ),
    ] = None
    top_k: Annotated[
        int | None,
        select_option("--top-k", "-k", metavar="N", min=1, help="Keys to list for --query (default: 3)."),
    ] = None

    def over(self, base: Selection) -> Selection:
        """Override the selection `base` with these choices.

        Raises:
            UsageError: keys are to be listed for a query, and there is none.
        """
        return self._of_a_query(super().over(base))

    def _of_a_query(self, selection: Selection) -> Selection:
        if self.top_k is not None and selection.query is None:
            raise UsageError("--top-k lists the keys of a query", "Name one with --query, or leave --top-k out")
        return selection


@dataclass(frozen=True)
class SelectionOptions(QueryOptions):
    """Options that select heads, queries, and the view of them."""

    grid: Annotated[
        bool | None, display_option("--grid/--no-grid", help="Show all heads as small heatmaps, one row per layer.")
    ] = None
    scores: Annotated[
        bool | None, display_option("--scores/--weights", help="The same as --measure scores or --measure weights.")
    ] = None
    sort: Annotated[SortKey | None, display_option(help="Order of the heads (default: layer).")] = None

    def over(self, base: Selection) -> Selection:
        """Override the selection `base` with these choices.

        Raises:
            UsageError: two of them exclude each other.
        """
        if self.grid and self.query is not None:
            raise UsageError(*GRID_OF_TEXT)
        return self._over(base)

    def _over(self, base: Selection) -> Selection:
        """Override the selection `base`, also by a query on the small pictures of an image."""
        if self.scores is not None and self.measure is not None:
            raise UsageError("--measure already says what to show", "Leave --scores and --weights out")
        given = self._given()
        if self.scores is not None:
            given["measure"] = "scores" if self.scores else "weights"
        if self.grid is not None:
            given |= {"view": "grid" if self.grid else "heads", "query": self.query}
        if self.query is not None and not self.grid:
            given["view"] = "query"
        return self._of_a_query(replace(base, **self._in_pieces(given, base)))


Segment = Literal["0", "1"]


@dataclass(frozen=True)
class SegmentOptions(SelectionOptions):
    """Options that select heads, queries, the view of them, the segments of a pair, and the map of an image."""

    map: Annotated[
        bool | None,
        display_option(
            "--map/--no-map", help="Of an image, show the map from patch to patch, not one row on the image."
        ),
    ] = None
    from_segment: Annotated[
        Segment | None,
        select_option(
            help="Of a text with --pair, show the rows of one segment alone: 0 is the text, 1 its pair, and special "
            "tokens are in neither."
        ),
    ] = None
    to_segment: Annotated[
        Segment | None,
        select_option(help="Show the columns of one segment alone, renormalize, and say their share of a row."),
    ] = None

    def over(self, base: Selection) -> Selection:
        """Override the selection `base` with these choices.

        Raises:
            UsageError: two of them exclude each other.
        """
        if self.map and (self.grid or self.query is not None):
            other = "--grid" if self.grid else "--query"
            raise UsageError(
                f"--map shows all rows of one map, so {other} cannot be used with it", "Choose one of them"
            )
        chosen = self._over(base)
        if self.map is None or (not self.map and chosen.view != "map"):
            return chosen
        return replace(chosen, view="map" if self.map else "heads", query=None)

    def _given(self) -> dict[str, Any]:
        given = super()._given()
        if self.from_segment is None and self.to_segment is None:
            return given
        # A new choice of one replaces both.
        ends = {"from_segment": self.from_segment, "to_segment": self.to_segment}
        return given | {name: None if end is None else int(end) for name, end in ends.items()}


@dataclass(frozen=True)
class DisplayOptions:
    """Options for drawing."""

    width: Annotated[
        int | None, display_option(metavar="N", min=40, help="Width in columns (default: the terminal's).")
    ] = None
    theme: Annotated[Literal["auto", "dark", "light"], display_option(help="The terminal's background.")] = "auto"
    color: Annotated[
        bool | None,
        display_option(
            "--color/--no-color", help="Draw in colour, or in shades (default: what the terminal supports)."
        ),
    ] = None


DRAWN_OR_WRITTEN = listed_formats(one for one in FORMATS.values() if not issubclass(one, FigureFormat))
"""The formats that any answer can be saved in, but for those of maps."""


@dataclass(frozen=True)
class OutputOptions:
    """Options for the destination of the result."""

    json: Annotated[bool, output_option("--json", help="Print JSON, one line per sentence; see attn schema.")] = False
    save: Annotated[
        str | None,
        output_option("--save", "-o", metavar="PATH", help=f"Save as {DRAWN_OR_WRITTEN}."),
    ] = None
    force: Annotated[bool, output_option("--force", "-f", help="Overwrite an existing file with --save.")] = False
    quiet: Annotated[
        bool, output_option("--quiet", help="With --save, print nothing (into a pipe, nothing is printed anyway).")
    ] = False


@dataclass(frozen=True)
class FigureOptions(OutputOptions):
    """Options for the destination of a result that has a picture for a paper."""

    save: Annotated[
        str | None,
        output_option("--save", "-o", metavar="PATH", help=f"Save as {listed_formats()}."),
    ] = None
    figure: Annotated[
        bool,
        figure_option("--figure", help=f"With --save, save the picture alone: {listed_formats(FIGURES.values())}."),
    ] = False
    size: Annotated[
        str | None,
        figure_option(
            metavar="W", help="Its width: single or double, as columns of a paper (default: single), or 8.4cm, 3.3in."
        ),
    ] = None
    font: Annotated[str | None, figure_option(metavar="NAME", help="Its font (default: DejaVu Sans).")] = None
    font_size: Annotated[float | None, figure_option(metavar="PT", help="Size of its text in points (default: 7).")] = (
        None
    )
    dpi: Annotated[int | None, figure_option(metavar="N", help="Dots per inch of a .png (default: 300).")] = None
    title: Annotated[str | None, figure_option(metavar="TEXT", help="A title above it (default: none).")] = None
    transparent: Annotated[bool, figure_option("--transparent", help="Leave out its white ground.")] = False

    @property
    def looks(self) -> FigureStyle | bool:
        """The look of the figure; False if none is asked for.

        Raises:
            UsageError: an option for figures is given, and no figure is saved.
        """
        said = {
            name: value
            for field in fields(FigureStyle)
            if (value := getattr(self, name := field.name)) is not None and value is not False
        }
        first = "--figure" if self.figure else next((f"--{name.replace('_', '-')}" for name in said), None)
        if first is None:
            return False
        if self.save is None:
            raise UsageError(f"{first} is for a figure that is saved", "Name a file with --save, such as figure.pdf")
        if not self.figure and not issubclass(FORMATS.get(Path(self.save).suffix.lower(), FigureFormat), FigureFormat):
            raise UsageError(f"{first} is for a figure, and {self.save} would be none", "Add --figure")
        return FigureStyle(**said)


@dataclass(frozen=True)
class PageOptions(FigureOptions):
    """Options for the destination of a result that also has a page to play with."""

    browse: Annotated[
        bool, output_option("--open", help="Open it in the browser, as the page that --save writes as .html.")
    ] = False
