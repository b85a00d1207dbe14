"""By how much a picture comes late beside its sound, and the mouths of an only face brought in time with it.

What the lips tell of the sound is compared with the sound at every offset. Measured in docs/recordings.md.

Legend: `K` faces, `N` samples, `V` video frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, islice

import numpy as np
import torch
from scipy.ndimage import uniform_filter1d
from torch import Tensor

from avse import features, lips, media, stream
from avse.audio import band_energies
from avse.config import NUM_BANDS, SAMPLES_PER_FRAME
from avse.models.net import SpeechNet
from avse.separation import BLOCK_SECONDS, WINDOW_FRAMES, Followed, Loudness

MAX_LAG_FRAMES = 8
LOOK_FRAMES = 1500
SEARCH_FRAMES = 7500
AGREE_FRAMES = 500
QUICK_FRAMES = 13
CHANCE = 0.09
"""A little more than strange lips' correlation over 5 s is off by (docs/recordings.md); over longer times less."""
CLEAR, CLEAR_TOGETHER = 2.5, 7.5
"""A lag counts whose correlation, and whose lead over no lag, are so many times chance each, and so many in sum."""


def in_time(
    net: SpeechNet, tape: media.Media, loudness: Loudness, followed: Followed | None, on_frame: Callable[[int], None]
) -> Followed | None:
    """A face whose lag is not known yet, with its lag, and its mouths as they are decoded: the picture is read once.

    The lag is that of the first minute in which the face is seen, if that lies in the first five; else it counts as 0.
    How well its lips agree with the sound is found there too.
    """
    if net.lips is None or followed is None or followed.lag_frames is not None:
        return followed
    mouths = lips.crops_of(tape, [followed.track], loudness.num_frames)
    head = list(_first_minute(mouths, on_frame))
    on_frame(loudness.num_frames)
    lag_frames, agreement = _compared(net, tape, head)
    return replace(followed, lag_frames=lag_frames, agreement=agreement, mouths=chain(head, mouths))


def find_lag(told: np.ndarray, energies: np.ndarray, seen: np.ndarray) -> int:
    """Frames by which the picture comes late; 0 unless another value is far clearer than chance.

    From what the lips tell (V, K, bands), what is heard (V, bands), and when the mouths are seen (K, V).
    """
    lags, sound = range(-MAX_LAG_FRAMES, MAX_LAG_FRAMES + 1), quick(energies)
    clear = np.zeros(len(lags))
    for face, mask in enumerate(seen):
        if mask.any():
            mouth = quick(told[:, face], mask)[mask]
            found = np.array([_correlation(mouth, shifted(sound, lag)[mask]) for lag in lags])
            clear += found / (CHANCE * np.sqrt(125 / mask.sum())) / np.sqrt(len(seen))
    best = int(np.argmax(clear))
    lead = clear[best] - clear[MAX_LAG_FRAMES]
    return lags[best] if min(clear[best], lead) > CLEAR and clear[best] + lead > CLEAR_TOGETHER else 0


def agree(told: np.ndarray, energies: np.ndarray, seen: np.ndarray) -> float:
    """Correlation of what lips tell with what is heard, both (V, bands), over all bands and the frames seen (V,)."""
    return _correlation(quick(told, seen)[seen], quick(energies, seen)[seen])


def quick(values: np.ndarray, seen: np.ndarray | None = None) -> np.ndarray:
    """What changes from syllable to syllable: values (V, bands) less their mean within half a second, where seen (V,).

    How loud a sentence is on the whole, lips do not tell; left in, that blurs when its syllables come.
    """
    weight = np.ones((len(values), 1), np.float32) if seen is None else seen[:, None].astype(np.float32)
    values = values - (values * weight).sum(0) / max(weight.sum(), 1)  # what never changes leaves exactly nothing
    total, count = (uniform_filter1d(x, QUICK_FRAMES, axis=0, mode="constant") for x in (values * weight, weight))
    return np.asarray((values - total / np.maximum(count, 1e-6)) * weight, np.float32)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two that vary about 0; 0 where one does not vary."""
    return float((a * b).sum() / np.sqrt(np.square(a).sum() * np.square(b).sum() + 1e-9))


def shifted(values: np.ndarray, frames: int) -> np.ndarray:
    """Rows (V, ...) that come ``frames`` later, or earlier; the ends are repeated."""
    return np.asarray(values[np.clip(np.arange(len(values)) - frames, 0, len(values) - 1)])


@torch.inference_mode()
def read_lips(net: SpeechNet, pictures: Tensor) -> Tensor:
    """What mouths (K, V, 88, 88) tell of the sound, without hearing it: energies (V, K, bands)."""
    assert net.lips is not None
    device = next(net.parameters()).device
    silence = torch.zeros(len(pictures), pictures.shape[1] * SAMPLES_PER_FRAME, device=device)
    seen = pictures.flatten(2).any(-1).to(device)
    inputs = features.prepare(silence, pictures.to(device), seen, silence[:, 0], net.config)
    told: Tensor = net.lips(inputs.lips)
    return told.permute(2, 0, 1).cpu()


def hear(sound: Tensor) -> Tensor:
    """Band energies (V, bands) of sound (N,) at 16 kHz."""
    return band_energies(sound[None], NUM_BANDS, SAMPLES_PER_FRAME)[0].T


def _first_minute(mouths: Iterator[np.ndarray], on_frame: Callable[[int], None]) -> Iterator[np.ndarray]:
    """Mouths (1, 1, 88, 88) until one was seen for a minute; those not seen share their memory."""
    num_seen, nothing = 0, np.zeros((1, 1, lips.CROP, lips.CROP), np.uint8)
    for index, mouth in enumerate(islice(mouths, SEARCH_FRAMES)):
        is_seen = bool(mouth.any())
        yield mouth if is_seen else nothing
        num_seen += is_seen
        on_frame(index)
        if num_seen == LOOK_FRAMES:
            return


def _compared(net: SpeechNet, tape: media.Media, head: list[np.ndarray]) -> tuple[int, float | None]:
    """Lag of the mouths with which a recording begins; their agreement with the sound, if they are seen for 20 s."""
    assert tape.sound is not None
    blocks = media.sound_blocks(tape, BLOCK_SECONDS, tape.sound.sample_rate, tape.sound.num_channels)
    heard = stream.regrouped(stream.heard(blocks, tape.sound.sample_rate), WINDOW_FRAMES * SAMPLES_PER_FRAME)
    told, energies, seen = [], [], []
    for start, mono in zip(range(0, len(head), WINDOW_FRAMES), heard, strict=False):
        num_frames = min(len(mono) // SAMPLES_PER_FRAME, WINDOW_FRAMES, len(head) - start)
        if num_frames:
            mouths = np.concatenate(head[start : start + num_frames])  # (V, 1, 88, 88)
            told.append(read_lips(net, torch.from_numpy(mouths).transpose(0, 1).contiguous()).numpy())
            energies.append(hear(torch.from_numpy(mono[: num_frames * SAMPLES_PER_FRAME, 0].copy())).numpy())
            seen.append(lips.seen(mouths[:, 0]))
    if not told:
        return 0, None
    mouth, sound, shown = (np.concatenate(parts) for parts in (told, energies, seen))
    lag = find_lag(mouth, sound, shown[None])
    return lag, agree(mouth[:, 0], shifted(sound, lag), shown) if shown.sum() >= AGREE_FRAMES else None
