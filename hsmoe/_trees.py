"""Gate specifications: which experts each split of the gate tells apart.

A gate is a rooted binary tree over *leaf positions* 0..K-1; ``leaves[i]`` is the expert at position
``i``.  A node ``(lo, mid, hi)`` sends a row left to positions ``lo..mid-1`` or right to
``mid..hi-1``.  Comb, balanced and nested gates differ only in this table.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ._core_protocol import IntArray

__all__ = [
    "NODE_KINDS",
    "GateTree",
    "NodeBounds",
    "gate_tree",
    "nested_nodes",
    "tree_of",
    "unknown_kind",
]

# Deeper specifications are refused: to copy and to store one takes recursion.
DEEPEST = 100
NODE_KINDS = ("softmax", "laplace", "logistic")
NodeBounds = tuple[str, tuple[int, ...]]


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
    nodes, leaves = nested_nodes(gate, n_experts)
    if any(kind != "logistic" for kind, _ in nodes):
        raise ValueError(f"gate is {gate!r}; its nodes must all be logistic splits")
    return tree_of(((b[0], b[1], b[2]) for _, b in nodes), leaves)


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


def nested_nodes(gate: Sequence[Any], n_experts: int) -> tuple[list[NodeBounds], list[int]]:
    """Return the nodes that nested lists and pairs (kind, children) describe, and their leaves.

    Parameters
    ----------
    gate : sequence
        A list is a comb of logistic splits over its entries; a pair ``(kind, children)`` is one
        node.  Entries and children are expert numbers, lists and pairs.
    n_experts : int
        Number of experts K; each of ``0..K-1`` must be named once.

    Returns
    -------
    nodes : list of (kind, bounds)
        In preorder; child ``c`` of a node has the leaf positions ``bounds[c]..bounds[c+1]-1``.
    leaves : list of int
        The expert at each position.
    """
    # Each open node with its children, the number of the next one and the leaf positions where
    # children began.
    nodes: list[NodeBounds] = []
    leaves: list[int] = []
    kind, children = _node(gate, gate)
    opened: list[tuple[str | None, Sequence[Any], int, list[int]]] = [(kind, children, 0, [0])]
    while opened:
        kind, children, index, bounds = opened.pop()
        if index == len(children):
            last = bounds[-1]
            if kind is None:
                nodes += [("logistic", (b, c, last)) for b, c in pairwise(bounds[:-1])]
            else:
                nodes.append((kind, tuple(bounds)))
            if opened:
                opened[-1][3].append(last)
            continue
        opened.append((kind, children, index + 1, bounds))
        entry = children[index]
        if isinstance(entry, Sequence) and not isinstance(entry, str | bytes):
            if len(opened) >= DEEPEST:
                raise ValueError(
                    f"gate is nested deeper than {DEEPEST} levels; write a flatter gate (a comb "
                    "over many experts is gate='comb', or one list of them)"
                )
            opened.append((*_node(entry, gate), 0, [len(leaves)]))
        else:
            leaves.append(expert_number(entry, n_experts, leaves))
            bounds.append(len(leaves))
    absent = sorted(set(range(n_experts)) - set(leaves))
    if absent:
        raise ValueError(
            f"gate does not name expert {absent[0]}; with n_experts={n_experts} each of "
            f"0..{n_experts - 1} must appear exactly once"
        )
    # Among nested intervals preorder is: earlier start first, and the wider one first on a tie.
    return sorted(nodes, key=lambda node: (node[1][0], -node[1][-1])), leaves


def _node(entry: Sequence[Any], gate: Any) -> tuple[str | None, Sequence[Any]]:
    """Return the kind (None: a comb) and the children of a list or pair of a specification."""
    if len(entry) and isinstance(entry[0], str):
        kind = entry[0]
        if kind not in NODE_KINDS:
            raise ValueError(unknown_kind(kind, gate))
        children = entry[1] if len(entry) == 2 else None
        if isinstance(children, str | bytes) or not isinstance(children, Sequence):
            raise ValueError(
                f"gate contains {entry!r}; a node is a pair (kind, children) such as "
                "('softmax', [0, 1, 2])"
            )
        wanted = "two" if kind == "logistic" else "at least two"
        if len(children) < 2 or (kind == "logistic" and len(children) != 2):
            raise ValueError(
                f"gate contains a {kind} node with {len(children)} children, {entry!r}; it must "
                f"have {wanted}"
            )
        return kind, children
    if len(entry) < 2:
        raise ValueError(
            f"gate contains the list {list(entry)!r} of {len(entry)} entries; each list must "
            "have at least two, as it stands for a split"
        )
    return None, entry


def unknown_kind(kind: Any, gate: Any) -> str:
    """Return what to say of a node of a kind that there is not."""
    return (
        f"gate is {gate!r}, with a node of kind {kind!r}; nodes are 'softmax', 'laplace' or "
        "'logistic'"
    )


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
