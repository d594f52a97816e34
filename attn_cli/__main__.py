"""`python -m attn_cli`, and the `attn` command."""

from __future__ import annotations

import sys

from attn_cli.cli.app import main as run

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run())


if __name__ == "__main__":
    main()
