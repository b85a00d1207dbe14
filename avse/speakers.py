"""Which of several faces speaks, and when: its mouth moves, and moves with the sound.

The lip stream tells from the lips alone what the sound should be (its energy in bands); how well that goes with what is
heard tells whose sound it is. Mouths that rest tell who is silent. Measured in docs/recordings.md.

Legend: `K` faces, `N` samples, `V` video frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from avse import lips, media, overlap, stream
from avse.config import NUM_BANDS, SAMPLES_PER_FRAME
from avse.errors import UsageError
from avse.models.net import SpeechNet
from avse.separation import BLOCK_SECONDS, OVERLAP_FRAMES, Loudness, windows
from avse.sync import find_lag, hear, quick, read_lips, shifted
from avse.tracks import Track

WORDS = ("active", "largest", "left", "right")
MAX_FACES = 12
STILL = 0.065
MOVING = 0.10
MATCH_FRAMES = 75
CLEAR_MATCH = 0.10
LEAST_SCORE = 0.03
SILENT_DB = -25.0
RAMP_FRAMES = 5

Wish = str | int


@dataclass(frozen=True)
class Watched:
    """What K mouths do in each of V frames, and how well it goes with the sound.

    ``seen`` bool (K, V). ``motion`` (K, V): change of the mouth from frame to frame, at its largest within 0.4 s; below
    0.065 it rests, above 0.1 it may speak. ``match`` (K, V): correlation of the energies that the lips tell with those
    heard, within 3 s. ``lag_frames``: by how much the picture comes later than the sound.
    """

    seen: np.ndarray
    motion: np.ndarray
    match: np.ndarray
    lag_frames: int = 0

    @property
    def moving(self) -> np.ndarray:
        """Share of the time seen in which each mouth moves, (K,)."""
        return np.asarray(((self.motion > MOVING) & self.seen).sum(1) / np.maximum(self.seen.sum(1), 1))

    @property
    def agreement(self) -> np.ndarray:
        """Mean match of each face over the time seen, (K,)."""
        return np.asarray((self.match * self.seen).sum(1) / np.maximum(self.seen.sum(1), 1))

    @property
    def score(self) -> np.ndarray:
        """Match while the mouth moves, over all the time, (K,): what the active speaker has most of."""
        return np.asarray((self.match * (self.motion > MOVING) * self.seen).mean(1))


def parse(wish: str | int, *others: str) -> Wish:
    """What was asked for as ``speaker``: a word of `WORDS`, or the number of a face. UsageError for anything else.

    ``others`` are words that the caller understands beside these: the error names them, too.
    """
    text = str(wish).strip().lower()
    if text in WORDS:
        return text
    if text.isdecimal() and int(text) > 0:
        return int(text)
    known = ", ".join((*WORDS, *others))
    raise UsageError(f"There is no speaker {wish!r}.", f"Give the number of a face (see: avse faces), or: {known}.")


def notable(tracks: Sequence[Track], num_frames: int) -> list[Track]:
    """The faces that count, as they are numbered: seen for a second, or for a fifth of a short recording.

    Where there is none such, the first that is seen at all.
    """
    seen = [(track, lips.pose(track, num_frames).seen.sum()) for track in tracks]
    found = [track for track, count in seen if count >= min(25, num_frames // 5)]
    return (found or [track for track, count in seen if count][:1])[:MAX_FACES]


def choose(tracks: Sequence[Track], wish: Wish, watched: Watched | None) -> int | None:
    """Index of the face that is meant, None where there is no face. UsageError for a number that no face has."""
    if isinstance(wish, int):
        if wish > len(tracks):
            seen = f"only {len(tracks)} faces" if len(tracks) > 1 else "one face" if tracks else "no face"
            raise UsageError(f"There is no face {wish}: {seen} can be seen.", "Look at them: avse faces RECORDING")
        return wish - 1
    if not tracks:
        return None
    if wish == "active" and watched is not None:
        return _active(watched)
    if wish in ("left", "right"):
        places = [middle(track)[0] for track in tracks]
        return int(np.argmin(places) if wish == "left" else np.argmax(places))
    return 0


def middle(track: Track) -> np.ndarray:
    """Where a face is on the whole: (x, y) in pixels."""
    return np.asarray(np.median([(face.box[:2] + face.box[2:]) / 2 for face in track.faces], axis=0))


def watch(
    net: SpeechNet, tape: media.Media, tracks: Sequence[Track], loudness: Loudness, on_frame: Callable[[int], None]
) -> Watched:
    """Look at the mouths of all faces in one pass, and compare them with the sound."""
    assert tape.sound is not None
    blocks = media.sound_blocks(tape, BLOCK_SECONDS, tape.sound.sample_rate, tape.sound.num_channels)
    heard = windows(stream.heard(blocks, tape.sound.sample_rate), loudness.num_frames, SAMPLES_PER_FRAME)
    mouths = windows(lips.crops_of(tape, tracks, loudness.num_frames), loudness.num_frames, 1)
    pieces = (_observe(net, mono[:, 0], crops) for mono, crops in zip(heard, mouths, strict=True))
    kept = []
    for piece in overlap.crossfade(pieces, OVERLAP_FRAMES):
        kept.append(piece.astype(np.float16))
        on_frame(sum(map(len, kept)))
    facts = np.concatenate(kept)
    told, energies, change = np.split(facts, [len(tracks) * NUM_BANDS, (len(tracks) + 1) * NUM_BANDS], axis=1)
    seen = np.stack([lips.pose(track, loudness.num_frames).seen for track in tracks])
    return compare(told.reshape(len(facts), len(tracks), NUM_BANDS), energies, change.T.astype(np.float32), seen)


def compare(told: np.ndarray, energies: np.ndarray, change: np.ndarray, seen: np.ndarray) -> Watched:
    """From what the lips tell (V, K, bands), what is heard (V, bands), and change (K, V) of the mouths seen (K, V)."""
    lag = find_lag(told, energies, seen)
    sound = shifted(quick(energies), lag)
    match = np.stack([_sliding_match(quick(told[:, k], mask), sound, mask) for k, mask in enumerate(seen)])
    motion = maximum_filter1d(uniform_filter1d(change, 9, axis=1), 21, axis=1)
    back = [shifted(values.T, -lag).T for values in (seen, motion, match)]
    return Watched(back[0], back[1], back[2], lag)


def gain(watched: Watched, face: int) -> np.ndarray:
    """Gain (V,) for a face: 1, but -25 dB while its mouth rests and another face's goes with the sound.

    The other mouth must move, and go with the sound clearly just then, or usually and not against it just then.
    """
    others = np.arange(len(watched.seen)) != face
    rests = (watched.motion[face] < STILL) & watched.seen[face]
    moves = (watched.motion[others] > MOVING) & watched.seen[others]
    match = watched.match[others]
    usual = (match * moves).sum(1, keepdims=True) / np.maximum(moves.sum(1, keepdims=True), 1)
    fits = (match > CLEAR_MATCH) | ((match > 0) & (usual > CLEAR_MATCH))
    silent = rests & (moves & fits & (match > watched.match[face])).any(0)
    level_db = SILENT_DB * uniform_filter1d(silent.astype(np.float32), RAMP_FRAMES)
    return np.asarray(10 ** (level_db / 20), np.float32)


def _active(watched: Watched) -> int:
    score = watched.score
    if score.max() >= LEAST_SCORE:
        return int(np.argmax(score))
    candidates = np.flatnonzero(watched.moving >= 0.5 * watched.moving.max())
    return int(candidates[0])


@torch.inference_mode()
def _observe(net: SpeechNet, heard: np.ndarray, mouths: np.ndarray) -> np.ndarray:
    """What a window of sound (N,) and mouths (V, K, 88, 88) shows: told and heard energies, change; one row a frame."""
    pictures = torch.from_numpy(mouths).transpose(0, 1).contiguous()
    told = read_lips(net, pictures).flatten(1)
    energies = hear(torch.from_numpy(heard.copy()))
    return torch.cat([told, energies, _change(pictures, pictures.flatten(2).any(-1))], 1).numpy()


def _change(pictures: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Mean change (V, K) of the mouth itself from frame to frame, in units of the contrast; 0 where not seen.

    What a movement of the whole crop would explain (shift, turn, size, brightness; one step of least squares, as in
    Lucas and Kanade, 1981) is taken off first: a head may nod while the mouth rests.
    """
    small = F.avg_pool2d(pictures.float(), 4)
    deviation, mean = torch.std_mean(small, dim=(-2, -1), keepdim=True, correction=0)
    plain = (small - mean) / (deviation + 1.0)
    difference, between = plain.diff(dim=1).flatten(2), (plain[:, 1:] + plain[:, :-1]) / 2
    basis = _movements(between).flatten(3)  # (K, V - 1, movements, pixels)
    gram = basis @ basis.mT + 0.01 * torch.eye(basis.shape[2])
    share = torch.linalg.solve(gram, basis @ difference[..., None])
    rest = (difference - (share * basis).sum(2)).unflatten(-1, small.shape[-2:])[..., 8:18, 5:17]
    change = rest.abs().mean((-2, -1)) * (seen[:, 1:] & seen[:, :-1])
    return F.pad(change, (1, 0)).T


def _movements(pictures: torch.Tensor) -> torch.Tensor:
    """How pictures (..., H, W) change if they are shifted, turned, enlarged or brightened: (..., 6, H, W)."""
    down, right = torch.gradient(pictures, dim=(-2, -1))
    y, x = (torch.linspace(-1, 1, size) for size in pictures.shape[-2:])
    y = y[:, None]
    turned, larger = x * down - y * right, x * right + y * down
    return torch.stack([down, right, turned, larger, pictures, torch.ones_like(pictures)], -3)


def _sliding_match(mouth: np.ndarray, sound: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Correlation (V,) over all bands (V, bands), of the frames seen within 3 s around each."""
    count = uniform_filter1d(seen.astype(np.float32), MATCH_FRAMES, mode="constant")
    both, own, other = (
        uniform_filter1d((a * b).sum(1) * seen, MATCH_FRAMES, mode="constant") / np.maximum(count, 1e-6)
        for a, b in ((mouth, sound), (mouth, mouth), (sound, sound))
    )
    return np.asarray(both / np.sqrt(np.maximum(own, 1e-3) * np.maximum(other, 1.0)))
