// Metropolis-Hastings proposal to relocate an expert: one that has little to do becomes the twin of another expert, at its
// own leaf of the tree, and takes over the rows that are easier to route there; or a twin gives its rows back.  Moves of
// single rows do not get there, because the gate has to turn before the first row goes over.
//
// Given the parameters theta of all experts, drawn for the occasion, let s be the expert to relocate and f another one.
// All allocations z and gate coefficients phi are proposed anew; theta of the others stays, that of s is integrated out:
//
//     p(z, phi | theta_-s, y) ~ prod_i p(z_i | u_i, phi) p(phi | tau) prod_{i: z_i != s} f(y_i | theta_{z_i}) m_s(y_i: z_i = s)
//
// with m_s the marginal likelihood of its rows.  Two ways to stand in for it make the allocations independent: (E) the
// density of an expert without rows, and (T) f_s with parameters that are fitted too, from those of f on.  With either
// the likelihood sum_z is a product over rows; a fixed number of steps of an EM algorithm leads to phi_m, m = E, T, near a maximum of it,
// where in E s sets out with hardly any rows, and in T with the rows of f whose logit, where the paths to s and f part, lies more than c
// standard deviations above its mean towards s, c ~ U(0, 1.5) drawn beforehand.  The proposal, t_m a multivariate t around phi_m and r_m(phi) the shares
// of the experts in the rows,
//
//     q(phi', z') = (t_E(phi') prod_i r_E(phi')_{i,z'_i} + t_T(phi') prod_i r_T(phi')_{i,z'_i}) / 2
//
// depends on z and phi through the choice of s alone, p(s | z) ~ 1 / (1 + n_s): the centres are functions of s, f, c, theta_-s, the
// hyper-parameters of the experts, the global scales and the data.  It is accepted with probability
//
//     p(z', phi' | theta_-s, y) p(s | z') q(z, phi) / {p(z, phi | theta_-s, y) p(s | z) q(z', phi')}
//
// Split and merge proposals go back to Richardson & Green (1997) and Jain & Neal (2004); to move an expert to where it is
// needed, to the split-and-merge EM algorithm of Ueda, Nakano, Ghahramani & Hinton (2000).
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include <hsmoe/expert/expert.hpp>
#include <hsmoe/filter/row_buffer.hpp>
#include <hsmoe/gate/gate.hpp>

namespace hsmoe {

template <int W>
class Relocation {
 public:
  /// The expert must be conjugate and the gate refittable.  work: of either.  The centres are found on at most few_rows of the n
  /// rows, evenly spaced, and then mended on all of them.
  Relocation(const Expert<W>& expert, const Gate<W>& gate, int n_experts, int expert_dim, const RowBuffer& buffer, Index n,
             Lane<W>* work, AlignedVector<double>& memory, Index few_rows = 512)
      : expert_(expert), conjugate_(*expert.conjugate()), gate_(gate), refit_(*gate.refitting()), K_(n_experts), d_(expert_dim),
        buffer_(buffer), n_(n), few_rows_(few_rows), work_(work) {
    const Index gate_lanes = gate.fields(), n_memo = Index(RowBlock::most) * gate.memo_lanes(), n_share = Index(RowBlock::most) * K_;
    memory.resize(std::size_t(W) * std::size_t(3 * gate_lanes + expert.fields() + expert.sum_fields() + expert.draw_lanes() +
                                               conjugate_.one_sum_lanes() + RowBlock::most + 2 * n_memo + n_share + 4 * K_ + n));
    Lane<W>* next = reinterpret_cast<Lane<W>*>(memory.data());
    auto take = [&](Index lanes) { return std::exchange(next, next + lanes); };
    idle_at_ = reinterpret_cast<double*>(take(gate_lanes));
    twin_at_ = reinterpret_cast<double*>(take(gate_lanes));
    new_gate_ = reinterpret_cast<double*>(take(gate_lanes));
    new_expert_ = reinterpret_cast<double*>(take(expert.fields()));
    sums_ = reinterpret_cast<double*>(take(expert.sum_fields()));
    draw_ = take(expert.draw_lanes());
    one_sum_ = reinterpret_cast<double*>(take(conjugate_.one_sum_lanes()));
    weight_ = take(RowBlock::most);
    memo_ = take(n_memo);
    other_memo_ = take(n_memo);
    share_ = take(n_share);
    log_f_ = take(K_);
    g_ = take(K_);
    log_g_ = take(K_);
    count_ = take(K_);
    proposed_ = take(n);
  }

