"""The engine of several machines, on a real cluster of one machine with two workers, one of which is killed."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
from batch_jobs import Scripted, by_name, is_alive, wait_for, write_items
from ray_cluster import bury, patiently
from recordings import coloured_noise
from typer.testing import CliRunner

from avse.batch.discovery import Item
from avse.batch.settings import Outcome
from avse.errors import MissingError, UsageError
from avse.parallel import ray as parallel_ray
from avse_cli.main import app

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="pip install 'avse[ray]'")
# Ray leaves its log files and sockets to the garbage collector, and warns of settings it is going to change
quiet = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning:ray")
pytestmark = pytest.mark.usefixtures("ray_environment")


@pytest.fixture(scope="module")
def cluster(ray_environment: None) -> Iterator[None]:
    """Ray on this machine for as long as the tests of this file, with room for two workers."""
    import ray

    settings: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    patiently(lambda: ray.init(address="local", num_cpus=2, **settings))
    yield
    ray.shutdown()
    bury()


@pytest.fixture
def job(tmp_path: Path) -> Scripted:
    (tmp_path / "starts").mkdir()
    return Scripted(tmp_path / "starts")


def nothing(worker: int, item: Item, stage: str, done: float, total: float) -> None:
    """Ignore the progress."""


def test_without_ray_it_reports_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingError, match=r"\[ray\]"), parallel_ray.connected():
        pass


@needs_ray
@quiet
def test_without_a_cluster_it_reports_what_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(MissingError, match="ray start --head"), parallel_ray.connected("auto"):
        pass


@needs_ray
@quiet
@pytest.mark.usefixtures("cluster")
class TestCluster:
    """What the engine promises, where it differs in nothing from the local one."""

    def test_bad_items_and_deaths_cost_only_themselves(self, job: Scripted, tmp_path: Path) -> None:
        items = write_items(tmp_path / "in", "die", "well", "bad", "die-once", "crash", "well")
        reported: list[Any] = []
        ended = by_name(list(parallel_ray.run_many(job, items, 2, lambda *words: reported.append(words))))
        assert [name for name, outcome in ended.items() if outcome.error is None] == ["01", "03", "05"]
        assert {name: outcome.num_attempts for name, outcome in ended.items() if outcome.num_attempts > 1} == {
            "00": 2, "03": 2,
        }  # fmt: skip
        assert "is bad" in str(ended["02"].error)
        assert "ValueError" in str(ended["04"].error)
        assert "died 2 times" in str(ended["00"].error)
        assert {words[1].name for words in reported} == {item.name for item in items}

    def test_worker_killed_from_outside_loses_nothing_and_repeats_nothing(self, job: Scripted, tmp_path: Path) -> None:
        items = write_items(tmp_path / "in", "sleep", *["nap 0.1"] * 10)
        ended: list[Outcome] = []
        run = threading.Thread(target=lambda: ended.extend(parallel_ray.run_many(job, items, 2, nothing)))
        run.start()
        pids = tmp_path / "in" / "00.pids"
        worker, *children = map(int, wait_for(lambda: pids.exists() and pids.read_text()).split())
        Path(items[0].source).write_text("well")
        for pid in (worker, *children):
            with contextlib.suppress(ProcessLookupError):  # Ray ends the children too, sometimes sooner
                os.kill(pid, signal.SIGKILL)
        run.join(120)
        outcomes = by_name(ended)
        assert len(outcomes) == 11
        assert {outcome.error for outcome in ended} == {None}
        assert [name for name, outcome in outcomes.items() if outcome.num_attempts == 2] == ["00"]
        assert 2 <= len(list(job.starts.iterdir())) <= 3  # one for each worker; the third may have come too late

    def test_what_the_machine_lacks_stops_all(self, job: Scripted, tmp_path: Path) -> None:
        items = write_items(tmp_path / "in", "missing", *["nap 30"] * 5)
        with pytest.raises(MissingError, match="no such program"):
            list(parallel_ray.run_many(job, items, 2, nothing))
        with pytest.raises(UsageError, match="no such model"):
            list(parallel_ray.run_many(Scripted(job.starts, "unknown model"), items, 2, nothing))

    def test_more_workers_than_room_hold_nothing_up(self, job: Scripted, tmp_path: Path) -> None:
        items = write_items(tmp_path / "in", *["nap 0.1"] * 6)
        pids = {outcome.answer["pid"] for outcome in parallel_ray.run_many(job, items, 4, nothing)}
        assert 1 <= len(pids) <= 2
        wait_for(lambda: not any(map(is_alive, pids)))

    def test_command_writes_what_the_local_one_writes(self, tiny_model: Path, tmp_path: Path) -> None:
        (tmp_path / "in" / "sub").mkdir(parents=True)
        for name in ("a", "sub/b"):
            soundfile.write(tmp_path / "in" / f"{name}.wav", coloured_noise(8000), 16000)
        (tmp_path / "in" / "bad.wav").write_text("no recording")
        out = tmp_path / "out"
        command = ["batch", f"{tmp_path}/in", "-o", str(out), "--model", str(tiny_model), "--engine", "ray", "--json"]
        shown = CliRunner().invoke(app, command)
        assert shown.exit_code == 1, shown.output
        reported = json.loads(shown.stdout)
        assert (reported["done"], reported["failed"], reported["workers"], reported["engine"]) == (2, 1, 2, "ray")
        lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
        assert {line["item"]: line["status"] for line in lines} == {
            "a.wav": "done", "sub/b.wav": "done", "bad.wav": "failed",
        }  # fmt: skip
        assert soundfile.info(out / "sub" / "b.wav").frames == 8000
        again = json.loads(CliRunner().invoke(app, command).stdout)
        assert (again["done"], again["skipped"], again["failed"]) == (0, 2, 1)

    def test_room_is_counted_in_cores_and_gpus(self) -> None:
        assert parallel_ray.gpu_share() == 0
        assert parallel_ray.capacity(0) == 2
