"""Write enhanced audio: into an audio file, under the copied video of the recording, into a pipe, or into memory.

Legend: `C` channels, `N` samples.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from avse.io import atomic, reader, remux, wav
from avse.io.disk import SPACE_HINT, TEMPORARY_HINT, unwritable, write_failure, writing_into
from avse.io.encoding import (
    DEFAULT_SETTINGS,
    OutputSettings,
    carries_extras,
    check_audio_fits,
    encode_audio,
    file_tags,
    notice_lost_tags,
    stored_subtype,
)
from avse.io.formats import VIDEO_OUTPUTS
from avse.io.wav import WavWriter, wav_header

__all__ = [
    "OutputSettings", "check_audio_fits", "open_audio_file", "reraise_write_errors", "wav_header", "write_file",
    "write_output", "write_stream",
]  # fmt: skip


def write_output(
    target: Path | BinaryIO | None,
    recording: reader.Recording,
    num_samples: int,
    blocks: Iterator[np.ndarray],
    settings: OutputSettings = DEFAULT_SETTINGS,
) -> np.ndarray | None:
    """Write blocks (N, C) to a file that appears when it is complete, as WAV to a stream, or to one array."""
    if target is None:
        return np.concatenate(list(blocks))
    if isinstance(target, Path):
        with atomic.atomic_path(target) as partial:
            write_file(partial, recording, num_samples, blocks, settings)
    else:
        write_stream(target, recording, num_samples, blocks)
    return None


def write_file(
    target: Path,
    recording: reader.Recording,
    num_samples: int,
    blocks: Iterator[np.ndarray],
    settings: OutputSettings = DEFAULT_SETTINGS,
) -> None:
    """Write blocks (N, C) to an audio file, or under the copied video of the recording.

    A .wav keeps the bit depth and the chunks of the recording; other types go through a .wav beside them.

    Raises:
        MissingError: the disk is full. InputError: the output cannot hold it.
    """
    assert recording.audio is not None
    suffix = target.suffix.lower()
    plain = suffix == ".wav" or (suffix == ".flac" and not carries_extras(recording))
    with contextlib.nullcontext(target) if plain else atomic.spool_path(target.parent, ".wav") as audio_file:
        with (
            reraise_write_errors(target.parent),
            open_audio_file(audio_file, recording.audio, num_samples, recording, target.suffix) as file,
        ):
            for block in blocks:
                file.write(block)
        if suffix == ".wav" and carries_extras(recording):
            notice_lost_tags(recording, target)
        elif suffix in VIDEO_OUTPUTS:
            remux.replace_audio(recording, audio_file, target, settings)
        elif not plain:
            encode_audio(recording, audio_file, target, settings)


class _RoundedSoundFile(soundfile.SoundFile):
    """A file of libsndfile, which truncates samples and wraps what is beyond full scale: they are rounded, clipped."""

    def write(self, data: np.ndarray) -> None:
        """Write samples (N, C)."""
        bits = 8 * wav.NUM_BYTES[self.subtype]
        super().write((wav.quantise(data, self.subtype) << (32 - bits)).astype(np.int32))


def open_audio_file(
    path: Path,
    audio: reader.AudioStream,
    num_samples: int,
    recording: reader.Recording | None = None,
    suffix: str | None = None,
) -> WavWriter | _RoundedSoundFile:
    """Open an audio file of the form of ``audio`` for writing blocks (N, C).

    Args:
        path: .wav, or .flac. A .wav of 4 GB and more is RF64 inside (EBU 3306).
        audio: sample rate, channels and bit depth.
        num_samples: how many will come.
        recording: whose chunks and tags a .wav takes over.
        suffix: of the file that it is to become in the end; that of ``path`` by default.
    """
    suffix = suffix or path.suffix
    subtype = stored_subtype(audio, suffix)
    if path.suffix.lower() == ".wav":
        is_final = recording is not None and suffix.lower() == ".wav"
        extra = wav.carried_chunks(recording.path, file_tags(recording)) if is_final and recording else b""
        return WavWriter(path, audio.sample_rate, audio.num_channels, num_samples, subtype, extra)
    name = os.fsencode(path)  # which may hold any byte
    return _RoundedSoundFile(name, "w", audio.sample_rate, audio.num_channels, subtype)


@contextlib.contextmanager
def reraise_write_errors(folder: Path | None) -> Iterator[None]:
    """Raise MissingError (exit code 3) that names the folder for an audio file that cannot be written.

    Args:
        folder: where the file is; None for the system's folder of temporary files.
    """
    place, hint = folder or Path(tempfile.gettempdir()), SPACE_HINT if folder else TEMPORARY_HINT
    try:
        with writing_into(place, hint):
            yield
    except soundfile.SoundFileError as error:
        raise unwritable(place, write_failure(error), hint) from error


def write_stream(pipe: BinaryIO, recording: reader.Recording, num_samples: int, blocks: Iterator[np.ndarray]) -> None:
    """Write 16-bit WAV to something that cannot seek: the length is known before the first sample."""
    assert recording.audio is not None
    pipe.write(wav_header(recording.audio.sample_rate, recording.audio.num_channels, num_samples))
    for block in blocks:
        pipe.write(wav.to_bytes(block, "PCM_16"))
    pipe.flush()
