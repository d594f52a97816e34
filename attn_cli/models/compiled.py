"""Calls into compiled libraries with what a model's folder holds: none of them may panic, print or hang unheard.

A panic of a library written in Rust reaches Python as an exception that is no `Exception`, after the library has
printed a message of its own at file descriptor 2. A regular expression that backtracks ends in one, or takes hours.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from attn_cli.errors import AttnError, ModelError, is_panic, shortened
from attn_cli.system.silence import compiled_unheard

__all__ = ["in_time", "library_fault", "library_told"]

Result = TypeVar("Result")

SECONDS, LETTERS_A_SECOND = 20.0, 10_000
"""How long a text may take: a fixed time, and more by its length. Tokenizers read a hundred times as fast."""


def library_fault(fault: BaseException, problem: str, remedy: str) -> ModelError:
    """What a library says of a fault, as an error of one sentence.

    Args:
        fault: what it raised.
        problem: what could not be done; the first sentence of what the library says follows after a colon.
        remedy: what to do next.
    """
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    # A heading says nothing without what stands below it.
    said = " ".join(lines[: 2 if lines[0].endswith(":") else 1]) if lines else type(fault).__name__
    said = shortened(said.rstrip("."), 300)
    return ModelError(f"{problem}: {said}", remedy)


@contextmanager
def library_told(problem: str, remedy: str) -> Iterator[None]:
    """Turn whatever a compiled library raises into an error of one sentence, and keep its own words off the terminal.

    Such libraries raise a bare `Exception`, or panic, so only their calls may stand under this. attn's own errors pass.

    Args:
        problem: what could not be done.
        remedy: what to do next.

    Raises:
        ModelError: the library found a fault, or panicked.
    """
    with compiled_unheard():
        try:
            yield
        except (AttnError, MemoryError):
            raise
        except BaseException as fault:
            if not isinstance(fault, Exception) and not is_panic(fault):
                raise
            raise library_fault(fault, problem, remedy) from fault


class _Worker:
    """A thread that does one thing after another, and that nobody waits for when the process ends."""

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._done: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        threading.Thread(target=self._run, name="attn-tokenizer", daemon=True).start()

    def _run(self) -> None:
        while True:
            call = self._work.get()
            result, raised = None, None
            try:
                result = call()
            except BaseException as fault:  # handed over to whoever waits, a panic too
                raised = fault
            self._done.put((result, raised))
            del call, result, raised

    def ask(self, call: Callable[[], Any], seconds: float) -> Any:
        self._work.put(call)
        result, fault = self._done.get(timeout=seconds)
        if fault is not None:
            raise fault
        return result


_idle: SimpleQueue[_Worker] = SimpleQueue()


def _forget() -> None:
    """Start anew in a forked process, which has none of its parent's threads."""
    global _idle
    _idle = SimpleQueue()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def in_time(call: Callable[[], Result], letters: int, problem: str, remedy: str) -> Result:
    """What a call gives that may take for ever, such as a search for a regular expression.

    It runs in a thread, so that it must let go of Python's lock while it works; where it takes too long, the thread is
    left to itself.

    Args:
        call: what to do.
        letters: how long the text is that it works on.
        problem: what could not be done.
        remedy: what to do next.

    Raises:
        ModelError: it takes far longer than any text takes.
    """
    try:
        worker = _idle.get_nowait()
    except Empty:
        worker = _Worker()
    seconds = SECONDS + letters / LETTERS_A_SECOND
    try:
        result: Result = worker.ask(call, seconds)
    except Empty as fault:
        raise ModelError(f"{problem}: it takes longer than {seconds:.0f} seconds", remedy) from fault
    except BaseException as fault:
        if not isinstance(fault, KeyboardInterrupt):  # after that it may still be at work
            _idle.put(worker)
        raise
    _idle.put(worker)
    return result
