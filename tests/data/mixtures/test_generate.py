"""``avse mix``: what a mixture is made of, the same bytes for the same seed, going on after a stop, two layouts."""

from __future__ import annotations

import csv
import os
import resource
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_values import is_fine_or_two_lines, texts
from recordings import flash_and_click, flash_frame, video_packets
from typer.testing import CliRunner

from avse.data.mixtures import generate, mixture_table, request
from avse.data.mixtures.recipes import MixtureConfig, clips_by_speaker, make_mixture
from avse.data.synthetic.clips import make_clip
from avse.data.synthetic.speech import speak
from avse.dsp.levels import rms
from avse.evaluation.corpora.corpus import Recipe, recognise
from avse.evaluation.corpora.layouts import LAYOUTS
from avse.io import audio_files, reader, remux
from avse.io.folders import LOCK, lock_folder
from avse_cli.main import app

RATE = 16000
pytestmark = pytest.mark.usefixtures("one_process")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VoxCeleb2's folders: three people seen, with two clips each, one without video, and a broken file."""
    tree = tmp_path_factory.mktemp("vox")
    for seed, name in enumerate(("id1/a/1", "id1/a/2", "id2/b/1", "id2/c/1", "id3/d/1", "id3/d/2")):
        path = tree / "dev" / "mp4" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_clip(path, 0.7 + 0.1 * seed, seed, size=(64, 64))
    (tree / "dev" / "mp4" / "id2" / "broken.mp4").write_bytes(b"no film" * 99)
    return tree


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kinds of noise, one of them with a rumble far louder than itself."""
    folder = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    time = np.arange(2 * 48000) / 48000
    for kind in ("rain", "street"):
        (folder / kind).mkdir()
        waveform = 0.01 * rng.standard_normal(len(time)) + 0.4 * np.sin(2 * np.pi * 20 * time) * (kind == "street")
        soundfile.write(folder / kind / "1.wav", waveform, 48000)
    return folder


def mix(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["mix", *map(str, arguments), "-j", "1"])


def recipe(noise: Path) -> tuple[str | Path, ...]:
    return "--speakers", "3", "--level-db", "-9", "-3", "--noise", noise, "--noise-db", "-6", "-6", "-n", "3"


def kept(folder: Path) -> dict[str, bytes]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != LOCK]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def mixed(tree: Path, noise: Path, tmp_path_factory: pytest.TempPathFactory, one_process: None) -> Path:
    output = tmp_path_factory.mktemp("out") / "mixed"
    shown = mix(tree, output, *recipe(noise), "--seed", "5")
    assert "3 mixtures in" in shown.stdout, shown.output
    return output


def rows_of(folder: Path) -> dict[str, list[dict[str, str]]]:
    with (folder / "mixtures.csv").open(newline="", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    return {name: [row for row in rows if row["item"] == name] for name in dict.fromkeys(row["item"] for row in rows)}


def test_mixture_is_the_sum_of_its_parts_at_their_levels(mixed: Path) -> None:
    for name, rows in rows_of(mixed).items():
        parts = {
            role: audio_files.read_audio_file(mixed / role / f"{name}.wav") for role in ("s1", "s2", "s3", "noise")
        }
        mixture = audio_files.read_audio_file(mixed / "mix" / f"{name}.wav")
        assert np.abs(mixture - sum(parts.values())).max() < 4 / 32768
        assert np.abs(mixture).max() <= 0.91
        levels = {request.FOLDERS[row["role"]]: float(row["level_db"]) for row in rows}
        for role, part in parts.items():
            assert 20 * np.log10(rms(part) / rms(parts["s1"])) == pytest.approx(levels[role], abs=0.05)
        assert levels["noise"] == -6.0
        assert all(-9 <= levels[role] <= -3 for role in ("s2", "s3"))


def test_other_noise_makes_other_mixtures(mixed: Path, tree: Path, noise: Path, tmp_path: Path) -> None:
    other = shutil.copytree(noise, tmp_path / "noise")
    next(path for path in sorted(other.rglob("*")) if path.is_file()).rename(other / "new.wav")
    shown = mix(tree, mixed, *recipe(other), "--seed", "5")
    assert shown.exit_code == 2
    assert "contains other mixtures" in shown.stderr


def test_every_source_is_named_with_its_place(mixed: Path, tree: Path, noise: Path) -> None:
    for name, rows in rows_of(mixed).items():
        people = {row["speaker"] for row in rows if row["role"] != "noise"}
        assert len(people) == 3
        for row in rows:
            file = (noise if row["role"] == "noise" else tree) / row["file"]
            first, start, length = (
                round(float(row[key]) * RATE) for key in ("offset_seconds", "start_seconds", "seconds")
            )
            whole = audio_files.read_audio_file(file)[first : first + length]
            inside = audio_files.read_audio_file(mixed / request.FOLDERS[row["role"]] / f"{name}.wav")[
                start : start + length
            ]
            if row["role"] != "noise" and length > 2000:
                assert np.corrcoef(whole, inside)[0, 1] > 0.999


def test_noise_level_counts_audible_frequencies(mixed: Path) -> None:
    for name in rows_of(mixed):
        spectrum = np.abs(np.fft.rfft(audio_files.read_audio_file(mixed / "noise" / f"{name}.wav"))) ** 2
        low = int(60 * len(audio_files.read_audio_file(mixed / "noise" / f"{name}.wav")) / RATE)
        assert spectrum[:low].sum() < 0.05 * spectrum.sum()


def test_video_shows_the_target_over_the_mixture(mixed: Path, tree: Path) -> None:
    for name, rows in rows_of(mixed).items():
        video = mixed / "video" / f"{name}.mkv"
        assert np.array_equal(
            audio_files.read_audio_file(video), audio_files.read_audio_file(mixed / "mix" / f"{name}.wav")
        )
        assert video_packets(video) == video_packets(tree / rows[0]["file"])[: len(video_packets(video))]


def test_same_seed_gives_the_same_bytes_and_another_seed_others(
    mixed: Path, tree: Path, noise: Path, tmp_path: Path
) -> None:
    mix(tree, tmp_path / "again", *recipe(noise), "--seed", "5")
    mix(tree, tmp_path / "other", *recipe(noise), "--seed", "6")
    assert kept(tmp_path / "again") == kept(mixed)
    assert kept(tmp_path / "other").keys() != kept(mixed).keys()


def test_goes_on_where_it_stopped(mixed: Path, tree: Path, noise: Path, tmp_path: Path) -> None:
    output = tmp_path / "mixed"
    shutil.copytree(mixed, output)
    names = list(rows_of(mixed))
    lines = (output / "mixtures.csv").read_text().splitlines(keepends=True)
    (output / "mixtures.csv").unlink()
    torn = [line for line in lines if line.startswith(names[1])]
    (output / "mixtures.part.csv").write_text("".join([*lines[1 : lines.index(torn[0])], *torn])[:-5])
    (output / "s2" / f"{names[2]}.wav").unlink()
    kept_time = (output / "mix" / f"{names[0]}.wav").stat().st_mtime_ns
    mix(tree, output, *recipe(noise), "--seed", "5")
    assert kept(output) == kept(mixed)
    assert (output / "mix" / f"{names[0]}.wav").stat().st_mtime_ns == kept_time


def test_more_of_the_same_keeps_what_is_there(tree: Path, tmp_path: Path) -> None:
    mix(tree, tmp_path / "m", "-n", "1")
    first = kept(tmp_path / "m")
    assert mix(tree, tmp_path / "m", "-n", "2").exit_code in (0, 1)
    second = kept(tmp_path / "m")
    assert len(rows_of(tmp_path / "m")) == 2
    assert {name: second[name] for name in first if name.endswith((".wav", ".mkv"))}.items() <= first.items()


def test_lips_and_audio_stay_in_sync(tmp_path: Path) -> None:
    """A flash and a click at once, in a video whose audio begins later."""
    for delay in (0.0, 0.2):
        clip = flash_and_click(tmp_path / f"clip{delay}.mp4", audio_delay=delay, start=0.6, seconds=1.2)
        waveform = audio_files.read_audio_file(clip)
        audio_files.write_audio_file(tmp_path / "audio.wav", waveform)
        remux.mux_audio_under_video(clip, tmp_path / "audio.wav", tmp_path / f"film{delay}.mkv")
        video = tmp_path / f"film{delay}.mkv"
        assert flash_frame(video) == flash_frame(clip)
        assert int(np.argmax(np.abs(audio_files.read_audio_file(video)))) == int(np.argmax(np.abs(waveform)))
        assert len(reader.load_audio(reader.probe(video))) == len(waveform)


def test_muse_folder_is_read_back_with_its_mixtures_or_without(tree: Path, tmp_path: Path) -> None:
    shown = mix(tree, tmp_path / "muse", "--layout", "muse", "-n", "2", "--level-db", "-5", "5", "--speakers", "3")
    assert "2 mixtures in" in shown.stdout, shown.output
    with (tmp_path / "muse" / "mixture_data_list_3mix.csv").open() as file:
        assert [len(row) for row in csv.reader(file)] == [14, 14]
    found = recognise(tmp_path / "muse", LAYOUTS)
    assert (found.layout, len(found.items)) == ("muse", 2)
    stored = [audio_files.read_audio_file(item.mixture) for item in found.items if isinstance(item.mixture, Path)]
    assert all(item.video and item.reference and item.reference.is_file() for item in found.items)
    shutil.rmtree(tmp_path / "muse" / "audio_mixture")
    bare = recognise(tmp_path / "muse", LAYOUTS)
    made = [item.mixture.make() for item in bare.items if isinstance(item.mixture, Recipe)]
    for before, after in zip(stored, made, strict=True):
        assert len(before) == len(after)
        assert np.abs(before - after).max() < 2e-3


def test_short_voice_is_made_long_enough(tmp_path: Path) -> None:
    for name, seconds in (("a/1", 2.0), ("b/1", 0.5), ("b/2", 0.7)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / f"{name}.wav", speak(seconds, seed=len(name)).waveform, RATE)
    config = MixtureConfig(seconds=1.5, seed=1)
    mixture = make_mixture(config, clips_by_speaker(tmp_path), {}, 0)
    assert {len(waveform) for waveform in mixture.roles.values()} == {24000}
    assert [part.role for part in mixture.parts][:1] == ["target"]
    assert sum(part.length for part in mixture.parts if part.role == "talker1") == 24000


def test_broken_clip_is_passed_over_and_reported(tree: Path, tmp_path: Path) -> None:
    shown = mix(tree, tmp_path / "m", "-n", "8", "--seed", "1")
    assert shown.exit_code == 1
    assert "clips skipped" in shown.stdout
    assert "broken.mp4" in (tmp_path / "m" / "bad.csv").read_text()
    assert len(rows_of(tmp_path / "m")) == 8


def test_mixture_that_cannot_be_made_is_reported_and_the_others_are_made(tmp_path: Path) -> None:
    for person, waveform in (("a", speak(1.0).waveform), ("b", speak(1.0, seed=1).waveform), ("c", np.zeros(RATE))):
        (tmp_path / "tree" / person).mkdir(parents=True)
        soundfile.write(tmp_path / "tree" / person / "1.wav", waveform, RATE)
    shown = mix(tmp_path / "tree", tmp_path / "m", "-n", "6")
    rows = rows_of(tmp_path / "m")
    assert shown.exit_code == 1
    assert 0 < len(rows) < 6
    assert f"{6 - len(rows)} failed" in shown.stdout
    assert all("c" not in name.split("-") for name in rows)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--speakers", "4"], "3 speakers"),
        (["--speakers", "1"], "not a mixture"),
        (["--level-db", "3", "-3"], "lower end first"),
        (["--noise-db", "0", "0"], "--noise DIR"),
        (["--layout", "zip"], "zip"),
        (["--layout", "muse", "--noise", "."], "talkers only"),
        (["--noise", "empty"], "No audio files"),
        (["--seconds", "0.1"], "too short"),
    ],
)
def test_wrong_usage_is_2(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    shown = mix(tree, "out", *options)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert words in shown.stderr
    assert len(shown.stderr.splitlines()) == 2


def test_folder_of_something_else_is_never_touched(tree: Path, mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "mine.txt").write_text("mine")
    for force in ([], ["--force"]):
        assert mix(tree, tmp_path, *force).exit_code == 2
    assert kept(tmp_path) == {"noise/mine.txt": b"mine"}
    before = kept(mixed)
    assert "--force" in mix(tree, mixed, "--seed", "9").stderr
    assert kept(mixed) == before


def say(folder: Path, *people: str) -> Path:
    """A clip of a second for each of these people."""
    for seed, person in enumerate(people):
        audio_files.write_audio_file(folder / person / "1.wav", speak(1.0, seed=seed).waveform)
    return folder


@pytest.mark.parametrize("inside", ["clips/mixtures", "clips/a/mixtures", "noise/mixtures", "elsewhere/../clips/m"])
def test_mixtures_inside_an_input_are_no_input(tmp_path: Path, inside: str) -> None:
    clips, noise = say(tmp_path / "clips", "a", "b"), say(tmp_path / "noise", "rain")
    output = tmp_path / inside
    (tmp_path / "elsewhere").mkdir()
    for count, options in ((1, []), (2, []), (2, ["--force"])):
        assert mix(clips, output, "--noise", noise, "-n", str(count), *options).exit_code == 0
        assert len(rows_of(output)) == count
    files = {row["file"] for rows in rows_of(output).values() for row in rows}
    assert files == {"a/1.wav", "b/1.wav", "rain/1.wav"}


def test_a_folder_whose_name_begins_like_the_outputs_is_still_an_input(tmp_path: Path) -> None:
    clips = say(tmp_path / "clips", "a", "ab")
    assert mix(clips, clips / "a" / "m", "-n", "1").exit_code == 0
    assert set(clips_by_speaker(clips, clips / "a")) == {"ab"}


def test_voxceleb2_is_mixed_from_its_test_speakers(tmp_path: Path) -> None:
    tree = tmp_path / "vox"
    say(tree / "dev" / "mp4", "id1", "id2")
    say(tree / "test" / "mp4", "id3", "id4")
    shown = mix(tree, tmp_path / "m", "-n", "1")
    assert shown.stdout == f"1 mixtures in {tmp_path / 'm'} of clips in {tree / 'test' / 'mp4'}\n"
    assert {row["speaker"] for rows in rows_of(tmp_path / "m").values() for row in rows} == {"id3", "id4"}


def test_an_input_is_no_output(tmp_path: Path) -> None:
    clips = say(tmp_path / "clips", "a", "b")
    before = kept(clips)
    (tmp_path / "link").symlink_to(clips)
    for output in (clips, tmp_path / "link"):
        shown = mix(clips, output, "--force")
        assert shown.exit_code == 2
        assert "is the input folder itself" in shown.stderr
    assert kept(clips) == before


def test_force_removes_no_input(tmp_path: Path) -> None:
    clips = say(tmp_path / "clips", "a", "b")
    assert mix(clips, tmp_path / "m", "-n", "1").exit_code == 0
    moved = clips.rename(tmp_path / "m" / "clips")
    before = kept(tmp_path / "m")
    shown = mix(moved, tmp_path / "m", "-n", "1", "--force")
    assert (shown.exit_code, "which would be removed" in shown.stderr) == (2, True)
    assert kept(tmp_path / "m") == before


def test_audio_files_whose_names_are_not_text_are_mixed(tmp_path: Path) -> None:
    clips = say(tmp_path / "clips", "fils", os.fsdecode(b"p\xe8re"))
    assert mix(clips, tmp_path / "m", "-n", "2").exit_code == 0
    files = {os.fsencode(row["file"]) for rows in rows_of(tmp_path / "m").values() for row in rows}
    assert files == {b"p\xe8re/1.wav", b"fils/1.wav"}


def test_names_that_are_no_text_are_kept_byte_for_byte(tree: Path, tmp_path: Path) -> None:
    clip = (tree / "dev" / "mp4" / "id1" / "a" / "1.mp4").read_bytes()
    for person, video in ((b"p\xe8re", clip), (b"fils", clip), (b"m\xe8re", b"no film" * 99)):
        path = tmp_path / "clips" / os.fsdecode(person) / os.fsdecode(b"\xff.mp4")
        path.parent.mkdir(parents=True)
        path.write_bytes(video)
    for count in ("6", "8"):  # the second time the first ones are read back
        assert mix(tmp_path / "clips", tmp_path / "m", "-n", count).exit_code == 1
        files = {os.fsencode(row["file"]) for rows in rows_of(tmp_path / "m").values() for row in rows}
        assert files == {b"p\xe8re/\xff.mp4", b"fils/\xff.mp4"}
        assert b"m\xe8re/\xff.mp4 is not a recording" in (tmp_path / "m" / "bad.csv").read_bytes()


def test_force_makes_other_mixtures_in_the_same_folder(tree: Path, tmp_path: Path) -> None:
    mix(tree, tmp_path / "m", "-n", "1", "--seed", "1")
    shown = mix(tree, tmp_path / "m", "-n", "1", "--seed", "2", "--force", "--quiet")
    assert shown.output == ""
    assert len(list((tmp_path / "m" / "mix").iterdir())) == 1


# Damaged, crowded and odd folders -----------------------------------------------------------------------------------


@pytest.fixture
def copied(mixed: Path, tmp_path: Path) -> Path:
    shutil.copytree(mixed, tmp_path / "mixed")
    return tmp_path / "mixed"


@pytest.mark.parametrize("name", ["mixtures.csv", "mixtures.part.csv"])
@pytest.mark.parametrize(
    "line",
    [
        "one", "a,b,c", "00000-x,target,id1,a.mp4,x,0,1,0", "00000-x,singer,id1,a.mp4,0,0,1,0",
        "../x,target,id1,a.mp4,0,0,1,0", "00000-x,target,id1,a.mp4,0,0,nan,0", ",target,id1,a.mp4,0,0,1,0",
        '"open', "a\0b,target,id1,a.mp4,0,0,1,0",
    ],
)  # fmt: skip
def test_damaged_row_is_named_and_nothing_is_overwritten(
    name: str, line: str, copied: Path, tree: Path, noise: Path
) -> None:
    before = (copied / "mixtures.csv").read_text()
    (copied / name).write_text(f"{before}{line}\n")
    shown = mix(tree, copied, *recipe(noise), "--seed", "5")
    assert (shown.exit_code, len(shown.stderr.splitlines())) == (2, 2)
    assert f"{name}, line {before.count(chr(10)) + 1}," in shown.stderr
    assert (copied / name).read_text() == f"{before}{line}\n"


def test_damaged_bad_csv_is_named(copied: Path, tree: Path, noise: Path) -> None:
    (copied / "bad.csv").write_text("source,problem\none\n")
    shown = mix(tree, copied, *recipe(noise), "--seed", "5")
    assert (shown.exit_code, "bad.csv, line 2," in shown.stderr) == (2, True)


def test_a_second_run_on_one_folder_is_refused(copied: Path, tree: Path, noise: Path) -> None:
    before = kept(copied)
    with lock_folder(copied):
        shown = mix(tree, copied, *recipe(noise), "--seed", "5", "--force")
    assert (shown.exit_code, "already in use" in shown.stderr) == (2, True)
    assert kept(copied) == before


def test_force_removes_the_mixtures_and_nothing_else(copied: Path, tree: Path, noise: Path) -> None:
    (copied / "notes.txt").write_text("mine")
    assert mix(tree, copied, *recipe(noise), "--seed", "6", "--force").exit_code == 1  # a broken clip is passed over
    assert (copied / "notes.txt").read_text() == "mine"
    assert len(list((copied / "mix").iterdir())) == 3


@pytest.mark.parametrize("name", ["mix", "s1", "video", "mixtures.csv", "mixtures.json", "bad.csv"])
def test_links_in_the_folder_are_not_followed(name: str, copied: Path, tree: Path, noise: Path, tmp_path: Path) -> None:
    (copied / name).rename(tmp_path / "elsewhere")
    (copied / name).symlink_to(tmp_path / "elsewhere")
    before = kept(tmp_path / "elsewhere") or (tmp_path / "elsewhere").read_bytes()
    for force in ([], ["--force"]):
        shown = mix(tree, copied, *recipe(noise), "--seed", "5", *force)
        assert (shown.exit_code, "symbolic link" in shown.stderr) == (2, True)
    assert (kept(tmp_path / "elsewhere") or (tmp_path / "elsewhere").read_bytes()) == before


def test_leftovers_of_a_killed_run_are_swept(copied: Path, tree: Path, noise: Path) -> None:
    (copied / "s1" / ".00000-id1-id2.0123abcd.part.wav").touch()
    mix(tree, copied, *recipe(noise), "--seed", "5")
    assert not list(copied.rglob(".*.part*"))


def test_names_that_are_no_text_or_formulas_come_back(tmp_path: Path) -> None:
    odd = os.fsdecode(b"=caf\xe9")
    for speaker, seed in (("A", 1), (odd, 2)):
        (tmp_path / "clips" / speaker).mkdir(parents=True)
        make_clip(tmp_path / "clips" / speaker / f"{odd}.mp4", 0.7, seed, size=(64, 64))
    for _ in range(2):
        assert mix(tmp_path / "clips", tmp_path / "mixed", "-n", "2", "-q").exit_code == 0
    rows = mixture_table.read_rows(tmp_path / "mixed")
    assert {row["speaker"] for parts in rows.values() for row in parts} == {"A", odd}
    assert b",'=caf\xe9," in (tmp_path / "mixed" / "mixtures.csv").read_bytes()
    assert len(recognise(tmp_path / "mixed", LAYOUTS).items) == 2


@pytest.mark.usefixtures("worker_processes")
def test_disk_that_fills_up_stops_and_a_second_run_goes_on(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the list that this process writes, and in what a worker writes."""
    with monkeypatch.context() as patch:
        patch.setattr(generate.atomic, "open_for_filenames", lambda path: open("/dev/full", "w"))  # noqa: SIM115
        shown = mix(tree, tmp_path / "out", "-n", "1")
    assert (shown.exit_code, len(shown.stderr.splitlines())) == (3, 2)
    assert "No space left" in shown.stderr
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, limits[1]))
    try:
        shown = mix(tree, tmp_path / "other", "-n", "1", "-q")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert shown.exit_code == 3
    assert "Free some disk space" in shown.stderr
    assert not [name for name in kept(tmp_path / "other") if name.endswith((".wav", ".mkv"))]
    for name in ("out", "other"):
        assert "1 mixtures in" in mix(tree, tmp_path / name, "-n", "1").stdout
        assert len(rows_of(tmp_path / name)) == 1


CELLS = st.sampled_from(["00000-a-b", "target", "noise", "id1", "a/1.mp4", "0.0", "1.5", "-3", "nan", "", "'", '"'])


@settings(max_examples=40)
@given(rows=st.lists(st.lists(CELLS | texts, min_size=7, max_size=9), max_size=3), end=st.sampled_from(["", "\n"]))
def test_any_list_of_mixtures_is_read_or_refused_in_two_lines(rows: list[list[str]], end: str, tmp_path: Path) -> None:
    for name in ("mixtures.csv", "mixtures.part.csv"):
        text = "\n".join(",".join(row) for row in rows) + end
        (tmp_path / name).write_text(text, errors="surrogatepass")
    assert is_fine_or_two_lines(lambda: mixture_table.read_rows(tmp_path))
