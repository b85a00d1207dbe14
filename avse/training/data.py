"""What a run learns from: folders of prepared clips, speakers kept apart for validation, and batches made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
    """Prepared clips: talking faces, and optionally voices without picture and noises; speakers kept for validation.

    ``rooms`` holds measured impulse responses, ROOM/NAME.flac.
    ``audio_only`` are SMIL's examples without picture, to be enhanced themselves; ``voices`` talk over others.
    """

    faces: Path
    voices: Path | None = None
    noises: Path | None = None
    validation_speakers: tuple[str, ...] = ()
    audio_only: Path | None = None
    rooms: Path | None = None

    def mixer(self, config: TrainConfig, validation: bool) -> Mixer:
        """Training mixtures, or validation mixtures of other speakers."""
        talkers = self.talkers(validation)
        return Mixer(talkers, *self._interference(validation), config.mix, self._rooms())

    def audio_only_mixer(self, config: TrainConfig) -> Mixer:
        """Training mixtures without picture: of speech that has none, or else of talking faces; pictures are hidden."""
        # Without lips nothing tells which talker is meant, so targets are not swapped.
        hidden = replace(config.mix, missing_video_probability=1.0, swap_target=False)
        voices, noises = self._interference(False)
        if self.audio_only is None:
            return Mixer(self.talkers(False), voices, noises, hidden, self._rooms())
        return Mixer(self._share(self.audio_only, False), voices or self.talkers(False), noises, hidden, self._rooms())

    def without_audio_only(self) -> TrainingData:
        """Return the same data without SMIL's examples."""
        return replace(self, audio_only=None)

    def talkers(self, validation: bool) -> dict[str, list[Path]]:
        """Clips of the talking faces to train on, or to validate on."""
        talkers = find_clips(self.faces)
        if missing := sorted(set(self.validation_speakers) - set(talkers)):
            raise UsageError(f"No prepared clips of {', '.join(missing)} in {self.faces}.", _nearest(missing, talkers))
        return {name: clips for name, clips in talkers.items() if (name in self.validation_speakers) == validation}

    def _rooms(self) -> Rooms | None:
        """Measured impulse responses by room, where there are any."""
        return read_rooms(self.rooms) if self.rooms else None

    def _interference(self, validation: bool) -> tuple[SpeakerClips, SpeakerClips]:
        """Voices and noises."""
        voices = self._share(self.voices, validation) if self.voices else {}
        return voices, find_clips(self.noises) if self.noises else {}

    def _share(self, folder: Path, validation: bool) -> dict[str, list[Path]]:
        """Every tenth speaker without picture is kept for validation; nobody who is validated on is trained on."""
        clips = find_clips(folder)
        share = {name: clips[name] for index, name in enumerate(clips) if (index % 10 == 0) == validation}
        return share if validation else {name: share[name] for name in share if name not in self.validation_speakers}


def _nearest(missing: Sequence[str], known: Iterable[str]) -> str:
    """Return a hint with the names that are most like those that are missing."""
    names = sorted(known)
    near = sorted({name for wrong in missing for name in get_close_matches(wrong, names, 3)})
    if near:
        return f"Nearest: {', '.join(near)}."
    return f"There are {len(names)}: {', '.join(names[:6])}{', ...' if len(names) > 6 else '.'}"


def training_mixers(config: TrainConfig, folders: TrainingData) -> dict[int, Mixer]:
    """What makes the examples, by seed: one mixer, or for SMIL one with pictures and one without."""
    mixers = {config.seed: folders.mixer(config, False)}
    if config.stage == "smil":
        mixers[config.seed + AUDIO_ONLY_SEED] = folders.audio_only_mixer(config)
    elif folders.audio_only is not None:
        raise UsageError("Examples without picture of their own are for SMIL.", "Add --smil, or give them as voices.")
    return mixers


def training_rows(config: TrainConfig, mixers: Mapping[int, Mixer], first: int = 0, rank: int = 0) -> Rows:
    """Batches of all mixers from step ``first`` on, or the share of them that belongs to one of several devices."""
    part = config.batch_size, first, config.num_steps, rank, config.num_devices
    return Rows(*(Batches(mixer, seed, *part) for seed, mixer in mixers.items()))
