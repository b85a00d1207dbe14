"""Read the audio and the frames of a recording.

Everything is streamed over pipes in formats that describe themselves (Matroska, YUV4MPEG2), so that nothing is held in
memory.

Legend: `C` channels, `N` samples, `H W` pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from avse.config import VIDEO_FPS
from avse.dsp import resampling
from avse.io.ffmpeg import build_command, open_input, stream_output
from avse.io.luma import Luma, has_limited_luma
from avse.io.matroska import fill_gaps
from avse.io.messages import Loss, Message
from avse.io.probe import probe
from avse.io.recording import AudioStream, InMemoryRecording, Recording, VideoStream
from avse.io.video_filters import constant_frame_rate, letterbox, shrunk, with_small_below
from avse.progress import Stage, timed_items

__all__ = [
    "AudioStream", "InMemoryRecording", "Recording", "VideoStream", "first_video_frame", "load_audio",
    "probe", "read_audio", "read_frames", "read_frames_with_small",
]  # fmt: skip

_BYTES_PER_SAMPLE = 4
KEPT_AUDIO_BYTES = 1 << 24
DISPLAYED_SIZE = r"\[Parsed_scale_0 @ \w+\] (w:\d+ h:\d+) fmt:"
NOT_DECODED = r"Error (submitting packet to decoder|while decoding stream)"
"""ffmpeg's messages about packets that its decoder refuses."""
CUT_SHORT = r"partial file|File ended prematurely"
"""ffmpeg's messages about truncated files."""


def read_audio(media: Recording, block_seconds: float, sample_rate: int, num_channels: int) -> Iterator[np.ndarray]:
    """Yield the audio in blocks of float32 (N, C), the last one shorter than the others, and perhaps empty.

    ``num_channels`` is its own, or 1: the mean, for the network. What drops out by the file's own clock is silent.

    Raises:
        InputError: there is no audio, it cannot be decoded, or more than ``max_seconds`` of it come out.
    """
    audio = media.audio_stream
    decoded = (
        _blocks_in_memory(media, block_seconds)
        if isinstance(media, InMemoryRecording)
        else _decode_audio_once(media, block_seconds)
    )
    decoded = _within(timed_items(Stage.READ_AUDIO, decoded), media, audio.sample_rate)
    mixed = decoded if num_channels == audio.num_channels else resampling.downmix(decoded, audio.low_frequency)
    yield from resampling.resample(mixed, audio.sample_rate, sample_rate)


def _within(blocks: Iterator[np.ndarray], media: Recording, sample_rate: int) -> Iterator[np.ndarray]:
    """Yield the same blocks; InputError once there are more of them than the limits allow."""
    num_samples = 0
    for block in blocks:
        num_samples += len(block)
        media.limits.check_seconds(media.path, num_samples / sample_rate)
        yield block


def load_audio(media: Recording, sample_rate: int = 16000, num_channels: int = 1) -> np.ndarray:
    """Decode the whole audio: float32 (N, C)."""
    return np.concatenate(list(read_audio(media, 10.0, sample_rate, num_channels)))


def read_frames(
    media: Recording, crop: tuple[int, int, int, int] | None = None, max_side: int | None = None
) -> Iterator[Any]:
    """Yield the video as grey uint8 (H, W) at exactly 25 fps, frame 0 where the *audio* starts.

    ``crop`` is (left, top, width, height) in displayed pixels; ``max_side`` shrinks the longer side to at most that.
    A video that begins after the audio is padded in front with its first frame (`first_video_frame`). Frames of another
    size than the first are letterboxed into it, with a notice.

    Raises:
        InputError: it cannot be decoded, or more than ``max_seconds`` of it come out.
    """
    if isinstance(media, InMemoryRecording):
        yield from _frames_in_memory(media, crop, max_side)
        return
    yield from _decoded_frames(media, _decode_video(media, crop, max_side))


