"""Bytes that are no text are called that, in files of state of every kind; the file is named, and its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from avse.batch.journal import Journal
from avse.data.mixtures import mixture_table
from avse.errors import AvseError
from avse.evaluation.corpora.layouts import _json_list
from avse.io import csv_files
from avse.io.jsonl import read_json
from avse.io.text_files import decode_text
from avse.training.config_files import load_yaml
from avse.training.run_state import read_state
from avse.weights.metadata import read_metadata

DAMAGE = {"NUL": b"\0" * 64, "UTF-8": b"\xff\xfe\xfa" * 20}
READERS: dict[str, Callable[[Path], object]] = {
    "settings.json": lambda path: read_json(path, lambda values: "", "Remove it."),
    "results.jsonl": lambda path: Journal(path.parent),
    "config.yaml": load_yaml,
    "mix.json": _json_list,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("word", DAMAGE)
def test_damaged_bytes_are_named_in_plain_words(tmp_path: Path, name: str, word: str) -> None:
    (tmp_path / name).write_bytes(DAMAGE[word] + b'{"a": 1}\n')
    with pytest.raises(AvseError, match=word) as caught:
        READERS[name](tmp_path / name)
    assert str(tmp_path / name) in caught.value.message
    assert "codec" not in str(caught.value)
    assert ("line 1" in caught.value.message) == (name == "results.jsonl")


@pytest.mark.parametrize("name", ["mixtures.csv", "last.pt", "model.safetensors"])
@pytest.mark.parametrize("word", DAMAGE)
def test_damage_of_other_state_shows_no_codec_error(tmp_path: Path, name: str, word: str) -> None:
    (tmp_path / name).write_bytes(DAMAGE[word] + b"a,b\n")
    read: dict[str, Callable[[], object]] = {
        "mixtures.csv": lambda: mixture_table.read_rows(tmp_path),
        "last.pt": lambda: read_state(tmp_path / name),
        "model.safetensors": lambda: read_metadata(tmp_path / name),
    }
    with pytest.raises(AvseError) as caught:
        read[name]()
    assert str(tmp_path / name) in caught.value.message
    assert "codec" not in str(caught.value)


def test_nul_bytes_in_a_table_are_named_by_their_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b\n" + bytes(20) + b"c,d\n")
    with pytest.raises(AvseError, match="line 2, cannot be read: it is not text"):
        csv_files.read_csv(tmp_path / "a.csv", "Repair it.", 2)


def test_byte_order_mark_is_no_part_of_the_text() -> None:
    assert decode_text(b"\xef\xbb\xbfText") == decode_text(b"Text") == "Text"
