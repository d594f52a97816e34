"""`attn ablate` in the tests that every question is put to."""

from __future__ import annotations

from attn_cli.answer import Answer
from attn_cli.api import Inspector
from attn_cli.data.selection import Selection
from attn_cli.models import Input, load
from attn_cli.questions.ablate.attribution import attribute
from attn_cli.questions.ablate.choices import ITS_OWN, CutChoice, OutputChoice
from attn_cli.questions.ablate.corpus import Correlate
from attn_cli.questions.ablate.effects import CollectEffects
from attn_cli.questions.ablate.measure import ablate
from tests.questions.ablate.models import decoder

TOY = load("toy")
GIVEN = Input("The trophy didn't fit because it was big")


def corpus() -> Answer:
    """Two texts, one of which has the word."""
    collect = Correlate(TOY, Selection(query="it", layer="1-2"), ITS_OWN)
    collect.add(GIVEN)
    collect.add(Input("The cat sat on the mat"))
    return collect.found("two texts")


def effects() -> Answer:
    """Two texts, each with its twin beside it."""
    collect = CollectEffects(TOY, Selection(kind="encoder"), ITS_OWN, CutChoice("resample"))
    collect.add(GIVEN, GIVEN.text.replace("big", "small"))
    collect.add(Input("The cat slept because it was tired"), "The dog slept because it was tired")
    return collect.found("two texts")


ANSWERS: dict[str, Answer] = {
    "ablate": ablate(TOY, GIVEN, Selection()),
    "ablate-tokens": ablate(TOY, GIVEN, Selection(kind="cross", unit="token"), cut=CutChoice("even")),
    "ablate-head": ablate(TOY, GIVEN, Selection(head="2.0")),
    "ablate-edge": ablate(TOY, GIVEN, Selection(), cut=CutChoice(edges=("it:trophy", "it:"))),
    "ablate-layers": ablate(TOY, GIVEN, Selection(), cut=CutChoice(edges=(":fit",), by="layers")),
    "ablate-query": ablate(TOY, GIVEN, Selection(query="it", head="2.0")),
    "ablate-corpus": corpus(),
    "ablate-attribution": attribute(decoder(), Input("Attention is all"), Selection()),
    "ablate-attribution-effects": attribute(
        decoder(), Input("all", target="y"), Selection(), OutputChoice(against="n"), CutChoice("mean")
    ),
    "ablate-resample": ablate(
        TOY, GIVEN, Selection(head="2.0"), cut=CutChoice("resample"), donor=GIVEN.text.replace("big", "small")
    ),
    "ablate-effects": effects(),
}
COMMAND = ["ablate", "The cat sat on the mat", "--layer", "1"]


def ask(model: Inspector) -> Answer:
    """Ask in Python what the command asks."""
    return model.ablate("The cat sat on the mat", layer=1)
