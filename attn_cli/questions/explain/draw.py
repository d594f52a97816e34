"""Drawing of `attn explain`: the steps of a model's head, or those of plain numbers."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from attn_cli.data.plan import name_head, told_guided
from attn_cli.data.stream import key_tokens
from attn_cli.draw.captions import guided_line, model_line, remarks, special_label, translation_text, when
from attn_cli.draw.labels import Labels, clipped
from attn_cli.draw.layout import room_left
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, caption_lines, drawing, line, stacked
from attn_cli.questions.explain.draw_steps import explanation
from attn_cli.questions.explain.measure import Explained, ExplainedNumbers, TrainedLink

__all__ = ["draw"]

LONGEST_KEY = 16
"""Most cells of the word that another head looks at."""


def draw(answer: Explained | ExplainedNumbers, screen: Screen) -> Group:
    """Draw the answer of `attn explain`."""
    return _of_numbers(answer, screen) if isinstance(answer, ExplainedNumbers) else _of_head(answer, screen)


def _of_numbers(answer: ExplainedNumbers, screen: Screen) -> Group:
    room = room_left([], screen, everything=answer.everything)
    return stacked(
        explanation(answer.steps, Labels(answer.labels), screen, given=True, room=room, vectors=answer.vectors)
    )


def _of_head(answer: Explained, screen: Screen) -> Group:
    record, kind = answer.record, answer.plan.kind
    top: list[RenderableType] = []
    if kind != "encoder" and record.target is not None:
        top = [translation_text(record.target.text, screen), Text("")]
    top.append(model_line(record, kind, screen))
    top += remarks(record, kind, screen)
    top += guided_line(answer.guided, screen)
    above = [Group(*top), drawing(_title(answer, screen))]
    room = room_left(above, screen, everything=answer.everything)
    tokens = key_tokens(answer.plan.source, kind).tokens
    special = [token.special for token in tokens]
    labels = [
        special_label(label, first=place == 0) if special[place] else label for place, label in enumerate(answer.labels)
    ]
    keys = Labels(labels, special, answer.places)
    return stacked([*above, *explanation(answer.steps, keys, screen, room=room, vectors=answer.vectors)])


def _title(answer: Explained, screen: Screen) -> list[Text]:
    """Draw the line on the query and the head."""
    plan = answer.plan
    token = "" if answer.place == answer.query else f" (token {answer.query})"
    place = f"  query {answer.place}{token}{'' if plan.step is None else f', {when(plan.step)}'}, head "
    name = name_head(answer.layer, answer.head)
    room = max(screen.width - len(place) - len(name), 1)
    lines = [line((clipped(answer.query_label, room, unicode=screen.unicode), BOLD), (place, DIM), (name, BOLD))]
    if answer.chosen:
        count = plan.head_count
        among = f" in which another {plan.unit} has the largest weight, and not all of it" if answer.tells else ""
        lines += caption_lines(
            f"Of {count:,} heads, the most focused on this query{among}; --head chooses another.", screen
        )
    if answer.trained is not None:
        lines += caption_lines(_trained(answer.trained, screen), screen)
    return lines


def _trained(link: TrainedLink, screen: Screen) -> str:
    """Say where a head looks that was trained for this query."""
    key = clipped(link.key, LONGEST_KEY, unicode=screen.unicode)
    place = name_head(link.head.layer, link.head.head)
    return f"{told_guided(link.head)}, and has {link.weight:.2f} on {key}: --head {place}."
