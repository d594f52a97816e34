"""Matrices of weights from anywhere, with labels for their rows and columns, as records that every view can show."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attn_cli.data.labelling import UNLABELLED, Labelling
from attn_cli.data.model import NOT_GIVEN, ModelInfo, Stack
from attn_cli.data.record import ROW_TOLERANCE, AttentionMap, Record
from attn_cli.data.selection import Kind, Measure, Rows, Selection, Unit
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Block, Eat, Report, Request, Source
from attn_cli.data.text import Token, Tokens, Word
from attn_cli.errors import InputError, UsageError, counted, quoted
from attn_cli.version import __version__

__all__ = [
    "MOST_ROUNDED",
    "GivenLayer",
    "Layer",
    "Scaled",
    "as_shares",
    "choose_kind",
    "choose_labels",
    "given_record",
    "layers_of",
    "matrix_record",
    "split_layers",
]

MOST_ROUNDED = 0.1
"""Most that the sum of a row may be off because its weights were written with few decimals."""
MOST_LAYERS = 65535
"""Most layers, and most heads of a layer, that a record can name."""
SPECIAL = re.compile(r"\[[A-Z]+\d*\]|<[^<>\s]+>")
"""A label that is a model's own mark and no word: `[CLS]`, `</s>`, `<|im_end|>`."""
AS_IT_IS = "Show it as it is with --no-check, or check=False in Python"

Layer = Float[np.ndarray, "head query key"]


def label_tokens(labels: Sequence[str], *, start: bool = False, end: bool = False) -> Tokens:
    """Make tokens of labels, each a word of its own, or a special token if it is a mark such as `[CLS]`.

    Args:
        labels: the labels of one axis.
        start: put an empty special token before them, as a decoder's side begins with one.
        end: put an empty special token behind them.
    """
    tokens: list[Token] = [Token("", 0, 0, None, special=True)] if start else []
    words: list[Word] = []
    place = 0
    for label in labels:
        stop = place + len(label)
        special = SPECIAL.fullmatch(label) is not None
        tokens.append(Token(label, place, stop, None if special else len(words), special))
        if not special:
            words.append(Word(label, place, stop))
        place = stop + 1
    if end:
        tokens.append(Token("", max(place - 1, 0), max(place - 1, 0), None, special=True))
    return Tokens(" ".join(labels), tuple(tokens), tuple(words))


def split_layers(array: np.ndarray, name: str) -> list[Layer]:
    """Split an array into layers of float32.

    Args:
        array: numbers `[query, key]`, `[head, query, key]` or `[layer, head, query, key]`.
        name: name of the matrix in messages.

    Raises:
        InputError: the array has another shape, or holds something that is not a number.
    """
    if array.dtype.kind not in "biuf":
        what = "Python objects, which are never unpickled" if array.dtype.hasobject else str(array.dtype)
        raise InputError(f"{name} holds {what}, and weights are numbers", "Save it with array.astype('float32')")
    if not 2 <= array.ndim <= 4:
        raise InputError(
            f"{name} has shape {array.shape}",
            "Give [query, key], [head, query, key] or [layer, head, query, key]",
        )
    if not array.size:
        raise InputError(f"{name} has shape {array.shape}, which holds nothing", "Give at least one row and one column")
    array = array.reshape(*(1,) * (4 - array.ndim), *array.shape)
    if max(array.shape[:2]) > MOST_LAYERS:
        raise InputError(
            f"{name} has {counted(array.shape[0], 'layer')} of {counted(array.shape[1], 'head')}",
            "Give the last two axes to queries and keys",
        )
    with np.errstate(over="ignore"):
        return list(np.ascontiguousarray(array, np.float32))


@dataclass(frozen=True, eq=False)
class GivenLayer:
    """The maps of some heads of one layer."""

    heads: tuple[int, ...]
    queries: tuple[int, ...]
    """Positions of the rows."""
    weights: Layer
    visible: Int[np.ndarray, "query 2"]
    scores: Float[np.ndarray, "head query key"] | None = None


