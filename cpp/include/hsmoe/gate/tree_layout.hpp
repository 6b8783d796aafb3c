// Where the numbers of a binary-tree gate stand, and which rows pass its nodes.
#pragma once

#include <utility>

#include <hsmoe/gate/tree.hpp>
#include <hsmoe/simd/lane.hpp>

namespace hsmoe {

template <int W>
class TreeLayout {
 public:
  TreeLayout(Tree tree, int dim, int scale_fields) : tree_(std::move(tree)), p_(dim), scale_fields_(scale_fields) {}

  const Tree& tree() const { return tree_; }
  int n_nodes() const { return tree_.n_nodes(); }
  int dim() const { return p_; }

  // One node: A packed (p (p+1) / 2), h (p), phi (p), scales of the prior.  After the nodes: the global scales.
  int stride() const { return node_sums() + p_ + scale_fields_; }
  int node_sums() const { return packed_size(p_) + p_; }
  template <class T> T* node_of(T* state, int l) const { return state + W * Index(l) * stride(); }
  template <class T> T* h_of(T* node) const { return node + W * packed_size(p_); }
  template <class T> T* phi_of(T* node) const { return h_of(node) + W * p_; }
  template <class T> T* scales(T* node) const { return phi_of(node) + W * p_; }
  template <class T> T* global_of(T* state) const { return node_of(state, n_nodes()); }

  void load_phi(const double* node, Lane<W>* phi) const {
    for (int j = 0; j < p_; ++j) phi[j] = Lane<W>::load(phi_of(node) + W * j);
  }
  void store_phi(const Lane<W>* phi, double* node, Mask<W> mask) const {
    double* stored = phi_of(node);
    for (int j = 0; j < p_; ++j) select(mask, phi[j], Lane<W>::load(stored + W * j)).store(stored + W * j);
  }

  /// u'phi_l
  HSMOE_INLINE Lane<W> logit(const double* state, int l, const double* u) const {
    const double* phi = phi_of(node_of(state, l));
    Lane<W> psi = u[0] * Lane<W>::load(phi);
    for (int j = 1; j < p_; ++j) psi += u[j] * Lane<W>::load(phi + W * j);
    return psi;
  }

  Lane<W> position_of(Lane<W> z) const {
    if (tree_.in_order()) return z;
    Lane<W> position(0.0);
    for (int k = 0; k < tree_.n_experts(); ++k)
      position = select(z == Lane<W>(double(k)), Lane<W>(double(tree_.position_of(k))), position);
    return position;
  }
  Mask<W> passes(int l, Lane<W> position) const {
    const TreeNode& split = tree_.node(l);
    return (position >= Lane<W>(split.low)) & (position < Lane<W>(split.high));
  }

 protected:
  Tree tree_;
  int p_;

 private:
  int scale_fields_;
};

}  // namespace hsmoe
