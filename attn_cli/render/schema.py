"""The JSON Schema of a record: what `attn schema` prints is what every file read is held against."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Any

from attn_cli.errors import InputError

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

__all__ = ["SCHEMA_VERSION", "check", "fault", "schema"]

SCHEMA_VERSION = 1


def fault(name: str, path: str, problem: str) -> InputError:
    """What is wrong with a record that was read.

    Args:
        name: what to call the file.
        path: where in it, as a JSON path or the name of an array.
        problem: the rest of the sentence.
    """
    # What is quoted may be as long as the file.
    short = problem if len(problem) <= 160 else f"{problem[:80]} … {problem[-80:]}"
    return InputError(
        f"{name}: {path} {short}", "Save it again with attn inspect; attn schema prints what a record looks like"
    )


def schema() -> bytes:
    """The JSON Schema (draft 2020-12) of a record, in UTF-8."""
    return files("attn_cli.render").joinpath("schema.json").read_bytes().strip()


def check(document: object, name: str) -> Mapping[str, Any]:
    """Make sure that a document is a record, as far as the schema can say.

    Args:
        document: what the JSON said; long arrays may have been replaced by empty ones.
        name: what to call the file in messages.

    Raises:
        InputError: it is something else, with the path of the first fault.
    """
    if not isinstance(document, dict) or "schema_version" not in document:
        listed = isinstance(document, list)
        raise InputError(
            f"{name} is JSON, but not a record of attn",
            "Write its records one a line, with jq -c '.[]'" if listed else "Make one with attn inspect --json",
        )
    version = document["schema_version"]
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise InputError(
            f"{name} was written by a newer attn (schema version {version}, this one reads {SCHEMA_VERSION})",
            "Upgrade with pip install -U attn-cli",
        )
    from jsonschema.exceptions import best_match

    # A file that is wrong everywhere has as many faults as tokens; the best of the first few says enough.
    error = best_match(islice(_validator().iter_errors(document), 20))
    if error is not None:
        raise fault(name, error.json_path, f"is not as it should be: {error.message}")
    return document


@cache
def _validator() -> Draft202012Validator:
    # Imported late: this is needed to read a record and not to write one.
    import orjson
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    # JSON Schema takes 1.0 for an integer. Nothing counts with it, and attn does not write it.
    integers = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    strict: type[Draft202012Validator] = extend(Draft202012Validator, type_checker=integers)  # type: ignore[no-untyped-call]
    return strict(orjson.loads(schema()))
