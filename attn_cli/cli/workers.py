"""`--workers`: several processes of this machine, or those of a cluster. Imports nothing heavy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated

from attn_cli.cli.options import model_option
from attn_cli.errors import UsageError, check_range, quoted

__all__ = ["Workers", "WorkersOption"]

ADDRESS = re.compile(r"(?:tcp|tls)://(?:\[[0-9a-fA-F:.]+\]|[^\s/:\[\]]+):\d{1,5}", re.ASCII)
MOST = 1024
"""Most processes to start on one machine."""

WorkersOption = Annotated[
    str | None,
    model_option(
        "--workers",
        metavar="N|ADDRESS",
        help="Share the texts of --file out: over N processes of this machine, or over the workers of a Dask scheduler "
        "(tcp://HOST:PORT).",
    ),
]


@dataclass(frozen=True, slots=True)
class Workers:
    """The place where texts are measured: in `count` processes of this machine, or by the workers of a scheduler."""

    count: int = 0
    address: str = ""
    """The address of the scheduler; empty for this machine."""

    @classmethod
    def parse(cls, text: str | None, *, shared: bool, instead: str) -> Workers | None:
        """Parse the value of `--workers`: `4`, or `tcp://HOST:8786`; None for this process alone.

        Args:
            text: the value; None if it is not given.
            shared: True if the command reads many texts, in a way that can be shared out.
            instead: what to do if it does not.

        Raises:
            UsageError: the text has another form, there is nothing to share out, or Dask is not installed.
        """
        if text is None:
            return None
        if not shared:
            raise UsageError("--workers shares out the texts of a corpus", instead)
        count, address = 0, text.strip()
        if address.isascii() and address.isdigit() and len(address) < 10:
            count, address = int(address), ""
            check_range("--workers", count, 1, MOST)
        elif not ADDRESS.fullmatch(address):
            raise UsageError(
                f"--workers {quoted(text)} is neither a number nor the address of a scheduler",
                "Write it like --workers 4, or --workers tcp://HOST:8786",
            )
        if find_spec("distributed") is None:
            raise UsageError(
                "--workers needs the package distributed", "Run `pip install 'attn-cli[cluster]'`, then try again"
            )
        return cls(count, address)

    @property
    def place(self) -> str:
        """The place to name in messages."""
        return self.address or "this machine"
