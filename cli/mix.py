"""``avse mix``: a folder of mixtures to measure on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Jobs, Quiet
from .progress import progress

Range = tuple[float, float]


def mix(
    source: Annotated[Path, typer.Argument(help="VoxCeleb2 as released, or SPEAKER/**/CLIP of any kind.")],
    output: Annotated[Path, typer.Argument(help="Folder for the mixtures; made if it does not exist.")],
    speakers: Annotated[int, typer.Option(min=1, max=5, help="People in a mixture, the target included.")] = 2,
    level_db: Annotated[Range, typer.Option(help="Level of each interfering talker, lowest and highest.")] = (0, 0),
    noise: Annotated[Path | None, typer.Option(help="Folder of noises, one folder for each kind or flat.")] = None,
    noise_db: Annotated[
        Range | None, typer.Option(help="Level of the noise, lowest and highest; -5 -5 by default.")
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of mixtures.")] = 100,
    seconds: Annotated[float | None, typer.Option(help="Length of each; the target clip's by default.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed and clips give the same bytes.")] = 0,
    layout: Annotated[str, typer.Option(help="avse; or muse, as MuSE, USEV and ClearVoice read it.")] = "avse",
    jobs: Jobs = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace the mixtures that are in the folder.")] = False,
    quiet: Quiet = False,
) -> None:
    """Mix talkers, and noise, into a folder that avse evaluate reads. Run it again to go on where it stopped.

    Levels are in dB relative to the target: 0 is as loud, -10 is quieter. OUTPUT/mix has the mixtures, s1 the target,
    s2 and so on who talks over it, video the target's picture over the mixture, and mixtures.csv says what is what.

    Example: avse mix voxceleb2/ mixtures/ --speakers 3 --level-db -18 -6 --count 200
    """
    from avse.data.mixtures.generate import MixtureRequest, make_folder
    from avse.data.mixtures.recipes import MixtureConfig

    noise_levels = noise_db if noise_db or noise is None else (-5.0, -5.0)
    config = MixtureConfig(speakers, level_db, noise_levels, seconds, seed)
    done = bad = passed = 0
    with progress(quiet) as show:
        for outcome in make_folder(MixtureRequest(source, output, config, count, noise, layout), jobs, force):
            done += 1
            bad += bool(outcome.problem)
            passed += len(outcome.passed_over)
            show("mixing", done, count)
    if not quiet:
        left_out = f"; {bad} failed, {passed} clips passed over: see {output / 'bad.csv'}" if bad or passed else ""
        typer.echo(f"{done - bad} mixtures in {output}{left_out}")
    raise typer.Exit(1 if bad or passed else 0)
