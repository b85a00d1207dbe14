"""WAV files: the nearest samples, bit depths, RF64, and the chunks of the recording."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import coloured_noise, write_recording

from avse.io.ffmpeg import ffmpeg_exe
from avse.io.recording import AudioStream
from avse.io.wav import NUM_BYTES, UNKNOWN_SIZE, WavWriter, as_stored, carried_chunks, wav_header
from avse.io.writer import open_audio_file


def write(path: Path, samples: np.ndarray, subtype: str = "PCM_16", extra: bytes = b"", rate: int = 48000) -> Path:
    with WavWriter(path, rate, samples.shape[1], len(samples), subtype, extra) as file:
        for start in range(0, len(samples), 100):
            file.write(samples[start : start + 100])
    return path


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def riff(*chunks: bytes) -> bytes:
    content = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content)) + content


@pytest.mark.parametrize("num_channels", [1, 2, 5])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32"])
def test_samples_are_those_of_libsndfile_to_half_a_step(tmp_path: Path, num_channels: int, subtype: str) -> None:
    """libsndfile itself truncates; it reads what is written here as the nearest values."""
    samples = coloured_noise(4001, num_channels)
    write(tmp_path / "own.wav", samples, subtype)
    bits = 8 * NUM_BYTES[subtype]
    expected = np.rint(samples.astype(np.float64) * 2 ** (bits - 1)).astype(np.int64) << (32 - bits)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "own.wav", dtype="int32")[0].reshape(4001, -1), expected)
    np.testing.assert_array_equal(as_stored(samples, subtype), (expected / 2**31).astype(np.float32))


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_lossless_files_store_the_nearest_values(tmp_path: Path, suffix: str, subtype: str) -> None:
    samples = np.concatenate([coloured_noise(4001), [[1.5], [-1.5], [1.0], [-1.0]]]).astype(np.float32)
    with open_audio_file(tmp_path / f"a{suffix}", AudioStream(16000, 1, 0.0, subtype=subtype), len(samples)) as file:
        file.write(samples)
    stored = soundfile.read(tmp_path / f"a{suffix}", dtype="float32", always_2d=True)[0]
    np.testing.assert_array_equal(stored, as_stored(samples, subtype))


@pytest.mark.parametrize(
    ("subtype", "step"), [("PCM_16", 2**-16), ("PCM_24", 2**-24), ("PCM_32", 2**-25), ("FLOAT", 0)]
)
def test_every_bit_depth_comes_back(tmp_path: Path, subtype: str, step: float) -> None:
    samples = coloured_noise(1001, 3)
    path = write(tmp_path / "a.wav", samples, subtype)
    assert soundfile.info(path).subtype == subtype
    np.testing.assert_allclose(soundfile.read(path, dtype="float64")[0], samples, atol=step)


@pytest.mark.parametrize("subtype", NUM_BYTES)
def test_beyond_full_scale_is_clipped_and_float_is_kept(tmp_path: Path, subtype: str) -> None:
    path = write(tmp_path / "a.wav", np.array([[1.5], [-1.5], [1.0], [-1.0]], np.float32), subtype)
    peak = 1.5 if subtype == "FLOAT" else 1.0
    np.testing.assert_allclose(soundfile.read(path)[0], [peak, -peak, 1.0, -1.0], atol=1e-4)


@pytest.mark.parametrize("announced", [0, 100, 2000, 1 << 30])
def test_header_matches_what_was_written(tmp_path: Path, announced: int) -> None:
    with WavWriter(tmp_path / "a.wav", 48000, 2, announced) as file:
        file.write(np.zeros((500, 2)))
    assert (tmp_path / "a.wav").read_bytes()[:4] == (b"RF64" if announced == 1 << 30 else b"RIFF")
    assert soundfile.info(tmp_path / "a.wav").frames == 500


def test_header_of_a_long_stream_means_until_the_end() -> None:
    header = wav_header(48000, 2, 2**31)
    assert header[:8] == b"RIFF\xff\xff\xff\xff"
    assert header[-4:] == b"\xff\xff\xff\xff"


def test_chunks_of_a_broadcast_wav_are_carried_over(tmp_path: Path) -> None:
    bext = bytearray(602)
    struct.pack_into("<Q", bext, 338, 172_800_000)
    info = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"Interview\0"))
    source = tmp_path / "in.wav"
    form = struct.pack("<HHIIHH", 1, 1, 48000, 96000, 2, 16)
    peak = chunk(b"PEAK", bytes(16))
    source.write_bytes(
        riff(
            chunk(b"bext", bytes(bext)),
            chunk(b"fmt ", form),
            peak,
            chunk(b"data", bytes(201)),
            chunk(b"iXML", b"<a/>"),
            info,
        )
    )
    extra = carried_chunks(source, {})
    assert extra == chunk(b"bext", bytes(bext)) + chunk(b"iXML", b"<a/>") + info
    path = write(tmp_path / "out.wav", coloured_noise(1001), extra=extra)
    assert soundfile.info(path).frames == 1001
    with soundfile.SoundFile(path) as file:
        assert file.title == "Interview"
    assert carried_chunks(path, {}) == extra


BEXT = chunk(b"bext", bytes(602))


def headed(magic: bytes, announced: int, num_bytes: int, *after: bytes, length: int | None = None) -> bytes:
    """A mono file whose data chunk announces a size, with ``length`` in a ds64 chunk, and with chunks at its end."""
    form = struct.pack("<HHIIHH", 1, 1, 48000, 96000, 2, 16)
    table = chunk(b"ds64", struct.pack("<QQQI", 0, length, 0, 0)) if length is not None else b""
    data = np.random.default_rng(0).integers(-9, 10, num_bytes).astype("<i2").tobytes()[:num_bytes]
    start = magic + struct.pack("<I", announced) + b"WAVE" + table + BEXT + chunk(b"fmt ", form) + b"data"
    return start + struct.pack("<I", announced) + data + b"\0" * (num_bytes % 2) + b"".join(after)


@pytest.mark.parametrize("magic", [b"RIFF", b"RF64"])
@pytest.mark.parametrize("announced", [0, UNKNOWN_SIZE])
def test_samples_of_unknown_length_are_not_taken_for_chunks(tmp_path: Path, magic: bytes, announced: int) -> None:
    """As ffmpeg writes into a pipe, and as a program leaves the file that ends before its header is complete."""
    quiet = headed(magic, announced, 0, chunk(b"abcd", b"samples that look like a chunk"))
    for number, content in enumerate((headed(magic, announced, 8000), quiet)):
        (tmp_path / f"{number}.wav").write_bytes(content)
        extra = carried_chunks(tmp_path / f"{number}.wav", {})
        assert extra == BEXT
        assert soundfile.info(write(tmp_path / "out.wav", coloured_noise(100), extra=extra)).frames == 100


def test_piped_recording_gives_an_output_that_can_be_read(tmp_path: Path) -> None:
    fades_in = np.concatenate([np.zeros((2000, 1)), coloured_noise(2000)])
    plain = write_recording(tmp_path / "plain.wav", fades_in)
    command = [ffmpeg_exe(), "-v", "error", "-i", str(plain), "-c:a", "pcm_s16le", "-f", "wav", "-"]
    (tmp_path / "in.wav").write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    extra = carried_chunks(tmp_path / "in.wav", {})
    assert soundfile.info(write(tmp_path / "out.wav", coloured_noise(4000), extra=extra)).frames == 4000


@pytest.mark.parametrize("num_bytes", [1000, 1001])
def test_chunks_after_the_samples_of_rf64_are_carried_over(tmp_path: Path, num_bytes: int) -> None:
    after = chunk(b"iXML", b"<a/>")
    (tmp_path / "in.wav").write_bytes(headed(b"RF64", UNKNOWN_SIZE, num_bytes, after, length=num_bytes))
    assert carried_chunks(tmp_path / "in.wav", {}) == BEXT + after


@pytest.mark.parametrize("length", [1 << 40, 2**63 - 1, 2**64 - 1])
def test_length_beyond_the_end_of_the_file_loses_no_chunk_before_it(tmp_path: Path, length: int) -> None:
    (tmp_path / "in.wav").write_bytes(headed(b"RF64", UNKNOWN_SIZE, 1000, length=length))
    assert carried_chunks(tmp_path / "in.wav", {}) == BEXT


@pytest.mark.parametrize("name", [b"\0\0\0\0", b"a\1cd", b"\x7fbcd", b"\xe4bcd"])
def test_chunks_need_a_name_that_can_be_printed(tmp_path: Path, name: bytes) -> None:
    (tmp_path / "in.wav").write_bytes(riff(chunk(b"tiny", b"abcd"), chunk(name, b"efgh")))
    assert carried_chunks(tmp_path / "in.wav", {}) == chunk(b"tiny", b"abcd")


def test_loudness_measured_on_other_samples_is_taken_out(tmp_path: Path) -> None:
    bext = bytearray(602)
    struct.pack_into("<H", bext, 346, 2)
    struct.pack_into("<5h", bext, 412, -2300, 5, -100, -2000, -2100)
    (tmp_path / "in.wav").write_bytes(riff(chunk(b"bext", bytes(bext)), chunk(b"data", b"")))
    extra = carried_chunks(tmp_path / "in.wav", {})
    assert struct.unpack_from("<5h", extra, 8 + 412) == (0x7FFF,) * 5


def test_tags_of_other_files_become_info_and_bext(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    source.write_bytes(b"no RIFF file")
    extra = carried_chunks(source, {"title": "Gespräch", "time_reference": "4800", "originator": "Recorder", "x": "y"})
    assert b"INAM" in extra
    assert "Gespräch".encode() in extra
    assert struct.unpack_from("<Q", extra, 8 + 338) == (4800,)
    assert carried_chunks(source, {"x": "y"}) == b""
    path = write(tmp_path / "out.wav", coloured_noise(10), extra=extra)
    with soundfile.SoundFile(path) as file:
        assert file.title == "Gespräch"


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEbext\xff\xff\xff\xffab"])
def test_damaged_files_carry_nothing_and_do_no_harm(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.wav").write_bytes(content)
    assert carried_chunks(tmp_path / "in.wav", {}) == b""
    assert carried_chunks(tmp_path / "missing.wav", {}) == b""


def test_huge_chunks_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "in.wav").write_bytes(riff(chunk(b"huge", bytes(1 << 25)), chunk(b"tiny", b"abcd")))
    assert carried_chunks(tmp_path / "in.wav", {}) == chunk(b"tiny", b"abcd")
