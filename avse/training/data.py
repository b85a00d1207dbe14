"""The data of a run: folders of prepared clips, speakers kept for validation, and batches made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from avse.data.augmentation.measured_rooms import read_rooms
from avse.data.dataset import Batches, Rows
from avse.data.online_mixing import Mixer, Rooms, SpeakerClips
from avse.data.prepared_clips import find_clips
from avse.errors import UsageError
from avse.training.config import TrainConfig

AUDIO_ONLY_SEED = 2_000_003


@dataclass(frozen=True)
class TrainingData:
    """Hold prepared clips: talking faces, and optionally audio-only speech and noises; and the validation speakers.

    ``rooms`` holds measured impulse responses, ROOM/NAME.flac.
    ``audio_only`` are SMIL's audio-only targets; ``voices`` talk over others.
    ``listed`` holds the clips of each folder: a folder is listed once, however many stages use it.
    """

    faces: Path
    voices: Path | None = None
    noises: Path | None = None
    validation_speakers: tuple[str, ...] = ()
    audio_only: Path | None = None
    rooms: Path | None = None
    listed: dict[Path, dict[str, Sequence[Path]]] = field(default_factory=dict, repr=False, compare=False)

    def mixer(self, config: TrainConfig, validation: bool) -> Mixer:
        """Return what makes training mixtures, or validation mixtures of other speakers."""
        talkers = self.talkers(validation)
        return Mixer(talkers, *self._interference(validation), config.mix, self._rooms())

    def audio_only_mixer(self, config: TrainConfig) -> Mixer:
        """Return what makes SMIL's mixtures without video: of audio-only speech or, without any, of talking faces."""
        # Without lips the target cannot be identified, so targets are not swapped.
        hidden = replace(config.mix, missing_video_probability=1.0, swap_target=False)
        voices, noises = self._interference(False)
        if self.audio_only is None:
            return Mixer(self.talkers(False), voices, noises, hidden, self._rooms())
        return Mixer(self.audio_only_talkers(), voices or self.talkers(False), noises, hidden, self._rooms())

    def audio_only_talkers(self) -> dict[str, Sequence[Path]]:
        """Return the clips of SMIL's audio-only targets, where there are any; UsageError if they leave nobody."""
        return self._share(self.audio_only, False) if self.audio_only else {}

    def without_audio_only(self) -> TrainingData:
        """Return the same data without SMIL's examples."""
        return replace(self, audio_only=None)

    def talkers(self, validation: bool) -> dict[str, Sequence[Path]]:
        """Return the clips of talking faces to train or to validate on; UsageError for unknown validation speakers."""
        talkers = self._clips(self.faces)
        if missing := sorted(set(self.validation_speakers) - set(talkers)):
            raise UsageError(f"No prepared clips of {', '.join(missing)} in {self.faces}.", _nearest(missing, talkers))
        return {name: clips for name, clips in talkers.items() if (name in self.validation_speakers) == validation}

    def _clips(self, folder: Path) -> dict[str, Sequence[Path]]:
        if folder not in self.listed:
            self.listed[folder] = find_clips(folder)
        return self.listed[folder]

    def _rooms(self) -> Rooms | None:
        """Read measured impulse responses by room, where there are any."""
        return read_rooms(self.rooms) if self.rooms else None

    def _interference(self, validation: bool) -> tuple[SpeakerClips, SpeakerClips]:
        """Return voices and noises."""
        voices = self._share(self.voices, validation) if self.voices else {}
        return voices, self._clips(self.noises) if self.noises else {}

    def _share(self, folder: Path, validation: bool) -> dict[str, Sequence[Path]]:
        """Return audio-only clips; every tenth speaker is for validation, and no validation speaker is trained on."""
        clips = self._clips(folder)
        share = {name: clips[name] for index, name in enumerate(clips) if (index % 10 == 0) == validation}
        if validation:
            return share
        if trained_on := {name: share[name] for name in share if name not in self.validation_speakers}:
            return trained_on
        raise UsageError(
            f"{folder} leaves no speaker to train on: {', '.join(list(clips)[:6])} is for validation.",
            "Prepare a folder with two speakers or more: SPEAKER/**/CLIP.",
        )


def _nearest(missing: Sequence[str], known: Iterable[str]) -> str:
    """Return a hint with the names that are most like those that are missing."""
    names = sorted(known)
    near = sorted({name for wrong in missing for name in get_close_matches(wrong, names, 3)})
    if near:
        return f"Nearest: {', '.join(near)}."
    return f"There are {len(names)}: {', '.join(names[:6])}{', ...' if len(names) > 6 else '.'}"


def training_mixers(config: TrainConfig, folders: TrainingData) -> dict[int, Mixer]:
    """Return the mixers by their seed: one, or for SMIL one with video and one without."""
    mixers = {config.seed: folders.mixer(config, False)}
    if config.stage == "smil":
        mixers[config.seed + AUDIO_ONLY_SEED] = folders.audio_only_mixer(config)
    elif folders.audio_only is not None:
        raise UsageError("Audio-only targets need SMIL training.", "Add --smil, or pass them with --voices.")
    return mixers


def training_rows(config: TrainConfig, mixers: Mapping[int, Mixer], first: int = 0, rank: int = 0) -> Rows:
    """Return the batches of all mixers from step ``first`` on, or the share of one of several devices."""
    part = config.batch_size, first, config.num_steps, rank, config.num_devices
    return Rows(*(Batches(mixer, seed, *part) for seed, mixer in mixers.items()))
