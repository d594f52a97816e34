"""A transformers model run with its attention changed: variations of one text are the rows of one batch.

No weights are needed for that. A zeroed or replaced head is a slice of what the attention function returns, an even
head a query of zeros, and a cut edge an additive mask of the rows, heads and queries that it is in; so layers run on
SDPA wherever that is exact. Families of older code run one variation at a time (`cut_softmax.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from transformers.modeling_utils import PreTrainedModel

from attn_cli.data.cuts import (
    Cut,
    CutEdges,
    EvenHeads,
    ReplacedHeads,
    Variation,
    ZeroedHeads,
    cuts_by_layer,
    left_nothing,
)
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Kind
from attn_cli.errors import ModelError
from attn_cli.models.capture.anatomy import Place
from attn_cli.models.capture.call import AttentionCall
from attn_cli.models.capture.cut_softmax import cut_older_layers
from attn_cli.models.capture.delivery import Turns
from attn_cli.models.capture.interface import NAME
from attn_cli.models.capture.passes import InterfaceRun, cannot_be_cut
from attn_cli.models.capture.slices import is_seen
from attn_cli.models.capture.stream import HALF, anatomy_of, left_as_found

__all__ = ["Edited", "edited"]


class Edited(InterfaceRun):
    """The attention of one or several passes of a model with cuts in it.

    Args:
        model: the model that runs.
        variations: the cuts of each row of a batch. A layer may run for the first rows alone, if it has no cuts in
            others.
        shapes: numbers of queries and keys of each kind; none while the model writes.
        repeats: whether the model runs several times, as it does while it writes. Then a batch may have several rows
            for each variation, side by side, as a search with several hypotheses has.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        variations: Sequence[Variation],
        shapes: Mapping[Kind, tuple[int, int]],
        *,
        repeats: bool = False,
    ) -> None:
        anatomy = anatomy_of(model)
        super().__init__(model, anatomy, Turns(model.config.model_type, anatomy, repeats=repeats).begin)
        self._count = len(variations)
        self.repeats = repeats
        self.shapes = shapes
        self._before = 0
        """The number of tokens that the decoder has read in earlier passes."""
        self.cuts = cuts_by_layer(variations)
        self.lost: dict[int, dict[tuple[Kind, int], None]] = {}
        """Index of a variation -> the layers in which a query is left nothing to see."""
        self.on_output: Callable[[Place, torch.Tensor], None] | None = None
        """The function that is called with the output of each layer's attention function."""
        self.holds_weights = False
        """True if a layer's weights were held all at once, as its output could not be computed by SDPA."""

    def compute(self, place: Place | None, call: AttentionCall) -> Float[torch.Tensor, "row query head dim"]:
        """Compute one layer's output with its cuts."""
        if place is not None and place.kind == "decoder":
            self._before = call.key.shape[2] - call.query.shape[2]
        cuts = [] if place is None else self._rows(place, call)
        if place is not None and any(isinstance(cut, EvenHeads) for _, cut in cuts):
            call.query = call.query.clone()
            for row, cut in cuts:
                if isinstance(cut, EvenHeads):
                    call.query[row, list(cut.heads_of(place.heads))] = 0
        output = self._whole(call)
        if place is not None and cuts:
            output = output.clone()
            self._recompute(place, call, cuts, output)
            for row, cut in cuts:
                heads = list(cut.heads_of(place.heads))
                if isinstance(cut, ZeroedHeads):
                    output[row, :, heads] = 0
                elif isinstance(cut, ReplacedHeads):
                    start = 0 if place.kind == "encoder" else self._before
                    vectors = cut.of_queries(start, (len(heads), output.shape[1], output.shape[3]))
                    output[row, :, heads] = torch.from_numpy(vectors).transpose(0, 1).to(output)
        if place is not None and self.on_output is not None:
            self.on_output(place, output)
        return output

    def _rows(self, place: Place, call: AttentionCall) -> list[tuple[int, Cut]]:
        """Return the cuts of a layer with the row of the batch that each is made in.

        Raises:
            ModelError: the layer computes other heads or positions than expected.
        """
        found = self.cuts.get((place.kind, place.layer), [])
        if not found:
            return []
        query, key = call.query, call.key
        repeated, rest = divmod(len(query), self._count) if self.repeats else (1, max(0, len(query) - self._count))
        expected = self.shapes.get(place.kind)
        if rest or query.shape[1] != place.heads or expected not in (None, (query.shape[2], key.shape[2])):
            raise cannot_be_cut(self.family, place, call)
        return [(index * repeated + row, cut) for index, cut in found for row in range(repeated)]

    def _whole(self, call: AttentionCall) -> Float[torch.Tensor, "row query head dim"]:
        """Compute a layer's output by SDPA, or by the model's own function where that is not exact."""
        exact = call.suits_flash and self.masks.flash and call.query.dtype not in HALF
        if exact or (call.suits_flash and not call.has_own):
            return call.flash()
        self.holds_weights = True
        return call.whole()

    def _recompute(
        self, place: Place, call: AttentionCall, cuts: Sequence[tuple[int, Cut]], output: torch.Tensor
    ) -> None:
        """Compute the queries of cut edges again, and all queries of even heads if their scores have a bias."""
        count, keys = call.query.shape[2], call.key.shape[2]
        before = 0 if place.kind == "encoder" else self._before
        biased = call.is_biased
        edges: dict[int, list[tuple[list[int], list[tuple[int, int]]]]] = {}
        flat: dict[int, list[int]] = {}
        for row, cut in cuts:
            heads = list(cut.heads_of(place.heads))
            if isinstance(cut, CutEdges):
                inside = [(at - before, to) for at, to in cut.edges if 0 <= at - before < count and to < keys]
                if inside:
                    edges.setdefault(row, []).append((heads, inside))
            elif isinstance(cut, EvenHeads) and biased:
                flat.setdefault(row, []).extend(heads)
        rows = sorted({*edges, *flat})
        if not rows:
            return
        queries = sorted({at for own in edges.values() for _, pairs in own for at, _ in pairs})
        if flat:
            queries = list(range(count))
        some = call.take(rows, queries)
        mask = some.mask
        assert mask is not None  # `take` makes one  # noqa: S101
        seen = is_seen(mask)
        lowest = torch.finfo(mask.dtype).min
        for index, row in enumerate(rows):
            if row in flat:
                mask[index, flat[row]] = torch.where(seen[index, flat[row]], 0.0, lowest)
                for bias in some.biases.values():
                    bias[index, flat[row]] = 0
            for heads, pairs in edges.get(row, ()):
                at, to = ([pair[side] for pair in pairs] for side in (0, 1))
                at = [queries.index(query) for query in at]
                mask[index, torch.tensor(heads)[:, None], torch.tensor(at), torch.tensor(to)] = lowest
        again = self._whole(some)
        nothing = seen.any(dim=-1) & ~is_seen(mask).any(dim=-1)
        again[nothing.transpose(1, 2)] = 0
        for index in nothing.flatten(1).any(dim=1).nonzero()[:, 0].tolist():
            repeated = len(call.query) // self._count if self.repeats else 1
            own = self.lost.setdefault(rows[index] // repeated, {})
            own[place.kind, place.layer] = None
        output[torch.tensor(rows)[:, None], torch.tensor(queries)] = again

    def notes(self, index: int) -> tuple[str, ...]:
        """Return the notes on one variation."""
        return left_nothing(self.lost.get(index, ()))


@contextmanager
def edited(model: PreTrainedModel, run: Edited) -> Iterator[None]:
    """Let every pass of a model run with cuts, until the context is left.

    Raises:
        ModelError: a layer cannot be cut.
    """
    anatomy = anatomy_of(model)
    family = model.config.model_type

    def lost(place: Place) -> None:
        run.lost.setdefault(0, {})[place.kind, place.layer] = None

    if anatomy.captured == "hooks" and model.config._attn_implementation != "eager":  # noqa: SLF001
        raise ModelError(
            f"The attention of the family {family} can be cut only if it is loaded with eager attention",
            'Load it with attn_implementation="eager"',
        )
    with ExitStack() as stack:
        stack.enter_context(left_as_found(model, NAME if anatomy.modern else None))
        stack.enter_context(torch.no_grad())
        older = cut_older_layers(model, anatomy, run.cuts, run.shapes, lost, run.on_output, repeats=run.repeats)
        stack.enter_context(older)
        stack.enter_context(run.running())
        yield
