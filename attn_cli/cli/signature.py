"""Parameters of a command's function: values, and dataclasses of values that several commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, field, fields, is_dataclass, make_dataclass
from typing import Any, get_type_hints

from attn_cli.cli.values import Kind

__all__ = ["Signature"]


class Signature:
    """The signature of a command's function, in which each field of a dataclass counts as a parameter of its own.

    Args:
        run: the function. Its parameters are given by keyword. Each is annotated with what Typer needs to know, or is a
            dataclass whose fields are.
    """

    def __init__(self, run: Callable[..., None]) -> None:
        self._groups: dict[str, Any] = {}
        declared: list[tuple[str, Any, Any]] = []
        parameters = inspect.signature(run).parameters
        for name, hint in _hints(run).items():
            if is_dataclass(hint):
                self._groups[name] = hint
                hints = _hints(hint)
                declared += [(one.name, hints[one.name], one.default) for one in fields(hint)]
            else:
                default = parameters[name].default
                declared.append((name, hint, MISSING if default is inspect.Parameter.empty else default))
        self.flat: type[Any] = make_dataclass(
            "Flat", [(name, hint, field(default=default)) for name, hint, default in declared], kw_only=True
        )
        """A dataclass of all parameters; its constructor takes them one by one, as Typer wants them."""
        self.kinds = {name: Kind.of(hint) for name, hint, _ in declared}
        """The type of each parameter's value."""

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments for the function: the values, those of a dataclass put together."""
        rest = dict(values)
        groups = {
            name: group(**{one.name: rest.pop(one.name) for one in fields(group)})
            for name, group in self._groups.items()
        }
        return rest | groups


def _hints(annotated: Any) -> dict[str, Any]:
    """Return the annotations of a function's parameters or a class's fields, with what Typer is told in them."""
    hints = get_type_hints(annotated, include_extras=True)
    return {name: hint for name, hint in hints.items() if name != "return"}
