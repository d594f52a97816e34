"""Python interface: an inspector for a model that is loaded once, which returns records and findings."""

from attn_cli.api.corpora import merge, read_texts
from attn_cli.api.inspector import Inspector
from attn_cli.api.lessons import terms, tour, why
from attn_cli.api.loading import load, wrap
from attn_cli.api.matrices import view
from attn_cli.api.options import InspectOptions, TranslateOptions

__all__ = [
    "InspectOptions",
    "Inspector",
    "TranslateOptions",
    "load",
    "merge",
    "read_texts",
    "terms",
    "tour",
    "view",
    "why",
    "wrap",
]
