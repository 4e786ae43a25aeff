"""The measures of the accuracy benchmark, against enumerated pairs and sets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from benchmarks.accuracy.metrics import Score, accuracy, difference


def _pairs(labels: np.ndarray) -> set[tuple[int, int]]:
    return {(i, j) for i, j in combinations(range(len(labels)), 2) if labels[i] == labels[j]}


def _clusters(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def _random_clusterings() -> list[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    made = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        size = int(rng.integers(1, 25))
        found, plain, truth = (rng.integers(0, rng.integers(1, size + 1), size) * 7 - 3 for _ in range(3))
        made.append((seed, found, plain, truth))
    return made


@pytest.mark.parametrize(("seed", "found", "plain", "truth"), _random_clusterings())
def test_counts_equal_brute_force(seed: int, found: np.ndarray, plain: np.ndarray, truth: np.ndarray) -> None:
    """Every measure of random small clusterings is what enumerating pairs and comparing sets gives."""
    measured = accuracy(found, truth)
    right = _pairs(found) & _pairs(truth)
    assert measured.pairs.precision == pytest.approx(_share(len(right), len(_pairs(found))))
    assert measured.pairs.recall == pytest.approx(_share(len(right), len(_pairs(truth))))
    profiles, people = _clusters(found), _clusters(truth)
    assert measured.clusters.precision == pytest.approx(len(profiles & people) / len(profiles))
    assert measured.clusters.recall == pytest.approx(len(profiles & people) / len(people))
    whole = [person for person in people if any(person <= profile for profile in profiles)]
    assert measured.together == pytest.approx(len(whole) / len(people))
    of = {i: (f, p) for f in profiles for p in people for i in f & p}
    assert measured.b_cubed.precision == pytest.approx(np.mean([len(f & p) / len(f) for f, p in of.values()]))
    assert measured.b_cubed.recall == pytest.approx(np.mean([len(f & p) / len(p) for f, p in of.values()]))
    assert (measured.profiles, measured.people) == (len(profiles), len(people))
    assert measured.largest_profile == max(map(len, profiles))
    assert measured.most_people == max(sum(bool(f & p) for p in people) for f in profiles)


@pytest.mark.parametrize(("seed", "found", "plain", "truth"), _random_clusterings())
def test_difference_equals_brute_force(
    seed: int, found: np.ndarray, plain: np.ndarray, truth: np.ndarray
) -> None:
    """Gain and cost against another clustering are what enumerating pairs gives."""
    measured = difference(found, plain, truth)
    true = _pairs(truth)
    less, more = _pairs(plain) - _pairs(found), _pairs(found) - _pairs(plain)
    assert (measured.false_avoided, measured.true_lost) == (len(less - true), len(less & true))
    assert (measured.false_added, measured.true_added) == (len(more - true), len(more & true))


def test_huge_clusters_are_counted_exactly() -> None:
    """A profile of two million records counts two trillion pairs, without enumerating or overflowing."""
    size = 2_000_000
    measured = difference(np.arange(size), np.zeros(size, dtype=np.int64), np.arange(size) // 2)
    assert measured.true_lost == size // 2
    assert measured.false_avoided == size * (size - 1) // 2 - size // 2


def test_whole_people_are_those_alone_in_their_profile() -> None:
    """A person is found whole only with all records in one profile and nobody else in it."""
    truth = np.array([1, 1, 2, 2, 3, 3, 4])
    found = np.array([1, 1, 2, 2, 2, 9, 5])  # 1 is whole, 2 is together with half of 3, 4 has one record
    measured = accuracy(found, truth)
    assert measured.clusters == Score(precision=2 / 4, recall=2 / 4)
    assert measured.together == 3 / 4


def test_f1_of_nothing_right_is_zero() -> None:
    """Without a single right pair F1 is 0, not an error."""
    assert accuracy(np.array([1, 1, 2]), np.array([1, 2, 2])).pairs.f1 == 0
