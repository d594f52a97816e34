"""The `attn` app, and the one place that turns errors into one line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Annotated

import typer

from attn_cli.cli.commands import Group
from attn_cli.cli.streams import ReaderGoneError, say, standard_streams
from attn_cli.errors import AttnError, MemoryLimitError, is_panic, shortened
from attn_cli.system.encoding import escaped
from attn_cli.version import __version__

__all__ = ["Commands", "app", "debugging", "main"]

INTERRUPTED = 130
READER_GONE = 141
"""Exit code that a shell reports for a program that a broken pipe has ended."""

EPILOG = """\b
Example: attn translate "The cat sat on the mat"

Exit codes: 0 fine, 2 command line, 3 input, 4 selection, 5 model, 6 output, 7 memory, 8 not attention.
"""


def _modules() -> dict[str, str]:
    """Map each command's name to its module: every folder in `questions`, and training."""
    rooms = find_spec("attn_cli.questions")
    folders = None if rooms is None else rooms.submodule_search_locations
    found = {name: f"attn_cli.questions.{name}.command" for _, name, is_folder in iter_modules(folders) if is_folder}
    return found | {"train": "attn_cli.train.command"}


class Commands(Group):
    """The group of all commands."""

    modules = _modules()


app = typer.Typer(
    name="attn",
    cls=Commands,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        # Typer imports pydantic for any other default, even for its own flags'.
        "default_map": dict.fromkeys(("help", "install_completion", "show_completion"), False),
    },
    help="See what a Transformer attends to: per-head tables and heatmaps, in the terminal.",
    epilog=EPILOG,
)


def _version(show: bool) -> bool:
    if show:
        print(f"attn {__version__}")
        raise typer.Exit
    return show


@app.callback()
def attn(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Accept the options that come before any command."""


def debugging() -> bool:
    """Return whether `ATTN_DEBUG` asks for tracebacks and for the output of libraries."""
    return os.environ.get("ATTN_DEBUG", "") not in {"", "0"}


def main(arguments: list[str] | None = None) -> int:
    """Run one command line.

    Args:
        arguments: the arguments after `attn`; those of the process by default.

    Returns:
        The exit code; see `attn_cli.errors`.
    """
    # Matrices are small here, and NumPy's threads take 50 times as long on a busy machine, waiting for one another.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with standard_streams():
        try:
            code = typer.main.get_command(app).main(arguments, prog_name="attn", standalone_mode=False)
            sys.stdout.flush()
        except (KeyboardInterrupt, typer.Abort):
            return INTERRUPTED
        except ReaderGoneError:
            return READER_GONE
        except BaseException as error:  # every error ends here, as one line for the user
            if not isinstance(error, Exception) and not is_panic(error):
                raise
            if debugging():
                sys.stderr.write(escaped(traceback.format_exc(), keep="\n"))
            told = _told(error)
            say(str(told))
            return told.exit_code
        return int(code or 0)


def _told(error: BaseException) -> AttnError:
    """Convert any error to one with a message for the user."""
    if isinstance(error, AttnError):
        return error
    if isinstance(error, MemoryError) or "failed to map segment" in str(error):  # raised when a library is imported
        return MemoryLimitError("Memory ran out", "Choose fewer heads with --layer or --head, or a shorter text")
    if isinstance(error, ImportError):
        return AttnError(
            f"A library that attn needs cannot be imported: {shortened(str(error), 200)}",
            "Install attn again, with the versions in its constraints.txt",
        )
    return AttnError(
        f"This is a fault in attn itself ({type(error).__name__}: {shortened(str(error), 200)})",
        "Set ATTN_DEBUG=1 to see where it happened, and please report it",
    )
