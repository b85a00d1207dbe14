"""Active speaker detection: matching mouths, mouths at rest, late video; one voice for each face."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from scipy.ndimage import uniform_filter1d
from speaker_facts import NUM_FRAMES, made_facts, made_track
from typer.testing import CliRunner

import avse
from avse.active_speaker import detection, selection
from avse.active_speaker.av_sync import estimate_av_offset
from avse.active_speaker.detection import SpeakerActivity, activity_gain, moves_alone, score_activity
from avse.active_speaker.scene import Scene
from avse.data.synthetic.clips import make_clip, write_video
from avse.data.synthetic.face import talking_head
from avse.data.synthetic.speech import speak
from avse.enhancement.all_speakers import enhance_all
from avse.errors import InputError, UsageError
from avse.io import reader
from avse_cli.main import app


@pytest.mark.parametrize(
    ("lefts", "places"),
    [
        ([50.0], ["centre"]),
        ([90.0, 10.0], ["right", "left"]),
        ([300.0, 0.0, 150.0], ["right", "left", "centre"]),
        ([200.0, 0.0, 100.0, 300.0], ["second from right", "left", "second from left", "right"]),
        ([0.0, 0.0], ["left", "right"]),
    ],
)
def test_every_face_has_a_place_of_its_own(lefts: list[float], places: list[str]) -> None:
    scene = Scene([made_track(left) for left in lefts])
    assert [scene.place(index) for index in range(len(lefts))] == places


def test_place_of_as_many_faces_as_there_may_be() -> None:
    scene = Scene([made_track(40.0 * k) for k in range(selection.MAX_FACES)])
    assert len({scene.place(index) for index in range(selection.MAX_FACES)}) == selection.MAX_FACES


def test_mouth_that_matches_the_audio_is_distinguished_from_one_that_does_not() -> None:
    activity = score_activity(*made_facts())
    assert activity.av_offset_frames == 0
    assert activity.mean_correlation[0] == pytest.approx(0.3, abs=0.05)
    assert activity.mean_correlation[1] == pytest.approx(0.0, abs=0.05)
    assert activity.motion_share.tolist() == [1, 1]


@pytest.mark.parametrize("late", [-4, 0, 1, 7])
def test_late_video_is_detected_and_compensated(late: int) -> None:
    activity = score_activity(*made_facts(late=late))
    assert activity.av_offset_frames == late
    assert activity.mean_correlation[0] > 0.25


def test_av_offset_is_0_where_no_audio_matches() -> None:
    predicted, _, _, seen = made_facts()
    for seed in range(20):
        energies = np.random.default_rng((seed, 9)).standard_normal((NUM_FRAMES, 20))
        assert estimate_av_offset(predicted, energies, seen) == 0


def made_watched(motion: list[float], match: list[float], seen: tuple[bool, bool] = (True, True)) -> SpeakerActivity:
    shape = np.ones((1, 100))
    flags = np.array(seen)[:, None] & shape.astype(bool)
    return SpeakerActivity(flags, np.array(motion)[:, None] * shape, np.array(match)[:, None] * shape)


@pytest.mark.parametrize(
    ("motion", "match", "seen", "level_db"),
    [
        ([0.02, 0.3], [0.0, 0.2], (True, True), -25),
        ([0.30, 0.3], [0.0, 0.2], (True, True), 0),  # it moves its own mouth
        ([0.08, 0.3], [0.0, 0.2], (True, True), 0),  # perhaps it does
        ([0.02, 0.02], [0.0, 0.2], (True, True), 0),  # the other rests too
        ([0.02, 0.3], [0.0, 0.05], (True, True), 0),  # the other moves, but not with the audio
        ([0.02, 0.3], [0.3, 0.2], (True, True), 0),  # its own goes better
        ([0.02, 0.3], [0.0, 0.2], (False, True), 0),  # not seen: nothing is known of it
        ([0.02, 0.3], [0.0, 0.2], (True, False), 0),
    ],
)
def test_turned_down_only_where_there_is_no_doubt(
    motion: list[float], match: list[float], seen: tuple[bool, bool], level_db: float
) -> None:
    assert 20 * np.log10(activity_gain(made_watched(motion, match, seen), 0)) == pytest.approx(np.full(100, level_db))


def test_only_face_is_never_turned_down_and_ramps_are_smooth() -> None:
    alone = SpeakerActivity(np.ones((1, 50), bool), np.zeros((1, 50)), np.zeros((1, 50)))
    assert activity_gain(alone, 0).tolist() == [1] * 50
    activity = made_watched([0.02, 0.3], [0.0, 0.3])
    activity.motion[0, :50] = 0.3
    steps = np.diff(20 * np.log10(activity_gain(activity, 0)))
    assert steps.min() == pytest.approx(-5, abs=0.01)
    assert np.count_nonzero(steps) == 5


@pytest.mark.parametrize(
    ("motion", "seen", "is_alone"),
    [
        ([0.3, 0.02], (True, True), True),
        ([0.3, 0.08], (True, True), False),  # perhaps the other speaks
        ([0.02, 0.02], (True, True), False),
        ([0.3, 0.02], (True, False), False),  # nothing is known of the other
        ([0.3, 0.02], (False, True), False),
    ],
)
def test_alone_only_while_all_others_are_seen_to_rest(
    motion: list[float], seen: tuple[bool, bool], is_alone: bool
) -> None:
    assert moves_alone(made_watched(motion, [0.0, 0.0], seen), 0).tolist() == [is_alone] * 100


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """Two heads side by side that take turns of 2.4 s, the left one first, and when (N,) the left one speaks."""
    turn = 60
    said = [speak(4.8, 16000, seed, pitch_hz=pitch) for seed, pitch in ((0, 205.0), (1, 112.0))]
    speaks = (np.arange(240) // turn) % 2 == 0
    heads, waveforms = [], []
    for k, speech in enumerate(said):
        mine = speaks == (k == 0)
        opening, waveform = np.zeros(240, np.float32), np.zeros(240 * 640, np.float32)
        opening[mine] = speech.opening[:120]
        waveform[np.repeat(mine, 640)] = speech.waveform[: 120 * 640]
        heads.append(talking_head(opening, (240, 240), seed=k))
        waveforms.append(waveform)
    path = tmp_path_factory.mktemp("panel") / "panel.mp4"
    both = (np.hstack([left, right]) for left, right in zip(*heads, strict=True))
    write_video(path, both, waveforms[0] + waveforms[1], 16000)
    return path, np.repeat(speaks, 640)


def level_db(waveform: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(waveform)) + 1e-12))


def test_visible_but_silent_face_comes_out_near_silent(
    panel: tuple[Path, np.ndarray], see_through: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a net that keeps everything, and lips that predict the loudness: what is taken away is taken by the gate."""
    path, left_speaks = panel
    monkeypatch.setattr(detection, "_observe", _readable_lips(detection._observe))
    summary = enhance_all(path, tmp_path / "out", model=str(see_through))
    assert [face["position"] for face in summary["faces"]] in (["left", "right"], ["right", "left"])
    before = reader.load_audio(reader.probe(path))[:, 0]
    for face in summary["faces"]:
        after = soundfile.read(tmp_path / "out" / face["audio"])[0]
        assert len(after) == len(before)
        mine = (left_speaks if face["position"] == "left" else ~left_speaks)[: len(before)]
        inside = uniform_filter1d(mine.astype(float), 16001, mode="constant")  # a second and more from any change
        assert level_db(after[mine]) - level_db(before[mine]) > -0.5
        silent = inside[: len(before)] < 0.01
        assert level_db(after[silent]) - level_db(before[silent]) < -15


