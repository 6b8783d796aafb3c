// Topology of a binary-tree gate.  Leaves stand in a row, positions 0 ... K-1; a node (low, middle, high)
// sends a row left to the leaves low ... middle-1 or right to middle ... high-1.  Nodes are in preorder.
// The comb (logistic stick-breaking), the balanced tree and any nested hierarchy (Jordan & Jacobs 1994)
// are all of this form.
#pragma once

#include <cmath>
#include <utility>
#include <vector>

#include <hsmoe/error.hpp>
#include <hsmoe/types.hpp>

namespace hsmoe {

struct TreeNode {
  int low, middle, high;
  double log_leaf_odds;  // log(leaves left / leaves right)
};

class Tree {
 public:
  /// nodes: (K-1) x 3 rows (low, middle, high) in preorder; leaves: expert number by leaf position.
  Tree(const std::vector<Index>& nodes, const std::vector<Index>& leaves) {
    const Index K = Index(leaves.size());
    if (K < 1 || Index(nodes.size()) != 3 * (K - 1))
      throw InvalidArgument("Tree: a gate over " + std::to_string(K) + " experts needs " + std::to_string(K - 1) +
                            " nodes (low, middle, high)");
    std::vector<bool> seen(K, false);
    for (Index k : leaves) {
      if (k < 0 || k >= K || seen[k])
        throw InvalidArgument("Tree: leaves must hold every expert number 0 ... " + std::to_string(K - 1) +
                              " once, but " + std::to_string(k) + " is missing its place");
      seen[k] = true;
      leaf_expert_.push_back(int(k));
    }
    position_.resize(K);
    for (int i = 0; i < K; ++i) {
      position_[leaf_expert_[i]] = i;
      in_order_ = in_order_ && leaf_expert_[i] == i;
    }
    build(nodes, 0, int(K));
    if (Index(nodes_.size()) != K - 1) throw InvalidArgument("Tree: nodes are left over");
    for (int i = 0; i < K; ++i)
      for (int j = i + 1; j < K; ++j) {
        bool siblings = false;
        for (const TreeNode& node : nodes_) siblings = siblings || (node.low == i && node.middle == j && node.high == j + 1);
        if (!siblings) exchanges_.emplace_back(leaf_expert_[i], leaf_expert_[j]);
      }
  }

  /// Pairs of experts whose exchange changes the gate: all but the two leaves of one node.
  const std::vector<std::pair<int, int>>& exchanges() const { return exchanges_; }
  int n_experts() const { return int(leaf_expert_.size()); }
  int n_nodes() const { return int(nodes_.size()); }
  const TreeNode& node(int l) const { return nodes_[l]; }
  int expert_at(int position) const { return leaf_expert_[position]; }
  int position_of(int expert) const { return position_[expert]; }
  /// Whether expert k stands at position k, for all k.
  bool in_order() const { return in_order_; }

 private:
  // Append the nodes over leaves low ... high-1, checking that they are in preorder.
  void build(const std::vector<Index>& rows, int low, int high) {
    if (high - low == 1) return;
    const int l = int(nodes_.size());
    const Index* row = rows.data() + 3 * l;
    if (3 * std::size_t(l) >= rows.size() || row[0] != low || row[2] != high || row[1] <= low || row[1] >= high)
      throw InvalidArgument("Tree: node " + std::to_string(l) + " must be (" + std::to_string(low) + ", middle, " +
                            std::to_string(high) + ") with middle strictly between");
    const int middle = int(row[1]);
    nodes_.push_back({low, middle, high, std::log(double(middle - low) / double(high - middle))});
    build(rows, low, middle);
    build(rows, middle, high);
  }

  std::vector<TreeNode> nodes_;
  std::vector<int> leaf_expert_, position_;
  bool in_order_ = true;
  std::vector<std::pair<int, int>> exchanges_;
};

}  // namespace hsmoe
