"""The drawing of models with hundreds of heads."""

from __future__ import annotations

from dataclasses import replace

import pytest

import attn_cli
from attn_cli.draw.screen import Screen
from attn_cli.questions.heads.draw import draw
from attn_cli.questions.heads.measure import HeadsFound
from attn_cli.questions.heads.roles import find_role
from attn_cli.questions.heads.scores import RoleScore
from tests.drawings import longest, shown
from tests.samples import SENTENCE


@pytest.fixture(scope="module")
def many() -> HeadsFound:
    """1,024 heads, every fourth of which is a sink, and one in each layer also looks at the previous token."""
    found = attn_cli.load("toy").heads(SENTENCE)
    scores = tuple(RoleScore(find_role(name), 0.9, 0.1, 13) for name in ("first", "previous"))
    heads = [
        replace(
            found.heads[0],
            summary=replace(found.heads[0].summary, layer=layer, head=head),
            measured=scores if head == 8 else scores[:1] if head % 4 == 0 else (),
        )
        for layer in range(32)
        for head in range(32)
    ]
    return replace(found, heads=tuple(heads))


def test_sinks_do_not_bury_the_rest(many: HeadsFound) -> None:
    screen = Screen(width=80, color=False)
    lines = shown(draw(many, screen), screen)
    assert sum(line.split()[:2] == [f"{layer}.8", "first"] for layer, line in _rows(lines)) == 32
    text = " ".join(" ".join(lines).split())
    assert "32 of 1,024 heads: 32 have a role, 224 only that of looking at the first token, 768 none; --all" in text
    assert "Heads with a role: 256 first; without one: 768." in text
    reached = "if its score reaches the role's threshold (see attn terms) and is above its baseline"
    assert f"A head has a role {reached}; the role in brackets is the nearest." in text


def test_a_head_that_was_trained_for_its_role_needs_no_score() -> None:
    screen = Screen(width=80, color=False)
    text = " ".join(" ".join(shown(draw(attn_cli.load("toy").heads(SENTENCE), screen), screen)).split())
    assert "origin: measured if its score reaches the role's threshold (see attn terms) and is above its" in text
    assert "baseline, training if the head was trained for the role, declared if" in text
    assert "A head has a role if" not in text


def _rows(lines: list[str]) -> list[tuple[int, str]]:
    return [
        (int(line.split()[0].split(".")[0]), line) for line in lines if line.strip()[:1].isdigit() and ".8 " in line
    ]


@pytest.mark.parametrize("height", [24, 40])
@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize("width", [60, 80, 160])
def test_all_heads_in_sixteen_lines(many: HeadsFound, width: int, color: bool, height: int) -> None:
    screen = Screen(width=width, height=height, color=color)
    lines = shown(draw(many, screen), screen)
    start = next(number for number, line in enumerate(lines) if line.startswith("layer"))
    assert [line.split()[0] for line in lines[start + 1 : start + 16]] == [str(layer) for layer in range(2, 32, 2)]
    assert lines[start + 16].startswith("score")
    assert longest(lines) <= width
    assert len(lines) <= max(height, 38)


def test_all_heads_can_be_listed(many: HeadsFound) -> None:
    everything = replace(many, record=replace(many.record, selection=replace(many.record.selection, all=True)))
    screen = Screen(width=80, color=False)
    lines = shown(draw(everything, screen), screen)
    assert len(lines) > 1024
    listed = [line.split()[0] for line in lines if line.lstrip()[:1].isdigit()][-1024:]
    assert listed[:2] == ["0.8", "1.8"]
    assert listed[32:34] == ["0.0", "0.4"]