def _readable_lips(observe):  # type: ignore[no-untyped-def]
    """Return lips whose opening gives the energies, in place of a trained lip stream."""

    def predicted(net: torch.nn.Module, mono: np.ndarray, mouths: np.ndarray) -> np.ndarray:
        facts = observe(net, mono, mouths)
        num_faces = mouths.shape[1]
        dark = -mouths[:, :, 19:30, 15:29].astype(np.float32).mean((2, 3))
        facts[:, : num_faces * 20] = np.repeat(dark, 20, axis=1)
        return np.asarray(facts)

    return predicted


def test_all_faces_in_one_pass_are_what_each_alone_is(
    panel: tuple[Path, np.ndarray], tiny_model: Path, tmp_path: Path
) -> None:
    path, _ = panel
    summary = enhance_all(path, tmp_path / "out", model=str(tiny_model))
    assert sorted(item.name for item in (tmp_path / "out").iterdir()) == [
        "face-1.png", "face-1.wav", "face-2.png", "face-2.wav", "faces.json",
    ]  # fmt: skip
    assert json.loads((tmp_path / "out/faces.json").read_text())["faces"][1]["number"] == 2
    for face in summary["faces"]:
        assert face["seen_share"] == 1
        assert face["intervals_seconds"] == [(0.0, 9.6)]
        result = avse.enhance(path, tmp_path / "one.wav", model=str(tiny_model), speaker=face["number"], force=True)
        assert result.speaker == face["number"]
        assert f"Face {face['number']} of 2 ({face['position']}) kept, seen 100%" in result.note
        together, alone = (soundfile.read(p)[0] for p in (tmp_path / "out" / face["audio"], tmp_path / "one.wav"))
        np.testing.assert_allclose(together, alone, atol=2e-3)
    with pytest.raises(UsageError, match="already exists"):
        enhance_all(path, tmp_path / "out", model=str(tiny_model))


