"""Length and level of a recording's audio, measured before anything is enhanced."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avse.dsp.levels import AudioStats, compute_audio_stats
from avse.dsp.windowing import BLOCK_SECONDS
from avse.errors import InputError
from avse.io import reader
from avse.io.ffmpeg_binary import shell_command
from avse.progress import Report, Stage, span


def measure_audio(recording: reader.Recording, report: Report) -> AudioStats:
    """Measure length and level in one pass over the audio. InputError if it is empty, or its channels cancel out."""
    rate, num_channels = recording.audio_stream.sample_rate, recording.audio_stream.num_channels

    def counted() -> Iterator[np.ndarray]:
        seconds = 0.0
        for block in reader.read_audio(recording, BLOCK_SECONDS, rate, num_channels):
            yield block
            seconds += len(block) / rate
            recording.limits.check_seconds(recording.path, seconds)
            report("measuring levels", seconds, recording.duration_seconds)

    with span(Stage.MEASURE):
        stats = compute_audio_stats(counted(), rate, recording.audio_stream.low_frequency)
    if stats.num_samples == 0:
        raise InputError(f"The audio of {recording.path} is empty.", "Check that the file plays.")
    if stats.cancels:
        hint = f"Invert one of them: {shell_command(_inversion(recording))}"
        raise InputError(f"The channels of {recording.path} cancel each other out.", hint)
    return stats


def _inversion(recording: reader.Recording) -> str:
    """Return arguments of ffmpeg that invert the second channel, and keep the video."""
    audio = f"-map 0:a:{recording.audio_track - 1} -af 'pan=stereo|c0=c0|c1=-1*c1'"
    if recording.video is None:
        return f"-i FILE {audio} INVERTED.wav"
    return f"-fflags +genpts -i FILE -map 0:V:0 -c:v copy {audio} -c:a flac INVERTED.mkv"