def layers_of(maps: object, name: str) -> tuple[list[Layer | None], str]:
    """Return the layers in what a Python caller has: an array or a tensor, or a list of one for each layer.

    Args:
        maps: `[query, key]`, `[head, query, key]` or `[layer, head, query, key]`, or a list or tuple with
            `[head, query, key]` or `[batch, head, query, key]` for each layer, as transformers'
            `output_attentions` returns them; None for a layer without.
        name: name of the matrix in messages.

    Returns:
        The maps of each layer, and the number type that they were computed in.

    Raises:
        InputError: the layers hold several texts, or something that is not a matrix of numbers.
    """
    if not (isinstance(maps, list | tuple) and any(hasattr(one, "shape") for one in maps)):
        array, dtype = _array(maps, name)
        return list(split_layers(array, name)), dtype
    layers: list[Layer | None] = []
    dtypes = {"float32"}
    for number, one in enumerate(maps):
        if one is None:
            layers.append(None)
            continue
        array, dtype = _array(one, f"layer {number} of {name}")
        several = split_layers(array, f"layer {number} of {name}")
        if len(several) > 1:
            raise InputError(
                f"Layer {number} of {name} is of {len(several)} texts (shape {array.shape})",
                "Give one: [layer[:1] for layer in attentions]",
            )
        layers += several
        dtypes.add(dtype)
    return layers, max(dtypes, key=lambda dtype: ROW_TOLERANCE[dtype])


def _array(given: Any, name: str) -> tuple[np.ndarray, str]:
    """Convert an array, a tensor or nested lists, with the number type that it was computed in."""
    dtype = str(getattr(given, "dtype", "float32")).rpartition(".")[2]
    if hasattr(given, "detach"):  # a tensor of torch, whose bfloat16 NumPy does not know
        given = given.detach().cpu()
        given = (given.float() if given.is_floating_point() else given).numpy()
    try:
        return np.asarray(given), dtype if dtype in ROW_TOLERANCE else "float32"
    except ValueError as error:
        raise InputError(f"{name} has rows of different lengths", "Give as many numbers in each") from error


def matrix_record(
    layers: Sequence[Layer | None],
    name: str,
    labelling: Labelling = UNLABELLED,
    *,
    dtype: str = "float32",
    rounding: float = 0.0,
) -> Record:
    """Make a record of matrices of weights.

    Args:
        layers: the maps of each layer; None for a layer that has none. All have the same queries and keys.
        name: name of the matrix.
        labelling: labels, kind, and whether rows must sum to 1.
        dtype: the number type that the weights were computed in, which bounds how exactly rows sum to 1.
        rounding: the largest error of a weight that was written with few decimals.

    Raises:
        InputError: the layers differ in shape, the labels do not fit, weights are negative or not numbers, or a row
            does not sum to 1 and must.
        UsageError: the kind does not fit the shape.
    """
    shapes = {layer.shape[1:] for layer in layers if layer is not None}
    if len(shapes) != 1:
        said = ", ".join(f"{rows} × {columns}" for rows, columns in sorted(shapes)) or "none"
        raise InputError(f"The layers of {name} have different shapes ({said})", "Give layers of the same text")
    ((queries, keys),) = shapes
    rows, columns = choose_labels(labelling, queries, keys, name)
    ahead = any(np.triu(layer, 1).any() for layer in layers if layer is not None)
    kind = choose_kind(labelling.kind, name, (queries, keys), same=rows == columns, ahead=ahead)
    return given_record(
        {
            number: GivenLayer(tuple(range(len(layer))), tuple(range(queries)), layer, _visible(kind, layer))
            for number, layer in enumerate(layers)
            if layer is not None
        },
        name,
        kind,
        (rows, columns),
        checked=labelling.checked,
        dtype=dtype,
        rounding=rounding,
    )


