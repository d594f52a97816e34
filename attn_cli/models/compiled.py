"""Guards for calls into compiled libraries with a model folder's contents, which may panic, print or hang.

A panic of a library written in Rust reaches Python as an exception that is not an `Exception`, after the library has
printed its own message to file descriptor 2. A regular expression that backtracks ends in a panic, or takes hours.
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
"""Time allowed for a text: a fixed time, plus its length over a rate. Tokenizers are a hundred times as fast."""


def library_fault(fault: BaseException, problem: str, remedy: str) -> ModelError:
    """Turn a library's exception into an error of one sentence.

    Args:
        fault: the exception that the library raised.
        problem: what could not be done; the first line of the library's message follows after a colon.
        remedy: what to do next.
    """
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    # A heading says nothing without the line below it.
    said = " ".join(lines[: 2 if lines[0].endswith(":") else 1]) if lines else type(fault).__name__
    said = shortened(said.rstrip("."), 300)
    return ModelError(f"{problem}: {said}", remedy)


@contextmanager
def library_told(problem: str, remedy: str) -> Iterator[None]:
    """Turn any exception of a compiled library into an error of one sentence, and keep its output off the terminal.

    Such libraries raise a bare `Exception` or panic, so the context may hold only calls to them. attn's own errors
    pass through.

    Args:
        problem: what could not be done.
        remedy: what to do next.

    Raises:
        ModelError: the library raised an exception or panicked.
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
    """A daemon thread that runs one call after another and does not delay the end of the process."""

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
            except BaseException as fault:  # passed on to the caller that waits, panics included
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
    """Forget all workers in a forked process, which has none of its parent's threads."""
    global _idle
    _idle = SimpleQueue()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def in_time(call: Callable[[], Result], letters: int, problem: str, remedy: str) -> Result:
    """Return the result of a call that may never end, such as a regular expression search, or give up on it.

    The call runs in a worker thread, so it must release the global interpreter lock while it works. A worker whose
    call takes too long is abandoned.

    Args:
        call: the function to run.
        letters: length in characters of the text that it works on.
        problem: what could not be done.
        remedy: what to do next.

    Raises:
        ModelError: the call takes far longer than any text should.
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
        if not isinstance(fault, KeyboardInterrupt):  # the worker may still be busy after an interrupt
            _idle.put(worker)
        raise
    _idle.put(worker)
    return result
