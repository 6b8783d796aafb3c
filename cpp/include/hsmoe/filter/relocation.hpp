// Metropolis-Hastings proposal to relocate an expert: one that has little to do becomes the twin of another expert, at its
// own leaf of the tree or at that of a third, and takes over the rows that are easier to route there; or a twin gives its rows
// back, or goes on to be the twin of a third.  Moves of single rows do not get there, because the gate has to turn before the
// first row goes over.
//
// Given the parameters theta of all experts, drawn for the occasion, let s be the expert to relocate.
// All allocations z and gate coefficients phi are proposed anew; theta of the others stays, that of s is integrated out:
//
//     p(z, phi | theta_-s, y) ~ prod_i p(z_i | u_i, phi) p(phi | tau) prod_{i: z_i != s} f(y_i | theta_{z_i}) m_s(y_i: z_i = s)
//
// with m_s the marginal likelihood of its rows.  The proposal for phi is around one of K centres phi_m, near a maximum of a
// likelihood with z summed out, a product over rows, which a fixed number of EM and Newton steps finds with a stand-in for the
// density of s.  With s idle that is the density of an expert without rows, and s sets out with hardly any; with s the twin of any
// other f, the density with parameters that are fitted too, from those of f on, and s sets out with the rows of f whose logit,
// where the paths to s and f part, lies more than b standard deviations above its mean towards s, b ~ U(0, 1.5) drawn beforehand.
// Row by row z_i is then proposed by r_m(phi)_i, the probabilities of the experts given y_i with this stand-in or, m the idle one,
// with the density given the rows that s was given before.  Coefficients under a horseshoe are not normal: the proposal is of
// phi and of c, which normal of the prior, as a mixture of such, each coefficient comes from (tree_refit.hpp), and phi itself is
// joined by c drawn from p(c | phi).  The proposal, t_m(c, phi) around phi_m,
//
//     q(c', phi', z') = sum_m t_m(c', phi') prod_i r_m(phi')_{i,z'_i} / K
//
// depends on z and phi through the choice of s alone, p(s | z) ~ 1 / (1 + n_s): the centres are functions of s, b, theta_-s, the
// hyper-parameters of the experts, the global scales, the data, and of which expert is at which leaf.  Centres are dear and draws
// cheap, so several are tried, each with its weight
//
//     w = p(z, phi | theta_-s, y) p(c | phi) p(s | z) / q(c, phi, z).
//
// One of them, t, is chosen with probability ~ w_t, and accepted with probability min(1, sum_r w_r / (w_0 + sum_{r != t} w_r)), w_0 the
// weight of the state: a metropolised choice among slots of which the state has one and draws from q the others (Liu 1996; Liu, Liang &
// Wong 2000).  In half of the proposals s may also change places with an expert chosen from the rest.  Half of the slots are then for
// draws where it has, with the q and p(s | z) of these places; the state has one of the others.
//
// Where leaves open and close (gate/open_leaves.hpp), the probabilities and the fits are those of the pruned gate, and paths stay
// as they are, but for that of s where it is constant: s is always open or never.  The mixture then has one more centre, the fit
// with s closed, if s > 0 and its path is constant; it has weight 1/2, and those with s open, idle or the twin of an f that is open at some
// row, share the rest evenly.  A state with s open has no density under the centre with s closed, and the other way round; p(paths)
// is a factor of w.  So experts are born as twins, and their rows are given back as they die.  Experts that change
// places take their paths with them, which is refused where expert 0 would not be always open.
//
// Split and merge proposals go back to Richardson & Green (1997) and Jain & Neal (2004), allocations one after the other to Dahl
// (2005); to move an expert to where it is needed, to the split-and-merge EM algorithm of Ueda, Nakano, Ghahramani & Hinton (2000).
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <hsmoe/expert/expert.hpp>
#include <hsmoe/filter/row_buffer.hpp>
#include <hsmoe/gate/gate.hpp>
#include <hsmoe/simd/numbered.hpp>