  /// Propose for a block of particles with allocations z of all n rows.  Returns the lanes that accepted: their expert
  /// statistics, gate coefficients, local scales and z are the new ones; Polya-Gamma variables and the statistics of the gate
  /// must be drawn anew.
  Mask<W> propose(double* state, Lane<W>* z, Stream<W>& rng, Mask<W> mask) {
    double* gate_state = state + W * Index(expert_.fields());
    expert_.draw_parameters(state, rng, mask, draw_, work_);
    state_ = state;
    choose(z, rng, mask);
    find_idle_centre(gate_state);
    find_twin_centre(gate_state, 1.5 * uniform<W>(rng, mask));
    const Mask<W> to_twin = uniform<W>(rng, mask) < Lane<W>(0.5);
    std::copy_n(gate_state, W * Index(gate_.fields()), new_gate_);
    refit_.draw_around(idle_at_, new_gate_, rng, mask & !to_twin, work_);
    refit_.draw_around(twin_at_, new_gate_, rng, mask & to_twin, work_);
    Lane<W> log_ratio = propose_allocations(gate_state, z, to_twin, rng, mask);

    std::fill_n(sums_, W * Index(expert_.sum_fields()), 0.0);
    for_each_block(1, [&](const RowBlock& rows, Index i) {
      expert_.absorb(sums_, nullptr, rows, proposed_ + i, draw_, 0, rng, mask, work_);
    });
    std::copy_n(state, W * Index(expert_.fields()), new_expert_);
    conjugate_.condense(new_expert_, sums_, work_);
    log_ratio += conjugate_.log_marginal(new_expert_, idle_) - conjugate_.log_marginal(state, idle_) +
                 refit_.log_prior(new_gate_, work_) - refit_.log_prior(gate_state, work_);

    const Mask<W> accept = mask & (log(uniform<W>(rng, mask)) < log_ratio);
    if (!any(accept)) return accept;
    for (Index f = 0; f < W * Index(expert_.fields()); f += W)
      select(accept, Lane<W>::load(new_expert_ + f), Lane<W>::load(state + f)).store(state + f);
    refit_.adopt(gate_state, new_gate_, rng, accept);
    for (Index i = 0; i < n_; ++i) z[i] = select(accept, proposed_[i], z[i]);
    return accept;
  }

 private:
  // All of these shape the proposal alone: they move its acceptance, not the law that it leaves as it is.
  static constexpr int few_row_steps = 8, all_row_steps = 2;
  // How much less likely rows are at first in an expert that is to be idle (log).
  static constexpr double idle_handicap = 7.0;
  // Shares of experts are at least this, so that no allocation is impossible.
  static constexpr double least_share = 1e-12;

  // Expert s with probability ~ 1 / (1 + n_s), f any other.
  void choose(const Lane<W>* z, Stream<W>& rng, Mask<W> mask) {
    count_rows(z);
    Lane<W> total(0.0), below(0.0);
    for (int k = 0; k < K_; ++k) total += 1.0 / (1.0 + count_[k]);
    const Lane<W> u = uniform<W>(rng, mask) * total;
    idle_ = Lane<W>(0.0);
    for (int k = 0; k + 1 < K_; ++k) {
      below += 1.0 / (1.0 + count_[k]);
      idle_ = select(below <= u, Lane<W>(double(k + 1)), idle_);
    }
    log_choice_ = log_choice();
    const Lane<W> v = uniform<W>(rng, mask) * double(K_ - 1);
    partner_ = Lane<W>(0.0);
    for (int k = 1; k + 1 < K_; ++k) partner_ = select(v < Lane<W>(double(k)), partner_, Lane<W>(double(k)));
    partner_ = select(partner_ >= idle_, partner_ + 1.0, partner_);
  }
  void count_rows(const Lane<W>* z) {
    for (int k = 0; k < K_; ++k) {
      count_[k] = Lane<W>(0.0);
      for (Index i = 0; i < n_; ++i) count_[k] += select(z[i] == Lane<W>(double(k)), Lane<W>(1.0), Lane<W>(0.0));
    }
  }
  // log p(s | counts)
  Lane<W> log_choice() const {
    Lane<W> total(0.0);
    for (int k = 0; k < K_; ++k) total += 1.0 / (1.0 + count_[k]);
    return -log(total * (1.0 + chosen(count_, idle_)));
  }

  Lane<W> chosen(const Lane<W>* of, Lane<W> k) const {
    Lane<W> value = of[0];
    for (int i = 1; i < K_; ++i) value = select(k == Lane<W>(double(i)), of[i], value);
    return value;
  }
  void put(Lane<W>* of, Lane<W> k, Lane<W> value) const {
    for (int i = 0; i < K_; ++i) of[i] = select(k == Lane<W>(double(i)), value, of[i]);
  }

