"""Selection of the target speaker: the active one by default, or as asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_world import tiny
from speaker_facts import NUM_FRAMES, made_facts, made_track
from typer.testing import CliRunner

from avse.active_speaker import selection
from avse.active_speaker.detection import score_activity
from avse.active_speaker.scene import Scene
from avse.dsp.levels import AudioStats
from avse.errors import UsageError
from avse.faces.mouth_crops import MouthCrops
from avse.io import reader
from avse.models.net import SpeechNet
from avse.progress import silent
from avse_cli.main import app


def test_active_is_the_one_that_fits_not_the_largest() -> None:
    predicted, energies, change, seen = made_facts(3)
    activity = score_activity(predicted[:, [2, 0, 1]], energies, change, seen)
    scene = Scene([made_track(0), made_track(200), made_track(100)], activity)
    assert selection.select_face(scene, "active") == 1
    assert selection.select_face(scene, "largest") == 0
    assert selection.select_face(scene, "left") == 0
    assert selection.select_face(scene, "right") == 1
    assert selection.select_face(scene, 3) == 2
    with pytest.raises(UsageError, match="no face 4; the video shows only 3"):
        selection.select_face(scene, 4)


def test_where_nothing_fits_the_largest_that_moves_is_taken() -> None:
    predicted, _, change, seen = made_facts(3)
    change[0] = 0.01  # a photograph
    noise = np.random.default_rng(5).standard_normal((NUM_FRAMES, 20))
    scene = Scene([made_track(0)] * 3, score_activity(predicted, noise, change, seen))
    assert selection.select_face(scene, "active") == 1


def test_little_motion_does_not_make_a_speaker_less_active() -> None:
    predicted, energies, change, seen = made_facts()
    change[0] = 0.05  # as in soft video
    change[0, 50:120] = 0.2
    activity = score_activity(predicted, energies, change, seen)
    assert activity.motion_share[0] < 0.3
    assert selection.most_active(activity) == 0
    assert activity.score[0] == pytest.approx(activity.mean_correlation[0])


def test_still_image_is_not_active_however_well_it_fits() -> None:
    predicted, energies, change, seen = made_facts()
    change[0] = 0.01
    activity = score_activity(predicted, energies + 8 * predicted[:, 1], change, seen)
    assert activity.mean_correlation[0] > 0.1
    assert activity.score[0] == 0
    assert selection.most_active(activity) == 1


def test_faces_beyond_the_largest_twelve_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    recording = reader.Recording(Path("panel.mp4"), 1.0, None, None)
    tracks = [made_track(40.0 * k) for k in range(14)]
    monkeypatch.setattr(selection, "relevant_tracks", lambda tracks, _: list(tracks))
    monkeypatch.setattr(selection, "crop_known", lambda *_: MouthCrops(44))
    monkeypatch.setattr(selection, "detect_activity", lambda *_: None)
    net, stats = SpeechNet(tiny()), AudioStats(16000, 25, 0.1)
    assert len(selection.analyse_faces(recording, stats, net, silent, tracks=tracks[:12]).tracks) == 12
    assert recording.notices == []
    assert selection.analyse_faces(recording, stats, net, silent, tracks=tracks).tracks == tracks[:12]
    assert recording.notices == [("too_many_faces", "The video shows 14 faces; only the 12 largest are considered.")]


def test_nobody_is_nobody() -> None:
    assert selection.select_face(Scene(), "left") is None
    with pytest.raises(UsageError, match="the video shows no face"):
        selection.select_face(Scene(), 1)


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["--speaker", "nobody", "-o", "out.wav"], 2, "nobody"),
        (["--speaker", "nobody", "-o", "out.wav"], 2, "everyone, all."),
        (["--speaker", "7", "-o", "out.wav"], 2, "no face 7"),
        (["--speaker", "each:out", "-o", "out.wav"], 2, "omit -o"),
        (["--speaker", "all", "-o", "out", "--no-video"], 2, "--no-video"),
    ],
)
def test_invalid_speakers_as_typed(
    clip: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], code: int, word: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, ["enhance", str(clip), "--model", str(tiny_model), *arguments])
    assert (shown.exit_code, word in shown.stderr) == (code, True), shown.stderr
    assert list(tmp_path.iterdir()) == []