namespace hsmoe {

template <int W>
class Relocation {
 public:
  /// The expert must be conjugate and the gate refittable.  work: of either.  The centres are found on at most few_rows of the n
  /// rows, evenly spaced, and then mended on all of them.
  Relocation(const Expert<W>& expert, const Gate<W>& gate, int n_experts, int expert_dim, const RowBuffer& buffer, Index n,
             Lane<W>* work, AlignedVector<double>& memory, Index few_rows = 256)
      : expert_(expert), conjugate_(*expert.conjugate()), gate_(gate), refit_(*gate.refitting()), K_(n_experts), d_(expert_dim),
        leaves_(gate.leaves()), ways_(n_experts + (leaves_ ? 1 : 0)), buffer_(buffer), n_(n), few_rows_(few_rows), work_(work) {
    const Index gate_lanes = gate.fields(), n_memo = Index(RowBlock::most) * gate.memo_lanes(),
                n_share = Index(RowBlock::most) * K_, n_paths = leaves_ ? leaves_->fields() : 0;
    memory.resize(std::size_t(W) * std::size_t(2 * ways_ * refit_.centre_lanes() + 2 * gate_lanes + expert.fields() + expert.sum_fields() +
                                               4 * expert.draw_lanes() + conjugate_.one_fields() +
                                               conjugate_.one_sum_lanes() + RowBlock::most + n_memo + gate.memo_lanes() + n_share + 6 * K_ + 8 * ways_ + 4 * n_paths +
                                               2 * refit_.dim() + 2 * n));
    Lane<W>* next = reinterpret_cast<Lane<W>*>(memory.data());
    auto take = [&](Index lanes) { return std::exchange(next, next + lanes); };
    for (Places& places : places_) {
      places.centres = reinterpret_cast<double*>(take(ways_ * refit_.centre_lanes()));
      places.draw = take(expert.draw_lanes());
      places.twins = take(expert.draw_lanes());
      places.log_weight = take(ways_);
      for (double*& paths : places.paths) paths = reinterpret_cast<double*>(take(n_paths));
    }
    new_gate_ = reinterpret_cast<double*>(take(gate_lanes));
    tried_gate_ = reinterpret_cast<double*>(take(gate_lanes));
    new_expert_ = reinterpret_cast<double*>(take(expert.fields()));
    sums_ = reinterpret_cast<double*>(take(expert.sum_fields()));
    own_ = reinterpret_cast<double*>(take(conjugate_.one_fields()));
    one_sum_ = reinterpret_cast<double*>(take(conjugate_.one_sum_lanes()));
    weight_ = take(RowBlock::most);
    memo_ = take(n_memo);
    other_memo_ = take(gate.memo_lanes());
    share_ = take(n_share);
    log_f_ = take(K_);
    log_f_twin_ = take(K_);
    mass_ = take(K_);
    row_ways_ = reinterpret_cast<Way*>(take(ways_ * Index(sizeof(Way) / sizeof(Lane<W>))));
    log_q_ = take(ways_);
    g_ = take(K_);
    log_g_ = take(K_);
    count_ = take(K_);
    normals_ = take(refit_.dim());
    tried_normals_ = take(refit_.dim());
    proposed_ = take(n);
    tried_ = take(n);
  }

