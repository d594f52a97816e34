"""The attention and the chances of each step with which a model continues a prompt, or reads a known continuation."""

from __future__ import annotations

from dataclasses import replace

from attn_cli.data.outcomes import Chances, OutputKind, Wanted
from attn_cli.data.plan import choose_heads, choose_kind
from attn_cli.data.selection import Selection
from attn_cli.data.stream import Request, Source
from attn_cli.errors import InputError, ModelError
from attn_cli.models import GREEDY, Continuation, Decoding, Input, Model, Translation, Watch
from attn_cli.models.prepare import read
from attn_cli.models.spelled import joined
from attn_cli.questions.generate.choices import check_live
from attn_cli.questions.inspect.figures import Cut
from attn_cli.questions.inspect.measure import Inspection, look

__all__ = ["chances_of", "generate"]

STOPPED = "Stopped with Ctrl-C: this is what was written until then"


def generate(
    model: Model,
    given: Input,
    selection: Selection,
    *,
    known: str | None = None,
    decoding: Decoding = GREEDY,
    watch: Watch | None = None,
    live: bool = False,
    keep: bool = True,
    page: bool = False,
    verify: bool = False,
    cut: Cut | None = None,
) -> Inspection:
    """Write what follows a text, and collect the attention and the chances of each step.

    They are taken in one pass over the tokens that were written, or while these are written.

    Args:
        model: a loaded model.
        given: the text, and what goes with it.
        selection: the selection to show.
        known: the text that follows, where it is known: nothing is written then.
        decoding: settings of the search.
        watch: a function that is called with the text so far after each token; see `Model.write`.
        live: take them at each step under the cache that the model writes with, in place of that pass.
        keep: also keep the maps.
        page: keep them for a page; see `look`.
        verify: also run the model without attn, and compare.
        cut: says where a map may be cut; see `look`.

    Raises:
        UsageError: what is asked for cannot be taken live.
        InputError: the text is empty, gives no tokens or is too long.
        ModelError: the model cannot write, or could not be run.
        SelectionError: something selected does not exist.
        MemoryLimitError: the answer would not fit in memory.
        ExactnessError: the model's output is not attention weights.
    """
    if live:
        check_live(selection, beam=decoding.beam, known=known is not None)
    crosses = bool(model.info.stacks) and "cross" in model.info.stacks
    if not model.info.stacks:
        raise ModelError(model.info.without_attention, "Name another model with --model")
    if crosses:
        selection = replace(selection, translation=True, rows=selection.rows or "output")
    if known is None:
        given = _write(model, given, decoding, watch, _request(model, selection) if live else None)
    elif crosses:
        given = replace(given, target=known)
    else:
        given = replace(given, continuation=joined(given.text, known))
    source = read(model, given, selection)
    answer = look(source, selection, keep=keep, page=page, verify=verify, cut=None if crosses else cut)
    return answer if answer.chances is not None else replace(answer, chances=chances_of(model, source))


def _request(model: Model, selection: Selection) -> Request:
    """Return the heads to take while the model writes.

    Raises:
        SelectionError: a kind, layer or head does not exist.
    """
    info = model.info
    kind = choose_kind(info.stacks, selection.kind, has_target=True, name=info.name)
    heads = choose_heads(info.stacks[kind], selection.layer, selection.head, info.name)
    return Request({kind: heads}, scores=selection.scores)


def _write(model: Model, given: Input, decoding: Decoding, watch: Watch | None, live: Request | None) -> Input:
    """Write what follows a text, and say so where it was stopped."""
    stopped = False

    def ask(text: str) -> bool:
        nonlocal stopped
        stopped = watch is not None and not watch(text)
        return not stopped

    given = model.write(given, decoding, None if watch is None else ask, live)
    made, target = given.continuation, given.target
    if stopped and isinstance(made, Continuation):
        return replace(given, continuation=replace(made, notes=(*made.notes, STOPPED)))
    if stopped and isinstance(target, Translation):
        return replace(given, target=replace(target, notes=(*target.notes, STOPPED)))
    return given


def chances_of(model: Model, source: Source) -> Chances:
    """Compute the model's own distribution at each step that wrote a token.

    Raises:
        InputError: nothing was written.
        ModelError: the model could not be run.
    """
    side = source.source if source.target is None else source.target
    first = side.written if source.target is None else 1
    if first is None:
        raise InputError("There is nothing that was written", "Give what follows the text with --continue")
    ids = tuple(token.id or 0 for token in side.tokens[first:])
    places = tuple(range(first - 1, first - 1 + len(ids)))
    output: OutputKind = "next" if source.target is None else "target"
    ((_, outcome),) = model.run(source, [()], Wanted(output, places, tokens=False, written=ids))
    chances = outcome.chances
    if chances is None:
        raise ModelError(f"{model.info.name} does not say how likely its words are", "Name another model with --model")
    spelled = [model.spell_tokens(row) for row in chances.likeliest.tolist()]
    return replace(chances, spelled=tuple(map(tuple, spelled)))