def given_record(
    layers: Mapping[int, GivenLayer],
    name: str,
    kind: Kind,
    labels: tuple[Sequence[str], Sequence[str]],
    *,
    step: Rows | None = None,
    unit: Unit = "word",
    measure: Measure = "weights",
    checked: bool = True,
    dtype: str = "float32",
    rounding: float = 0.0,
) -> Record:
    """Make a record of maps whose model is not known.

    Args:
        layers: the maps of each layer, by its number.
        name: name of the matrix.
        kind: the kind of attention.
        labels: labels of the rows and of the columns; those of self-attention are the same.
        step: the decoder step that a row of cross-attention belongs to; None if it is not known.
        unit: what the labels are.
        measure: the measure that the maps hold; a derived one is a share of its row, too.
        checked: refuse rows that do not sum to 1.
        dtype: the number type that the weights were computed in, which bounds how exactly rows sum to 1.
        rounding: the largest error of a weight that was written with few decimals.

    Raises:
        InputError: weights are negative or not numbers, or a row does not sum to 1 and must.
    """
    tolerance = ROW_TOLERANCE.get(dtype, ROW_TOLERANCE["float32"])
    several = len(layers) > 1
    sums = {
        number: _sums(layer, f"{name}: {f'layer {number}, ' if several else ''}") for number, layer in layers.items()
    }
    least, most = (float(end(list(map(end, sums.values())))) for end in (np.min, np.max))
    unscaled = not (1 - tolerance <= least and most <= 1 + tolerance)
    exact = True
    for number, layer in layers.items() if unscaled else ():
        wrong = np.abs(sums[number] - 1) > tolerance + min(layer.weights.shape[2] * rounding, MOST_ROUNDED)
        exact &= not wrong.any()
        if checked and not exact:
            index, row = (int(place) for place in np.argwhere(wrong)[0])
            raise InputError(
                f"{name}: {f'layer {number}, ' if several else ''}{_row(layer, index, row)} sums to "
                f"{sums[number][index, row]:.4f} instead of 1",
                AS_IT_IS,
            )
    heads = {number: max(layer.heads) + 1 for number, layer in layers.items()}
    stack = Stack(
        max(heads) + 1, heads, max(heads.values()), dict.fromkeys(set(range(max(heads))) - set(heads), NOT_GIVEN)
    )
    whole = all(len(layer.heads) == heads[number] for number, layer in layers.items())
    places = ",".join(f"{number}.{head}" for number, layer in layers.items() for head in layer.heads)
    some = next(iter(layers.values())).queries
    rows, columns = labels
    return Record(
        model=ModelInfo(name, "matrix", {kind: stack}, "given", dtype=dtype, unscaled=unscaled),
        source=label_tokens(columns),
        target=label_tokens(rows, start=step == "output", end=step != "output") if kind == "cross" else None,
        maps=tuple(
            AttentionMap(
                kind,
                number,
                layer.heads,
                layer.queries,
                layer.weights,
                layer.visible,
                layer.scores,
                dtype=dtype,
                unscaled=unscaled,
            )
            for number, layer in layers.items()
        ),
        notes=(unscaled_note(least, most),) if unscaled and not exact else (),
        selection=Selection(
            view="heads" if len(some) == len(rows) else "query",
            head=None if whole else places,
            query=None if len(some) == len(rows) else ",".join(f"#{one}" for one in some),
            rows=step,
            unit=unit,
            measure=measure,
        ),
        tool_version=__version__,
    )


def unscaled_note(least: float, most: float) -> str:
    """Say that rows do not sum to 1.

    Args:
        least: the smallest sum of a row.
        most: the largest.
    """
    sums = f"{least:.4g}" if f"{least:.4g}" == f"{most:.4g}" else f"{least:.4g} to {most:.4g}"
    return (
        f"The rows sum to {sums} and not to 1: attn view draws the weights as they are, and all figures are of rows "
        "scaled to sum to 1."
    )


