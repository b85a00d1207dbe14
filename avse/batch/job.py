"""The job of a batch: a worker loads the model once, then enhances one recording after the other."""

from __future__ import annotations

import functools
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from avse.batch import storage
from avse.batch.discovery import FACES_JSON, Item
from avse.batch.rows import Facts
from avse.errors import AvseError
from avse.io import jsonl
from avse.io.disk import stop_when_full
from avse.io.formats import AUDIO_FILES
from avse.parallel import tasks
from avse.progress import Report

if TYPE_CHECKING:
    from avse.enhancement.options import Options

Work = tasks.Work[Item, Facts]
Job = tasks.Job[Item, Facts]


@dataclass(frozen=True)
class EnhanceJob:
    """Enhance items; picklable, and called once in each worker.

    Unusable options raise a UsageError once, not for every recording: at once if torch is not needed for the check,
    else when a worker starts.

    Attributes:
        options: passed on to `avse.enhancement.pipeline.enhance`, or, where an item has a suffix, to `enhance_all`.
        reference_dir: the clean voices, in the tree of the recordings under any audio suffix, or, where an item has a
            suffix, in a folder face-1.wav, face-2.wav, ... in place of each recording; each row then has scores.
    """

    model: str = "avse"
    device: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    reference_dir: str | None = None

    def __post_init__(self) -> None:
        self._checked_options()

    def __call__(self) -> Work:
        """Load the model; return the function that enhances one item and returns the row of its result."""
        from avse.active_speaker.selection import check_speaker
        from avse.weights.pretrained import load_model

        checkpoint = load_model(self.model, self.device)
        check_speaker(checkpoint.net, self._checked_options().speaker)
        return functools.partial(self._enhance, checkpoint)

    def _checked_options(self) -> Options:
        """Return those of the options that can be checked without a recording. UsageError for a wrong one."""
        from avse.enhancement.options import Options

        checked = ("speaker", "strength", "loudness_lufs")
        return Options(**{name: self.options[name] for name in checked if name in self.options})

    def _enhance(self, checkpoint: Any, item: Item, report: Report) -> Facts:
        if item.suffix:
            return self._enhance_each(checkpoint, item, report)
        from avse.enhancement.pipeline import enhance
        from avse.io.probe import has_video

        with stop_when_full(item.output), storage.readable(item.source) as source:
            is_audio = bool(item.audio_output) and not has_video(source)
            with storage.writable(item.audio_output if is_audio else item.output, item.may_replace) as target:
                result = enhance(
                    source, target, model=checkpoint, device=self.device, force=item.may_replace, on_progress=report,
                    **self.options,
                )  # fmt: skip
                values = _as_facts(result.as_dict())
                if self.reference_dir:
                    values["scores"] = scores(self.reference_dir, item.name, source, target, self.options)
        values["is_audio_output"] = is_audio
        return values

    def _enhance_each(self, checkpoint: Any, item: Item, report: Report) -> Facts:
        """Write a folder with a file for each person; it is whole when its faces.json is there."""
        from avse.enhancement.all_speakers import enhance_all

        folder = Path(item.output).parent
        storage.make_parent(folder)
        options = {name: value for name, value in self.options.items() if name not in ("speaker", "use_video")}
        with stop_when_full(item.output), storage.readable(item.source) as source:
            force = item.may_replace or not Path(item.output).exists()
            summary = enhance_all(
                source, folder, suffix=item.suffix, model=checkpoint, device=self.device, force=force,
                on_progress=report, **options,
            )  # fmt: skip
            if self.reference_dir:
                summary["scores"] = scores_of_faces(self.reference_dir, item.name, source, folder, summary, options)
                jsonl.write_json(folder / FACES_JSON, summary)
        return _as_facts(summary)


def _as_facts(values: Mapping[str, Any]) -> Facts:
    """Return the result of an enhancement with the losses of its output, and the host that made it."""
    losses = [warning["text"] for warning in values["warnings"] if warning["is_loss"]]
    return cast("Facts", {**values, "losses": losses, "host": socket.gethostname()})


def scores(reference_dir: str, name: str, recording: Path, output: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Compute scores before and after against the reference of that name, or return the reason why there are none."""
    from avse.evaluation.reference import compare_files, read_reference

    stem = _place(reference_dir, name)
    found = [path for suffix in sorted(AUDIO_FILES) if (path := stem.with_name(stem.name + suffix)).is_file()]
    if not found:
        return {"reason": f"The reference {stem}.wav is missing."}
    try:
        reading = _reading(options)
        clean = read_reference(found[0], recording, **reading)
        return compare_files(clean, recording, output, **reading, output_track=_new_track(recording, output, options))
    except AvseError as error:
        return {"reason": error.message}


def scores_of_faces(
    reference_dir: str, name: str, recording: Path, folder: Path, summary: dict[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Add scores to each face of a summary; return their mean, or the reason why there are none."""
    from avse.evaluation.face_references import mean_scores, read_face_references, score_faces

    reading = _reading(options)
    try:
        clean = read_face_references(_place(reference_dir, name), recording, **reading)
        outputs = [folder / face["audio"] for face in summary["faces"] if face["audio"]]
        track = _new_track(recording, outputs[0], options) if outputs else None
        score_faces(summary["faces"], clean, recording, folder, **reading, output_track=track)
    except AvseError as error:
        return {"reason": error.message}
    return mean_scores(summary["faces"])


def _new_track(recording: Path, output: Path, options: Mapping[str, Any]) -> int | None:
    """Return which audio track of an output is the enhanced one; None if it has no other."""
    from avse.io.encoding import DEFAULT_SETTINGS
    from avse.io.ffmpeg import DEFAULT_LIMITS
    from avse.io.remux import enhanced_track

    limits, settings = options.get("limits", DEFAULT_LIMITS), options.get("settings", DEFAULT_SETTINGS)
    return enhanced_track(recording, output, options.get("audio_track"), limits, settings)


def _place(reference_dir: str, name: str) -> Path:
    """Return where the reference of a recording belongs, without suffix."""
    return Path(reference_dir, PurePosixPath(name).with_suffix(""))


def _reading(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options for reading a recording."""
    return {key: options[key] for key in ("audio_track", "limits") if key in options}
