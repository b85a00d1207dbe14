"""The one table of file types, and that every command takes what it names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from avse.batch import discovery
from avse.data import corpus
from avse.data.mixtures import request
from avse.errors import UsageError
from avse.evaluation.corpora import layouts
from avse.io import formats

NEGLECTED = (".m4v", ".ts", ".3gp", ".wmv", ".mxf", ".aac", ".oga", ".wma", ".aiff", ".MP4", ".Aac")
"""Suffixes that only `avse batch` took once, and the writing of others."""


def make_files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.mark.parametrize("suffix", sorted(formats.AUDIO_FILES | formats.VIDEO_FILES) + list(NEGLECTED))
def test_batch_and_prepare_take_every_type(tmp_path, suffix):
    make_files(tmp_path / "in", f"speaker/clip{suffix}")
    assert [item.name for item in discovery.find(str(tmp_path / "in"), str(tmp_path / "out"))] == [
        f"speaker/clip{suffix}"
    ]
    found = corpus.sources(tmp_path / "in", tmp_path / "cache")
    assert found == [(tmp_path / "in" / "speaker" / f"clip{suffix}", tmp_path / "cache" / "speaker" / "clip.npz")]


@pytest.mark.parametrize("suffix", [".txt", ".npz", ".srt", ".part", ""])
def test_other_files_are_no_recordings(tmp_path, suffix):
    make_files(tmp_path / "in", f"speaker/clip{suffix}")
    with pytest.raises(UsageError, match="No recordings"):
        discovery.find(str(tmp_path / "in"), str(tmp_path / "out"))
    with pytest.raises(UsageError, match="No recordings"):
        corpus.sources(tmp_path / "in", tmp_path / "cache")


@pytest.mark.parametrize("suffix", sorted(formats.AUDIO_FILES))
def test_pairs_take_every_audio_type(tmp_path, suffix):
    make_files(tmp_path, f"noisy/a{suffix}", f"clean/a{suffix}")
    (item,) = layouts.pairs(tmp_path)
    assert (item.mixture, item.reference) == (tmp_path / "noisy" / f"a{suffix}", tmp_path / "clean" / f"a{suffix}")
    assert item.video is None


@pytest.mark.parametrize("suffix", sorted(formats.VIDEO_FILES))
def test_pairs_take_every_video_type(tmp_path, suffix):
    make_files(tmp_path, f"noisy/a{suffix}", "clean/a.wav")
    (item,) = layouts.pairs(tmp_path)
    assert item.video == tmp_path / "noisy" / f"a{suffix}"


@pytest.mark.parametrize("suffix", [".aac", ".oga", ".wma", ".aif"])
def test_noise_of_every_audio_type_is_mixed_in(tmp_path, suffix):
    make_files(tmp_path, f"noise/kind/street{suffix}")
    assert request.noises_by_kind(tmp_path / "noise", tmp_path / "out") == {
        "kind": [tmp_path / f"noise/kind/street{suffix}"]
    }


def test_kind_is_determined_by_the_suffix_alone():
    assert formats.is_video("a/b.MKV")
    assert formats.is_video(Path("b.m2ts"))
    assert not formats.is_video("b.wav")
    assert formats.is_audio("b.Flac")
    assert not formats.is_audio("b.mkv")
    assert not formats.is_audio(".wav")
    assert formats.is_recording("b.oga")
    assert not formats.is_recording("b.csv")


def test_what_can_be_written_can_be_read_back():
    assert formats.AUDIO_OUTPUTS < formats.AUDIO_FILES
    assert formats.VIDEO_OUTPUTS < formats.VIDEO_FILES
    assert set(discovery.SUFFIXES) == formats.AUDIO_OUTPUTS | formats.VIDEO_OUTPUTS | {"keep"}


def test_no_type_is_both_audio_and_video():
    assert not formats.AUDIO_FILES & formats.VIDEO_FILES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in formats.FILE_TYPES)


def test_types_that_libsndfile_reads_are_read_by_it(tmp_path):
    for suffix, kind in formats.FILE_TYPES.items():
        if kind.libsndfile:
            soundfile.write(tmp_path / f"a{suffix}", np.zeros(160, np.float32), 16000)
            assert soundfile.info(tmp_path / f"a{suffix}").samplerate == 16000


@pytest.mark.parametrize(
    ("rate", "num_channels", "words"),
    [(16000, 1, "16 kHz mono"), (44100, 2, "44.1 kHz stereo"), (11025, 6, "11.025 kHz with 6 channels")],
)
def test_audio_in_words(rate: int, num_channels: int, words: str) -> None:
    assert formats.describe_audio(rate, num_channels) == words