  /// Propose for a block of particles with allocations z of all n rows, s to stay at its leaf or, swapping, also at that of another
  /// expert, which takes its place.  Returns the lanes that accepted: their expert statistics, gate coefficients, local scales
  /// and z are the new ones; Polya-Gamma variables and the statistics of the gate must be drawn anew.
  Mask<W> propose(double* state, bool swapping, int tries, Lane<W>* z, Stream<W>& rng, Mask<W> mask) {
    double* gate_state = state + W * Index(expert_.fields());
    state_ = state;
    Places &now = places_[0], &swapped = places_[1];
    expert_.draw_parameters(state, rng, mask, now.draw, work_);
    count_rows(z);
    now.s = s_ = choose(rng, mask);
    const Lane<W> b = 1.5 * uniform<W>(rng, mask);
    Mask<W> legal = mask;
    if (leaves_) set_paths(now, leaves_->paths(gate_state));
    find_centres(now, gate_state, b);
    if (swapping) {
      swap_places(now, swapped, rng, mask);
      if (leaves_) legal = legal & swap_paths(now, swapped);
      find_centres(swapped, gate_state, b);
    }

    refit_.draw_normals(gate_state, normals_, rng, mask);
    const Lane<W> log_now = log_weight(now, gate_state, normals_, now.now_closed, mask, [&](Index i) { return z[i]; });
    // What a try with weight w replaces with probability w / (sum of the weights so far) ends as one of them chosen by weight.
    const int each = swapping ? (tries + 1) / 2 : 0, n_tries = swapping ? 2 * each - 1 : tries;
    Lane<W> log_chosen(impossible), log_rest(impossible);
    Mask<W> has_swapped = Mask<W>::all_false();
    for (int t = 0; t < n_tries; ++t) {
      const bool swaps = t < each;
      Lane<W> log_tried = try_one(swaps ? swapped : now, gate_state, rng, mask);
      if (swaps) log_tried = select(legal, log_tried, Lane<W>(impossible));
      const Mask<W> take = t == 0 ? Mask<W>::all_true() : log(uniform<W>(rng, mask)) + log_sum(log_chosen, log_tried) < log_tried;
      log_rest = log_sum(log_rest, select(take, log_chosen, log_tried));
      log_chosen = select(take, log_tried, log_chosen);
      has_swapped = swaps ? has_swapped | take : has_swapped & !take;
      for (Index f = 0; f < W * Index(gate_.fields()); f += W)
        select(take, Lane<W>::load(tried_gate_ + f), Lane<W>::load(new_gate_ + f)).store(new_gate_ + f);
      for (Index i = 0; i < n_; ++i) proposed_[i] = select(take, tried_[i], proposed_[i]);
    }
    const Lane<W> log_ratio = log_sum(log_rest, log_chosen) - log_sum(log_rest, log_now);
    const Mask<W> accept = mask & (log(uniform<W>(rng, mask)) < log_ratio);
    if (!any(accept)) return accept;

    std::fill_n(sums_, W * Index(expert_.sum_fields()), 0.0);
    for_each_block(1, [&](const RowBlock& rows, Index i) {
      expert_.absorb(sums_, nullptr, rows, proposed_ + i, now.draw, 0, rng, mask, work_);
    });
    std::copy_n(state, W * Index(expert_.fields()), new_expert_);
    if (swapping) expert_.exchange(new_expert_, now.s, swapped.s, has_swapped);
    conjugate_.condense(new_expert_, sums_, work_);
    for (Index f = 0; f < W * Index(expert_.fields()); f += W)
      select(accept, Lane<W>::load(new_expert_ + f), Lane<W>::load(state + f)).store(state + f);
    refit_.adopt(gate_state, new_gate_, rng, accept, work_);
    for (int f = 0; leaves_ && f < W * leaves_->fields(); f += W)
      select(accept, Lane<W>::load(leaves_->paths(new_gate_) + f), Lane<W>::load(leaves_->paths(gate_state) + f))
          .store(leaves_->paths(gate_state) + f);
    for (Index i = 0; i < n_; ++i) z[i] = select(accept, proposed_[i], z[i]);
    return accept;
  }

 private:
  // All of these shape the proposal alone: they move its acceptance, not the law that it leaves as it is.
  static constexpr int em_steps = 4, few_row_steps = 8, all_row_steps = 2;
  // How much less likely rows are at first in an expert that is to be idle (log).
  static constexpr double idle_handicap = 7.0;
  // Shares of experts are at least this, so that no allocation is impossible.
  static constexpr double least_share = 1e-12;
  // The logarithm of zero, with which one can calculate.
  static constexpr double impossible = -1e300;

