"""Conversion between a record without its arrays and a plain document, the part that JSON and `.npz` files share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from attn_cli.data.model import Alignment, ModelInfo, Stack
from attn_cli.data.plan import choose_rows
from attn_cli.data.record import AttentionMap, Record
from attn_cli.data.selection import Kind, Rows, Selection
from attn_cli.data.shapes import Int
from attn_cli.data.stream import OutputCheck, key_tokens, query_tokens
from attn_cli.data.text import Token, Tokens, Word
from attn_cli.errors import ExactnessError, SelectionError
from attn_cli.io.schema import SCHEMA_VERSION, fault
from attn_cli.measure.measures import MEASURES
from attn_cli.version import __version__

__all__ = [
    "Document",
    "begin",
    "describe",
    "describe_checks",
    "describe_finding",
    "describe_text",
    "make_map",
    "restore",
]

Document = dict[str, Any]

UNITS = {
    "score": "query·key after scaling, bias, soft-capping and mask, before softmax",
    "entropy": "nats",
    "focus": "1 - entropy / ln(visible keys)",
    "positions": "tokens, from 0",
    "offsets": "characters (Unicode code points)",
}
ROWS: Mapping[Rows, str] = {
    "output": "output row: the step that outputs the token",
    "input": "input row: the step that reads the token",
}


def describe(record: Record, heads: Iterable[Mapping[str, Any]] | None = None) -> Document:
    """Convert a record to a document, whose last entry, the maps, is left empty.

    Args:
        record: the record.
        heads: rows of the table of heads, as `head_rows` makes them; left out by default.
    """
    rows, weight = ROWS[choose_rows(record.model, record.selection.rows)], MEASURES[record.selection.measure].unit
    return {
        **begin(record.tool_version),
        **describe_text(record),
        **_asked(record, {"weight": weight, **UNITS, "distance": f"{record.selection.unit}s", "rows": rows}),
        **({} if heads is None else {"heads": list(heads)}),
        "maps": [],
    }


def describe_finding(
    name: str, record: Record, units: Mapping[str, str], score_units: Mapping[str, str] | None = None
) -> Document:
    """Make the entries that every finding begins with.

    Args:
        name: name of the finding.
        record: the record with the model, the texts and the selection.
        units: the meaning of the finding's numbers.
        score_units: the meaning of those that differ if scores are measured.
    """
    units = {**units, **((score_units or {}) if record.selection.scores else {})}
    return {**begin(record.tool_version), "finding": name, **describe_text(record), **_asked(record, units)}


def begin(tool_version: str = "") -> Document:
    """Make the entries that every document begins with.

    Args:
        tool_version: version of attn that made the record; this version if empty.
    """
    return {"schema_version": SCHEMA_VERSION, "tool": {"name": "attn", "version": tool_version or __version__}}


def _asked(record: Record, units: Mapping[str, str]) -> Document:
    return {
        "selection": asdict(record.selection),
        "units": dict(units),
        **describe_checks(record),
        "notes": list(record.notes),
    }


def describe_checks(record: Record) -> Document:
    """Make the entries for the results of `--verify`."""
    output = record.output
    return {"verified": record.verified, "verified_output": None if output is None else asdict(output)}


def describe_text(record: Record) -> Document:
    """Make the entries for the model and its texts."""
    return {
        "model": _model(record.model),
        "source": _tokens(record.source),
        "target": None if record.target is None else _tokens(record.target),
    }


def _model(model: ModelInfo) -> Document:
    return {
        "name": model.name,
        "family": model.family,
        "captured": model.captured,
        "dtype": model.dtype,
        "device": model.device,
        "parameters": model.parameters,
        "positions": model.positions,
        "alignment": None if model.alignment is None else asdict(model.alignment),
        "bottleneck": model.bottleneck,
        "stacks": [
            {
                "kind": kind,
                "layers": stack.layers,
                "heads": [{"layer": layer, "heads": heads} for layer, heads in stack.heads.items()],
                "key_value_heads": stack.key_value_heads,
                "without_attention": [{"layer": layer, "instead": what} for layer, what in stack.without.items()],
            }
            for kind, stack in model.stacks.items()
        ],
    }


def _tokens(tokens: Tokens) -> Document:
    return {
        "text": tokens.text,
        "pair": tokens.pair,
        "tokens": [
            {
                "index": index,
                "id": token.id,
                "piece": token.piece,
                "start": token.start,
                "end": token.end,
                "word": token.word,
                "special": token.special,
                "segment": token.segment,
            }
            for index, token in enumerate(tokens.tokens)
        ],
        "words": [
            {"index": index, "text": word.text, "start": word.start, "end": word.end, "segment": word.segment}
            for index, word in enumerate(tokens.words)
        ],
    }


def restore(document: Mapping[str, Any], name: str) -> Record:
    """Convert a document back to a record, without maps; the inverse of `describe`.

    Args:
        document: a document that `attn_cli.io.schema.check` has accepted.
        name: name of the file in messages.

    Raises:
        InputError: the document contradicts itself.
    """
    return Record(
        model=_read_model(document["model"], name),
        source=_read_tokens(document["source"], "$.source", name),
        target=None if document["target"] is None else _read_tokens(document["target"], "$.target", name),
        maps=(),
        verified=None if document["verified"] is None else float(document["verified"]),
        notes=tuple(document["notes"]),
        selection=Selection(**document["selection"]),
        tool_version=document["tool"]["version"],
        output=_read_output(document.get("verified_output")),
    )


def _read_output(found: Mapping[str, Any] | None) -> OutputCheck | None:
    """Read the check of the model's output; None if there is none, as in older records."""
    return None if found is None else OutputCheck(**{**found, "compared": tuple(found["compared"])})


