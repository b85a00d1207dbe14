"""Settings of training mixtures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avse.config import check_types
from avse.errors import UsageError

RANGES = (
    "speed", "talker_db", "quiet_interferers_db", "noise_db", "gain_db", "gap_frames", "silent_face_frames",
    "av_offset_frames",
)  # fmt: skip
"""Settings that are a range (low, high)."""


@dataclass(frozen=True)
class MixConfig:
    """Hold the settings of training mixtures. Levels are RMS relative to the target in dB; ranges are (low, high)."""

    num_frames: int = 28
    """Length of an example in video frames (25 per second)."""
    num_talkers: tuple[float, ...] = (0.2, 0.45, 0.25, 0.1)
    """Probabilities of 0, 1, 2, ... interfering talkers."""
    audio_only_interferer_probability: float = 0.5
    """Probability that an interfering talker comes from the audio-only speech, if there is any, instead of from the
    talking faces. Audio-only speech can be recognised by its recording conditions, a talking face only by voice and
    lips."""
    swap_target: bool = False
    """Every second example repeats the mixture before it with another visible talker as the target: only the lips
    identify the target."""
    speed: tuple[float, float] = (1.0, 1.0)
    """Range of the playback speed of each voice and its lips; pitch changes with it."""
    varied_voice_probability: float = 0.0
    """Probability that a clip prepared with ``--vary-voices`` speaks with its other voice."""
    talker_db: tuple[float, float] = (-18.0, 5.0)
    """Range of the level of each interfering talker."""
    quiet_interferers_probability: float = 0.0
    """Probability that all interfering talkers are quiet; the target of such a mixture is never swapped."""
    quiet_interferers_db: tuple[float, float] = (-20.0, -13.0)
    """Range of the level of each quiet interfering talker."""
    noise_probability: float = 0.4
    """Probability of noise besides interfering talkers; without any talker there is always noise."""
    noise_db: tuple[float, float] = (-20.0, 3.0)
    """Range of the level of the noise."""
    gain_db: tuple[float, float] = (-12.0, 6.0)
    """Range of the gain of the whole mixture."""
    missing_video_probability: float = 0.15
    """Probability that the video is missing for the whole example."""
    mismatched_video_probability: float = 0.0
    """Probability that the lips belong to another person, in mixtures whose target is clear from the audio (no other
    talkers, or quiet ones)."""
    gap_probability: float = 0.0
    """Probability of a gap in the video."""
    gap_frames: tuple[int, int] = (2, 20)
    """Range of the length of a gap."""
    audio_only_target_probability: float = 0.0
    """Probability that the target comes from the audio-only speech, if there is any."""
    silent_face_probability: float = 0.0
    """Probability that the target pauses, with a motionless mouth."""
    silent_face_frames: tuple[int, int] = (8, 24)
    """Range of the length of a pause."""
    turn_taking_probability: float = 0.0
    """Probability that the target and an interfering talker take turns instead of talking at the same time."""
    listener_motion_probability: float = 0.0
    """Probability that the mouth moves slowly in a pause or in the other talker's turn, as a listener's does, instead
    of resting."""
    babble_probability: float = 0.0
    """Probability that the noise is babble of four to six voices."""
    varied_noise_probability: float = 0.0
    """Probability that a recorded noise is changed: speed and equaliser, often bursts or a second noise."""
    reverb_probability: float = 0.0
    """Probability, for each voice, of simulated reverberation; the target keeps its own."""
    eq_db: float = 0.0
    """Largest gain, up or down, of the random equaliser of each voice; 0: none."""
    band_limit_probability: float = 0.0
    """Probability that mixture and target are low-pass filtered, at 3.4 to 7 kHz."""
    same_collection_probability: float = 0.0
    """Probability that an interfering talker comes from the target's own collection (speakers whose names begin with
    the same letters), if it has others: then the recording conditions do not identify the target."""
    measured_room_probability: float = 0.0
    """Probability that reverberation is a measured room impulse response, if any are given."""
    av_offset_probability: float = 0.0
    """Probability of a constant AV offset."""
    av_offset_frames: tuple[int, int] = (-5, 2)
    """Range of that offset, negative: video early. Small offsets are drawn more often."""
    degraded_video_probability: float = 0.0
    """Probability of degradation like that of a webcam and a video platform (`avse.data.augmentation.web_video`)."""
    frozen_video_probability: float = 0.0
    """Probability that the video is a still image."""
    unrelated_video_probability: float = 0.0
    """Probability that the lips belong to another person than the target."""
    ambiguous_target_db: float = 0.0
    """Where the video does not identify the target (missing, frozen, another person's), talkers down to this many dB
    below the target count as part of the target; 0: never."""
    max_clips_per_speaker: int = 120
    """Speakers are drawn by their number of clips, counted up to this many."""

    def __post_init__(self) -> None:
        check_types(self)
        if (
            not self.num_talkers
            or len(self.num_talkers) > 20
            or not np.isclose(sum(self.num_talkers), 1)
            or min(self.num_talkers) < 0
        ):
            raise UsageError(
                f"num_talkers is {list(self.num_talkers)}.", "Use probabilities from 0 to 1 that add up to 1."
            )
        for name in RANGES:
            low, high = getattr(self, name)
            if low > high:
                raise UsageError(f"{name} ranges from {low} to {high}.", "Put the lower end first.")
        if self.speed[0] < 0.5 or self.speed[1] > 2:
            raise UsageError(f"speed ranges from {self.speed[0]} to {self.speed[1]}.", "Use speeds between 0.5 and 2.")
