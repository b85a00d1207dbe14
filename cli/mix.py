"""``avse mix``: a folder of mixtures for evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .listing import report_passed_over
from .options import Jobs, Quiet
from .progress import progress

Range = tuple[float, float]


def mix(
    source: Annotated[Path, typer.Argument(help="Folder of clips: VoxCeleb2 (its test/mp4), or SPEAKER/**/CLIP.")],
    output: Annotated[Path, typer.Argument(help="Folder for the mixtures; created if needed.")],
    speakers: Annotated[int, typer.Option(min=1, max=5, help="Talkers per mixture, including the target.")] = 2,
    level_db: Annotated[
        Range, typer.Option(metavar="LOW HIGH", help="Level range of each interfering talker in dB.")
    ] = (
        0,
        0,
    ),
    noise: Annotated[Path | None, typer.Option(help="Folder of noise files, flat or one subfolder per class.")] = None,
    noise_db: Annotated[
        Range | None, typer.Option(metavar="LOW HIGH", help="Level range of the noise in dB; default: -5 -5.")
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of mixtures.")] = 100,
    seconds: Annotated[
        float | None, typer.Option(help="Length of a mixture; default: that of the target clip.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed; the same seed and clips give identical files.")] = 0,
    layout: Annotated[
        str, typer.Option(metavar="avse|muse", help="Folder layout; muse is that of MuSE, USEV and ClearVoice.")
    ] = "avse",
    jobs: Jobs = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace existing mixtures.")] = False,
    quiet: Quiet = False,
) -> None:
    """Make a folder of mixtures for avse evaluate. Run the command again to resume.

    Levels are in dB relative to the target. OUTPUT/mix contains the mixtures, s1 the targets, s2 and so on the
    interfering talkers, video the target's video with the mixture as audio; mixtures.csv lists all sources.

    Example: avse mix voxceleb2/test mixtures/ --speakers 3 --level-db -18 -6 --count 200
    """
    from avse.data.corpus import TEST_ROOTS, speakers_folder
    from avse.data.mixtures.generate import make_mixtures
    from avse.data.mixtures.recipes import MixtureConfig
    from avse.data.mixtures.request import MixtureRequest, survey

    noise_levels = noise_db if noise_db or noise is None else (-5.0, -5.0)
    config = MixtureConfig(speakers, level_db, noise_levels, seconds, seed)
    request = MixtureRequest(source, output, config, count, noise, layout)
    report_passed_over(source, survey(request))
    done, bad, skipped = 0, 0, set[str]()
    with progress(quiet) as show:
        for outcome in make_mixtures(request, jobs, force):
            done += 1
            bad += bool(outcome.problem)
            skipped.update(clip for clip, _ in outcome.passed_over)
            show("mixing", done, count)
    if not quiet:
        left_out = f"; {bad} failed, {len(skipped)} clips skipped: see {output / 'bad.csv'}" if bad or skipped else ""
        typer.echo(f"{done - bad} mixtures in {output} of clips in {speakers_folder(source, TEST_ROOTS)}{left_out}")
    raise typer.Exit(1 if bad or skipped else 0)
