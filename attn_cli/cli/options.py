"""The options that several commands share, each declared once, as dataclasses that a Typer command can take whole."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Annotated, Any, Literal, get_type_hints

import typer

from attn_cli.errors import UsageError
from attn_cli.selection import Kind, Selection, SortKey

__all__ = ["DisplayOptions", "ModelOptions", "OutputOptions", "SelectionOptions", "grouped"]

SELECTION, DISPLAY, OUTPUT, MODEL = "Selection", "Display", "Output", "Model"


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Let a Typer command take dataclasses of options: each field becomes a parameter of its own.

    The command keeps a short signature, and every option shared by several commands is written once.
    """
    groups: dict[str, type[Any]] = {}
    parameters: list[inspect.Parameter] = []
    hints = get_type_hints(command, include_extras=True)
    for parameter in inspect.signature(command).parameters.values():
        group = hints[parameter.name]
        if not is_dataclass(group):
            parameters.append(parameter.replace(annotation=group, kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        groups[parameter.name] = group
        group_hints = get_type_hints(group, include_extras=True)
        parameters.extend(
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=group_hints[field.name]
            )
            for field in fields(group)
        )

    @functools.wraps(command)
    def flat(**values: Any) -> None:
        made = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**values, **made)

    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flat


@dataclass(frozen=True)
class ModelOptions:
    """Which model, and how to load it."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", envvar="ATTN_MODEL", help="Folder or hub name of a Transformer.", rich_help_panel=MODEL
        ),
    ] = None
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to run it.", rich_help_panel=MODEL)
    ] = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "float16", "bfloat16"],
        typer.Option(help="What to compute in; auto is float32 on a CPU.", rich_help_panel=MODEL),
    ] = "auto"
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.", rich_help_panel=MODEL)] = (
        None
    )
    trust_remote_code: Annotated[
        bool,
        typer.Option("--trust-remote-code", help="Run Python code that comes with the model.", rich_help_panel=MODEL),
    ] = False
    allow_pickle: Annotated[
        bool,
        typer.Option("--allow-pickle", help="Read pickled weights, which can run code.", rich_help_panel=MODEL),
    ] = False


@dataclass(frozen=True)
class SelectionOptions:
    """What to look at. None everywhere means: as the record says, or else the default."""

    kind: Annotated[
        Kind | None,
        typer.Option(help="Which attention, in an encoder-decoder.", rich_help_panel=SELECTION),
    ] = None
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer", "-l", metavar="LIST", help="Layers: 0-2,5 or -1 for the last.", rich_help_panel=SELECTION
        ),
    ] = None
    head: Annotated[
        str | None,
        typer.Option(
            "--head", "-h", metavar="LIST", help="Heads: 3, 0-3, or 2.5,4.1 as layer.head.", rich_help_panel=SELECTION
        ),
    ] = None
    query: Annotated[
        str | None,
        typer.Option(
            "--query",
            "-q",
            metavar="WORD",
            help="Where this word looks: it, it#2 for the second, or its position.",
            rich_help_panel=SELECTION,
        ),
    ] = None
    top_k: Annotated[
        int | None,
        typer.Option("--top-k", "-k", min=1, help="Keys to list for --query.  [default: 3]", rich_help_panel=SELECTION),
    ] = None
    tokens: Annotated[
        bool | None,
        typer.Option(
            "--tokens/--words", help="The model's own pieces, or whole words (default).", rich_help_panel=SELECTION
        ),
    ] = None
    special: Annotated[
        bool | None,
        typer.Option(
            "--special/--no-special",
            help="Show special tokens (default), or hide them and renormalise.",
            rich_help_panel=SELECTION,
        ),
    ] = None
    sink: Annotated[
        bool | None,
        typer.Option(
            "--sink/--no-sink",
            help="Show the first token (default), or hide it and renormalise.",
            rich_help_panel=SELECTION,
        ),
    ] = None

    grid: Annotated[
        bool | None,
        typer.Option("--grid/--no-grid", help="All heads as small heatmaps, a row per layer.", rich_help_panel=DISPLAY),
    ] = None
    scores: Annotated[
        bool | None,
        typer.Option("--scores/--weights", help="Scores before softmax instead of weights.", rich_help_panel=DISPLAY),
    ] = None
    all: Annotated[
        bool | None,
        typer.Option(
            "--all/--fit", help="Every head, or as many as fit the screen (default).", rich_help_panel=DISPLAY
        ),
    ] = None
    sort: Annotated[
        SortKey | None,
        typer.Option(help="Order of the heads.  [default: layer]", rich_help_panel=DISPLAY),
    ] = None

    def over(self, base: Selection) -> Selection:
        """These choices laid over those of `base`.

        Raises:
            UsageError: two of them exclude each other.
        """
        if self.grid and self.query is not None:
            raise UsageError("--grid shows all queries, so --query cannot go with it", "Choose one of them")
        if self.scores and self.tokens is False:
            raise UsageError("A word of several pieces has no single score", "Leave --words out to see scores by token")
        given = {
            field.name: value
            for field in fields(self)
            if field.name not in {"tokens", "grid"} and (value := getattr(self, field.name)) is not None
        }
        if self.tokens is not None:
            given["unit"] = "token" if self.tokens else "word"
        if self.grid is not None:
            given["view"] = "grid" if self.grid else "heads"
        if self.query is not None:
            given["view"] = "query"
        if (self.layer is None) != (self.head is None):  # one of them given anew replaces both
            given = {"layer": None, "head": None, **given}
        if given.get("scores", base.scores):
            given["unit"] = "token"
        return replace(base, **given)


@dataclass(frozen=True)
class DisplayOptions:
    """How to draw it."""

    width: Annotated[
        int | None,
        typer.Option("--width", min=40, help="Columns to draw in.  [default: the terminal's]", rich_help_panel=DISPLAY),
    ] = None
    theme: Annotated[
        Literal["auto", "dark", "light"], typer.Option(help="The terminal's background.", rich_help_panel=DISPLAY)
    ] = "auto"
    color: Annotated[
        bool | None,
        typer.Option(
            "--color/--no-color",
            help="Colour, or shades of grey.  [default: as the terminal can]",
            rich_help_panel=DISPLAY,
        ),
    ] = None


@dataclass(frozen=True)
class OutputOptions:
    """Where the result goes."""

    json: Annotated[
        bool,
        typer.Option("--json", help="One JSON object a sentence on stdout; see attn schema.", rich_help_panel=OUTPUT),
    ] = False
    save: Annotated[
        str | None,
        typer.Option(
            "--save",
            "-o",
            metavar="PATH",
            help="Write a .json, .jsonl, .csv, .npz, .svg, .html or .txt.",
            rich_help_panel=OUTPUT,
        ),
    ] = None
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Overwrite what --save finds there.", rich_help_panel=OUTPUT)
    ] = False
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Recompute softmax(scores) · values and show the largest difference.",
            rich_help_panel=OUTPUT,
        ),
    ] = False
