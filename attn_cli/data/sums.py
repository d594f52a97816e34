"""Sums that collectors keep over many texts, as plain arrays by name, so that they can be saved, sent and added up.

What belongs to one layer is named `kind.layer.figure`; `kind.layer.heads` has the numbers of its heads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias, cast

import numpy as np

from attn_cli.data.selection import KINDS, Kind

__all__ = ["Sums", "layers_in", "of_part", "with_part"]

Sums: TypeAlias = Mapping[str, np.ndarray]
"""The state of a collector: name -> array."""

HEADS = re.compile(rf"({'|'.join(KINDS)})\.(0|[1-9]\d{{0,8}})\.heads", re.ASCII)


def layers_in(sums: Sums) -> Iterator[tuple[Kind, int, tuple[int, ...]]]:
    """Yield kind, number and heads of each layer that has sums, in their order."""
    for name, heads in sums.items():
        if match := HEADS.fullmatch(name):
            yield cast("Kind", match[1]), int(match[2]), tuple(heads.tolist())


def with_part(part: str, sums: Sums) -> dict[str, np.ndarray]:
    """Return sums under names that begin with that of a part, so that they can stand beside others."""
    return {f"{part}.{name}": array for name, array in sums.items()}


def of_part(part: str, sums: Sums) -> dict[str, np.ndarray]:
    """Return the sums that `with_part` has put beside others, under their own names."""
    begin = f"{part}."
    return {name.removeprefix(begin): array for name, array in sums.items() if name.startswith(begin)}
