"""Tests of the most telling head: answers worked out by hand, and the same from loops over any map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.data.model import GuidedHead, ModelInfo, Stack
from attn_cli.data.plan import make_plan
from attn_cli.data.record import Record
from attn_cli.data.selection import Kind, Selection
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block
from attn_cli.data.text import Tokens, make_tokens
from attn_cli.measure.maps import MeanMap
from attn_cli.measure.summary import Link
from attn_cli.measure.telling import TellingHead, TellingMap
from tests.samples import softmax

WORDS = ["The", "dog", "sat", "as", "it", "slept"]


def text(words: list[str]) -> Tokens:
    """These words and the end."""
    pieces = [*words, "</s>"]
    ends = np.cumsum([len(word) + 1 for word in words]).tolist()
    offsets = [(end - len(word) - 1, end - 1) for word, end in zip(words, ends, strict=True)]
    return make_tokens(" ".join(words), pieces, [*offsets, (0, 0)], [False] * len(words) + [True])


def chosen(
    heads: list[Float[np.ndarray, "query key"]],
    words: list[str] = WORDS,
    kind: Kind = "encoder",
    rows: int = 3,
    guided: tuple[GuidedHead, ...] = (),
) -> TellingHead:
    """The choice among heads of one layer, whose blocks have so many rows."""
    model = ModelInfo("made-up", "made", {kind: Stack(1, {0: len(heads)}, 1)}, "interface", guided=guided)
    plan = make_plan(Record(model, text(words), None, ()), Selection())
    size = len(words) + 1
    telling = TellingMap(plan, lambda layers: MeanMap(size, size, layers))
    visible = np.tile([0, size], (size, 1))
    if kind == "decoder":
        visible[:, 1] = np.arange(1, size + 1)
    weights = np.asarray(heads, np.float32)
    for start in range(0, size, rows):
        part = slice(start, start + rows)
        telling(Block(kind, 0, tuple(range(len(heads))), start, weights[:, part], visible[part]))
    assert telling.map.values == pytest.approx(weights[telling.chosen.head])
    return telling.chosen


def pointing(*keys: int) -> Float[np.ndarray, "query key"]:
    """A head whose rows have all their weight on one key each."""
    return np.eye(len(keys), dtype=np.float32)[list(keys)]


NEXT = pointing(1, 2, 3, 4, 5, 6, 6)
ALL_AT_THE_DOG = pointing(1, 1, 1, 1, 1, 1, 1)
AT_THE_END = pointing(6, 6, 6, 6, 6, 6, 6)
THEMSELVES = pointing(0, 1, 2, 3, 4, 5, 6)
ITS_NOUN = pointing(6, 6, 6, 6, 1, 1, 6)
DULL = [NEXT, AT_THE_END, THEMSELVES, ALL_AT_THE_DOG]


def test_the_head_in_which_words_look_at_words_of_their_own() -> None:
    found = chosen([*DULL, ITS_NOUN])
    # Rows 4 and 5 look at the dog, which has a mean weight of 2/6: (1 - 1/3 + 1 - 1/3) / 6.
    assert (found.layer, found.head, found.guided) == (0, 4, None)
    assert found.telling == pytest.approx(2 / 9)
    assert found.link == Link(4, 1, 1.0)


def test_of_neighbours_alone_the_next_words_are_chosen() -> None:
    found = chosen([AT_THE_END, THEMSELVES, NEXT])
    assert (found.head, found.telling) == (2, 0)
    assert found.link is not None


def test_where_no_word_looks_at_another_the_first_head_is_taken() -> None:
    found = chosen([AT_THE_END, THEMSELVES])
    assert (found.head, found.link) == (0, None)
    assert chosen([np.ones((2, 2)) / 2], ["I"]).link is None


def test_a_decoder_rests_on_its_first_word() -> None:
    causal = [pointing(0, 0, 0, 0, 0, 0, 0), pointing(0, 0, 0, 0, 1, 0, 0)]
    found = chosen(causal, kind="decoder")
    # The dog is seen by rows 1 to 5, of which one looks at it: (1 - 1/5) / 6.
    assert (found.head, found.link) == (1, Link(4, 1, 1.0))
    assert found.telling == pytest.approx(0.8 / 6)


GUIDED = GuidedHead("encoder", 0, 2, "coreference", "from a pronoun to its noun", "a grammar")


def test_a_head_that_was_trained_on_pronouns_comes_first_if_it_finds_one() -> None:
    heads = [NEXT, ITS_NOUN, pointing(6, 6, 6, 6, 1, 6, 6)]
    assert chosen(heads).head == 1
    found = chosen(heads, guided=(GUIDED,))
    assert (found.head, found.guided, found.link) == (2, GUIDED, Link(4, 1, 1.0))
    assert chosen(heads, ["The", "dog", "sat", "as", "he", "slept"], guided=(GUIDED,)).head == 1
    assert chosen(heads, ["The", "dog", "sat", "as", "it's", "late"], guided=(GUIDED,)).head == 2
    resting = [*heads[:2], pointing(6, 6, 6, 6, 6, 6, 6)]
    assert chosen(resting, guided=(GUIDED,)).head == 1
    subject = replace(GUIDED, role="subject")
    assert chosen(heads, guided=(subject,)).head == 1


@given(st.integers(2, 8), st.integers(1, 4), st.integers(1, 9), st.integers(0, 99))
def test_any_maps(count: int, heads: int, rows: int, seed: int) -> None:
    maps = softmax(np.random.default_rng(seed).normal(scale=3, size=(heads, count + 1, count + 1))).astype(np.float32)
    words = [f"w{number}" for number in range(count)]
    found = chosen(list(maps), words, rows=rows)
    scores = []
    for weights in maps:
        near = far = 0.0
        for query in range(count):
            key = int(weights[query].argmax())
            if key not in (query, count):
                gain = max(float(weights[query, key]) - float(weights[:count, key].mean()), 0.0)
                near += gain / count
                far += gain / count if abs(query - key) > 1 else 0
        scores.append((far, near))
    assert found.telling == pytest.approx(scores[found.head][0], abs=1e-6)
    assert max(scores)[0] == pytest.approx(found.telling, abs=1e-6)
