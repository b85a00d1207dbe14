"""Enhance a live stream of audio and mouth crops in the windows of a `RollingPlan`.

Legend: `C` channels, `N M` samples, `K` video frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from avse.active_speaker.av_sync import MAX_OFFSET_FRAMES
from avse.config import SAMPLE_RATE, SAMPLES_PER_FRAME, VIDEO_FPS
from avse.dsp.overlap_add import CrossFade
from avse.dsp.resampling import Resampler, downmix
from avse.dsp.rolling import RollingPlan, RowBuffer, Window
from avse.enhancement.masking import apply_mask, half_hop_ensemble, processing_rate
from avse.enhancement.validation import check_samples
from avse.enhancement.visual_reliability import VisualReliability, reliable_mask
from avse.faces.mouth_roi import CROP_SIZE
from avse.models.net import SpeechNet


def blank(num_frames: int) -> np.ndarray:
    """Return crops (K, 88, 88) of a mouth that is not visible."""
    return np.zeros((num_frames, CROP_SIZE, CROP_SIZE), np.uint8)


NO_CROPS = blank(0)
Choose = Callable[[np.ndarray, np.ndarray], tuple[int, int]]
"""Choose a face and its AV offset in frames, given audio (N,) at 16 kHz and crops (K, F, 88, 88) of `F` faces."""


class RollingEnhancer:
    """Enhance one voice of a stream; the output does not depend on the block sizes of the input."""

    def __init__(
        self,
        net: SpeechNet,
        sample_rate: int,
        num_channels: int,
        plan: RollingPlan,
        uses_video: bool,
        level: float | None = None,
        strength: float = 1.0,
        av_offset_frames: int = 0,
        choose: Choose | None = None,
        choice_frames: int = 0,
        audio_net: SpeechNet | None = None,
    ) -> None:
        """Prepare for a stream.

        Args:
            net: the network.
            sample_rate: of the audio, in Hz.
            num_channels: of the audio.
            plan: the windows that the network processes.
            uses_video: whether crops are given; otherwise no mouth counts as visible, and no window waits for them.
            level: RMS of the audio at 16 kHz; None uses that of all audio so far.
            strength: as in `avse.enhancement.pipeline.enhance`.
            av_offset_frames: by how many frames the video is late; negative if early.
            choose: chooses face and AV offset from the first ``choice_frames``, for all windows that end later. Until
                then the first face is followed with the AV offset given.
            choice_frames: see ``choose``.
            audio_net: as in `avse.enhancement.streaming.enhance_blocks`.
        """
        self.sample_rate, self.num_channels, self.plan, self.uses_video = sample_rate, num_channels, plan, uses_video
        self._net, self._audio_net, self._level, self._strength = net, audio_net or net, level, strength
        self._av_offset_frames, self._choose, self._choice_frames = av_offset_frames, choose, choice_frames
        self.face = 0
        """Index of the face that is followed, among those with crops."""
        self._rate = processing_rate(sample_rate, net.config.hop)
        self._to_mono = Resampler(sample_rate, SAMPLE_RATE, 1)
        self._to_full = Resampler(sample_rate, self._rate, num_channels)
        self._back = Resampler(self._rate, sample_rate, num_channels)
        self._join = CrossFade(plan.overlap * self._per_frame)
        self._mono, self._full, self._crops = RowBuffer(), RowBuffer(), RowBuffer()
        self._window = 0
        self._num_in = self._num_out = self._measured = 0
        self._energy = self._peak = 0.0

    @property
    def has_chosen(self) -> bool:
        """Return whether face and AV offset are final."""
        return self._choose is None

    @property
    def _per_frame(self) -> int:
        return self._rate // VIDEO_FPS

    def push(self, audio: np.ndarray, crops: np.ndarray = NO_CROPS) -> np.ndarray:
        """Add audio (N, C) and mouth crops, not necessarily of the same time; return audio (M, C).

        The crops are (K, 88, 88), or (K, F, 88, 88) of several faces.
        """
        self._num_in += len(audio)
        self._peak = max(self._peak, float(np.abs(audio).max(initial=0.0)))
        (mono,) = downmix([audio])
        self._add(self._to_mono.push(mono), self._to_full.push(audio), crops)
        return self._checked(self._ready(None))

    def flush(self) -> np.ndarray:
        """End the stream; return the rest (M, C). Crops that never came count as not visible."""
        self._add(self._to_mono.flush(), self._to_full.flush(), NO_CROPS)
        num_frames = -(-self._num_in * VIDEO_FPS // self.sample_rate)
        if num_frames == 0:
            return np.zeros((0, self.num_channels), np.float32)
        for buffer, row in ((self._mono, (1, 1)), (self._full, (1, self.num_channels))):
            if buffer.stop == 0:  # the stream is shorter than one sample at 16 kHz
                buffer.push(np.zeros(row, np.float32))
        if self._crops.stop == 0:
            self._crops.push(blank(1)[:, None])
        self._crops.pad(num_frames + max(MAX_OFFSET_FRAMES, self._av_offset_frames))
        self._mono.pad(num_frames * SAMPLES_PER_FRAME)
        self._full.pad(num_frames * self._per_frame)
        blocks = [self._ready(num_frames)]
        if (tail := self._join.flush()) is not None:
            blocks.append(self._back.push(tail))
        blocks.append(self._back.flush())
        return self._checked(np.concatenate(blocks)[: self._num_in - self._num_out])

    def _add(self, mono: np.ndarray, full: np.ndarray, crops: np.ndarray) -> None:
        faces = crops if crops.ndim == 4 else crops[:, None]
        chosen = faces if self._choose or faces.shape[1] == 1 else faces[:, self.face : self.face + 1]
        for buffer, rows in ((self._mono, mono), (self._full, full), (self._crops, chosen)):
            buffer.push(rows)

    def _ready(self, num_frames: int | None) -> np.ndarray:
        """Return the output of all complete windows; of all windows once the number of frames is known."""
        blocks = [np.zeros((0, self.num_channels), np.float32)]
        while (place := self.plan.place(self._window, num_frames)) is not None and self._has(place.stop):
            if self._choose and place.stop > self._choice_frames:
                self._follow_choice(self._choose)
                continue
            blocks.append(self._back.push(self._join.push(self._enhance(place))))
            self._window += 1
        return np.concatenate(blocks)

    def _has(self, stop: int) -> bool:
        """Return whether audio and crops up to a frame are there."""
        seen = max(
            stop + self._av_offset_frames, self._choice_frames if self._choose and stop > self._choice_frames else 0
        )
        if self.uses_video and self._crops.stop < seen:
            return False
        return self._mono.stop >= stop * SAMPLES_PER_FRAME and self._full.stop >= stop * self._per_frame

    def _enhance(self, place: Window) -> np.ndarray:
        """Run the network on one window; return its output at the processing rate."""
        start, stop = place.start, place.stop
        oldest = 0 if self._choose else start
        mono = self._mono.take(oldest * SAMPLES_PER_FRAME, stop * SAMPLES_PER_FRAME)
        mono = mono[(start - oldest) * SAMPLES_PER_FRAME :]
        full = self._full.take(start * self._per_frame, stop * self._per_frame)
        crops = self._mouths(start, stop) if self.uses_video else blank(stop - start)
        level = self._measure(mono[:, 0], place)
        grids = half_hop_ensemble(mono[:, 0], self._net.config.hop)
        mask = reliable_mask(self._net, self._audio_net, grids, crops, level, VisualReliability())
        enhanced = apply_mask(full, 1 + self._strength * (mask - 1), self._per_frame, self._net.config.hop)
        return enhanced[(place.keep - start) * self._per_frame : (place.keep_stop - start) * self._per_frame]

    def _mouths(self, start: int, stop: int) -> np.ndarray:
        """Return the crops (K, 88, 88) of the face that is followed; black before the video begins."""
        first, last = start + self._av_offset_frames, stop + self._av_offset_frames
        if last <= 0:
            return blank(stop - start)
        oldest = 0 if self._choose else max(first, 0)
        rows = self._crops.take(oldest, last)[max(first, 0) - oldest :, 0]
        return np.concatenate([blank(-first), rows]) if first < 0 else rows

    def _follow_choice(self, choose: Choose) -> None:
        """Choose a face and its AV offset once enough audio and video is there."""
        num_frames = self._choice_frames
        mono = self._mono.take(0, num_frames * SAMPLES_PER_FRAME)[:, 0]
        self.face, self._av_offset_frames = choose(mono, self._crops.take(0, num_frames))
        self._crops.select(self.face)
        self._choose = None

    def _measure(self, mono: np.ndarray, place: Window) -> float:
        """Return the RMS of all audio up to the end of a window, or the given level."""
        new = mono[max(self._measured - place.start * SAMPLES_PER_FRAME, 0) :]
        self._energy += float(np.square(new, dtype=np.float64).sum())
        self._measured = place.stop * SAMPLES_PER_FRAME
        return math.sqrt(self._energy / self._measured) if self._level is None else self._level

    def _checked(self, block: np.ndarray) -> np.ndarray:
        check_samples(block, self._peak)
        self._num_out += len(block)
        return block
