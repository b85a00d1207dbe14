"""Signals that end a command: each raises in the main thread, with the exit code of shells; an ignored one stays so."""

from __future__ import annotations

import os
import signal

import pytest

from avse_cli.signals import STOPPING, Stopped, stopping_cleanly


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signal_is_raised_as_an_interruption(number: signal.Signals, code: int) -> None:
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(Stopped) as caught, stopping_cleanly():
            os.kill(os.getpid(), number)
        assert (caught.value.exit_code, signal.getsignal(number)) == (code, signal.SIG_DFL)
    finally:
        signal.signal(number, before)
    assert number in STOPPING


def test_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping_cleanly():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
