"""Bytes from outside, as text, and text that can be looked at."""

from __future__ import annotations

from typing import Any

from attn_cli.errors import InputError

__all__ = ["check_text", "decode_text"]

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""How a file begins that a Windows shell has written."""


def decode_text(data: bytes, name: str, remedy: str = "") -> str:
    """UTF-8 to text.

    Args:
        data: the bytes.
        name: what to call them in the message.
        remedy: what to do about bytes that are not UTF-8; by default, how to convert them.

    Raises:
        InputError: it is not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        encoding = "UTF-16" if data.startswith(UTF_16) else "LATIN1"
        raise InputError(
            f"{name} is not UTF-8 (byte 0x{data[error.start]:02x} at position {error.start})",
            remedy or f"Convert it, for example with: iconv -f {encoding} -t UTF-8",
        ) from error


def check_text(text: str, name: str = "The text") -> str:
    """The text, if there is something to read in it.

    Args:
        text: what somebody wrote.
        name: what to call it in the message.

    Raises:
        InputError: it is no text, blank, or holds what was no UTF-8 where it came from.
    """
    given: Any = text
    if not isinstance(given, str):  # from Python, anything may come
        raise InputError(f"{name} is of type {type(given).__name__} and no str", "Give one text at a time")
    if not text.strip():
        raise InputError(f"{name} is empty", "Give at least one word")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{name} is not valid UTF-8", "Check the terminal's encoding, or save it as UTF-8 and use --file"
        ) from error
    return text
