"""A node of a Ray cluster is killed in the middle of a batch: nothing is lost, nothing done twice."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from batch_jobs import Scripted, is_alive, wait_for, write_items
from ray_cluster import bury, patiently

from avse.errors import MissingError
from avse.parallel import ray as parallel_ray


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="pip install 'avse[ray]'")
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning:ray")
@pytest.mark.usefixtures("ray_environment")
def test_node_killed_in_the_middle_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    import ray
    from ray.cluster_utils import Cluster

    (tmp_path / "starts").mkdir()
    items = write_items(tmp_path / "in", "sleep", *["nap 0.1"] * 8)
    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = patiently(lambda: Cluster(initialize_head=True, head_node_args=head))
    ended: list[Any] = []
    try:
        nodes = [patiently(lambda: cluster.add_node(num_cpus=1)) for _ in range(2)]
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        job = Scripted(tmp_path / "starts")
        run = threading.Thread(
            target=lambda: ended.extend(parallel_ray.run_many(job, items, 2, lambda *progress: None))
        )
        run.start()
        pids = tmp_path / "in" / "00.pids"
        worker, *children = map(int, wait_for(lambda: pids.exists() and pids.read_text()).split())
        Path(items[0].source).write_text("well")
        (busy,) = (node for node in nodes if raylet_of(node) == parent_of(worker))
        cluster.remove_node(busy, allow_graceful=False)
        wait_for(lambda: not is_alive(worker))
        for child in children:
            with contextlib.suppress(ProcessLookupError):  # Ray ends it too, sometimes sooner
                os.kill(child, signal.SIGKILL)
        run.join(120)
    finally:
        ray.shutdown()
        cluster.shutdown()
        bury()
    assert sorted(outcome.item.name for outcome in ended) == [item.name for item in items]
    assert [str(outcome.error) for outcome in ended if outcome.error] == []
    assert {outcome.item.name: outcome.num_attempts for outcome in ended if outcome.num_attempts > 1} == {
        items[0].name: 2
    }
    assert [Path(item.output).read_text() for item in items] == ["well", *["nap 0.1"] * 8]


def raylet_of(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_any_error_of_ray_is_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")

    def fail(**options: Any) -> None:
        raise Exception("The current node timed out\n  during startup.")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", fail)
    with (
        pytest.raises(MissingError, match="The current node timed out during startup") as caught,
        parallel_ray.connected(),
    ):
        pass
    assert str(caught.value).count("\n") == 1


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("ModuleNotFoundError: No module named 'avse.parallel'", "folder called avse"),
        ("AttributeError: module 'avse' has no attribute 'x'", "folder called avse"),
        ("RuntimeError: another version of Python", "same avse"),
    ],
)
def test_worker_that_finds_another_avse_names_what_may_hide_it(reason: str, hint: str) -> None:
    assert hint in parallel_ray.worker_error(reason).hint
