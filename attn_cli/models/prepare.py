"""Preparing a model and a text: the heads to run without, and a translation where the decoder's side is selected."""

from __future__ import annotations

from dataclasses import replace

from attn_cli.data.naming import choose_units
from attn_cli.data.selection import Kind, Selection
from attn_cli.data.stream import Source
from attn_cli.data.text import Tokens
from attn_cli.data.units import Units
from attn_cli.data.without import choose_without
from attn_cli.errors import ModelError, SelectionError
from attn_cli.models import Input, Model, translate_one
from attn_cli.models.relevant import with_output

__all__ = ["read", "run_without"]


def run_without(model: Model, typed: str | None, kind: Kind | None = None) -> Model:
    """Return a model that runs without some heads, or the model itself if none are named.

    Args:
        model: a loaded model.
        typed: the heads and layers, as `--without` takes them.
        kind: the kind of attention of those whose kind is not named; None for the model's first.

    Raises:
        UsageError: the list has another form.
        SelectionError: a kind, layer or head does not exist.
        ModelError: the model has no attention.
    """
    if typed is None:
        return model
    if not model.info.stacks:
        raise ModelError(model.info.without_attention, "Name another model with --model")
    return model.without(choose_without(typed, model.info.stacks, kind, model.info.name))


def read(model: Model, given: Input, wanted: Selection | None = None) -> Source:
    """Prepare a text for a model, ready to stream its attention.

    Args:
        model: a loaded model.
        given: what it is to read.
        wanted: the selection to show. Where there is no target, the text is translated first if the kind of attention
            is one of the decoder's side, the model has no other, or the query is a word of the translation and not
            of the text; or if relevance is measured, as the translation is what it is measured for.

    Raises:
        AttnError: the model cannot read or translate it.
    """
    if wanted is not None and wanted.measure == "relevance":
        given = with_output(model, given, wanted.relevant_to)
    source = model.prepare(given)
    stacks = model.info.stacks
    if wanted is None or given.target is not None or "cross" not in stacks or wanted.kind == "encoder":
        return source
    free = wanted.kind is None and "encoder" in stacks
    if free and (wanted.query is None or _stands_in(source.source, wanted, accents=True)):
        return source
    written = None if given.relevant_to is None else given.relevant_to.target
    if written is None:
        written = translate_one(model, replace(given, text=source.source.text))
    translated = model.prepare(replace(given, text=source.source.text, pair=None, target=written))
    written_side = translated.target
    if not free or written_side is None:
        return source if free else translated
    # A name whose accents differ from the text's may be the translation's own: `café` of `cafe`.
    for side, found, accents in (
        (written_side, translated, True),
        (source.source, source, False),
        (written_side, translated, False),
    ):
        if _stands_in(side, wanted, accents=accents):
            return found
    return source


def _stands_in(side: Tokens, wanted: Selection, *, accents: bool) -> bool:
    try:
        choose_units(Units.of(side, wanted.unit), wanted.query or "", accents=accents)
    except SelectionError:
        return False
    return True
