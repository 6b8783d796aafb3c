"""What a ``gate`` parameter may be: a tree of logistic splits, or of nodes of any kind.

Both are intervals over *leaf positions* in preorder with the expert at each position
(:mod:`hsmoe._trees`).  A tree of logistic splits alone has statistics that are sufficient between
scans; softmax and Laplace nodes learn in scans of the retained rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ._checks import check_integer
from ._core_protocol import IntArray
from ._trees import NODE_KINDS, GateTree, NodeBounds, gate_tree, nested_nodes, tree_of, unknown_kind

__all__ = ["Gate", "GateNodes", "resolve_gate"]

_FLAT = ("softmax", "laplace")

_WANTED = (
    "it must be 'comb', 'balanced', 'softmax', 'laplace', nested lists of expert numbers such as "
    "[[0, 1], [2, 3]], a pair (kind, children) such as ('softmax', [0, ('laplace', [1, 2])]), or "
    "two kinds and the sizes of the lower nodes, ('softmax', 'laplace', [2, 3])"
)


@dataclass(frozen=True)
class GateNodes:
    """A tree of nodes of any kind, in preorder."""

    nodes: tuple[NodeBounds, ...]  # kind, bounds of its children's leaves
    leaves: IntArray  # (K,)

    needs_rows = True  # learns in scans of the retained rows

    def split_labels(self) -> list[str]:
        """Return one label for each child that has coefficients: kind, its experts, all experts."""
        labels = []
        for kind, bounds in self.nodes:
            spans = list(pairwise(bounds))
            experts = [",".join(str(k) for k in self.leaves[lo:hi]) for lo, hi in spans]
            if kind == "logistic":
                labels.append(" | ".join(experts))
            else:
                everyone = " | ".join(experts)
                labels += [f"{kind} {one} of {everyone}" for one in experts]
        return labels

    def kinds(self) -> set[str]:
        """Return the kinds of the nodes."""
        return {kind for kind, _ in self.nodes}

    def split_experts(self) -> IntArray | None:
        """Return the expert that each split is about, if each is about one: under a single node."""
        return self.leaves if len(self.nodes) == 1 and "logistic" not in self.kinds() else None

    def to_core(self) -> dict[str, Any]:
        """Return the gate as the engine takes it."""
        return {
            "nodes": [(kind, list(bounds)) for kind, bounds in self.nodes],
            "tree": np.empty((0, 3), dtype=np.int64),
            "leaves": self.leaves,
        }


Gate = GateTree | GateNodes


def resolve_gate(gate: Any, n_experts: int) -> Gate:
    """Return the gate that a ``gate`` parameter describes.

    Parameters
    ----------
    gate : str, nested sequences of int, or tuple
        ``"comb"``, ``"balanced"`` and nested lists of expert numbers: :func:`gate_tree`.
        ``"softmax"``, ``"laplace"``: one node over all experts.
        ``(kind, children)``: a node of that kind, each child an expert number, another such pair,
        or nested lists (combs of logistic splits); a ``"logistic"`` node has two children.
        ``(kind, kind, sizes)``: a node over nodes of ``sizes[0]``, ``sizes[1]``, ... experts,
        numbered in order.
    n_experts : int
        Number of experts K; each of ``0..K-1`` must be named once.

    Raises
    ------
    ValueError
        If the specification does not describe a gate over these experts.
    """
    if isinstance(gate, str):
        if gate not in _FLAT:
            if gate not in ("comb", "balanced"):
                raise ValueError(f"gate is {gate!r}; {_WANTED}")
            return gate_tree(gate, n_experts)
        if n_experts == 1:
            return gate_tree("comb", 1)
        return GateNodes(((gate, tuple(range(n_experts + 1))),), np.arange(n_experts))
    if not isinstance(gate, Sequence) or isinstance(gate, bytes):
        raise ValueError(f"gate is {gate!r}; {_WANTED}")
    if n_experts == 1 and len(gate) == 2 and gate[0] in NODE_KINDS and list(gate[1]) == [0]:
        return gate_tree("comb", 1)
    if len(gate) == 3 and all(isinstance(entry, str) for entry in gate[:2]):
        gate = _two_levels(gate, n_experts)
    elif n_experts == 1:
        return gate_tree(gate, 1)
    nodes, leaves = nested_nodes(gate, n_experts)
    if all(kind == "logistic" for kind, _ in nodes):
        return tree_of(((b[0], b[1], b[2]) for _, b in nodes), leaves)
    return GateNodes(tuple(nodes), np.array(leaves, dtype=np.int64))


def _two_levels(gate: Sequence[Any], n_experts: int) -> tuple[str, list[Any]]:
    top, lower, sizes = gate
    if not isinstance(sizes, Sequence) or isinstance(sizes, str) or len(sizes) < 2:
        raise ValueError(
            f"gate is {gate!r}; its third entry must be the numbers of experts of two or more "
            "lower nodes, such as [2, 3]"
        )
    counts = [check_integer(f"gate: size {i} of {gate!r}", s, 1) for i, s in enumerate(sizes)]
    if sum(counts) != n_experts:
        raise ValueError(
            f"gate is {gate!r}, whose sizes add up to {sum(counts)}; they must add up to "
            f"n_experts={n_experts}"
        )
    children: list[Any] = []
    first = 0
    for count in counts:
        group = list(range(first, first + count))
        children.append(group[0] if count == 1 else (lower, group))
        first += count
    if lower not in NODE_KINDS:
        raise ValueError(unknown_kind(lower, gate))
    return top, children