def test_recording_without_a_face_has_no_voices_of_faces(tiny_model: Path, tmp_path: Path) -> None:
    grey = (np.full((96, 128, 3), 128, np.uint8) for _ in range(25))
    write_video(tmp_path / "grey.mp4", grey, np.zeros(16000, np.float32), 16000)
    with pytest.raises(InputError, match="no moving face"):
        enhance_all(tmp_path / "grey.mp4", tmp_path / "out", model=str(tiny_model))
    assert not (tmp_path / "out").exists()


def test_face_that_enters_late_shifts_nothing(see_through: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    make_clip(clip, seconds=1.28)
    late = tmp_path / "late.mp4"
    heads = [np.repeat(frame[..., None], 3, 2) for frame in reader.read_frames(reader.probe(clip))]
    wall = [np.full_like(heads[0], 90)] * 125
    waveform = reader.load_audio(reader.probe(clip))[:, 0]
    write_video(late, [*wall, *heads], np.concatenate([0.01 * np.tile(waveform, 4)[:80000], waveform]), 16000)
    result = avse.enhance(late, tmp_path / "out.wav", model=str(see_through))
    before, after = reader.load_audio(reader.probe(late))[:, 0], soundfile.read(tmp_path / "out.wav")[0]
    assert len(after) == len(before)
    assert np.abs(after - before).max() < 1e-3
    assert [begin for begin, _ in result.seen_seconds] == [5.0]
    assert "only the audio was used elsewhere" in result.note


def test_faces_says_that_it_lists_the_largest_only(
    panel: tuple[Path, np.ndarray], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avse.active_speaker.selection.MAX_FACES", 1)
    shown = CliRunner().invoke(app, ["faces", str(panel[0]), "--model", str(tiny_model)])
    assert "shows 2 faces; only the 1 largest" in shown.stderr
    assert len(shown.stdout.splitlines()) == 2
    quiet = CliRunner().invoke(app, ["faces", str(panel[0]), "--model", str(tiny_model), "--quiet", "--json"])
    assert quiet.stderr == ""


def test_faces_as_typed(panel: tuple[Path, np.ndarray], tiny_model: Path, tmp_path: Path) -> None:
    path, _ = panel
    sheet = tmp_path / "sheet.png"
    shown = CliRunner().invoke(app, ["faces", str(path), "--model", str(tiny_model), "-o", str(sheet)])
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert lines[0].split()[:2] == ["face", "where"]
    assert {line.split()[1] for line in lines[1:]} == {"left", "right"}
    assert sheet.read_bytes().startswith(b"\x89PNG")
    as_json = CliRunner().invoke(app, ["faces", str(path), "--model", str(tiny_model), "--json"])
    facts = json.loads(as_json.stdout)
    assert [face["number"] for face in facts["faces"]] == [1, 2]
    assert facts["active"] in (1, 2)
