"""Work shared out over processes, here or on a cluster, through Dask distributed; imported only for `--workers`."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from pkgutil import resolve_name
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

import dask
from distributed import Client, Future, LocalCluster, WorkerPlugin, get_worker
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker

from attn_cli.cli.app import debugging
from attn_cli.cli.progress import working
from attn_cli.cli.streams import say
from attn_cli.cli.workers import Workers
from attn_cli.errors import AttnError, ModelError
from attn_cli.system.interrupt import interruptible
from attn_cli.version import __version__

__all__ = ["Farm", "LostError", "chunks_of", "each_text"]

Chunk = TypeVar("Chunk")
Item = TypeVar("Item")
Result = TypeVar("Result")

CONNECT = 10.0
"""Seconds to wait for a scheduler."""
GREETING = 2**16
"""Most bytes of a scheduler's greeting."""
POLL = 0.2
"""Seconds after which Ctrl-C is looked for."""
AHEAD = 3
"""Chunks to send ahead for each worker, so that none waits while texts are read."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

VERSION = "attn_cli.version:__version__"
START = 'Start fewer of them; in a script, put its own code under `if __name__ == "__main__":`'
MORE_MEMORY = "Give each more memory, or start fewer of them"

_one_at_a_time = threading.Lock()


class LostError(ModelError):
    """The workers or their scheduler are gone, so that the rest of the texts cannot be measured."""


class _OfThisMachine(WorkerPlugin):  # type: ignore[misc]
    """Keep a worker of this terminal from hearing its Ctrl-C, which is for the command, and from writing to it."""

    def setup(self, worker: Any) -> None:
        del worker
        with suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        if not debugging():
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for descriptor in (1, 2):
                os.dup2(nowhere, descriptor)


def _run(version: str, work: bytes) -> Any:
    """Do some work in a worker, one piece at a time, since models are watched by hooks that belong to one run.

    Args:
        version: the version of attn that sends it.
        work: a function and what it is given, pickled, so that the scheduler does not read it.

    Raises:
        ModelError: the worker has another version of attn.
    """
    if version != __version__:
        raise _other_version(f"The worker at {get_worker().address}", __version__, version)
    with _one_at_a_time:
        function, chunk = pickle.loads(work)  # noqa: S301 - from the command that these workers were started for
        return function(*chunk)


def _other_version(who: str, there: object, here: str) -> ModelError:
    """Return the error for a machine that has no attn or another version of it."""
    if not isinstance(there, str):
        return ModelError(f"{who} has no attn", f"Install attn {here} there")
    return ModelError(f"{who} has attn {there}, and this is attn {here}", "Install the same version in both places")


@contextmanager
def _deaf() -> Iterator[None]:
    """Let threads and processes that are started within the block never hear Ctrl-C, where the system can do that."""
    if sys.platform == "win32":
        yield
        return
    # Whoever starts Python's own helper process listens again from then on.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _closed(connection: Any, timeout: float) -> None:
    """Close a client or a cluster; what does not close in time ends with this process."""
    with suppress(TimeoutError):
        connection.close(timeout=timeout)


@dataclass(frozen=True, slots=True)
class _Fault:
    """The error that ended the work on a chunk, after what was made of the texts before."""

    error: AttnError


def _in_turn(function: Callable[[Chunk], Iterable[Result]], chunk: Chunk) -> list[Result | _Fault]:
    """Return what a function yields of a chunk, and the error that ends it, if one does."""
    results: list[Result | _Fault] = []
    try:
        results.extend(function(chunk))
    except AttnError as error:
        results.append(_Fault(error))
    return results


def each_text(
    workers: Workers,
    load: Callable[[], tuple[Any, str]],
    function: Callable[[Chunk], Iterable[Result]],
    chunks: Iterator[Chunk],
) -> Iterator[Result]:
    """Yield what a function yields of each chunk of texts on some worker, in their order.

    Args:
        workers: the workers.
        load: loads the model on a worker, and returns its facts and its fingerprint.
        function: the function.
        chunks: the chunks.

    Raises:
        AttnError: a chunk cannot be read or worked on; what is before it has been yielded.
    """
    with Farm(workers) as farm:
        farm.the_same(load)
        yield from farm.in_turn(function, chunks)


def chunks_of(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield items in chunks of a size; an error is raised after the items before it.

    Raises:
        AttnError: an item cannot be read.
    """
    chunk: list[Item] = []
    try:
        for item in items:
            chunk.append(item)
            if len(chunk) == size:
                yield chunk
                chunk = []
    except AttnError:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


