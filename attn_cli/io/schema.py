"""JSON Schemas of documents, and the check that every record that is read must pass.

Both come from the same declarations, in `attn_cli.io.structs`: what `attn schema` prints is what is checked.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from attn_cli.errors import InputError, shortened

if TYPE_CHECKING:
    from msgspec import Struct

    from attn_cli.io.structs import RecordDocument

__all__ = ["SCHEMA_VERSION", "check", "fault", "json_schema"]

SCHEMA_VERSION: Final = 1
PLACED = re.compile(r"(.*?)(?: - at `(\$.*)`)?", re.DOTALL)
"""The form of msgspec's messages: a problem, and the path of its place unless that is the whole document."""


def fault(name: str, path: str, problem: str) -> InputError:
    """Make the error for a faulty record.

    Args:
        name: name of the file.
        path: place of the fault, as a JSON path or the name of an array.
        problem: rest of the sentence that starts with the path.
    """
    # A quotation may be as long as the file.
    short = problem if len(problem) <= 160 else f"{problem[:80]} … {problem[-80:]}"
    return InputError(
        f"{name}: {path} {short}", "Save it again with attn inspect; attn schema prints what a record looks like"
    )


def json_schema(document: type[Struct], name: str) -> bytes:
    """Generate the JSON Schema (draft 2020-12) of a document, in UTF-8.

    Args:
        document: the class that declares it.
        name: name of the document, part of the schema's identifier.
    """
    from msgspec.json import schema_components

    _, definitions = schema_components([document], ref_template="#/$defs/{name}")
    whole = definitions.pop(document.__name__)
    title = whole.pop("description").removesuffix(".")
    written = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:attn:{name}:{SCHEMA_VERSION}",
        **whole,
        "title": title,
        "$defs": definitions,
    }
    return json.dumps(written, indent=2, ensure_ascii=False).encode()


def check(document: object, name: str) -> RecordDocument:
    """Check that a document is a record, as far as its declaration can tell.

    Args:
        document: the parsed JSON; long arrays may have been replaced by empty ones.
        name: name of the file in messages.

    Raises:
        InputError: the document is something else; the message has the path of a fault.
    """
    if not isinstance(document, dict) or "schema_version" not in document:
        listed = isinstance(document, list)
        raise InputError(
            f"{name} is JSON, but not an attn record",
            "Write its records one per line, with jq -c '.[]'" if listed else "Make one with attn inspect --json",
        )
    if isinstance(found := document.get("finding"), str):
        raise InputError(
            f"{name} is what attn {shortened(found)} found, not a record", "Make one with attn inspect --json"
        )
    version = document["schema_version"]
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise InputError(
            f"{name} was written by a newer attn (schema version {version}, this one reads {SCHEMA_VERSION})",
            "Upgrade with pip install -U attn-cli",
        )
    # Imported late: needed to read a record, not to show one.
    from msgspec import ValidationError, convert

    from attn_cli.io.structs import RecordDocument

    try:
        return convert(document, RecordDocument)
    except ValidationError as error:
        placed = PLACED.fullmatch(str(error))
        problem, path = (str(error), None) if placed is None else placed.groups()
        raise fault(name, path or "$", f"is not as it should be: {problem}") from error