def _read_model(model: Mapping[str, Any], name: str) -> ModelInfo:
    stacks: dict[Kind, Stack] = {}
    for index, stack in enumerate(model["stacks"]):
        path = f"$.model.stacks[{index}]"
        if stack["kind"] in stacks:
            raise fault(name, path, f"is a second stack of kind {stack['kind']}")
        layers = [entry["layer"] for entry in (*stack["heads"], *stack["without_attention"])]
        if len(set(layers)) < len(layers):
            raise fault(name, path, "lists a layer twice")
        if max(layers, default=-1) >= stack["layers"]:
            raise fault(name, path, f"lists layer {max(layers)} of {stack['layers']}")
        stacks[stack["kind"]] = Stack(
            layers=stack["layers"],
            heads={entry["layer"]: entry["heads"] for entry in stack["heads"]},
            key_value_heads=stack["key_value_heads"],
            without={entry["layer"]: entry["instead"] for entry in stack["without_attention"]},
        )
    return ModelInfo(**{**model, "stacks": stacks, "alignment": _read_alignment(model["alignment"], stacks, name)})


def _read_alignment(declared: Mapping[str, Any] | None, stacks: Mapping[Kind, Stack], name: str) -> Alignment | None:
    if declared is None:
        return None
    found = Alignment(**{**declared, "heads": tuple(declared["heads"])})
    stack = stacks.get(found.kind)
    if stack is None or not found.heads or max(found.heads) >= stack.heads.get(found.layer, 0):
        raise fault(name, "$.model.alignment", f"names {found.kind} heads that $.model.stacks does not list")
    return found


