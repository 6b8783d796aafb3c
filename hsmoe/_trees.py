"""Gate specifications: which experts each split of the gate tells apart.

A gate is a rooted binary tree over *leaf positions* 0..K-1; ``leaves[i]`` is the expert at position
``i``.  A node ``(lo, mid, hi)`` sends a row left to positions ``lo..mid-1`` or right to
``mid..hi-1``.  Comb, balanced and nested gates differ only in this table.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._core_protocol import IntArray

__all__ = ["GateTree", "expert_number", "gate_tree", "tree_of"]


@dataclass(frozen=True)
class GateTree:
    """A binary tree over experts, nodes in preorder."""

    nodes: IntArray  # (K-1, 3): lo, mid, hi
    leaves: IntArray  # (K,)

    needs_rows = False

    def split_labels(self) -> list[str]:
        """Return one label a node: the experts on its left and on its right, ``"0 | 1,2"``."""

        def experts(lo: int, hi: int) -> str:
            return ",".join(str(k) for k in self.leaves[lo:hi])

        return [f"{experts(lo, mid)} | {experts(mid, hi)}" for lo, mid, hi in self.nodes.tolist()]

    def kinds(self) -> set[str]:
        """Return the kinds of the nodes."""
        return {"logistic"} if len(self.nodes) else set()

    def split_experts(self) -> None:
        """Return None: no split is about one expert."""

    def to_core(self) -> dict[str, Any]:
        """Return the gate as the engine takes it."""
        return {"nodes": [], "tree": self.nodes, "leaves": self.leaves}


def gate_tree(gate: Any, n_experts: int) -> GateTree:
    """Return the tree that a ``gate`` parameter describes.

    Parameters
    ----------
    gate : {"comb", "balanced"} or nested sequences of int
        ``"comb"``: split ``l`` tells expert ``l`` from all later ones (stick breaking).
        ``"balanced"``: every split halves its experts, so that no row passes more than
        ``ceil(log2 K)`` splits.  Nested lists such as ``[[0, 1], [2, 3]]`` give the splits
        themselves; a list of more than two entries is a comb over its entries.
    n_experts : int
        Number of experts K; nested lists must name each of ``0..K-1`` once.

    Raises
    ------
    ValueError
        If the specification does not describe such a tree.
    """
    if isinstance(gate, str):
        if gate == "comb":
            splits: Iterable[tuple[int, int, int]] = (
                (k, k + 1, n_experts) for k in range(n_experts - 1)
            )
        elif gate == "balanced":
            splits = _balanced_splits(n_experts)
        else:
            raise ValueError(
                f"gate is {gate!r}; it must be 'comb', 'balanced' or nested lists of expert "
                "numbers such as [[0, 1], [2, 3]]"
            )
        return tree_of(splits, range(n_experts))
    if not isinstance(gate, Sequence):
        raise ValueError(
            f"gate is {gate!r}; it must be 'comb', 'balanced' or nested lists of expert numbers "
            "such as [[0, 1], [2, 3]]"
        )
    if n_experts == 1 and list(gate) == [0]:
        return tree_of((), (0,))
    return _nested_tree(gate, n_experts)


def tree_of(splits: Iterable[tuple[int, int, int]], leaves: Iterable[int]) -> GateTree:
    """Return the tree of splits (lo, mid, hi), in any order."""
    # Among nested intervals preorder is: earlier start first, and the wider one first on a tie.
    ordered = sorted(splits, key=lambda split: (split[0], -split[2]))
    return GateTree(
        np.array(ordered, dtype=np.int64).reshape(-1, 3), np.array(list(leaves), dtype=np.int64)
    )


def _balanced_splits(n_experts: int) -> list[tuple[int, int, int]]:
    splits = []
    todo = [(0, n_experts)]
    while todo:
        lo, hi = todo.pop()
        if hi - lo > 1:
            mid = lo + (hi - lo + 1) // 2
            splits.append((lo, mid, hi))
            todo += [(lo, mid), (mid, hi)]
    return splits


def _nested_tree(gate: Sequence[Any], n_experts: int) -> GateTree:
    """Walk nested lists without recursion: a comb written as pairs may be deeper than the stack."""
    leaves: list[int] = []
    splits: list[tuple[int, int, int]] = []
    # Each open list with the number of its next entry and the leaf positions where entries began.
    opened: list[tuple[Sequence[Any], int, list[int]]] = [(gate, 0, [0])]
    while opened:
        group, index, bounds = opened.pop()
        if len(group) < 2:
            raise ValueError(
                f"gate contains the list {list(group)!r} of {len(group)} entries; each list must "
                "have at least two, as it stands for a split"
            )
        if index == len(group):
            last = bounds[-1]
            splits += [(bounds[i], bounds[i + 1], last) for i in range(len(group) - 1)]
            if opened:
                opened[-1][2].append(last)
            continue
        opened.append((group, index + 1, bounds))
        entry = group[index]
        if isinstance(entry, Sequence) and not isinstance(entry, str):
            if len(opened) >= n_experts:
                raise ValueError(
                    f"gate is nested deeper than {n_experts} experts allow; each split must "
                    "have experts on both sides"
                )
            opened.append((entry, 0, [len(leaves)]))
            continue
        leaves.append(expert_number(entry, n_experts, leaves))
        bounds.append(len(leaves))
    absent = sorted(set(range(n_experts)) - set(leaves))
    if absent:
        raise ValueError(
            f"gate does not name expert {absent[0]}; with n_experts={n_experts} each of "
            f"0..{n_experts - 1} must appear exactly once"
        )
    return tree_of(splits, leaves)


def expert_number(entry: Any, n_experts: int, seen: Sequence[int]) -> int:
    """Return an entry of a gate as the number of an expert that was not seen yet."""
    try:
        if isinstance(entry, bool | np.bool_):
            raise TypeError
        expert = operator.index(entry)
    except TypeError:
        raise ValueError(
            f"gate contains {entry!r}; entries must be expert numbers or lists of them"
        ) from None
    if not 0 <= expert < n_experts:
        raise ValueError(
            f"gate contains expert {expert}; with n_experts={n_experts} the experts are "
            f"0..{n_experts - 1}"
        )
    if expert in seen:
        raise ValueError(f"gate names expert {expert} twice; each must appear exactly once")
    return expert
