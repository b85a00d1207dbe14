"""An engine without processes, for tests of what is made and not of how: no worker has to start Python and torch."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from avse.parallel.tasks import Outcome, Todo, attempt, start


def run_many(
    job: Any, items: Iterable[Any], num_workers: int, on_progress: Callable[..., None] = lambda *words: None
) -> Iterator[Outcome[Any, Any]]:
    """Do as `avse.parallel.local.run_many`, one item after the other; what would go through a pipe is pickled too."""
    todo: Todo[Any, Any] = Todo(items)
    if not todo:
        return
    kind, work = start(_sent(job))
    todo.settle(None, kind, work)
    while todo:
        task = todo.next()
        answer = attempt(work, _sent(task.item), lambda *words, item=task.item: on_progress(0, item, *words))
        outcome = todo.settle(task, *_sent(answer))
        assert outcome is not None
        yield outcome


def _sent(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))
