"""Typer's command classes adapted to attn: options are listed by group, and values are parsed directly."""

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
"""Name of the group of options that belong to no other; it comes last."""

READ = frozenset({str, int, float, bool, Path})
"""Types of values that are parsed here."""

Parameter = TyperArgument | TyperOption


class _ReadsValues:
    """A mixin that parses values of text, paths, numbers and choices itself.

    Typer passes every value to pydantic, even defaults. Importing pydantic takes longer than everything else that a
    help page or a usage error needs, and its messages speak of a "Value error" in the "Input".
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Replace Typer's parsing of values, then parse the command line."""
        base: Any = super()
        for parameter in self.get_params(ctx):  # type: ignore[attr-defined]
            descriptor = getattr(parameter, "type_descriptor", None)  # an older Typer has neither this nor pydantic
            if descriptor is not None and (descriptor.choices or descriptor.annotation in READ):
                parameter.process_value = functools.partial(_processed, parameter)
        rest: list[str] = base.parse_args(ctx, args)
        return rest


def _processed(parameter: Parameter, context: Any, given: Any) -> Any:
    """Convert what was passed for a parameter to its value; anything but a text is a default or a flag.

    Raises:
        BadParameter: the text is not a value of the parameter's type.
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
    """A command whose help lists the options by group, as Rich's panels do at twice the time of everything else."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line and explain surplus arguments, which an unquoted sentence leads to."""
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
        """Write a section for each group, in order of declaration."""
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
    """The group `attn`, whose commands are modules imported on demand; without arguments it shows its help."""

    modules: ClassVar[Mapping[str, str]] = {}
    """Module of each command; it defines `HELP`, `EPILOG`, `PLACE` (in the list of commands) and `run`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._loaded: dict[str, Any] = dict.fromkeys(self.modules)
        self.commands = self._loaded

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in the order of the help."""
        del ctx
        return sorted(self.modules, key=lambda name: (import_module(self.modules[name]).PLACE, name))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of this name, or None if there is none."""
        del ctx
        if self._loaded.get(cmd_name, self) is None:
            module = import_module(self.modules[cmd_name])
            alone = typer.Typer(add_completion=False, rich_markup_mode=None)
            alone.command(cmd_name, help=module.HELP, epilog=module.EPILOG, cls=Command)(module.run)
            self._loaded[cmd_name] = typer.main.get_command(alone)
        return self._loaded.get(cmd_name)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line; without arguments, show the help."""
        return super().parse_args(ctx, args or ["--help"])
