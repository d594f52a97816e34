"""The schemas that can be asked for: a record's, and one for each question with a document of its own."""

from __future__ import annotations

from importlib import import_module
from importlib.resources import files

from attn_cli.errors import UsageError, quoted

__all__ = ["RECORD", "names", "schema"]

RECORD = "record"


def names() -> list[str]:
    """List the names of all schemas: a record's, then those of the questions that have a `document` module."""
    rooms = files("attn_cli.questions").iterdir()
    return [RECORD, *sorted(room.name for room in rooms if room.joinpath("document.py").is_file())]


def schema(name: str = RECORD) -> bytes:
    """Return the JSON Schema (draft 2020-12) of a record, or of what a command finds, in UTF-8.

    Args:
        name: name of the schema, one of `names`.

    Raises:
        UsageError: there is no schema of that name.
    """
    from attn_cli.io.schema import json_schema
    from attn_cli.io.structs import RecordDocument

    if name not in names():
        raise UsageError(f"There is no schema {quoted(name)}", f"Choose from {', '.join(names())}")
    declared = RecordDocument if name == RECORD else import_module(f"attn_cli.questions.{name}.document").DOCUMENT
    return json_schema(declared, name)