def _read_tokens(side: Mapping[str, Any], path: str, name: str) -> Tokens:
    lengths = (len(side["text"]), len(side["pair"] or ""))
    for kind in ("tokens", "words"):
        for index, entry in enumerate(side[kind]):
            here = f"{path}.{kind}[{index}]"
            if entry["index"] != index:
                raise fault(name, here, f"has index {entry['index']}: the {kind} are out of order")
            length = lengths[entry["segment"]]
            if not entry["start"] <= entry["end"] <= length:
                raise fault(name, here, f"runs from character {entry['start']} to {entry['end']} of {length}")
    for index, entry in enumerate(side["tokens"]):
        if entry["word"] is not None and entry["word"] >= len(side["words"]):
            words = len(side["words"])
            raise fault(
                name, f"{path}.tokens[{index}]", f"belongs to word {entry['word']}, but there are {words} words"
            )
    return Tokens(
        text=side["text"],
        pair=side["pair"],
        tokens=tuple(Token(**_without_index(entry)) for entry in side["tokens"]),
        words=tuple(Word(**_without_index(entry)) for entry in side["words"]),
    )


def _without_index(entry: Mapping[str, Any]) -> Document:
    return {key: value for key, value in entry.items() if key != "index"}


def make_map(
    frame: Record, place: tuple[Kind, int], arrays: Mapping[str, np.ndarray], path: str, name: str
) -> AttentionMap:
    """Make a map from arrays of a file, which may be invalid.

    Args:
        frame: the record that the map belongs to.
        place: kind and layer of the map.
        arrays: `heads`, `queries` and `visible`, whole numbers; `weights`, and perhaps `scores` and `sink`, float32.
        path: place of the arrays in the file.
        name: name of the file in messages.

    Raises:
        InputError: the arrays do not fit each other, the model or the tokens, or are not attention weights.
    """
    kind, layer = place
    queries, keys = _sides(frame, kind, path, name)
    heads = frame.model.stacks[kind].heads.get(layer, 0)
    numbers, positions = arrays["heads"], arrays["queries"]
    if positions.ndim != 1 or not positions.size or (np.diff(positions) <= 0).any() or not _within(positions, queries):
        raise fault(name, f"{path}.queries", f"are not rising positions among {queries} tokens")
    if numbers.ndim != 1 or len(set(numbers.tolist())) < numbers.size or not _within(numbers, heads):
        raise fault(name, path, f"is of head {numbers.tolist()} of {heads} in {kind} layer {layer}")
    square = (numbers.size, positions.size, keys)
    for part, shape in (("visible", (square[1], 2)), ("weights", square), ("scores", square), ("sink", square[:2])):
        if part in arrays and arrays[part].shape != shape:
            raise fault(name, f"{path}.{part}", f"has shape {arrays[part].shape}, expected {shape}")
    visible = arrays["visible"]
    if not _within(visible, keys + 1) or (visible[:, 0] > visible[:, 1]).any():
        raise fault(name, f"{path}.visible", f"are not ranges of {keys} keys")
    scores, sink = arrays.get("scores"), arrays.get("sink")
    if scores is not None and (np.isnan(scores) | np.isposinf(scores)).any():
        raise fault(name, f"{path}.scores", "has scores that are not numbers")
    if sink is not None and not (np.isfinite(sink) & (sink >= 0)).all():
        raise fault(name, f"{path}.sink", "has shares that are not numbers from 0")
    try:
        return AttentionMap(
            kind=kind,
            layer=layer,
            heads=tuple(numbers.tolist()),
            queries=tuple(positions.tolist()),
            weights=arrays["weights"],
            visible=visible,
            scores=scores,
            sink=sink,
            dtype=frame.model.dtype,
        )
    except ExactnessError as error:
        raise fault(name, f"{path}.weights", f"are not attention weights: {error.problem}") from error


def _within(numbers: Int[np.ndarray, "*any"], stop: int) -> bool:
    return bool(((numbers >= 0) & (numbers < stop)).all())


def _sides(frame: Record, kind: Kind, path: str, name: str) -> tuple[int, int]:
    """Return the numbers of queries and keys of a kind."""
    if kind not in frame.model.stacks:
        raise fault(name, path, f"is of kind {kind}, which $.model.stacks does not list")
    try:
        return len(query_tokens(frame, kind)), len(key_tokens(frame, kind))
    except SelectionError as error:
        raise fault(name, path, f"is of kind {kind}, but $.target is null") from error
