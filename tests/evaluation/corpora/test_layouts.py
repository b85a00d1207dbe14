"""Folders of mixtures as the field keeps them: each is recognised, and every item leads to its files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from odd_values import is_fine_or_two_lines, json_values

from avse.dsp.levels import rms
from avse.errors import InputError, UsageError
from avse.evaluation.corpora.corpus import Found, Item, Recipe, choose, fingerprint, recognise
from avse.evaluation.corpora.layouts import LAYOUTS
from avse.io import audio_files

FIRST, SECOND = ("id00012", "21Uxsk56VDQ", "00001"), ("id08696", "tt_SQacqn-A", "00472")


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def noise(path: Path, num_samples: int = 1600, seed: int = 0, level: float = 0.1) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, level * np.random.default_rng(seed).standard_normal(num_samples), 16000)
    return audio_files.read_audio_file(path)


def find(folder: Path, **options: object) -> Found:
    return recognise(folder, LAYOUTS, **options)  # type: ignore[arg-type]


def mixture_of(item: Item) -> Path:
    assert isinstance(item.mixture, Path)
    return item.mixture


def videos(folder: Path) -> Path:
    """VoxCeleb2's videos of two clips."""
    touch(*(folder / "test" / "mp4" / speaker / video / f"{number}.mp4" for speaker, video, number in (FIRST, SECOND)))
    return folder


# 1. MuSE, USEV, ClearVoice


@pytest.fixture
def muse(tmp_path: Path) -> Path:
    row = "test,test,id08696,ttUSQacqnRA/00472,0,test,id00817,EPPT9urr8Ew/00099,6.0,0.05\n"
    (tmp_path / "mixture_data_list_2mix.csv").write_text(row + row.replace("test", "train", 1))
    noise(tmp_path / "audio_clean/test/id08696/ttUSQacqnRA/00472.wav", 1600, 0, 0.02)
    noise(tmp_path / "audio_clean/test/id00817/EPPT9urr8Ew/00099.wav", 1200, 1, 0.2)
    touch(tmp_path / "orig/test/id08696/ttUSQacqnRA/00472.mp4")
    return tmp_path


def test_muse_mixture_that_is_in_no_file_is_mixed_by_its_recipe(muse: Path) -> None:
    found = find(muse)
    assert found.layout == "muse"
    assert [item.subset for item in found.items] == ["test", "train"]
    item = found.items[0]
    assert item.reference == muse / "audio_clean/test/id08696/ttUSQacqnRA/00472.wav"
    assert item.video == muse / "orig/test/id08696/ttUSQacqnRA/00472.mp4"
    assert isinstance(item.mixture, Recipe)
    target, other = (audio_files.read_audio_file(path) for path in item.mixture.sources)
    scaled = other * 10 ** (6 / 20) * rms(target) / rms(other)
    expected = target[:800] + scaled[:800]
    assert item.mixture.make() == pytest.approx(expected / np.abs(expected).max(), abs=1e-5)


def test_muse_mixture_that_is_in_a_file_is_taken(muse: Path) -> None:
    name = "test_test_id08696_ttUSQacqnRA_00472_0_test_id00817_EPPT9urr8Ew_00099_6.0_0.05"
    touch(muse / "audio_mixture/2_mix_min_800/test" / f"{name}.wav")
    item = find(muse).items[0]
    assert (item.name, mixture_of(item).name) == (name, f"{name}.wav")


def test_muse_of_three_talkers_and_a_missing_source(muse: Path) -> None:
    talkers = "test,id1,a/1,0,test,id2,b/2,-3.5,test,id3,c/3,2"
    (muse / "mixture_data_list_3mix.csv").write_text(f"test,{talkers},4.8\n")
    found = find(muse)
    assert [item.subset for item in found.items] == ["2mix/test", "2mix/train", "3mix/test"]
    recipe = found.items[-1].mixture
    assert isinstance(recipe, Recipe)
    assert (len(recipe.sources), recipe.levels_db, recipe.seconds) == (3, (0.0, -3.5, 2.0), 4.8)
    with pytest.raises(InputError, match="id1/a/1"):
        recipe.make()


# 2. look2hear


def look2hear_name() -> str:
    return "_".join((*FIRST, "1.5", *SECOND, "-1.5"))