  // shares_k ~ g_k f_k, at least least_share.
  void shares_of(const Lane<W>* log_f, const Lane<W>* g, Lane<W>* share) const {
    Lane<W> top = log_f[0], total(0.0);
    for (int k = 1; k < K_; ++k) top = max(top, log_f[k]);
    for (int k = 0; k < K_; ++k) total += share[k] = g[k] * exp_nonpositive(log_f[k] - top);
    const Lane<W> floor = least_share * total + 1e-300, scale = 1.0 / (total + double(K_) * floor);
    for (int k = 0; k < K_; ++k) share[k] = (share[k] + floor) * scale;
  }

  template <class Visit>
  void for_each_block(Index stride, Visit&& visit) const {
    for (Index i = 0; i < n_;) {
      RowBlock rows;
      const Index begin = i;
      for (rows.n = 0; i < n_ && rows.n < RowBlock::most; i += stride, ++rows.n) {
        rows.xy[rows.n] = buffer_.xy(i);
        rows.u[rows.n] = buffer_.u(i);
      }
      visit(rows, begin);
    }
  }
  Row row(const RowBlock& rows, int t) const { return {rows.xy[t], rows.u[t], nullptr, rows.xy[t][d_]}; }
  Index few_stride() const { return (n_ + few_rows_ - 1) / few_rows_; }

  // What every `stride`-th row says at the coefficients `at`; share: from log_f_ and g_ of the row.
  template <class Share>
  void gather(double* at, Index stride, bool observed, Share&& share) {
    std::fill_n(one_sum_, W * Index(conjugate_.one_sum_lanes()), 0.0);
    for_each_block(stride, [&](const RowBlock& rows, Index) {
      for (int t = 0; t < rows.n; ++t) {
        const Row r = row(rows, t);
        expert_.parameter_log_density(draw_, r, log_f_);
        gate_.proba(at, r, g_, memo_ + t * gate_.memo_lanes());
        share(r, share_ + t * K_);
        weight_[t] = double(stride) * chosen(share_ + t * K_, idle_);
      }
      refit_.gather(at, rows, share_, memo_, double(stride), observed);
      if (!observed) conjugate_.add(one_sum_, rows, weight_);
    });
  }

  // The EM algorithm, from shares `start` in the first two steps; then the information where it ends.
  template <class Start, class Share, class Step>
  void find_centre(double* at, const double* gate_state, Start&& start, Share&& share, Step&& step) {
    std::copy_n(gate_state, W * Index(gate_.fields()), at);
    refit_.unsettle(at);
    for (int i = 0; i < few_row_steps + all_row_steps; ++i) {
      const Index stride = i < few_row_steps ? few_stride() : 1;
      if (i < 2) gather(at, stride, false, start);
      else gather(at, stride, false, share);
      refit_.settle(at, work_);
      if (i >= 2) step();
    }
    gather(at, 1, true, share);
  }

  void find_idle_centre(const double* gate_state) {
    auto share_with = [&](const Row& r, Lane<W>* share, double handicap) {
      put(log_f_, idle_, conjugate_.empty_log_density(state_, idle_, r) - handicap);
      shares_of(log_f_, g_, share);
    };
    find_centre(
        idle_at_, gate_state, [&](const Row& r, Lane<W>* share) { share_with(r, share, idle_handicap); },
        [&](const Row& r, Lane<W>* share) { share_with(r, share, 0.0); }, [] {});
  }

  // Shares of the row where s is idle, and the logit towards s there.
  Lane<W> idle_shares(const Row& r, Lane<W>* share) {
    gate_.proba(idle_at_, r, g_, other_memo_);
    put(log_f_, idle_, conjugate_.empty_log_density(state_, idle_, r));
    shares_of(log_f_, g_, share);
    return refit_.towards(idle_, partner_, other_memo_);
  }

  void find_twin_centre(const double* gate_state, Lane<W> c) {
    Lane<W> mass(0.0), sum(0.0), square(0.0);
    for_each_block(few_stride(), [&](const RowBlock& rows, Index) {
      for (int t = 0; t < rows.n; ++t) {
        const Row r = row(rows, t);
        expert_.parameter_log_density(draw_, r, log_f_);
        const Lane<W> psi = idle_shares(r, share_), m = chosen(share_, partner_);
        mass += m;
        sum += m * psi;
        square += m * psi * psi;
      }
    });
    conjugate_.imitate(draw_, idle_, partner_);
    const Lane<W> mean = sum / mass, threshold = mean + c * sqrt(max(square / mass - mean * mean, Lane<W>(0.0)));
    find_centre(
        twin_at_, gate_state,
        [&](const Row& r, Lane<W>* share) {
          const Mask<W> over = threshold < idle_shares(r, share);
          const Lane<W> both = chosen(share, partner_);
          put(share, idle_, select(over, both, Lane<W>(0.0)));
          put(share, partner_, select(over, Lane<W>(0.0), both));
        },
        [&](const Row&, Lane<W>* share) { shares_of(log_f_, g_, share); },
        [&] { conjugate_.estimate(state_, idle_, one_sum_, draw_, work_); });
  }

