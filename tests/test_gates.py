"""What ``gate`` may be beyond trees of logistic splits."""

from __future__ import annotations

import pytest

import hsmoe
from hsmoe._gates import GateNodes, resolve_gate
from hsmoe._trees import GateTree


def nodes(gate, n_experts):
    resolved = resolve_gate(gate, n_experts)
    assert isinstance(resolved, GateNodes)
    return list(resolved.nodes), resolved.leaves.tolist()


def test_flat_gates():
    assert nodes("softmax", 3) == ([("softmax", (0, 1, 2, 3))], [0, 1, 2])
    assert nodes("laplace", 2) == ([("laplace", (0, 1, 2))], [0, 1])
    assert resolve_gate("softmax", 1).nodes.shape == (0, 3)


def test_two_levels():
    assert nodes(("softmax", "laplace", [2, 3]), 5) == (
        [("softmax", (0, 2, 5)), ("laplace", (0, 1, 2)), ("laplace", (2, 3, 4, 5))],
        [0, 1, 2, 3, 4],
    )
    assert nodes(("laplace", "softmax", [1, 2]), 3) == (
        [("laplace", (0, 1, 3)), ("softmax", (1, 2, 3))],
        [0, 1, 2],
    )


def test_any_shape():
    gate = ("softmax", [2, ("laplace", [0, 4]), [1, 3, 5]])
    assert nodes(gate, 6) == (
        [
            ("softmax", (0, 1, 3, 6)),
            ("laplace", (1, 2, 3)),
            ("logistic", (3, 4, 6)),
            ("logistic", (4, 5, 6)),
        ],
        [2, 0, 4, 1, 3, 5],
    )
    assert resolve_gate(gate, 6).split_labels() == [
        "softmax 2 of 2 | 0,4 | 1,3,5",
        "softmax 0,4 of 2 | 0,4 | 1,3,5",
        "softmax 1,3,5 of 2 | 0,4 | 1,3,5",
        "laplace 0 of 0 | 4",
        "laplace 4 of 0 | 4",
        "1 | 3,5",
        "3 | 5",
    ]


def test_logistic_nodes_alone_are_a_tree():
    named = resolve_gate(("logistic", [0, ("logistic", [[3, 1], 2])]), 4)
    plain = resolve_gate([0, [[3, 1], 2]], 4)
    assert isinstance(named, GateTree)
    assert named.nodes.tolist() == plain.nodes.tolist()
    assert named.leaves.tolist() == plain.leaves.tolist()


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ("fir", "'softmax', 'laplace'"),
        (("softmax", "laplace", [2, 2]), "add up to 4"),
        (("softmax", "laplace", [3]), "two or more lower"),
        (("softmax", "laplace", [3, 0]), "size 1"),
        (("softmax", "fir", [1, 2]), "kind 'fir'"),
        (("fir", [0, 1, 2]), "kind 'fir'"),
        (("softmax", [0, 1]), "does not name expert 2"),
        (("softmax", [0, 1, 1, 2]), "expert 1 twice"),
        (("softmax", [0, 1, 3]), "contains expert 3"),
        (("softmax", [0, ("laplace", [1]), 2]), "1 children"),
        (("logistic", [0, 1, 2]), "3 children"),
        (("softmax", 3), "pair"),
        (("softmax", [0, 1, "2"]), "entries must be expert numbers"),
        (3, "nested lists"),
    ],
)
def test_other_gates_are_refused_by_name(gate, message):
    with pytest.raises(ValueError, match="gate") as error:
        resolve_gate(gate, 3)
    assert message in str(error.value)


def test_too_deep():
    gate = 0
    for k in range(1, 101):
        gate = ("softmax", [gate, k])
    assert len(resolve_gate(gate, 101).nodes) == 100
    with pytest.raises(ValueError, match="nested deeper"):
        resolve_gate(("softmax", [gate, 101]), 102)


def test_one_expert_under_a_node():
    assert resolve_gate(("softmax", [0]), 1).leaves.tolist() == [0]
    with pytest.raises(ValueError, match="gate"):
        resolve_gate(b"softmax", 3)


@pytest.mark.parametrize("gate", ["softmax", "laplace", ("softmax", "laplace", [1, 2])], ids=str)
@pytest.mark.parametrize(
    ("kind", "y"),
    [
        (hsmoe.HSMoERegressor, [0.0, 1.0]),
        (hsmoe.HSMoEClassifier, ["no", "yes"]),
        (hsmoe.HSMoECountRegressor, [0, 3]),
    ],
)
def test_retain_is_needed(gate, kind, y):
    model = kind(3, gate=gate, retain=0, forgetting=1)
    with pytest.raises(ValueError, match=r"retain is 0 with gate=.*scans.*pass a positive retain"):
        model.fit([[0.0], [1.0]], y)
    assert not hasattr(model, "log_evidence_")


@pytest.mark.parametrize(
    ("gate", "n_experts", "message"),
    [
        (("softmax", [0, 1, 2]), 4, r"does not name expert 3; with n_experts=4"),
        (("softmax", [0, ("laplace", [1, 2])]), 5, r"does not name expert 3; with n_experts=5"),
        (("laplace", "softmax", [2, 2]), 5, r"add up to 4; they must add up to n_experts=5"),
        (("softmax", [0, 1, 2]), 2, r"contains expert 2"),
        ([[0, 1], 2], 4, r"does not name expert 3"),
    ],
)
def test_more_experts_than_leaves_and_fewer(gate, n_experts, message):
    model = hsmoe.HSMoERegressor(n_experts, gate=gate)
    with pytest.raises(ValueError, match=message):
        model.fit([[0.0], [1.0]], [0.0, 1.0])
    assert not hasattr(model, "log_evidence_")


def test_laplace_needs_a_scale_of_its_centres():
    model = hsmoe.HSMoERegressor(3, gate="laplace", gate_prior="horseshoe-paper")
    with pytest.raises(ValueError, match=r"gate_prior is 'horseshoe-paper'.*Laplace"):
        model.fit([[0.0], [1.0]], [0.0, 1.0])
