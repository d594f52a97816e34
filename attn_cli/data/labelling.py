"""Labels and kind of a matrix of weights, which its file does not hold. Imports nothing heavy: errors show at once."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from attn_cli.data.selection import Kind, Rows
from attn_cli.errors import UsageError

__all__ = ["UNLABELLED", "Labelling", "parse_labels"]


def parse_labels(text: str) -> tuple[str, ...]:
    """Split labels at their commas, but for those in double quotes.

    Raises:
        UsageError: a quote is opened and not closed.
    """
    try:
        (labels,) = csv.reader([text], strict=True, skipinitialspace=True)
    except csv.Error as error:
        raise UsageError(f"The labels are not a list: {error}", 'Write them like A,B,"C,D"') from error
    return tuple(label.strip() for label in labels)


@dataclass(frozen=True, slots=True)
class Labelling:
    """Labels and kind that a user gives for a matrix, since its file does not hold them, and whether to check it."""

    rows: tuple[str, ...] | None = None
    """Labels of the rows; None for those in the file, or those of the columns if there are as many, or numbers."""
    columns: tuple[str, ...] | None = None
    """Labels of the columns."""
    kind: Kind | None = None
    """The kind of attention; None to tell it from the shape, the labels and the zeros."""
    checked: bool = True
    """True to refuse rows that do not sum to 1."""
    array: str | None = None
    """The only array of an archive to show; None for all that are weights."""

    def check_unused(self, name: str) -> None:
        """Check that nothing is said of a record, which says it all itself.

        Raises:
            UsageError: labels are given, an array is chosen, or rows are not to be checked.
        """
        self.check_alone(name)
        step = self.rows is None or self.rows in {(one,) for one in get_args(Rows)}  # which --rows says of a record
        if not step or self.columns is not None:
            raise UsageError(
                f"{name} is a record, which has labels of its own", "Leave --rows, --columns and --labels out"
            )
        if not self.checked:
            raise UsageError(
                f"{name} is a record, whose rows are as they were", "Leave --no-check out (or check=False)"
            )

    def check_alone(self, name: str) -> None:
        """Check that no array is chosen in a file that is not an archive of several.

        Raises:
            UsageError: one is.
        """
        if self.array is not None:
            raise UsageError(f"{name} has no arrays to choose from", "Leave --array out (or array= in Python)")

    def beside(self, rows: Sequence[str] | None, columns: Sequence[str] | None) -> Labelling:
        """Return the same with the labels that a file holds, where no others are given."""
        if self.rows is not None or self.columns is not None:
            return self
        return replace(
            self, rows=None if rows is None else tuple(rows), columns=None if columns is None else tuple(columns)
        )


UNLABELLED = Labelling()
"""Nothing said of a matrix."""