def choose_labels(labelling: Labelling, queries: int, keys: int, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the labels of the rows and of the columns.

    Raises:
        InputError: their number does not fit.
    """
    rows, columns = labelling.rows, labelling.columns
    if queries == keys:
        rows, columns = columns if rows is None else rows, rows if columns is None else columns
    for what, labels, count in (("row", rows, queries), ("column", columns, keys)):
        if labels is not None and len(labels) != count:
            raise InputError(
                f"{name} has {counted(count, what)}, and there {'is' if len(labels) == 1 else 'are'} "
                f"{counted(len(labels), 'label')} for {'it' if count == 1 else 'them'}",
                f"Give one for each {what}",
            )
        blank = next((place for place, label in enumerate(labels or ()) if not label.strip()), None)
        if blank is not None:
            raise InputError(f"The label of {what} {blank} of {name} is empty", f"Give one for each {what}")
    return (
        tuple(map(str, range(queries))) if rows is None else rows,
        tuple(map(str, range(keys))) if columns is None else columns,
    )


def choose_kind(kind: Kind | None, name: str, shape: tuple[int, int], *, same: bool, ahead: bool) -> Kind:
    """Return the kind asked for, or the one that the shape, the labels and the zeros say.

    Args:
        kind: the kind asked for; None if none is.
        name: name of the matrix in messages.
        shape: the numbers of rows and of columns.
        same: True if rows and columns have the same labels.
        ahead: True if a row has weight on a column behind the row's own.

    Raises:
        UsageError: the kind asked for is not one that such a matrix can have.
    """
    rows, columns = shape
    if kind == "cross" or (kind is None and not same):
        return "cross"
    if not same:
        said = "labels" if rows == columns else f"shape, {rows} × {columns}"
        raise UsageError(
            f"{name} cannot be {quoted(kind or '')}: its rows and columns differ in their {said}",
            "Leave --kind out, or give cross",
        )
    if kind == "decoder" and ahead:
        raise UsageError(f"{name} cannot be 'decoder': it has weights above its diagonal", "Leave --kind out")
    return kind or ("encoder" if ahead or rows == 1 else "decoder")


def _visible(kind: Kind, layer: Layer) -> Int[np.ndarray, "query 2"]:
    """Return the keys that each query sees; none where the whole row is 0 in every head, as in padding."""
    _, queries, keys = layer.shape
    stop = np.arange(1, queries + 1) if kind == "decoder" else np.full(queries, keys)
    some = layer.any(axis=(0, 2))
    return np.stack([np.zeros(queries, np.intp), np.where(some, stop, 0)], axis=1).astype(np.intp)


def _sums(layer: GivenLayer, where: str) -> Float[np.ndarray, "head query"]:
    """Return the sum of each row, and 1 for a row that sees nothing, once its weights are checked.

    Raises:
        InputError: a weight is negative or not a number.
    """
    weights = layer.weights
    for wrong, problem, remedy in (
        (
            ~np.isfinite(weights),
            "is not a number",
            "Give weights, after the softmax; numpy.nan_to_num fills what is masked",
        ),
        (weights < 0, "is negative", "Give weights, after the softmax, or their absolute values"),
    ):
        if wrong.any():
            index, row, key = (int(place) for place in np.argwhere(wrong)[0])
            raise InputError(
                f"{where}{_row(layer, index, row)}, column {key} {problem} ({weights[index, row, key]:g})", remedy
            )
    blind = layer.visible[:, 0] >= layer.visible[:, 1]
    sums: Float[np.ndarray, "head query"] = np.where(blind, 1.0, weights.sum(axis=2, dtype=np.float64))
    return sums


def _row(layer: GivenLayer, index: int, row: int) -> str:
    return f"{f'head {layer.heads[index]}, ' if len(layer.heads) > 1 else ''}row {layer.queries[row]}"


def as_shares(block: Block) -> Block:
    """Return a block with each row scaled to sum to 1; a row of zeros stays as it is."""
    total = block.weights.sum(axis=2, keepdims=True)
    return replace(
        block, weights=np.divide(block.weights, total, out=np.zeros_like(block.weights), where=total > 0), sink=None
    )


@dataclass(frozen=True, eq=False)
class Scaled:
    """A `Source` that scales each row of its base to sum to 1."""

    base: Source

    @property
    def model(self) -> ModelInfo:
        """The model's shape."""
        return replace(self.base.model, unscaled=False)

    @property
    def source(self) -> Tokens:
        """The source tokens of the base."""
        return self.base.source

    @property
    def target(self) -> Tokens | None:
        """The target tokens of the base, if it has any."""
        return self.base.target

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of the base."""
        return self.base.notes

    def stream(self, request: Request, eat: Eat) -> Report:
        """Stream the blocks of the base; see `Source`.

        Raises:
            SelectionError: a record does not hold what is asked for.
        """
        return self.base.stream(request, lambda block: eat(as_shares(block)))
