"""Settings of the mixtures that training makes on the fly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avse.errors import UsageError


@dataclass(frozen=True)
class MixConfig:
    """What training mixtures are made of. Levels are RMS relative to the target's, in dB."""

    num_frames: int = 28
    """Length of an example in video frames (25 per second)."""
    num_talkers: tuple[float, ...] = (0.2, 0.45, 0.25, 0.1)
    """Probabilities of 0, 1, 2, ... interfering talkers."""
    stranger_probability: float = 0.5
    """How often such a talker is a voice without picture, where there are any: those may be told by how they were
    recorded; another of the talking faces only by voice and lips."""
    turnabout: bool = False
    """Every second example is the mixture before it once more, the target being another talker who is seen: nothing but
    the lips tells whom to follow."""
    speed: tuple[float, float] = (1.0, 1.0)
    """Range of how fast each voice is played, its picture with it: other voices and other mouths of the same people."""
    talker_db: tuple[float, float] = (-18.0, 5.0)
    """Range of the level of each interfering talker."""
    faint_probability: float = 0.0
    """How often all interfering talkers are fainter than that; such a mixture is never turned about: the other talker
    would be lost in it."""
    faint_db: tuple[float, float] = (-20.0, -13.0)
    """Range of the level of each of those."""
    noise_probability: float = 0.4
    """How often there is noise besides interfering talkers; without any talker there is always noise."""
    noise_db: tuple[float, float] = (-20.0, 3.0)
    """Range of the level of the noise."""
    gain_db: tuple[float, float] = (-12.0, 6.0)
    """Range of the gain of the whole mixture."""
    unseen_probability: float = 0.15
    """How often the picture is missing for the whole example."""
    stray_probability: float = 0.0
    """How often the lips are somebody else's where sound alone tells who is meant (nobody else talks, or faintly): a
    picture that is not to be believed."""
    gap_probability: float = 0.0
    """How often a picture that is there is lost for a stretch."""
    gap_frames: tuple[int, int] = (2, 20)
    """Length of such a stretch, shortest and longest."""
    voice_probability: float = 0.0
    """How often the target is a voice without picture, where there are any."""
    still_probability: float = 0.0
    """How often the face that one sees is silent, its mouth still, for a stretch."""
    still_frames: tuple[int, int] = (8, 24)
    """Length of such a stretch, shortest and longest."""
    turns_probability: float = 0.0
    """How often the target and another talker take turns, instead of talking at once."""
    listening_probability: float = 0.0
    """How often a face that is silent for a stretch or for the other's turn moves its mouth as a listener does, instead
    of keeping it still."""
    babble_probability: float = 0.0
    """How often the noise is babble: four to six voices at once."""
    room_probability: float = 0.0
    """How often each voice stands in a room of its own; the target keeps its reverberation."""
    colour_db: float = 0.0
    """Each voice passes a microphone of its own, whose gains lie within this range, up and down; 0: none."""
    narrow_probability: float = 0.0
    """How often mixture and target lack what lies above 3.4 to 7 kHz."""
    kin_probability: float = 0.0
    """How often another talker comes from the target's own collection (names that begin with the same letters), where
    that holds anyone else: then nothing in the sound of the recording tells who is meant."""
    measured_probability: float = 0.0
    """How often such a room is a measured one, where impulse responses are given."""
    offset_probability: float = 0.0
    """How often the picture comes early or late by the same number of frames for the whole example."""
    offset_frames: tuple[int, int] = (-5, 2)
    """Range of that number; negative: early. Small ones are drawn more often."""
    web_lips_probability: float = 0.0
    """How often the mouths look as after a cheap camera and a video platform (`avse.data.augmentation.web_video`)."""
    frozen_probability: float = 0.0
    """How often the picture stands still for the whole example."""
    unrelated_probability: float = 0.0
    """How often the lips are somebody else's, whoever talks."""
    both_db: float = 0.0
    """Where the picture tells nothing (none, a still one, somebody else's), talkers no more than so many dB below the
    target are kept, too: nothing says whom to keep. 0: the target alone, always."""
    max_speaker_clips: int = 120
    """A speaker counts as having at most this many clips, so that none dominates."""

    def __post_init__(self) -> None:
        if not np.isclose(sum(self.num_talkers), 1) or min(self.num_talkers) < 0:
            raise UsageError(f"num_talkers {list(self.num_talkers)} are no probabilities.", "Let them add up to 1.")
        for name in (
            "speed",
            "talker_db",
            "faint_db",
            "noise_db",
            "gain_db",
            "gap_frames",
            "still_frames",
            "offset_frames",
        ):
            low, high = getattr(self, name)
            if low > high:
                raise UsageError(f"{name} goes from {low} to {high}.", "Give the lower end first.")
        if self.speed[0] < 0.5 or self.speed[1] > 2:
            raise UsageError(f"speed goes from {self.speed[0]} to {self.speed[1]}.", "Stay within 0.5 and 2.")
