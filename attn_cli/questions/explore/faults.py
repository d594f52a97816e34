"""Faults and notes, told in the keys of an explorer: what an option does for a command, a key does there."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attn_cli.errors import AttnError, ExactnessError, ModelError

__all__ = ["told", "told_note"]

OPTION = re.compile(r"--[a-z][a-z-]*")
SHORTER = "type a shorter text with i"
ANOTHER_ENDING = "save it under a name with another ending, such as .svg or .csv"
KEYS: Mapping[str, str] = {
    "--layer": SHORTER,
    "--head": SHORTER,
    "--query": SHORTER,
    "--truncate": SHORTER,
    "--target": "type another text with i",
    "--measure": "choose another measure with m",
    "--kind": "choose another kind with K",
    "--tokens": "change to tokens with w",
    "--force": "write a ! behind the name",
    "--by": ANOTHER_ENDING,
    "--json": ANOTHER_ENDING,
    "--size": ANOTHER_ENDING,
}
"""Options that a remedy may name -> what helps in the explorer."""
STARTING = ("--from", "--to", "--pair", "--model", "--base", "--revision", "--device", "--dtype")
"""Options that the explorer is started with."""
ANEW = "leave with q and start anew"
ANOTHER_MODEL = f"{ANEW} with another --model"


def told(fault: AttnError) -> str:
    """Say a fault, with a remedy that can be followed in the explorer."""
    remedy = fault.remedy
    if options := dict.fromkeys(OPTION.findall(remedy)):
        remedy = _remedy(fault, list(options))
        remedy = remedy[:1].upper() + remedy[1:]
    return str(type(fault)(fault.problem, remedy))


def _remedy(fault: AttnError, options: list[str]) -> str:
    """Return what helps in the place of a remedy that names options."""
    if all(option in STARTING for option in options):
        return f"{ANEW}: {fault.remedy[:1].lower()}{fault.remedy[1:]}"
    ways = dict.fromkeys(KEYS[option] for option in options if option in KEYS)
    if ANOTHER_ENDING in ways:  # all about saving, of whose options some choose what is shown
        return ANOTHER_ENDING
    if isinstance(fault, ModelError | ExactnessError):  # which a shorter text has as well
        ways.pop(SHORTER, None)
        ways = ways or {ANOTHER_MODEL: None}
    return ", or ".join(ways)


def told_note(note: str) -> str:
    """Say a note, whose last clause may name options, with advice that can be followed in the explorer."""
    said, _, advice = note.rpartition("; ")
    options = [] if advice.startswith("attn ") else OPTION.findall(advice)
    if not said or not options:
        return f"note: {note}"
    return f"note: {said}; {ANEW}: {advice}" if all(one in STARTING for one in options) else f"note: {said}"
