"""Two steps on a small world, on as many devices as were started; each process keeps its weights.

torchrun --nproc-per-node 2 tests/helpers/two_ranks.py FACES OUTPUT
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from small_world import tiny

from avse.data.augmentation.mouth import LipAugment
from avse.data.dataset import Batches
from avse.data.mix_config import MixConfig
from avse.training import distributed
from avse.training import trainer as training_trainer
from avse.training.config import TrainConfig
from avse.training.data import TrainingData, training_mixers, training_rows
from avse.training.trainer import Trainer

STILL = LipAugment(*[0] * 8)
BASIS = TrainConfig(
    num_steps=2, batch_size=4, warmup_steps=1, num_validation_batches=1, learning_rate=2e-3, augment=STILL,
    model=tiny(), mix=MixConfig(num_frames=6, missing_video_probability=0.0), num_workers=0,
)  # fmt: skip
RUNS = {
    "speech": BASIS,
    "lips": replace(BASIS, stage="lips"),
    "smil": replace(BASIS, stage="smil", model=tiny(imputer="reference", regulariser="multiply", num_priors=4)),
}
WAYS: dict[str, dict[str, Any]] = {"in-use": {"as_in_use": True}, "trained": {}, "halves": {"num_runs": 2}}
CASES = [(stage, way) for stage in RUNS for way in WAYS if (stage, way) != ("smil", "in-use")]
"""SMIL is not among those whose shares add up: each process takes the inner step on its own share."""


@contextmanager
def double_precision() -> Iterator[None]:
    """Compute in float64, where the order of a sum shows in the last of 16 digits only."""
    usual, get = torch.Tensor.float, Batches.__getitem__

    def doubled(self: Batches, index: int) -> Any:
        batch = get(self, index)
        return replace(batch, mixture=batch.mixture.double(), target=batch.target.double())

    forget_constants()
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float, Batches.__getitem__ = torch.Tensor.double, doubled  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.Tensor.float, Batches.__getitem__ = usual, get  # type: ignore[method-assign]
        forget_constants()


def forget_constants() -> None:
    """Empty the caches of the losses, which hold windows and filters of the type they were first used with."""
    for name, module in list(sys.modules.items()):
        if name.startswith("avse.training."):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def two_steps(
    config: TrainConfig, folders: TrainingData, run: Path, as_in_use: bool = False, num_runs: int = 1
) -> dict[str, torch.Tensor]:
    """Weights after two steps, in one run or in two; ``as_in_use`` keeps dropout and a batch's statistics out."""
    for _ in range(num_runs):
        trainer = Trainer(config, folders, run)
        if as_in_use:
            trainer.net.eval()
            trainer.net.train = lambda mode=True, net=trainer.net: net  # type: ignore[method-assign]
        rows = training_rows(config, training_mixers(config, folders), trainer.step, trainer.fabric.global_rank)
        for index in range(2 // num_runs):
            trainer.learn(*rows[index])
        trainer.validate()
        trainer.close()
    assert trainer.step == 2
    weights: dict[str, torch.Tensor] = trainer.net.module.state_dict()
    return weights


def small_folders(faces: Path) -> TrainingData:
    """Two speakers to learn from, two to validate on."""
    return TrainingData(faces, validation_speakers=("speaker0", "speaker2"))


def main() -> None:
    """Each kind of run as in use, where shares add up to the batch; as it is trained; and in two pieces."""
    torch.set_num_threads(1)
    training_trainer.VALIDATION_BATCH_SIZE = 2
    faces, output = map(Path, sys.argv[1:])
    for stage, way in CASES:
        config = replace(RUNS[stage], num_devices=distributed.num_started() or 1)
        name, options = f"{stage}-{way}", WAYS[way]
        with double_precision() if way == "in-use" else nullcontext():
            weights = two_steps(config, small_folders(faces), output / name, **options)
        torch.save(weights, output / f"{name}-{0 if distributed.is_first() else 1}.pt")


if __name__ == "__main__":
    main()
