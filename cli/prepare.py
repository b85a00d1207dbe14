"""``avse prepare``: mouth crops and audio of recordings, for training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .listing import report_passed_over
from .options import Jobs, Quiet
from .progress import progress


def prepare(
    data: Annotated[Path, typer.Argument(help="Folder of SPEAKER/**/CLIP: video or audio files.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the prepared clips.")],
    jobs: Jobs = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Count the recordings without preparing them.")
    ] = False,
    shards: Annotated[
        bool, typer.Option("--shards", help="Write one tar file per speaker instead of one file per clip.")
    ] = False,
    vary_voices: Annotated[
        bool,
        typer.Option(
            "--vary-voices",
            help="Also store each clip with a second voice, of different pitch and formants (pip extra: voices).",
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Prepare recordings for training: extract mouth crops and audio.

    Each recording becomes a small file that loads without ffmpeg. The first folder level is the speaker; VoxCeleb2's
    dev/mp4 is found. Recordings that cannot be used are listed in bad.csv. Run the same command again to resume.

    Example: avse prepare voxceleb2/ -o cache/faces --shards
    avse prepare LibriSpeech/train-clean-100/ -o cache/voices
    """
    from avse.data import corpus, prepared_clips

    found = corpus.survey(data, output)
    pairs = found.pairs
    corpus.check_output(data, output, pairs)
    report_passed_over(data, found.passed_over)
    total = len(pairs)
    if dry_run:
        typer.echo(f"{total} recordings; {prepared_clips.describe_prepared(pairs, output)}")
        return
    done = bad = 0
    with progress(quiet) as show:
        for outcome in prepared_clips.prepare(data, output, jobs, shards, vary_voices):
            done += 1
            bad += bool(outcome.problem)
            show("preparing", done, total)
    if not quiet:
        typer.echo(f"{done - bad} clips in {output}" + (f"; {bad} left out, see {output / 'bad.csv'}" if bad else ""))
    raise typer.Exit(1 if bad else 0)
