"""Models: the interface that all of them have, and the loader that turns a name into one.

Importing this package imports nothing heavy; loading a model does.
"""

from attn_cli.models.inputs import (
    AS_IT_HAS_THEM,
    FOR_ONE,
    GREEDY,
    MOST_TOKENS,
    Continuation,
    Decoding,
    Input,
    Languages,
    RelevantTo,
    Translation,
    Watch,
    cut_short,
)
from attn_cli.models.loading import load, wrap
from attn_cli.models.options import DTYPES, LoadChoices, LoadOptions
from attn_cli.models.protocol import Model, translate_one
from attn_cli.models.refusals import no_template, reads_no_images, writes_nothing

__all__ = [
    "AS_IT_HAS_THEM",
    "DTYPES",
    "FOR_ONE",
    "GREEDY",
    "MOST_TOKENS",
    "Continuation",
    "Decoding",
    "Input",
    "Languages",
    "LoadChoices",
    "LoadOptions",
    "Model",
    "RelevantTo",
    "Translation",
    "Watch",
    "cut_short",
    "load",
    "no_template",
    "reads_no_images",
    "translate_one",
    "wrap",
    "writes_nothing",
]
