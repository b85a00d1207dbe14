"""Compute the network's mask for one window and apply it to the original spectrum.

Legend: `B` batch, `C` channels, `F` frequency bins, `T` STFT frames, `N` samples, `V` video frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from avse import features
from avse.config import SAMPLES_PER_FRAME, VIDEO_FPS
from avse.dsp.stft import istft, stft
from avse.faces import mouth_roi
from avse.models.inputs import Inputs
from avse.models.net import SpeechNet
from avse.progress import Stage, span


def interpolate_gain(values: np.ndarray, num_frames: int) -> Tensor:
    """Interpolate one value for each video frame (V,) linearly to STFT frames (T,)."""
    places = (np.arange(num_frames) + 0.5) * len(values) / num_frames - 0.5
    return torch.from_numpy(np.interp(places, np.arange(len(values)), values).astype(np.float32))


def half_hop_ensemble(waveform: np.ndarray, hop: int) -> np.ndarray:
    """Stack a waveform (N, ...) and itself delayed by half a hop, without its end: (2, N, ...).

    The errors of the network differ between the two, and the mean of both outputs is better than either
    (docs/experiments/training.md, step 13).
    """
    late = np.zeros_like(waveform)
    late[hop // 2 :] = waveform[: -(hop // 2)]
    return np.stack([waveform, late])


@torch.inference_mode()
def compute_mask(net: SpeechNet, waveforms: np.ndarray, crops: np.ndarray, rms: float) -> Tensor:
    """Run the network: masks (B, F, T), on the CPU, for the arguments of `prepare_window`.

    A single thread processes one waveform after the other, which is faster and takes half the memory.
    """
    if torch.get_num_threads() == 1 and len(waveforms) > 1:
        return torch.cat([compute_mask(net, one, crops, rms) for one in waveforms[:, None]])
    with span(Stage.FEATURES):
        inputs = prepare_window(net, waveforms, crops, rms)
    with span(Stage.AUDIO):
        return net(inputs).mask.cpu()


def prepare_window(net: SpeechNet, waveforms: np.ndarray, crops: np.ndarray, rms: float) -> Inputs:
    """Prepare the network's inputs for waveforms (B, N) at 16 kHz that share the mouth crops (V, H, W).

    ``rms`` is the level of the whole recording.
    """
    device = next(net.parameters()).device
    mouths, visible = (
        torch.from_numpy(values.copy()).to(device).expand(len(waveforms), *values.shape)
        for values in (crops, mouth_roi.visible(crops))
    )
    waveform, level = torch.from_numpy(waveforms.copy()).to(device), torch.tensor([rms], device=device)
    return features.prepare(waveform, mouths, visible, level, net.config)


def merge_masks(masks: Sequence[Tensor]) -> Tensor:
    """Return the mask of several faces together: for each bin the largest of theirs, (B, F, T), without phases.

    So everyone is at least as loud as in their own output, and residues of noise or of other voices in several masks do
    not add up, as they do in the sum (docs/experiments/recordings.md). The mask of a single face is returned unchanged.
    """
    return masks[0] if len(masks) == 1 else torch.stack([mask.abs() for mask in masks]).amax(0)


@torch.inference_mode()
def apply_mask(waveform: np.ndarray, masks: Tensor, per_frame: int, hop: int) -> np.ndarray:
    """Apply masks (2, F, T), computed at 16 kHz on two grids, to a waveform (N, C) at its own rate.

    The bins have the same width in Hz at both rates. Above 8 kHz the gain is the mean gain of 7 to 8 kHz, the last
    quarter of the octave (ours).
    """
    own_hop = per_frame * hop // SAMPLES_PER_FRAME
    both = torch.from_numpy(half_hop_ensemble(waveform, own_hop)).transpose(1, 2)
    spectrum = stft(both, per_frame, own_hop)  # (2, C, F', T)
    missing = spectrum.shape[-2] - masks.shape[-2]
    if missing > 0:
        above = masks[:, -41:].abs().mean(1, keepdim=True).expand(-1, missing, -1)
        masks = torch.cat([masks, above.to(masks)], dim=1)
    enhanced, late = istft(spectrum * masks[:, None, : spectrum.shape[-2]], per_frame, own_hop)  # (C, N)
    half = own_hop // 2
    enhanced[:, :-half] = (enhanced[:, :-half] + late[:, half:]) / 2
    return enhanced.numpy().T


def processing_rate(sample_rate: int, hop: int) -> int:
    """Return the recording's own rate, or 44.1 kHz if video frames and STFT hops are not whole numbers of samples."""
    fits = sample_rate % VIDEO_FPS == 0 and (sample_rate // VIDEO_FPS * hop) % SAMPLES_PER_FRAME == 0
    return sample_rate if fits else 44100
