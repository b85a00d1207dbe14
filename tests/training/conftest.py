"""What tests of training runs share."""

from __future__ import annotations

import pytest
from small_world import write_cache

from avse.training import trainer as training_trainer
from avse.training.data import TrainingData


@pytest.fixture
def small_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Validate on batches of two."""
    monkeypatch.setattr(training_trainer, "VALIDATION_BATCH_SIZE", 2)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """Faces of four speakers, two of them for validation."""
    faces = write_cache(tmp_path_factory.mktemp("faces"), speakers=4, num_frames=20)
    return TrainingData(faces, validation_speakers=("speaker0", "speaker2"))
