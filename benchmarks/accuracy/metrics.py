"""How well one clustering of records agrees with the true one.

A clustering is an integer array with one label a record; labels mean nothing but equality. Pairs are never
enumerated: they are counted from the sizes of clusters and of their intersections, so that a million records
take a second whatever their clusters are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Score:
    """One quality with its two sides, each from 0 to 1; 1 where there was nothing to get wrong."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


@dataclass(frozen=True)
class Accuracy:
    """What is said about one contender on one data set.

    Attributes:
        pairs: of records put into one profile, and of records that truly are one person's.
        clusters: a profile counts when it equals a person exactly, with no record more or less. Recall is
            the share of people of whom this is so.
        b_cubed: the same as for pairs, averaged over records instead of pairs, so that one huge profile
            does not decide everything (Bagga and Baldwin, 1998).
        together: share of people whose records are all in one profile, whoever else is in it.
        profiles, people: how many there are.
        largest_profile: records of the largest profile.
        most_people: people in the profile that holds most of them.
    """

    pairs: Score
    clusters: Score
    b_cubed: Score
    together: float
    profiles: int
    people: int
    largest_profile: int
    most_people: int

    def as_dict(self) -> dict[str, object]:
        """Plain JSON."""
        scores = {
            name: asdict(score) | {"f1": score.f1}
            for name, score in (("pairs", self.pairs), ("clusters", self.clusters), ("b_cubed", self.b_cubed))
        }
        return asdict(self) | scores


@dataclass(frozen=True)
class Difference:
    """What a contender does otherwise than plain transitive matching, in pairs of records.

    Attributes:
        false_avoided: pairs of strangers that plain matching joins and the contender does not: the gain.
        true_lost: pairs of one person that plain matching joins and the contender does not: the cost.
        true_added, false_added: pairs that only the contender joins.
    """

    false_avoided: int
    true_lost: int
    true_added: int
    false_added: int


def accuracy(found: np.ndarray, truth: np.ndarray) -> Accuracy:
    """Compare a clustering with the true one; both have one label a record, in the same order."""
    found, truth = numbered(found), numbered(truth)
    common, sizes = together(found, truth)
    profiles, people = np.bincount(found), np.bincount(truth)
    of_profile, of_person = found[common], truth[common]
    exact = int(np.count_nonzero((sizes == profiles[of_profile]) & (sizes == people[of_person])))
    whole = int(np.count_nonzero(sizes == people[of_person]))
    right = pairs_in(sizes)
    return Accuracy(
        pairs=Score(_share(right, pairs_in(profiles)), _share(right, pairs_in(people))),
        clusters=Score(_share(exact, len(profiles)), _share(exact, len(people))),
        b_cubed=Score(
            _share(float(np.sum(sizes * (sizes / profiles[of_profile]))), len(found)),
            _share(float(np.sum(sizes * (sizes / people[of_person]))), len(found)),
        ),
        together=_share(whole, len(people)),
        profiles=len(profiles),
        people=len(people),
        largest_profile=int(profiles.max(initial=0)),
        most_people=int(np.bincount(of_profile).max(initial=0)),
    )


def difference(found: np.ndarray, plain: np.ndarray, truth: np.ndarray) -> Difference:
    """What a clustering does otherwise than the plain one."""
    found, plain, truth = numbered(found), numbered(plain), numbered(truth)
    both = intersection(found, plain)

    def counts(labels: np.ndarray) -> tuple[int, int]:
        right = pairs_in(np.bincount(intersection(labels, truth)))
        return right, pairs_in(np.bincount(labels)) - right

    (true_found, false_found), (true_plain, false_plain) = counts(found), counts(plain)
    true_both, false_both = counts(both)
    return Difference(
        false_avoided=false_plain - false_both,
        true_lost=true_plain - true_both,
        true_added=true_found - true_both,
        false_added=false_found - false_both,
    )


def numbered(labels: np.ndarray) -> np.ndarray:
    """The same clustering with the labels 0, 1, 2, ..."""
    return np.unique(labels, return_inverse=True)[1].reshape(-1)


def together(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The combinations of two numbered clusterings: a record of each, and how many records each has."""
    _, first, sizes = np.unique(_combined(a, b), return_index=True, return_counts=True)
    return first, sizes


def intersection(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The clustering in which two records are together only where they are in both numbered ones."""
    return numbered(_combined(a, b))


def pairs_in(sizes: np.ndarray) -> int:
    """The number of pairs in clusters of these sizes."""
    sizes = sizes.astype(np.int64)
    return int(np.sum(sizes * (sizes - 1) // 2))


def _combined(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a.astype(np.int64) * (int(b.max(initial=0)) + 1) + b


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0