def read_frames_with_small(media: Recording, max_side: int) -> Iterator[tuple[Luma, np.ndarray]]:
    """Yield each frame of `read_frames` and its small copy, the longer side at most ``max_side``, decoded once.

    ffmpeg puts the small copy below the frame, so that both come through one pipe.
    """
    if isinstance(media, InMemoryRecording):
        yield from ((Luma(frame), _shrink(frame, max_side)) for frame in _frames_in_memory(media, None, None))
        return
    assert media.video is not None
    width, height = media.video.width, media.video.height
    if max_side >= max(width, height):
        yield from ((Luma(frame), frame) for frame in read_frames(media))
        return
    small_width = int(shrunk(width, height, max_side).partition(":")[0])
    is_limited = _has_limited_luma(media)
    for both in _decoded_frames(media, _decode_video(media, small_side=max_side)):
        yield Luma(both[:height], is_limited), np.ascontiguousarray(both[height:, :small_width])


def _has_limited_luma(media: Recording) -> bool:
    return any(has_limited_luma(stream.description) for stream in media.info.video_tracks[:1])


def _decoded_frames(media: Recording, command: list[str]) -> Iterator[np.ndarray]:
    """Run a command of `_decode_video` and yield its frames."""

    def check(messages: str) -> None:
        if len(set(re.findall(DISPLAYED_SIZE, messages))) > 1:
            text = "The frame size changes within the video; frames of another size are letterboxed."
            media.notice(Message("video_changes_size", text))

    failure, frame_rate = f"ffmpeg cannot read {media.path}", float(VIDEO_FPS)
    with stream_output(command, media.limits, failure, on_messages=check) as pipe:
        width, height = _y4m_size(pipe.readline())
        num_frames = 0
        while pipe.readline().startswith(b"FRAME"):
            data = pipe.read(width * height)
            if len(data) < width * height:
                return
            num_frames += 1
            media.limits.grant(1 / frame_rate)
            media.limits.check_seconds(media.path, num_frames / frame_rate)
            yield np.frombuffer(data, np.uint8).reshape(height, width)
    _note_early_end(media, num_frames / frame_rate)


def _note_early_end(media: Recording, end: float) -> None:
    """Add a notice where the video ends long before the recording."""
    decoded_seconds = sum(map(len, media.kept_audio)) / media.audio.sample_rate if media.audio else 0.0
    seconds = max(decoded_seconds, 0.0 if media.info.duration_is_estimated else media.duration_seconds)
    if seconds - end > max(1.0, 0.1 * seconds):
        text = f"The video ends at {end:.1f} s, the recording at {seconds:.1f} s."
        media.notice(Message("video_ends_early", text))


def read_colour_frames(media: Recording) -> Iterator[np.ndarray]:
    """Yield the video as RGB uint8 (H, W, 3), of the size and at the times of `read_frames`."""
    if media.video is None:
        return
    if isinstance(media, InMemoryRecording):
        yield from (np.asarray(Image.fromarray(media.pixels[index]).convert("RGB")) for index in media.order)
        return
    shape = media.video.height, media.video.width, 3
    command = _decode_video(media, pix_fmt="rgb24", container="rawvideo")
    with stream_output(command, media.limits, f"ffmpeg cannot read {media.path}") as pipe:
        while len(data := pipe.read(shape[0] * shape[1] * 3)) == shape[0] * shape[1] * 3:
            yield np.frombuffer(data, np.uint8).reshape(shape)


def first_video_frame(media: Recording) -> int:
    """Return the frame in which the video begins; in those before it `read_frames` repeats what is shown then."""
    if media.audio is None or media.video is None:
        return 0
    return max(0, round((media.video.start_seconds - media.audio.start_seconds) * VIDEO_FPS))


def _decode_audio_once(media: Recording, block_seconds: float) -> Iterator[np.ndarray]:
    """Yield the audio in blocks, and keep it where it is short: it is read several times, and ffmpeg starts slowly."""
    kept, num_bytes = media.kept_audio, 0
    if kept:
        yield from resampling.regroup(kept, round(block_seconds * media.audio_stream.sample_rate))
        return
    blocks = []
    for block in _decode_audio(media, block_seconds):
        num_bytes += block.nbytes
        blocks.append(block)
        if num_bytes > KEPT_AUDIO_BYTES:
            blocks.clear()
        yield block
    if num_bytes <= KEPT_AUDIO_BYTES:
        kept[:] = blocks