@pytest.mark.parametrize("inside", ["wav16k/min/tt", "min/tt", "tt", ""])
def test_look2hear_scores_both_speakers(tmp_path: Path, inside: str) -> None:
    root, name = tmp_path / "data" / inside, look2hear_name()
    touch(*(root / kind / f"{name}.wav" for kind in ("mix", "s1", "s2")))
    found = find(tmp_path / "data", videos=videos(tmp_path / "videos"))
    assert found.layout == "look2hear"
    assert [item.name for item in found.items] == [f"{name}-s1", f"{name}-s2"]
    assert [item.subset for item in found.items] == ["tt" if inside else ""] * 2
    assert [item.reference for item in found.items] == [root / "s1" / f"{name}.wav", root / "s2" / f"{name}.wav"]
    shown = [item.video and item.video.relative_to(tmp_path / "videos/test/mp4").parts[0] for item in found.items]
    assert shown == ["id00012", "id08696"]
    assert [item.video for item in find(tmp_path / "data").items] == [None, None]


def test_look2hear_by_its_lists_whose_paths_are_of_another_machine(tmp_path: Path) -> None:
    name = look2hear_name()
    for kind in ("mix", "s1", "s2"):
        rows = [
            [f"/elsewhere/tt/{kind}/{name}.wav", 100] if kind == "mix" else [f"/elsewhere/{name}.wav", "x.npz", 100]
        ]
        (tmp_path / "tt").mkdir(exist_ok=True)
        (tmp_path / "tt" / f"{kind}.json").write_text(json.dumps(rows))
    items = find(tmp_path).items
    assert mixture_of(items[0]) == tmp_path / "tt/mix" / f"{name}.wav"
    assert [item.reference for item in items] == [tmp_path / "tt" / kind / f"{name}.wav" for kind in ("s1", "s2")]


# 3. AV-SepFormer, 4. VisualVoice


