"""Batches of mixtures for training: example i of a seed is always the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from avse.data.online_mixing import Mixer
from avse.errors import AvseError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Batch:
    """Hold mixtures and targets (B, N) at 16 kHz, crops uint8 (B, V, 88, 88), seen (B, V)."""

    mixture: Tensor
    target: Tensor
    crops: Tensor
    seen: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on another device."""
        return Batch(*(value.to(device) for value in (self.mixture, self.target, self.crops, self.seen)))


class Batches(Dataset[Batch]):
    """Make batches: number i has examples i * size ... (i + 1) * size - 1 of a seed, or one of equal shares of them.

    Args:
        mixer: makes the examples.
        seed: of the examples.
        batch_size: examples in a batch, all shares together; a multiple of ``num_shares``.
        first: number of the first batch.
        last: number of the batch after the last one.
        share: which share, counted from 0: of four shares of a batch of 16, share 1 holds examples 4 to 7.
        num_shares: how many shares there are.
    """

    def __init__(
        self, mixer: Mixer, seed: int, batch_size: int, first: int, last: int, share: int = 0, num_shares: int = 1
    ) -> None:
        assert batch_size % num_shares == 0
        self.mixer, self.seed, self.batch_size, self.first, self.last = mixer, seed, batch_size, first, last
        size = batch_size // num_shares
        self._offsets = range(share * size, (share + 1) * size)

    def __len__(self) -> int:
        return max(0, self.last - self.first)

    def __getitem__(self, index: int) -> Batch:
        if index >= len(self):
            raise IndexError(index)
        start = (self.first + index) * self.batch_size
        examples = [self.mixer.example(self.seed, start + offset) for offset in self._offsets]
        columns = zip(*((item.mixture, item.target, item.lips, item.seen) for item in examples), strict=True)
        return Batch(*(torch.stack([torch.from_numpy(array) for array in column]) for column in columns))


class Rows(Dataset[list[Batch]]):
    """Combine several streams: row number i has batch i of each."""

    def __init__(self, *streams: Batches) -> None:
        self.streams = streams

    def __len__(self) -> int:
        return min(len(stream) for stream in self.streams)

    def __getitem__(self, index: int) -> list[Batch]:
        return [stream[index] for stream in self.streams]


def count_workers(wanted: int, num_devices: int) -> int:
    """Return the number of loader processes per device: the given number or, for -1, one by the cores of this machine.

    One core of each device's share is left to the process that trains; more than 8 loaders are never started.
    """
    if wanted >= 0:
        return wanted
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(0, min(8, cores // num_devices - 1))


def loader(batches: Dataset[Item], num_workers: int) -> Iterator[Item]:
    """Yield batches, or rows of them, in order; loader processes work ahead. Raises what reading them raises."""
    answers = _Answers(batches)
    for item in torch.utils.data.DataLoader(answers, batch_size=None, shuffle=False, num_workers=num_workers):
        if isinstance(item, AvseError):
            raise item
        yield item


class _Answers(Dataset[Item | AvseError]):
    """Give an error as an item: raised in a loader process it would arrive as text in a RuntimeError."""

    def __init__(self, batches: Dataset[Item]) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Item | AvseError:
        try:
            return self._batches[index]
        except AvseError as error:
            return error
