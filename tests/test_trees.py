"""Gate specifications become binary trees in preorder."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmoe._trees import gate_tree


def check(tree, n_experts):
    """Every node splits a node above it, in preorder; returns the depth of each leaf position."""
    nodes = tree.nodes.tolist()
    assert tree.nodes.shape == (n_experts - 1, 3)
    assert tree.nodes.dtype == tree.leaves.dtype == np.int64
    assert sorted(tree.leaves) == list(range(n_experts))
    depths = np.zeros(n_experts, dtype=int)

    def walk(lo, hi, depth):
        if hi - lo == 1:
            depths[lo] = depth
            return
        a, mid, b = nodes.pop(0)
        assert (a, b) == (lo, hi)
        assert lo < mid < hi
        walk(lo, mid, depth + 1)
        walk(mid, hi, depth + 1)

    walk(0, n_experts, 0)
    assert not nodes
    return depths


@pytest.mark.parametrize("n_experts", [1, 2, 3, 4, 7, 8, 33])
def test_comb_and_balanced(n_experts):
    comb = gate_tree("comb", n_experts)
    check(comb, n_experts)
    assert comb.nodes.tolist() == [[l, l + 1, n_experts] for l in range(n_experts - 1)]
    balanced = gate_tree("balanced", n_experts)
    assert check(balanced, n_experts).max() == math.ceil(math.log2(n_experts))
    assert comb.leaves.tolist() == balanced.leaves.tolist() == list(range(n_experts))


def test_nested_lists():
    tree = gate_tree([[3, 1], [0, 2]], 4)
    assert tree.nodes.tolist() == [[0, 2, 4], [0, 1, 2], [2, 3, 4]]
    assert tree.leaves.tolist() == [3, 1, 0, 2]
    assert tree.split_labels() == ["3,1 | 0,2", "3 | 1", "0 | 2"]
    assert gate_tree([0, 1, 2], 3).nodes.tolist() == gate_tree("comb", 3).nodes.tolist()
    assert gate_tree([0, [1, [2]], 3][:1], 1).leaves.tolist() == [0]


@pytest.mark.parametrize("n_experts", [101, 102, 3000])
def test_a_deep_comb_of_pairs(n_experts):
    gate = [n_experts - 2, n_experts - 1]
    for k in range(n_experts - 3, -1, -1):
        gate = [k, gate]
    if n_experts > 101:
        with pytest.raises(ValueError, match="deeper than 100 levels"):
            gate_tree(gate, n_experts)
        return
    assert gate_tree(gate, n_experts).nodes.tolist() == gate_tree("comb", n_experts).nodes.tolist()


def test_a_list_that_holds_itself():
    gate = [0]
    gate.append(gate)
    with pytest.raises(ValueError, match=r"twice|deeper"):
        gate_tree(gate, 3)


@st.composite
def nested(draw):
    n_experts = draw(st.integers(2, 12))
    groups = draw(st.permutations(range(n_experts)))
    while len(groups) > 1:
        size = draw(st.integers(2, len(groups)))
        start = draw(st.integers(0, len(groups) - size))
        groups = [*groups[:start], groups[start : start + size], *groups[start + size :]]
    return n_experts, groups[0]


@given(nested())
@settings(max_examples=100, deadline=None)
def test_any_nesting(case):
    n_experts, gate = case
    check(gate_tree(gate, n_experts), n_experts)
