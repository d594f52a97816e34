"""JSON Schemas of records and findings: every record that is read is validated against what `attn schema` prints.

The schema of a record is complete in `schemas/record.json`. The schema of a finding, in a file of its name, holds only
its own part: the part common to all findings (`schemas/finding.json`) and the definitions that it refers to are added
when it is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Any

from attn_cli.errors import InputError, UsageError, quoted, shortened

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from jsonschema import Draft202012Validator

__all__ = ["RECORD", "SCHEMA_VERSION", "check", "fault", "names", "schema"]

SCHEMA_VERSION = 1
RECORD, FRAME = "record", "finding"
REFERENCE = "#/$defs/"


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


def names() -> list[str]:
    """List the names of all schemas: a record's, then each finding's."""
    found = sorted(file.name.removesuffix(".json") for file in _folder().iterdir() if file.name.endswith(".json"))
    return [RECORD, *(name for name in found if name not in {RECORD, FRAME})]


def schema(name: str = RECORD) -> bytes:
    """Return the JSON Schema (draft 2020-12) of a record or a finding, in UTF-8.

    Args:
        name: name of the schema, one of `names`.

    Raises:
        UsageError: there is no schema of that name.
    """
    if name not in names():
        raise UsageError(f"There is no schema {quoted(name)}", f"Choose from {', '.join(names())}")
    whole = _folder().joinpath(f"{RECORD}.json").read_bytes().strip()
    return (
        whole if name == RECORD else json.dumps(_framed(name, json.loads(whole)), indent=2, ensure_ascii=False).encode()
    )


def _folder() -> Traversable:
    return files("attn_cli.io").joinpath("schemas")


def _framed(name: str, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Merge a finding's own part, the part of all findings and the definitions that they refer to."""
    frame, own = (json.loads(_folder().joinpath(f"{part}.json").read_bytes()) for part in (FRAME, name))
    frame["properties"]["finding"]["const"] = name
    merged = own
    if "$schema" not in own:  # a complete schema does not use the frame: its finding has no model and no text
        merged = {
            **frame,
            **own,
            "required": [*frame["required"], *own["required"]],
            "properties": {**frame["properties"], **own["properties"]},
        }
    known = {**record["$defs"], **own.get("$defs", {})}
    needed: dict[str, Any] = {}
    waiting = _references(merged)
    while waiting:
        one = waiting.pop()
        if one not in needed:
            needed[one] = known[one]
            waiting |= _references(known[one])
    return {
        "$schema": frame["$schema"],
        "$id": f"urn:attn:{name}:{SCHEMA_VERSION}",
        **merged,
        "$defs": {one: known[one] for one in known if one in needed},
    }


def _references(part: object) -> set[str]:
    """Collect the names of the definitions that a part of a schema refers to, apart from those in its own `$defs`."""
    if isinstance(part, list):
        return set().union(*map(_references, part))
    if not isinstance(part, dict):
        return set()
    found = set().union(*(_references(value) for key, value in part.items() if key != "$defs"))
    reference = part.get("$ref")
    return found | ({reference.removeprefix(REFERENCE)} if isinstance(reference, str) else set())


def check(document: object, name: str) -> Mapping[str, Any]:
    """Check that a document is a record, as far as the schema can tell.

    Args:
        document: the parsed JSON; long arrays may have been replaced by empty ones.
        name: name of the file in messages.

    Returns:
        The same document.

    Raises:
        InputError: the document is something else; the message has the path of a fault.
    """
    if not isinstance(document, dict) or "schema_version" not in document:
        listed = isinstance(document, list)
        raise InputError(
            f"{name} is JSON, but not a record of attn",
            "Write its records one a line, with jq -c '.[]'" if listed else "Make one with attn inspect --json",
        )
    if isinstance(found := document.get("finding"), str):
        raise InputError(
            f"{name} is what attn {shortened(found)} found, and not a record", "Make one with attn inspect --json"
        )
    version = document["schema_version"]
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise InputError(
            f"{name} was written by a newer attn (schema version {version}, this one reads {SCHEMA_VERSION})",
            "Upgrade with pip install -U attn-cli",
        )
    from jsonschema.exceptions import best_match

    # A file that is wrong throughout has as many faults as tokens, so only the first few are compared.
    error = best_match(islice(_validator().iter_errors(document), 20))
    if error is not None:
        raise fault(name, error.json_path, f"is not as it should be: {error.message}")
    return document


@cache
def _validator() -> Draft202012Validator:
    # Imported late: needed to read a record, not to write one.
    import orjson
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    # JSON Schema takes 1.0 for an integer, but indices must be int, and attn never writes 1.0 for one.
    integers = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    strict: type[Draft202012Validator] = extend(Draft202012Validator, type_checker=integers)  # type: ignore[no-untyped-call]
    return strict(orjson.loads(schema()))
