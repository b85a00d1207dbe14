"""Broken and hostile recordings: two lines or a result, in time, and nothing left behind."""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from recordings import coloured_noise, ffmpeg, write_recording
from small_world import write_clip
from typer.testing import CliRunner

from avse import enhance
from avse.batch.discovery import read_list
from avse.batch.journal import Journal
from avse.data.mixtures.mixture_table import COLUMNS, read_rows
from avse.data.prepared_clips import load_clip
from avse.data.synthetic.clips import make_clip
from avse.errors import AvseError, InputError
from avse.evaluation import results
from avse.evaluation.corpora.layouts import muse as muse_items
from avse.faces.detection import Detector
from avse.io import ffmpeg as io_ffmpeg
from avse.io import reader
from avse.io.ffmpeg import Limits
from avse.training.config import read_config
from avse.training.run_state import read_state
from avse.weights.checkpoint import load_checkpoint
from avse_cli.main import app

NUM_MUTANTS = 150
PATIENCE_SECONDS = 20.0
GREY = np.full((10, 48, 64), 128, np.uint8)
KINDS = {
    "mp4": (),
    "mkv": ("-c:a", "pcm_s16le"),
    "webm": ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"),
    "avi": ("-c:v", "mpeg4", "-c:a", "libmp3lame", "-ar", "32000"),
    "flv": ("-c:v", "flv", "-c:a", "libmp3lame", "-ar", "22050"),
    "ts": ("-c:v", "mpeg2video", "-c:a", "mp2", "-ar", "48000"),
    "mpg": ("-c:v", "mpeg2video", "-c:a", "ac3", "-ar", "48000"),
    "mov": (  # an edit list, and tags of the file and of a track
        "-ss",
        "0.04",
        "-c",
        "copy",
        "-movflags",
        "+faststart",
        "-metadata",
        "title=A",
        "-metadata",
        "comment=B",
        "-metadata",
        "creation_time=2020-01-01T00:00:00Z",
        "-metadata:s:a:0",
        "language=fra",
    ),
    "m4a": ("-vn", "-c:a", "aac", "-movflags", "+faststart", "-metadata", "title=A", "-metadata", "artist=B"),
    "wav": ("-vn", "-metadata", "title=A", "-write_bext", "1", "-metadata", "time_reference=48000"),
    "flac": ("-vn",),
    "mp3": ("-vn",),
    "ogg": ("-vn", "-c:a", "libvorbis"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A talking head of 0.3 s, 96 x 96, in every container."""
    folder = tmp_path_factory.mktemp("whole")
    make_clip(folder / "a.mp4", 0.3, size=(96, 96))
    for suffix, options in KINDS.items():
        if suffix != "mp4":
            ffmpeg("-i", folder / "a.mp4", *options, folder / f"a.{suffix}")
    return {suffix: (folder / f"a.{suffix}").read_bytes() for suffix in KINDS}


def mutate(whole: dict[str, bytes], seed: int, suffix: str = "") -> tuple[str, bytes]:
    """The name's ending and the bytes of one broken file, of those with a suffix or of any."""
    rng = np.random.default_rng(seed)
    drawn, other = rng.choice(list(whole), 2)
    suffix = suffix or str(drawn)
    data = np.frombuffer(whole[suffix], np.uint8).copy()
    match seed % 5:
        case 0:  # a few bits anywhere
            data[rng.integers(len(data), size=rng.integers(1, 30))] ^= np.uint8(1 << rng.integers(8))
        case 1:  # bytes of the header, where sizes and rates are
            data[rng.integers(min(len(data), 600), size=rng.integers(1, 12))] = rng.integers(256)
        case 2:
            data = data[: rng.integers(1, len(data))]
        case 3:  # the beginning of another format
            size = rng.integers(1, 2000)
            data = np.concatenate([np.frombuffer(whole[other][:size], np.uint8), data[size:]])
        case 4:  # a part repeated, lost or zeroed
            first, last = np.sort(rng.integers(len(data), size=2))
            part = [data[first:last].repeat(2), data[:0], np.zeros(last - first, np.uint8)][rng.integers(3)]
            data = np.concatenate([data[:first], part, data[last:]])
    return str(suffix), data.tobytes()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, detector: Detector) -> None:
    """One detector for all, and a decoder that may be silent for some seconds only."""
    monkeypatch.setattr("avse.faces.detection.Detector", lambda num_threads=1: detector)
    monkeypatch.setattr("avse_cli.enhance.Limits", lambda *limits: Limits(60.0, patience_seconds=PATIENCE_SECONDS / 2))


@pytest.mark.parametrize("part", range(5))
def test_broken_recordings(
    part: int, whole: dict[str, bytes], tiny_model: Path, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    outcomes: Counter[int] = Counter()
    for seed in range(part, NUM_MUTANTS, 5):
        suffix, data = mutate(whole, seed)
        recording, output = Path(f"in.{suffix}"), Path("out.mkv" if seed % 2 else "out.wav")
        recording.write_bytes(data)
        began = time.monotonic()
        shown = CliRunner().invoke(app, ["enhance", str(recording), "-o", str(output), "--model", str(tiny_model)])
        case = f"seed {seed}: {shown.exception!r} {shown.output}"
        assert shown.exit_code in (0, 1, 2), case
        assert isinstance(shown.exception, SystemExit | None), case
        assert time.monotonic() - began < PATIENCE_SECONDS, case
        expected = {recording.name, output.name} if shown.exit_code == 0 else {recording.name}
        assert set(os.listdir()) == expected, case
        if shown.exit_code:
            assert len(shown.stderr.splitlines()) == 2, case
        outcomes[shown.exit_code] += 1
        for name in expected:
            os.unlink(name)
    assert min(outcomes[0], outcomes[1]) > 1


# Damaged files of avse itself ---------------------------------------------------------------------------------------


def damaged(data: bytes, seed: int) -> bytes:
    """The bytes of a file of state, broken in the ways of `mutate`."""
    return mutate({"own": data, "other": b'{"item": [1, 2], "x": NaN}\n,,"\0' * 20}, seed, suffix="own")[1]


def write_state(folder: Path) -> dict[str, tuple[bytes, Callable[[Path], object]]]:
    """Files of state by name: their bytes, and what reads them."""
    row = {"subset": "", "item": "a", "method": "mixed", "status": "ok", "reason": None, "video": None}
    row |= {"seconds": 1.0, "elapsed_seconds": 1.0, "scores": {"stoi": 0.5}}
    values = b'{"item": "a.mp4", "status": "done", "output": "a.wav", "scores": {"before": {"stoi": 0.5}}}\n'
    torch.save({"net": {}, "average": {}, "optimiser": {}, "step": 1, "best": 0.5, "settings": {}}, folder / "s.pt")
    part = "00000-a-b,target,a,a/1.mp4,0.0,0.0,1.0,0.0\n"
    muse = "test,test,a,v/1,0,test,b,v/2,-3.0,1.5\n"
    settings = {"methods": {}}
    return {
        "results.jsonl": (values * 3, lambda path: Journal(path.parent)),
        "settings.json": (json.dumps(settings).encode(), lambda path: open_results(path.parent, settings)),
        "rows.jsonl": (json.dumps(row).encode() + b"\n", lambda path: open_results(path.parent, settings)),
        "last.pt": ((folder / "s.pt").read_bytes(), read_state),
        "mixtures.csv": ((",".join(COLUMNS) + "\n" + part * 2).encode(), lambda path: read_rows(path.parent)),
        "mixture_data_list_2mix.csv": (muse.encode() * 2, lambda path: muse_items(path.parent)),
        "settings.yaml": ((Path(__file__).parents[1] / "configs" / "base.yaml").read_bytes(), read_config),
        "clip.npz": (write_clip(folder, "a", "b", num_frames=3).read_bytes(), load_clip),
        "list.txt": (b"a.wav\nb/c.mp4\n", lambda path: read_list(path, str(path.parent))),
    }


def open_results(folder: Path, settings: dict[str, Any]) -> None:
    if (folder / "rows.jsonl").exists():
        (folder / "rows.jsonl").rename(folder / "results.jsonl")
    (folder / "results.jsonl").touch()
    with results.opened(folder, settings, force=False, fingerprints={}) as (rows, _, _):
        results.write_table(folder / "scores.csv", rows)


NUM_STATES = 60


def test_damaged_state_is_read_or_refused_in_two_lines(tmp_path: Path) -> None:
    for number, (name, (data, read)) in enumerate(write_state(tmp_path).items()):
        refused = 0
        for seed in range(NUM_STATES):
            folder = tmp_path / f"{number}-{seed}"
            folder.mkdir()
            (folder / name).write_bytes(damaged(data, seed))
            try:
                read(folder / name)
            except AvseError as error:
                assert len(str(error).splitlines()) == 2, (name, seed)  # noqa: PT017
                assert error.exit_code == 2, (name, seed)  # noqa: PT017
                refused += 1
        assert refused, name


def test_damaged_weights_are_a_net_or_two_lines(tiny_model: Path, tmp_path: Path) -> None:
    data, path = tiny_model.read_bytes(), tmp_path / "damaged.safetensors"
    refused = 0
    for seed in range(NUM_STATES):
        path.write_bytes(damaged(data, seed))
        try:
            checkpoint = load_checkpoint(path)
        except InputError as error:
            assert len(str(error).splitlines()) == 2, seed  # noqa: PT017
            refused += 1
        else:
            assert all(bool(value.isfinite().all()) for value in checkpoint.net.state_dict().values())
    assert refused > NUM_STATES // 3


# Files that ask for others, or for too much -------------------------------------------------------------------------

SCRIPTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{secret}\n#EXT-X-ENDLIST\n",
    "hls from a network": "#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {secret}\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'profiles="urn:mpeg:dash:profile:isoff-live:2011"><Period><AdaptationSet><Representation id="1">'
    "<BaseURL>{secret}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
    "metadata": ";FFMETADATA1\ntitle=x\n",
    "subtitles": "1\n00:00:00,000 --> 00:00:02,000\nHello.\n",
}


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "wav", "m3u8", "ffconcat", "sdp", "jpg", "%d.png"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_no_file_reads_another(name: str, suffix: str, tmp_path: Path) -> None:
    secret = write_recording(tmp_path / "secret.wav", coloured_noise(8000))
    path = tmp_path / f"playlist.{suffix}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.01)
        path.write_text(SCRIPTS[name].format(secret=secret, port=server.getsockname()[1]))
        with pytest.raises(InputError, match="not a recording"):
            reader.probe(path)
        with pytest.raises(TimeoutError):
            server.accept()


def test_frame_with_too_many_pixels(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mkv", coloured_noise(6400), GREY, "-c:v", "ffv1")
    assert reader.probe(path, limits=Limits(max_pixels=64 * 48)).video is not None
    assert reader.probe(path, limits=Limits(max_pixels=64 * 47)).video is None


def test_pixels_of_absurd_shape_stay_small(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mkv", coloured_noise(6400), GREY, "-vf", "setsar=30000/1", "-c:v", "ffv1")
    recording = reader.probe(path)
    assert recording.video is not None
    assert recording.video.width <= 16384


def test_length_is_limited_though_the_header_claims_less(tiny_model: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.flac", np.zeros(480_000), 16000)
    data = bytearray((tmp_path / "long.flac").read_bytes())
    data[21:26] = bytes([data[21] & 0xF0, 0, 0, 0x3E, 0x80])  # total samples: one second
    (tmp_path / "long.flac").write_bytes(data)
    assert reader.probe(tmp_path / "long.flac").duration_seconds == pytest.approx(1.0)
    with pytest.raises(InputError, match="longer than 5 s"):
        enhance(tmp_path / "long.flac", model=str(tiny_model), limits=Limits(max_seconds=5))


def test_decoder_that_stalls_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = reader.probe(write_recording(tmp_path / "a.wav", coloured_noise(6400)))
    stalled = tmp_path / "ffmpeg"
    stalled.write_text("#!/bin/sh\nprintf 1234; exec sleep 60\n")
    stalled.chmod(0o755)
    monkeypatch.setattr(io_ffmpeg, "ffmpeg_exe", lambda: str(stalled))
    impatient = replace(recording, limits=Limits(patience_seconds=0.3))
    began = time.monotonic()
    with pytest.raises(InputError, match=r"it produced no output for 0\.3 s"):
        reader.load_audio(impatient)
    with pytest.raises(InputError, match=r"it produced no output for 0\.3 s"):
        reader.probe(recording.path, limits=impatient.limits)
    assert time.monotonic() - began < 50


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_pickle_is_never_loaded(name: str, tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / name)
    write_recording(tmp_path / "in.wav", coloured_noise(1600))
    arguments = ["enhance", str(tmp_path / "in.wav"), "-o", str(tmp_path / "out.wav"), "--model", str(tmp_path / name)]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code in (1, 2)
    assert "safetensors" in shown.stderr
    assert not (tmp_path / "out.wav").exists()
