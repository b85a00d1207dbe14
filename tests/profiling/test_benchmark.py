"""``avse bench``: its stages do the work of ``avse enhance``, its figures go together, its minima are counted right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from onnx import TensorProto, helper
from recordings import ffmpeg, write_recording
from small_world import stirred, tiny
from torch import nn
from typer.testing import CliRunner

from avse import enhance
from avse.errors import AvseError, UsageError
from avse.io import reader
from avse.models.inputs import Inputs
from avse.profiling import benchmark, roofline
from avse.profiling.process import Start, Whole, run_whole
from avse.profiling.spans import profile, synchronise
from avse.progress import Stage
from avse.weights.checkpoint import save_checkpoint
from avse.weights.pretrained import load_model
from avse_cli.main import app

VIDEO = [Stage.READ_VIDEO, Stage.LOAD_DETECTOR, Stage.DETECT, Stage.TRACK]
FACE = [Stage.CROP, Stage.AV_OFFSET]


def invoke(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["bench", *map(str, arguments)])


def names(found: dict[str, Any]) -> list[str]:
    return [stage["name"] for stage in found["stages"]]


@pytest.fixture(scope="module")
def found(clip: Path, tiny_model: Path) -> dict[str, Any]:
    """Return the output of the real command for a talking head, with its own processes."""
    done = invoke(clip, "--model", tiny_model, "--repeat", 1, "--json")
    assert done.exit_code == 0, done.output
    values: dict[str, Any] = json.loads(done.stdout)
    return values


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No processes of its own."""
    monkeypatch.setattr(benchmark, "run_whole", lambda *given: Whole(0.64, 500.0))
    monkeypatch.setattr(benchmark, "run_start", lambda *given: Start(0.1, 2.0, 3.5))


# The command --------------------------------------------------------------------------------------------------------


def test_all_stages_of_one_face_are_there_in_order(found: dict[str, Any]) -> None:
    assert names(found) == [name for name in Stage if name != Stage.ACTIVITY]
    assert (found["num_faces"], found["video_size"], found["model"], found["device"]) == (1, [320, 240], "tiny", "cpu")
    assert found["duration_seconds"] == pytest.approx(1.28, abs=0.1)
    assert found["num_threads"] == torch.get_num_threads()


def test_figures_go_together(found: dict[str, Any]) -> None:
    duration, whole = found["duration_seconds"], found["whole"]["seconds"]
    assert whole > 0
    assert found["real_time_factor"] == pytest.approx(whole / duration)
    assert found["stages_seconds"] == pytest.approx(sum(stage["seconds"] for stage in found["stages"]))
    for stage in found["stages"]:
        assert stage["seconds"] >= 0
        assert stage["seconds_per_second"] == pytest.approx(stage["seconds"] / duration)
        assert stage["share_of_whole"] == pytest.approx(stage["seconds"] / whole)
    minimum = sum(stage["minimum_seconds"] or 0 for stage in found["stages"])
    assert found["minimum_seconds"] == pytest.approx(minimum)
    assert found["times_minimum"] == pytest.approx(whole / minimum)
    net = sum(stage["seconds"] for stage in found["stages"] if stage["name"] in (Stage.LIPS, Stage.AUDIO))
    assert found["net_times_real_time"] <= 1.001 * duration / net


def test_minima_are_those_of_nets_and_decoders(found: dict[str, Any]) -> None:
    with_minimum = {stage["name"]: stage["minimum_per_second"] for stage in found["stages"] if stage["bound"]}
    nets = {Stage.DETECT, Stage.LIPS, Stage.AUDIO}
    assert set(with_minimum) == nets | {Stage.READ_AUDIO, Stage.READ_VIDEO}
    assert min(with_minimum.values()) > 0
    assert found["macs_per_second"] > 1e8


def test_former_keys_are_kept(found: dict[str, Any]) -> None:
    former = {"floor": "bound", "floor_seconds": "minimum_seconds", "floor_per_second": "minimum_per_second"}
    for stage in found["stages"]:
        assert {key: stage[key] for key in former} == {key: stage[name] for key, name in former.items()}
    assert (found["floors_seconds"], found["times_floors"]) == (found["minimum_seconds"], found["times_minimum"])


