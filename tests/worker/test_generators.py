"""Random generators that were made before the fork are found, and draw anew in each fork."""

import random
import sys
from types import ModuleType

import pytest

from worker import call_process
from worker.template import self_seeded_generators


class Bits:
    """As numpy's bit generators: made from a seed, with a state that can be given."""

    def __init__(self, seed: int) -> None:
        self.state = {"seed": seed}


class Generator:
    """As numpy's."""

    def __init__(self, seed: int) -> None:
        self.bit_generator = Bits(seed)


class RandomState:
    """As numpy's older one."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def seed(self, seed: int) -> None:
        self.seeds.append(seed)


class Holder:
    def __init__(self, generator: random.Random) -> None:
        self.generator = generator


def test_they_are_found_wherever_they_are_kept() -> None:
    in_a_list, in_an_object = [random.Random(1)], Holder(random.Random(2))
    found = self_seeded_generators()
    assert any(each is in_a_list[0] for each in found)
    assert any(each is in_an_object.generator for each in found)
    assert not any(isinstance(each, random.SystemRandom) for each in found)


def test_a_reseeded_one_does_not_go_on_as_before() -> None:
    one, other = random.Random(1), random.Random(1)
    call_process._reseed((one,))
    assert one.random() != other.random()


def test_numpys_are_found_and_reseeded(monkeypatch: pytest.MonkeyPatch) -> None:
    numpy_random = ModuleType("numpy.random")
    numpy_random.Generator, numpy_random.RandomState = Generator, RandomState  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "numpy.random", numpy_random)
    kept = [Generator(5)], {"old": RandomState()}
    found = self_seeded_generators()
    assert any(each is kept[1]["old"] for each in found)
    call_process._reseed((kept[0][0], kept[1]["old"]))
    assert kept[0][0].bit_generator.state["seed"] > 5
    assert 0 <= kept[1]["old"].seeds[0] < 1 << 32
