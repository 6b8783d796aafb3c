// Deliberately wrong kernels.  A test of a sampler that does not notice them has no power.
#pragma once

#include <memory>
#include <vector>

#include <hsmoe/expert/expert.hpp>
#include <hsmoe/gate/gate.hpp>
#include <hsmoe/prior/gate_prior.hpp>

#include "draws.hpp"

namespace faults {

using namespace hsmoe;

/// A prior whose scale draws see coefficients that are too small, or with a wrong density where scales are integrated out.
template <int W>
class WrongScales final : public GatePrior<W> {
 public:
  WrongScales(std::unique_ptr<GatePrior<W>> right, bool local, bool global, bool marginal = false, bool redrawn = false)
      : GatePrior<W>(right->n_nodes(), right->dim()),
        right_(std::move(right)),
        local_(local),
        global_(global),
        marginal_(marginal),
        redrawn_(redrawn) {}
  int node_fields() const override { return right_->node_fields(); }
  int global_fields() const override { return right_->global_fields(); }
  double intercept_mean(double odds) const override { return right_->intercept_mean(odds); }
  bool penalised(int j) const override { return right_->penalised(j); }
  void draw_global(double* g, Stream<W>& rng, Mask<W> m) const override { right_->draw_global(g, rng, m); }
  void draw_node(double* s, const double* g, Stream<W>& rng, Mask<W> m) const override {
    right_->draw_node(s, g, rng, m);
  }
  void precision(const double* s, const double* g, Lane<W>* D) const override { right_->precision(s, g, D); }
  void refresh_node(const double* phi, double* s, const double* g, Stream<W>& rng, Mask<W> m) const override {
    std::vector<double> small(phi, phi + W * this->dim_);
    if (local_)
      for (double& v : small) v *= 0.7;
    right_->refresh_node(small.data(), s, g, rng, m);
  }
  void refresh_global(const double* phi, const double* s, Index stride, double* g, Stream<W>& rng,
                      Mask<W> m) const override {
    std::vector<double> small(phi, phi + (this->n_nodes_ - 1) * stride + W * this->dim_);
    if (global_)
      for (double& v : small) v *= 0.7;
    right_->refresh_global(small.data(), s, stride, g, rng, m);
  }
  Lane<W> log_marginal(const Lane<W>* phi, const double* s, const double* g, double mean) const override {
    return right_->log_marginal(phi, s, g, mean) + (marginal_ ? 0.5 * phi[1] * phi[1] : Lane<W>(0.0));
  }
  void expected_precision(const double* s, const double* g, const Lane<W>* moment, Lane<W>* D) const override {
    right_->expected_precision(s, g, moment, D);
  }
  void typical_scales(double* s, Index stride, double* g) const override { right_->typical_scales(s, stride, g); }
  void expect_scales(const Lane<W>* moment, double* s, Index stride, double* g) const override {
    right_->expect_scales(moment, s, stride, g);
  }
  int n_normals(int j) const override { return right_->n_normals(j); }
  void normal(const double* s, const double* g, int j, int i, Lane<W>& log_weight, Lane<W>& precision) const override {
    right_->normal(s, g, j, i, log_weight, precision);
  }
  void draw_local(const double* phi, double* s, const double* g, Stream<W>& rng, Mask<W> m) const override {
    std::vector<double> small(phi, phi + W * this->dim_);
    if (redrawn_)
      for (double& v : small) v *= 0.5;
    right_->draw_local(small.data(), s, g, rng, m);
  }
  double local_scale(const double* s, int j, int lane) const override { return right_->local_scale(s, j, lane); }
  double global_scale(const double* g, int lane) const override { return right_->global_scale(g, lane); }
  bool plausible(const double* s, const double* g, int lane) const override { return right_->plausible(s, g, lane); }

