"""Worker processes on one machine, each with its own pipe, so that the death of one does not affect the others."""

from __future__ import annotations

import os
import pickle
import secrets
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Generic

from avse.errors import MissingError
from avse.parallel.orphans import kill_marked, mark_children
from avse.parallel.tasks import Answer, Item, Job, OnProgress, Outcomes, Result, Task, Todo, attempt, start
from avse.progress import Report

GRACE_SECONDS = 5.0
REPORT_EVERY_SECONDS = 0.1
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def count(num_jobs: int | None = None) -> int:
    """Return the number of processes asked for, or one for each core that this process may use."""
    return num_jobs or num_cores()


def threads_for(num_jobs: int) -> int:
    """Return the threads for each of so many processes, so that together they do not oversubscribe the cores."""
    return max(1, num_cores() // num_jobs)


def run_many(
    job: Job[Item, Result],
    items: Iterable[Item],
    num_workers: int,
    on_progress: OnProgress[Item] = lambda worker, item, stage, done, total: None,
) -> Outcomes[Item, Result]:
    """Give items to worker processes and yield each one's outcome as it ends. The cores are divided among them.

    Closing the iterator, or an error in it, ends all workers within seconds. Raises MissingError or another AvseError
    where no worker can start, or where every other item would fail too.
    """
    todo: Todo[Item, Result] = Todo(items)
    pool: _WorkerPool[Item] = _WorkerPool(pickle.dumps(job), threads_for(max(1, num_workers)))
    try:
        for _ in range(min(num_workers, len(todo))):
            pool.start_worker()
        while pool.workers:
            for worker, (kind, value) in pool.receive():
                task = worker.task
                if kind == "progress" and task:
                    on_progress(worker.number, task.item, *value)
                    continue
                worker.task = None
                outcome = todo.settle(task, kind, value)
                pool.assign(worker, todo, alive=kind != "died")
                if outcome:
                    yield outcome
    finally:
        pool.stop()


@dataclass(eq=False)
class _Worker(Generic[Item]):
    number: int
    process: BaseProcess
    pipe: Connection
    mark: str
    task: Task[Item] | None = None

    def answer(self) -> Answer:
        try:
            kind, value = self.pipe.recv()
            return kind, value
        except (EOFError, OSError):
            self.end()
            code = self.process.exitcode
            return "died", signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"

    def give(self, task: Task[Item]) -> None:
        self.task = task
        with suppress(BrokenPipeError):  # it is dead: answer() reports it
            self.pipe.send(task.item)

    def end(self) -> None:
        """Wait for the worker a moment, then kill it and its children."""
        self.pipe.close()
        wait([self.process.sentinel], GRACE_SECONDS)
        with suppress(ProcessLookupError, PermissionError):  # before join(), which gives its number back
            os.killpg(self.process.pid or 0, signal.SIGKILL)
        self.process.kill()
        self.process.join()
        kill_marked(self.mark)


class _WorkerPool(Generic[Item]):
    """Hold the running workers; a worker that replaces another takes over its number."""

    def __init__(self, job: bytes, num_threads: int) -> None:
        self.workers: list[_Worker[Item]] = []
        self._job, self._num_threads = job, num_threads
        self._context = get_context("spawn")

    def start_worker(self) -> None:
        """Start a worker. MissingError where the system has no room for another process or its pipe."""
        try:
            self._start_worker()
        except OSError as error:
            raise MissingError(f"A worker cannot start: {error.strerror}.", "Use fewer workers: --jobs 2") from error

    def _start_worker(self) -> None:
        ours, theirs = self._context.Pipe()
        number = min(set(range(len(self.workers) + 1)) - {worker.number for worker in self.workers})
        mark = secrets.token_hex(8)
        process = self._context.Process(target=_serve, args=(theirs, self._job, self._num_threads, mark), daemon=True)
        with _interrupts_held():
            process.start()
        theirs.close()
        self.workers.append(_Worker(number, process, ours, mark))

    def receive(self) -> Iterator[tuple[_Worker[Item], Answer]]:
        """Yield the next message of each worker that has sent one."""
        by_pipe = {worker.pipe: worker for worker in self.workers}
        for pipe in wait(list(by_pipe)):
            worker = by_pipe[pipe]  # type: ignore[index]
            yield worker, worker.answer()

    def assign(self, worker: _Worker[Item], todo: Todo[Item, Result], alive: bool) -> None:
        """Assign a worker its next task; replace one that died; end one without a task."""
        if alive and todo:
            worker.give(todo.next())
            return
        self.workers.remove(worker)
        worker.end()
        if todo:
            self.start_worker()

    def stop(self) -> None:
        """End all workers at the same time."""
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            worker.end()
        self.workers.clear()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Block SIGINT until the end of the block, and permanently in processes that start in it."""
    usual = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, usual)


def _serve(pipe: Connection, job: bytes, num_threads: int, mark: str) -> None:
    """Run a worker in its own process group, so that its children can be ended with it."""
    os.setsid()
    mark_children(mark)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_parent, args=(mark,), daemon=True).start()
    for name in THREADS:  # read when numpy and torch are imported, which the job does
        os.environ.setdefault(name, str(num_threads))
    with closing(pipe), suppress(KeyboardInterrupt, EOFError, BrokenPipeError):
        kind, work = start(pickle.loads(job))
        pipe.send((kind, None if kind == "ready" else work))
        while kind == "ready":
            item = pipe.recv()
            signal.signal(signal.SIGTERM, _give_up)
            answer = attempt(work, item, _reporter(pipe))
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            pipe.send(answer)


def _give_up(number: int, frame: FrameType | None) -> None:
    """Abandon the item by an exception, so that partial files are removed; messages are discarded."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    raise KeyboardInterrupt


def _reporter(pipe: Connection) -> Report:
    """Return a function that sends progress to the parent, at most ten times a second."""
    last_stage, last_time = "", 0.0

    def report(stage: str, done: float, total: float) -> None:
        nonlocal last_stage, last_time
        now = time.monotonic()
        if stage != last_stage or now - last_time > REPORT_EVERY_SECONDS:
            last_stage, last_time = stage, now
            pipe.send(("progress", (stage, done, total)))

    return report


def _die_with_parent(mark: str) -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    kill_marked(mark)
    os.killpg(0, signal.SIGKILL)
