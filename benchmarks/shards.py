"""Measure files, bytes, speed and memory of many prepared clips: one file per clip, and one shard per speaker.

The clips are synthetic and tiny, so that writing 50,000 takes minutes. The result is the cost of many files, not of
decompression. Clips are read at random through the data loader's cache, in a separate process.

    python benchmarks/shards.py --clips 50000
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from avse.data import shards

CLIPS_PER_SPEAKER, NUM_FRAMES = 100, 5
READER = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from avse.data.clip_cache import ClipCache
from avse.data.prepared_clips import find_clips
def peak(): return int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0]) / 1024
before, start = peak(), time.perf_counter()
clips = find_clips(Path(sys.argv[1]))
found, listing = time.perf_counter() - start, peak() - before
cache, rng, names = ClipCache(max_bytes=64 * 2**20), np.random.default_rng(0), list(clips)
start = time.perf_counter()
for _ in range(int(sys.argv[2])):
    paths = clips[names[rng.integers(len(names))]]
    cache.load(paths[rng.integers(len(paths))])
took = time.perf_counter() - start
print(json.dumps({"find_s": found, "list_mib": listing, "per_s": int(sys.argv[2]) / took, "mib": peak() - before}))
"""


def write_clips(cache: Path, num_clips: int) -> None:
    """Write clips of five frames with noise as audio and uniform mouth crops."""
    rng = np.random.default_rng(0)
    audio, lips = (
        rng.integers(-9, 9, (64, NUM_FRAMES * 640)).astype(np.int16),
        np.full((NUM_FRAMES, 88, 88), 90, np.uint8),
    )
    for number in range(num_clips):
        path = cache / f"id{number // CLIPS_PER_SPEAKER:05}" / f"clip{number % CLIPS_PER_SPEAKER:03}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, sound=audio[number % 64], lips=lips)


def measure(cache: Path, num_reads: int) -> dict[str, float]:
    """Measure the number of files, their size on disk in MB, and the speed and memory of reading clips at random."""
    files = [path for path in cache.rglob("*") if path.is_file()]
    taken = sum(path.stat().st_blocks * 512 for path in files) / 1e6
    run = subprocess.run(
        [sys.executable, "-c", READER, str(cache), str(num_reads)], capture_output=True, text=True, check=True
    )
    return {"files": len(files), "disk_mb": taken, **json.loads(run.stdout)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=50_000, help="number of clips to write")
    parser.add_argument("--reads", type=int, default=10_000, help="number of clips to read")
    given = parser.parse_args()
    print(
        "| cache | files | on disk, MB | listing, s | memory of the list, MiB | clips read per s | memory after, MiB |"
    )
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        write_clips(cache, given.clips)
        for name in ("one file per clip", "shards"):
            if name == "shards":
                start = time.perf_counter()
                for speaker in sorted(cache.iterdir()):
                    shards.pack(speaker)
                packed = time.perf_counter() - start
            row = measure(cache, given.reads)
            cells = f"{row['files']:.0f}", f"{row['disk_mb']:.0f}", f"{row['find_s']:.2f}", f"{row['list_mib']:.0f}"
            print(f"| {name} | {' | '.join(cells)} | {row['per_s']:.0f} | {row['mib']:.0f} |", flush=True)
    print(f"\nPacking: {given.clips / packed:.0f} clips per second.")


if __name__ == "__main__":
    main()