def test_separate_processes_measure_memory_and_start(found: dict[str, Any]) -> None:
    assert found["whole"]["peak_megabytes"] > 100  # torch alone takes more
    start = found["start"]
    assert start["torch_seconds"] > start["python_seconds"] > 0
    assert start["beyond_torch_seconds"] == pytest.approx(start["avse_seconds"] - start["torch_seconds"])


@pytest.mark.usefixtures("quick")
def test_the_table_has_a_line_for_each_stage_and_one_for_the_rest(clip: Path, tiny_model: Path) -> None:
    shown = invoke(clip, "--model", tiny_model, "--repeat", 1).stdout
    table, _, facts = shown.partition("\n\n")
    assert table.startswith("stage ")
    assert len(table.splitlines()) == 1 + len(Stage) - 1 + 2
    assert "real-time factor 0.500: 2.0 times real time" in facts
    assert "peak memory 500 MB" in facts
    assert "start-up 3.5 s: torch 2.0 s, avse and its network 1.5 s" in facts
    assert invoke(clip, "--model", tiny_model, "--repeat", 1, "--quiet").stdout == "0.500\n"


@pytest.mark.usefixtures("quick")
def test_without_a_recording_the_sample_is_taken(clip: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avse.data.synthetic.clips.make_samples", lambda folder: [clip])
    assert json.loads(invoke("--model", tiny_model, "--repeat", 1, "--json").stdout)["recording"] == clip.name


@pytest.mark.usefixtures("quick")
def test_only_the_beginning_of_a_long_recording_is_used(clip: Path, tiny_model: Path) -> None:
    values = json.loads(invoke(clip, "--model", tiny_model, "--repeat", 1, "--seconds", 0.6, "--json").stdout)
    assert values["duration_seconds"] == pytest.approx(0.6, abs=0.1)
    assert values["num_faces"] == 1


# What is missing ----------------------------------------------------------------------------------------------------


def test_a_recording_without_audio_is_an_error(tmp_path: Path) -> None:
    silent = write_recording(tmp_path / "mute.mp4", None, np.zeros((5, 48, 64)))
    done = invoke(silent)
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"{silent} has no audio track." in done.stderr


@pytest.mark.parametrize("options", [["--seconds", "0"], ["--repeat", "0"], ["--model", "nobody"]])
def test_wrong_usage(clip: Path, options: list[str]) -> None:
    assert invoke(clip, *options).exit_code == 2


def test_nothing_to_measure_is_an_error_of_the_library_too(clip: Path) -> None:
    with pytest.raises(UsageError, match="Nothing would be measured"):
        benchmark.bench(clip, repeat=0)


@pytest.mark.usefixtures("quick")
def test_without_video_its_stages_are_missing(tmp_path: Path, tiny_model: Path) -> None:
    audio_file = tmp_path / "audio.wav"
    soundfile.write(audio_file, 0.1 * np.random.default_rng(0).standard_normal(8000), 8000)
    values = json.loads(invoke(audio_file, "--model", tiny_model, "--repeat", 1, "--json").stdout)
    assert values["video_size"] is values["picture"] is None
    assert set(names(values)) == set(Stage) - {*VIDEO, *FACE, Stage.ACTIVITY}


@pytest.mark.usefixtures("quick")
def test_without_face_no_mouth_is_cut_out(tmp_path: Path, tiny_model: Path) -> None:
    rng = np.random.default_rng(0)
    path = write_recording(tmp_path / "wall.mkv", 0.1 * rng.standard_normal(16000), rng.integers(0, 99, (25, 48, 64)))
    values = json.loads(invoke(path, "--model", tiny_model, "--repeat", 1, "--json").stdout)
    assert values["num_faces"] == 0
    assert set(names(values)) == set(Stage) - {*FACE, Stage.ACTIVITY}


@pytest.mark.usefixtures("quick")
def test_an_audio_only_net_decodes_no_video(clip: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "ao.safetensors", stirred(tiny("none")), {"name": "ao"})
    values = json.loads(invoke(clip, "--model", tmp_path / "ao.safetensors", "--repeat", 1, "--json").stdout)
    assert set(names(values)) == set(Stage) - {*VIDEO, *FACE, Stage.ACTIVITY, Stage.LIPS}


def test_a_process_that_fails_reports_why(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(AvseError, match="separate process: There is no model called 'nobody'"):
        run_whole(clip, tmp_path, "nobody", "cpu", 1, 1)


# The stages ---------------------------------------------------------------------------------------------------------


def test_the_benchmark_runs_the_real_pipeline(clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    checkpoint = load_model(str(tiny_model), "cpu")
    run = profile(checkpoint, clip, tmp_path / "profiled.wav")
    enhance(clip, tmp_path / "whole.wav", model=checkpoint)
    assert (tmp_path / "profiled.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()
    assert run.net is checkpoint.net
    num_frames = sum(given.seen.numel() for given in run.inputs)  # of both grids, together or one after the other
    assert num_frames in (64, 128)  # once more where the video is doubted
    assert run.counts[Stage.DETECT] == 7
    assert sum(run.seconds.values()) <= run.result.elapsed_seconds


def test_of_several_faces_the_activity_is_measured(clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    pair = tmp_path / "pair.mkv"
    ffmpeg("-i", clip, "-filter_complex", "[0:v][0:v]hstack", "-c:a", "copy", pair)
    run = profile(load_model(str(tiny_model), "cpu"), pair, tmp_path / "out.wav")
    assert run.result.num_faces == 2
    assert set(run.seconds) == set(Stage) - {Stage.AV_OFFSET}


def test_a_gpu_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: waited.append(device.type))
    synchronise(torch.device("cpu"))
    synchronise(torch.device("cuda"))
    assert waited == ["cuda"]


# The minima ---------------------------------------------------------------------------------------------------------


def test_macs_of_a_net_whose_count_is_known() -> None:
    net = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 5, 10))
    weights_before = net[0].weight.clone()
    assert roofline.num_macs(net, torch.randn(3, 4, 6, 5)) == 3 * (8 * 6 * 5 * 2 * 9 + 8 * 6 * 5 * 10)
    assert torch.equal(net[0].weight, weights_before)
    assert net[0].weight.device.type == "cpu"


def test_macs_of_the_speech_net_grow_with_its_length() -> None:
    net = stirred(tiny()).eval()
    given = [
        Inputs(torch.zeros(1, 321, 4 * n, dtype=torch.complex64), torch.zeros(1, n, 44, 44), torch.ones(1, n))
        for n in (10, 20)
    ]
    once, twice = (roofline.num_macs(net, each) for each in given)
    assert twice == pytest.approx(2 * once, rel=0.02)
    assert 0 < roofline.num_macs(net.lips, given[0].lips) < once


def test_macs_of_an_onnx_graph_whose_count_is_known() -> None:
    def tensor(name: str, *dims: int) -> Any:
        return helper.make_tensor(name, TensorProto.FLOAT, dims, np.zeros(dims, np.float32).ravel())

    def value(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 1, 1])

    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["y"], ["r"]),
        helper.make_node("ConvTranspose", ["r", "v"], ["z"], strides=[2, 2]),
    ]
    graph = helper.make_graph(
        nodes, "g", [value("x")], [value("z")], [tensor("w", 6, 3, 3, 3), tensor("v", 6, 2, 2, 2)]
    )
    expected = 6 * 3 * 9 * (4 * 5) + 6 * 2 * 4 * (4 * 5)
    assert roofline.num_onnx_macs(helper.make_model(graph), (1, 3, 8, 10)) == expected


def test_macs_of_the_detector_grow_with_the_frame() -> None:
    once = roofline.num_detector_macs(64, 96)
    assert once > 1e6
    assert roofline.num_detector_macs(128, 96) == 2 * once
    assert roofline.num_detector_macs(120, 90) == 2 * once, "padded to multiples of 32"


def test_decoding_has_a_minimum_for_each_track(clip: Path) -> None:
    recording = reader.probe(clip)
    assert roofline.decode_seconds(recording, "a:0") > 0
    assert roofline.decode_seconds(recording, "V:0") > 0
    with pytest.raises(AvseError, match="cannot read"):
        roofline.decode_seconds(recording, "a:7")
