"""Records of every shape that a model could leave behind, and what it means for two of them to be equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, get_args

import numpy as np
import orjson
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from jsonschema import Draft202012Validator

from attn_cli.data.model import Alignment, Captured, GuidedHead, GuidedRole, Heads, ModelInfo, Stack
from attn_cli.data.record import AttentionMap, Record
from attn_cli.data.selection import Kind, Measure, Selection, SortKey
from attn_cli.data.stream import OutputCheck
from attn_cli.data.text import Token, Tokens, Word
from attn_cli.questions.schema.measure import schema
from tests.samples import softmax

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=13)
COUNTS = st.sampled_from([1, 2, 3, 5, 7])
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)

may_check_shapes = pytest.mark.filterwarnings("ignore:Do not use the .random. module")
"""For tests that draw records: making one checks its types, for which beartype looks at random items."""


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(orjson.loads(schema(name)))


def validated(data: bytes, name: str = "record") -> dict[str, Any]:
    """One line of JSON, held against the whole schema."""
    assert data.endswith(b"\n")
    assert data.count(b"\n") == 1
    document: dict[str, Any] = orjson.loads(data)
    validator(name).validate(document)
    return document


def same(first: Record, second: Record) -> bool:
    """Equal in every bit."""
    plain = [field.name for field in fields(Record) if field.name != "maps"]
    assert [getattr(first, name) for name in plain] == [getattr(second, name) for name in plain]
    assert [(m.kind, m.layer) for m in first.maps] == [(m.kind, m.layer) for m in second.maps]
    for one, other in zip(first.maps, second.maps, strict=True):
        assert (one.heads, one.queries, one.dtype) == (other.heads, other.queries, other.dtype)
        for part in ("weights", "visible", "scores", "sink"):
            a, b = getattr(one, part), getattr(other, part)
            assert (a is None) == (b is None)
            if a is not None:
                assert a.dtype.kind == b.dtype.kind
                assert a.shape == b.shape
                assert np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()
    return True


@st.composite
def tokens(draw: st.DrawFn, count: int) -> Tokens:
    """One side: any text at all, and tokens and words that lie anywhere in it."""
    texts = (draw(TEXT), draw(st.none() | TEXT))

    def span(segment: int) -> tuple[int, int]:
        end = draw(st.integers(0, len(texts[segment] or "")))
        return draw(st.integers(0, end)), end

    segments = st.integers(0, 0 if texts[1] is None else 1)
    words = []
    for _ in range(draw(st.integers(0, 3))):
        segment = draw(segments)
        words.append(Word(draw(TEXT), *span(segment), segment))
    pieces = []
    for _ in range(count):
        segment = draw(segments)
        word = draw(st.none() | st.integers(0, len(words) - 1)) if words else None
        number = draw(st.none() | st.integers(0, 2**32))
        pieces.append(Token(draw(TEXT), *span(segment), word, draw(st.booleans()), segment, number))
    return Tokens(texts[0], tuple(pieces), tuple(words), texts[1])


@st.composite
def maps(draw: st.DrawFn, kind: Kind, layer: int, heads: int, size: tuple[int, int]) -> AttentionMap:
    """Some heads and some queries, with weights of all magnitudes, or rows that see nothing."""
    chosen = tuple(sorted(draw(st.sets(st.integers(0, heads - 1), min_size=1))))
    queries = tuple(sorted(draw(st.sets(st.integers(0, size[0] - 1), min_size=1))))
    shape = (len(chosen), len(queries), size[1])
    scores = draw(nps.arrays(np.float32, shape, elements=NUMBERS))
    hidden = draw(nps.arrays(np.bool_, shape[1:]))
    scores[:, hidden] = -np.inf
    # A last key that only some rows see, to be able to take the softmax of them all.
    weights = softmax(np.concatenate([np.clip(scores, -90, 90), np.zeros((*shape[:2], 1), np.float32)], axis=2))
    sink = weights[:, :, -1] if draw(st.booleans()) else None
    weights = weights[:, :, :-1]
    if sink is None:
        total = weights.sum(axis=2, keepdims=True)
        weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 1e-30)
    stops = [
        [draw(st.integers(0, stop)), stop]
        for stop in draw(st.lists(st.integers(0, size[1]), min_size=shape[1], max_size=shape[1]))
    ]
    visible = np.array(stops, dtype=np.intp)
    blind = (weights.sum(axis=2) == 0).any(axis=0)
    visible[blind, 0] = visible[blind, 1]
    return AttentionMap(
        kind=kind,
        layer=layer,
        heads=chosen,
        queries=queries,
        weights=weights,
        visible=visible,
        scores=scores if draw(st.booleans()) else None,
        sink=sink,
    )


@st.composite
def records(draw: st.DrawFn) -> Record:
    kinds: tuple[Kind, ...] = draw(
        st.sampled_from([("encoder",), ("decoder",), ("encoder", "decoder", "cross"), ("decoder", "cross")])
    )
    stacks: dict[Kind, Stack] = {}
    for kind in kinds:
        layers = draw(st.integers(1, 3))
        without = draw(st.dictionaries(st.integers(0, layers - 1), TEXT, max_size=1))
        heads = {layer: draw(COUNTS) for layer in range(layers) if layer not in without}
        stacks[kind] = Stack(layers, heads, draw(COUNTS), without)
    source = draw(tokens(draw(COUNTS)))
    target = draw(tokens(draw(COUNTS) + 1)) if "cross" in kinds else draw(st.none() | tokens(2))
    model = ModelInfo(
        name=draw(TEXT),
        family=draw(TEXT),
        stacks=stacks,
        captured=draw(st.sampled_from(get_args(Captured))),
        parameters=draw(st.none() | st.integers(0, 2**40)),
        positions=draw(st.none() | st.integers(0, 2**20)),
        alignment=draw(st.none() | alignments(stacks["cross"])) if "cross" in kinds else None,
        bottleneck=draw(st.none() | st.integers(1, 2**20)),
        without=draw(cut_heads(stacks)),
        guided=draw(guided_heads(stacks)),
        unscaled=draw(st.booleans()),
    )
    found = []
    for kind, stack in stacks.items():
        on_target = kind == "cross" or (kind == "decoder" and "cross" in stacks)
        rows = len(target) - 1 if on_target and target else len(source)
        keys = rows if kind != "cross" else len(source)
        found += [
            draw(maps(kind, layer, heads, (rows, keys))) for layer, heads in stack.heads.items() if draw(st.booleans())
        ]
    return Record(
        model=model,
        source=source,
        target=target,
        maps=tuple(found),
        verified=draw(st.none() | st.floats(0, 1)),
        notes=tuple(draw(st.lists(TEXT, max_size=2))),
        selection=draw(selections()),
        tool_version=draw(st.text(st.characters(categories=["Nd", "Ll"]), min_size=1, max_size=5)),
        output=draw(
            st.none()
            | st.builds(
                OutputCheck, st.floats(0, 1), st.lists(TEXT, max_size=2).map(tuple), st.sampled_from(["sdpa", "eager"])
            )
        ),
    )


@st.composite
def cut_heads(draw: st.DrawFn, stacks: Mapping[Kind, Stack]) -> Heads:
    """Some heads of some layers."""
    found: dict[Kind, dict[int, tuple[int, ...]]] = {}
    for kind, stack in stacks.items():
        for layer, count in stack.heads.items():
            if some := draw(st.sets(st.integers(0, count - 1), max_size=2)):
                found.setdefault(kind, {})[layer] = tuple(sorted(some))
    return found


@st.composite
def guided_heads(draw: st.DrawFn, stacks: Mapping[Kind, Stack]) -> tuple[GuidedHead, ...]:
    """Some heads that were trained to look somewhere."""
    places = [
        (kind, layer, head)
        for kind, stack in stacks.items()
        for layer, count in stack.heads.items()
        for head in range(count)
    ]
    some = draw(st.lists(st.sampled_from(places), max_size=2, unique=True)) if places else []
    roles = st.sampled_from(get_args(GuidedRole))
    return tuple(GuidedHead(*place, draw(roles), draw(TEXT), draw(TEXT)) for place in some)


@st.composite
def alignments(draw: st.DrawFn, cross: Stack) -> Alignment | None:
    """Some heads of one layer of a stack; None where it has no heads."""
    if not cross.heads:
        return None
    layer = draw(st.sampled_from(sorted(cross.heads)))
    heads = tuple(sorted(draw(st.sets(st.integers(0, cross.heads[layer] - 1), min_size=1))))
    return Alignment(layer, heads, draw(st.sampled_from(["output", "input"])), draw(TEXT))


def selections() -> st.SearchStrategy[Selection]:
    typed = st.none() | TEXT
    return st.builds(
        Selection,
        view=st.sampled_from(["heads", "query", "grid"]),
        kind=st.sampled_from([None, "encoder", "decoder", "cross"]),
        layer=typed,
        head=typed,
        query=typed,
        unit=st.sampled_from(["word", "token"]),
        special=st.booleans(),
        sink=st.sampled_from([None, False]),
        rows=st.sampled_from([None, "output", "input"]),
        from_segment=st.sampled_from([None, 0, 1]),
        to_segment=st.sampled_from([None, 0, 1]),
        measure=st.sampled_from(get_args(Measure)),
        top_k=st.integers(1, 100),
        sort=st.sampled_from(get_args(SortKey)),
        all=st.booleans(),
        translation=st.booleans(),
    )
