"""The description of a model: its kinds of attention, layers and heads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from attn_cli.data.selection import KINDS, Kind, Rows
from attn_cli.errors import ModelError

__all__ = ["NOT_GIVEN", "Alignment", "Captured", "GuidedHead", "GuidedRole", "Heads", "ModelInfo", "Stack"]

Heads = Mapping[Kind, Mapping[int, tuple[int, ...]]]
"""kind -> layer -> heads."""

GuidedRole = Literal["reading", "writing", "coreference", "subject", "object"]
"""The links that a guided head is trained to follow.

`reading` is from the step that reads a target word to the source words that it translates, `writing` the same from the
step that writes it. The others are from one source word to another: `coreference` from a pronoun to its noun, `subject`
and `object` from a word to its verb.
"""

Captured = Literal["interface", "hooks", "numpy", "given"]
"""The origin of weights: inside the model's own attention function, from what its layers return, computed by the
built-in model itself, or given as a matrix, whose model is not known."""

NOT_GIVEN = "no map given"
"""Description of a layer whose maps were not given (`Stack.without`)."""

ALIGNING: Mapping[GuidedRole, Rows] = {"reading": "input", "writing": "output"}
"""Role of a head that aligns words -> the step at which it does."""


@dataclass(frozen=True)
class Stack:
    """The attention layers of one kind."""

    layers: int
    """The number of layers, including those without attention."""
    heads: Mapping[int, int]
    """layer -> number of heads, for the layers that have attention."""
    key_value_heads: int
    """The number of key-value heads; fewer than the heads if those share keys and values (grouped-query attention)."""
    without: Mapping[int, str] = field(default_factory=dict)
    """layer -> description of what it has instead of attention maps (`mamba`, `linear attention`)."""

    @property
    def total(self) -> int:
        """The number of heads in all layers."""
        return sum(self.heads.values())


@dataclass(frozen=True)
class Alignment:
    """Heads that are known to align each word of the output with the word of the input that it comes from."""

    layer: int
    heads: tuple[int, ...]
    """Cross-attention heads of that layer; if there are several, their mean is the alignment."""
    rows: Rows
    """The step at which a word's row is read: the one that outputs it, or the one that reads it as input."""
    how: str
    """The origin of the alignment, in one sentence with a full stop: trained, or found to be best on some data."""
    kind: Literal["cross"] = "cross"

    @classmethod
    def declared(cls, known: object, stacks: Mapping[Kind, Stack], name: str) -> Alignment | None:
        """Read the alignment heads that a model's `config.json` declares under `attn`, if any.

        Args:
            known: the value of `attn` in `config.json`.
            stacks: the model's attention layers.
            name: the model, as the user named it.

        Raises:
            ModelError: the declaration names heads that the model does not have, or is malformed.
        """
        found: Any = known.get("alignment") if isinstance(known, Mapping) else None
        if found is None:
            return None
        parts = ("layer", "heads", "rows", "how")
        values: list[Any] = [found.get(part) if isinstance(found, Mapping) else None for part in parts]
        layer, heads, rows, how = values
        counts = stacks["cross"].heads if "cross" in stacks else {}
        count = counts.get(layer, 0) if type(layer) is int else 0
        listed = heads if isinstance(heads, list) else []
        fits = (
            count > 0,
            len(listed) > 0 and all(type(head) is int and 0 <= head < count for head in listed),
            rows in get_args(Rows),
            isinstance(how, str),
        )
        for part, fit in zip(parts, fits, strict=True):
            if not fit:
                expected = "of its cross-attention" if part in {"layer", "heads"} else "that attn knows"
                raise _wrong_declaration(name, f"alignment.{part}", f"must name {part} {expected}", "alignment")
        return cls(layer, tuple(heads), rows, how)


