"""A few hundred damaged recordings on every run; `make mutations` does 10,000."""

import pathlib
import random

import pytest

from hark.recording.blocks import Frame
from mutations import KINDS, SOUND, blocks, mutate, told

RECORDINGS = sorted((pathlib.Path(__file__).parent.parent / "recordings").glob("*.pcapng"))


@pytest.mark.parametrize("path", RECORDINGS, ids=[path.stem for path in RECORDINGS])
def test_damage_is_survived_and_never_told_as_truth(path: pathlib.Path) -> None:
    original = blocks(path)
    truth = told(original)
    for seed in range(15):
        lost = told(mutate(original, SOUND, random.Random(seed)))
        assert not lost - truth, f"seed {seed}"
        told(mutate(original, KINDS, random.Random(seed)))


@pytest.mark.parametrize("path", RECORDINGS, ids=[path.stem for path in RECORDINGS])
def test_any_one_packet_may_be_missing(path: pathlib.Path) -> None:
    original = blocks(path)
    truth = told(original)
    for at, block in enumerate(original):
        if isinstance(block, Frame):
            assert not told([*original[:at], *original[at + 1 :]]) - truth, f"without block {at}"