  // Experts at leaves of the tree, numbered by these: which is s, their parameters theta and, in the place of f, those of s as
  // a twin of f; and the K centres, with the information there.
  struct Places {
    Lane<W> s;
    Lane<W>*draw, *twins;
    double* centres;
    // Where leaves open and close:
    double* paths[2];      // with s open, then with s closed
    Lane<W>* log_weight;   // of the ways
    Mask<W> now_closed{};  // whether s is, in the state that has these places
  };
  // One row, one of the ways.
  struct Way {
    Lane<W> own, scale, floor, total;
    Lane<W> product;  // of the shares of some rows
  };
  double* centre(const Places& places, int m) const { return places.centres + W * Index(m) * refit_.centre_lanes(); }
  // In the m-th way s is the twin of the m-th expert after it, going round.
  Lane<W> partner(const Places& places, int m) const {
    const Lane<W> f = places.s + double(m);
    return select(f < Lane<W>(double(K_)), f, f - double(K_));
  }
  // Whether m <= x < m + 1, x in [0, K).
  Mask<W> is_number(int m, Lane<W> x) const { return (Lane<W>(double(m)) <= x) & (x < Lane<W>(double(m + 1))); }

  // The places of the state; s is always open or never unless its path is another, which then stays.
  void set_paths(Places& now, const double* paths) {
    const Lane<W> s = now.s, zero(0.0), never(OpenLeaves<W>::never);
    const Lane<W>* lanes = reinterpret_cast<const Lane<W>*>(paths);
    const Lane<W> opened = at_number(lanes, K_, s), closed = at_number(lanes + K_, K_, s);
    now.now_closed = opened == never;
    is_constant_ = now.now_closed | ((opened == zero) & (closed == never));
    for (int way : {0, 1}) {
      std::copy_n(paths, W * leaves_->fields(), now.paths[way]);
      Lane<W>* own = reinterpret_cast<Lane<W>*>(now.paths[way]);
      put_at_number(own, K_, s, select(is_constant_, way ? never : zero, opened));
      put_at_number(own + K_, K_, s, select(is_constant_, never, closed));
    }
    weigh_ways(now);
  }
  // Returns the lanes where expert 0 is always open then.
  Mask<W> swap_paths(const Places& now, Places& then) {
    const Lane<W> zero(0.0);
    const Lane<W>* lanes = reinterpret_cast<const Lane<W>*>(now.paths[0]);
    const Mask<W> other_is_always_open =
        (at_number(lanes, K_, then.s) == zero) & (at_number(lanes + K_, K_, then.s) == Lane<W>(OpenLeaves<W>::never));
    for (int way : {0, 1}) {
      std::copy_n(now.paths[way], W * leaves_->fields(), then.paths[way]);
      leaves_->exchange(then.paths[way], now.s, then.s, Mask<W>::all_true());
    }
    weigh_ways(then);
    return (other_is_always_open | !(now.s == zero)) & (is_constant_ | !(then.s == zero));
  }
  // Log probabilities of the centres; where s and the m-th expert after it never meet there is none.
  void weigh_ways(Places& places) {
    const Lane<W> none(impossible), s = places.s;
    const Lane<W>* opened = reinterpret_cast<const Lane<W>*>(places.paths[0]);
    const Mask<W> closable = is_constant_ & !(s == Lane<W>(0.0));
    Lane<W> n_ways(1.0);
    for (int m = 1; m < K_; ++m) {
      const Mask<W> is_met = at_number(opened, K_, partner(places, m)) < Lane<W>(double(n_));
      places.log_weight[m] = select(is_met, Lane<W>(0.0), none);
      n_ways += select(is_met, Lane<W>(1.0), Lane<W>(0.0));
    }
    const Lane<W> each = log(select(closable, Lane<W>(0.5), Lane<W>(1.0)) / n_ways);
    places.log_weight[0] = each;
    for (int m = 1; m < K_; ++m) places.log_weight[m] = select(places.log_weight[m] < Lane<W>(0.0), none, each);
    places.log_weight[K_] = select(closable, Lane<W>(std::log(0.5)), none);
  }
  // A number in the middle between the chosen way and the next.
  Lane<W> way_at_quantile(const Places& places, Lane<W> u) const {
    Lane<W> below(0.0), way(0.5);
    for (int m = 0; m < ways_; ++m) {
      way = select((below <= u) & (Lane<W>(0.5 * impossible) < places.log_weight[m]), Lane<W>(m + 0.5), way);
      below += exp(places.log_weight[m]);
    }
    return way;
  }
  void copy_paths(const Places& places, Mask<W> s_is_closed, double* to) const {
    for (int f = 0; f < W * leaves_->fields(); f += W)
      select(s_is_closed, Lane<W>::load(places.paths[1] + f), Lane<W>::load(places.paths[0] + f)).store(to + f);
  }

