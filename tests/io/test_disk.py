"""A disk that takes no more, and a folder that may not be written to, are named, and nothing is left in them."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avse.enhancement.spooling import spooled
from avse.errors import AvseError, InputError, MissingError, UsageError
from avse.io import atomic, audio_files
from avse.io.disk import GO_ON_HINT, TEMPORARY_HINT, creation_error, make_folder, stop_when_full, unwritable
from avse.io.folders import lock_folder
from avse.io.writer import reraise_write_errors

FULL = os.strerror(errno.ENOSPC)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may be larger than 50 kB, as with ``ulimit -f``."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_audio_that_cannot_be_read_is_no_full_disk(tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no audio" * 99)
    with pytest.raises(InputError), stop_when_full(tmp_path):
        audio_files.read_audio_file(broken)
    with pytest.raises(MissingError, match="the disk is full"), stop_when_full(tmp_path):
        raise soundfile.LibsndfileError(2)


def test_a_full_disk_is_named_by_its_folder(tmp_path: Path, small_files: None) -> None:
    with (
        pytest.raises(MissingError, match=f"The folder {tmp_path} cannot be written to: File too large"),
        atomic.atomic_path(tmp_path / "a.bin") as partial,
    ):
        partial.write_bytes(bytes(100_000))
    assert list(tmp_path.iterdir()) == []


def test_full_temporary_folder_is_not_blamed_on_the_output(
    tmp_path: Path, small_files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    blocks = iter([(np.zeros((100_000, 1), np.float32),)])
    with (
        pytest.raises(MissingError, match=f"The folder {tmp_path / 'tmp'} cannot be written to") as caught,
        stop_when_full(tmp_path / "out" / "a.wav"),
        atomic.atomic_path(tmp_path / "out" / "a.wav"),
        spooled(blocks, 1, 16000, 1, None),
    ):
        pass
    assert caught.value.hint == GO_ON_HINT
    assert isinstance(caught.value.__cause__, MissingError)
    assert caught.value.__cause__.hint == TEMPORARY_HINT
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_libsndfile_cannot_write_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=f"The folder {tmp_path} cannot"), reraise_write_errors(tmp_path):
        raise soundfile.LibsndfileError(2)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, MissingError), (errno.EDQUOT, MissingError),
        (errno.EACCES, UsageError), (errno.EROFS, UsageError), (errno.ENOTDIR, UsageError), (errno.EEXIST, UsageError),
    ],
)  # fmt: skip
def test_folder_in_which_nothing_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[AvseError]
) -> None:
    def refuse(path: object, *arguments: object, **options: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(kind, match=f"The folder {tmp_path} cannot be written to: {os.strerror(code)}"):
        make_folder(tmp_path)
    with pytest.raises(kind), lock_folder(tmp_path):
        pass


def test_other_trouble_with_a_name_is_no_fault_of_the_machine(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic.atomic_path(tmp_path / "none" / "a.bin"):
        pass
    assert creation_error(tmp_path, OSError(errno.ENAMETOOLONG, "File name too long")).exit_code == 2


def test_error_is_the_same_in_another_process(tmp_path: Path) -> None:
    error = pickle.loads(pickle.dumps(unwritable(tmp_path, FULL)))
    assert (str(error), error.exit_code) == (str(unwritable(tmp_path, FULL)), 3)
