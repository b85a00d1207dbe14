"""Synthetic speech: a small formant synthesiser that babbles seeded syllables, with the opening of the mouth.

A source-filter synthesiser after Klatt, "Software for a cascade/parallel formant synthesizer" (JASA 67, 1980): pulses
of the glottis and breath through a cascade of formant resonators, hiss of consonants through one resonator beside it.
Formants of the vowels are the men's means of Peterson and Barney (JASA 24, 1952).

Legend: ``N`` samples, ``V`` video frames, ``T`` control steps of 5 ms, ``S`` filter sections.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import sosfilt

from avse.config import VIDEO_FPS
from avse.errors import UsageError

CONTROLS_PER_SECOND = 200

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class Utterance:
    """Hold ``waveform`` `(N,)` float32 in -1..1 and ``opening`` `(V,)` float32 in 0..1, the mouth at 25 frames/s."""

    waveform: NDArray[np.float32]
    opening: NDArray[np.float32]
    sample_rate: int


class _Segment(NamedTuple):
    """Hold a segment of constant targets; neighbours are joined smoothly. Formants are those of an average man."""

    seconds: float
    formants_hz: tuple[float, float, float]
    lips: float
    voice: float = 0.0
    breath: float = 0.0
    hiss: float = 0.0
    hiss_hz: float = 3000.0
    pitch: float = 1.0


_NEUTRAL = (500.0, 1500.0, 2500.0)
_LABIAL, _ALVEOLAR, _VELAR = (250.0, 850.0, 2200.0), (250.0, 1800.0, 2650.0), (250.0, 2000.0, 2350.0)

_VOWELS = (
    _Segment(0.11, (270.0, 2290.0, 3010.0), lips=0.35, voice=0.8),
    _Segment(0.09, (390.0, 1990.0, 2550.0), lips=0.45, voice=0.85),
    _Segment(0.11, (530.0, 1840.0, 2480.0), lips=0.65, voice=0.95),
    _Segment(0.13, (660.0, 1720.0, 2410.0), lips=0.85, voice=1.0),
    _Segment(0.14, (730.0, 1090.0, 2440.0), lips=1.0, voice=1.0),
    _Segment(0.12, (570.0, 840.0, 2410.0), lips=0.75, voice=0.95),
    _Segment(0.09, (440.0, 1020.0, 2240.0), lips=0.45, voice=0.85),
    _Segment(0.11, (300.0, 870.0, 2240.0), lips=0.3, voice=0.8),
    _Segment(0.10, (640.0, 1190.0, 2390.0), lips=0.75, voice=0.95),
    _Segment(0.11, (490.0, 1350.0, 1690.0), lips=0.5, voice=0.9),
)


def _plosive(locus: tuple[float, float, float], burst_hz: float, voiced: bool) -> tuple[_Segment, ...]:
    lips = 0.0 if locus is _LABIAL else 0.2
    closure = _Segment(0.05, locus, lips, voice=0.12 if voiced else 0.0)
    burst = _Segment(0.012, locus, lips + 0.1, hiss=0.25 if voiced else 0.5, hiss_hz=burst_hz)
    return (closure, burst) if voiced else (closure, burst, _Segment(0.03, locus, lips + 0.15, breath=0.35))


_CONSONANTS = (
    _plosive(_LABIAL, 900.0, voiced=False),
    _plosive(_ALVEOLAR, 4000.0, voiced=False),
    _plosive(_VELAR, 1900.0, voiced=False),
    _plosive(_LABIAL, 900.0, voiced=True),
    _plosive(_ALVEOLAR, 4000.0, voiced=True),
    _plosive(_VELAR, 1900.0, voiced=True),
    (_Segment(0.09, _ALVEOLAR, lips=0.2, hiss=0.45, hiss_hz=5600.0),),
    (_Segment(0.09, _VELAR, lips=0.25, hiss=0.45, hiss_hz=3000.0),),
    (_Segment(0.08, _LABIAL, lips=0.05, hiss=0.12, hiss_hz=6200.0),),
    (_Segment(0.06, _ALVEOLAR, lips=0.2, voice=0.3, hiss=0.2, hiss_hz=5400.0),),
    (_Segment(0.07, (_LABIAL[0], 1000.0, 2200.0), lips=0.0, voice=0.45),),
    (_Segment(0.07, (_ALVEOLAR[0], 1450.0, 2500.0), lips=0.2, voice=0.45),),
    (_Segment(0.06, (360.0, 1200.0, 2700.0), lips=0.35, voice=0.6),),
    (_Segment(0.06, (310.0, 1060.0, 1400.0), lips=0.3, voice=0.6),),
    (_Segment(0.06, (290.0, 610.0, 2150.0), lips=0.2, voice=0.55),),
)


def speak(
    seconds: float, sample_rate: int = 16000, seed: int = 0, pitch_hz: float = 120.0, tract_scale: float = 1.0
) -> Utterance:
    """Synthesise babble of one talker: about 4 syllables a second in phrases with pauses, determined by the seed.

    ``pitch_hz`` is the talker's mean pitch; ``tract_scale`` multiplies all formants (1.0 a man, 1.15 a woman).
    UsageError for less than 0.2 s or a sample rate under 8 kHz or not a multiple of 200 Hz.
    """
    if seconds < 0.2 or sample_rate < 8000 or sample_rate % CONTROLS_PER_SECOND:
        raise UsageError(
            f"Cannot synthesise {seconds:g} s of speech at {sample_rate} Hz.",
            "Use at least 0.2 s and a sample rate of 8000 Hz or more that is a multiple of 200 Hz, such as 16000.",
        )
    rng = np.random.default_rng(seed)
    num_samples, num_frames = round(seconds * sample_rate), round(seconds * VIDEO_FPS)
    steps_per_frame = CONTROLS_PER_SECOND // VIDEO_FPS
    num_steps = max(-(-num_samples * CONTROLS_PER_SECOND // sample_rate), num_frames * steps_per_frame)

    controls = _controls(_babble(num_steps, rng), num_steps)
    waveform = _synthesise(controls, sample_rate, pitch_hz, tract_scale, rng)[:num_samples]
    opening = controls.lips[: num_frames * steps_per_frame].reshape(num_frames, steps_per_frame).mean(axis=1)
    return Utterance(waveform.astype(np.float32), np.clip(opening, 0, 1).astype(np.float32), sample_rate)


def _babble(num_steps: int, rng: np.random.Generator) -> list[_Segment]:
    """Draw phrases of 4 to 9 syllables, whose pitch sinks towards the end, with pauses between."""
    pause_at_start = rng.uniform(0.08, 0.2)
    segments = [_Segment(pause_at_start, _NEUTRAL, lips=0.02)]
    while sum(segment.seconds for segment in segments) * CONTROLS_PER_SECOND < num_steps:
        num_syllables = int(rng.integers(4, 10))
        for place in range(num_syllables):
            is_last = place == num_syllables - 1
            pitch = 1.12 - 0.24 * place / num_syllables
            segments += _syllable(pitch, 1.5 if is_last else 1.0, rng)
        segments.append(_Segment(rng.uniform(0.18, 0.4), _NEUTRAL, lips=0.02))
    return segments


def _syllable(pitch: float, slowness: float, rng: np.random.Generator) -> list[_Segment]:
    """Draw onset, vowel and sometimes a coda; about every third syllable is stressed: longer, louder, higher, wider."""
    stress = rng.choice([0.85, 1.0, 1.2], p=[0.4, 0.3, 0.3])
    onset = _CONSONANTS[rng.integers(len(_CONSONANTS))] if rng.random() < 0.92 else ()
    vowel = _VOWELS[rng.integers(len(_VOWELS))]
    coda = _CONSONANTS[rng.integers(6, len(_CONSONANTS))] if rng.random() < 0.3 else ()
    vowel = vowel._replace(
        seconds=vowel.seconds * stress * slowness * rng.uniform(0.85, 1.25),
        voice=vowel.voice * stress,
        lips=min(vowel.lips * stress, 1.0),
    )
    accent = pitch * (1 + 0.45 * (stress - 1)) * rng.uniform(0.97, 1.03)
    return [segment._replace(pitch=accent) for segment in (*onset, vowel, *coda)]


class _Controls(NamedTuple):
    """Hold the smooth tracks of the synthesiser, `(T,)` each, and the formants `(T, 3)`."""

    formants_hz: _Array
    lips: _Array
    voice: _Array
    breath: _Array
    hiss: _Array
    hiss_hz: _Array
    pitch: _Array


def _controls(segments: list[_Segment], num_steps: int) -> _Controls:
    ends = np.cumsum([segment.seconds for segment in segments])
    middles = (np.arange(num_steps) + 0.5) / CONTROLS_PER_SECOND
    place = np.minimum(np.searchsorted(ends, middles), len(segments) - 1)

    def track(name: str, smooth_seconds: float) -> _Array:
        targets = np.array([getattr(segment, name) for segment in segments], float)[place]
        return gaussian_filter1d(targets, smooth_seconds * CONTROLS_PER_SECOND, axis=0, mode="nearest")

    return _Controls(
        formants_hz=track("formants_hz", 0.018),
        lips=track("lips", 0.022),
        voice=track("voice", 0.009),
        breath=track("breath", 0.006),
        hiss=track("hiss", 0.004),
        hiss_hz=track("hiss_hz", 0.004),
        pitch=track("pitch", 0.06),
    )


def _synthesise(
    controls: _Controls, sample_rate: int, pitch_hz: float, tract_scale: float, rng: np.random.Generator
) -> _Array:
    step = sample_rate // CONTROLS_PER_SECOND
    num_samples = step * len(controls.lips)
    noise = rng.standard_normal(num_samples)

    def per_sample(track: _Array) -> _Array:
        return np.interp(np.arange(num_samples) / step - 0.5, np.arange(len(track)), track)

    voice = per_sample(controls.voice)
    pulses = _glottal_pulses(per_sample(controls.pitch) * pitch_hz, sample_rate, rng)
    source = voice * pulses + 0.15 * (per_sample(controls.breath) + 0.06 * voice) * noise
    vowels = _filter_by_steps(source, _formant_sections(controls.formants_hz * tract_scale, sample_rate), step)
    hiss_hz = np.minimum(controls.hiss_hz * tract_scale, 0.45 * sample_rate)
    hiss = _filter_by_steps(per_sample(controls.hiss) * noise, _hiss_section(hiss_hz, sample_rate), step)
    return _set_level(vowels + 0.5 * hiss)


def _set_level(waveform: _Array, rms: float = 0.07, peak: float = 0.7) -> _Array:
    waveform = waveform - waveform.mean()
    gain = min(rms / np.sqrt(np.mean(waveform**2)), peak / np.abs(waveform).max())
    return waveform * gain


def _glottal_pulses(pitch_hz: _Array, sample_rate: int, rng: np.random.Generator) -> _Array:
    """Compute the flow derivative of the glottis, Klatt's polynomial pulse: open for 60 % of the period."""
    wobble = gaussian_filter1d(rng.standard_normal(len(pitch_hz)), 0.01 * sample_rate)
    pitch_hz = pitch_hz * (1 + 0.012 * wobble / wobble.std())
    phase = np.cumsum(pitch_hz / sample_rate) % 1.0
    opened = phase / 0.6
    return np.where(opened < 1, 2 * opened - 3 * opened**2, 0.0)


