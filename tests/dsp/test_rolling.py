"""Windows over a stream: every frame is returned once, in time, and with as much past as planned."""

from __future__ import annotations

import numpy as np
import pytest

from avse.dsp.overlap_add import CrossFade
from avse.dsp.rolling import RollingPlan, RowBuffer


@pytest.mark.parametrize("plan", [RollingPlan(20, 5, 2, 3), RollingPlan(10, 5, 2), RollingPlan(20, 15, 5)])
@pytest.mark.parametrize("num_frames", [1, 4, 9, 10, 11, 20, 21, 57])
def test_cross_faded_windows_are_the_stream(plan: RollingPlan, num_frames: int) -> None:
    stream, join, number, found = np.arange(num_frames)[:, None] + 1.0, CrossFade(plan.overlap), 0, []
    while (place := plan.place(number, num_frames)) is not None:
        assert place.stop - place.start <= plan.window
        assert place.start <= place.keep
        found.append(join.push(stream[place.keep : place.keep_stop]))
        held = place.stop - sum(map(len, found))
        assert place.stop == num_frames or held == plan.overlap + plan.lookahead
        number += 1
    tail = join.flush()
    np.testing.assert_allclose(np.concatenate([*found, *([] if tail is None else [tail])]), stream)


def test_buffer_keeps_the_numbers_of_its_rows() -> None:
    buffer = RowBuffer()
    for start in range(0, 40, 8):
        buffer.push(np.arange(start, start + 8)[:, None])
        if start == 16:
            np.testing.assert_array_equal(buffer.take(5, 20)[:, 0], np.arange(5, 20))
    np.testing.assert_array_equal(buffer.take(12, 40)[:, 0], np.arange(12, 40))
    buffer.pad(43)
    np.testing.assert_array_equal(buffer.take(38, 43)[:, 0], [38, 39, 0, 0, 0])
