"""Work spread over processes that may die: a worker's death costs the item it held, and a fresh worker goes on."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context
from multiprocessing.context import SpawnProcess
from typing import Generic, TypeVar

from avse.errors import MissingError

Item = TypeVar("Item")
Result = TypeVar("Result")
Job = Callable[[Item], Result]

PATIENCE_SECONDS = 5.0


class DiedError(Exception):
    """Why there is no result: the worker died, or the job raised what it should not."""


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def count(num_jobs: int | None = None) -> int:
    """The number of processes that was asked for, or one for each core that this process may use."""
    return num_jobs or num_cores()


def threads_for(num_jobs: int) -> int:
    """Threads for each of so many processes, so that together they do not fight over the cores."""
    return max(1, num_cores() // num_jobs)


def run_many(
    make_job: Callable[[], Job[Item, Result]], items: Iterable[Item], num_jobs: int
) -> Iterator[tuple[Item, Result | DiedError]]:
    """Yield each item with its result, as they end. Every process calls ``make_job`` once, before its first item.

    An item whose worker dies (killed, out of memory) is tried once more, by a fresh worker, and then given up. Raises
    MissingError if a worker cannot even start.
    """
    todo = list(items)[::-1]
    tried: list[Item] = []
    workers: list[_Worker[Item, Result]] = []
    try:
        workers += [_Worker(make_job) for _ in range(min(num_jobs, len(todo)))]
        while workers:
            ready = set(connection.wait([worker.pipe for worker in workers]))
            for worker in [worker for worker in workers if worker.pipe in ready]:
                held, answer = worker.take()
                if held and not worker.is_alive and held[0] not in tried:
                    tried += held
                    todo += held
                elif held:
                    yield held[0], answer
                elif isinstance(answer, DiedError):
                    raise MissingError(f"A worker process cannot start: {answer}", "Try again with fewer --jobs.")
                if todo and worker.is_alive:
                    worker.give(todo.pop())
                    continue
                workers.remove(worker)
                worker.end()
                if todo:
                    workers.append(_Worker(make_job))
    finally:
        for worker in workers:
            worker.end()


class _Worker(Generic[Item, Result]):
    """One process, the pipe to it, and the item that it holds: none until it is ready, and once it has answered."""

    def __init__(self, make_job: Callable[[], Job[Item, Result]]) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._item: list[Item] = []
        self.is_alive = True
        self._process: SpawnProcess = context.Process(target=_serve, args=(theirs, make_job), daemon=True)
        with _deaf_to_interrupts():
            self._process.start()
        theirs.close()

    def give(self, item: Item) -> None:
        self._item = [item]
        with suppress(BrokenPipeError):  # it is dead: take() will tell
            self.pipe.send(item)

    def take(self) -> tuple[list[Item], Result | DiedError]:
        """The item that it held, and what became of it."""
        held, self._item = self._item, []
        try:
            return held, self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.is_alive = False
            self._process.join(PATIENCE_SECONDS)
            return held, DiedError(f"its process died ({_cause_of_death(self._process.exitcode)})")

    def end(self) -> None:
        """Let it clean up after itself, and kill it if that takes too long."""
        self.pipe.close()
        if self._item:
            self._process.terminate()
        self._process.join(PATIENCE_SECONDS)
        self._process.kill()
        self._process.join()


def _serve(pipe: connection.Connection, make_job: Callable[[], Job[Item, Result]]) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        job = make_job()
    except Exception as error:
        pipe.send(DiedError(_in_words(error)))
        return
    pipe.send(None)
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(job(item))
        except Exception as error:  # a job that lets an error through must not cost the others
            pipe.send(DiedError(_in_words(error)))


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started inside never see Ctrl-C: it is for their parent, which ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _cause_of_death(exit_code: int | None) -> str:
    return signal.Signals(-exit_code).name if exit_code is not None and exit_code < 0 else f"exit code {exit_code}"
