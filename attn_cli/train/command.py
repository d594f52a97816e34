"""The command `attn train`: train a model on pairs of sentences and show its progress."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

import typer

from attn_cli.cli.streams import say
from attn_cli.data.model import GuidedRole
from attn_cli.errors import OutputError, UsageError, quoted, shortened
from attn_cli.system.encoding import check_text

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 100
HELP = """Train an encoder-decoder on pairs of sentences.

The built-in models were made this way.

PAIRS.tsv has an English sentence, a tab and its French translation on each line. The folder holds a usable model from
the first evaluation on, soon after the start: name it with --model in every command. Ctrl-C keeps what was learned;
--resume goes on. --from starts from a model that was trained before, with its vocabulary.
"""
EPILOG = """\b
Examples:
  attn train PAIRS.tsv --arch transformer --out my-model
  attn train PAIRS.tsv --arch transformer --out my-model --resume --steps 20000
  attn train MINE.tsv --from toy --out my-toy --steps 400
  attn train PAIRS.tsv --arch rnn-attention --out my-rnn --watch "The cat sat on the mat"
"""
SET_ASIDE = 300
ENCODER_ROLES: tuple[GuidedRole, ...] = ("coreference", "subject", "object")
"""Roles of the encoder heads that training guides; see `architectures.GUIDED`, which imports torch."""


def run(
    *,
    pairs: Annotated[
        Path,
        typer.Argument(metavar="PAIRS.tsv", help="An English sentence, a tab and its French translation per line."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="The folder to write the model to.")],
    arch: Annotated[
        Literal["transformer", "rnn-attention", "rnn"],
        typer.Option(help="A Transformer, or a recurrent model with or without attention."),
    ] = "transformer",
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="MODEL", help="Start from this model's weights: a built-in one or a folder."),
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, metavar="N", help="Batches to learn from, of some 3,500 tokens each.")
    ] = 12_000,
    dev: Annotated[
        Path | None,
        typer.Option(metavar="DEV.tsv", help=f"Pairs to evaluate on (default: {SET_ASIDE} sentences of PAIRS.tsv)."),
    ] = None,
    judge_every: Annotated[
        int, typer.Option(min=1, metavar="STEPS", help="How often to evaluate and redraw, after step 50.")
    ] = 1000,
    watch: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Redraw this sentence's cross-attention as training goes on.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in FOLDER.")] = False,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**32 - 1, metavar="N", help="The seed of all random choices but the word aligner's."),
    ] = 1,
    coreference: Annotated[
        bool,
        typer.Option(
            "--coreference/--no-coreference",
            help="Add attn's own sentences, and vary names and numbers (English to French).",
        ),
    ] = True,
    guide: Annotated[
        bool | None,
        typer.Option(
            "--guide/--no-guide",
            help="Train two heads towards word alignments (default: if eflomal, which makes them, is installed).",
            show_default=False,
        ),
    ] = None,
    unguided: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE",
            help="Leave the encoder head of this role as training makes it: coreference, subject or object; "
            "may be repeated.",
        ),
    ] = None,
    device: Annotated[Literal["cpu", "cuda", "mps"], typer.Option(help="Where to train.")] = "cpu",
    fuse: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile",
            help="Compile the step: minutes at first, then much faster (default: if many steps are left).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run the command."""
    if watch is not None and arch == "rnn":
        raise UsageError("--arch rnn has no attention to watch", "Leave --watch out, or choose --arch rnn-attention")
    left = _roles(unguided or ())
    if left and (arch != "transformer" or not coreference):
        which = "--no-coreference" if arch == "transformer" else f"--arch {arch}"
        raise UsageError(f"No encoder head is guided with {which}", "Leave --unguided out")

    from attn_cli.train.pairs import read_pairs, split, written_for

    try:
        if out.exists() and not out.is_dir():
            raise UsageError(f"{out} is a file", "Name a folder with --out")
    except OSError as fault:
        raise OutputError(
            f"{shortened(str(out))} cannot be a folder: {fault.strerror}", "Choose another name"
        ) from fault
    if watch is not None:
        check_text(watch, "The text of --watch")
    if device != "cpu":
        from attn_cli.models.hf.devices import choose_device

        choose_device(device)
    told = read_pairs(pairs)
    if dev is None:
        told, aside = split(told, SET_ASIDE)
    else:
        aside = read_pairs(dev)

    from attn_cli.train.run import Settings, can_go_on, train
    from attn_cli.train.terminal import TerminalWatcher

    settings = Settings(arch, steps, seed=seed, guide=guide, unguided=left, start=start)
    if coreference:
        told = [*told, *written_for(told, aside)]
    else:
        settings = settings.of_any_languages()
    try:
        with TerminalWatcher(watch) as watcher:
            train(
                told,
                aside,
                settings,
                out,
                watcher,
                resume=resume,
                device=device,
                judge_every=judge_every,
                fuse=fuse,
            )
    except KeyboardInterrupt:
        if can_go_on(out):
            say(f"stopped; {out} holds a model, and the same command with --resume goes on from it")
        else:
            say(f"stopped before the first step; there is no model in {out} yet")
        raise
    say(f'saved {out}; try attn translate "The cat sat on the mat" --model {out}')


def _roles(asked: Collection[str]) -> tuple[GuidedRole, ...]:
    """Return the roles named, each once.

    Raises:
        UsageError: no encoder head has a role of this name.
    """
    for role in asked:
        if role not in ENCODER_ROLES:
            raise UsageError(
                f"--unguided: no encoder head has the role {quoted(role)}", "Name coreference, subject or object"
            )
    return tuple(role for role in ENCODER_ROLES if role in asked)
