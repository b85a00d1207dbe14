"""ffmpeg's description of a file: duration, tags, chapters, tracks with language, flags and side data."""

from __future__ import annotations

import pytest

from avse.io.stream_info import AUDIO, SUBTITLE, VIDEO, parse_info, tag

TEXT = """ffmpeg version 7 Copyright (c) the developers
  configuration: --title : none
Input #0, matroska,webm, from 'file:talk.mkv':
  Metadata:
    TITLE           : A talk
    comment         : first line
                    : second line
  Duration: 01:02:03.50, start: 0.000000, bitrate: 900 kb/s
  Chapters:
    Chapter #0:0: start 0.000000, end 60.000000
      Metadata:
        title           : Beginning
    Chapter #0:1: start 60.000000, end 90.000000
      Metadata:
        title           : End
  Stream #0:1[0x2](deu): Audio: aac (LC), 48000 Hz, stereo, fltp (default)
      Metadata:
        title           : Original
  Stream #0:0[0x1](und): Video: h264 (High), yuv420p(tv, bt709), 1280x720, 25 fps (default) (forced)
      Metadata:
        name            : Camera
      Side data:
        Display Matrix: rotation of -90.00 degrees
  Stream #0:2: Video: mjpeg, yuvj420p, 600x600 (attached pic)
  Stream #0:3(eng): Subtitle: subrip
Stream mapping:
  Stream #0:9: Audio: of the output
"""


def test_duration_tags_and_chapters() -> None:
    info = parse_info(TEXT)
    assert info.duration_seconds == 3723.5
    assert not info.duration_is_estimated
    assert info.num_chapters == 2
    assert info.tags == {"title": "A talk", "comment": "first line\nsecond line"}


def test_tracks_are_in_the_order_of_their_numbers() -> None:
    info = parse_info(TEXT)
    assert [(stream.index, stream.kind) for stream in info.streams] == [
        (0, VIDEO), (1, AUDIO), (2, VIDEO), (3, SUBTITLE)
    ]  # fmt: skip
    assert [stream.index for stream in info.of_kind(VIDEO)] == [0, 2]


def test_codec_language_title_and_flags() -> None:
    video, audio, cover, subtitle = parse_info(TEXT).streams
    assert [stream.codec for stream in (video, audio, cover, subtitle)] == ["h264", "aac", "mjpeg", "subrip"]
    assert [stream.language for stream in (video, audio, subtitle)] == ["", "deu", "eng"]
    assert (video.title, audio.title, subtitle.title) == ("Camera", "Original", "")
    assert video.flags == {"default", "forced"}
    assert (audio.is_default, subtitle.is_default) == (True, False)


def test_cover_image_is_no_video_track() -> None:
    info = parse_info(TEXT)
    assert info.streams[2].is_cover
    assert [stream.index for stream in info.video_tracks] == [0]


def test_side_data_is_apart_from_tags() -> None:
    video = parse_info(TEXT).streams[0]
    assert video.side_data == {"displaymatrix": "rotation of -90.00 degrees"}
    assert video.tags == {"name": "Camera"}


def test_estimated_and_unknown_duration() -> None:
    words = (
        "[mp3] Estimating duration from bitrate, this may be inaccurate\nInput #0, mp3, from 'a':\n  Duration: N/A\n"
    )
    info = parse_info(words)
    assert info.duration_is_estimated
    assert info.duration_seconds == 0.0


@pytest.mark.parametrize("words", ["", "a: No such file or directory\n", "Stream mapping:\nInput #0, x:\n"])
def test_without_an_input_nothing_is_found(words: str) -> None:
    info = parse_info(words)
    assert (info.streams, info.tags, info.duration_seconds) == ([], {}, 0.0)


def test_first_tag_that_is_there() -> None:
    tags = {"date": "", "creation_time": "2026", "year": "2025"}
    assert tag(tags, "date", "creation_time", "year") == "2026"
    assert tag(tags, "place") == ""


PROGRAMS = """Input #0, mpegts, from 'file:talk.ts':
  Duration: 00:00:01.02, start: 1.400000, bitrate: 941 kb/s
  Program 1
    Metadata:
      service_name    : A
  Stream #0:0[0x100]: Video: h264 (High), yuv420p, 64x48, 25 fps
  Stream #0:1[0x101](deu): Audio: mp2, 44100 Hz, mono, s16p, 384 kb/s
      Metadata:
        title           : Original
  Program 2
    Metadata:
      service_name    : B
  Stream #0:0[0x100]: Video: h264 (High), yuv420p, 64x48, 25 fps
      Side data:
        Display Matrix: rotation of -90.00 degrees
  Stream #0:1[0x101](deu): Audio: mp2, 44100 Hz, mono, s16p, 384 kb/s
  Stream #0:2[0x102](fra): Audio: mp2, 44100 Hz, mono, s16p, 384 kb/s
  No Program
    Metadata:
      service_name    : C
"""


def test_track_of_several_programs_is_one_track_without_their_tags() -> None:
    info = parse_info(PROGRAMS)
    assert info.container == "mpegts"
    assert [(stream.index, stream.language) for stream in info.streams] == [(0, ""), (1, "deu"), (2, "fra")]
    assert [stream.tags for stream in info.streams] == [{}, {"title": "Original"}, {}]
    assert [stream.side_data for stream in info.streams] == [{}, {}, {}]
