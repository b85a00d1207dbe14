"""The HTML parts of the page; every value is escaped."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import escape

from avse.enhancement.result import KEEP_EVERYONE
from avse.errors import AvseError
from avse.progress import Report, silent
from avse.reports.audio_player import make_player_tracks, time_ticks
from avse.reports.page import template_environment
from avse.ui.faces import FaceChart
from avse.ui.progress import Progress
from avse.ui.session import Enhanced

NUM_COLUMNS = 900
EVERYONE = "Everyone who speaks"
"""Label of the button that chooses all faces."""
SAMPLE_SECONDS = 0.1
_INSIDE = re.compile(r"\S*/session-[^/]+/(?:[^/]+/)?")
"""The folders of a session, before the name of a file."""


def part(name: str) -> str:
    """Return a style sheet or script of the page."""
    return resources.files("avse.ui").joinpath("templates").joinpath(name).read_text(encoding="utf-8")


def render(template: str, **values: Any) -> str:
    """Fill a template."""
    return template_environment("avse.ui").get_template(template).render(values)


def faces(chart: FaceChart) -> str:
    """Return the frame with a button on every face, and an image of each."""
    return render("faces.html.j2", chart=chart)


def player(enhanced: Enhanced, after: Path, pair_url: str, video_url: str, report: Report = silent) -> str:
    """Return the player: video, waveforms and spectrograms before and after.

    Args:
        after: the enhanced audio as a separate file.
        pair_url: where the page finds what `avse.ui.export.write_pair` wrote.
        video_url: where it finds the video; empty for none.
        report: an exception that it raises cancels the work.
    """
    recording, result = enhanced.pipeline.recording, enhanced.result
    total = 2 * result.duration_seconds
    tracks = make_player_tracks(
        [("Before", recording.path), ("After", after)], sample_rate=16000, played_seconds=SAMPLE_SECONDS,
        num_columns=NUM_COLUMNS, audio_track=recording.audio_track,
        on_seconds=lambda seconds: report("drawing", seconds, total),
    )  # fmt: skip
    starts = [stream.start_seconds for stream in (recording.audio, recording.video) if stream]
    return render(
        "player.html.j2", name=recording.path.name, note=in_words_of_the_page(result.note), tracks=tracks,
        video=video_url, audio=pair_url,
        delay=round(recording.audio_stream.start_seconds - min(starts), 6),
        ticks=time_ticks(result.duration_seconds, 8),
        has_channels=recording.audio_stream.num_channels > 1,
    )  # fmt: skip


def in_words_of_the_page(text: str) -> str:
    """Return a message with the page's button in place of the command's option."""
    return text.replace(KEEP_EVERYONE, f'Keep everyone: "{EVERYONE}".')


def progress(state: Progress) -> str:
    """Return a bar with the stage, the share done, and the time left."""
    return render("progress.html.j2", state=state)


def file_url(path: Path | None) -> str:
    """Return the address of a served file, relative to the page."""
    return f"gradio_api/file={quote(str(path))}" if path else ""


def link(path: Path) -> str:
    """Return a link to download a served file."""
    megabytes = path.stat().st_size / 1e6
    return render("link.html.j2", name=path.name, url=file_url(path), megabytes=megabytes)


def note(text: str) -> str:
    """Return a message that screen readers announce politely."""
    return f'<p role="status" class="avse-note">{escape(text)}</p>' if text else ""


def failure(error: AvseError) -> str:
    """Return the two lines of an error; of a path inside the temporary folder only the name is shown."""
    lines = [escape(re.sub(_INSIDE, "", line)) for line in (error.message, error.hint)]
    return f'<p role="alert" class="avse-failure"><b>{lines[0]}</b><br>{lines[1]}</p>'
