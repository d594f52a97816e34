"""attn from Python: a model that is loaded once, and records of what it saw."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from attn_cli.blocks import ModelInfo
from attn_cli.look import look
from attn_cli.models import LoadOptions, Model
from attn_cli.models import load as load_model
from attn_cli.record import Record
from attn_cli.selection import Selection, check_syntax

__all__ = ["Inspector", "load"]

LISTS = frozenset({"layer", "head", "query"})
"""What is chosen by a list, of which a number alone is the shortest."""


class Inspector:
    """A loaded model that can be asked what it attends to.

    Args:
        model: as `attn_cli.models.load` gives it.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def __repr__(self) -> str:
        return f"<attn {self.info.name} ({self.info.family})>"

    @property
    def info(self) -> ModelInfo:
        """The model's name and shape."""
        return self._model.info

    def inspect(
        self,
        text: str,
        *,
        pair: str | None = None,
        target: str | None = None,
        truncate: bool = False,
        verify: bool = False,
        **selection: Any,
    ) -> Record:
        """What the model attends to in a text: the record that `attn inspect --json` prints.

        Args:
            text: what to read.
            pair: a second segment, for models that take two.
            target: the decoder's side, for an encoder-decoder.
            truncate: cut a text that is too long for the model.
            verify: check softmax(scores) . values against what the layers computed.
            **selection: fields of `attn_cli.selection.Selection`: `layer="0-2"`, `head="2.5"`, `query="it"`, ...;
                whole numbers as such, too: `layer=2`.

        Returns:
            The record; its `maps` hold `weights` `[head, query, key]` for each layer.

        Raises:
            AttnError: whatever the command would have said.
        """
        numbers = {name: str(value) for name, value in selection.items() if name in LISTS and type(value) is int}
        choice = Selection(**selection | numbers)
        if choice.query is not None and choice.view == "heads":
            choice = replace(choice, view="query")
        check_syntax(choice)
        source = self._model.prepare(text, pair=pair, target=target, truncate=truncate)
        return look(source, choice, keep=True, verify=verify).record


def load(name: str | os.PathLike[str], **options: Any) -> Inspector:
    """Load a model once.

    Args:
        name: a folder or a hub name.
        **options: fields of `attn_cli.models.LoadOptions`: `device`, `dtype`, `revision`, ...

    Raises:
        ModelError: it cannot be found, read or inspected.
    """
    return Inspector(load_model(os.fspath(name), LoadOptions(**options)))
