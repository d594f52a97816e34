"""`attn schema`: the JSON Schema of what `--json` prints."""

from __future__ import annotations

import sys

__all__ = ["EPILOG", "HELP", "NAME", "run"]

NAME = "schema"
HELP = "Print the JSON Schema of what --json prints."
EPILOG = "Example: attn schema | jq '.properties | keys'"


def run() -> None:
    """Print the schema on stdout."""
    from attn_cli.render.schema import schema

    sys.stdout.buffer.write(schema() + b"\n")
