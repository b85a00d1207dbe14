"""Re-identification: merge the tracks of one person over cuts and long gaps; in doubt they stay apart.

Two tracks are of one person only if they are never visible at the same time, and similar. The threshold is low for the
same place after a short absence, else high, and slightly lower with nobody else visible (`avse.faces.descriptor`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avse.faces.tracking import Track, box_iou, sort_by_area

SAME_PLACE = 0.75
ONLY_FACE = 0.78
ANYWHERE = 0.86
RIVAL_MARGIN = 0.03
ABSENCE_FRAMES = 250
MIN_DETECTIONS = 3

Likeness = dict[tuple[int, int], float]


def merge_tracks(tracks: Sequence[Track]) -> list[Track]:
    """Merge the tracks of each person; return all tracks, largest first."""
    known = [track for track in tracks if track.descriptors and len(track.frames) >= MIN_DETECTIONS]
    known.sort(key=lambda track: track.frames[0])
    together = _overlapping(known)
    excess = _similarity_margin(known, together)
    group = list(range(len(known)))
    members = {number: {number} for number in group}
    for (a, b), value in sorted(excess.items(), key=lambda item: -item[1]):
        mine, yours = members[group[a]], members[group[b]]
        if mine is yours or value < 0 or any(together[p, q] for p in mine for q in yours):
            continue
        if _has_rival(a, b, value, excess, together) or _has_rival(b, a, value, excess, together):
            continue
        mine |= yours
        for number in yours:
            group[number] = group[a]
    rest = [track for track in tracks if not any(track is other for other in known)]
    joined = [_merged([known[number] for number in sorted(members[root])]) for root in sorted(set(group))]
    return sort_by_area([*joined, *rest])


def _overlapping(tracks: Sequence[Track]) -> np.ndarray:
    """Return which pairs of tracks overlap in time: bool (tracks, tracks)."""
    first = np.array([track.frames[0] for track in tracks])
    last = np.array([track.frames[-1] for track in tracks])
    both = np.less_equal.outer(first, last) & np.greater_equal.outer(last, first)
    np.fill_diagonal(both, False)
    return both


def _similarity_margin(tracks: Sequence[Track], together: np.ndarray) -> Likeness:
    """Return how far the similarity of each pair, the earlier first, lies above what one person needs."""
    if not tracks:
        return {}
    owner = np.repeat(np.arange(len(tracks)), [len(track.descriptors) for track in tracks])
    descriptors = np.concatenate([track.descriptors for track in tracks])
    starts = np.searchsorted(owner, np.arange(len(tracks)))
    alone = set(np.flatnonzero(~together.any(axis=1)).tolist())
    found = {}
    for a, track in enumerate(tracks):
        best = np.maximum.reduceat((descriptors @ np.stack(track.descriptors).T).max(1), starts)
        for b in np.flatnonzero(best > SAME_PLACE - RIVAL_MARGIN):
            if b > a and not together[a, b]:
                needed = ONLY_FACE if a in alone and b in alone else ANYWHERE
                needed = SAME_PLACE if _is_nearby(track, tracks[b]) else needed
                if best[b] - needed > -RIVAL_MARGIN:
                    found[a, int(b)] = float(best[b]) - needed
    return found


def _is_nearby(earlier: Track, later: Track) -> bool:
    is_soon = later.frames[0] - earlier.frames[-1] <= ABSENCE_FRAMES
    return is_soon and box_iou(earlier.faces[-1].box, later.faces[0].box) >= 0.3


def _has_rival(a: int, b: int, value: float, excess: Likeness, together: np.ndarray) -> bool:
    """Return whether another face visible together with ``b`` would match ``a`` nearly as well."""
    others = np.flatnonzero(together[b])
    return any(excess.get((min(a, c), max(a, c)), -1.0) > value - RIVAL_MARGIN for c in map(int, others))


def _merged(tracks: Sequence[Track]) -> Track:
    if len(tracks) == 1:
        return tracks[0]
    frames = [index for track in tracks for index in track.frames]
    faces = [face for track in tracks for face in track.faces]
    descriptors = [one for track in tracks for one in track.descriptors]
    return Track(frames, faces, tracks[0].cuts, descriptors, tracks)