 private:
  std::unique_ptr<GatePrior<W>> right_;
  bool local_, global_, marginal_, redrawn_;
};

/// What a faulty expert tells the faulty gate beside it, which learns the same row next.
template <int W>
struct Stash {
  Lane<W> z;
  std::vector<Lane<W>> memo;
};

/// A gate told another expert than the one drawn, or that forgets its frozen sums.
template <int W>
class FaultyGate : public Gate<W> {
 public:
  struct Faults {
    double flipped = 0.0;               // share of the rows learned as of expert K-1-z; K=2: kappa of the wrong sign
    bool loses_frozen = false;          // frozen sums are not loaded
    bool renews = false;                // phi drawn once more after the row: not a fault
    std::shared_ptr<Stash<W>> redrawn;  // z and the logits are those of the stash
  };
  FaultyGate(std::unique_ptr<Gate<W>> right, int n_experts, Faults faults)
      : right_(std::move(right)), K_(n_experts), faults_(std::move(faults)) {}
  int fields() const override { return right_->fields(); }
  int memo_lanes() const override { return right_->memo_lanes(); }
  int work_lanes() const override { return right_->work_lanes(); }
  int n_splits() const override { return right_->n_splits(); }
  int sum_fields() const override { return right_->sum_fields(); }
  void init(double* s, Stream<W>& rng, Mask<W> m, Lane<W>* work) const override { right_->init(s, rng, m, work); }
  void log_proba(const double* s, const Row& row, Lane<W>* log_g, Lane<W>* memo) const override {
    right_->log_proba(s, row, log_g, memo);
  }
  void proba(const double* s, const Row& row, Lane<W>* g, Lane<W>* memo) const override {
    right_->proba(s, row, g, memo);
  }
  void learn(double* s, const Row& row, Lane<W> z, const Lane<W>* memo, PhiKernel kernel, Stream<W>& rng, Mask<W> m,
             Lane<W>* work) const override {
    if (faults_.redrawn) right_->learn(s, row, faults_.redrawn->z, faults_.redrawn->memo.data(), kernel, rng, m, work);
    else right_->learn(s, row, told(z, rng, m), memo, kernel, rng, m, work);
    if (faults_.renews) right_->renew(s, PhiKernel::block, rng, m, work);
  }
  void load_sums(double* s, const double* sums, Mask<W> m) const override {
    right_->load_sums(s, faults_.loses_frozen ? nullptr : sums, m);
  }
  void absorb(double* s, double* frozen, const RowBlock& rows, const Lane<W>* z, const Lane<W>* memo, Stream<W>& rng,
              Mask<W> m, Lane<W>* work) const override {
    Lane<W> wrong[RowBlock::most];
    for (int t = 0; t < rows.n; ++t) wrong[t] = told(z[t], rng, m);
    right_->absorb(s, frozen, rows, wrong, memo, rng, m, work);
  }
  void renew(double* s, PhiKernel kernel, Stream<W>& rng, Mask<W> m, Lane<W>* work) const override {
    right_->renew(s, kernel, rng, m, work);
  }
  bool moves_by_rows() const override { return right_->moves_by_rows(); }
  Index move_lanes(Index n) const override { return right_->move_lanes(n); }
  void move(double* s, double* sums, Index n, Index n_freeze, const double* U, const Lane<W>* z, Lane<W>* scratch,
            Stream<W>& rng, Mask<W> m, Lane<W>* work) const override {
    std::vector<Lane<W>> wrong(static_cast<std::size_t>(n));
    for (Index i = 0; i < n; ++i) wrong[std::size_t(i)] = told(z[i], rng, m);
    right_->move(s, faults_.loses_frozen ? nullptr : sums, n, n_freeze, U, wrong.data(), scratch, rng, m, work);
  }
  bool has_exchanges() const override { return right_->has_exchanges(); }
  Mask<W> exchange(double* s, Index n, const double* U, const Lane<W>* z, Lane<W>* sides, Lane<W>& first,
                   Lane<W>& second, Stream<W>& rng, Mask<W> m, Lane<W>* work) const override {
    return right_->exchange(s, n, U, z, sides, first, second, rng, m, work);
  }
  void describe(const double* s, int lane, double* phi, double* lambda, double* inclusion, double* tau) const override {
    right_->describe(s, lane, phi, lambda, inclusion, tau);
  }
  bool plausible(const double* s, int lane) const override { return right_->plausible(s, lane); }
  bool plausible_sums(const double* s, int lane) const override { return right_->plausible_sums(s, lane); }

