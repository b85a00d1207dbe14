"""What a recording carries besides its audio is kept in an enhanced copy, or a notice names what is lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import click_sample, coloured_noise, ffmpeg, flash_frame, turned, video_packets, write_recording

from avse.io import reader, remux
from avse.io.encoding import OutputSettings
from avse.io.ffmpeg import ask, input_arguments, run
from avse.io.limits import DEFAULT_LIMITS
from avse.io.stream_info import ATTACHMENT, AUDIO, SUBTITLE, FileInfo, StreamInfo, parse_info

HUM = coloured_noise(16000)
RAMP = np.broadcast_to(np.arange(64, dtype=np.uint8) * 3 + 30, (25, 48, 64))
VIDEOS = (".mp4", ".mov", ".mkv")
Copy = Callable[..., tuple[FileInfo, reader.Recording]]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Replace the audio of a recording; what the output holds, and the recording with its notices."""

    def run_it(source: Path, suffix: str, **settings: object) -> tuple[FileInfo, reader.Recording]:
        recording = reader.probe(source)
        assert recording.audio is not None
        audio_file, output = tmp_path / "new.wav", tmp_path / f"out{suffix}"
        rate, channels = recording.audio.sample_rate, recording.audio.num_channels
        soundfile.write(audio_file, 0.5 * reader.load_audio(recording, rate, channels), rate)
        remux.replace_audio(recording, audio_file, output, OutputSettings(**settings))  # type: ignore[arg-type]
        return look_into(output), recording

    return run_it


def look_into(path: Path) -> FileInfo:
    return parse_info(run(input_arguments(path, DEFAULT_LIMITS), DEFAULT_LIMITS, "It failed")[1])


def rotation(info: FileInfo) -> str:
    return info.video_tracks[0].side_data.get("displaymatrix", "")


def notices(recording: reader.Recording) -> str:
    return " ".join(notice.text for notice in recording.notices)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("plain") / "plain.mkv", HUM, RAMP, "-g", "10")


@pytest.mark.parametrize("suffix", VIDEOS)
def test_plain_recording_loses_nothing(plain: Path, copy: Copy, suffix: str) -> None:
    info, recording = copy(plain, suffix)
    assert recording.notices == []
    assert [stream.kind for stream in info.streams] == ["Video", "Audio"]


@pytest.mark.parametrize("degrees", [90, 180, -90])
@pytest.mark.parametrize("suffix", VIDEOS)
def test_rotation_is_kept_or_missed(plain: Path, copy: Copy, tmp_path: Path, suffix: str, degrees: int) -> None:
    ffmpeg("-i", plain, "-c:v", "copy", "-c:a", "aac", tmp_path / "flat.mp4")
    source = turned(tmp_path / "flat.mp4", tmp_path / "in.mp4", degrees)
    info, recording = copy(source, suffix)
    assert rotation(look_into(source))
    assert rotation(info) == rotation(look_into(source)) or "rotation" in notices(recording)


@pytest.mark.parametrize("suffix", VIDEOS)
def test_date_title_and_language_are_kept(plain: Path, copy: Copy, tmp_path: Path, suffix: str) -> None:
    tags = [
        "-metadata", "creation_time=2024-05-06T07:08:09Z", "-metadata", "title=Interview", "-metadata:s:a:0",
        "language=deu", "-metadata:s:a:0", "title=Microphone", "-metadata:s:v:0", "language=fra",
    ]  # fmt: skip
    for source in (tmp_path / "in.mkv", tmp_path / "in.mp4"):
        ffmpeg("-i", plain, "-c:v", "copy", "-c:a", "aac", *tags, source)
        info, recording = copy(source, suffix)
        assert info.tags["creation_time"].startswith("2024-05-06T07:08:09")
        assert info.tags["title"] == "Interview"
        (audio,) = info.of_kind(AUDIO)
        assert (audio.language, info.video_tracks[0].language) in (("deu", "fra"), ("ger", "fra"))
        assert look_into(source).of_kind(AUDIO)[0].title in titles(audio) | {""}
        assert "title" not in notices(recording)