class Farm:
    """The workers, within a block.

    Args:
        workers: where they are.

    Raises:
        ModelError: there is no scheduler, a process cannot be started, or a worker has no attn, or another version.
        KeyboardInterrupt: Ctrl-C was pressed while no worker had come yet.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._stack = ExitStack()
        self._some_done = threading.Event()

    def __enter__(self) -> Farm:  # noqa: PYI034 - the tests check types, and cannot check Self
        if not debugging():
            logging.getLogger("distributed").setLevel(logging.CRITICAL)
        warnings.filterwarnings("ignore", module="distributed")
        try:
            with working("Starting workers on", self._workers.place):
                self._client = self._connect() if self._workers.address else self._start()
                self._addresses = self._awaited()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> Client:
        threads = str(max((os.cpu_count() or 1) // self._workers.count, 1))
        # A cluster that is half there cannot be closed, so Ctrl-C waits until it is there.
        with (
            interruptible(lambda: None) as asked,
            _deaf(),
            dask.config.set({"distributed.nanny.pre-spawn-environ": dict.fromkeys(THREADS, threads)}),
        ):
            try:
                cluster = LocalCluster(
                    n_workers=self._workers.count,
                    threads_per_worker=1,
                    dashboard_address=":0",  # its usual port may be taken, of which it would warn
                    scheduler_kwargs={"dashboard": False},
                    memory_limit=None,
                    silence_logs=False if debugging() else logging.CRITICAL,
                )
            except RuntimeError as error:
                raise ModelError("This machine cannot start the workers", START) from error
            self._stack.callback(_closed, cluster, CONNECT)
            client = Client(cluster)
            self._stack.callback(_closed, client, 1)
            client.register_plugin(_OfThisMachine())
        if asked():
            raise KeyboardInterrupt
        return client

    def _connect(self) -> Client:
        place = self._workers.address
        address = urlsplit(place)
        remedy = "Start one with `dask scheduler`, or check the address"
        other = ModelError(f"{place} is not a Dask scheduler, or runs another version of Dask", remedy)
        try:
            with socket.create_connection((address.hostname or "", address.port or 0), CONNECT) as line:
                # Dask waits for ever for a greeting that does not come: the length of a short message, in 8 bytes.
                if address.scheme == "tcp" and not 0 < int.from_bytes(line.recv(8), "little") < GREETING:
                    raise other
        except TimeoutError as error:
            raise other from error
        except (OSError, ValueError) as error:
            problem = getattr(error, "strerror", None) or "its port is none"
            raise ModelError(f"No scheduler can be reached at {place}: {problem}", remedy) from error
        try:
            client = Client(place, timeout=CONNECT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise other from error
        self._stack.callback(_closed, client, 1)
        try:
            there = client.run_on_scheduler(resolve_name, VERSION)
        except ImportError:
            there = None
        if there != __version__:
            raise _other_version(f"The scheduler at {self._workers.address}", there, __version__)
        return client

    def _awaited(self) -> tuple[str, ...]:
        """Wait for the first worker, and return the addresses of all that are there then.

        Raises:
            ModelError: one of them has no attn, or another version.
        """
        if not self._present():
            say(f"note: no worker has come to {self._workers.place} yet, so this waits for the first")
        while not self._present():
            time.sleep(POLL)
        found: dict[str, object] = self._client.run(resolve_name, VERSION, on_error="return")
        for address, version in found.items():
            if version != __version__:
                raise _other_version(f"The worker at {address}", version, __version__)
        return tuple(found)

    def on_each(self, function: Callable[[], Result]) -> list[Result]:
        """Run a function once on each of the workers that are there, side by side.

        Raises:
            AttnError: it fails on one of them; the message says which.
        """
        futures = {address: self._submitted(function, workers=[address]) for address in self._addresses}
        results = []
        for address, future in futures.items():
            while not self._is_done(future):
                if address not in self._present():
                    raise LostError(f"The worker at {address} died while it loaded the model", MORE_MEMORY)
            try:
                results.append(self._result(future))
            except AttnError as error:
                raise type(error)(f"The worker at {address}: {error.problem}", error.remedy) from error
        return results

    def the_same(self, describe: Callable[[], tuple[Any, str]]) -> tuple[Any, str]:
        """Load the model on each of the workers, and return what the first says of it, and its fingerprint.

        Args:
            describe: a function that loads the model.

        Raises:
            AttnError: a worker cannot load it, or loads other weights than the first; the message says which.
        """
        described = self.on_each(describe)
        for address, (_, fingerprint) in zip(self._addresses, described, strict=True):
            if fingerprint != described[0][1]:
                raise ModelError(
                    f"The worker at {address} loads other weights than that at {self._addresses[0]}",
                    "Give all of them the same model",
                )
        return described[0]

    def each(
        self,
        function: Callable[[Chunk], Result],
        chunks: Iterator[Chunk],
        asked: Callable[[], bool] = lambda: False,
    ) -> Iterator[Result]:
        """Yield what a function makes of each chunk, in their order. The chunks of a worker that dies go to another.

        Args:
            function: the function; it and the chunks can be pickled.
            chunks: the chunks, which are read a few ahead.
            asked: returns true if only what is done already should still be yielded.

        Raises:
            LostError: the scheduler does not answer any more, or workers die of a chunk again and again.
            AttnError: the function fails, or a chunk cannot be read.
        """
        waiting: deque[Future] = deque()
        most = AHEAD * max(len(self._present()), 1)
        more, fault = True, None
        while not asked():
            while more and len(waiting) < most:
                try:
                    chunk = next(chunks, None)
                except AttnError as error:  # raised behind what was read before
                    chunk, fault = None, error
                if chunk is None:
                    more = False
                    break
                waiting.append(self._submitted(function, chunk))
            if not waiting and fault is not None:
                raise fault
            if not waiting:
                return
            if self._is_done(waiting[0]):
                yield self._result(waiting.popleft())
                most = AHEAD * max(len(self._present()), 1)
        done = [future for future in waiting if future.status == "finished"]
        self._client.cancel([future for future in waiting if future.status != "finished"])
        yield from map(self._result, done)

    def in_turn(self, function: Callable[[Chunk], Iterable[Result]], chunks: Iterator[Chunk]) -> Iterator[Result]:
        """Yield what a function yields of each chunk of texts, in their order; see `each_text` and `each`."""
        for results in self.each(partial(_in_turn, function), chunks):
            for result in results:
                if isinstance(result, _Fault):
                    raise result.error
                yield result

    def _submitted(self, function: Callable[..., Any], *given: object, workers: list[str] | None = None) -> Future:
        with self._connected():
            work = pickle.dumps((function, given))
            future = self._client.submit(_run, __version__, work, workers=workers, pure=False)
            future.add_done_callback(lambda _: self._some_done.set())
        return future

    def _present(self) -> dict[str, int]:
        """Return the addresses of the workers that are there, with their numbers of threads."""
        with self._connected():
            present: dict[str, int] = self._client.nthreads()
        return present

    def _is_done(self, future: Future) -> bool:
        """Return whether a future is done, after a short while if it is not.

        Raises:
            LostError: the scheduler is gone.
        """
        if not future.done():
            self._some_done.wait(POLL)
            self._some_done.clear()
        # A result that is "lost" died with the worker that held it, and is made again.
        if self._client.status != "running" or future.status == "cancelled":
            raise self._lost()
        return bool(future.done())

    def _result(self, future: Future) -> Any:
        try:
            return future.result()
        except (CommClosedError, FutureCancelledError) as error:
            raise self._lost() from error
        except KilledWorker as error:
            raise LostError("Workers died again and again of the same texts", MORE_MEMORY) from error

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Tell of a scheduler that is gone within the block.

        Raises:
            LostError: it is.
        """
        if self._client.status != "running":
            raise self._lost()
        try:
            yield
        except (OSError, FutureCancelledError) as error:
            raise self._lost() from error

    def _lost(self) -> LostError:
        return LostError(f"The scheduler at {self._workers.place} does not answer any more", "Start it again")
