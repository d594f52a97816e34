"""Decoding of input, and encoding of output that a terminal shows without executing anything in it."""

from __future__ import annotations

import re
from typing import Any

from attn_cli.errors import InputError

__all__ = ["OBEYED", "check_text", "decode_text", "escaped", "json_bytes"]

OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff]")
"""Characters that a terminal executes instead of showing.

These are control characters (some terminals execute U+0080 to U+009F too), line and paragraph separators, and Unicode's
bidirectional controls, which reorder a line; also surrogates, which are not text.
"""

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""Byte order marks of UTF-16, which Windows shells write."""


def decode_text(data: bytes, name: str, remedy: str = "") -> str:
    """Decode UTF-8.

    Args:
        data: the bytes.
        name: name of the data in the message.
        remedy: advice for bytes that are not UTF-8; by default, how to convert them.

    Raises:
        InputError: the bytes are not UTF-8.
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
    r"""Escape everything in a text that a terminal executes, as in JSON: `\u009b`.

    Args:
        text: any text.
        keep: characters to leave as they are.
    """
    return OBEYED.sub(lambda found: found[0] if found[0] in keep else f"\\u{ord(found[0]):04x}", text)


def json_bytes(document: object, *, indent: bool = False) -> bytes:
    """Write a document as one line of JSON in UTF-8 that is harmless to a terminal, whatever texts it holds.

    Args:
        document: anything that orjson can write, including NumPy arrays.
        indent: write several indented lines, for people.
    """
    import orjson  # both imported late: not every command writes JSON
    import regex

    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if indent else 0)
    written = orjson.dumps(document, option=options)
    # JSON itself escapes everything below U+0020. Only other bytes are decoded, since nearly all output is numbers.
    seldom: bytes = regex.sub(rb"[\x7f-\xff]+", lambda found: escaped(found[0].decode()).encode(), written)
    return seldom


def check_text(text: str, name: str = "The text") -> str:
    """Check that a text can be read by a model, and return it.

    Args:
        text: the text, or anything else from a Python caller.
        name: name of the text in the message.

    Raises:
        InputError: the text is not a str, is blank, or holds surrogates, which stand for bytes that were not UTF-8.
    """
    given: Any = text
    if not isinstance(given, str):  # a Python caller may pass anything
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
