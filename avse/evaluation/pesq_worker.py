"""PESQ in a child process, because the library aborts its process on some inputs.

One child is started on first use and kept; a child that died is replaced at the next call. This file is also the
child's program: it reads pairs of 32-bit floats from standard input and writes one line of JSON for each.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from functools import cache
from typing import Any, BinaryIO

import numpy as np

SAMPLE_RATE = 16000


def pesq_wide_band(reference: np.ndarray, estimate: np.ndarray) -> float | None:
    """Compute wide-band PESQ (ITU-T P.862.2) of two arrays (N,) at 16 kHz; None if the reference has no utterance.

    Raises ValueError, with the reason, where PESQ fails or its process dies.
    """
    pair = np.stack([reference, estimate]).astype("<f4")
    answer = _child(os.getpid()).ask(pair)
    if answer.get("error") == "NoUtterancesError":
        return None
    if "error" in answer:
        raise ValueError(f"PESQ failed: {answer['error']}")
    return float(answer["score"])


class _Child:
    """Hold the child process and exchange one question and answer at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, pair: np.ndarray) -> dict[str, Any]:
        with self._lock:
            process = self._running()
            try:
                line = _exchange(process, pair)
            except BaseException:  # a partial exchange must not answer the next request
                self._end()
                raise
            if line:
                return json.loads(line)
            self._end()
            return {"error": f"its process died ({_cause_of_death(process.returncode)})"}

    def close(self) -> None:
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the parent
            )
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@cache
def _child(parent: int) -> _Child:
    """Return this process's own child: a forked copy must not write into its parent's pipe."""
    child = _Child()
    atexit.register(child.close)
    return child


def _exchange(process: subprocess.Popen[bytes], pair: np.ndarray) -> bytes:
    """Return the child's answer; empty if it died."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(pair.shape[1].to_bytes(8, "little") + pair.tobytes())
        process.stdin.flush()
    except BrokenPipeError:
        return b""
    line = process.stdout.readline()
    if not line:
        process.wait()
    return line


def _cause_of_death(returncode: int) -> str:
    return signal.Signals(-returncode).name if returncode < 0 else f"exit code {returncode}"


def _serve(questions: BinaryIO, answers: BinaryIO) -> None:
    while header := questions.read(8):
        num_samples = int.from_bytes(header, "little")
        pair = np.frombuffer(questions.read(2 * 4 * num_samples), "<f4").reshape(2, num_samples)
        answers.write(json.dumps(_answer(*pair)).encode() + b"\n")
        answers.flush()


def _answer(reference: np.ndarray, estimate: np.ndarray) -> dict[str, Any]:
    try:
        from pesq import pesq

        return {"score": float(pesq(SAMPLE_RATE, reference, estimate, "wb"))}
    except Exception as error:  # reported to the parent process, whatever it is
        name = type(error).__name__
        return {"error": name if name == "NoUtterancesError" else f"{name}: {error}"}


if __name__ == "__main__":
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # the library's own printing must not mix with the answers
    _serve(sys.stdin.buffer, stdout)
