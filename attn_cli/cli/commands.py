"""The command classes: commands are imported on demand, their help is by group, and their values are parsed here."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from attn_cli.cli.signature import Signature
from attn_cli.errors import UsageError, quoted

__all__ = ["Command", "Group", "unexpected"]

OTHER = "Options"
"""Name of the group of options that belong to no other; it comes last."""


QUOTES = "Put the sentence in quotes"
"""Remedy for more arguments than a command takes: most often a sentence without quotes."""


def unexpected(words: Sequence[str], remedy: str = QUOTES) -> UsageError:
    """Return the error for more arguments than a command takes."""
    named = ", ".join(map(quoted, words[:3])) + (f" and {len(words) - 3} more" if words[3:] else "")
    return UsageError(f"Unexpected argument{'s' if words[1:] else ''} {named}", remedy)


@contextmanager
def _reported(ctx: Any) -> Iterator[None]:
    """Convert Typer's errors to attn's own within the block.

    Raises:
        UsageError: the command line is invalid.
    """
    try:
        yield
    except typer.TyperException as error:
        said = _elsewhere(ctx, getattr(error, "option_name", None)) or error.format_message().rstrip(".")
        raise UsageError(said, f"See '{ctx.command_path} --help'") from error


def _elsewhere(ctx: Any, option: str | None) -> str:
    """Say which other commands have an option that this one has not; nothing if none has it."""
    group = None if ctx.parent is None else ctx.parent.command
    if option is None or not isinstance(group, Group) or ctx.command.has(ctx, option) or not group.mentions(option):
        return ""
    others = [name for name in group.list_commands(ctx) if group.get_command(ctx, name).has(ctx, option)]
    return f"'{ctx.command_path}' has no option {option}, as there is in {', '.join(others)}" if others else ""


class Command(TyperCommand):
    """A command of attn.

    Args:
        name: name of the command.
        run: its function; `Signature` says what it may take.
        help: description, in paragraphs.
        epilog: examples.
    """

    def __init__(self, name: str, run: Callable[..., None], *, help: str, epilog: str) -> None:  # noqa: A002
        super().__init__(name, callback=self._call, help=inspect.cleandoc(help), epilog=epilog, rich_markup_mode=None)
        self._run = run

    def _call(self, **values: Any) -> None:
        self._run(**self._signature.arguments(values))

    @cached_property
    def _signature(self) -> Signature:
        return Signature(self._run)

    @cached_property
    def _declared(self) -> list[Any]:
        """The parameters that Typer reads from the signature."""
        alone = typer.Typer(add_completion=False)
        alone.command()(self._signature.flat)
        return typer.main.get_command(alone).params

    def has(self, ctx: Any, option: str) -> bool:
        """Return whether there is an option of this name."""
        return any(option in parameter.opts for parameter in self.get_params(ctx))

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, which are not read before they are needed: a list of commands does not need them."""
        self.params = self._declared
        return super().get_params(ctx)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line and every value on it.

        Typer would pass every value to pydantic, even defaults: importing pydantic takes longer than everything else
        that a usage error needs, and its messages speak of a "Value error" in the "Input".

        Raises:
            UsageError: the command line is invalid.
        """
        with _reported(ctx):
            typed, rest, order = self.make_parser(ctx).parse_args(args=args)
            names = [parameter.name for parameter in order]  # as they were typed, so that the first fault is told
            parameters = sorted(self.get_params(ctx), key=lambda one: [*names, one.name].index(one.name))
            for parameter in sorted(parameters, key=lambda one: not one.is_eager):
                value, source = parameter.consume_value(ctx, typed)
                ctx.set_parameter_source(parameter.name, source)
                if not ctx.resilient_parsing:  # as where the shell completes a line that is not finished
                    value = self._value(ctx, parameter, value)
                if parameter.callback is not None:
                    parameter.callback(ctx, parameter, value)
                if parameter.expose_value:
                    ctx.params[parameter.name] = value
            if rest and not ctx.resilient_parsing:
                self._refuse(ctx, rest)
        ctx.args = rest
        return rest

    def _value(self, ctx: Any, parameter: Any, given: Any) -> Any:
        """Return the value of a parameter, from what was typed for it, its variable in the environment or its default.

        Raises:
            TyperException: there is no value, or it is not of the parameter's type.
            UsageError: a number is out of range.
        """
        if given is None and parameter.required:
            option = parameter.param_type_name == "option"
            ctx.fail(f"Missing {parameter.param_type_name} {parameter.opts[0] if option else parameter.metavar}")
        if isinstance(given, tuple):  # words of an argument that takes several
            return list(given)
        if not isinstance(given, str):  # a default or a flag
            return given
        try:
            return self._signature.kinds[parameter.name].parse(given, parameter.opts[0])
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=parameter) from error

    def _refuse(self, ctx: Any, rest: Sequence[str]) -> None:
        """Explain that there are more arguments than the command takes, as after a sentence without quotes.

        Raises:
            UsageError: always.
        """
        values = [one.metavar.strip("[]") for one in self.get_params(ctx) if one.param_type_name == "argument"]
        if "text" in self._signature.kinds:
            remedy = QUOTES
        elif values:
            remedy = f"'{ctx.command_path}' takes {' and '.join(values)}: put one that has spaces in quotes"
        else:
            remedy = f"'{ctx.command_path}' takes only options"
        raise unexpected(rest, remedy)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each group of options, in order of declaration, as Rich's panels do at twice the time."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                own = "Arguments" if parameter.param_type_name == "argument" else OTHER
                group = getattr(parameter, "rich_help_panel", None) or own
                sections.setdefault(group, []).append(record)
        for name, records in sorted(sections.items(), key=lambda section: section[0] == OTHER):
            with formatter.section(name):
                formatter.write_dl(records)


class Group(TyperGroup):
    """The group `attn`, whose commands are modules imported on demand; without arguments it shows its help."""

    modules: ClassVar[Mapping[str, str]] = {}
    """Module of each command; it defines `HELP`, `EPILOG`, `PLACE` (in the list of commands) and `run`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._loaded: dict[str, Command | None] = dict.fromkeys(self.modules)
        self.commands: Any = self._loaded  # whose names Typer suggests instead of a misspelled one

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in the order of the help."""
        del ctx
        return sorted(self.modules, key=lambda name: (import_module(self.modules[name]).PLACE, name))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of this name, or None if there is none."""
        del ctx
        if cmd_name in self.modules and self._loaded[cmd_name] is None:
            module = import_module(self.modules[cmd_name])
            self._loaded[cmd_name] = Command(cmd_name, module.run, help=module.HELP, epilog=module.EPILOG)
        return self._loaded.get(cmd_name)

    def mentions(self, option: str) -> bool:
        """Return whether the source of any command has a word that could be the name of this option.

        Reading the sources takes a tenth of the time of importing them all, which a typing error need not wait for.
        """
        name = option.removeprefix("--").removeprefix("no-")
        spelled = re.compile(rf"\b({re.escape(name)}|{re.escape(name.replace('-', '_'))})\b".encode())
        package = Path(__file__).parents[1]
        sources = [package.parent.joinpath(*module.split(".")).with_suffix(".py") for module in self.modules.values()]
        return any(spelled.search(path.read_bytes()) for path in (*sources, Path(__file__).with_name("options.py")))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line; without arguments, show the help.

        Raises:
            UsageError: the command line is invalid.
        """
        with _reported(ctx):
            return super().parse_args(ctx, args or ["--help"])

    def invoke(self, ctx: Any) -> Any:
        """Run the command that is named.

        Raises:
            UsageError: there is none of this name, or its options are invalid.
        """
        with _reported(ctx):
            return super().invoke(ctx)
