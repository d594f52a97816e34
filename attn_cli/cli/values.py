"""The values of options: texts, paths, numbers and choices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin

from typer.models import ParameterInfo

from attn_cli.errors import check_range, quoted

__all__ = ["Kind"]

Bound: TypeAlias = int | float | None


@dataclass(frozen=True)
class Kind:
    """The type of a value, with its choices and bounds."""

    type: Any
    """`str`, `bool`, `Path`, `int`, `float`, or a `Literal` of texts."""
    least: Bound = None
    most: Bound = None

    @classmethod
    def of(cls, hint: Any) -> Kind:
        """Return what an annotation says: `int`, from 1 on, of `Annotated[int | None, typer.Option(min=1)]`."""
        kind, *told = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        if NoneType in get_args(kind):
            (kind,) = (one for one in get_args(kind) if one is not NoneType)
        for one in told:
            if isinstance(one, ParameterInfo):
                return cls(kind, one.min, one.max)
        return cls(kind)

    def parse(self, text: str, name: str) -> Any:
        """Convert what was typed to a value.

        Args:
            text: what was typed.
            name: name of the option, for messages.

        Raises:
            ValueError: the text is not of this type.
            UsageError: the number is out of range.
        """
        if get_origin(self.type) is Literal and text not in get_args(self.type):
            raise ValueError(f"{quoted(text)} is not one of {', '.join(get_args(self.type))}")
        if self.type is Path:
            if not text:
                raise ValueError(f"{quoted(text)} is not a path")
            return Path(text)
        if self.type not in {int, float}:
            return text
        try:
            number: int | float = self.type(text)
        except ValueError:
            what = "whole number" if self.type is int else "number"
            raise ValueError(f"{quoted(text)} is not a {what}") from None
        check_range(name, number, self.least, self.most)
        return number