  // Log shares of allocations under both stand-ins, and the rest of the target, at the coefficients of a gate.
  struct Likelihood {
    Lane<W> idle{0.0}, twin{0.0}, target{0.0};
    void add(Lane<W> log_g, Lane<W> log_f, Lane<W> share_idle, Lane<W> share_twin) {
      target += log_g + log_f;
      idle += log(share_idle);
      twin += log(share_twin);
    }
  };

  // g_ and log_g_ of the row, the latter right where g_ is below the range of doubles.
  void probabilities(const double* gate_state, const Row& row) {
    gate_.log_proba(gate_state, row, log_g_, memo_);
    for (int k = 0; k < K_; ++k) g_[k] = exp_nonpositive(log_g_[k]);
  }

  // z' given phi'; returns log of p(y, z' | phi', theta) p(s | z') q(z, phi) over the same with (z, phi) and (z', phi')
  // exchanged, without m_s.
  Lane<W> propose_allocations(const double* gate_state, const Lane<W>* z, Mask<W> to_twin, Stream<W>& rng, Mask<W> mask) {
    Likelihood now, then;
    Lane<W>*share_idle = share_, *share_twin = share_ + K_, *log_f_idle = share_ + 2 * K_, *log_f_twin = share_ + 3 * K_;
    for_each_block(1, [&](const RowBlock& rows, Index i) {
      for (int t = 0; t < rows.n; ++t) {
        const Row r = row(rows, t);
        expert_.parameter_log_density(draw_, r, log_f_);
        std::copy_n(log_f_, K_, log_f_idle);
        std::copy_n(log_f_, K_, log_f_twin);
        put(log_f_idle, idle_, conjugate_.empty_log_density(state_, idle_, r));
        put(log_f_, idle_, Lane<W>(0.0));  // rows of s contribute through m_s alone

        probabilities(gate_state, r);
        shares_of(log_f_idle, g_, share_idle);
        shares_of(log_f_twin, g_, share_twin);
        Lane<W> k = z[i + t];
        now.add(chosen(log_g_, k), chosen(log_f_, k), chosen(share_idle, k), chosen(share_twin, k));

        probabilities(new_gate_, r);
        shares_of(log_f_idle, g_, share_idle);
        shares_of(log_f_twin, g_, share_twin);
        const Lane<W> u = uniform<W>(rng, mask);
        Lane<W> below(0.0);
        k = Lane<W>(0.0);
        for (int j = 0; j + 1 < K_; ++j) {
          below += select(to_twin, share_twin[j], share_idle[j]);
          k = select(below <= u, Lane<W>(double(j + 1)), k);
        }
        proposed_[i + t] = k;
        then.add(chosen(log_g_, k), chosen(log_f_, k), chosen(share_idle, k), chosen(share_twin, k));
      }
    });
    count_rows(proposed_);
    return then.target - now.target + log_choice() - log_choice_ + log_proposal(now, gate_state) - log_proposal(then, new_gate_);
  }
  Lane<W> log_proposal(const Likelihood& likelihood, const double* gate_state) const {
    const Lane<W> a = likelihood.idle + refit_.log_density_around(idle_at_, gate_state, work_),
                  b = likelihood.twin + refit_.log_density_around(twin_at_, gate_state, work_);
    return max(a, b) + log1p(exp_nonpositive(-abs(a - b)));
  }

  const Expert<W>& expert_;
  const ConjugateExpert<W>& conjugate_;
  const Gate<W>& gate_;
  const GateRefit<W>& refit_;
  int K_, d_;
  const RowBuffer& buffer_;
  Index n_, few_rows_;
  Lane<W>* work_;
  const double* state_ = nullptr;
  double *idle_at_, *twin_at_, *new_gate_, *new_expert_, *sums_, *one_sum_;
  Lane<W>*draw_, *weight_, *memo_, *other_memo_, *share_, *log_f_, *g_, *log_g_, *count_, *proposed_;
  Lane<W> idle_, partner_, log_choice_;
};

}  // namespace hsmoe
