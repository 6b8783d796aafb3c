// The seam for experts under mean field: a kind keeps the sums and beliefs of all K experts.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <hsmoe/expert/expert_options.hpp>
#include <hsmoe/variational/belief.hpp>

namespace hsmoe::variational {

/// What one thread keeps of the row in flight.
struct ExpertWork {
  std::vector<Projection> row;  // (K, regressions)
  std::vector<double> v;        // (K, regressions, dim)
  std::vector<double> w, kappa, residual;
};

class VariationalExperts {
 public:
  VariationalExperts(int n_experts, int regressions, int dim, bool diagonal)
      : K_(n_experts), n_(regressions), belief_(dim, diagonal) {}
  virtual ~VariationalExperts() = default;

  virtual Index sums() const = 0;     // doubles of all experts, linear in the rows
  virtual Index derived() const = 0;  // what follows from them
  int coefficients() const { return n_ * belief_.dim(); }
  ExpertWork work() const {
    return {std::vector<Projection>(std::size_t(K_ * n_)), std::vector<double>(std::size_t(K_ * n_) * std::size_t(belief_.dim())), {}, {}, {}};
  }
  /// Numbers that a row revisited leaves for `rebuild`.
  virtual int memo() const = 0;

  /// Beliefs from the sums, of no rows; and anew, with what scales follow from them.
  virtual void init(const double* sums, double* derived) const = 0;
  virtual void refresh(const double* sums, double* derived) const = 0;
  /// Field f of the forecast of expert k to components[f * K + k].
  virtual void forecast(const double* derived, const double* x, double* components, ExpertWork& work) const = 0;
  /// log f_k(y) of forecasts.
  virtual void log_density(const double* components, double y, double* log_f) const = 0;
  /// Learn a row just forecast.
  virtual void learn(double* sums, double* derived, const double* x, double y, const double* r, ExpertWork& work) const = 0;

  /// A row that was learned with responsibilities r, seen without itself.
  virtual void revisit(const double* derived, const double* x, double y, const double* r, double* memo, double* components,
                       ExpertWork& work) const = 0;
  /// Sums anew from the rows with responsibilities r (n x K) and what `revisit` left (n x memo), as VariationalGate::rebuild;
  /// `refresh` follows.
  virtual void rebuild(double* sums, double* derived, const RowSet& rows, const double* y, const double* r, const double* memo,
                       Index freeze, double* frozen, ExpertWork& work) const = 0;

  virtual void describe(const double* sums, const double* derived, double* coefficients, double* variance, double* shape,
                        double* counts) const = 0;
  /// Coefficients and variance from the beliefs; their log densities at a row.
  using Normals = std::function<double()>;
  using Gammas = std::function<double(double)>;
  virtual void draw(const double* derived, const Normals& normal, const Gammas& gamma, double* coefficients,
                    double* variance) const = 0;
  virtual void log_density_at(const double* coefficients, const double* variance, const double* x, double y,
                              double* log_f) const = 0;
  virtual bool plausible(const double* sums, const double* derived) const = 0;

 protected:
  int K_, n_;
  Belief belief_;
};

/// Throws InvalidArgument for kinds of experts whose mean field has no closed form.
std::unique_ptr<VariationalExperts> make_experts(const ExpertOptions& options, int n_experts, int dim, bool diagonal);

}  // namespace hsmoe::variational
