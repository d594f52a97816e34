"""Saved records and matrices of weights, shown again."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Unpack

from attn_cli.api.options import selection_of
from attn_cli.data.labelling import Labelling, parse_labels
from attn_cli.data.matrix import layers_of, matrix_record
from attn_cli.data.selection import ChoicesOfAMatrix, Kind, Selection
from attn_cli.errors import InputError
from attn_cli.io.read import read_records
from attn_cli.questions.inspect.measure import Inspection, look

__all__ = ["view"]


def view(
    maps: object,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    kind: Kind | None = None,
    check: bool = True,
    array: str | None = None,
    name: str = "matrix",
    **selection: Unpack[ChoicesOfAMatrix],
) -> Inspection:
    """Show a saved record again, or any matrix of weights, as `attn view` shows them.

    Args:
        maps: a matrix `[query, key]`, `[head, query, key]` or `[layer, head, query, key]`, as an array, a tensor,
            lists or a `DataFrame`, which has labels; a tuple or list with `[head, query, key]` or
            `[batch, head, query, key]` for each layer, as transformers' `output_attentions` returns it (None for a
            layer without); or the path of a file that `attn view` takes.
        rows: the labels of the rows; by default those of the columns if there are as many, or numbers.
        columns: the labels of the columns.
        kind: the kind of attention; by default that which a record was saved with, or what a matrix's shape, labels
            and zeros say.
        check: refuse rows that do not sum to 1.
        array: the array of an `.npz` to show; by default all that are weights.
        name: the name to show.
        **selection: fields of the selection, as in `inspect`.

    Returns:
        The record; its `maps` hold `weights` `[head, query, key]` for each layer.

    Raises:
        AttnError: any error that the command would report.
    """
    if rows is None and columns is None and hasattr(maps, "columns") and hasattr(maps, "index"):  # pandas
        rows, columns = list(map(str, maps.index)), list(map(str, maps.columns))
    choice = selection_of(Selection(), selection, view, ChoicesOfAMatrix.__annotations__, viewed=True)
    labelling = Labelling(_listed(rows), _listed(columns), kind, checked=check, array=array)
    if isinstance(maps, str | os.PathLike):
        (record, *others) = islice(read_records(Path(maps), labelling), 2)
        if others:
            raise InputError(f"{os.fspath(maps)} holds several records", "Read them with attn_cli.io.read.read_records")
        shown = _over(record.selection, choice, selection)
        shown = shown if kind is None else replace(shown, kind=kind)
    else:
        labelling.check_alone(name)
        layers, dtype = layers_of(maps, name)
        record, shown = matrix_record(layers, name, labelling, dtype=dtype), choice
    return look(record, shown, keep=True)


def _over(saved: Selection, choice: Selection, named: Collection[str]) -> Selection:
    """Override the selection of a saved record, as the options of `attn view` do.

    Args:
        saved: the selection that the record was made for.
        choice: the fields chosen, over the defaults.
        named: the names of the fields that were chosen.
    """
    fields = {name: getattr(choice, name) for name in named}
    if choice.layer is not None or choice.head is not None:  # a new choice of one replaces both
        fields |= {"layer": choice.layer, "head": choice.head}
    if "view" in named and choice.view != "query":  # such a view has the query chosen with it, or none
        fields["query"] = choice.query
    elif choice.query is not None:
        fields["view"] = "query"
    elif "query" in named and saved.view == "query":
        fields["view"] = "heads"
    shown = replace(saved, **fields)
    return replace(shown, unit="token") if shown.scores else shown


def _listed(labels: Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(labels, str):
        return parse_labels(labels)
    return None if labels is None else tuple(map(str, labels))
