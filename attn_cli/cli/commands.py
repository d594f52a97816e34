"""Typer's commands as attn has them: options shown by group, and values read at once."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from attn_cli.errors import quoted

__all__ = ["Command", "Group"]

OTHER = "Options"
"""The group of options that belong to no other; it comes last."""

READ = frozenset({str, int, float, bool, Path})
"""Types of values that are read here."""

Parameter = TyperArgument | TyperOption


class _ReadsValues:
    """Reads values of text, paths, numbers and choices itself.

    Typer hands each value to pydantic, those that were not given too. Importing that takes longer than all else that a
    help page or a usage error needs, and what it then says speaks of a "Value error" in the "Input".
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take over from Typer just before it reads the command line."""
        base: Any = super()
        for parameter in self.get_params(ctx):  # type: ignore[attr-defined]
            descriptor = getattr(parameter, "type_descriptor", None)  # an older Typer has none, and no pydantic either
            if descriptor is not None and (descriptor.choices or descriptor.annotation in READ):
                parameter.process_value = functools.partial(_processed, parameter)
        rest: list[str] = base.parse_args(ctx, args)
        return rest


def _processed(parameter: Parameter, context: Any, given: Any) -> Any:
    """The value of a parameter, from what was given for it; what is no text is a default or a flag.

    Raises:
        BadParameter: it cannot be that.
    """
    value = _read(parameter, context, given) if isinstance(given, str) else given
    if value is None and parameter.required:
        option = isinstance(parameter, TyperOption)
        shown = parameter.opts[0] if option else parameter.metavar or str(parameter.name).upper()
        context.fail(f"Missing {parameter.param_type_name} {shown}")
    return value if parameter.callback is None else parameter.callback(context, parameter, value)


def _read(parameter: Parameter, context: Any, given: str) -> str | int | float | Path:
    def refuse(why: str) -> NoReturn:
        raise typer.BadParameter(f"{quoted(given)} {why}", ctx=context, param=parameter)

    kind, choices = parameter.type_descriptor.annotation, parameter.type_descriptor.choices
    if choices is not None and given not in choices:
        refuse(f"is not one of {', '.join(map(str, choices))}")
    if kind is Path:
        if not given:
            refuse("is not a path")
        return Path(given)
    if kind not in {int, float}:
        return given
    try:
        number: int | float = kind(given)
    except ValueError:
        refuse("is not a whole number" if kind is int else "is not a number")
    if parameter.min is not None and not number >= parameter.min:
        refuse(f"is less than {parameter.min:g}" if number == number else "is not a number")
    if parameter.max is not None and number > parameter.max:
        refuse(f"is more than {parameter.max:g}")
    return number


class Command(_ReadsValues, TyperCommand):
    """Help that shows the options by group. Rich's panels would do the same at twice the time of everything else."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line; a sentence that was not quoted falls apart into more texts than there can be."""
        ctx.allow_extra_args = True
        rest = super().parse_args(ctx, args)
        if rest:
            quotes = any(parameter.name == "text" for parameter in self.get_params(ctx))
            ctx.fail(
                f"There is no place for {', '.join(map(quoted, rest[:3]))}{', ...' if rest[3:] else ''}"
                f"{': put the sentence in quotes' if quotes else ''}"
            )
        return rest

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each group, in the order they are declared."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                own = "Arguments" if parameter.param_type_name == "argument" else OTHER
                group = getattr(parameter, "rich_help_panel", None) or own
                sections.setdefault(group, []).append(record)
        for name, records in sorted(sections.items(), key=lambda section: section[0] == OTHER):
            with formatter.section(name):
                formatter.write_dl(records)


class Group(_ReadsValues, TyperGroup):
    """`attn` itself, with its commands, each a module that is imported when it is named; alone, it shows its help."""

    modules: ClassVar[Mapping[str, str]] = {}
    """Where each command is; a module has `HELP`, `EPILOG`, `PLACE` (in the list of commands) and `run`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._loaded: dict[str, Any] = dict.fromkeys(self.modules)
        self.commands = self._loaded

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands, in the order of the help."""
        del ctx
        return sorted(self.modules, key=lambda name: (import_module(self.modules[name]).PLACE, name))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name; None where there is none."""
        del ctx
        if self._loaded.get(cmd_name, self) is None:
            module = import_module(self.modules[cmd_name])
            alone = typer.Typer(add_completion=False, rich_markup_mode=None)
            alone.command(cmd_name, help=module.HELP, epilog=module.EPILOG, cls=Command)(module.run)
            self._loaded[cmd_name] = typer.main.get_command(alone)
        return self._loaded.get(cmd_name)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line."""
        return super().parse_args(ctx, args or ["--help"])
