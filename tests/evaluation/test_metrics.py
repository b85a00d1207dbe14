"""Scores against outside implementations, and every input that is known to break one of the libraries."""

from __future__ import annotations

import math
import os
import signal
import tracemalloc
from collections.abc import Callable

import fast_bss_eval
import numpy as np
import pystoi
import pytest
import torch
from mir_eval import separation
from torchmetrics.functional.audio import (
    perceptual_evaluation_speech_quality,
    scale_invariant_signal_distortion_ratio,
    short_time_objective_intelligibility,
)

from avse.errors import UsageError
from avse.evaluation import metrics, pesq_worker
from avse.evaluation.metrics import METRICS, WITH_REFERENCE, score

RATE = 16000
NAMES = ["pesq", "stoi", "estoi", "si_sdr"]


def make_speech(seconds: float, sample_rate: int = RATE, syllables_hz: float = 2.0) -> np.ndarray:
    """A buzzing voice that starts and stops: enough for PESQ to count utterances."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    voice = sum(np.sin(2 * np.pi * 120 * k * time + k * k) / k for k in range(1, 40))
    return 0.1 * np.clip(np.sin(np.pi * syllables_hz * time), 0, None) * voice


def make_pair(seconds: float, noise_db: float = -30.0, seed: int = 0, **options) -> tuple[np.ndarray, np.ndarray]:
    reference = make_speech(seconds, **options)
    noise = np.random.default_rng(seed).standard_normal(len(reference))
    return reference, 0.5 * (reference + 10 ** (noise_db / 20) * noise)


def assert_all_nan(scores, reason: str) -> None:
    assert list(scores.values) == NAMES
    assert all(math.isnan(value) for value in scores.values.values())
    assert all(reason in scores.reasons[name] for name in NAMES)


Outside = Callable[[np.ndarray, np.ndarray], float]


def in_torch(metric: Callable[..., torch.Tensor], *arguments: object, **options: object) -> Outside:
    def run(reference: np.ndarray, estimate: np.ndarray) -> float:
        return float(metric(torch.from_numpy(estimate), torch.from_numpy(reference), *arguments, **options))

    return run


def mir_eval_of_one_tap(reference: np.ndarray, estimate: np.ndarray) -> float:
    """BSS Eval's signal-to-distortion ratio: with a filter of one tap, and zero means, that is SI-SDR."""
    centred = reference - reference.mean()
    parts = separation._bss_decomp_mtifilt(centred[None], estimate - estimate.mean(), 0, 1)
    return float(separation._bss_source_crit(*parts)[0])


AGREEMENT: dict[tuple[str, str], Outside] = {
    ("pesq", "torchmetrics"): in_torch(perceptual_evaluation_speech_quality, RATE, "wb"),
    ("stoi", "torchmetrics"): in_torch(short_time_objective_intelligibility, RATE),
    ("estoi", "torchmetrics"): in_torch(short_time_objective_intelligibility, RATE, extended=True),
    ("si_sdr", "torchmetrics"): in_torch(scale_invariant_signal_distortion_ratio, zero_mean=True),
    ("si_sdr", "fast_bss_eval"): lambda ref, est: float(fast_bss_eval.si_sdr(ref[None], est[None], zero_mean=True)[0]),
    ("si_sdr", "mir_eval"): mir_eval_of_one_tap,
}


@pytest.mark.parametrize(("seconds", "noise_db", "seed"), [(3.5, -20, 0), (3.5, -50, 1), (8.3, -35, 2)])
@pytest.mark.parametrize(("metric", "library"), AGREEMENT)
def test_scores_agree_with_other_libraries(metric, library, seconds, noise_db, seed):
    reference, estimate = make_pair(seconds, noise_db, seed)
    estimate = estimate + 0.01
    scores = score(reference, estimate, RATE, [metric])
    assert scores.reasons == {}
    assert scores.values[metric] == pytest.approx(AGREEMENT[metric, library](reference, estimate), abs=1e-3)


def test_si_sdr_is_the_known_truth_whatever_the_scale_and_offset():
    reference = np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)
    orthogonal = np.cos(2 * np.pi * 100 * np.arange(RATE) / RATE)
    estimate = 3 * (reference + 0.1 * orthogonal) + 0.5
    assert METRICS["si_sdr"](reference, estimate, RATE) == pytest.approx(20.0, abs=1e-6)
    assert METRICS["si_sdr"](reference + 7, 1e-3 * estimate, RATE) == pytest.approx(20.0, abs=1e-6)


