"""Bytes from outside, as text."""

from __future__ import annotations

from attn_cli.errors import InputError

__all__ = ["decode_text"]


def decode_text(data: bytes, name: str, remedy: str = "") -> str:
    """UTF-8 to text.

    Args:
        data: the bytes.
        name: what to call them in the message.
        remedy: what to do about bytes that are not UTF-8.

    Raises:
        InputError: it is not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name} is not UTF-8 (byte 0x{data[error.start]:02x} at position {error.start})", remedy
        ) from error
