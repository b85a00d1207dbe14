"""The engine for several machines: the same ``run_many`` on a Ray cluster.

One actor is one worker: it loads the net once and holds one recording at a time, so no more is ever on its way than
there are workers. Recordings and outputs lie where every machine reaches them: shared folders or fsspec URLs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic

from avse.errors import MissingError, one_line
from avse.installation import install_hint
from avse.parallel.tasks import Answer, Item, Job, OnProgress, Outcomes, Result, Task, Todo, Work, attempt, start
from avse.progress import silent

GPU_SHARE = 0.25


@contextmanager
def connected(address: str = "auto") -> Iterator[None]:
    """Connect to a cluster for the block: "auto" is the one on this machine, "local" starts one for that time.

    Raises MissingError without Ray, or without a cluster at that address.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingError("Ray is not installed.", install_hint("ray")) from error
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises that class itself, too
        raise MissingError(
            f"There is no Ray cluster at {address}: {one_line(error)[:200]}",
            "Start one: ray start --head. If the cluster requires a token, set RAY_AUTH_MODE=token here as well. "
            "For this machine alone, omit --engine.",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def gpu_share() -> float:
    """Return the share of a GPU for each worker: a quarter where the cluster has any, else 0."""
    import ray

    return GPU_SHARE if ray.cluster_resources().get("GPU", 0) else 0.0


def capacity(num_gpus: float) -> int:
    """Return how many workers fit on the cluster: one per core, limited by the GPUs."""
    import ray

    there = ray.cluster_resources()
    num_cpus = int(there.get("CPU", 1))
    return max(1, min(num_cpus, int(there.get("GPU", 0) / num_gpus)) if num_gpus else num_cpus)


def run_many(
    job: Job[Item, Result],
    items: Iterable[Item],
    num_workers: int,
    on_progress: OnProgress[Item],
    *,
    num_gpus: float = 0.0,
) -> Outcomes[Item, Result]:
    """Run as `avse.parallel.local.run_many`, with workers of one core and ``num_gpus`` GPUs in the cluster.

    A worker takes an item only once it has started, so workers without resources do not delay any item.
    Progress is reported per item, not within it. Needs `connected`.
    """
    import ray

    todo: Todo[Item, Result] = Todo(items)
    pool: _WorkerPool[Item, Result] = _WorkerPool(job, num_gpus)
    try:
        for number in range(min(num_workers, len(todo))):
            pool.start_worker(number)
        while todo or pool.is_busy():
            [ready], _ = ray.wait(list(pool.workers), num_returns=1)
            worker = pool.workers.pop(ready)
            kind, value = _answer(ready)
            task, worker.task = worker.task, None
            outcome = todo.settle(task, kind, value)
            pool.assign(worker, todo, on_progress, alive=kind != "died")
            if outcome:
                yield outcome
    finally:
        pool.stop()


class _Actor:
    """Run one worker on the cluster."""

    def start(self, job: Job[Any, Any]) -> Answer:
        kind, value = start(job)
        if kind == "stop":
            return kind, value
        self._work: Work[Any, Any] = value
        return kind, None

    def attempt(self, item: Any) -> Answer:
        return attempt(self._work, item, silent)


@dataclass(eq=False)
class _Worker(Generic[Item]):
    number: int
    actor: Any
    task: Task[Item] | None = None


class _WorkerPool(Generic[Item, Result]):
    """Hold the workers by the answer that is expected of each."""

    def __init__(self, job: Job[Item, Result], num_gpus: float) -> None:
        import ray

        self.workers: dict[Any, _Worker[Item]] = {}
        self._job = ray.put(job)
        self._actors: Any = ray.remote(num_cpus=1, num_gpus=num_gpus, max_restarts=0)(_Actor)

    def is_busy(self) -> bool:
        return any(worker.task for worker in self.workers.values())

    def start_worker(self, number: int) -> None:
        actor: Any = self._actors.remote()
        self.workers[actor.start.remote(self._job)] = _Worker(number, actor)

    def assign(
        self, worker: _Worker[Item], todo: Todo[Item, Result], on_progress: OnProgress[Item], alive: bool
    ) -> None:
        """Assign a worker its next task; replace one that died; end one without a task."""
        if alive and todo:
            worker.task = todo.next()
            on_progress(worker.number, worker.task.item, "on the cluster", 0.0, 1.0)
            self.workers[worker.actor.attempt.remote(worker.task.item)] = worker
            return
        _kill(worker)
        if todo:
            self.start_worker(worker.number)

    def stop(self) -> None:
        for worker in self.workers.values():
            _kill(worker)


def _answer(ready: Any) -> Answer:
    import ray

    try:
        answer: Answer = ray.get(ready)
        return answer
    except (
        ray.exceptions.RayTaskError
    ) as error:  # avse raises nothing there: the machine has no avse, or another version
        return "stop", worker_error(str(error).strip().splitlines()[-1])
    except ray.exceptions.RayError as error:
        return "died", one_line(error)[:200]


def worker_error(reason: str) -> MissingError:
    """Return the error of a worker that cannot run this avse: another version is installed there, or shadows it."""
    hint = "Install the same avse on every machine."
    if "avse" in reason:
        hint += " A folder called avse in the current one hides an editable installation: start from another folder."
    return MissingError(f"A worker cannot run: {reason}", hint)


def _kill(worker: _Worker[Any]) -> None:
    import ray

    with suppress(ray.exceptions.RayError, ValueError):
        ray.kill(worker.actor)
