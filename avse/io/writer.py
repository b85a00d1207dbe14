"""The end of the stream: sound into a file, under the copied picture of the recording, into a pipe, or into memory.

Legend: `C` channels, `N` samples.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from avse.errors import AvseError, InputError
from avse.io import atomic, reader, remux
from avse.io.formats import AUDIO_OUTPUTS

MAX_CHANNELS = 8
"""More neither FLAC nor AAC can hold; the first is in .flac and .mkv files, the second in .mp4 and .mov."""
AAC_RATES = frozenset({
    7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000
})  # fmt: skip
_UNKNOWN_SIZE = 0xFFFFFFFF


def check_audio_fits(sound: reader.AudioStream, suffix: str) -> None:
    """InputError where files of that kind cannot hold such sound as it is."""
    if suffix != ".wav" and sound.num_channels > MAX_CHANNELS:
        raise InputError(f"A {suffix} file cannot hold {sound.num_channels} channels.", "Write a .wav file.")
    if suffix in (".mp4", ".mov") and sound.sample_rate not in AAC_RATES:
        raise InputError(f"A {suffix} file cannot hold sound of {sound.sample_rate} Hz.", "Write a .mkv or .wav file.")


def write_output(
    target: Path | BinaryIO | None, recording: reader.Recording, num_samples: int, blocks: Iterator[np.ndarray]
) -> np.ndarray | None:
    """Hand blocks (N, C) on: into a file that appears when it is whole, as WAV into a stream, or as one array."""
    if target is None:
        return np.concatenate(list(blocks))
    if isinstance(target, Path):
        with atomic.atomic_path(target) as partial:
            write_file(partial, recording, num_samples, blocks)
    else:
        write_stream(target, recording, num_samples, blocks)
    return None


def write_file(target: Path, recording: reader.Recording, num_samples: int, blocks: Iterator[np.ndarray]) -> None:
    """Write sound blocks to a sound file, or under the copied picture of the recording. AvseError if that fails."""
    assert recording.audio is not None
    is_sound = target.suffix.lower() in AUDIO_OUTPUTS
    sound_file = target if is_sound else target.with_suffix(".wav")
    try:
        with reraise_write_errors(), open_audio_file(sound_file, recording.audio, num_samples) as file:
            for block in blocks:
                file.write(np.clip(block, -1.0, 1.0))
        if not is_sound:
            remux.replace_audio(recording, sound_file, target)
    finally:
        if not is_sound:
            sound_file.unlink(missing_ok=True)


def open_audio_file(path: Path, sound: reader.AudioStream, num_samples: int) -> soundfile.SoundFile:
    """A sound file to write 16 bits to, in the form of ``sound``; a .wav of 4 GB and more is RF64 inside (EBU 3306)."""
    num_bytes = 2 * sound.num_channels * num_samples
    is_long = path.suffix.lower() == ".wav" and num_bytes + 4096 > _UNKNOWN_SIZE
    name = os.fsencode(path)  # which may hold any byte
    return soundfile.SoundFile(
        name, "w", sound.sample_rate, sound.num_channels, "PCM_16", format="RF64" if is_long else None
    )


@contextlib.contextmanager
def reraise_write_errors() -> Iterator[None]:
    """AvseError for a sound file that cannot be written."""
    try:
        yield
    except soundfile.SoundFileError as error:
        raise AvseError(f"The sound cannot be written: {error}", "See that there is space on the disk.") from error


def write_stream(pipe: BinaryIO, recording: reader.Recording, num_samples: int, blocks: Iterator[np.ndarray]) -> None:
    """Write 16-bit WAV to something that cannot seek: the length is known before the first sample."""
    assert recording.audio is not None
    pipe.write(wav_header(recording.audio.sample_rate, recording.audio.num_channels, num_samples))
    for block in blocks:
        pipe.write(np.round(np.clip(block, -1.0, 1.0) * 32767).astype("<i2").tobytes())
    pipe.flush()


def wav_header(sample_rate: int, num_channels: int, num_samples: int) -> bytes:
    """The 44 bytes before 16-bit samples; beyond 4 GB the sizes say "until the end", as readers of streams expect."""
    num_bytes = 2 * num_channels * num_samples
    data_size, riff_size = (num_bytes, num_bytes + 36) if num_bytes + 36 < _UNKNOWN_SIZE else (_UNKNOWN_SIZE,) * 2
    form = struct.pack("<HHIIHH", 1, num_channels, sample_rate, 2 * num_channels * sample_rate, 2 * num_channels, 16)
    return struct.pack("<4sI8sI", b"RIFF", riff_size, b"WAVEfmt ", 16) + form + struct.pack("<4sI", b"data", data_size)
