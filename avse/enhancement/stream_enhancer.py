"""Enhance live audio and video: push new audio and frames, and get the enhanced audio that is ready.

Legend: `C` channels, `N M` samples, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np

from avse.active_speaker.av_sync import MAX_OFFSET_FRAMES
from avse.active_speaker.live_choice import CHOICE_FRAMES, MAX_LIVE_FACES, OFFSET_FRAMES, choose_live
from avse.config import SAMPLE_RATE, VIDEO_FPS
from avse.dsp.resampling import resampling_delay
from avse.dsp.rolling import RollingPlan
from avse.enhancement.arguments import check_number
from avse.enhancement.masking import processing_rate
from avse.enhancement.rolling import NO_CROPS, Choose, RollingEnhancer
from avse.enhancement.validation import check_strength
from avse.errors import UsageError, short_repr
from avse.faces.live_mouth import CHOICES
from avse.faces.live_mouths import LiveMouths
from avse.faces.tracking import DETECT_EVERY
from avse.io.arrays import AudioArray, Channels, check_channels, check_sample_rate, read_audio_array
from avse.io.frames import Colour, check_colour, check_fps, stack_frames
from avse.weights.checkpoint import Checkpoint
from avse.weights.pretrained import for_audio_only, load_model

OVERLAP_FRAMES = 2
MAX_AV_OFFSET_SECONDS = 2.0
SPEAKERS = (*CHOICES, "active")
Speaker = Literal["largest", "left", "right", "active"]
LONGEST_WINDOW_SECONDS = 600


class StreamEnhancer:
    """Enhance the voice of one person in a live stream.

    A network run covers the last ``window_seconds``; one starts every ``step_seconds`` and outputs the part that ended
    ``lookahead_seconds`` earlier. Audio is therefore returned after at most ``step + lookahead + 0.08`` seconds
    (`latency_samples`), plus the computation time. The level is that of all audio so far.

    The active speaker and the AV offset are estimated once, from the first 8 or 16 s. Until then the largest face is
    followed, and audio and video are assumed to be in sync.
    """

    def __init__(
        self,
        sample_rate: int,
        fps: float | None = None,
        *,
        model: str | Path | Checkpoint = "avse",
        device: str = "auto",
        speaker: Speaker = "largest",
        av_offset: float | Literal["auto"] = 0.0,
        window_seconds: float = 4.0,
        step_seconds: float = 0.4,
        lookahead_seconds: float = 0.2,
        level: float | None = None,
        strength: float = 1.0,
        channels: Channels = "auto",
        colour: Colour = "rgb",
    ) -> None:
        """Prepare for a stream.

        Args:
            sample_rate: of the audio, in Hz.
            fps: frames per second of the video, any rate, exactly: 30000 / 1001 for 29.97. Frames are counted, so a
                source that drops frames or varies its rate must repeat or drop some to keep it; otherwise video and
                audio drift apart and the output falls behind. None uses the audio alone.
            model: name of a shipped model, path of a checkpoint, or a model already loaded.
            device: auto, cpu or cuda.
            speaker: which face is followed: "largest", "left" or "right" where it first appears; or "active", of the
                four largest, the one whose lips correlate best with the audio of the first 8 s.
            av_offset: seconds by which the video is late, negative if early; "auto" estimates up to 0.32 s,
                and chooses an active speaker, from the first 16 s. Late video increases the latency.
            window_seconds: duration that a network run covers. A longer window is better and takes more computation.
            step_seconds: time between network runs, a multiple of 0.2. A shorter step lowers the latency and takes more
                computation.
            lookahead_seconds: how much later audio and video the network receives.
            level: RMS of the audio at 16 kHz if it is known; None measures it on the fly.
            strength: as in `avse.enhance`.
            channels: position of the channel axis of blocks, as in `avse.Enhancer.enhance`.
            colour: order of the colours, "rgb" or "bgr" (OpenCV).

        Raises:
            UsageError: a rate or an option cannot be used.
        """
        check_strength(strength)
        if level is not None:
            check_number(level, "level")
            if level <= 0:
                raise UsageError(f"level is {level}.", "Pass an RMS above 0, such as 0.1, or None to measure it.")
        check_channels(channels)
        check_colour(colour)
        if not isinstance(speaker, str) or speaker not in SPEAKERS:
            raise UsageError(
                f"A stream cannot have the speaker {short_repr(speaker)}.", f"Use one of: {', '.join(SPEAKERS)}."
            )
        self._av_offset_frames = (
            None if isinstance(av_offset, str) and av_offset == "auto" else _offset_frames(av_offset)
        )
        self.sample_rate = check_sample_rate(sample_rate)
        self.plan = _make_plan(window_seconds, step_seconds, lookahead_seconds)
        checkpoint = model if isinstance(model, Checkpoint) else load_model(model, device)
        checkpoint.check_process()
        self._checkpoint = checkpoint if fps is not None else for_audio_only(checkpoint)
        self._fps = None if fps is None else check_fps(fps)
        self._level, self._strength, self._channels, self._colour = level, strength, channels, colour
        uses_video = fps is not None and checkpoint.net.lips is not None
        choices = range(MAX_LIVE_FACES) if speaker == "active" else [speaker]
        phase = self.plan.latency - 1 + (self._av_offset_frames or 0)
        self._mouths = LiveMouths(choices, phase) if uses_video else None
        self._chooses = uses_video and (speaker == "active" or self._av_offset_frames is None)
        self._num_frames, self._frame_shape = 0, None
        self._rolling: RollingEnhancer | None = None
        self._form: AudioArray | None = None
        self._has_ended = False

    @property
    def latency_samples(self) -> int:
        """Return the largest number of samples that `push` holds back, if the video is not late."""
        own = processing_rate(self.sample_rate, self._checkpoint.net.config.hop)
        to_net = max(resampling_delay(self.sample_rate, SAMPLE_RATE), resampling_delay(self.sample_rate, own))
        late = 0
        if self._mouths:
            late = MAX_OFFSET_FRAMES + DETECT_EVERY - 1 if self._av_offset_frames is None else self._av_offset_frames
        seconds = (self.plan.latency + max(late, 0)) / VIDEO_FPS + to_net + resampling_delay(own, self.sample_rate)
        return math.ceil(seconds * self.sample_rate)

    def push(self, audio: Any, frames: Any = None) -> Any:
        """Add audio and video frames; return the audio that is ready, in order and without gaps.

        Args:
            audio: (N,), (N, C) or (C, N), of any length, 0 too; types as in `avse.Enhancer.enhance`.
            frames: the frames (V, H, W) or (V, H, W, 3) that came since the last call, as an array or a list; None for
                none. The first frame of all is shown when the audio begins. Audio waits for its frames.

        Returns:
            Audio (M,), (M, C) or (C, M), of the type and form of ``audio``; M may be 0.

        Raises:
            UsageError: the form cannot be used, or changes within the stream. InputError: the result is not finite.
        """
        if self._has_ended:
            raise UsageError("This stream has ended.", "Create a new StreamEnhancer for the next stream.")
        given = read_audio_array(audio, self._form.channels if self._form else self._channels)
        if given.has_batch:
            raise UsageError("A stream does not take a batch.", "Create one StreamEnhancer per item.")
        (samples,) = given.samples
        rolling = self._rolling = self._rolling or self._begin(samples.shape[1])
        if samples.shape[1] != rolling.num_channels:
            raise UsageError(
                f"A block has {samples.shape[1]} channels; the first had {rolling.num_channels}.",
                "Pass all blocks with the same number of channels.",
            )
        self._form = given
        ready = rolling.push(samples, self._crops(frames))
        if self._mouths and self._chooses and rolling.has_chosen:
            self._mouths.keep(rolling.face)
            self._chooses = False
        return given.like_given([ready])

    def flush(self) -> Any:
        """End the stream; return the rest, nothing if called again. In all, as many samples come out as went in."""
        had_ended, self._has_ended = self._has_ended, True
        if self._rolling is None or self._form is None:
            return np.zeros(0, np.float32)
        if had_ended:
            return self._form.like_given([np.zeros((0, self._rolling.num_channels), np.float32)])
        waiting = NO_CROPS if self._mouths is None else self._mouths.flush()
        ready = self._rolling.push(np.zeros((0, self._rolling.num_channels), np.float32), waiting)
        return self._form.like_given([np.concatenate([ready, self._rolling.flush()])])

    def _begin(self, num_channels: int) -> RollingEnhancer:
        net = self._checkpoint.net
        choose: Choose | None = None
        if self._chooses:
            choose = functools.partial(choose_live, net, av_offset_frames=self._av_offset_frames)
        return RollingEnhancer(
            net, self.sample_rate, num_channels, self.plan, self._mouths is not None, self._level, self._strength,
            self._av_offset_frames or 0, choose, OFFSET_FRAMES if self._av_offset_frames is None else CHOICE_FRAMES,
            for_audio_only(self._checkpoint).net,
        )  # fmt: skip

    def _crops(self, frames: Any) -> np.ndarray:
        """Return the mouth crops that are ready."""
        if self._mouths is None:
            if frames is not None and self._fps is None:
                raise UsageError("Frames need a frame rate.", "Pass fps, the frames per second, such as 25.")
            return NO_CROPS
        crops = []
        for frame in [] if frames is None else stack_frames(frames, self._colour):
            self._frame_shape = self._frame_shape or frame.shape
            if frame.shape != self._frame_shape:
                raise UsageError(f"A frame has the shape {frame.shape}.", f"The first had {self._frame_shape}.")
            for _ in range(self._times_shown()):
                crops.append(self._mouths.push(frame))
        return np.concatenate(crops) if crops else NO_CROPS

    def _times_shown(self) -> int:
        """Return for how many 25ths of a second the next frame is shown, as `avse.io.frames.shown_frames` says."""
        assert self._fps is not None
        now, then = (int(np.floor((self._num_frames + k) * VIDEO_FPS / self._fps + 0.5)) for k in (0, 1))
        self._num_frames += 1
        return then - now


def _offset_frames(seconds: Any) -> int:
    """Return an AV offset in video frames. UsageError for a value that is not an offset."""
    check_number(seconds, "av_offset")
    if abs(seconds) > MAX_AV_OFFSET_SECONDS:
        raise UsageError(f"av_offset is {seconds} s.", 'Pass seconds from -2 to 2, such as 0.12, or "auto".')
    return round(VIDEO_FPS * seconds)


def _make_plan(window_seconds: float, step_seconds: float, lookahead_seconds: float) -> RollingPlan:
    """Return the windows for lengths in seconds. UsageError for lengths that cannot be combined."""
    for name, seconds in (("window", window_seconds), ("step", step_seconds), ("lookahead", lookahead_seconds)):
        check_number(seconds, f"{name}_seconds")
    if window_seconds > LONGEST_WINDOW_SECONDS:
        raise UsageError(f"A window of {window_seconds} s is too long.", f"Pass at most {LONGEST_WINDOW_SECONDS} s.")
    window, step, lookahead = (round(VIDEO_FPS * value) for value in (window_seconds, step_seconds, lookahead_seconds))
    plan = RollingPlan(window, step, OVERLAP_FRAMES, lookahead)
    if step < DETECT_EVERY or step % DETECT_EVERY or lookahead < 0:
        raise UsageError(
            f"A step of {step_seconds} s and a lookahead of {lookahead_seconds} s cannot be used.",
            "Use a step that is a multiple of 0.2, and a lookahead of 0 or more.",
        )
    if window < plan.latency:
        raise UsageError(
            f"A window of {window_seconds} s is too short.", f"Use at least {plan.latency / VIDEO_FPS:g} s."
        )
    return plan