def _formant_sections(formants_hz: _Array, sample_rate: int) -> _Array:
    """Return a cascade of resonators with unit gain at 0 Hz, `(T, S, 6)`: three that move and two that stay."""
    scale = formants_hz.mean() / np.mean(_NEUTRAL)
    fixed_hz = np.broadcast_to(np.array([3500.0, 4500.0]) * scale, (len(formants_hz), 2))
    frequencies_hz = np.concatenate([formants_hz, fixed_hz], axis=1)
    bandwidths_hz = np.array([70.0, 90.0, 130.0, 220.0, 300.0])
    is_below_limit = frequencies_hz.max(axis=0) < 0.45 * sample_rate
    radius = np.exp(-np.pi * bandwidths_hz / sample_rate)
    sections = np.zeros((*frequencies_hz.shape, 6))
    sections[..., 3] = 1.0
    sections[..., 4] = -2 * radius * np.cos(2 * np.pi * frequencies_hz / sample_rate)
    sections[..., 5] = radius**2
    sections[..., 0] = sections[..., 3:].sum(-1)
    return sections[:, is_below_limit]


def _hiss_section(centre_hz: _Array, sample_rate: int) -> _Array:
    """Return one broad resonator with unit gain at its centre and none at 0 Hz, `(T, 1, 6)`."""
    radius = np.exp(-np.pi * (400.0 + 0.2 * centre_hz) / sample_rate)
    sections = np.zeros((len(centre_hz), 1, 6))
    sections[:, 0, 0] = (1 - radius**2) / 2
    sections[:, 0, 2] = -sections[:, 0, 0]
    sections[:, 0, 3] = 1.0
    sections[:, 0, 4] = -2 * radius * np.cos(2 * np.pi * centre_hz / sample_rate)
    sections[:, 0, 5] = radius**2
    return sections


def _filter_by_steps(audio: _Array, sections: _Array, step: int) -> _Array:
    """Filter `(N,)` with sections that change every ``step`` samples, carrying the filter's state along."""
    state = np.zeros((sections.shape[1], 2))
    output = np.empty_like(audio)
    for index, section in enumerate(np.ascontiguousarray(sections)):
        span = slice(index * step, (index + 1) * step)
        output[span], state = sosfilt(section, audio[span], zi=state)
    return output
