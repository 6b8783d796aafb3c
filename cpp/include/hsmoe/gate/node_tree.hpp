// Topology of a gate of nodes with any number of children.  Leaves stand in a row, positions 0 ... K-1; a node with
// bounds b_0 < ... < b_m sends a row to one of its m children, child c over the leaves b_c ... b_{c+1}-1.  Nodes are in
// preorder.  A flat gate is one node; a hierarchy (Jordan & Jacobs 1994; arXiv 2410.02935) is a tree of them.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include <hsmoe/error.hpp>
#include <hsmoe/types.hpp>

namespace hsmoe {

enum class NodeKind { logistic, softmax, laplace };

struct NodeSpec {
  NodeKind kind;
  std::vector<Index> bounds;  // m + 1
  int n_children() const { return int(bounds.size()) - 1; }
  Index n_leaves(int child) const { return bounds[std::size_t(child) + 1] - bounds[std::size_t(child)]; }
};

class NodeTree {
 public:
  /// leaves: expert number by leaf position.
  NodeTree(std::vector<NodeSpec> nodes, const std::vector<Index>& leaves) : nodes_(std::move(nodes)) {
    const Index K = Index(leaves.size());
    std::vector<bool> seen(std::size_t(K), false);
    for (Index k : leaves) {
      if (k < 0 || k >= K || seen[std::size_t(k)])
        throw InvalidArgument("NodeTree: leaves must hold every expert number 0 ... " + std::to_string(K - 1) + " once");
      seen[std::size_t(k)] = true;
      leaf_expert_.push_back(int(k));
    }
    position_.resize(std::size_t(K));
    for (int i = 0; i < int(K); ++i) position_[std::size_t(leaf_expert_[std::size_t(i)])] = i;
    std::size_t next = 0;
    check(0, K, next);
    if (next != nodes_.size()) throw InvalidArgument("NodeTree: nodes are left over");
  }

  int n_experts() const { return int(leaf_expert_.size()); }
  int n_nodes() const { return int(nodes_.size()); }
  const NodeSpec& node(int l) const { return nodes_[std::size_t(l)]; }
  int expert_at(Index position) const { return leaf_expert_[std::size_t(position)]; }
  int position_of(int expert) const { return position_[std::size_t(expert)]; }

 private:
  // The nodes from `next` on must be those over leaves low ... high-1, in preorder.
  void check(Index low, Index high, std::size_t& next) {
    if (high - low <= 1) return;
    const std::size_t l = next++;
    const std::string name = "NodeTree: node " + std::to_string(l);
    if (l >= nodes_.size()) throw InvalidArgument(name + " is missing");
    const NodeSpec& node = nodes_[l];
    const int m = node.n_children();
    if (m < 2 || node.bounds.front() != low || node.bounds.back() != high)
      throw InvalidArgument(name + " must have at least two children over the leaves " + std::to_string(low) + " ... " +
                            std::to_string(high - 1));
    for (int c = 0; c < m; ++c)
      if (node.n_leaves(c) < 1) throw InvalidArgument(name + " has a child without leaves");
    if (node.kind == NodeKind::logistic && m != 2)
      throw InvalidArgument(name + " is logistic and must have two children, not " + std::to_string(m));
    for (int c = 0; c < m; ++c) check(nodes_[l].bounds[std::size_t(c)], nodes_[l].bounds[std::size_t(c) + 1], next);
  }

  std::vector<NodeSpec> nodes_;
  std::vector<int> leaf_expert_, position_;
};

}  // namespace hsmoe
