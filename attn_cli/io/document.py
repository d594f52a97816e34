"""Conversion of records to documents, and the parts that the documents of all questions have in common.

Imports msgspec, as `attn_cli.io.structs` does: import it where a document is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from msgspec import UNSET, UnsetType, to_builtins

from attn_cli.data.image import PatchGrid
from attn_cli.data.model import GuidedHead, ModelInfo
from attn_cli.data.outcomes import Chances, LookbackRatios, SegmentShares
from attn_cli.data.parts import PartShares
from attn_cli.data.record import AttentionMap, Record
from attn_cli.data.relevance import Relevance
from attn_cli.data.selection import Rows, Selection
from attn_cli.data.shapes import Float
from attn_cli.data.stream import OutputCheck
from attn_cli.data.text import Tokens
from attn_cli.errors import NOT_NUMBERS, ExactnessError
from attn_cli.io.schema import SCHEMA_VERSION
from attn_cli.io.structs import (
    AlignmentEntry,
    AttnDocument,
    ChosenHeadEntry,
    CutHeadsEntry,
    GridEntry,
    GuidedHeadEntry,
    HandedEntry,
    HeadEntry,
    LayerHeadsEntry,
    LikeliestEntry,
    LookbackEntry,
    MapEntry,
    ModelEntry,
    OutputCheckEntry,
    PromptPartEntry,
    PromptPartsEntry,
    PromptShareEntry,
    RecordDocument,
    RelevanceEntry,
    RowsMeaning,
    SegmentShareEntry,
    SelectionEntry,
    SkippedLayerEntry,
    SpreadEntry,
    StackEntry,
    ThumbnailEntry,
    TokenEntry,
    TokensEntry,
    ToolEntry,
    UnitsEntry,
    WordEntry,
    WrittenEntry,
    WrittenTokenEntry,
)
from attn_cli.measure.measures import MEASURES
from attn_cli.system.encoding import json_bytes
from attn_cli.version import __version__

__all__ = ["begin", "describe", "describe_checks", "describe_finding", "describe_guided", "describe_text", "encode"]

WRITTEN_BY_ORJSON = (np.ndarray, np.float32, np.float64)
"""Types that stay as they are in a plain document."""

ROWS: Mapping[Rows, RowsMeaning] = {
    "output": "output row: the step that outputs the token",
    "input": "input row: the step that reads the token",
}

UNKNOWN_STEP: RowsMeaning = "row of a matrix, which does not say whose step it is"


def encode(document: AttnDocument) -> bytes:
    """Write a document as a line of JSON. NumPy's numbers and arrays are JSON's, float32 in its shortest digits."""
    return json_bytes(to_builtins(document, builtin_types=WRITTEN_BY_ORJSON))


def describe(
    record: Record,
    heads: Iterable[HeadEntry] | None = None,
    chosen: ChosenHeadEntry | None = None,
    lookback: LookbackRatios | None = None,
    parts: PartShares | None = None,
    segments: SegmentShares | None = None,
    spread: SpreadEntry | None = None,
    *,
    maps: bool = True,
) -> RecordDocument:
    """Convert a record to a document.

    Args:
        record: the record.
        heads: rows of the table of heads; left out by default.
        chosen: the head that is drawn, if one was chosen.
        lookback: what was looked back at while the text was written, if it was.
        parts: how much each part of the text is looked at, if its parts are told apart.
        segments: how much of each head's weight lies on the segment that the columns are, if they are of one.
        spread: where the weight of the map drawn lies, if the text is long.
        maps: hold its maps too; otherwise the list of them is empty.

    Raises:
        ExactnessError: a score is not a number, which JSON could not tell from a masked one.
    """
    selection = record.selection
    return RecordDocument(
        **begin(record.tool_version),
        **describe_text(record),
        selection=_selection(selection),
        units=UnitsEntry(
            weight=MEASURES[selection.measure].unit,
            score="query·key after scaling, bias, soft-capping and mask, before softmax",
            entropy="nats",
            focus="1 - entropy / ln(visible keys)",
            positions="tokens, from 0",
            offsets="characters (Unicode code points)",
            distance="patches" if record.source.grid else "words" if selection.unit == "word" else "tokens",
            rows=UNKNOWN_STEP if record.model.captured == "given" else ROWS[_rows(record)],
            links=selection.unit,
        ),
        **describe_checks(record),
        vector=UNSET if record.vector is None else record.vector,
        written=UNSET if record.chances is None else _written(record, record.chances, lookback),
        heads=UNSET if heads is None else list(heads),
        chosen=UNSET if chosen is None else chosen,
        spread=UNSET if spread is None else spread,
        parts=UNSET if parts is None else _parts(parts),
        segments=UNSET
        if segments is None
        else [SegmentShareEntry(layer, head, np.float32(share)) for layer, head, share in segments.heads],
        maps=[entry for map_ in record.maps for entry in _maps(map_)] if maps else [],
    )


def _rows(record: Record) -> Rows:
    """Return the step that is a word's row in the record's cross-attention, or would be; see `choose_rows`."""
    selection, model = record.selection, record.model
    if selection.rows is None and record.source.written is not None:
        return "output"
    if selection.rows is not None or (selection.layer is None and selection.head is None):
        return selection.rows or model.shown_at
    return model.rows_of({one.layer: one.heads for one in record.maps if one.kind == "cross"})


def describe_finding(
    name: str, record: Record, units: Mapping[str, str], score_units: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Make the fields of `TextDocument`, which every finding about a text begins with.

    Args:
        name: name of the finding.
        record: the record with the model, the texts and the selection.
        units: the meaning of the finding's numbers.
        score_units: the meaning of those that differ if scores are measured.
    """
    return {
        **begin(record.tool_version),
        "finding": name,
        **describe_text(record),
        "selection": _selection(record.selection),
        "units": {**units, **((score_units or {}) if record.selection.scores else {})},
        **describe_checks(record),
    }


