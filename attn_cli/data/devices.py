"""The names of the devices that a model may be run on."""

from __future__ import annotations

import re

from attn_cli.errors import UsageError, quoted

__all__ = ["DEVICES", "check_device"]

DEVICES = ("auto", "cpu", "cuda", "mps", "balanced")
"""The names; `cuda:1` is the second GPU."""


def check_device(name: str) -> None:
    """Check the name of a device, which need not be on this machine.

    Raises:
        UsageError: no machine has a device of that name.
    """
    if name not in DEVICES and not re.fullmatch(r"cuda:\d{1,4}", name):
        raise UsageError(f"There is no device {quoted(name)}", f"Choose from {', '.join(DEVICES)}, or cuda:1 and so on")
