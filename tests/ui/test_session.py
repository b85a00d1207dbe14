"""What the page does with a recording is what the command line does: bit for bit at full strength."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from batch_jobs import wait_for
from recordings import ffmpeg
from report_world import HOSTILE, Page

import avse
from avse.enhancement.result import KEEP_EVERYONE
from avse.errors import AvseError, InputError, UsageError
from avse.io import reader
from avse.io.ffmpeg import Limits
from avse.progress import Report, silent
from avse.reports import enhancement
from avse.ui import export, faces, render
from avse.ui.progress import Progress, Work
from avse.ui.session import CancelledError, Session, Studio
from avse.ui.waiting_line import WaitingLine
from avse.weights.pretrained import load_model


@pytest.fixture
def studio(tiny_model: Path, tmp_path: Path) -> Studio:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return Studio(load_model(tiny_model), folder)


@pytest.fixture
def session(studio: Studio) -> Iterator[Session]:
    session = Session(studio)
    yield session
    session.close()


@pytest.fixture
def ready(session: Session, clip: Path) -> Session:
    """A session whose only face has been enhanced."""
    session.open(clip, silent)
    session.enhance(1, silent)
    return session


def samples(path: Path) -> np.ndarray:
    return reader.load_audio(reader.probe(path))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mkv"])
@pytest.mark.parametrize("lufs", [None, -16.0])
def test_download_is_the_output_of_the_command(
    ready: Session, clip: Path, tiny_model: Path, tmp_path: Path, suffix: str, lufs: float | None
) -> None:
    assert ready.enhanced is not None
    expected = tmp_path / f"expected{suffix}"
    avse.enhance(clip, expected, model=str(tiny_model), speaker=1, loudness_lufs=lufs)
    made = export.export(ready.enhanced, tmp_path, suffix, loudness_lufs=lufs)
    assert made.name == f"talking head.enhanced{suffix}"
    np.testing.assert_array_equal(samples(made), samples(expected))
    if suffix != ".mkv":
        assert made.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.9])
def test_strength_mixes_what_is_there_as_the_command_computes_it(
    ready: Session, clip: Path, tiny_model: Path, tmp_path: Path, strength: float
) -> None:
    assert ready.enhanced is not None
    avse.enhance(clip, tmp_path / "expected.wav", model=str(tiny_model), speaker=1, strength=strength)
    made = export.export(ready.enhanced, tmp_path, ".wav", strength)
    difference = samples(made) - samples(tmp_path / "expected.wav")
    assert np.abs(difference).max() <= 1.01 / 32768
    full = export.export(ready.enhanced, tmp_path, ".wav")
    assert np.abs(samples(full) - samples(tmp_path / "expected.wav")).max() > 100 / 32768


@pytest.mark.parametrize("audio_track", [None, 1, 2])
def test_audio_track_is_chosen_as_by_the_command(
    tiny_model: Path, clip: Path, tmp_path: Path, audio_track: int | None
) -> None:
    two, expected = tmp_path / "two.mkv", tmp_path / "expected.wav"
    ffmpeg(
        "-i", clip, "-filter_complex", "[0:a]volume=0.25[quiet]", "-map", "0:v", "-map", "0:a", "-map", "[quiet]",
        "-c:v", "copy", "-c:a", "pcm_s16le", "-disposition:a:0", "0", "-disposition:a:1", "default", two,
    )  # fmt: skip
    avse.enhance(two, expected, model=str(tiny_model), speaker=1, audio_track=audio_track)
    session = Session(Studio(load_model(tiny_model), tmp_path, audio_track=audio_track))
    session.open(two, silent)
    made = export.export(session.enhance(1, silent), tmp_path, ".wav")
    np.testing.assert_array_equal(samples(made), samples(expected))


def test_player_and_report_draw_the_audio_track_that_was_enhanced(
    tiny_model: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two, seen = tmp_path / "two.mkv", []
    ffmpeg("-i", clip, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c:v", "copy", two)
    session = Session(Studio(load_model(tiny_model), tmp_path, audio_track=2))
    session.open(two, silent)
    enhanced = session.enhance(1, silent)

    def watched(*_: object, audio_track: int | None = None, **__: object) -> list[object]:
        seen.append(audio_track)
        return []

    for module in (render, enhancement):
        monkeypatch.setattr(module, "make_player_tracks", watched)
    render.player(enhanced, enhanced.voice, "pair.wav", "")
    export.export(enhanced, tmp_path, ".html")
    session.close()
    assert seen == [2, 2]


def test_player_has_before_left_and_after_right(ready: Session, clip: Path, tmp_path: Path) -> None:
    assert ready.enhanced is not None
    export.write_pair(ready.enhanced, tmp_path / "pair.wav")
    pair, rate = soundfile.read(tmp_path / "pair.wav", always_2d=True)
    assert rate == 16000
    np.testing.assert_allclose(pair[:, 0], samples(clip).mean(1), atol=1 / 32768)
    after = samples(export.export(ready.enhanced, tmp_path, ".wav")).mean(1)
    np.testing.assert_allclose(pair[:, 1], after, atol=2 / 32768)


def test_report_names_recording_and_output(ready: Session, tmp_path: Path) -> None:
    assert ready.enhanced is not None
    page = Page(export.export(ready.enhanced, tmp_path, ".html", 0.5))
    assert "talking head.mp4, enhanced" in page.text
    assert "talking head.enhanced.wav" in page.text
    assert str(ready.folder) not in page.source


@pytest.mark.parametrize(("suffix", "strength", "lufs"), [(".exe", 1, None), (".wav", 1.5, None), (".wav", 1, 3)])
def test_wrong_export_is_refused(ready: Session, tmp_path: Path, suffix: str, strength: float, lufs: float) -> None:
    assert ready.enhanced is not None
    with pytest.raises(UsageError):
        export.export(ready.enhanced, tmp_path, suffix, strength, lufs)
    assert files(tmp_path / "workspace") == ["voice.w64"]


def test_faces_have_a_number_a_position_and_a_thumbnail(session: Session, clip: Path) -> None:
    found = faces.draw_faces(session.open(clip, silent))
    assert found is not None
    (card,) = found.cards
    assert (card.number, found.active) == (1, 1)
    assert card.place == "centre"
    assert card.about.endswith("visible 100%")
    assert card.box is not None
    left, top, width, height = card.box
    assert 20 < left < 60 > top > 5
    assert 15 < width < 60
    assert 15 < height < 90
    html = render.faces(found)
    assert html.count('data-face="1"') == 2
    assert html.count("data:image/") == 2


def test_recording_without_video_works_and_reports_so(session: Session, clip: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "voice.wav", samples(clip), 16000)
    pipeline = session.open(tmp_path / "voice.wav", silent)
    assert faces.draw_faces(pipeline) is None
    assert "no video" in pipeline.result().note
    enhanced = session.enhance("active", silent)
    assert session.serve_video() is None
    assert ".mp4" not in export.choices(has_video=False)
    assert export.export(enhanced, tmp_path, ".wav").exists()


@pytest.mark.parametrize("content", [b"", b"This is no video."])
def test_broken_upload_gives_two_lines_and_shows_its_name_alone(
    session: Session, tmp_path: Path, content: bytes
) -> None:
    upload = tmp_path / "<img onerror=alert(1)>.mp4"
    upload.write_bytes(content)
    kept = session.keep_upload(upload)
    with pytest.raises(InputError) as caught:
        session.open(kept, silent)
    html = render.failure(caught.value)
    assert "<img" not in html
    assert "&lt;img onerror=alert(1)&gt;.mp4" in html
    assert str(session.folder) not in html
    assert html.count("<br>") == 1


def test_limits_are_those_of_the_command(studio: Studio, clip: Path) -> None:
    short = Session(Studio(studio.checkpoint, studio.folder, Limits(max_seconds=1)))
    with pytest.raises(InputError, match="longer than 1 s"):
        short.open(clip, silent)
    with pytest.raises(InputError, match=r"larger than 0\.001 MB"):
        Session(Studio(studio.checkpoint, studio.folder, Limits(max_megabytes=0.001))).open(clip, silent)


def test_enhancement_does_not_decode_the_video_again(session: Session, clip: Path) -> None:
    """Of two hours of video that would take as long as the analysis."""
    session.open(clip, silent)
    stages: list[str] = []
    session.enhance(1, lambda stage, done, total: stages.append(stage))
    session.enhance("everyone", lambda stage, done, total: stages.append(stage))
    assert set(stages) == {"starting", "analysing mouths", "enhancing"}


@pytest.mark.parametrize("stage", ["drawing the faces", "preparing the player", "drawing", "writing"])
def test_whatever_takes_long_reports_its_progress_to_the_end_and_can_be_cancelled(
    ready: Session, tmp_path: Path, stage: str
) -> None:
    enhanced, analysis = ready.enhanced, ready.analysis
    assert enhanced is not None
    assert analysis is not None
    works: dict[str, Callable[[Report], object]] = {
        "drawing the faces": lambda report: faces.draw_faces(analysis, report),
        "preparing the player": lambda report: export.write_pair(enhanced, tmp_path / "pair.wav", report),
        "drawing": lambda report: render.player(enhanced, enhanced.voice, "pair.wav", "", report),
        "writing": lambda report: export.export(enhanced, tmp_path, ".wav", 0.5, None, report),
    }
    shares: list[float] = []

    def report(at: str, done: float, total: float) -> None:
        assert at == stage
        shares.append(done / max(total, 1e-9))

    works[stage](report)
    assert shares[-1] == pytest.approx(1, abs=0.02) or stage == "drawing the faces"
    assert max(shares) <= 1.001
    ready.cancel()
    with pytest.raises(CancelledError):
        works[stage](ready.cancellable(report))


@pytest.mark.parametrize("stage", ["measuring levels", "detecting faces"])
def test_cancelled_analysis_leaves_nothing(session: Session, clip: Path, stage: str) -> None:
    def report(at: str, done: float, total: float) -> None:
        if at == stage:
            session.cancel()

    with pytest.raises(CancelledError):
        session.open(clip, report)
    assert session.analysis is None
    assert files(session.folder) == []


def test_cancelled_enhancement_leaves_nothing_and_can_be_repeated(session: Session, clip: Path) -> None:
    session.open(clip, silent)

    def report(stage: str, done: float, total: float) -> None:
        if stage == "enhancing":
            session.cancel()

    with pytest.raises(CancelledError):
        session.enhance(1, report)
    assert session.enhanced is None
    assert files(session.folder) == []
    session.prepare()
    session.enhance(1, silent)
    assert files(session.folder) == ["voice.w64"]


def test_cancelled_while_it_waits_never_begins(session: Session, clip: Path) -> None:
    session.prepare()
    session.cancel()
    with pytest.raises(CancelledError):
        session.open(clip, silent)


def test_visitor_who_leaves_stops_the_work_and_takes_all_files_along(session: Session, clip: Path) -> None:
    begun, left = threading.Event(), threading.Event()

    def report(stage: str, done: float, total: float) -> None:
        if stage == "measuring levels":
            begun.set()
            left.wait(100)

    work = Work(lambda show: session.open(session.keep_upload(clip), lambda *now: (report(*now), show(*now))))
    steps = work.follow()
    next(steps)
    assert begun.wait(100)
    closing = threading.Thread(target=session.close)
    closing.start()
    wait_for(lambda: session._closed)
    left.set()
    with pytest.raises(CancelledError):
        list(steps)
    closing.join(100)
    assert not session.folder.exists()
    assert not session.served.exists()
    with pytest.raises(UsageError, match="was closed"):
        session.open(clip, silent)


def test_two_visitors_have_folders_of_their_own(studio: Studio, clip: Path) -> None:
    one, other = Session(studio), Session(studio)
    for session in (one, other):
        session.open(session.keep_upload(clip), silent)
    one.close()
    assert other.enhance(1, silent).voice.is_file()


@pytest.fixture
def busy(studio: Studio, clip: Path) -> Iterator[threading.Event]:
    """Another visitor whose work goes on until the event is set."""
    begun, finish = threading.Event(), threading.Event()

    def report(stage: str, done: float, total: float) -> None:
        begun.set()
        finish.wait(100)

    other = Session(studio)
    work = threading.Thread(target=other.open, args=(clip, report))
    work.start()
    assert begun.wait(100)
    yield finish
    finish.set()
    work.join(100)


def test_second_visitor_sees_the_position_and_then_has_a_turn(
    session: Session, busy: threading.Event, clip: Path
) -> None:
    stages: list[str] = []

    def report(stage: str, done: float, total: float) -> None:
        stages.append(stage)
        if "ahead" in stage:
            busy.set()

    assert session.open(clip, report).selection.scene.tracks
    assert stages[0] == "waiting in the queue, 1 ahead"
    assert stages[-1] == "analysing mouths"


def test_visitor_who_cancels_while_waiting_does_not_wait(session: Session, busy: threading.Event, clip: Path) -> None:
    with pytest.raises(CancelledError):
        session.open(clip, lambda *now: session.cancel())
    assert not busy.is_set()
    assert len(session.studio.line._line) == 1


def test_line_is_in_the_order_of_arrival() -> None:
    line, order, ahead = WaitingLine(), [], []
    first = line.turn(ahead.append)
    first.__enter__()

    def wait(name: int) -> None:
        with line.turn(lambda count: ahead.append(count)):
            order.append(name)

    threads = [threading.Thread(target=wait, args=(name,)) for name in range(3)]
    for name, thread in enumerate(threads):
        thread.start()
        wait_for(lambda name=name: len(line._line) == name + 2)
    first.__exit__(None, None, None)
    for thread in threads:
        thread.join(100)
    assert order == [0, 1, 2]
    assert max(ahead) == 3


def test_work_hands_on_outcome_and_error() -> None:
    def fail(report: object) -> None:
        raise AvseError("no", "try")

    done: Work[int] = Work(lambda report: 7)
    first, *_ = done.follow()
    assert first.text == "Starting"
    assert done.outcome == 7
    with pytest.raises(AvseError):
        list(Work(fail).follow())


def test_progress_reports_stage_share_and_time_left() -> None:
    assert Progress("detecting faces", 15, 60, 90).text == "Detecting faces: 25%, about 1 min 30 s left"
    assert Progress("enhancing", 7, 5).share == 1
    assert 'value="0.25"' in render.progress(Progress("enhancing", 1, 4))
    assert "value=" not in render.progress(Progress())
    assert Progress("enhancing", 1, 2, 44.4).text == "Enhancing: 50%, about 44 s left"
    assert Progress("enhancing", 1, 2, 59.7).text == "Enhancing: 50%, about 1 min 00 s left"
    assert Progress("enhancing", 1, 2, 0.01).text == "Enhancing: 50%, about 1 s left"


def test_names_are_text_wherever_they_are_shown(ready: Session, tmp_path: Path) -> None:
    assert ready.enhanced is not None
    hostile = tmp_path / HOSTILE
    hostile.write_bytes(b"x")
    for html in (render.link(hostile), render.note(HOSTILE)):
        (tmp_path / "page.html").write_text(html)
        assert not Page(tmp_path / "page.html").all("img")
    assert "%3Cimg" in render.link(hostile)


def test_page_names_its_button_and_no_option() -> None:
    text = render.in_words_of_the_page(f"Face 1 (right) also speaks; removed. {KEEP_EVERYONE}")
    assert text.endswith(f'removed. Keep everyone: "{render.EVERYONE}".')
    assert "--" not in text


def test_player_has_one_audio_two_spectrograms_and_the_video(ready: Session, tmp_path: Path) -> None:
    assert ready.enhanced is not None
    video = ready.serve_video()
    assert video is not None
    assert video.name == "video.mp4"
    html = render.player(ready.enhanced, ready.enhanced.voice, "pair.wav", render.file_url(video))
    (tmp_path / "page.html").write_text(html)
    page = Page(tmp_path / "page.html")
    assert [media["src"] for tag in ("audio", "video") for media in page.all(tag)] == [
        "pair.wav",
        render.file_url(video),
    ]
    assert len(page.all("svg")) == len(page.all("img")) == 2
    assert all(image["alt"] for image in page.all("img"))
