"""Fewer experts from a mixture that has too many: merge-truncate-merge, dendrograms of atoms.

A mixture with more experts than needed says the same thing by several atoms, or by atoms of hardly
any weight.  Merge-truncate-merge (Guha, Ho & Nguyen 2021) counts the atoms of each draw from the
posterior that are further apart, and heavier, than the posterior's own blur.  The dendrogram
(arXiv 2403.01684 for mixtures, 2510.12744 for softmax-gated experts) merges the two nearest atoms
again and again: a gap in its heights tells how many experts differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ._checks import check_integer, check_number
from ._core_protocol import FloatArray, IntArray
from ._seeding import draw_seed
from .mixtures import SoftmaxMixture

__all__ = [
    "Dendrogram",
    "MergedAtoms",
    "dendrogram",
    "merge_truncate_merge",
    "reduced_mixture",
    "selection_criterion",
]


@dataclass(frozen=True, eq=False)
class MergedAtoms:
    """What merge-truncate-merge leaves of a discrete measure.

    Attributes
    ----------
    kept : ndarray, shape (k,)
        Numbers of the atoms that are left, heaviest first.
    weights : ndarray, shape (k,)
        Their weights, those of the atoms they took in included.
    label : ndarray, shape (K,)
        For each atom, which of the kept ones (0 ... k-1) took it in.

    Examples
    --------
    >>> import hsmoe
    >>> merged = hsmoe.merging.merge_truncate_merge([0.6, 0.4], [[0.0], [0.1]], 0.3)
    >>> merged.kept.size, merged.weights.tolist(), merged.label.tolist()
    (1, [1.0], [0, 0])
    """

    kept: IntArray
    weights: FloatArray
    label: IntArray


def merge_truncate_merge(
    weights: ArrayLike,
    atoms: ArrayLike,
    omega: float,
    *,
    c: float = 1.0,
    r: float = 2.0,
    random_state: Any = 0,
) -> MergedAtoms:
    """Merge the atoms of a discrete measure that a posterior draw cannot tell apart.

    1. Merge: atoms are drawn one by one, by their weights and without replacement; one within
       ``omega`` of an atom drawn earlier and still there is taken in by the first such.
    2. Truncate: of what is left, heaviest first, atoms with ``q_i > (c omega)^r`` stay, but for
       those with ``q_i |phi_i - phi_j|^r <= (c omega)^r`` for a heavier ``j`` that stays.
    3. Merge: every other atom is taken in by the nearest that stays.

    If ``omega`` is a rate of contraction of the posterior in the Wasserstein distance ``W_r``, the
    number of atoms left tends to the true one.

    Parameters
    ----------
    weights : array_like, shape (K,)
        Adding up to one.
    atoms : array_like, shape (K, m)
        In units in which a distance of one is large.
    omega : float
        Rate of contraction.
    c, r : float
        Constant and order of the truncation.
    random_state : None, int, SeedSequence or Generator
        Seed of the order in which atoms are drawn.

    References
    ----------
    Guha, Ho & Nguyen (2021), On posterior contraction of parameters and interpretability in
    Bayesian mixture modeling, Bernoulli 27, algorithm 1.

    Examples
    --------
    >>> import hsmoe
    >>> merged = hsmoe.merging.merge_truncate_merge(
    ...     [0.5, 0.02, 0.3, 0.18], [[0.0], [9.0], [3.0], [0.1]], 0.3
    ... )
    >>> merged.weights.round(2).tolist(), merged.kept.tolist()[1]
    ([0.68, 0.32], 2)
    """
    p, theta = np.asarray(weights, dtype=np.float64), np.asarray(atoms, dtype=np.float64)
    if theta.ndim != 2 or p.shape != theta.shape[:1] or len(p) == 0:
        raise ValueError(
            f"weights has shape {p.shape} and atoms {theta.shape}; they must be (K,) and (K, m)"
        )
    if not (np.isfinite(p).all() and (p >= 0).all() and abs(p.sum() - 1.0) < 1e-6):
        raise ValueError(f"weights is {p.tolist()}; they must not be negative and add up to one")
    check_number("omega", omega)
    least = (check_number("c", c) * omega) ** check_number("r", r, 1.0, closed=True)
    distance = np.sqrt(((theta[:, None, :] - theta[None, :, :]) ** 2).sum(axis=2))
    rng = np.random.default_rng(draw_seed(random_state))

    # Exponential clocks of rate p ring in the order of draws without replacement.
    with np.errstate(divide="ignore"):
        order = np.argsort(rng.exponential(size=len(p)) / p)
    taken_by = np.arange(len(p))
    there: list[int] = []
    q = p.copy()
    for j in order.tolist():
        first = next((i for i in there if distance[i, j] <= omega), None)
        if first is None:
            there.append(j)
            continue
        taken_by[j] = first
        q[first] += q[j]
    there.sort(key=lambda i: -q[i])

    stay: list[int] = []
    for i in there:
        apart = all(q[i] * distance[i, j] ** r > least for j in stay)
        if not stay or (q[i] > least and apart):  # the heaviest always stays
            stay.append(i)
    for i in there:
        if i not in stay:
            taken_by[i] = stay[int(np.argmin(distance[i, stay]))]
    final = taken_by[taken_by]
    kept = np.array(stay, dtype=np.int64)
    label = np.argmax(final[:, None] == kept[None, :], axis=1)
    total = np.bincount(label, weights=p, minlength=len(kept))
    heaviest = np.argsort(-total, kind="stable")
    back = np.argsort(heaviest)
    return MergedAtoms(kept[heaviest], np.asarray(total[heaviest], np.float64), back[label])


class Atom(Protocol):
    """An atom that can be compared with another and merged with it."""

    def dissimilarity(self: Any, other: Any, /) -> float: ...

    def merged(self: Any, other: Any, /) -> Any: ...


AnyAtom = TypeVar("AnyAtom", bound=Atom)


@dataclass(frozen=True, eq=False)
class Dendrogram(Generic[AnyAtom]):
    """The tree of merges of the atoms of a mixture.

    Attributes
    ----------
    linkage : ndarray, shape (K - 1, 4)
        As SciPy has it: the two clusters merged, their dissimilarity, and how many atoms they hold
        together; atoms are 0 ... K-1, and the cluster of row ``i`` is ``K + i``.
    levels : tuple of list
        ``levels[k - 1]`` holds the atoms of the mixture reduced to k.
    members : tuple of list of tuple of int
        ``members[k - 1]`` says which of the K atoms each of them stands for.

    Examples
    --------
    >>> import hsmoe
    >>> mixture = hsmoe.SoftmaxMixture([[0], [1], [5]], [1, 1, 1], [0, 0, 0], [[], [], []])
    >>> tree = hsmoe.merging.dendrogram(mixture)
    >>> tree.n_atoms, tree.groups(2), len(tree.atoms(2)), tree.heights.shape
    (3, [(0, 1), (2,)], 2, (2,))
    """

    linkage: FloatArray
    levels: tuple[list[AnyAtom], ...]
    members: tuple[list[tuple[int, ...]], ...]

    @property
    def n_atoms(self) -> int:
        """Number of atoms K before any merge."""
        return len(self.levels)

    @property
    def heights(self) -> FloatArray:
        """Dissimilarity of the merge from k atoms to k - 1, for k = 2 ... K, shape (K - 1,).

        That of the nearest two of k atoms; it need not grow as k falls.
        """
        return self.linkage[::-1, 2].copy()

    def groups(self, n_experts: int) -> list[tuple[int, ...]]:
        """Return which atoms make up each of ``n_experts``."""
        return self.members[self._level(n_experts)]

    def atoms(self, n_experts: int) -> list[AnyAtom]:
        """Return the atoms of the mixture reduced to ``n_experts``."""
        return self.levels[self._level(n_experts)]

    def _level(self, n_experts: int) -> int:
        if not 1 <= n_experts <= self.n_atoms:
            raise ValueError(
                f"n_experts is {n_experts!r}; it must lie between 1 and {self.n_atoms}"
            )
        return n_experts - 1


def agglomerate(atoms: list[AnyAtom]) -> Dendrogram[AnyAtom]:
    """Merge the two least dissimilar atoms until one is left."""
    n = len(atoms)
    current = list(atoms)
    numbers = list(range(n))
    members: list[tuple[int, ...]] = [(i,) for i in range(n)]
    levels, all_members, linkage = [list(current)], [list(members)], []
    for step in range(n - 1):
        pairs = [(i, j) for j in range(len(current)) for i in range(j)]
        height, i, j = min((current[i].dissimilarity(current[j]), i, j) for i, j in pairs)
        both = tuple(sorted(members[i] + members[j]))
        linkage.append([numbers[i], numbers[j], height, len(both)])
        current[i], members[i], numbers[i] = current[i].merged(current[j]), both, n + step
        del current[j], members[j], numbers[j]
        levels.append(list(current))
        all_members.append(list(members))
    return Dendrogram(
        np.array(linkage).reshape(-1, 4), tuple(levels[::-1]), tuple(all_members[::-1])
    )


@dataclass(frozen=True, eq=False)
class SoftmaxAtom:
    """An atom of a softmax-gated mixture."""

    weight: float  # exp(b0), of a mixture where these add up to one
    slopes: FloatArray  # (d,), b1
    intercept: float  # b
    coefficients: FloatArray  # (d,), a
    variance: float

    def dissimilarity(self, other: SoftmaxAtom) -> float:
        """Return ``(1/w_i + 1/w_j)^-1 {|(db1, db)|^2 + |(da, ds2)|}``, arXiv 2510.12744.

        The powers are those at which the two kinds of error appear in the Voronoi loss.
        """
        gate_side = ((self.slopes - other.slopes) ** 2).sum() + (
            self.intercept - other.intercept
        ) ** 2
        mean_side = ((self.coefficients - other.coefficients) ** 2).sum() + (
            self.variance - other.variance
        ) ** 2
        total = self.weight + other.weight
        share = self.weight * other.weight / total if total > 0 else 0.0
        return float(share * (gate_side + math.sqrt(mean_side)))

    def merged(self, other: SoftmaxAtom) -> SoftmaxAtom:
        """Return the atom that stands for both.

        With ``p_i`` their shares of the weight, and deviations d from the common ``b1``, ``b``,
        the expansion of ``sum_i p_i exp(b1_i'x) N(y; a_i'x + b_i, s2_i)`` has at second order

            x  d/dmu   (sum p_i (a_i + db1_i db_i) - a)
            d2/dmu2    (sum p_i (s2_i + db_i^2) - s2) / 2

        which vanish for ``a = sum p_i (a_i + db1_i db_i)`` and ``s2 = sum p_i (s2_i + db_i^2)``:
        where ``(db1, db)`` is of order e and ``(da, ds2)`` of order e^2, as in the Voronoi loss,
        the merged expert has the mean and variance that the two have together but for O(e^3).
        """
        total = self.weight + other.weight
        p, q = (self.weight / total, other.weight / total) if total > 0 else (0.5, 0.5)
        # For two atoms, sum p_i du_i dv_i = p q (u_1 - u_2) (v_1 - v_2).
        gap = self.intercept - other.intercept
        return SoftmaxAtom(
            total,
            p * self.slopes + q * other.slopes,
            p * self.intercept + q * other.intercept,
            p * self.coefficients
            + q * other.coefficients
            + p * q * gap * (self.slopes - other.slopes),
            p * self.variance + q * other.variance + p * q * gap**2,
        )


def dendrogram(mixture: SoftmaxMixture) -> Dendrogram[SoftmaxAtom]:
    """Return the dendrogram of the atoms of a softmax-gated mixture.

    Parameters
    ----------
    mixture : SoftmaxMixture
        In units in which a difference of one is large: the two kinds of parameters are added up.

    References
    ----------
    arXiv 2510.12744, Dendrograms of mixing measures for softmax-gated Gaussian mixture of experts.

    Examples
    --------
    >>> import hsmoe
    >>> mixture = hsmoe.SoftmaxMixture(
    ...     [[0, 1], [0.1, 1], [3, -1]], [1, 1, 2], [0, 0, 0.7], [[0], [0.1], [2]]
    ... )
    >>> tree = hsmoe.merging.dendrogram(mixture)
    >>> tree.groups(2)
    [(0, 1), (2,)]
    >>> tree.heights.round(3).tolist()
    [3.686, 0.002]
    """
    weight = np.exp(mixture.gate_intercept - mixture.gate_intercept.max())
    weight /= weight.sum()
    return agglomerate(
        [
            SoftmaxAtom(
                float(weight[k]),
                mixture.gate_slopes[k],
                float(mixture.coefficients[k, 0]),
                mixture.coefficients[k, 1:],
                float(mixture.variance[k]),
            )
            for k in range(mixture.n_experts)
        ]
    )


def reduced_mixture(tree: Dendrogram[SoftmaxAtom], n_experts: int) -> SoftmaxMixture:
    """Return the softmax-gated mixture of the atoms at one level of a dendrogram.

    Examples
    --------
    >>> import hsmoe
    >>> mixture = hsmoe.SoftmaxMixture([[0], [1], [5]], [1, 1, 1], [0, 0, 0], [[], [], []])
    >>> tree = hsmoe.merging.dendrogram(mixture)
    >>> reduced = hsmoe.merging.reduced_mixture(tree, 2)
    >>> reduced.coefficients.tolist(), reduced.variance.tolist()
    ([[0.5], [5.0]], [1.25, 1.0])
    """
    atoms = tree.atoms(n_experts)
    with np.errstate(divide="ignore"):
        log_weight = np.log([atom.weight for atom in atoms])
    return SoftmaxMixture(
        np.stack([np.r_[atom.intercept, atom.coefficients] for atom in atoms]),
        np.array([atom.variance for atom in atoms]),
        np.maximum(log_weight, -700.0),  # a weight that has underflowed
        np.stack([atom.slopes for atom in atoms]),
    )


def selection_criterion(heights: ArrayLike, log_likelihood: ArrayLike, n: int) -> FloatArray:
    """Return the dendrogram selection criterion for 2 ... K experts; the least is chosen.

    ``DSC(k) = -(h_k + log(n) l_k)``: ``h_k``, the height of the merge from k to k - 1, is small
    where k is more than needed, and ``l_k``, the mean log likelihood of the mixture reduced to k,
    where it is less.

    Parameters
    ----------
    heights : array_like, shape (K - 1,)
        ``Dendrogram.heights``.
    log_likelihood : array_like, shape (K - 1,)
        Mean log density of the rows under the mixtures reduced to 2 ... K.
    n : int
        Number of rows.

    References
    ----------
    arXiv 2403.01684, section on model selection; arXiv 2510.12744.

    Examples
    --------
    Two experts differ by much, the third hardly from one of them:

    >>> import hsmoe
    >>> hsmoe.merging.selection_criterion([4.0, 0.1], [-1.2, -1.19], 100).round(2).tolist()
    [1.53, 5.38]
    """
    n = check_integer("n", n, 1)
    h, l = np.asarray(heights, dtype=np.float64), np.asarray(log_likelihood, dtype=np.float64)
    if h.shape != l.shape or h.ndim != 1:
        raise ValueError(
            f"heights has shape {h.shape} and log_likelihood {l.shape}; they must be the same, one "
            "for each number of experts from 2 on"
        )
    criterion: FloatArray = -(h + math.log(n) * l)
    return criterion
