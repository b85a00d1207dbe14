"""A URL in place of a file or folder is called a URL, with something to do that works; nothing is made of its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from recordings import coloured_noise, write_recording
from typer.testing import CliRunner

from avse.errors import UsageError
from avse.io import urls
from avse.io.atomic import check_output
from avse.io.folders import lock_folder
from avse.io.listing import list_recordings
from avse_cli.main import app

URL = "https://example.org/a film.mp4"


@pytest.mark.parametrize(
    ("given", "url", "advice"),
    [
        (URL, URL, f"curl -LO '{URL}'"),
        ("HTTP://example.org/a", "HTTP://example.org/a", "curl"),
        ("rtmp://example.org/live/key", "rtmp://example.org/live/key", "ffmpeg -i 'rtmp://example.org/live/key'"),
        ("s3://bucket/a.mp4", "s3://bucket/a.mp4", "avse batch"),
        ("file:///data/a%20b.mp4", "file:///data/a%20b.mp4", "/data/a b.mp4"),
        ("C:/videos/a.mp4", "", ""),
        ("a:b.mp4", "", ""),
        ("take 2:/a.mp4", "", ""),
    ],
)
def test_url_is_distinguished_from_a_path(given: str, url: str, advice: str) -> None:
    assert urls.find_url(Path(given)) == url
    assert advice in urls.hint_for(url)


def test_folder_that_is_named_like_a_url_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "https:").mkdir()
    (tmp_path / "https:" / "a.wav").touch()
    assert urls.find_url(Path("https:/a.wav")) == ""
    check_output(Path("https:/b.wav"), force=False)


@pytest.mark.parametrize(
    "command",
    [
        ("enhance", URL),
        ("enhance", URL, "rtmp://example.org/b"),
        ("enhance", URL, "-o", "out.wav"),
        ("enhance", URL, "--speaker", "all", "-o", "people"),
        ("faces", URL),
        ("bench", URL),
        ("mix", URL, "out"),
        ("evaluate", URL, "-o", "out"),
        ("prepare", URL, "-o", "out"),
        ("batch", "rtmp://example.org/a", "-o", "out"),
        ("train", "--data", URL, "--run", "out"),
    ],
)
def test_every_command_calls_it_a_url(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, list(command))
    assert shown.exit_code == 2
    message, hint = shown.stderr.splitlines()[-2:]
    assert "is a URL" in message or "rtmp" in message
    assert "://" in message
    assert "first" in hint
    assert list(tmp_path.iterdir()) == []


def test_no_output_is_written_under_the_name_of_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    output = Path("s3://bucket/clean.wav")
    with pytest.raises(UsageError, match=r"s3://bucket/clean\.wav is a URL"):
        check_output(output, force=True)
    with pytest.raises(UsageError, match="is a URL"), lock_folder(output):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_a_folder_is_called_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a file, not a folder"):
        list_recordings(write_recording(tmp_path / "a.wav", coloured_noise(1600)))
