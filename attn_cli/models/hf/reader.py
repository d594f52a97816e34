"""Texts as the tensors of a model: tokenized, checked against what the model can read, and padded."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from attn_cli.errors import AttnError, InputError, ModelError
from attn_cli.models import Continuation
from attn_cli.models.capture.offloaded import device_of
from attn_cli.models.encoding import Pieces, wordlike
from attn_cli.models.hf.loading import quiet
from attn_cli.models.hf.positions import config_of, limit_of
from attn_cli.models.hf.tokenizing import continued, encode, given_by, inputs_of_pieces, padding_of
from attn_cli.models.hf.vocabulary import names_of, tokenizer_faults_told
from attn_cli.system.encoding import check_text

__all__ = ["FEW", "Reader"]

FEW = 64
"""Tokens of the trial text for a family that the tests do not cover: more than most windows and blocks have."""
SAMPLE = "The cat sat on the mat because it was tired. "
"""The sentence that the trial text repeats."""


class Reader:
    """A tokenizer, and what the model that it reads for can take.

    Args:
        name: the model's name, for messages.
        body: the model to run, without the head that only its output needs.
        tokenizer: its tokenizer.
        writes_text: let the decoder, if the model has one behind an encoder, read text.
    """

    def __init__(
        self, name: str, body: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, writes_text: bool = True
    ) -> None:
        self.name = name
        self.body = body
        self.tokenizer = tokenizer
        self.limits = {side: limit_of(body, side) for side in ("encoder", "decoder")}
        self.accepted = frozenset(inspect.signature(body.forward).parameters)
        self.has_decoder = bool(writes_text and body.config.is_encoder_decoder and "decoder_input_ids" in self.accepted)
        self._paddings: dict[frozenset[str], Mapping[str, Any]] = {}

    def sample(self) -> dict[str, torch.Tensor] | None:
        """Make the model's inputs for a short text; None where its tokenizer does not fit it."""
        limit = self.limits["encoder"]
        most = min(FEW, limit.tokens) if limit is not None and limit.hard else FEW
        try:
            tensors = self.tensors(encode(self.tokenizer, SAMPLE * (FEW // 8), limit=most))
        except AttnError:
            return None
        words = getattr(config_of(self.body.config, "encoder"), "vocab_size", None)
        if isinstance(words, int) and int(tensors["input_ids"].max()) >= words:
            return None
        if self.has_decoder:
            tensors["decoder_input_ids"] = torch.zeros_like(tensors["input_ids"][:, : max(1, most // 2)])
        return tensors

    def read(
        self,
        text: str,
        pair: str | None,
        side: str,
        truncate: bool,
        prefix: str = "",
        marks: tuple[tuple[int, int], ...] | None = None,
    ) -> tuple[Pieces, tuple[str, ...]]:
        """Tokenize one side, and make sure that the model has a position and an embedding for each token.

        Args:
            text: the text.
            pair: a second segment.
            side: `encoder` or `decoder`.
            truncate: cut a text that is too long.
            prefix: what the model expects before a text.
            marks: where in the text control tokens stand.

        Returns:
            The pieces, and notes.

        Raises:
            InputError: the text is empty, gives no tokens or is too long.
            ModelError: the tokenizer knows tokens that the model does not.
        """
        target = side == "decoder"
        limit = self.limits[side]
        read = partial(encode, self.tokenizer, text, prefix=prefix, pair=pair, target=target, marks=marks)
        pieces = read()
        notes = pieces.notes
        count = len(pieces.ids)
        if limit is not None and count > limit.tokens:
            if truncate:
                pieces = read(limit=limit.tokens)
                notes += (f"The {'target' if target else 'text'} was cut to {len(pieces.ids)} of its {count} tokens",)
            elif limit.hard:
                raise InputError(
                    f"The {'target' if target else 'text'} has {count} tokens, {count - limit.tokens} more than the "
                    f"{limit.tokens} that {self.name} has positions for",
                    "Shorten it, or add --truncate to cut it there",
                )
            else:
                trained = f"The model was trained with at most {limit.tokens} tokens, and here it has {count}"
                notes += (f"{trained}: what it does beyond them may mean little",)
        config = config_of(self.body.config, side)
        words = getattr(config, "decoder_vocab_size", None) if target else None
        words = words or getattr(config, "vocab_size", None)
        if isinstance(words, int) and max(pieces.ids) >= words:
            raise ModelError(
                f"The tokenizer of {self.name} knows more tokens than the model ({max(pieces.ids)} is not below "
                f"{words})",
                "Copy the tokenizer that belongs to the model into its folder",
            )
        return pieces, notes

    def check_segments(self, type_ids: tuple[Any, ...]) -> None:
        """Check that the model takes two segments, whose numbers the tokenizer gives for each token.

        Raises:
            InputError: it takes one.
        """
        kinds = getattr(self.body.config, "type_vocab_size", None)
        if isinstance(kinds, int) and isinstance(type_ids[0], int) and 0 < kinds <= max(type_ids):
            raise InputError(f"{self.name} takes one text, not two", "Leave the second out, or write one text")

    def with_continuation(
        self,
        prompt: Pieces,
        continuation: str | Continuation,
        truncate: bool,
        marks: tuple[tuple[int, int], ...] | None = None,
    ) -> tuple[Pieces, tuple[str, ...]]:
        """Put the continuation behind a prompt, with notes.

        A known text is tokenized together with the prompt where that leaves the prompt's own tokens as they are.

        Raises:
            InputError: the continuation is blank, gives no tokens, or is too long.
        """
        prompt = prompt.open_ended()
        if isinstance(continuation, Continuation):
            behind = continued(self.tokenizer, prompt.ids, continuation.text, continuation.ids)
            return prompt.then(behind), continuation.notes
        check_text(continuation, "The continuation")
        joined, notes = self.read(prompt.text + continuation, None, "encoder", truncate, marks=marks)
        joined, count = joined.open_ended(), len(prompt.ids)
        if joined.ids[:count] == prompt.ids and len(joined.ids) > count:
            return replace(joined, written=count), notes
        own, more = self.read(continuation, None, "encoder", truncate)
        inside = [index for index, mark in enumerate(own.special) if not mark]
        own = own.without({*range(len(own.ids))} - set(inside))
        apart = "The tokenizer would join the end of the prompt and what follows it; they are read apart here"
        return prompt.then(own), (*notes, *more, apart)

    def pieces_of(self, ids: Sequence[int]) -> Pieces:
        """Return the pieces of a text of exactly these tokens.

        Raises:
            InputError: there are more tokens than the model has positions for.
        """
        with quiet():
            template, _ = self.read("a", None, "encoder", truncate=False)
        names = [str(name) for name in names_of(self.tokenizer, ids)]
        pieces = template.around(ids, names, inputs_of_pieces(self.tokenizer, names))
        limit = self.limits["encoder"]
        if limit is not None and limit.hard and len(pieces.ids) > limit.tokens:
            raise InputError(
                f"{len(pieces.ids)} tokens are more than the {limit.tokens} that {self.name} has positions for",
                "Give fewer",
            )
        return pieces

    def plain_tokens(self) -> tuple[int, ...]:
        """List the ids of tokens that are words or parts of them.

        Raises:
            ModelError: the tokenizer cannot list them.
        """
        words = getattr(config_of(self.body.config, "encoder"), "vocab_size", None)
        with tokenizer_faults_told("list its own tokens"):
            count = min(len(self.tokenizer), words) if isinstance(words, int) else len(self.tokenizer)
            special = frozenset(self.tokenizer.all_special_ids)
        ids = [id_ for id_ in range(count) if id_ not in special]
        return wordlike(zip(ids, names_of(self.tokenizer, ids), strict=True))

    def plain_inputs(self, text: str, pair: str | None) -> Mapping[str, torch.Tensor]:
        """Make the inputs that a transformers user would pass to the model for a text."""
        found: Any = given_by(self.tokenizer, text, pair, return_tensors="pt")
        return {
            name: value.to(device_of(self.body)) for name, value in found.items() if isinstance(value, torch.Tensor)
        }

    def tensors(self, source: Pieces) -> dict[str, torch.Tensor]:
        """Make the model's inputs for the text: all outputs of the tokenizer that its forward accepts."""
        inputs = {"input_ids": source.ids, "attention_mask": (1,) * len(source.ids), **source.inputs}
        device = device_of(self.body)
        return {key: torch.tensor([ids], device=device) for key, ids in inputs.items() if key in self.accepted}

    def padding(self, source: Pieces) -> Mapping[str, Any]:
        """Return the padding value of each input, looked up once for each set of inputs."""
        names = frozenset(source.inputs)
        if names not in self._paddings:
            own = getattr(self.body.config, "pad_token_id", None) or 0
            with quiet():
                found = padding_of(self.tokenizer, source)
            self._paddings[names] = {
                **found,
                **dict.fromkeys(("input_ids", "decoder_input_ids"), own),
                **dict.fromkeys(("attention_mask", "decoder_attention_mask"), 0),
            }
        return self._paddings[names]
