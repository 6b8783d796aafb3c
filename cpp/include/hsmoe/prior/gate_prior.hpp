// The seam for priors of gate coefficients.  Given its scales a prior is Gaussian, independent by
// coefficient: phi_lj ~ N(mean_lj, 1 / precision_lj).  A prior keeps `node_fields()` numbers a node and
// `global_fields()` a particle, and knows the two conditional draws that leave p(phi, scales) invariant.
#pragma once

#include <hsmoe/random/variates.hpp>
#include <hsmoe/types.hpp>

namespace hsmoe {

template <int W>
class GatePrior {
 public:
  GatePrior(int n_nodes, int dim) : n_nodes_(n_nodes), dim_(dim) {}
  virtual ~GatePrior() = default;

  virtual int node_fields() const = 0;
  virtual int global_fields() const = 0;

  /// Prior mean of the intercept of a node whose leaves divide left : right; other means are zero.
  virtual double intercept_mean(double log_leaf_odds) const = 0;
  /// Whether coefficient j is shrunk (the intercept may be exempt).
  virtual bool penalised(int j) const = 0;

  /// Draw the global scales, then the scales of one node, from the prior; lanes outside the mask are written too.
  virtual void draw_global(double* global, Stream<W>& rng, Mask<W> mask) const = 0;
  virtual void draw_node(double* node, const double* global, Stream<W>& rng, Mask<W> mask) const = 0;

  /// Precisions of the dim coefficients of one node.
  virtual void precision(const double* node, const double* global, Lane<W>* D) const = 0;

  /// Gibbs draws of the scales of one node given its coefficients (dim x W, at phi), in the mask.
  virtual void refresh_node(const double* phi, double* node, const double* global, Stream<W>& rng,
                            Mask<W> mask) const = 0;
  /// Gibbs draw of the global scales given all nodes.  Node l has phi at phi + l * stride, scales at
  /// node + l * stride (stride in doubles).
  virtual void refresh_global(const double* phi, const double* node, Index stride, double* global,
                              Stream<W>& rng, Mask<W> mask) const = 0;

  // With the local scales of a node integrated out, for moves of phi that are not conditionally Gaussian.  A scale that
  // all coefficients of the node share is no local one: it is read from `node` and stays.
  /// log p(phi | global scales) of one node, up to a constant.
  virtual Lane<W> log_marginal(const Lane<W>* phi, const double* node, const double* global, double intercept_mean) const = 0;
  /// Expected precisions of the coefficients, roughly, where E[phi_j^2 | data] is about second_moment[j].
  virtual void expected_precision(const double* node, const double* global, const Lane<W>* second_moment, Lane<W>* D) const = 0;
  /// The law of coefficient j as a mixture of normals around its prior mean, roughly: how many, and one of them.
  virtual int n_normals(int j) const = 0;
  virtual void normal(const double* node, const double* global, int j, int i, Lane<W>& log_weight, Lane<W>& precision) const = 0;
  /// Draw the local scales anew given phi and the global scales, whatever they were, in the mask.
  virtual void draw_local(const double* phi, double* node, const double* global, Stream<W>& rng, Mask<W> mask) const = 0;

  // Mean field: a product of factors, q(phi) of each node and those of the scales, in place of the joint posterior.
  /// Scales to begin with.
  virtual void typical_scales(double* node, Index stride, double* global) const = 0;
  /// The expectations under the best factors of the scales, given second_moment = E[phi_lj^2] (n_nodes x dim lanes).
  virtual void expect_scales(const Lane<W>* second_moment, double* node, Index stride, double* global) const = 0;

  /// Local scale lambda and global scale tau, for reports (NaN where the prior has none).
  virtual double local_scale(const double* node, int j, int lane) const = 0;
  virtual double global_scale(const double* global, int lane) const = 0;

  /// Whether the scales of a lane can be those of a particle (read from a file).
  virtual bool plausible(const double* node, const double* global, int lane) const = 0;

  int n_nodes() const { return n_nodes_; }
  int dim() const { return dim_; }

 protected:
  int n_nodes_, dim_;
};

}  // namespace hsmoe