 private:
  Lane<W> told(Lane<W> z, Stream<W>& rng, Mask<W> m) const {
    if (faults_.flipped == 0) return z;
    return select(uniform<W>(rng, m) < Lane<W>(faults_.flipped), double(K_ - 1) - z, z);
  }
  std::unique_ptr<Gate<W>> right_;
  int K_;
  Faults faults_;
};

/// A Gaussian expert with wrong conditionals, or one that has phi redrawn between the weight and z.
template <int W>
class FaultyExpert : public Expert<W> {
 public:
  struct Faults {
    double b0_precision = 1.0;          // b0 is drawn given 1/s2 times this
    double beta_of_scale = 1.0;         // the scale of the coefficients is drawn given beta times this
    bool stays = false;                 // an exchange that the gate accepted is not carried out
    bool no_normaliser = false;         // z given the parameters without the factor s2^-1/2
    std::shared_ptr<Stash<W>> redrawn;  // draw phi anew with `gate`, then z from it: not the phi of the weight
    std::shared_ptr<Gate<W>> gate;
  };
  FaultyExpert(std::unique_ptr<Expert<W>> right, int n_experts, Faults faults)
      : right_(std::move(right)), K_(n_experts), faults_(std::move(faults)) {}
  int fields() const override { return right_->fields(); }
  int work_lanes() const override { return right_->work_lanes(); }
  int sum_fields() const override { return right_->sum_fields(); }
  void fade(double* sums, double share) const override { right_->fade(sums, share); }
  int draw_lanes() const override { return right_->draw_lanes(); }
  int components() const override { return right_->components(); }
  int coefficients() const override { return right_->coefficients(); }
  int stages() const override { return right_->stages(); }
  void renew(double* s, Stream<W>& rng, Mask<W> m, Lane<W>* work) const override { right_->renew(s, rng, m, work); }
  void init(double* s, Stream<W>& rng, Mask<W> m) const override { right_->init(s, rng, m); }
  void log_density(const double* s, const Row& row, Lane<W>* log_f, Lane<W>* c, Lane<W>* work) const override {
    right_->log_density(s, row, log_f, c, work);
  }
  void predict(const double* s, const Row& row, Lane<W>* c, Lane<W>* work) const override {
    right_->predict(s, row, c, work);
  }
  void learn(double* s, const Row& row, Lane<W> z, Stream<W>& rng, Mask<W> m, Lane<W>* work) const override {
    if (faults_.redrawn) {
      double* gate_state = s + W * Index(right_->fields());
      std::vector<Lane<W>> joint(K_), log_f(K_), memo(K_), space(faults_.gate->work_lanes());
      faults_.gate->renew(gate_state, PhiKernel::block, rng, m, space.data());
      faults_.gate->log_proba(gate_state, row, joint.data(), memo.data());
      right_->log_density(s, row, log_f.data(), nullptr, work);
      for (int k = 0; k < K_; ++k) joint[k] += log_f[k];
      z = categorical<W>(joint.data(), K_, rng, m);
      *faults_.redrawn = {z, memo};
    }
    right_->learn(s, row, z, rng, m, work);
  }
  void draw_parameters(const double* s, Stream<W>& rng, Mask<W> m, Lane<W>* draw, Lane<W>* work) const override {
    right_->draw_parameters(s, rng, m, draw, work);
  }
  void parameter_log_density(const Lane<W>* draw, const Row& row, Lane<W>* log_f) const override {
    right_->parameter_log_density(draw, row, log_f);
    const int stride = right_->draw_lanes() / K_;  // beta, 1/s2, log normaliser
    for (int k = 0; faults_.no_normaliser && k < K_; ++k) log_f[k] -= draw[k * stride + stride - 1];
  }
  void absorb(double* sums, double* frozen, const RowBlock& rows, const Lane<W>* z, const Lane<W>* draw, int stage,
              Stream<W>& rng, Mask<W> m, Lane<W>* work) const override {
    right_->absorb(sums, frozen, rows, z, draw, stage, rng, m, work);
  }
  void rebuild(double* s, const double* sums, const Lane<W>* draw, int stage, Stream<W>& rng, Mask<W> m,
               Lane<W>* work) const override {
    std::vector<Lane<W>> wrong(draw, draw + right_->draw_lanes());
    const int stride = right_->draw_lanes() / K_;
    for (int k = 0; k < K_; ++k) {  // the right expert looks at the draw for b0 and for the scale of the coefficients alone
      for (int j = 0; j < stride - 2; ++j) wrong[k * stride + j] *= Lane<W>(faults_.beta_of_scale);
      wrong[k * stride + stride - 2] *= Lane<W>(faults_.b0_precision);
    }
    right_->rebuild(s, sums, wrong.data(), stage, rng, m, work);
  }
  void exchange(double* s, Lane<W> first, Lane<W> second, Mask<W> m) const override {
    if (!faults_.stays) right_->exchange(s, first, second, m);
  }
  void describe_draw(const Lane<W>* draw, int lane, double* coefficients, double* variance, double* shape) const override {
    right_->describe_draw(draw, lane, coefficients, variance, shape);
  }
  void describe(const double* s, int lane, double* coefficients, double* variance, double* shape,
                double* counts) const override {
    right_->describe(s, lane, coefficients, variance, shape, counts);
  }
  bool plausible(const double* s, int lane) const override { return right_->plausible(s, lane); }
  bool plausible_sums(const double* s, int lane) const override { return right_->plausible_sums(s, lane); }

 private:
  std::unique_ptr<Expert<W>> right_;
  int K_;
  Faults faults_;
};

}  // namespace faults