def test_av_sepformer(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "#".join("_".join(clip) for clip in (FIRST, SECOND))
    touch(*(folder / name for name in ("mixture.wav", "s0.wav", "s1.wav")))
    found = find(tmp_path / "data", videos=videos(tmp_path / "videos"))
    assert found.layout == "av-sepformer"
    assert [item.reference for item in found.items] == [folder / "s0.wav", folder / "s1.wav"]
    assert [item.video and item.video.stem for item in found.items] == ["00001", "00472"]


def test_visualvoice_results(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        touch(*(tmp_path / folder / f"audio{name}.wav" for name in ("_mixed", "1", "2", "1_separated")))
    found = find(tmp_path)
    assert found.layout == "visualvoice"
    assert [item.name for item in found.items] == ["first-1", "first-2", "second-1", "second-2"]
    assert found.items[1].reference == tmp_path / "first" / "audio2.wav"


def test_visualvoice_tree_is_mixed_in_pairs(tmp_path: Path) -> None:
    waves = {}
    for seed, (speaker, number) in enumerate((("id1", "00001"), ("id1", "00002"), ("id2", "00001"))):
        place = f"seen_heard_test/{speaker}/aaaaaaaaaaa/{number}"
        path = tmp_path / "VoxCeleb2" / "audio" / f"{place}.wav"
        waves[path] = noise(path, 1600 - 100 * seed, seed)
        touch(tmp_path / "VoxCeleb2" / "mp4" / f"{place}.mp4")
    found = find(tmp_path)
    assert (found.layout, len(found.items)) == ("visualvoice", 3)
    for item in found.items:
        assert isinstance(item.mixture, Recipe)
        first, other = item.mixture.sources
        assert first == item.reference
        assert first.parts[-3] != other.parts[-3]
        length = min(len(waves[first]), len(waves[other]))
        assert item.mixture.make() == pytest.approx((waves[first][:length] + waves[other][:length]) / 2, abs=1e-6)
        assert item.video is not None
    assert find(tmp_path) == found


def test_visualvoice_partner_is_drawn_among_all_clips_of_others(tmp_path: Path) -> None:
    names = [f"{speaker}/{video}/1.wav" for speaker in ("id1", "id1-a", "id10", "id2") for video in "abc"]
    touch(*(tmp_path / "audio/test" / name for name in names), tmp_path / "mp4/x")
    rng = np.random.default_rng(0)
    expected = []
    for name in names:
        others = [other for other in names if other.split("/")[0] != name.split("/")[0]]
        expected.append(others[int(rng.integers(len(others)))])
    recipes = [item.mixture for item in find(tmp_path).items]
    assert [
        str(made.sources[1].relative_to(tmp_path / "audio/test")) for made in recipes if isinstance(made, Recipe)
    ] == (expected)


# 5. and 6. AVSEC


def test_avsec_whose_eval_split_has_no_target(tmp_path: Path) -> None:
    for split, kinds in (("dev", ("mixed", "target", "interferer")), ("eval", ("mixed",))):
        touch(*(tmp_path / split / "scenes" / f"S37890_{kind}.wav" for kind in kinds))
        touch(tmp_path / split / "scenes" / "S37890_silent.mp4")
    found = find(tmp_path)
    assert found.layout == "avsec"
    assert [(item.subset, item.name) for item in found.items] == [("dev", "S37890"), ("eval", "S37890")]
    assert found.items[0].reference == tmp_path / "dev/scenes/S37890_target.wav"
    assert found.items[1].reference is None
    assert all(item.video and item.video.name == "S37890_silent.mp4" for item in found.items)
    assert [item.subset for item in find(tmp_path / "eval").items] == [""]
    assert len(find(tmp_path / "eval" / "scenes").items) == 1


def test_avsec4_takes_one_channel_before_two(tmp_path: Path) -> None:
    touch(*(tmp_path / "scenes" / f"S00001_{kind}.wav" for kind in ("mono_mix", "mix", "target_anechoic")))
    touch(*(tmp_path / "scenes" / f"S00002_{kind}.wav" for kind in ("mix", "target_anechoic")))
    found = find(tmp_path)
    assert found.layout == "avsec4"
    assert [mixture_of(item).name for item in found.items] == ["S00001_mono_mix.wav", "S00002_mix.wav"]
    assert found.items[0].reference == tmp_path / "scenes/S00001_target_anechoic.wav"


# 7. Plain pairs


def test_noisy_and_clean(tmp_path: Path) -> None:
    touch(tmp_path / "noisy/a.wav", tmp_path / "noisy/b.wav", tmp_path / "clean/a.wav", tmp_path / "noisy/notes.txt")
    found = find(tmp_path)
    assert found.layout == "pairs"
    assert [item.name for item in found.items] == ["a", "b"]
    assert found.items[1].reference == tmp_path / "clean/b.wav"  # it is not there, and has to be reported


def test_video_of_the_mixture_and_lists_as_subsets(tmp_path: Path) -> None:
    touch(*(tmp_path / name / "mix/x.mkv" for name in ("one", "two")), tmp_path / "mixtures.csv")
    touch(*(tmp_path / name / kind for name in ("one", "two") for kind in ("s1/x.flac", "s2/x.flac")))
    found = find(tmp_path)
    assert [(item.subset, item.name) for item in found.items] == [("one", "x"), ("two", "x")]
    assert found.items[0].video == found.items[0].mixture == tmp_path / "one/mix/x.mkv"


def test_videos_of_both_talkers(tmp_path: Path) -> None:
    touch(tmp_path / "mix/x.wav", tmp_path / "s1/x.mp4", tmp_path / "s2/x.mp4")
    items = find(tmp_path).items
    assert [item.name for item in items] == ["x", "x-s2"]
    assert [item.video for item in items] == [tmp_path / "s1/x.mp4", tmp_path / "s2/x.mp4"]
    assert not any(item.is_dubbed for item in items)


def test_a_video_apart_is_shown_under_the_mixture(tmp_path: Path) -> None:
    touch(tmp_path / "noisy/x.wav", tmp_path / "clean/x.wav", tmp_path / "video/x.mp4")
    (item,) = find(tmp_path).items
    assert (item.video, item.is_dubbed) == (tmp_path / "video/x.mp4", False)


# 8. VoxCeleb2, and all that is none of these


@pytest.mark.parametrize("inside", ["dev/mp4/id00012/21Uxsk56VDQ", "mp4/id00012/21Uxsk56VDQ", "dev/aac/id00012/a"])
def test_voxceleb2_itself_is_for_avse_mix(tmp_path: Path, inside: str) -> None:
    touch(tmp_path / inside / "00001.mp4")
    with pytest.raises(UsageError, match=f"avse mix {tmp_path / inside.partition('/id')[0]} "):
        find(tmp_path)


def test_mixtures_for_evaluation_are_to_be_made_of_the_test_speakers(tmp_path: Path) -> None:
    touch(*(tmp_path / split / "mp4/id1/a/1.mp4" for split in ("dev", "test")))
    with pytest.raises(UsageError, match=r"avse mix .*/test/mp4 "):
        find(tmp_path)


def empty(folder: Path) -> Path:
    return folder


def no_folder(folder: Path) -> Path:
    return folder / "nowhere"


def only_clean(folder: Path) -> Path:
    touch(folder / "clean/a.wav")
    return folder


@pytest.mark.parametrize("make", [empty, no_folder, only_clean])
def test_folder_of_anything_else(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    with pytest.raises(UsageError, match=r"no mixtures|no folder"):
        find(make(tmp_path))


def test_layout_can_be_given(tmp_path: Path) -> None:
    name = look2hear_name()
    touch(*(tmp_path / kind / f"{name}.wav" for kind in ("mix", "s1", "s2")))
    assert find(tmp_path).layout == "look2hear"
    assert find(tmp_path, layout="pairs").layout == "pairs"
    with pytest.raises(UsageError, match="layout muse"):
        find(tmp_path, layout="muse")
    with pytest.raises(UsageError, match="'zip'"):
        find(tmp_path, layout="zip")


def test_subsets_for_training_are_left_out_where_there_are_others() -> None:
    items = [Item(f"{index}", subset, Path("x"), None) for subset in ("2mix/train", "2mix/test") for index in range(3)]
    assert {item.subset for item in choose(items, None, None)} == {"2mix/test"}
    assert {item.subset for item in choose(items[:3], None, None)} == {"2mix/train"}
    assert [item.name for item in choose(items, ["2mix/train"], 2)] == ["0", "1"]
    with pytest.raises(UsageError, match="2mix/test"):
        choose(items, ["test"], None)


def test_a_fingerprint_changes_with_every_file_of_an_item(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("mixture", "reference", "video", "source")]
    touch(*files)
    mixture, reference, video, source = files
    for made in (mixture, Recipe((source, mixture))):
        item = Item("x", "", made, reference, video)
        known = {fingerprint(item), fingerprint(item)}
        for path in (mixture, reference, video):
            path.write_bytes(path.read_bytes() + b"x")
            known.add(fingerprint(item))
        assert len(known) == 4
    reference.unlink()
    assert fingerprint(item) not in known
    assert fingerprint(Item("x", "", tmp_path / ("n" * 300), None))  # no name of a file: its row will say so


# Damaged lists ------------------------------------------------------------------------------------------------------

MUSE_ROW = "test,test,id08696,ttUSQacqnRA/00472,0,test,id00817,EPPT9urr8Ew/00099,6.0,0.05"


@pytest.mark.parametrize(
    "line",
    [
        "test", "test,1.0", MUSE_ROW + ",more", MUSE_ROW.replace("6.0", "loud"), MUSE_ROW.replace("0.05", "nan"),
        MUSE_ROW.replace("0.05", "-1"), MUSE_ROW.replace("6.0", "1e9"), MUSE_ROW.replace("id00817", ""),
        MUSE_ROW.replace("EPPT9urr8Ew/00099", ".."), MUSE_ROW.replace("id00817", "\0"), '"' + MUSE_ROW,
    ],
)  # fmt: skip
def test_damaged_row_of_a_muse_list_is_named(muse: Path, line: str) -> None:
    listed = muse / "mixture_data_list_2mix.csv"
    listed.write_text(f"{MUSE_ROW}\n{line}\n")
    with pytest.raises(UsageError, match=r"mixture_data_list_2mix\.csv, line 2,") as caught:
        find(muse)
    assert len(str(caught.value).splitlines()) == 2


def test_lists_as_windows_writes_them(muse: Path) -> None:
    (muse / "mixture_data_list_2mix.csv").write_bytes(f"\ufeff{MUSE_ROW}\r\n\r\n".encode())
    assert [item.subset for item in find(muse).items] == ["test"]


@given(data=st.binary(max_size=200) | st.text(alphabet='test,"/\n\r.0123456789-\0', max_size=200).map(str.encode))
def test_any_list_is_read_or_refused_in_two_lines(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "mix").mkdir(exist_ok=True)
    for name in ("mixture_data_list_2mix.csv", "mixtures.csv"):
        for other in tmp_path.glob("*.csv"):
            other.unlink()
        (tmp_path / name).write_bytes(data)
        assert is_fine_or_two_lines(lambda: find(tmp_path))


@given(values=json_values | st.lists(st.lists(json_values, max_size=2), max_size=3))
def test_any_json_list_is_read_or_refused_in_two_lines(tmp_path: Path, values: object) -> None:
    (tmp_path / "tt").mkdir(exist_ok=True)
    (tmp_path / "tt" / "mix.json").write_text(json.dumps(values))
    assert is_fine_or_two_lines(lambda: find(tmp_path))
