"""The lists to choose from in an explorer: kinds of attention, measures, orders of the heads, and atlases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from attn_cli.data.model import ModelInfo
from attn_cli.data.selection import KINDS, Kind, Measure, SortKey
from attn_cli.questions.explore.spot import EFFECT, FOCUS
from attn_cli.questions.explore.subject import Subject

__all__ = ["Choice", "atlases", "kinds", "measures", "sorts"]

ITSELF = "self"


@dataclass(frozen=True)
class Choice:
    """Something that can be chosen from a list."""

    value: str
    about: str = ""


def kinds(subject: Subject, model: ModelInfo) -> list[Choice]:
    """Return the kinds of attention of a model or a record."""
    about: dict[Kind, str] = {
        "encoder": "the text looks at itself",
        "decoder": "each word looks back",
        "cross": "the decoder looks at the text",
    }
    held = set(model.stacks) if subject.record is None else {one.kind for one in subject.record.maps}
    return [Choice(kind, about[kind]) for kind in KINDS if kind in held]


def measures() -> list[Choice]:
    """Return the measures to choose from."""
    about: dict[Measure, str] = {
        "weights": "the softmax of the scores",
        "scores": "before the softmax, in tokens",
        "norms": "weight times the length of the value",
        "relevance": "weight times gradient of the output",
        "rollout": "through all layers up to one",
        "flow": "the most that can pass; slow for long texts",
    }
    return [Choice(measure, text) for measure, text in about.items()]


def sorts(*, of_image: bool) -> list[Choice]:
    """Return the orders of the heads; patches of an image have none before them."""
    about = {"layer": "the atlas", "entropy": "lowest first", "link": "strongest first"}
    some = [sort for sort in get_args(SortKey) if not (of_image and sort == "previous")]
    return [Choice(sort, about.get(sort, "highest first")) for sort in some]


def atlases(subject: Subject, kind: Kind, *, of_image: bool) -> list[Choice]:
    """Return the choices for the atlas; of the roles, an image has the one that does not follow an order of words."""
    from attn_cli.questions.heads.roles import ROLES

    choices = [Choice(FOCUS, "how even or focused its rows are")]
    if subject.model is not None:
        choices.append(Choice(EFFECT, "what cutting the head does to the output"))
    return choices + [
        Choice(role.name, role.looks_at)
        for role in ROLES
        if role.keys is not None and (role.crosses or kind != "cross") and (role.name == ITSELF or not of_image)
    ]
