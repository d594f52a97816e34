"""Conversion of documents that were read back to records, with everything checked that no schema can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from attn_cli.data.image import PatchGrid, Thumbnail, patch_name
from attn_cli.data.model import Alignment, GuidedHead, Heads, ModelInfo, Stack
from attn_cli.data.outcomes import Chances
from attn_cli.data.record import AttentionMap, Record
from attn_cli.data.relevance import Relevance
from attn_cli.data.selection import Kind, Selection
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import OutputCheck, key_tokens, query_tokens
from attn_cli.data.text import Part, Token, Tokens, Word
from attn_cli.errors import ExactnessError, SelectionError, quoted
from attn_cli.io.schema import fault

if TYPE_CHECKING:
    from attn_cli.io.structs import (
        AlignmentEntry,
        ModelEntry,
        RecordDocument,
        SelectionEntry,
        TokenEntry,
        TokensEntry,
        WordEntry,
    )

__all__ = ["make_map", "restore"]


def restore(document: RecordDocument, name: str) -> Record:
    """Convert a document back to a record, without maps; the inverse of `attn_cli.io.document.describe`.

    Args:
        document: the document.
        name: name of the file in messages.

    Raises:
        InputError: the document contradicts itself.
    """
    checked = document.verified_output
    return Record(
        model=_model(document.model, name),
        source=_tokens(document.source, "$.source", name),
        target=None if document.target is None else _tokens(document.target, "$.target", name),
        maps=(),
        verified=document.verified,
        notes=tuple(document.notes),
        selection=_selection(document.selection),
        tool_version=document.tool.version,
        output=None if checked is None else OutputCheck(checked.difference, tuple(checked.compared), checked.attention),
        relevance=_relevance(document, name),
        vector=_vector(document, name),
        chances=_chances(document, name),
    )


def _selection(selection: SelectionEntry) -> Selection:
    from msgspec import UNSET
    from msgspec.structs import asdict

    fields = {name: value for name, value in asdict(selection).items() if value is not UNSET}
    if selection.sink and selection.measure != "relevance":  # where it is shown anyway
        fields["sink"] = None
    return Selection(**fields)


def _relevance(document: RecordDocument, name: str) -> Relevance | None:
    from msgspec import UNSET

    entry = document.relevance
    if entry is UNSET:
        return None
    for side, numbers, tokens in (
        ("source", entry.source, document.source),
        ("target", entry.target, document.target),
    ):
        if (
            numbers is not None
            and tokens is not None
            and len(numbers) != len(tokens.tokens) - (side == "target" or tokens.written is not UNSET)
        ):
            raise fault(name, f"$.relevance.{side}", f"has {len(numbers)} numbers for {len(tokens.tokens)} tokens")
    heads: dict[Kind, dict[int, Float[np.ndarray, "_"]]] = {}
    for handed in entry.heads:
        heads.setdefault(handed.kind, {})[handed.layer] = np.asarray(handed.heads, np.float32)
    source = np.asarray(entry.source, np.float32)
    target = None if entry.target is None else np.asarray(entry.target, np.float32)
    return Relevance(entry.output, entry.value, entry.unit, source, target, heads)


def _chances(document: RecordDocument, name: str) -> Chances | None:
    from msgspec import UNSET

    entry = document.written
    if entry is UNSET:
        return None
    first, side = (1, document.target) if document.target is not None else (document.source.written, document.source)
    count = None if first is UNSET or side is None else len(side.tokens) - first
    if len(entry.tokens) != count:
        raise fault(name, "$.written.tokens", f"has {len(entry.tokens)} tokens, and {count or 0} were written")
    for step, token in enumerate(entry.tokens):
        if len(token.likeliest) != len(entry.tokens[0].likeliest):
            raise fault(name, f"$.written.tokens[{step}].likeliest", "has another length than those before it")
    return Chances(
        np.asarray([one.log_probability for one in entry.tokens], np.float32),
        np.asarray([one.entropy for one in entry.tokens], np.float32),
        np.asarray([[other.id for other in one.likeliest] for one in entry.tokens], np.int64),
        np.asarray([[other.log_probability for other in one.likeliest] for one in entry.tokens], np.float32),
        tuple(tuple(other.text for other in one.likeliest) for one in entry.tokens),
        entry.live,
    )


def _vector(document: RecordDocument, name: str) -> Float[np.ndarray, "dim"] | None:
    from msgspec import UNSET

    if document.vector is UNSET:
        return None
    if len(document.vector) != document.model.bottleneck:
        raise fault(name, "$.vector", f"has {len(document.vector)} numbers for {document.model.bottleneck}")
    return np.asarray(document.vector, np.float32)


def _model(model: ModelEntry, name: str) -> ModelInfo:
    stacks: dict[Kind, Stack] = {}
    for index, stack in enumerate(model.stacks):
        path = f"$.model.stacks[{index}]"
        if stack.kind in stacks:
            raise fault(name, path, f"is a second stack of kind {stack.kind}")
        layers = [*(entry.layer for entry in stack.heads), *(entry.layer for entry in stack.without_attention)]
        if len(set(layers)) < len(layers):
            raise fault(name, path, "lists a layer twice")
        if max(layers, default=-1) >= stack.layers:
            raise fault(name, path, f"lists layer {max(layers)} of {stack.layers}")
        stacks[stack.kind] = Stack(
            layers=stack.layers,
            heads={entry.layer: entry.heads for entry in stack.heads},
            key_value_heads=stack.key_value_heads,
            without={entry.layer: entry.instead for entry in stack.without_attention},
        )
    return ModelInfo(
        name=model.name,
        family=model.family,
        stacks=stacks,
        captured=model.captured,
        dtype=model.dtype,
        device=model.device,
        parameters=model.parameters,
        positions=model.positions,
        alignment=_alignment(model.alignment, stacks, name),
        guided=_guided(model, stacks, name),
        bottleneck=model.bottleneck,
        without=_without(model, stacks, name),
        unscaled=model.unscaled is True,
    )


def _without(model: ModelEntry, stacks: Mapping[Kind, Stack], name: str) -> Heads:
    found: dict[Kind, dict[int, tuple[int, ...]]] = {}
    for entry in model.without or ():
        stack = stacks.get(entry.kind)
        if stack is None or max(entry.heads) >= stack.heads.get(entry.layer, 0):
            raise fault(name, "$.model.without", f"names {entry.kind} heads that $.model.stacks does not list")
        if entry.layer in found.setdefault(entry.kind, {}):
            raise fault(name, "$.model.without", f"lists {entry.kind} layer {entry.layer} twice")
        found[entry.kind][entry.layer] = tuple(entry.heads)
    return found


def _guided(model: ModelEntry, stacks: Mapping[Kind, Stack], name: str) -> tuple[GuidedHead, ...]:
    heads = tuple(
        GuidedHead(one.kind, one.layer, one.head, one.role, one.towards, one.on) for one in model.guided or ()
    )
    for head in heads:
        stack = stacks.get(head.kind)
        if stack is None or head.head >= stack.heads.get(head.layer, 0):
            raise fault(name, "$.model.guided", f"names a {head.kind} head that $.model.stacks does not list")
    return heads


def _alignment(declared: AlignmentEntry | None, stacks: Mapping[Kind, Stack], name: str) -> Alignment | None:
    if declared is None:
        return None
    stack = stacks.get(declared.kind)
    if stack is None or max(declared.heads) >= stack.heads.get(declared.layer, 0):
        raise fault(name, "$.model.alignment", f"names {declared.kind} heads that $.model.stacks does not list")
    return Alignment(declared.layer, tuple(declared.heads), declared.rows, declared.how, declared.kind)


def _parts(side: TokensEntry, path: str, name: str) -> tuple[Part, ...]:
    from msgspec import UNSET

    entries = () if side.parts is UNSET else side.parts
    end = 0
    for index, entry in enumerate(entries):
        if not end <= entry.start <= entry.end <= len(side.text):
            raise fault(
                name,
                f"{path}.parts[{index}]",
                f"runs from character {entry.start} to {entry.end} of {len(side.text)}, or begins in the part before",
            )
        end = entry.end
    return tuple(Part(entry.name, entry.start, entry.end) for entry in entries)


def _tokens(side: TokensEntry, path: str, name: str) -> Tokens:
    lengths = (len(side.text), len(side.pair or ""))
    listed: Mapping[str, Sequence[TokenEntry | WordEntry]] = {"tokens": side.tokens, "words": side.words}
    for kind, entries in listed.items():
        for index, entry in enumerate(entries):
            here = f"{path}.{kind}[{index}]"
            if entry.index != index:
                raise fault(name, here, f"has index {entry.index}: the {kind} are out of order")
            length = lengths[entry.segment]
            if not entry.start <= entry.end <= length:
                raise fault(name, here, f"runs from character {entry.start} to {entry.end} of {length}")
    written = side.written or None
    if written is not None and (written >= len(side.tokens) or path != "$.source"):
        raise fault(name, f"{path}.written", f"is no token of {len(side.tokens)} behind a prompt")
    words = len(side.words)
    for index, token in enumerate(side.tokens):
        if token.word is not None and token.word >= words:
            raise fault(name, f"{path}.tokens[{index}]", f"belongs to word {token.word}, but there are {words} words")
    return Tokens(
        text=side.text,
        pair=side.pair,
        tokens=tuple(
            Token(
                piece=token.piece,
                start=token.start,
                end=token.end,
                word=token.word,
                special=token.special,
                segment=token.segment,
                id=token.id,
            )
            for token in side.tokens
        ),
        words=tuple(Word(word.text, word.start, word.end, word.segment) for word in side.words),
        written=written,
        parts=_parts(side, path, name),
        grid=_grid(side, path, name),
    )


def _grid(side: TokensEntry, path: str, name: str) -> PatchGrid | None:
    from msgspec import UNSET

    entry = side.grid
    if entry is UNSET:
        return None
    patches = [token for token in side.tokens if not token.special]
    if len(patches) != entry.rows * entry.columns or [token.word for token in patches] != [*range(len(side.words))]:
        raise fault(
            name,
            f"{path}.grid",
            f"has {entry.rows} x {entry.columns} patches, and the tokens that are not special are not as many words",
        )
    for index, token in enumerate(patches):
        named = patch_name(*divmod(index, entry.columns))
        if not token.piece == side.words[index].text == named:
            found = token.piece if token.piece != named else side.words[index].text
            raise fault(name, f"{path}.grid", f"has the patch {named} where the tokens have {quoted(found)}")
    small = entry.thumbnail
    try:
        thumbnail = None if small is None else Thumbnail(small.width, small.height, small.rgb)
        return PatchGrid(entry.rows, entry.columns, entry.name, thumbnail)
    except ExactnessError as error:
        raise fault(name, f"{path}.grid.thumbnail", f"is not a picture: {error.problem}") from error


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
            unscaled=frame.model.unscaled,
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
