"""Training mixtures made on the fly, each determined by a seed: a target, interfering talkers, noise.

Legend: `N` samples, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avse.data.augmentation.acoustics import limit_bandwidth, random_eq, reverberate
from avse.data.augmentation.measured_rooms import convolve_room
from avse.data.augmentation.noise import cut_bursts
from avse.data.augmentation.timing import (
    change_speed,
    delay_video,
    draw_offset,
    random_segment,
    take_turns,
    with_pause,
)
from avse.data.augmentation.web_video import degrade
from avse.data.mix_config import MixConfig
from avse.data.prepared_clips import Clip
from avse.dsp.levels import db_to_gain, scale_to
from avse.errors import UsageError
from avse.faces.mouth_roi import CROP_SIZE

SpeakerClips = Mapping[str, Sequence[Path]]
Rooms = Mapping[str, Sequence[np.ndarray]]
NOISE_SPEED, NOISE_EQ_DB = (0.6, 1.6), 10.0


@dataclass(frozen=True)
class Example:
    """Hold one training example: mixture and target (N,), lips uint8 (V, 88, 88) and seen (V,) of the target."""

    mixture: np.ndarray
    target: np.ndarray
    lips: np.ndarray
    seen: np.ndarray


class MixedTalkers(NamedTuple):
    """Hold the talkers of a mixture: name, clip and voice (N,) of each, at its level."""

    speakers: list[str]
    clips: list[Clip]
    voices: list[np.ndarray]
    are_quiet: bool

    @property
    def can_swap(self) -> bool:
        """Return whether the second talker can be the target: seen, and not quieter or heard twice."""
        if len(self.clips) == 1 or self.clips[1].lips is None or self.are_quiet:
            return False
        return self.speakers.count(self.speakers[1]) == 1


class Mixer:
    """Draw examples from talking faces, audio-only voices and noises. Target and interferers are different speakers."""

    def __init__(
        self,
        seen: SpeakerClips,
        voices: SpeakerClips,
        noises: SpeakerClips,
        config: MixConfig,
        rooms: Rooms | None = None,
    ) -> None:
        if not seen:
            raise UsageError(
                "There are no talkers to train on.", "Use --data with at least one folder of prepared talking faces."
            )
        self._has_others = len({*seen, *voices}) > 1
        if not self._has_others and any(config.num_talkers[1:]):
            raise UsageError(
                f"There is no interfering talker for {next(iter(seen))}.",
                "Add speakers or audio-only speech (--voices), or set num_talkers to [1.0] for noise alone.",
            )
        self.seen, self.voices, self.noises, self.config = seen, voices, noises, config
        self.rooms = list((rooms or {}).values())
        counts = np.array([min(len(clips), config.max_clips_per_speaker) for clips in seen.values()], float)
        self._weights = counts / counts.sum()

    def example(self, seed: int, index: int) -> Example:
        """Return the example that belongs to (seed, index)."""
        if self.config.swap_target and index % 2:
            rng = np.random.default_rng((seed, index - 1))
            talking = self._draw_talkers(rng)
            if talking.can_swap:
                return self._mix(talking, 1, rng)
        rng = np.random.default_rng((seed, index))
        return self._mix(self._draw_talkers(rng), 0, rng)

    def _draw_talkers(self, rng: np.random.Generator) -> MixedTalkers:
        """Draw a target and interfering talkers."""
        config = self.config
        speaker, clip = self._draw_target(rng)
        speakers, clips = [speaker], [self._add_acoustics(clip, rng)]
        for _ in range(int(rng.choice(len(config.num_talkers), p=config.num_talkers))):
            speaker, clip = self._draw_interferer(speakers, rng)
            speakers.append(speaker)
            clips.append(self._add_acoustics(clip, rng))
        if config.turn_taking_probability and len(clips) > 1 and rng.random() < config.turn_taking_probability:
            clips[:2] = take_turns(clips[:2], rng, config.listener_motion_probability)
        are_quiet = bool(config.quiet_interferers_probability) and rng.random() < config.quiet_interferers_probability
        levels = [
            0.0,
            *(rng.uniform(*(config.quiet_interferers_db if are_quiet else config.talker_db)) for _ in clips[1:]),
        ]
        voices = [scale_to(clip.audio, level) for clip, level in zip(clips, levels, strict=True)]
        return MixedTalkers(speakers, clips, voices, are_quiet)

    def _mix(self, talking: MixedTalkers, index: int, rng: np.random.Generator) -> Example:
        """Mix all talkers and noise; the talker ``index`` is the target."""
        config = self.config
        speaker, voices = talking.speakers[index], talking.voices
        mixture = np.stack(voices).sum(0)
        if len(voices) == 1 or rng.random() < config.noise_probability:
            mixture = mixture + scale_to(self._draw_noise(speaker, len(mixture), rng), rng.uniform(*config.noise_db))
        highest_hz = rng.uniform(3400.0, 7000.0) if rng.random() < config.band_limit_probability else None
        gain = np.float32(0.1 * db_to_gain(rng.uniform(*config.gain_db)))
        clip, tells = self._shown_clip(talking, index, rng)
        lips, seen = self._lips(clip, rng)
        target = voices[index] if tells and seen.any() else self._ambiguous_target(voices, index)
        if highest_hz is not None:
            mixture, target = limit_bandwidth(mixture, highest_hz), limit_bandwidth(target, highest_hz)
        return Example(mixture * gain, target * gain, lips, seen)

    def _ambiguous_target(self, voices: Sequence[np.ndarray], index: int) -> np.ndarray:
        """Return the target (N,) if the video does not identify it: the sum with talkers that are about as loud."""
        if not self.config.ambiguous_target_db:
            return voices[index]
        least = np.square(voices[index]).mean() * 10 ** (-self.config.ambiguous_target_db / 10)
        return np.stack([voice for voice in voices if np.square(voice).mean() >= 0.999 * least]).sum(0)

    def _draw_target(self, rng: np.random.Generator) -> tuple[str, Clip]:
        """Draw the target: a talking face, or an audio-only voice."""
        config = self.config
        if self.voices and rng.random() < config.audio_only_target_probability:
            speaker = list(self.voices)[rng.integers(len(self.voices))]
            return speaker, self._draw_segment(self.voices[speaker], rng)
        speaker = list(self.seen)[rng.choice(len(self.seen), p=self._weights)]
        clip = self._draw_segment(self.seen[speaker], rng)
        if clip.lips is not None and rng.random() < config.silent_face_probability:
            length = int(rng.integers(config.silent_face_frames[0], config.silent_face_frames[1] + 1))
            first = int(rng.integers(1 - length // 2, len(clip.seen) - length // 2))
            clip = with_pause(clip, first, first + length, rng, config.listener_motion_probability)
        return speaker, clip

    def _shown_clip(self, talking: MixedTalkers, index: int, rng: np.random.Generator) -> tuple[Clip, bool]:
        """Return the clip whose video is shown, the target's or another, and whether it identifies the target."""
        config, speaker, clip = self.config, talking.speakers[index], talking.clips[index]
        if clip.lips is None or len(self.seen) < 2:
            return clip, True
        alone = len(talking.voices) == 1 or talking.are_quiet
        if config.mismatched_video_probability and alone and rng.random() < config.mismatched_video_probability:
            return self._other_speaker([speaker], (self.seen,), rng)[1], True
        if config.unrelated_video_probability and rng.random() < config.unrelated_video_probability:
            return self._other_speaker([speaker], (self.seen,), rng)[1], False
        if config.frozen_video_probability and rng.random() < config.frozen_video_probability:
            still = clip.lips[int(rng.integers(len(clip.lips)))]
            return Clip(
                clip.audio, np.repeat(still[None], len(clip.lips), 0), np.repeat(still.any(), len(clip.lips))
            ), False
        return clip, True

    def _lips(self, clip: Clip, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return lips (V, 88, 88) and whether they are visible (V,), with gaps and degradations."""
        config = self.config
        if clip.lips is None or rng.random() < config.missing_video_probability:
            return np.zeros((config.num_frames, CROP_SIZE, CROP_SIZE), np.uint8), np.zeros(config.num_frames, bool)
        kept, lips = clip.seen.copy(), clip.lips
        if rng.random() < config.gap_probability:
            length = int(rng.integers(config.gap_frames[0], config.gap_frames[1] + 1))
            first = int(rng.integers(1 - length, config.num_frames))
            kept[max(first, 0) : first + length] = False
        if config.degraded_video_probability and rng.random() < config.degraded_video_probability:
            lips = degrade(lips, rng)
        if config.av_offset_probability and rng.random() < config.av_offset_probability:
            lips, kept = delay_video(lips, kept, draw_offset(config.av_offset_frames, rng))
        return lips * kept[:, None, None], kept

    def _add_acoustics(self, clip: Clip, rng: np.random.Generator) -> Clip:
        """Add reverberation and equalisation to a clip's voice."""
        voice = clip.audio
        if rng.random() < self.config.reverb_probability:
            measured = self.rooms and rng.random() < self.config.measured_room_probability
            voice = convolve_room(voice, self._draw_response(rng)) if measured else reverberate(voice, rng)
        if self.config.eq_db:
            voice = random_eq(voice, self.config.eq_db, rng)
        return Clip(voice, clip.lips, clip.seen)

    def _draw_response(self, rng: np.random.Generator) -> np.ndarray:
        """Draw an impulse response; all rooms are equally likely."""
        room = self.rooms[int(rng.integers(len(self.rooms)))]
        return room[int(rng.integers(len(room)))]

    def _draw_interferer(self, but: Sequence[str], rng: np.random.Generator) -> tuple[str, Clip]:
        """Draw an interfering talker for the first of ``but``, who is none of them."""
        if self.config.same_collection_probability and rng.random() < self.config.same_collection_probability:
            pool = self.seen if but[0] in self.seen else self.voices
            family = {name: pool[name] for name in pool if collection(name) == collection(but[0])}
            if len(family) > 1:
                return self._other_speaker(but, (family,), rng, self.config.swap_target)
        heard_first = bool(self.voices) and rng.random() < self.config.audio_only_interferer_probability
        pools = (self.voices, self.seen) if heard_first else (self.seen, self.voices)
        return self._other_speaker(but, pools, rng, self.config.swap_target)

    def _other_speaker(
        self, but: Sequence[str], pools: Sequence[SpeakerClips], rng: np.random.Generator, with_lips: bool = True
    ) -> tuple[str, Clip]:
        """Draw a segment of another speaker, from the first pool that has one; of anyone but the first if none has."""
        found = ([name for name in pool if name not in names] for names in (but, but[:1]) for pool in pools)
        others = next(names for names in found if names)
        name = others[int(rng.integers(len(others)))]
        clips = next(pool[name] for pool in pools if name in pool)
        return name, self._draw_segment(clips, rng, with_lips)

    def _draw_segment(self, clips: Sequence[Path], rng: np.random.Generator, with_lips: bool = True) -> Clip:
        """Draw a segment of one speaker, at a random speed."""
        (slowest, fastest), num_frames = self.config.speed, self.config.num_frames
        speed = rng.uniform(slowest, fastest) if slowest < fastest else slowest
        segment = random_segment(
            clips, max(1, round(num_frames * speed)), rng, with_lips, self.config.varied_voice_probability
        )
        return change_speed(segment, num_frames)

    def _draw_noise(self, but: str, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Draw babble or recorded noise; without any, and one time in four, coloured noise."""
        if rng.random() < self.config.babble_probability and self._has_others:
            babble = [self._draw_interferer([but], rng)[1].audio for _ in range(rng.integers(4, 7))]
            return np.stack([scale_to(voice, rng.uniform(-6.0, 0.0)) for voice in babble]).sum(0, dtype=np.float32)
        if not self.noises or rng.random() < 0.25:
            return coloured_noise(num_samples, rng)
        if self.config.varied_noise_probability and rng.random() < self.config.varied_noise_probability:
            return self._draw_varied_noise(rng)
        return self._draw_recorded_noise(rng)

    def _draw_recorded_noise(self, rng: np.random.Generator, speed: float = 1.0) -> np.ndarray:
        """Draw a recorded noise; all kinds are equally likely."""
        kinds, num_frames = list(self.noises), self.config.num_frames
        clips = self.noises[kinds[rng.integers(len(kinds))]]
        segment = random_segment(clips, max(1, round(num_frames * speed)), rng, with_lips=False)
        return change_speed(segment, num_frames).audio

    def _draw_varied_noise(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a recorded noise at another speed and equalised, often in bursts or mixed with another noise."""
        noise = random_eq(self._draw_recorded_noise(rng, rng.uniform(*NOISE_SPEED)), NOISE_EQ_DB, rng)
        if rng.random() < 0.3:
            noise = cut_bursts(noise, rng)
        if rng.random() < 0.3:
            noise = scale_to(noise, 0.0) + scale_to(self._draw_recorded_noise(rng), rng.uniform(-10.0, 0.0))
        return noise


def collection(speaker: str) -> str:
    """Return the collection of a speaker: the letters with which the name begins."""
    return speaker[: next((index for index, sign in enumerate(speaker) if not sign.isalpha()), len(speaker))]


def coloured_noise(num_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return Gaussian noise (N,) whose spectrum falls by 0 to 9 dB per octave."""
    spectrum = np.fft.rfft(rng.standard_normal(num_samples))
    slope = rng.uniform(0.0, 1.5)
    spectrum *= np.maximum(np.arange(len(spectrum)), 4.0) ** -slope
    return np.fft.irfft(spectrum, num_samples).astype(np.float32)
