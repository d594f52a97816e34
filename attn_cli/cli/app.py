"""The `attn` app, and the one place that turns errors into one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated

import typer

from attn_cli import __version__
from attn_cli.cli import inspect, models, schema, train, view
from attn_cli.cli.commands import Command, Group
from attn_cli.errors import AttnError
from attn_cli.render.labels import clean

__all__ = ["app", "main"]

# Typer's own name for "the command line is wrong", through its one public subclass.
CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]

INTERRUPTED = 130

EPILOG = """\b
Example: attn inspect "The cat sat on the mat" --model FOLDER

Exit codes: 0 fine, 2 command line, 3 input, 4 selection, 5 model, 6 output, 7 memory, 8 not attention.
"""

app = typer.Typer(
    name="attn",
    cls=Group,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="See what a Transformer attends to: per-head tables and heatmaps, in the terminal.",
    epilog=EPILOG,
)
for command in (inspect, view, models, train, schema):
    app.command(command.NAME, help=command.HELP, epilog=command.EPILOG, cls=Command)(command.run)


def _version(show: bool | None) -> None:
    if show:
        print(f"attn {__version__}")
        raise typer.Exit


@app.callback()
def attn(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = None,
) -> None:
    """Options that come before any command."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command line.

    Args:
        arguments: what follows `attn`; the process's own by default.

    Returns:
        The exit code; see `attn_cli.errors`.
    """
    for stream in (sys.stdout, sys.stderr):
        # A text from anywhere must not end in UnicodeEncodeError on a terminal that cannot show it.
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
    debug = os.environ.get("ATTN_DEBUG", "") not in {"", "0"}
    try:
        code = typer.main.get_command(app).main(arguments, prog_name="attn", standalone_mode=False)
        sys.stdout.flush()
    except AttnError as error:
        if debug:
            raise
        return _complain(str(error), error.exit_code)
    except CommandLineError as error:
        if debug:
            raise
        return _command_line_error(error)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough (`| head`); the interpreter must not try to flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return int(code or 0)


def _complain(message: str, code: int) -> int:
    # The one line may quote the user's text, so control characters in it are made visible, not obeyed.
    print(f"attn: {clean(message)}", file=sys.stderr)
    return code


def _command_line_error(error: Exception) -> int:
    message: str = error.format_message()  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    path = "attn" if context is None else context.command_path
    return _complain(f"{message.rstrip('.')}. See '{path} --help'.", 2)
