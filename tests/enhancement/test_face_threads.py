"""Several faces at the same time: the same results, in order, whatever the number of threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from small_world import tiny
from torch import nn

from avse.dsp.levels import compute_audio_stats
from avse.enhancement.face_threads import face_threads
from avse.enhancement.streaming import FaceStream, enhance_blocks
from avse.models.net import SpeechNet


@pytest.fixture
def threads() -> Iterator[None]:
    """Restore the number of PyTorch's threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(("num_threads", "num_faces", "each"), [(4, 2, 2), (3, 2, 1), (2, 5, 1), (4, 1, 4), (1, 3, 1)])
def test_the_threads_are_divided_among_the_faces(num_threads: int, num_faces: int, each: int) -> None:
    torch.set_num_threads(num_threads)
    with face_threads(nn.Linear(1, 1), num_faces) as in_parallel:
        found = list(in_parallel(lambda face: (face, torch.get_num_threads()), range(num_faces)))
    assert found == [(face, each) for face in range(num_faces)]
    assert torch.get_num_threads() == num_threads


@pytest.mark.usefixtures("threads")
def test_two_faces_run_at_the_same_time() -> None:
    torch.set_num_threads(2)
    both = threading.Barrier(2, timeout=60)
    with face_threads(nn.Linear(1, 1), 2) as in_parallel:
        list(in_parallel(lambda _: both.wait(), range(2)))


@pytest.mark.usefixtures("threads")
def test_threads_restored_after_an_error() -> None:
    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError), face_threads(nn.Linear(1, 1), 2) as in_parallel:
        list(in_parallel(lambda face: 1 // face, range(2)))
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("together", [False, True])
def test_voices_do_not_depend_on_the_number_of_threads(together: bool) -> None:
    net = SpeechNet(tiny("mmtm")).eval()
    rng = np.random.default_rng(5)
    audio = rng.standard_normal((16000 * 9, 1)).astype(np.float32) / 10
    mouths = rng.integers(1, 255, (3, 225, 1, 88, 88)).astype(np.float32)
    found = []
    for num_threads in (1, 3):
        torch.set_num_threads(num_threads)
        faces = [FaceStream(iter(mouth)) for mouth in mouths]
        outputs = [faces] if together else [[face] for face in faces]
        steps = enhance_blocks(net, [audio], 16000, compute_audio_stats([audio], 16000), outputs)
        found.append([np.concatenate(blocks) for blocks in zip(*steps, strict=True)])
    assert [voice.shape for voice in found[0]] == [audio.shape] * len(outputs)
    np.testing.assert_allclose(found[1], found[0], atol=1e-6)