def test_si_sdr_stays_finite_for_a_perfect_and_for_an_unrelated_estimate():
    reference = np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)
    orthogonal = np.cos(2 * np.pi * 100 * np.arange(RATE) / RATE)
    assert 140 < METRICS["si_sdr"](reference, reference, RATE) < 160
    assert -320 < METRICS["si_sdr"](reference, orthogonal, RATE) < -140


def test_perfect_estimate_has_the_highest_scores():
    reference, _ = make_pair(3.0)
    values = score(reference, reference, RATE).values
    assert values["pesq"] == pytest.approx(4.64, abs=0.01)
    assert values["stoi"] == pytest.approx(1.0, abs=1e-3)


def test_minutes_are_scored_in_windows():
    reference, estimate = make_pair(100, syllables_hz=1.8)
    scores = score(reference, estimate, RATE, ["pesq", "si_sdr"])
    window = score(reference[: 25 * RATE], estimate[: 25 * RATE], RATE, ["pesq"])
    assert scores.reasons == {}
    assert scores.values["pesq"] == pytest.approx(window.values["pesq"], abs=0.02)


def test_minutes_of_stoi_need_little_memory_and_score_like_the_whole():
    reference, estimate = make_pair(90, syllables_hz=1.8)
    tracemalloc.start()
    scores = score(reference, estimate, RATE, ["stoi", "estoi"])
    peak_bytes = tracemalloc.get_traced_memory()[1]
    whole = {name: pystoi.stoi(reference, estimate, RATE, extended=name == "estoi") for name in ("stoi", "estoi")}
    whole_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert scores.reasons == {}
    assert scores.values == pytest.approx(whole, abs=0.01)
    assert peak_bytes < 0.6 * whole_bytes


def test_si_sdr_in_windows_is_that_of_the_whole():
    rng = np.random.default_rng(0)
    reference = (rng.standard_normal(100 * RATE) + np.linspace(-1, 1, 100 * RATE)).astype(np.float32)
    estimate = (0.3 * reference + 0.1 * rng.standard_normal(100 * RATE) + 0.2).astype(np.float32)
    whole = fast_bss_eval.si_sdr(*(signal[None].astype(np.float64) for signal in (reference, estimate)), zero_mean=True)
    assert METRICS["si_sdr"](reference, estimate, RATE) == pytest.approx(float(whole[0]), abs=1e-6)


def test_window_without_speech_is_left_out():
    reference, estimate = make_pair(60)
    reference[30 * RATE :] = 0
    first = score(reference[: 30 * RATE], estimate[: 30 * RATE], RATE, ["pesq", "stoi"])
    assert score(reference, estimate, RATE, ["pesq", "stoi"]).values == first.values


def test_estimate_silent_for_a_whole_window_of_speech_is_reported():
    reference, estimate = make_pair(60)
    estimate[30 * RATE :] = 0
    assert "the estimate is silent for 30.0 s" in score(reference, estimate, RATE).reasons["pesq"]


def test_dead_child_is_a_reason_and_the_next_call_works():
    reference, estimate = make_pair(60)
    with pytest.raises(ValueError, match="process died"):
        pesq_worker.pesq_wide_band(reference, estimate)
    assert pesq_worker.pesq_wide_band(reference[: 3 * RATE], estimate[: 3 * RATE]) > 1


def test_dead_child_is_nan_with_its_reason(monkeypatch):
    reference, estimate = make_pair(3)

    def die(process, pair):
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return exchange(process, pair)

    exchange = pesq_worker._exchange
    with monkeypatch.context() as patch:
        patch.setattr(pesq_worker, "_exchange", die)
        scores = score(reference, estimate, RATE)
    assert math.isnan(scores.values["pesq"])
    assert scores.reasons == {"pesq": "PESQ failed: its process died (SIGKILL)"}
    assert score(reference, estimate, RATE).reasons == {}


def test_interrupted_question_does_not_answer_the_next(monkeypatch):
    reference, estimate = make_pair(3)
    expected = score(reference, estimate, RATE, ["pesq"])

    def interrupt(process, pair):
        process.stdin.write(pair.shape[1].to_bytes(8, "little") + pair.tobytes())
        process.stdin.flush()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pesq_worker, "_exchange", interrupt)
        with pytest.raises(KeyboardInterrupt):
            score(reference, reference, RATE, ["pesq"])
    assert score(reference, estimate, RATE, ["pesq"]) == expected


def test_silent_reference():
    _, estimate = make_pair(2)
    assert_all_nan(score(np.zeros_like(estimate), estimate, RATE), "the reference is silent")


