"""Bytes from outside, as text that can be looked at; and text on its way out, as bytes that a terminal only shows."""

from __future__ import annotations

import re
from typing import Any

from attn_cli.errors import InputError

__all__ = ["OBEYED", "check_text", "decode_text", "escaped", "json_bytes"]

OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff]")
"""What does something instead of being shown: control characters (of which some terminals obey U+0080 to U+009F too),
line and paragraph separators, what reorders a line (Unicode's bidirectional controls); and halves of characters, which
are no text.
"""

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


def escaped(text: str, *, keep: str = "") -> str:
    r"""The text with everything in it that a terminal obeys written as in JSON: `\u009b`.

    Args:
        text: anything.
        keep: characters to leave as they are.
    """
    return OBEYED.sub(lambda found: found[0] if found[0] in keep else f"\\u{ord(found[0]):04x}", text)


def json_bytes(document: object, *, indent: bool = False) -> bytes:
    """A document as one line of JSON in UTF-8 that does nothing to a terminal, whatever texts are in it.

    Args:
        document: what orjson writes, NumPy arrays among it.
        indent: on several lines, to be read by people.
    """
    import orjson  # both imported late: not every command writes JSON
    import regex

    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if indent else 0)
    written = orjson.dumps(document, option=options)
    # JSON itself escapes what is below U+0020. Nearly all that is written is numbers, which are not decoded.
    seldom: bytes = regex.sub(rb"[\x7f-\xff]+", lambda found: escaped(found[0].decode()).encode(), written)
    return seldom


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
        raise InputError(f"{name} must be a str, not {type(given).__name__}", "Give one text at a time")
    if not text.strip():
        raise InputError(f"{name} is empty", "Give at least one word")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{name} is not valid UTF-8", "Check the terminal's encoding, or save it as UTF-8 and use --file"
        ) from error
    return text
