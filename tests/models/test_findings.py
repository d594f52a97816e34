"""Links and differences on tiny models of many families, held against transformers' own eager attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from attn_cli.data.model import ModelInfo
from attn_cli.data.selection import Selection
from attn_cli.data.stream import Block, Eat, Kind, Report, Request
from attn_cli.data.text import Token, Tokens
from attn_cli.draw.screen import Screen
from attn_cli.measure.derived import Measured
from attn_cli.measure.paths import with_residual
from attn_cli.models.capture.stream import stacks, stream
from attn_cli.questions.diff.layers import divergence
from attn_cli.questions.diff.measure import diff
from attn_cli.questions.explain.measure import explain
from attn_cli.questions.find.measure import find
from tests.drawings import shown
from tests.models.families import FAMILIES, SOURCE, TARGET, build, inputs_of, reference

TRIED = [
    *("bert", "modernbert", "gpt2", "gpt_neox", "llama", "mistral", "gemma2", "gpt_oss", "qwen3", "deepseek_v2"),
    *("t5", "bart", "marian", "m2m_100", "jamba", "deberta-v2", "xlnet", "bloom"),
]


def numbered(letter: str, count: int) -> Tokens:
    return Tokens("", tuple(Token(f"{letter}{index}", 0, 0, None) for index in range(count)), ())


@dataclass
class Given:
    """Tokens given to a tiny model."""

    network: Any
    inputs: Mapping[str, Any]
    model: ModelInfo
    source: Tokens
    target: Tokens | None
    notes: tuple[str, ...] = ()

    def stream(self, request: Request, eat: Eat) -> Report:
        return stream(self.network, self.inputs, request, eat, rows=5)


def given(name: str, *, changed: bool = False) -> Given:
    """A family's model and its tokens; one of them is another where `changed`."""
    network = build(name)
    inputs = inputs_of(network)
    if changed:
        for tokens in inputs.values():
            tokens[0, 4] = 3 + (int(tokens[0, 4]) + 29) % 90
    info = ModelInfo(name, name, stacks(network), "hooks" if FAMILIES[name].older else "interface")
    target = numbered("t", TARGET + 1) if "decoder_input_ids" in inputs else None
    return Given(network, inputs, info, numbered("s", SOURCE), target)


@pytest.mark.parametrize("name", TRIED)
def test_links_are_the_models_own_weights(name: str) -> None:
    source = given(name)
    maps = reference(source.network, source.inputs).maps
    for kind in source.model.stacks:
        query, key = ("t8", "s3") if kind == "cross" else ("s9", "s2")
        if kind == "decoder" and source.target is not None:
            query, key = "t9", "t2"
        found = find(source, Selection(kind=kind, unit="token"), query, key)
        expected = {
            (layer, head): float(row[int(query[1:]), int(key[1:])])
            for layer, weights in maps[kind].items()
            for head, row in enumerate(weights)
        }
        seen = {(link.layer, link.head): link.weight for link in found.links}
        assert expected.keys() >= seen.keys()
        for place, weight in expected.items():
            assert seen.get(place, 0.0) == pytest.approx(weight, abs=1e-5)


@pytest.mark.parametrize("name", TRIED)
def test_differences_are_those_of_the_models_own_weights(name: str) -> None:
    one, other = given(name), given(name, changed=True)
    first, second = (reference(source.network, source.inputs).maps for source in (one, other))
    for kind in one.model.stacks:
        selection = Selection(kind=kind, unit="token")
        assert diff(one, one, selection).most == 0
        found = diff(one, other, selection)
        assert found.most > 0
        for head in found.heads:
            a, b = first[kind][head.layer][head.head], second[kind][head.layer][head.head]
            rest = [np.maximum(1 - rows.sum(axis=1, keepdims=True), 0) for rows in (a, b)]  # of a learned sink
            rows = divergence(np.hstack([a, rest[0]]), np.hstack([b, rest[1]]))
            np.testing.assert_allclose(head.rows[np.isfinite(head.rows)], rows[np.isfinite(head.rows)], atol=1e-4)


@pytest.mark.parametrize("name", TRIED)
def test_steps_are_those_of_the_models_own_weights(name: str) -> None:
    source = given(name)
    maps = reference(source.network, source.inputs).maps
    for kind in source.model.stacks:
        query = "s9" if kind == "encoder" or source.target is None else "t9"
        found = explain(source, Selection(view="query", kind=kind, unit="token", query=query))
        np.testing.assert_allclose(found.steps.weights, maps[kind][found.layer][found.head][9], atol=1e-5)
        focus = {
            (layer, head): (rows[9] * np.log(np.maximum(rows[9], 1e-30))).sum()
            for layer, weights in maps[kind].items()
            for head, rows in enumerate(weights)
        }
        seen = {layer: (weights[0, 9] > 0).sum() for layer, weights in maps[kind].items()}
        rows = {(layer, head): one[9] for layer, weights in maps[kind].items() for head, one in enumerate(weights)}
        resting = {"encoder": {9}, "decoder": {0, 9}, "cross": set()}[kind]
        telling = [place for place, row in rows.items() if int(row.argmax()) not in resting and (row >= 0.05).sum() > 1]
        best = max(1 + focus[place] / np.log(max(seen[place[0]], 2)) for place in telling or focus)
        ours = 1 + focus[found.layer, found.head] / np.log(max(seen[found.layer], 2))
        assert ours == pytest.approx(best, abs=1e-4)
        lines = shown(found.draw(Screen(100)), Screen(100))
        older = "Not shown: how query and key make the score" in " ".join(lines)
        assert older == (source.model.captured == "hooks")
        assert any(line.startswith("The layer itself computed the same") for line in lines)


@pytest.mark.parametrize("name", TRIED)
def test_rollout_is_made_of_the_models_own_weights(name: str) -> None:
    source = given(name)
    maps = reference(source.network, source.inputs).maps
    for kind in source.model.stacks:
        blocks: list[Block] = []
        layers = dict.fromkeys(maps[kind], (0,))
        Measured(source, "rollout").stream(Request(heads={kind: layers}), blocks.append)
        assert [block.layer for block in blocks] == list(layers)
        path: Kind = "encoder" if kind == "cross" else kind
        rolled = np.eye(len(next(iter(maps[path].values()))[0]))
        expected = {}
        for layer, weights in maps[path].items():
            rolled = expected[layer] = with_residual(weights.mean(axis=0)) @ rolled
        for block in blocks:
            wanted = maps[kind][block.layer].mean(axis=0) @ rolled if kind == "cross" else expected[block.layer]
            np.testing.assert_allclose(block.weights[0], wanted, atol=1e-5)