  void count_rows(const Lane<W>* z) {
    for (int k = 0; k < K_; ++k) {
      count_[k] = Lane<W>(0.0);
      for (Index i = 0; i < n_; ++i) count_[k] += select(z[i] == Lane<W>(double(k)), Lane<W>(1.0), Lane<W>(0.0));
    }
  }
  Lane<W> total_choice() const {
    Lane<W> total(0.0);
    for (int k = 0; k < K_; ++k) total += 1.0 / (1.0 + count_[k]);
    return total;
  }
  // Expert s with probability ~ 1 / (1 + n_s).
  Lane<W> choose(Stream<W>& rng, Mask<W> mask) const {
    const Lane<W> u = uniform<W>(rng, mask) * total_choice();
    for (int k = 0; k < K_; ++k) g_[k] = 1.0 / (1.0 + count_[k]);
    return number_at_quantile(g_, K_, u);
  }
  Lane<W> log_choice(Lane<W> s) const { return -log(total_choice() * (1.0 + chosen(count_, s))); }

  // s in the place of any other expert, and this in its place.
  void swap_places(const Places& now, Places& then, Stream<W>& rng, Mask<W> mask) {
    const Lane<W> v = uniform<W>(rng, mask) * double(K_ - 1);
    then.s = now.s;
    for (int m = 1; m < K_; ++m) then.s = select(is_number(m - 1, v), partner(now, m), then.s);
    std::copy_n(now.draw, expert_.draw_lanes(), then.draw);
    exchange_strides<W>(reinterpret_cast<double*>(then.draw), expert_.draw_lanes() / K_, now.s, then.s, mask);
  }