def _decode_audio(media: Recording, block_seconds: float) -> Iterator[np.ndarray]:
    import ffmpeg

    assert media.audio is not None
    rate, num_channels = media.audio.sample_rate, media.audio.num_channels
    track = open_input(media.path, media.limits)[f"a:{media.audio_track - 1}"]
    channels = {"channel_layout": media.audio.layout} if media.audio.layout else {"ac": num_channels}
    decoded = ffmpeg.output(track, "pipe:", format="matroska", acodec="pcm_f32le", ar=rate, **channels)
    bytes_per_second = _BYTES_PER_SAMPLE * rate * num_channels
    command, failure = build_command(decoded, "-loglevel", "warning"), f"ffmpeg cannot read {media.path}"

    def check(messages: str) -> None:
        if re.search(CUT_SHORT, messages):
            text = f"{media.path.name} is truncated: it ends before the duration in its index."
            media.notice(Loss("cut_short", text))
        if re.search(NOT_DECODED, messages):
            media.notice(Loss("damaged_audio", "The audio is damaged: parts of it cannot be decoded and are missing."))

    with stream_output(command, media.limits, failure, bytes_per_second=bytes_per_second, on_messages=check) as pipe:
        yield from resampling.regroup(fill_gaps(pipe, rate, num_channels), round(block_seconds * rate))


def _decode_video(
    media: Recording,
    crop: tuple[int, int, int, int] | None = None,
    max_side: int | None = None,
    small_side: int | None = None,
    pix_fmt: str = "gray",
    container: str = "yuv4mpegpipe",
) -> list[str]:
    """Decode frames of one size, deinterlaced where flagged so, resampled to 25 fps, then cropped.

    Where the size or the rotation changes midway, ffmpeg sets up the filters anew, and the new ones know nothing of the
    old: so none of them counts frames, and the output is held at a constant rate from 0 on.
    """
    import ffmpeg

    assert media.video is not None
    start = media.audio.start_seconds if media.audio else media.video.start_seconds
    width, height = media.video.width, media.video.height
    chain = [
        *letterbox(width, height), "bwdif=mode=send_frame:deint=interlaced",
        f"setpts=PTS-round({start:.6f}/TB)", f"fps={VIDEO_FPS}", "trim=start_pts=0",
    ]  # fmt: skip
    if crop:
        left, top, width, height = crop
        # without "scale" the whole frame is converted to grey first
        chain += [f"crop={width}:{height}:{left}:{top}:exact=1", "scale"]
    if max_side and max_side < max(width, height):
        chain.append(f"scale={shrunk(width, height, max_side)}:flags=area")
    if small_side:
        chain.append(with_small_below(width, height, small_side, as_stored=_has_limited_luma(media)))
    track = open_input(media.path, media.limits)["V:0"]
    grey = ffmpeg.output(
        track, "pipe:", vf=",".join(chain), pix_fmt=pix_fmt, format=container, strict=-1, r=VIDEO_FPS,
        **constant_frame_rate(),
    )  # fmt: skip
    return build_command(grey, "-loglevel", "verbose", "-nostats")  # reports the frame size whenever it changes


def _blocks_in_memory(media: InMemoryRecording, block_seconds: float) -> Iterator[np.ndarray]:
    assert media.audio is not None
    size = max(round(block_seconds * media.audio.sample_rate), 1)
    for start in range(0, max(len(media.waveform), 1), size):
        yield media.waveform[start : start + size]


def _frames_in_memory(
    media: InMemoryRecording, crop: tuple[int, int, int, int] | None, max_side: int | None
) -> Iterator[np.ndarray]:
    for index in media.order:
        image = Image.fromarray(media.pixels[index]).convert("L")
        if crop:
            left, top, width, height = crop
            image = image.crop((left, top, left + width, top + height))
        frame = np.asarray(image)
        yield _shrink(frame, max_side) if max_side else frame


def _shrink(frame: np.ndarray, max_side: int) -> np.ndarray:
    """Shrink a grey frame (H, W) whose longer side is larger."""
    if max_side >= max(frame.shape):
        return frame
    width, height = map(int, shrunk(frame.shape[1], frame.shape[0], max_side).split(":"))
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BOX))


def _y4m_size(header: bytes) -> tuple[int, int]:
    found = re.match(rb"YUV4MPEG2 W(\d+) H(\d+) ", header)
    return (int(found[1]), int(found[2])) if found else (0, 0)