def begin(tool_version: str = "") -> dict[str, Any]:
    """Make the fields of `AttnDocument`, which every document begins with.

    Args:
        tool_version: version of attn that made the record; this version if empty.
    """
    return {"schema_version": SCHEMA_VERSION, "tool": ToolEntry("attn", tool_version or __version__)}


def describe_text(record: Record) -> dict[str, Any]:
    """Make the fields for the model and its texts."""
    return {
        "model": _model(record.model),
        "source": _tokens(record.source),
        "target": None if record.target is None else _tokens(record.target),
    }


def describe_checks(record: Record) -> dict[str, Any]:
    """Make the fields for the results of `--verify`, for the notes, and for relevance where it was measured."""
    return {
        "verified": record.verified,
        "verified_output": None if record.output is None else _output(record.output),
        "notes": record.notes,
        **({} if record.relevance is None else {"relevance": _relevance(record.relevance)}),
    }


def _written(record: Record, chances: Chances, lookback: LookbackRatios | None) -> WrittenEntry:
    first = 1 if record.source.written is None else record.source.written
    ratios: list[np.float32 | UnsetType | None] = [UNSET] * len(chances.entropies)
    if lookback is not None:
        ratios = [None if np.isnan(one) else np.float32(one) for one in lookback.steps.tolist()]
    return WrittenEntry(
        log_probability=np.float32(chances.log_probability),
        perplexity=np.float32(chances.perplexity),
        tokens=[
            WrittenTokenEntry(
                index=first + step,
                log_probability=chances.log_probabilities[step],
                entropy=chances.entropies[step],
                likeliest=[
                    LikeliestEntry(int(id_), text, log)
                    for id_, text, log in zip(
                        chances.likeliest[step], chances.spelled[step], chances.log_likeliest[step], strict=True
                    )
                ],
                lookback=ratios[step],
            )
            for step in range(len(chances.entropies))
        ],
        heads=UNSET
        if lookback is None
        else [LookbackEntry(layer, head, np.float32(ratio)) for layer, head, ratio in lookback.heads],
        live=chances.live,
    )


def _parts(parts: PartShares) -> PromptPartsEntry:
    # The shares are means of float32: more digits would be noise.
    def numbers(values: Float[np.ndarray, "row"]) -> list[np.float32]:
        return [np.float32(value) for value in values]

    return PromptPartsEntry(
        heads=parts.heads,
        rows=parts.rows,
        sinks=numbers(parts.sinks),
        parts=[
            PromptShareEntry(
                name=name,
                tokens=parts.tokens[index],
                shares=numbers(parts.shares[:, index]),
                sink_aside=[one if np.isfinite(one) else None for one in numbers(parts.aside[:, index])],
                even=numbers(parts.even[:, index]),
            )
            for index, name in enumerate(parts.names)
        ],
    )


