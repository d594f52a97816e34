"""attn: a Transformer's attention, in a terminal. Importing this package imports nothing heavy.

import attn_cli

model = attn_cli.load("path/to/a/model")
record = model.inspect("The trophy didn't fit in the suitcase because it was too big")
record.maps[3].weights[1]      # layer 3, head 1: queries down, keys across

attn_cli.translate("The cat sat on the mat", "path/to/a/translator").target.text
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attn_cli.draw.figure_style import FigureStyle
from attn_cli.errors import (
    AttnError,
    ExactnessError,
    InputError,
    MemoryLimitError,
    ModelError,
    OutputError,
    SelectionError,
    UsageError,
)
from attn_cli.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike
    from typing import Unpack

    from attn_cli.api import InspectOptions, Inspector, TranslateOptions
    from attn_cli.data.selection import ChoicesOfAMatrix, Kind
    from attn_cli.models import LoadChoices
    from attn_cli.questions.heads.measure import HeadsFound
    from attn_cli.questions.inspect.measure import Inspection
    from attn_cli.questions.terms.glossary import Glossary
    from attn_cli.questions.tour.measure import Tour
    from attn_cli.questions.why.measure import Experiment, ExperimentName

__all__ = [
    "AttnError",
    "ExactnessError",
    "FigureStyle",
    "InputError",
    "MemoryLimitError",
    "ModelError",
    "OutputError",
    "SelectionError",
    "UsageError",
    "__version__",
    "inspect",
    "load",
    "merge",
    "read_texts",
    "terms",
    "tour",
    "translate",
    "view",
    "why",
    "wrap",
]


def load(name: str | PathLike[str] = "toy", **options: Unpack[LoadChoices]) -> Inspector:
    """Load a model to inspect, with `.inspect(text)` and more; see `attn_cli.api`.

    Args:
        name: a built-in model, a folder, or a name on the hub.
        **options: options for loading: `device`, `dtype`, `revision`, `base`, `trust_remote_code`,
            `allow_pickle`.

    Raises:
        ModelError: the model cannot be found, read or inspected.
    """
    from attn_cli.api import load as load_inspector

    return load_inspector(name, **options)


def wrap(model: object, tokenizer: object, *, name: str | None = None) -> Inspector:
    """Inspect a model of transformers that is in memory: one that was loaded, trained or patched in Python.

    Args:
        model: the model, which is left as it is.
        tokenizer: its tokenizer.
        name: the name to show; by default that of the checkpoint it was loaded from, or of its class.

    Raises:
        ModelError: it is not a model of transformers with attention, or the tokenizer is not one.
    """
    from attn_cli.api import wrap as wrap_in_inspector

    return wrap_in_inspector(model, tokenizer, name=name)


def inspect(text: str, model: str | PathLike[str] = "toy", **options: Unpack[InspectOptions]) -> Inspection:
    """Load a model, inspect one text, and release the model; for several texts, `load` it once.

    Args:
        text: the text to read.
        model: a built-in model, a folder, or a name on the hub.
        **options: options of `attn_cli.api.Inspector.inspect`.

    Raises:
        AttnError: any error that the command would report.
    """
    return load(model).inspect(text, **options)


def translate(text: str, model: str | PathLike[str] = "toy", **options: Unpack[TranslateOptions]) -> Inspection:
    """Load a model, translate one text, and release the model; for several texts, `load` it once.

    Args:
        text: the text to translate.
        model: a built-in model, a folder, or a name on the hub.
        **options: options of `attn_cli.api.Inspector.translate`.

    Raises:
        AttnError: any error that the command would report.
    """
    return load(model).translate(text, **options)


def merge(*parts: str | PathLike[str]) -> HeadsFound:
    """Merge the parts of a corpus that `attn heads --shard`, or `.heads(texts, shard="3/16")`, has saved.

    Args:
        parts: the files of all parts, in any order.

    Raises:
        InputError: a file is damaged or no part, a part is missing or given twice, or is of another run.
    """
    from attn_cli.api import merge as merge_parts

    return merge_parts(*parts)


def read_texts(path: str | PathLike[str], *, field: str | None = None) -> Iterator[str]:
    """Read the texts of a corpus one after another, for `.heads(texts)` and whatever else takes several.

    Args:
        path: what `--file` takes: a file with a text on each line, a table, JSON Lines or Parquet, also compressed, a
            folder or a pattern of these, or `hf://datasets/OWNER/NAME`.
        field: the column of the texts, where it has no usual name.

    Raises:
        InputError: there is no text, or the corpus cannot be read.
    """
    from attn_cli.api import read_texts as texts_of

    return texts_of(path, field=field)


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
    """Show a saved record again, or any matrix of weights.

    Args:
        maps: a matrix `[query, key]`, `[head, query, key]` or `[layer, head, query, key]`; a list with one for each
            layer, such as transformers' `output_attentions`; or the path of a file that `attn view` takes.
        rows: the labels of the rows; by default those of the columns if there are as many, or numbers.
        columns: the labels of the columns.
        kind: the kind of attention; by default that which a record was saved with, or what a matrix's shape, labels
            and zeros say.
        check: refuse rows that do not sum to 1.
        array: the array of an `.npz` to show; by default all that are weights.
        name: the name to show.
        **selection: fields of the selection, as in `inspect`.

    Raises:
        AttnError: any error that the command would report.
    """
    from attn_cli.api import view as view_maps

    return view_maps(maps, rows=rows, columns=columns, kind=kind, check=check, array=array, name=name, **selection)


def why(experiment: ExperimentName, *, quick: bool = False) -> Experiment:
    """Measure why attention matters, in one experiment on the built-in models.

    Args:
        experiment: `long-sequences`, `context-linking`, `interpretability`, `parallelization` or
            `causality`.
        quick: take few texts.

    Raises:
        UsageError: there is no such experiment.
    """
    from attn_cli.api import why as run_experiment

    return run_experiment(experiment, quick=quick)


def tour(text: str | None = None, *, chapter: int | None = None) -> Tour:
    """Walk through the lesson on attention, with the built-in models.

    Args:
        text: a sentence to show it on; by default those of the lesson.
        chapter: the only chapter to make, from 1; by default all.

    Raises:
        InputError: the sentence is empty, or the models make no tokens of it.
        UsageError: it has too many words, or there is no such chapter.
    """
    from attn_cli.api import tour as make_tour

    return make_tour(text, chapter=chapter)


def terms(*words: str) -> Glossary:
    """Explain terms that the tables use.

    Args:
        words: the terms, or parts of some; all terms by default.

    Raises:
        SelectionError: there is no term of one of these names.
    """
    from attn_cli.api import terms as explain_terms

    return explain_terms(*words)
