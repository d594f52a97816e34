"""Chats: the turns of system, user and assistant, as JSON messages or as lines that begin with a role."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attn_cli.errors import InputError, quoted

__all__ = ["ROLE_LINE", "Turn", "parse_turns", "turns_from", "with_system"]

ROLES = ("system", "developer", "user", "assistant", "tool")
"""Roles that begin a turn in lines; JSON may name others, if the model's template knows them."""

ROLE_LINE = re.compile(rf"^({'|'.join(ROLES)}):[ \t]?", re.MULTILINE)
"""The beginning of a turn in plain text."""
FORM = 'Write [{"role": "user", "content": "…"}], or lines that begin with user:, assistant: or system:'


@dataclass(frozen=True)
class Turn:
    """One message of a chat."""

    role: str
    content: str
    others: tuple[tuple[str, Any], ...] = ()
    """Further fields of the message, which only its template reads."""

    @property
    def message(self) -> dict[str, Any]:
        """The message, as a chat template takes it."""
        return {"role": self.role, "content": self.content, **dict(self.others)}


def parse_turns(text: str, where: str) -> tuple[Turn, ...]:
    """Parse a chat from JSON (a list of messages, or an object with `messages`) or from lines that begin with a role.

    Args:
        text: the chat.
        where: its name in messages.

    Raises:
        InputError: it has neither form, or a message is not of text.
    """
    if text.lstrip().startswith(("[", "{")):
        try:
            return turns_from(json.loads(text), where)
        except RecursionError as error:
            raise InputError(f"{where} is not JSON: it is nested too deeply", FORM) from error
        except ValueError as error:
            what = error.msg if isinstance(error, json.JSONDecodeError) else "a number has thousands of digits"
            raise InputError(f"{where} is not JSON: {what}", FORM) from error
    marks = list(ROLE_LINE.finditer(text))
    if not marks or text[: marks[0].start()].strip():
        raise InputError(f"{where} does not begin with the role of a turn", FORM)
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return tuple(Turn(mark[1], text[mark.end() : end].rstrip()) for mark, end in zip(marks, ends, strict=True))


def turns_from(value: object, where: str) -> tuple[Turn, ...]:
    """Check messages as JSON or Python holds them.

    Args:
        value: a list of messages, or an object with `messages`.
        where: its name in messages.

    Raises:
        InputError: it has another form, or a message is not of text.
    """
    messages = value.get("messages") if isinstance(value, Mapping) else value
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise InputError(f"{where} has no list of messages", FORM)
    return tuple(_turn(message, f"Message {number} of {where}") for number, message in enumerate(messages, start=1))


def _turn(message: object, where: str) -> Turn:
    if isinstance(message, Turn):
        return message
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise InputError(f"{where} has no role", FORM)
    if message.get("tool_calls"):
        raise InputError(f"{where} calls tools, which is not read", "Leave its tool_calls out, or write them as text")
    others = tuple((str(key), one) for key, one in message.items() if key not in {"role", "content", "tool_calls"})
    return Turn(message["role"], _text_of(message.get("content"), where), others)


def _text_of(content: object, where: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        raise InputError(f"{where} has no content", "Give every message a text")
    texts = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if not isinstance(part, Mapping) or kind != "text" or not isinstance(part.get("text"), str):
            what = f"a part of type {quoted(str(kind))}" if isinstance(kind, str) and kind != "text" else "no text"
            raise InputError(f"{where} has {what}, and only text is read", "Leave out images, sound and files")
        texts.append(part["text"])
    return "".join(texts)


def with_system(turns: Sequence[Turn], system: str) -> tuple[Turn, ...]:
    """Put a system turn before the others.

    Raises:
        InputError: there is one already.
    """
    if any(turn.role == "system" for turn in turns):
        raise InputError("The chat has a system turn, and --system is given as well", "Leave one of them out")
    return (Turn("system", system), *turns)