def _relevance(relevance: Relevance) -> RelevanceEntry:
    return RelevanceEntry(
        relevance.output,
        relevance.value,
        relevance.unit,
        relevance.source,
        relevance.target,
        [
            HandedEntry(kind, layer, heads)
            for kind, layers in relevance.heads.items()
            for layer, heads in layers.items()
        ],
    )


def _output(check: OutputCheck) -> OutputCheckEntry:
    return OutputCheckEntry(check.difference, check.compared, check.attention)


def _selection(selection: Selection) -> SelectionEntry:
    fields = asdict(selection)
    if selection.relevant_to is None:
        del fields["relevant_to"]
    for name in ("from_segment", "to_segment"):
        if fields[name] is None:
            del fields[name]
    if selection.sink is None and not selection.relevance:
        fields["sink"] = True
    return SelectionEntry(**fields)


def _model(model: ModelInfo) -> ModelEntry:
    aligned = model.alignment
    return ModelEntry(
        name=model.name,
        family=model.family,
        captured=model.captured,
        dtype=model.dtype,
        device=model.device,
        parameters=model.parameters,
        positions=model.positions,
        alignment=None
        if aligned is None
        else AlignmentEntry(aligned.layer, aligned.heads, aligned.rows, aligned.how, aligned.kind),
        bottleneck=model.bottleneck,
        stacks=[
            StackEntry(
                kind=kind,
                layers=stack.layers,
                heads=[LayerHeadsEntry(layer, heads) for layer, heads in stack.heads.items()],
                key_value_heads=stack.key_value_heads,
                without_attention=[SkippedLayerEntry(layer, what) for layer, what in stack.without.items()],
            )
            for kind, stack in model.stacks.items()
        ],
        without=[
            CutHeadsEntry(kind, layer, heads)
            for kind, layers in model.without.items()
            for layer, heads in layers.items()
        ]
        or UNSET,
        guided=describe_guided(model.guided) or UNSET,
        unscaled=model.unscaled or UNSET,
    )


def describe_guided(heads: Iterable[GuidedHead]) -> list[GuidedHeadEntry]:
    """Describe heads that were trained to look where they look."""
    return [GuidedHeadEntry(**asdict(head)) for head in heads]


def _tokens(tokens: Tokens) -> TokensEntry:
    return TokensEntry(
        text=tokens.text,
        pair=tokens.pair,
        tokens=[
            TokenEntry(
                index=index,
                id=token.id,
                piece=token.piece,
                start=token.start,
                end=token.end,
                word=token.word,
                special=token.special,
                segment=token.segment,
            )
            for index, token in enumerate(tokens.tokens)
        ],
        words=[
            WordEntry(index, word.text, word.start, word.end, word.segment) for index, word in enumerate(tokens.words)
        ],
        written=UNSET if tokens.written is None else tokens.written,
        parts=[PromptPartEntry(part.name, part.start, part.end) for part in tokens.parts] or UNSET,
        grid=UNSET if tokens.grid is None else _grid(tokens.grid),
    )


def _grid(grid: PatchGrid) -> GridEntry:
    small = grid.thumbnail
    thumbnail = None if small is None else ThumbnailEntry(small.width, small.height, small.rgb)
    return GridEntry(grid.rows, grid.columns, grid.name, thumbnail)


def _maps(map_: AttentionMap) -> Iterator[MapEntry]:
    """Describe the map of each head, so that `jq` finds one weight by layer, head, query and key."""
    if map_.scores is not None and (np.isnan(map_.scores) | np.isposinf(map_.scores)).any():
        raise ExactnessError(f"{map_.kind} layer {map_.layer} has scores that are not numbers", NOT_NUMBERS)
    for index, head in enumerate(map_.heads):
        yield MapEntry(
            kind=map_.kind,
            layer=map_.layer,
            head=head,
            queries=map_.queries,
            visible=np.ascontiguousarray(map_.visible),
            weights=np.ascontiguousarray(map_.weights[index]),
            # orjson writes minus infinity as null.
            scores=UNSET if map_.scores is None else np.ascontiguousarray(map_.scores[index]),
            sink=UNSET if map_.sink is None else np.ascontiguousarray(map_.sink[index]),
        )