@pytest.mark.parametrize("suffix", VIDEOS)
def test_place_and_device_of_a_phone_are_kept(plain: Path, copy: Copy, tmp_path: Path, suffix: str) -> None:
    tags = ["-metadata", "location=+48.8577+002.295/", "-metadata", "com.apple.quicktime.make=Apple"]
    source = tmp_path / "in.mov"
    ffmpeg("-i", plain, "-c:v", "copy", "-c:a", "aac", *tags, "-movflags", "use_metadata_tags", source)
    info, recording = copy(source, suffix)
    assert info.tags["location"].startswith("+48.85")
    assert info.tags["com.apple.quicktime.make"] == "Apple"
    assert recording.notices == []


@pytest.mark.parametrize("suffix", VIDEOS)
def test_chapters_and_timecode_are_kept(plain: Path, copy: Copy, tmp_path: Path, suffix: str) -> None:
    chapters = tmp_path / "chapters.txt"
    marks = "".join(f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={s}\nEND={s + 500}\ntitle=Part {s}\n" for s in (0, 500))
    chapters.write_text(f";FFMETADATA1\n{marks}")
    source = tmp_path / "in.mov"
    ffmpeg(
        "-i", plain, "-i", chapters, "-map", "0", "-map_chapters", "1", "-c:v", "copy", "-c:a", "aac",
        "-metadata:s:v:0", "timecode=01:02:03:04", source,
    )  # fmt: skip
    info, recording = copy(source, suffix)
    assert info.num_chapters == 2
    assert info.video_tracks[0].tags["timecode"] == "01:02:03:04"
    assert recording.notices == []


@pytest.mark.parametrize(
    ("suffix", "kept", "missed"), [(".mkv", 2, ""), (".mp4", 1, "attachment (font.ttf"), (".mov", 1, "attachment")]
)
def test_subtitles_and_attachments_are_kept_where_they_fit(
    plain: Path, copy: Copy, tmp_path: Path, suffix: str, kept: int, missed: str
) -> None:
    subtitles, font = tmp_path / "a.srt", tmp_path / "font.ttf"
    subtitles.write_text("1\n00:00:00,100 --> 00:00:00,900\nHello\n\n")
    font.write_bytes(b"font")
    source = tmp_path / "in.mkv"
    ffmpeg(
        "-i", plain, "-i", subtitles, "-map", "0", "-map", "1", "-c", "copy", "-attach", font, "-metadata:s:t:0",
        "mimetype=font/ttf", "-metadata:s:s:0", "language=eng", source,
    )  # fmt: skip
    info, recording = copy(source, suffix)
    assert [stream.language for stream in info.of_kind(SUBTITLE)] == ["eng"]
    assert len(info.of_kind(SUBTITLE)) + len(info.of_kind(ATTACHMENT)) == kept
    assert missed in notices(recording)
    assert bool(missed) == bool(recording.notices)


@pytest.mark.parametrize("suffix", VIDEOS)
@pytest.mark.parametrize("source", [".mkv", ".mp4"])
def test_cover_stays_a_cover_or_is_missed(plain: Path, copy: Copy, tmp_path: Path, source: str, suffix: str) -> None:
    """Between two video tracks, as .mp4 has it, or as an attachment beside another."""
    cover, font, path = tmp_path / "cover.png", tmp_path / "font.ttf", tmp_path / f"in{source}"
    ffmpeg("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", "-update", "1", cover)
    font.write_bytes(b"font")
    tracks = ["-i", plain, "-i", cover, "-map", "0:v", "-map", "0:a"]
    if source == ".mp4":
        tracks += ["-map", "1", "-map", "0:v", "-c:v", "copy", "-c:a", "aac", "-disposition:v:1", "attached_pic"]
    else:
        pictures = ("-attach", cover, "-metadata:s:t:0", "mimetype=image/png", "-attach", font)
        tracks += ["-map", "0:v", "-c", "copy", *pictures, "-metadata:s:t:1", "mimetype=font/ttf"]
    ffmpeg(*tracks, path)
    info, recording = copy(path, suffix)
    assert len(info.video_tracks) == 2
    assert len(info.of_kind(ATTACHMENT)) == (source == suffix == ".mkv")
    covers = [stream for stream in info.of_kind("Video") if stream.is_cover]
    assert len(covers) == (suffix != ".mov")
    assert ("hold them: cover" in notices(recording)) == (suffix == ".mov")
    for kept in covers:
        number = ("-map", f"0:{kept.index}", "-c", "copy", "-f", "md5", "-")
        assert ffmpeg("-i", tmp_path / f"out{suffix}", *number) == ffmpeg("-i", cover, "-c", "copy", "-f", "md5", "-")


@pytest.mark.parametrize("suffix", VIDEOS)
def test_further_videos_are_kept(plain: Path, copy: Copy, tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "in.mkv"
    ffmpeg("-i", plain, "-i", plain, "-map", "0:v", "-map", "1:v", "-map", "0:a", "-c", "copy", source)
    info, recording = copy(source, suffix)
    assert len(info.video_tracks) == 2
    assert recording.notices == []


@pytest.mark.parametrize("suffix", VIDEOS)
def test_other_audio_tracks_are_named_and_kept_on_demand(plain: Path, copy: Copy, tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "in.mkv"
    ffmpeg(
        "-i", plain, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-map", "0:a", "-c:v", "copy", "-c:a", "aac",
        "-disposition:a:0", "0", "-disposition:a:1", "default", "-metadata:s:a:1", "title=Lavalier", source,
    )  # fmt: skip
    info, recording = copy(source, suffix)
    assert recording.audio_track == 2
    assert "Audio track 2 of 3 (Lavalier) was used" in notices(recording)
    assert len(info.of_kind(AUDIO)) == 1
    info, recording = copy(source, suffix, keep_tracks=True)
    assert len(info.of_kind(AUDIO)) == 3
    levels = [
        float(np.abs(reader.load_audio(reader.probe(tmp_path / f"out{suffix}", number))).max()) for number in (1, 2, 3)
    ]
    assert levels[1] < 0.7 * levels[0]
    assert levels[2] == pytest.approx(levels[0], rel=0.01)


@pytest.mark.parametrize("suffix", VIDEOS)
def test_what_was_trimmed_away_does_not_come_back(copy: Copy, tmp_path: Path, suffix: str) -> None:
    """An edit list hides what is before the cut; .mkv has none."""
    frames, waveform = np.zeros((50, 48, 64), np.uint8), np.zeros(32000, np.float32)
    frames[35], waveform[round(35 / 25 * 16000)] = 255, 0.9
    whole = write_recording(tmp_path / "whole.mp4", waveform, frames, "-g", "50", "-c:a", "aac")
    source = tmp_path / "in.mp4"
    ffmpeg("-ss", "1.0", "-i", whole, "-c", "copy", source)
    assert flash_frame(source) == pytest.approx(10, abs=1)
    info, _ = copy(source, suffix)
    assert info.duration_seconds == pytest.approx(look_into(source).duration_seconds, abs=0.13)
    assert video_packets(tmp_path / f"out{suffix}") == video_packets(source)
    assert flash_frame(tmp_path / f"out{suffix}") == flash_frame(source)
    assert click_sample(tmp_path / f"out{suffix}") == pytest.approx(click_sample(source), abs=40)


OUT_OF_ORDER = {
    "mpeg4.avi": ("-c:v", "mpeg4", "-bf", "2", "-c:a", "pcm_s16le"),
    "h264.avi": ("-c:v", "libx264", "-bf", "3", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le"),
    "dvd.vob": ("-c:v", "mpeg2video", "-bf", "2", "-c:a", "mp2", "-ar", "48000", "-f", "vob"),
    "programme.mpg": ("-c:v", "mpeg2video", "-bf", "2", "-c:a", "mp2", "-ar", "48000"),
}
"""Frames that are not stored in the order in which they are shown, in containers that do not say when."""


def frames_and_times(path: Path) -> list[tuple[float, str]]:
    """When each frame is shown, in seconds after the first, and its checksum."""
    times = ("-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-f", "framecrc", "-")
    lines = ffmpeg("-copyts", "-i", path, "-map", "0:V:0", *times).splitlines()
    rows = [line.replace(" ", "").split(",") for line in lines if not line.startswith("#")]
    return [(round((int(row[2]) - int(rows[0][2])) / 90000, 2), row[5]) for row in rows]


@pytest.mark.parametrize("suffix", VIDEOS)
@pytest.mark.parametrize("name", OUT_OF_ORDER)
def test_frames_without_a_time_of_display_get_the_right_one(copy: Copy, tmp_path: Path, name: str, suffix: str) -> None:
    if name == "h264.avi" and "dts2pts" not in ask("-bsfs"):
        pytest.skip("this ffmpeg cannot find these times")
    frames = np.random.default_rng(0).integers(0, 255, (25, 48, 64))
    source = write_recording(tmp_path / name, HUM, frames, *OUT_OF_ORDER[name])
    remux.check_video_fits(reader.probe(source), suffix)
    copy(source, suffix)
    before, after = frames_and_times(source), frames_and_times(tmp_path / f"out{suffix}")
    assert len(before) == 25
    assert [frame for _, frame in after] == [frame for _, frame in before]
    assert [time for time, _ in after[:-1]] == pytest.approx([time for time, _ in before[:-1]], abs=0.011)


def test_mixture_under_such_video(tmp_path: Path) -> None:
    if "dts2pts" not in ask("-bsfs"):
        pytest.skip("this ffmpeg cannot find these times")
    source = write_recording(tmp_path / "in.avi", HUM, RAMP, *OUT_OF_ORDER["h264.avi"])
    soundfile.write(tmp_path / "mix.wav", HUM, 16000)
    remux.mux_audio_under_video(source, tmp_path / "mix.wav", tmp_path / "out.mkv")
    before, after = frames_and_times(source), frames_and_times(tmp_path / "out.mkv")
    assert [frame for _, frame in after] == [frame for _, frame in before][: len(after)]
    assert [time for time, _ in after[:-1]] == pytest.approx([time for time, _ in before[: len(after) - 1]], abs=0.011)


@pytest.mark.parametrize(("suffix", "tag"), [(".mp4", "hvc1"), (".mov", "hvc1"), (".mkv", "hevc")])
def test_hevc_bears_the_tag_that_players_take(copy: Copy, tmp_path: Path, suffix: str, tag: str) -> None:
    quiet = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p")
    source = write_recording(tmp_path / "in.mkv", HUM, RAMP, *quiet)
    info, _ = copy(source, suffix)
    assert tag in info.video_tracks[0].description


@pytest.mark.parametrize("suffix", VIDEOS)
def test_colours_are_kept(plain: Path, copy: Copy, tmp_path: Path, suffix: str) -> None:
    colours = "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"
    source = tmp_path / "in.mkv"
    ffmpeg("-i", plain, "-vf", colours, "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "copy", source)
    info, _ = copy(source, suffix)
    assert "bt2020nc/bt2020/smpte2084" in info.video_tracks[0].description


def test_check_of_a_container_writes_no_file(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "full"))
    for suffix in VIDEOS:
        remux.check_video_fits(reader.probe(plain), suffix)
    assert list(tmp_path.iterdir()) == []


def test_video_that_does_not_fit_into_mkv_is_to_be_converted() -> None:
    assert "convert it first" in remux._fits_hint(".mkv")
    assert remux._fits_hint(".mp4").startswith("Use .mkv")


MARKS = {
    "a:0": ("deu", "Microphone", "default+original"), "a:1": ("fra", "Dubbed", "dub"),
    "a:2": ("eng", "Director", "comment"), "a:3": ("spa", "Described", "visual_impaired"),
    "s:0": ("eng", "SDH", "hearing_impaired"), "s:1": ("deu", "Signs", "forced"), "s:2": ("spa", "Spanish", "default"),
    "v:1": ("fra", "Screen", "0"),
}  # fmt: skip


def marked(plain: Path, path: Path) -> Path:
    """A recording of nine tracks, each with its language, title and flags."""
    subtitles = path.with_suffix(".srt")
    subtitles.write_text("1\n00:00:00,100 --> 00:00:00,900\nHello\n\n")
    words = [f"-map {name}" for name in ("0:v", "0:v", "0:a", "0:a", "0:a", "0:a", "1", "1", "1")]
    for track, (language, title, flags) in MARKS.items():
        words.append(
            f"-metadata:s:{track} language={language} -metadata:s:{track} title={title} -disposition:{track} {flags}"
        )
    words.append(f"-c:v copy -c:a aac -c:s {'srt' if path.suffix == '.mkv' else 'mov_text'}")
    ffmpeg("-i", plain, "-i", subtitles, *" ".join(words).split(), path)
    return path


def titles(stream: StreamInfo) -> set[str]:
    """What a track is called: .mp4 has two places for it, of which ffmpeg 5 writes one."""
    return {stream.title, stream.tags.get("handler_name", "")} - {""}


def said(info: FileInfo) -> dict[str, tuple[str, set[str], frozenset[str]]]:
    """Return language, title and flags of every track, as ffmpeg prints them."""
    found = {}
    for kind in ("Video", AUDIO, SUBTITLE):
        for number, stream in enumerate(info.of_kind(kind)):
            found[f"{kind[0].lower()}:{number}"] = stream.language, titles(stream), stream.flags
    return found


@pytest.mark.parametrize("suffix", VIDEOS)
@pytest.mark.parametrize("source", [".mkv", ".mp4"])
def test_every_copied_track_keeps_its_language_title_and_flags(
    plain: Path, copy: Copy, tmp_path: Path, source: str, suffix: str
) -> None:
    before = said(look_into(marked(plain, tmp_path / f"in{source}")))
    info, recording = copy(tmp_path / f"in{source}", suffix, keep_tracks=True)
    after = said(info)
    assert set(after) == set(before)
    for track, (language, title, flags) in before.items():
        assert after[track][0].replace("ger", "deu") == language
        assert title <= after[track][1] | {"VideoHandler", "SoundHandler", "SubtitleHandler"}
        for flag in flags - after[track][2] - {"captions", "descriptions"}:
            assert re.search(f"flags? [^;]*{flag}[^;]* of [^;]*{language}", notices(recording)), (track, flag)
    assert "default" in after["a:0"][2]
    kept = {flag for _, _, flags in after.values() for flag in flags}
    if suffix != ".mov":
        assert {"comment", "visual impaired", "hearing impaired", "forced"} <= kept


def test_what_several_tracks_lose_is_reported_once(plain: Path, copy: Copy, tmp_path: Path) -> None:
    language = [word for track in ("a:0", "a:1", "v:0") for word in (f"-metadata:s:{track}", "language=tlh-Latn")]
    source = tmp_path / "in.mkv"
    ffmpeg("-i", plain, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c:v", "copy", "-c:a", "aac", *language, source)
    _, recording = copy(source, ".mp4", keep_tracks=True)
    assert notices(recording).count("language") == 1
    assert "language of 3 tracks" in notices(recording)