@dataclass(frozen=True)
class GuidedHead:
    """A head that was trained to look where it looks (guided attention), and so has not learned it from translating."""

    kind: Kind
    layer: int
    head: int
    role: GuidedRole
    towards: str
    """The start and the end of its links: `from “it” to the noun that it stands for`."""
    on: str
    """The texts that it was guided on: `the sentences of a grammar`."""

    @property
    def aligns_at(self) -> Rows | None:
        """The step at which it aligns words; None if that is not its role."""
        return ALIGNING.get(self.role)

    @property
    def title(self) -> str:
        """The role in the words of captions."""
        return {None: self.role, "input": "alignment when read", "output": "alignment when written"}[self.aligns_at]

    @classmethod
    def declared(cls, known: object, stacks: Mapping[Kind, Stack], name: str) -> tuple[GuidedHead, ...]:
        """Read the guided heads that a model's `config.json` declares under `attn`; none if it declares none.

        Args:
            known: the value of `attn` in `config.json`.
            stacks: the model's attention layers.
            name: the model, as the user named it.

        Raises:
            ModelError: the declaration names heads that the model does not have, or is malformed.
        """
        listed: Any = known.get("guided", []) if isinstance(known, Mapping) else []
        if not isinstance(listed, list):
            raise _wrong_declaration(name, "guided", "must be a list of heads", "guided")
        names = tuple(part.name for part in fields(cls))
        heads = []
        for index, one in enumerate(listed):
            values: list[Any] = [one.get(part) if isinstance(one, Mapping) else None for part in names]
            kind, layer, head, role, towards, on = values
            stack = stacks.get(kind) if kind in KINDS else None
            count = stack.heads.get(layer, 0) if stack is not None and type(layer) is int else 0
            fits = (
                stack is not None,
                count > 0,
                type(head) is int and 0 <= head < count,
                role in get_args(GuidedRole),
                isinstance(towards, str),
                isinstance(on, str),
            )
            for part, fit in zip(names, fits, strict=True):
                if not fit:
                    expected = (
                        f"name a {part} of its attention" if part in names[:3] else f"be a {part} that attn knows"
                    )
                    raise _wrong_declaration(name, f"guided[{index}].{part}", f"must {expected}", "guided")
            heads.append(cls(kind, layer, head, role, towards, on))
        return tuple(heads)


def _wrong_declaration(name: str, place: str, problem: str, part: str) -> ModelError:
    """Return the error for what a model's `config.json` declares about its heads."""
    return ModelError(f"config.json of {name}: attn.{place} {problem}", f"Copy it again, or remove {part} from it")


@dataclass(frozen=True)
class ModelInfo:
    """The facts about a model that readers of its attention need."""

    name: str
    """The name that the user gave."""
    family: str
    """The `model_type` of transformers, or the name of the built-in model."""
    stacks: Mapping[Kind, Stack]
    captured: Captured
    """The way in which the weights were captured."""
    dtype: str = "float32"
    device: str = "cpu"
    parameters: int | None = None
    positions: int | None = None
    """The length of the longest input, in tokens; None if there is no limit."""
    alignment: Alignment | None = None
    """The alignment that the model declares for its cross-attention; None if nothing is known."""
    guided: tuple[GuidedHead, ...] = ()
    """The heads that were trained to look where they look; empty if the model names none."""
    bottleneck: int | None = None
    """The size of the one vector that carries the whole text to the decoder, in a model without attention (whose
    `stacks` are empty); None in all others."""
    without: Heads = field(default_factory=dict)
    """The heads whose output is zero in every run of this model (`--without`)."""
    unscaled: bool = False
    """True if rows need not sum to 1, as those of a matrix from elsewhere may not (`--no-check`)."""

    @property
    def shown_at(self) -> Rows:
        """The step at which a word's row in cross-attention is shown if none is asked for.

        That is the step that writes the word where a head was guided to align there, since a reader asks where the
        model looks while it writes. Else it is that of the alignment declared, or the step that reads the word: in
        Transformers whose heads were not trained to align, a word aligns far better there (Chen et al. 2020, "Accurate
        Word Alignment Induction from Neural Machine Translation").
        """
        if any(one.aligns_at == "output" for one in self.guided):
            return "output"
        return "input" if self.alignment is None else self.alignment.rows

    def rows_of(self, heads: Mapping[int, Sequence[int]]) -> Rows:
        """Return the step at which some heads of cross-attention, by layer, are shown if none is asked for.

        That is the one at which they were guided to align, if it is one, else `shown_at`.
        """
        guided = self.guided_among(("cross", layer, head) for layer, some in heads.items() for head in some)
        steps = {one.aligns_at for one in guided if one.aligns_at is not None}
        return steps.pop() if len(steps) == 1 else self.shown_at

    def alignment_at(self, rows: Rows) -> Alignment | None:
        """Return the alignment that the model declares; of heads guided to align at other rows, those at these rows."""
        declared = self.alignment
        if declared is None or declared.rows == rows:
            return declared
        guided = next((one for one in self.guided if one.aligns_at == rows), None)
        return declared if guided is None else Alignment(guided.layer, (guided.head,), rows, "")

    def guided_among(self, places: Iterable[tuple[Kind, int, int]]) -> tuple[GuidedHead, ...]:
        """Return the guided heads among some places (kind, layer, head), in their order."""
        shown = set(places)
        ordered = sorted(self.guided, key=lambda one: (KINDS.index(one.kind), one.layer, one.head))
        return tuple(one for one in ordered if (one.kind, one.layer, one.head) in shown)

    @property
    def one_sided(self) -> bool:
        """True if the model is an encoder or a decoder alone, which takes no target."""
        return bool(self.stacks) and "cross" not in self.stacks

    @property
    def without_attention(self) -> str:
        """The message about a model without attention, as a sentence without a full stop."""
        if self.bottleneck is None:
            return f"{self.name} has no attention"
        return (
            f"{self.name} has no attention to show: the whole text passes to its decoder through one vector of "
            f"{self.bottleneck:,} numbers"
        )