  Lane<W> chosen(const Lane<W>* of, Lane<W> k) const { return at_number(of, K_, k); }
  void put(Lane<W>* of, Lane<W> k, Lane<W> value) const { put_at_number(of, K_, k, value); }

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
        rows.at[rows.n] = double(i);
      }
      visit(rows, begin);
    }
  }
  Row row(const RowBlock& rows, int t) const { return {rows.xy[t], rows.u[t], nullptr, rows.xy[t][d_], rows.at[t]}; }
  Index few_stride() const { return (n_ + few_rows_ - 1) / few_rows_; }

  // What every `stride`-th row says at the coefficients `at`; share: from log_f_ and g_ of the row.
  template <class Share>
  void gather(const Places& places, double* at, Index stride, bool observed, Share&& share) {
    refit_.forget(at);
    std::fill_n(one_sum_, W * Index(conjugate_.one_sum_lanes()), 0.0);
    for_each_block(stride, [&](const RowBlock& rows, Index) {
      for (int t = 0; t < rows.n; ++t) {
        const Row r = row(rows, t);
        expert_.parameter_log_density(places.draw, r, log_f_);
        gate_.proba(at, r, g_, memo_ + t * gate_.memo_lanes());
        share(r, share_ + t * K_);
        weight_[t] = double(stride) * chosen(share_ + t * K_, places.s);
      }
      refit_.gather(at, rows, share_, memo_, double(stride), observed);
      conjugate_.add(one_sum_, rows, weight_);
    });
  }

  // The fit, from shares `start` in the first two steps, at first with the information of known allocations; then the information
  // where it ends.
  template <class Start, class Share, class Step>
  void find_centre(const Places& places, int m, const double* gate_state, Start&& start, Share&& share, Step&& step) {
    double* at = centre(places, m);
    refit_.begin(at, gate_state);
    if (leaves_) std::copy_n(places.paths[m == K_ ? 1 : 0], W * leaves_->fields(), leaves_->paths(at));
    for (int i = 0; i < few_row_steps + all_row_steps; ++i) {
      const Index stride = i < few_row_steps ? few_stride() : 1;
      if (i < 2) gather(places, at, stride, false, start);
      else gather(places, at, stride, i >= em_steps, share);
      refit_.settle(at, work_);
      if (i >= 2) step();
    }
    refit_.finish(at, work_);
  }

  void find_centres(const Places& places, const double* gate_state, Lane<W> b) {
    auto idle = [&](double handicap) {
      return [this, &places, handicap](const Row& r, Lane<W>* share) {
        put(log_f_, places.s, conjugate_.empty_log_density(state_, s_, r) - handicap);
        shares_of(log_f_, g_, share);
      };
    };
    find_centre(places, 0, gate_state, idle(idle_handicap), idle(0.0), [] {});
    if (leaves_) find_centre(places, K_, gate_state, idle(0.0), idle(0.0), [] {});
    std::copy_n(places.draw, expert_.draw_lanes(), places.twins);
    for (int m = 1; m < K_; ++m) find_twin_centre(places, m, gate_state, b);
  }

  // Shares of the row where s is idle, and the logit towards s there.
  Lane<W> idle_shares(const Places& places, const Row& r, Lane<W> f, Lane<W>* share) {
    gate_.proba(centre(places, 0), r, g_, other_memo_);
    put(log_f_, places.s, conjugate_.empty_log_density(state_, s_, r));
    shares_of(log_f_, g_, share);
    return refit_.towards(places.s, f, other_memo_);
  }

  void find_twin_centre(const Places& places, int m, const double* gate_state, Lane<W> b) {
    const Lane<W> f = partner(places, m);
    Lane<W> mass(0.0), sum(0.0), square(0.0);
    for_each_block(few_stride(), [&](const RowBlock& rows, Index) {
      for (int t = 0; t < rows.n; ++t) {
        const Row r = row(rows, t);
        expert_.parameter_log_density(places.draw, r, log_f_);
        Lane<W> psi = idle_shares(places, r, f, share_), weight = chosen(share_, f);
        if (leaves_) {  // rows where s and f do not meet say nothing
          const Mask<W> meet = OpenLeaves<W>::is_active(psi);
          psi = select(meet, psi, Lane<W>(0.0));
          weight = select(meet, weight, Lane<W>(0.0));
        }
        mass += weight;
        sum += weight * psi;
        square += weight * psi * psi;
      }
    });
    const Lane<W> mean = sum / mass, threshold = mean + b * sqrt(max(square / mass - mean * mean, Lane<W>(0.0)));
    find_centre(
        places, m, gate_state,
        [&](const Row& r, Lane<W>* share) {
          const Mask<W> over = threshold < idle_shares(places, r, f, share);
          const Lane<W> both = chosen(share, f);
          put(share, places.s, select(over, both, Lane<W>(0.0)));
          put(share, f, select(over, Lane<W>(0.0), both));
        },
        [&](const Row& r, Lane<W>* share) {
          expert_.parameter_log_density(places.twins, r, log_f_twin_);
          put(log_f_, places.s, chosen(log_f_twin_, f));
          shares_of(log_f_, g_, share);
        },
        [&] { conjugate_.estimate(state_, s_, one_sum_, places.twins, f, work_); });
  }

  // g_k f_k of a row at the coefficients of a gate, up to a factor, for the experts but s; and in each way that of s and the factor by
  // which the others are smaller there.  log_own: log density of the row in s given the rows that s was given before.
  void weigh_row(const Places& places, const double* gate_state, const Row& r, Lane<W>& log_own) {
    gate_.log_proba(gate_state, r, log_g_, memo_);  // right where g is below the range of doubles
    expert_.parameter_log_density(places.draw, r, log_f_);
    expert_.parameter_log_density(places.twins, r, log_f_twin_);
    log_own = conjugate_.one_log_density(own_, r, work_);
    put(log_f_, places.s, Lane<W>(impossible));
    Lane<W> top = log_f_[0];
    for (int k = 1; k < K_; ++k) top = max(top, log_f_[k]);
    Lane<W> others(0.0);
    for (int k = 0; k < K_; ++k) {
      g_[k] = exp_nonpositive(log_g_[k]);
      others += mass_[k] = g_[k] * exp_nonpositive(log_f_[k] - top);
    }
    const Lane<W> g_own = chosen(g_, places.s);
    for (int m = 0; m < ways_; ++m) {
      // Where s is closed its probability is zero, and its density does not matter.
      const Lane<W> above = (m % K_ == 0 ? log_own : chosen(log_f_twin_, partner(places, m))) - top, least = exp_nonpositive(-abs(above));
      const Mask<W> is_above = Lane<W>(0.0) < above;
      Way& way = row_ways_[m];
      way.own = g_own * select(is_above, Lane<W>(1.0), least);
      way.scale = select(is_above, least, Lane<W>(1.0));
      const Lane<W> total = way.scale * others + way.own;
      way.floor = least_share * total + 1e-300;
      way.total = total + double(K_) * way.floor;
    }
  }
  // The part of expert k in the total of a way.
  static Lane<W> part(const Way& way, Lane<W> mass, Mask<W> is_own) { return select(is_own, way.own, way.scale * mass) + way.floor; }

  // log w of coefficients and normals, and of the allocations that `allocate` gives row by row when the row has been weighed.
  template <class Allocate>
  Lane<W> log_weight(const Places& places, const double* gate_state, const Lane<W>* normals, Mask<W> s_is_closed, Mask<W> mask,
                     Allocate&& allocate) {
    Lane<W> log_w = refit_.log_prior(gate_state, work_) + refit_.log_probability(gate_state, normals);
    if (leaves_) log_w += leaves_->log_prior(leaves_->paths(gate_state), n_);
    for (int m = 0; m < ways_; ++m) log_q_[m] = refit_.log_density_around(centre(places, m), gate_state, normals, work_);
    for (int k = 0; k < K_; ++k) count_[k] = Lane<W>(0.0);
    conjugate_.begin(state_, s_, own_);
    constexpr int most_factors = 16;  // each at least least_share
    for_each_block(1, [&](const RowBlock& rows, Index i) {
      for (int m = 0; m < ways_; ++m) row_ways_[m].product = Lane<W>(1.0);
      for (int t = 0; t < rows.n; ++t) {
        const Row r = row(rows, t);
        Lane<W> log_own;
        weigh_row(places, gate_state, r, log_own);
        const Lane<W> k = allocate(i + t), mass = chosen(mass_, k);
        const Mask<W> is_own = k == places.s, own = mask & is_own;
        log_w += chosen(log_g_, k) + select(is_own, log_own, chosen(log_f_, k));
        const bool flush = (t + 1) % most_factors == 0 || t + 1 == rows.n;
        for (int m = 0; m < ways_; ++m) {
          Way& way = row_ways_[m];
          way.product *= part(way, mass, is_own) / way.total;
          if (flush) {
            log_q_[m] += log(way.product);
            way.product = Lane<W>(1.0);
          }
        }
        for (int j = 0; j < K_; ++j) count_[j] += select(k == Lane<W>(double(j)), Lane<W>(1.0), Lane<W>(0.0));
        if (any(own)) conjugate_.learn_one(own_, r, own, work_);
      }
    });
    if (leaves_) weigh_densities(places, s_is_closed, log_q_);
    return log_w + log_choice(places.s) - log_total(log_q_);
  }

  // Propose once; returns log w.
  Lane<W> try_one(const Places& places, const double* gate_state, Stream<W>& rng, Mask<W> mask) {
    const Lane<W> u = uniform<W>(rng, mask), m_chosen = leaves_ ? way_at_quantile(places, u) : u * double(K_);
    const Mask<W> s_is_closed = is_number(K_, m_chosen);
    std::copy_n(gate_state, W * Index(gate_.fields()), tried_gate_);
    if (leaves_) copy_paths(places, s_is_closed, leaves_->paths(tried_gate_));
    for (int m = 0; m < ways_; ++m)
      refit_.draw_around(centre(places, m), tried_gate_, tried_normals_, rng, mask & is_number(m, m_chosen), work_);
    return log_weight(places, tried_gate_, tried_normals_, s_is_closed, mask, [&](Index i) {
      Way way = row_ways_[0];
      for (int m = 1; m < ways_; ++m) {
        const Mask<W> later = Lane<W>(double(m)) <= m_chosen;
        const Way& other = row_ways_[m];
        way.own = select(later, other.own, way.own);
        way.scale = select(later, other.scale, way.scale);
        way.floor = select(later, other.floor, way.floor);
        way.total = select(later, other.total, way.total);
      }
      const Lane<W> v = uniform<W>(rng, mask) * way.total;
      Lane<W> below(0.0), k(0.0);
      for (int j = 0; j + 1 < K_; ++j) {
        below += part(way, mass_[j], places.s == Lane<W>(double(j)));
        k = select(below <= v, Lane<W>(double(j + 1)), k);
      }
      return tried_[i] = k;
    });
  }
  // A state has a density under the ways that leave s as open as it is there.
  void weigh_densities(const Places& places, Mask<W> s_is_closed, Lane<W>* log_q) const {
    for (int m = 0; m < ways_; ++m) {
      const Mask<W> possible = m == K_ ? s_is_closed : !s_is_closed;
      log_q[m] = select(possible & (Lane<W>(0.5 * impossible) < places.log_weight[m]), log_q[m] + places.log_weight[m],
                        Lane<W>(-std::numeric_limits<double>::infinity()));
    }
  }
  // log sum_m exp(log_q[m])
  Lane<W> log_total(const Lane<W>* log_q) const {
    Lane<W> top = log_q[0], total(0.0);
    for (int m = 1; m < ways_; ++m) top = max(top, log_q[m]);
    for (int m = 0; m < ways_; ++m) total += exp_nonpositive(log_q[m] - top);
    return top + log(total);
  }
  static Lane<W> log_sum(Lane<W> a, Lane<W> b) { return max(a, b) + log1p(exp_nonpositive(-abs(a - b))); }

  const Expert<W>& expert_;
  const ConjugateExpert<W>& conjugate_;
  const Gate<W>& gate_;
  const GateRefit<W>& refit_;
  int K_, d_;
  const OpenLeaves<W>* leaves_;
  int ways_;               // centres: s idle, the twin of any other, and closed where leaves can be
  Mask<W> is_constant_{};  // whether s is always open or never
  const RowBuffer& buffer_;
  Index n_, few_rows_;
  Lane<W>* work_;
  const double* state_ = nullptr;
  Lane<W> s_;          // its number in the state
  Places places_[2];  // as they are, and as they would be
  Way* row_ways_;
  double *new_gate_, *new_expert_, *sums_, *one_sum_, *tried_gate_, *own_;
  Lane<W>*weight_, *memo_, *other_memo_, *share_, *log_f_, *log_f_twin_, *mass_, *log_q_, *g_, *log_g_,
      *count_, *normals_, *tried_normals_, *proposed_, *tried_;
};

}  // namespace hsmoe
