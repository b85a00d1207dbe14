"""The metrics of avse: PESQ, STOI, ESTOI and SI-SDR of an estimate against its clean reference, at 16 kHz, one channel.

A score that cannot be computed is ``nan`` with its reason; never 0, and never the end of the run. Beside its two
signals a score needs no more memory than a window of at most 30 s does, whatever their length.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import soxr

from avse.config import SAMPLE_RATE
from avse.errors import UsageError, short_repr
from avse.evaluation.pesq_worker import pesq_wide_band
from avse.io.arrays import check_sample_rate
from avse.io.tensors import plain_array

PESQ_MIN_SECONDS = 0.25
WINDOW_SECONDS = 30
"""Longest window of the PESQ library; STOI would need gigabytes for longer ones."""
STOI_MIN_SECONDS = 0.4  # 30 frames of 25.6 ms, half overlapping
SILENT_PEAK = 1e-7  # below one step of 24-bit audio

Measure = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Metric:
    """Describe one metric: its key in rows and files, its label, unit and digits for readers, and how it is computed.

    ``measure`` takes reference and estimate (N,) at 16 kHz; None where the metric needs no reference (DNSMOS).
    """

    key: str
    label: str
    digits: int
    unit: str = ""
    measure: Measure | None = None

    @property
    def heading(self) -> str:
        """Return label and unit, such as SI-SDR dB."""
        return f"{self.label} {self.unit}".rstrip()

    def __call__(self, reference: Any, estimate: Any, sample_rate: int) -> Any:
        """Compute this metric alone, for one pair of signals or a batch.

        Args:
            reference: array or tensor (N,) or (..., N).
            estimate: of the same shape.
            sample_rate: of both, in Hz.

        Returns:
            A float for (N,), an array (...) for a batch; ``nan`` where `score` would give a reason.
        """
        clean, other = _as_array(reference), _as_array(estimate)
        if clean.ndim < 2 or clean.shape != other.shape:
            return score(clean, other, sample_rate, [self.key]).values[self.key]
        rows = math.prod(clean.shape[:-1]), clean.shape[-1]
        pairs = zip(clean.reshape(rows), other.reshape(rows), strict=True)
        values = [score(*pair, sample_rate, [self.key]).values[self.key] for pair in pairs]
        return np.array(values).reshape(clean.shape[:-1])


@dataclass(frozen=True)
class Scores:
    """Hold a value for each requested metric, and the reason for each value that is ``nan``."""

    values: dict[str, float]
    reasons: dict[str, str]


def score(
    reference: np.ndarray, estimate: np.ndarray, sample_rate: int, metrics: Iterable[str] | None = None
) -> Scores:
    """Score an estimate (N,) against its clean reference (N,), both at ``sample_rate`` in Hz.

    ``metrics`` are keys of `METRICS`; by default all that need a reference.

    Raises UsageError for an unknown metric, for a sample rate that is none, and for what is no array of real numbers.
    """
    names = _requested(metrics)
    check_sample_rate(sample_rate)
    clean, other = _floats(reference), _floats(estimate)
    try:
        pair = _prepare(clean, other, sample_rate)
    except ValueError as error:
        return Scores(dict.fromkeys(names, math.nan), dict.fromkeys(names, str(error)))
    values: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for name in names:
        try:
            values[name] = WITH_REFERENCE[name](*pair)
        except ValueError as error:
            values[name], reasons[name] = math.nan, str(error)
    return Scores(values, reasons)


def _requested(metrics: Iterable[str] | None) -> list[str]:
    """Return the keys of the requested metrics. UsageError for unknown ones."""
    known = f"Known metrics: {', '.join(WITH_REFERENCE)}."
    try:
        names = list(WITH_REFERENCE if metrics is None else metrics)
    except TypeError as error:
        raise UsageError(f"The metrics are {short_repr(metrics)}.", f"Pass a list. {known}") from error
    for name in names:
        if not isinstance(name, str) or name not in WITH_REFERENCE:
            raise UsageError(f"There is no metric called {short_repr(name)}.", known)
    return names


def _prepare(reference: np.ndarray, estimate: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Convert both signals (N,) to 16 kHz; ValueError if they cannot be compared."""
    signals = {"reference": reference, "estimate": estimate}
    for name, signal in signals.items():
        if signal.ndim != 1:
            raise ValueError(f"the {name} has more than one channel: shape {signal.shape}")
        if not all(np.isfinite(part).all() for part in _cut(signal)):
            raise ValueError(f"the {name} contains NaN or infinite values")
    lengths = [len(signal) for signal in signals.values()]
    if lengths[0] != lengths[1]:
        raise ValueError(f"the lengths differ: reference {lengths[0]} samples, estimate {lengths[1]}")
    for name, signal in signals.items():
        if _is_silent(signal):
            raise ValueError(f"the {name} is silent")
    if sample_rate == SAMPLE_RATE:
        return signals["reference"], signals["estimate"]
    resampled = [soxr.resample(signal, sample_rate, SAMPLE_RATE) for signal in signals.values()]
    return resampled[0], resampled[1]