@pytest.mark.parametrize("level", [0.0, 0.3])
def test_silent_estimate_even_with_an_offset(level):
    reference, estimate = make_pair(2)
    assert_all_nan(score(reference, np.full_like(estimate, level), RATE), "the estimate is silent")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_estimate_that_is_not_finite(value):
    reference, estimate = make_pair(2)
    estimate[100] = value
    assert_all_nan(score(reference, estimate, RATE), "the estimate contains NaN or infinite values")


def test_too_short_for_pesq_and_stoi_is_still_scored_by_si_sdr():
    reference, estimate = make_pair(0.2)
    scores = score(reference, estimate, RATE)
    assert math.isfinite(scores.values["si_sdr"])
    assert scores.reasons == {
        "pesq": "0.20 s is too short: at least 0.25 s are needed",
        "stoi": "0.20 s is too short: at least 0.4 s are needed",
        "estoi": "0.20 s is too short: at least 0.4 s are needed",
    }


@pytest.mark.parametrize("num_samples", [0, 1, 2, 10])
def test_a_few_samples_are_no_crash(num_samples):
    scores = score(np.arange(num_samples) / 10, np.arange(num_samples) / 7, RATE)
    assert {"pesq", "stoi", "estoi"} <= set(scores.reasons)


def test_speech_too_short_for_stoi_after_removing_silence():
    reference, estimate = make_pair(2)
    reference[RATE // 5 :] = 0
    scores = score(reference, estimate, RATE, ["stoi", "estoi"])
    assert all(math.isnan(value) for value in scores.values.values())
    assert "after removing silence" in scores.reasons["stoi"]


def test_reference_without_utterance():
    reference, estimate = make_pair(2)
    reference[RATE // 10 :] = 0
    assert "no utterance" in score(reference, estimate, RATE).reasons["pesq"]


@pytest.mark.parametrize("sample_rate", [8000, 44100, 48000])
def test_other_rates_are_brought_to_16_khz(sample_rate):
    reference = make_speech(3, sample_rate)
    tone = 0.02 * np.sin(2 * np.pi * 700 * np.arange(len(reference)) / sample_rate)
    scores = score(reference, reference + tone, sample_rate)
    same = make_speech(3)
    direct = score(same, same + 0.02 * np.sin(2 * np.pi * 700 * np.arange(len(same)) / RATE), RATE)
    assert scores.reasons == {}
    assert scores.values["stoi"] == pytest.approx(direct.values["stoi"], abs=0.05)
    assert scores.values["si_sdr"] == pytest.approx(direct.values["si_sdr"], abs=0.2)


def test_stereo():
    reference, estimate = make_pair(2)
    assert_all_nan(score(np.stack([reference] * 2), estimate, RATE), "the reference has more than one channel")


def test_unequal_lengths_are_never_cut():
    reference, estimate = make_pair(2)
    assert_all_nan(score(reference, estimate[:-1], RATE), "reference 32000 samples, estimate 31999")


def test_each_metric_by_itself_gives_the_value_of_score():
    reference, estimate = make_pair(2)
    assert list(WITH_REFERENCE) == NAMES
    together = score(reference, estimate, RATE).values
    assert {name: METRICS[name](reference, estimate, RATE) for name in NAMES} == pytest.approx(together)
    assert math.isnan(METRICS["stoi"](reference, 0 * estimate, RATE))


@pytest.mark.parametrize("name", NAMES)
def test_metrics_take_tensors_and_batches(name):
    pairs = [make_pair(1, seed=seed) for seed in (0, 1)]
    reference, estimate = (np.stack([pair[side] for pair in pairs])[:, None] for side in (0, 1))
    metric = getattr(metrics, name)
    values = metric(torch.from_numpy(reference), torch.from_numpy(estimate), RATE)
    assert values.shape == (2, 1)
    assert values.ravel() == pytest.approx([metric(*pair, RATE) for pair in pairs])
    estimate[1] = 0
    assert np.isnan(metric(reference, estimate, RATE)).ravel().tolist() == [False, True]


def test_integers_are_scored_like_floats():
    reference, estimate = make_pair(2)
    integers = [np.round(20000 * signal).astype(np.int16) for signal in (reference, estimate)]
    floats = [signal.astype(np.float32) / 20000 for signal in integers]
    assert score(*integers, RATE).values == pytest.approx(score(*floats, RATE).values, abs=1e-3)


def test_unknown_metric_and_impossible_rate_are_usage_errors():
    reference, estimate = make_pair(1)
    with pytest.raises(UsageError, match="no metric called 'sdr'"):
        score(reference, estimate, RATE, ["sdr"])
    with pytest.raises(UsageError, match="sample rate is 0"):
        score(reference, estimate, 0)
