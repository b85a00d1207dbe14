"""The page: its components, and the handlers of their events."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from avse.errors import AvseError, InputError, UsageError, one_line
from avse.io.formats import FILE_TYPES, VIDEO_OUTPUTS
from avse.progress import Report
from avse.ui import export, faces, render
from avse.ui.progress import Work
from avse.ui.session import CancelledError, Session, Studio

TITLE = "avse: choose a face, keep its voice"
LOUDNESS = [("Unchanged", 0), ("-14 LUFS, streaming", -14), ("-16 LUFS, podcasts", -16), ("-23 LUFS, broadcast", -23)]
WELCOME = "Open a video, choose a face, and hear that voice without the noise. Nothing leaves this machine."
CANCELLED = "Cancelled; nothing was kept."
Updates = dict[Any, Any]


class Page:
    """Lay out the page for one server; every visitor has a `Session`."""

    def __init__(self, studio: Studio, recording: Path | None = None) -> None:
        self.studio, self.recording = studio, recording
        self._sessions: dict[str, Session] = {}
        with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, 3600)) as self.blocks:
            self.session = gr.State(None)
            gr.HTML(f"<h1>Choose a face, keep its voice</h1>{render.note(WELCOME)}")
            self._lay_out_recording()
            self._lay_out_faces()
            self._lay_out_result()
        with self.blocks:
            self._connect()

    def _lay_out_recording(self) -> None:
        kinds = sorted(FILE_TYPES)
        label = "Video or audio file"
        self.upload = gr.File(label=label, file_types=kinds, height=140, visible=self.recording is None)
        self.status = gr.HTML()

    def _lay_out_faces(self) -> None:
        with gr.Column(visible=False) as self.people:
            gr.HTML("<h2>Whose voice?</h2>")
            self.faces = gr.HTML()
            self.everyone = gr.Button(render.EVERYONE, size="md", elem_id="avse-everyone")
            # Holds the faces chosen in the images; the style sheet hides it.
            self.choice = gr.CheckboxGroup(label="Faces whose voices are kept", elem_id="avse-choice")
        self.progress = gr.HTML()
        self.start = gr.Button("Enhance", variant="primary", visible=False)
        self.stop = gr.Button("Cancel", visible=False)

    def _lay_out_result(self) -> None:
        with gr.Column(visible=False) as self.result:
            gr.HTML("<h2>Before and after</h2>")
            self.player = gr.HTML()
            self.strength = gr.Slider(
                0, 1, 1, step=0.01, elem_id="avse-strength", interactive=True, label="Strength",
                info="1 keeps the voice alone; less keeps some of the background. Applies at once.",
            )  # fmt: skip
            gr.HTML("<h2>Save</h2>")
            with gr.Row(elem_id="avse-save"):
                self.suffix = gr.Dropdown([], label="Format", interactive=True)
                self.loudness = gr.Dropdown(LOUDNESS, value=0, label="Loudness", interactive=True)
                self.save = gr.Button("Create the file")
            self.download = gr.HTML()

    def _connect(self) -> None:
        quick: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        # The limit is the `WaitingLine`, which shows the position, can be cancelled, and delays no download.
        queued: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
        opened = [self.status, self.people, self.faces, self.choice, self.start, self.stop, self.progress]
        opened += [self.result, self.suffix]
        enhanced = [self.status, self.start, self.stop, self.progress, self.result, self.player, self.download]
        self.blocks.unload(self.leave)
        ready = self.blocks.load(self.arrive, None, self.session, **quick)
        if self.recording:
            ready.then(self.wait_to_open, self.session, opened, **quick).then(
                self.open_given, self.session, opened, **queued
            )
        self.upload.upload(self.wait_to_open, self.session, opened, **quick).then(
            self.open_upload, [self.session, self.upload], opened, **queued
        )
        self.upload.clear(self.forget, self.session, opened, **quick)
        self.start.click(self.wait, self.session, opened, **quick).then(
            self.enhance, [self.session, self.choice], enhanced, **queued
        )
        self.everyone.click(everyone, self.session, self.choice, **quick)
        self.stop.click(Session.cancel, self.session, None, **quick)
        settings = [self.session, self.suffix, self.strength, self.loudness]
        self.save.click(self.make_file, settings, self.download, **queued)

    def arrive(self, request: gr.Request) -> Session:
        """Begin the session of a visitor."""
        session = self._sessions[str(request.session_hash)] = Session(self.studio)
        return session

    def leave(self, request: gr.Request) -> None:
        """End the session of a visitor whose page is closed."""
        if session := self._sessions.pop(str(request.session_hash), None):
            session.close()

    def wait(self, session: Session) -> Updates:
        """Prepare the page for work, before the work is queued."""
        session.prepare()
        return {
            self.status: "", self.start: gr.update(visible=False), self.stop: gr.update(visible=True),
            self.result: gr.update(visible=False), self.progress: render.note("Waiting in the queue."),
        }  # fmt: skip

    def wait_to_open(self, session: Session) -> Updates:
        """Prepare the page for a new recording."""
        return self.wait(session) | {self.people: gr.update(visible=False)}

    def forget(self, session: Session) -> Updates:
        """Show no recording."""
        session.cancel()
        hidden = gr.update(visible=False)
        return {self.status: "", self.progress: "", self.people: hidden, self.start: hidden, self.result: hidden}

    def open_given(self, session: Session) -> Iterator[Updates]:
        """Open the recording that the command named."""
        assert self.recording is not None
        yield from self._open(session, self.recording)

    def open_upload(self, session: Session, upload: str) -> Iterator[Updates]:
        """Open an uploaded recording."""
        yield from self._open(session, Path(upload), is_upload=True)

    def _open(self, session: Session, path: Path, is_upload: bool = False) -> Iterator[Updates]:
        def work(report: Report) -> faces.FaceChart | None:
            kept = session.keep_upload(path) if is_upload else path
            return faces.draw_faces(session.open(kept, report), session.cancellable(report))

        hidden = {self.people: gr.update(visible=False)}
        yield from self._follow(Work(work), hidden, lambda chart: self._show_recording(session, chart))

    def _show_recording(self, session: Session, chart: faces.FaceChart | None) -> Updates:
        assert session.analysis is not None
        has_video = session.analysis.recording.video is not None
        common = {
            self.start: gr.update(visible=True),
            self.suffix: gr.update(choices=formats(has_video), value=".wav"),
        }
        if chart is None:
            note = session.analysis.result().note
            return common | {self.status: render.note(note), self.people: gr.update(visible=False)}
        numbers = [(f"Face {card.number} ({card.place})", card.number) for card in chart.cards]
        return common | {
            self.status: "", self.people: gr.update(visible=True), self.faces: render.faces(chart),
            self.choice: gr.update(choices=numbers, value=[chart.active]),
        }  # fmt: skip

    def enhance(self, session: Session, chosen: list[int]) -> Iterator[Updates]:
        """Enhance the chosen voice, and show the player."""

        def work(report: Report) -> str:
            return _player(session, speaker_of(session, chosen), report)

        again = {self.start: gr.update(visible=True)}
        yield from self._follow(Work(work), again, self._show_player)

    def _show_player(self, player: str) -> Updates:
        return {self.player: player, self.result: gr.update(visible=True), self.download: ""}

    def _follow(self, work: Work[Any], end: Updates, show: Callable[[Any], Updates]) -> Iterator[Updates]:
        """Show the progress of work until its end, and then, in one update, its result, or why it failed.

        The browser can lose an update if another one follows immediately, so the end must be a single update.

        Args:
            end: the other changes at the end, whether the work fails or not.
            show: converts the result to updates of the page.
        """
        try:
            for state in work.follow():
                yield {self.progress: render.progress(state)}
            found = {self.status: ""} | show(work.outcome)
        except CancelledError:
            found = {self.status: render.note(CANCELLED)}
        except (AvseError, OSError) as error:
            found = {self.status: _failure(error)}
        yield {self.progress: "", self.stop: gr.update(visible=False)} | end | found

    def make_file(self, session: Session, suffix: str, strength: float, loudness: float) -> Iterator[str]:
        """Write the file to download, show the progress, and link to it."""
        assert session.enhanced is not None
        enhanced = session.enhanced

        def work(report: Report) -> Path:
            folder = session.make_download_folder()
            return export.export(enhanced, folder, suffix, strength, loudness or None, session.cancellable(report))

        making = Work(work)
        try:
            for state in making.follow():
                yield render.progress(state)
            assert making.outcome is not None
            yield render.link(making.outcome)
        except CancelledError:
            yield ""
        except (AvseError, OSError) as error:
            yield _failure(error)


def _failure(error: AvseError | OSError) -> str:
    """Return the two lines of an error; one of the system is of names, permissions or a full disk."""
    if isinstance(error, AvseError):
        return render.failure(error)
    return render.failure(InputError(one_line(error), "Check names, permissions and free disk space."))


def speaker_of(session: Session, chosen: list[int]) -> str | int:
    """Return the ``speaker`` option for the chosen faces. UsageError if none is chosen."""
    assert session.analysis is not None
    if not session.analysis.selection.scene.tracks:
        return "active"
    if not chosen:
        raise UsageError("No face is chosen.", "Choose the face whose voice you want to keep.")
    chosen = sorted(chosen)
    if len(chosen) > 1 and chosen == everyone(session):
        return "everyone"
    return ",".join(map(str, chosen))


def formats(has_video: bool) -> list[tuple[str, str]]:
    """Return the label of each format, and its suffix."""
    kinds = dict.fromkeys(VIDEO_OUTPUTS, "video") | {export.PAGE: "report"}
    return [(f"{kinds.get(suffix, 'audio')} {suffix}", suffix) for suffix in export.choices(has_video)]


def everyone(session: Session) -> list[int]:
    """Return the numbers of all faces that speak."""
    assert session.analysis is not None
    return [index + 1 for index in session.analysis.selection.scene.speaking_faces]


def _player(session: Session, speaker: str | int, report: Report) -> str:
    """Enhance, and return the player; if that is cancelled or fails at any stage, nothing of it is kept."""
    try:
        enhanced = session.enhance(speaker, report)
        checked = session.cancellable(report)
        checked("preparing the player", 0.0, 0.0)
        pair = Path(tempfile.mkdtemp(prefix="player-", dir=session.served)) / "before-after.wav"
        export.write_pair(enhanced, pair, checked)
        video = session.serve_video()
        return render.player(enhanced, enhanced.voice, render.file_url(pair), render.file_url(video), checked)
    except BaseException:
        session.discard()
        raise