def _as_array(signal: Any) -> np.ndarray:
    """Return an array of an array, a list or a tensor on any device."""
    return plain_array(signal, "A signal", "Pass arrays or tensors (N,) of real numbers.")


def _floats(signal: Any) -> np.ndarray:
    array = _as_array(signal)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _is_silent(signal: np.ndarray) -> bool:
    return len(signal) == 0 or bool(np.ptp(signal) < 2 * SILENT_PEAK)


def _cut(signal: np.ndarray) -> list[np.ndarray]:
    """Split a signal into equal windows of at most 30 s."""
    return np.array_split(signal, max(1, math.ceil(len(signal) / (WINDOW_SECONDS * SAMPLE_RATE))))


def _windows(reference: np.ndarray, estimate: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Split both signals into windows, in double precision."""
    for clean, enhanced in zip(_cut(reference), _cut(estimate), strict=True):
        yield clean.astype(np.float64), enhanced.astype(np.float64)


def _mean_over_windows(
    measure: Callable[[np.ndarray, np.ndarray], float | None], reference: np.ndarray, estimate: np.ndarray
) -> float | None:
    """Average a score over the windows that can be scored; None if there is no such window."""
    total = weight = 0.0
    for clean, enhanced in _windows(reference, estimate):
        value = None if _is_silent(clean) else measure(clean, enhanced)
        if value is not None:
            total += value * len(clean)
            weight += len(clean)
    return total / weight if weight else None


def _pesq_wb(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Compute wide-band PESQ (ITU-T P.862.2), from 1.02 to 4.64: the mean over the windows that hold an utterance."""
    _check_length(reference, PESQ_MIN_SECONDS)
    value = _mean_over_windows(_pesq_window, reference, estimate)
    if value is None:
        raise ValueError("PESQ finds no utterance in the reference")
    return value


def _pesq_window(reference: np.ndarray, estimate: np.ndarray) -> float | None:
    if _is_silent(estimate):
        raise ValueError(f"the estimate is silent for {len(estimate) / SAMPLE_RATE:.1f} s in which someone speaks")
    return pesq_wide_band(reference, estimate)


def _stoi(reference: np.ndarray, estimate: np.ndarray, extended: bool = False) -> float:
    """Compute STOI (Taal et al. 2011) or ESTOI (Jensen and Taal 2016), at most 1.

    A mean over the windows that hold enough speech.
    """
    _check_length(reference, STOI_MIN_SECONDS)
    value = _mean_over_windows(partial(_stoi_window, extended=extended), reference, estimate)
    if value is None:
        raise ValueError(f"under {STOI_MIN_SECONDS} s of speech are left after removing silence")
    return value


def _stoi_window(reference: np.ndarray, estimate: np.ndarray, extended: bool) -> float | None:
    from pystoi import stoi

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Not enough STFT frames", category=RuntimeWarning)
        try:
            return float(stoi(reference, estimate, SAMPLE_RATE, extended))
        except RuntimeWarning:
            return None


def _si_sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Compute the SI-SDR of the zero-mean signals in dB (Le Roux et al. 2019, eq. 5).

    Bounded by the resolution of 64-bit floats, at about 157 dB for an estimate that equals its reference.
    """
    means = [signal.mean(dtype=np.float64) for signal in (reference, estimate)]

    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return ((clean - means[0], enhanced - means[1]) for clean, enhanced in _windows(reference, estimate))

    sums = np.sum([(clean @ clean, clean @ enhanced, enhanced @ enhanced) for clean, enhanced in pairs()], axis=0)
    power, cross, energy = (float(value) for value in sums)
    scale = cross / power
    distortion = sum(float(np.square(enhanced - scale * clean).sum()) for clean, enhanced in pairs())
    smallest = np.finfo(np.float64).eps * energy
    return float(10 * np.log10((scale**2 * power + smallest) / (distortion + smallest)))


def _check_length(signal: np.ndarray, min_seconds: float) -> None:
    if len(signal) < min_seconds * SAMPLE_RATE:
        raise ValueError(f"{len(signal) / SAMPLE_RATE:.2f} s is too short: at least {min_seconds} s are needed")


METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric("pesq", "PESQ-wb", 2, measure=_pesq_wb),
        Metric("stoi", "STOI", 3, measure=_stoi),
        Metric("estoi", "ESTOI", 3, measure=partial(_stoi, extended=True)),
        Metric("si_sdr", "SI-SDR", 1, "dB", _si_sdr),
        Metric("dnsmos", "DNSMOS", 2),
    )
}
"""Every metric by its key: the one table of names, labels, units and digits. PESQ is wide-band (ITU-T P.862.2)."""
WITH_REFERENCE: dict[str, Measure] = {key: metric.measure for key, metric in METRICS.items() if metric.measure}
FORMER_KEYS = {"pesq_wb": "pesq"}
"""Keys of earlier versions, and the current ones."""
pesq, stoi, estoi, si_sdr = (METRICS[key] for key in WITH_REFERENCE)
