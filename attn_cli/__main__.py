"""Entry point of `python -m attn_cli` and of the `attn` command."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        # Half of the time for showing help goes into this import, so a Ctrl-C may well come here.
        from attn_cli.cli.app import debugging
        from attn_cli.cli.app import main as run
        from attn_cli.system.silence import take_streams
    except KeyboardInterrupt:
        sys.exit(130)
    if not debugging():
        take_streams()
    sys.exit(run())


if __name__ == "__main__":
    main()
