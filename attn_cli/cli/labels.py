"""Options for a matrix of weights from elsewhere: its labels, and whether its rows must sum to 1."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, get_args

from attn_cli.cli.options import SegmentOptions, select_option, text_option
from attn_cli.cli.texts import lines_of
from attn_cli.data.labelling import Labelling, parse_labels
from attn_cli.data.selection import Kind, Rows, Selection
from attn_cli.errors import InputError, UsageError

__all__ = ["GridOptions", "MatrixOptions", "ViewOptions", "read_labels"]

ONE_A_LINE = "Name a text file with one label a line"


@dataclass(frozen=True)
class MatrixOptions:
    """Options for a matrix of weights from elsewhere, which does not say it all itself."""

    labels: Annotated[
        Path | None,
        text_option(
            metavar="PATH",
            help="Labels of a matrix, one a line; a blank line ends those of the rows, if others follow.",
        ),
    ] = None
    array: Annotated[
        str | None, text_option("--array", metavar="NAME", help="The array of an .npz to read (default: all weights).")
    ] = None
    no_check: Annotated[bool, text_option("--no-check", help="Take a matrix whose rows do not sum to 1 as it is.")] = (
        False
    )

    def check_matrix(self, *, given: bool) -> None:
        """Check that nothing is said of a matrix where there is none.

        Args:
            given: True if there is a matrix, or a record.

        Raises:
            UsageError: something is.
        """
        if given:
            return
        used = [field.name for field in fields(MatrixOptions) if getattr(self, field.name) != field.default]
        if used:
            option = f"--{used[0].replace('_', '-')}"
            raise UsageError(f"{option} is for a matrix of weights, and this is a text", f"Leave {option} out")

    def labelling(self, kind: Kind | None = None) -> Labelling:
        """Return what is said of a matrix.

        Args:
            kind: the kind of attention that was asked for.

        Raises:
            InputError: the file of labels cannot be read, or is not one.
        """
        rows, columns = (None, None) if self.labels is None else read_labels(self.labels)
        return Labelling(rows, columns, kind, checked=not self.no_check, array=self.array)


@dataclass(frozen=True)
class GridOptions(MatrixOptions):
    """The same, with labels of the columns on the command line, beside those of `ViewOptions` for the rows."""

    columns: Annotated[str | None, text_option(metavar="A,B,C", help="Labels of a matrix's columns; see --rows.")] = (
        None
    )

    def labelled(self, choice: ViewOptions) -> Labelling:
        """Return what is said of a matrix.

        Args:
            choice: the labels of its rows, and the kind of attention.

        Raises:
            UsageError: labels are given twice, or not as a list.
            InputError: the file of labels cannot be read, or is not one.
        """
        labelling = self.labelling(choice.kind)
        if choice.rows is None and self.columns is None:
            return labelling
        if self.labels is not None:
            raise UsageError("Labels are given in a file and on the command line", "Leave --labels out, or the others")
        rows, columns = (None if typed is None else parse_labels(typed) for typed in (choice.rows, self.columns))
        return replace(labelling, rows=rows, columns=columns)


@dataclass(frozen=True)
class ViewOptions(SegmentOptions):
    """Options that select heads, queries and the view of them, in a record or in a matrix."""

    rows: Annotated[
        str | None,
        select_option(
            metavar="[output|input|A,B,C]",
            help="In cross-attention of a record, take a word's row at the step that outputs it, or that reads it as "
            "input. Of a matrix, the labels of its rows.",
        ),
    ] = None  # type: ignore[assignment] # a matrix has labels where a record has the step

    def over(self, base: Selection) -> Selection:
        """Override the selection `base` with these choices; rows are a step only if they name one.

        Raises:
            UsageError: two of them exclude each other.
        """
        step = self if self.rows in get_args(Rows) else replace(self, rows=None)
        return super(ViewOptions, step).over(base)


def read_labels(path: Path) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Read the labels of the rows and, below a blank line, those of the columns; None if there are no others.

    Raises:
        InputError: the file cannot be read, is not UTF-8, or holds no labels.
    """
    parts: list[list[str]] = [[]]
    for line in lines_of(path, ONE_A_LINE):
        if line.text.strip():
            parts[-1].append(line.text.strip())
        elif parts[-1]:
            parts.append([])
    rows, *others = (tuple(part) for part in parts if part) if any(parts) else ((),)
    if not rows or len(others) > 1:
        problem = "holds no labels" if not rows else "has more than two parts between blank lines"
        raise InputError(f"{path} {problem}", ONE_A_LINE)
    return rows, others[0] if others else None
