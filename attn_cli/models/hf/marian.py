"""The toy Transformer run in transformers' own MarianMT code: the reference for its `--verify`, and under autograd."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from transformers import MarianModel, MarianMTModel

from attn_cli.data.shapes import Float
from attn_cli.data.stream import Eat, OutputCheck, Report, Request
from attn_cli.data.text import Tokens
from attn_cli.errors import ExactnessError
from attn_cli.models.capture import relevance as capture
from attn_cli.models.capture.stream import LOAD_WITH
from attn_cli.models.hf.loading import faults_told, quiet
from attn_cli.models.hf.plain import held_against, watch_output
from attn_cli.models.hf.relevance import written_tokens

__all__ = ["check_output", "stream_relevance"]


@cache
def _marian(folder: Path) -> MarianModel:
    model: MarianModel = MarianModel.from_pretrained(folder, dtype=torch.float32)
    return model


@cache
def _writing(folder: Path) -> MarianMTModel:
    model: MarianMTModel = MarianMTModel.from_pretrained(folder, dtype=torch.float32, attn_implementation=LOAD_WITH)
    return model


def stream_relevance(
    folder: Path,
    ids: tuple[int, ...],
    target: Tokens,
    word: str | None,
    request: Request,
    eat: Eat,
    *,
    own: bool,
) -> Report:
    """Run the model under autograd; see `attn_cli.models.capture.relevance.stream_relevance`.

    Args:
        folder: the model's folder.
        ids: token ids that the encoder reads.
        target: all tokens of the decoder's side, the start token first.
        word: the only word of it that is meant; None for all.
        request: the request that says what to stream.
        eat: consumer that is called with each block.
        own: True if the model wrote the target itself.

    Raises:
        SelectionError: the target has no such word.
        ModelError: transformers cannot read the folder.
    """
    with quiet(), faults_told(f"{folder.name} could not be run as MarianMT", "Choose another measure"):
        whole = _writing(folder)
        goal = written_tokens(whole, target, word, own=own)
        inputs = {
            "input_ids": torch.tensor([ids]),
            "decoder_input_ids": torch.tensor([[token.id or 0 for token in target.tokens[:-1]]]),
        }
        return capture.stream_relevance(whole.model, whole, inputs, goal.compute, request, eat)


def check_output(
    folder: Path, ids: tuple[int, ...], read: tuple[int, ...] | None, states: Float[np.ndarray, "1 token dim"]
) -> OutputCheck:
    """Compare the last hidden states of a Transformer run in NumPy with those of MarianMT with the same weights.

    Args:
        folder: the model's folder.
        ids: token ids that the encoder reads.
        read: token ids that the decoder reads; None where it is not run.
        states: last hidden states of the decoder, or of the encoder where the decoder is not run.

    Raises:
        ModelError: transformers cannot read the folder.
        ExactnessError: the states differ by more than rounding.
    """
    with quiet(), faults_told(f"{folder.name} could not be compared with MarianMT", "Leave --verify out"):
        marian = _marian(folder)
        part = marian if read is not None else marian.encoder
        given = {"input_ids": torch.tensor([ids])}
        if read is not None:
            given["decoder_input_ids"] = torch.tensor([read])
        with torch.no_grad(), watch_output(part) as seen:
            part(**given)
        gap = held_against({"last_hidden_state": torch.from_numpy(np.ascontiguousarray(states))}, seen[-1])
    if not gap.is_rounding:
        raise ExactnessError(
            f"The last hidden state of {folder.name} differs from that of transformers' MarianMT by "
            f"{gap.difference:.1e}, and rounding explains no more than {gap.rounding:.1e}",
            "Download the model again: its files may be damaged",
        )
    return OutputCheck(gap.difference, gap.compared, str(marian.config._attn_implementation))  # noqa: SLF001
