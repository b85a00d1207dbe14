"""Compute the network's mask for one window and apply it to the original spectrum.

Legend: `C` channels, `F` frequency bins, `T` STFT frames, `N` samples, `V` video frames.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from avse import features
from avse.config import SAMPLES_PER_FRAME, VIDEO_FPS
from avse.dsp.stft import istft, stft
from avse.faces import mouth_roi
from avse.models.inputs import Inputs
from avse.models.net import SpeechNet


def interpolate_gain(values: np.ndarray, num_frames: int) -> Tensor:
    """One value for each video frame (V,) as a smooth line over STFT frames (T,)."""
    places = (np.arange(num_frames) + 0.5) * len(values) / num_frames - 0.5
    return torch.from_numpy(np.interp(places, np.arange(len(values)), values).astype(np.float32))


def half_hop_ensemble(sound: np.ndarray, hop: int) -> np.ndarray:
    """Sound (N, ...) as it is, and half a hop late, without its end: (2, N, ...).

    The net errs differently on each, and the mean of both answers is better than either (docs/training.md, step 13).
    """
    late = np.zeros_like(sound)
    late[hop // 2 :] = sound[: -(hop // 2)]
    return np.stack([sound, late])


@torch.inference_mode()
def compute_mask(net: SpeechNet, heard: np.ndarray, crops: np.ndarray, rms: float) -> Tensor:
    """The net's masks (B, F, T) for what `inputs_of` takes."""
    return net(prepare_window(net, heard, crops, rms)).mask.cpu()


def prepare_window(net: SpeechNet, heard: np.ndarray, crops: np.ndarray, rms: float) -> Inputs:
    """What the net is given for sounds (B, N) at 16 kHz under the same mouths (V, 88, 88); ``rms`` is the level of the
    whole recording."""
    device = next(net.parameters()).device
    pictures, seen = (
        torch.from_numpy(values.copy()).to(device).expand(len(heard), *values.shape)
        for values in (crops, mouth_roi.visible(crops))
    )
    waveform, level = torch.from_numpy(heard.copy()).to(device), torch.tensor([rms], device=device)
    return features.prepare(waveform, pictures, seen, level, net.config)


@torch.inference_mode()
def apply_mask(stage: np.ndarray, masks: Tensor, per_frame: int, hop: int) -> np.ndarray:
    """Sound (N, C) at its own rate under masks (2, F, T) made at 16 kHz on two grids: their bins have the same width.

    Above 8 kHz the gain is the mean gain of the octave's last quarter, 7 to 8 kHz (ours).
    """
    own_hop = per_frame * hop // SAMPLES_PER_FRAME
    both = torch.from_numpy(half_hop_ensemble(stage, own_hop)).transpose(1, 2)
    spectrum = stft(both, per_frame, own_hop)  # (2, C, F', T)
    missing = spectrum.shape[-2] - masks.shape[-2]
    if missing > 0:
        above = masks[:, -41:].abs().mean(1, keepdim=True).expand(-1, missing, -1)
        masks = torch.cat([masks, above.to(masks)], dim=1)
    answer, late = istft(spectrum * masks[:, None, : spectrum.shape[-2]], per_frame, own_hop)  # (C, N)
    half = own_hop // 2
    answer[:, :-half] = (answer[:, :-half] + late[:, half:]) / 2
    return answer.numpy().T


def processing_rate(sample_rate: int, hop: int) -> int:
    """The recording's own rate, or 44.1 kHz where video frames and STFT hops do not fall on its samples."""
    fits = sample_rate % VIDEO_FPS == 0 and (sample_rate // VIDEO_FPS * hop) % SAMPLES_PER_FRAME == 0
    return sample_rate if fits else 44100
