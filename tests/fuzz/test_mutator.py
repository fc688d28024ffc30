from tests.fuzz.mutator import MAX_BYTES, Mutator

SEEDS = [bytes(range(32)), b"\x80" * 40]


def inputs(seed: int, count: int = 2_000) -> list[bytes]:
    mutator = Mutator(SEEDS, seed)
    return [mutator.make(number) for number in range(count)]


def test_the_same_seed_makes_the_same_inputs() -> None:
    assert inputs(1) == inputs(1)


def test_another_seed_makes_others() -> None:
    assert inputs(1)[len(SEEDS) :] != inputs(2)[len(SEEDS) :]


def test_an_input_can_be_made_again_without_those_before_it() -> None:
    assert Mutator(SEEDS, 1).make(1_234) == inputs(1)[1_234]


def test_the_seeds_come_first_unchanged() -> None:
    assert inputs(1)[: len(SEEDS)] == SEEDS


def test_inputs_are_many_short_and_long() -> None:
    made = inputs(1)
    assert len(set(made)) > 0.8 * len(made)
    assert min(map(len, made)) == 0
    assert 64 < max(map(len, made)) <= MAX_BYTES


def test_every_kind_of_neighbour_is_made() -> None:
    seed = SEEDS[0]
    made = set(inputs(1, 20_000))
    assert any(len(data) == len(seed) and differing_bits(data, seed) == 1 for data in made)  # flipped
    assert any(data and data == seed[: len(data)] for data in made - {seed})  # truncated
    assert any(data.startswith(seed + seed[-4:]) for data in made)  # repeated
    assert any(data and data == seed[-len(data) :] for data in made - {seed})  # removed from
    assert any(data.endswith(seed) for data in made - {seed})  # inserted
    assert any(len(data) == len(seed) and b"\x7f\xff\xff\xff" in data for data in made)  # overwritten
    assert any(data.startswith(seed[:8]) and data.endswith(b"\x80" * 8) for data in made)  # spliced


def test_without_seeds_there_is_noise() -> None:
    mutator = Mutator([], 1)
    assert len({mutator.make(number) for number in range(100)}) > 90


def differing_bits(a: bytes, b: bytes) -> int:
    return sum((x ^ y).bit_count() for x, y in zip(a, b, strict=True))
