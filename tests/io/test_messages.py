"""Messages as plain values: former codes, and whether the output lacks something."""

from __future__ import annotations

import pickle

import pytest

from avse.io.messages import FORMER_CODES, Loss, Message


@pytest.mark.parametrize(("code", "former"), FORMER_CODES.items())
def test_a_renamed_code_comes_with_its_former_name(code: str, former: str) -> None:
    assert Message(code, "Why.").as_dict() == {"code": code, "text": "Why.", "is_loss": False, "former_code": former}


def test_other_codes_have_no_former_name() -> None:
    assert Message("silent", "Why.").as_dict() == {"code": "silent", "text": "Why.", "is_loss": False}


def test_loss_is_a_pair_like_others_and_stays_one_between_processes() -> None:
    code, text = loss = pickle.loads(pickle.dumps(Loss("clipped", "Why.")))
    assert (code, text) == ("clipped", "Why.")
    assert loss.is_loss
    assert loss.as_dict()["is_loss"]
