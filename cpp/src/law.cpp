// The laws of forecasts: which one an expert has, and that of Student-t and normal components.
#include "law_kinds.hpp"

namespace hsmoe {

namespace {

/// Fields: location, scale, df (infinite: normal).
class StudentTLaw final : public PredictiveLaw {
 public:
  int fields() const override { return 3; }
  double mean(const ComponentView& m) const override { return mixture_mean(view(m)); }
  double variance(const ComponentView& m) const override { return mixture_variance(view(m)); }
  double log_density(const ComponentView& m, double y) const override { return mixture_log_density(view(m), y); }
  double cdf(const ComponentView& m, double y) const override { return mixture_cdf(view(m), y); }
  void quantiles(const ComponentView& m, const double* probs, int n, double* out,
                 MixtureWorkspace& workspace) const override {
    mixture_quantiles(view(m), probs, n, out, workspace);
  }
  double crps(const ComponentView& m, double y, MixtureWorkspace& workspace) const override {
    return mixture_crps(view(m), y, workspace);
  }
  double sample(const ComponentView& m, Stream<1>& rng) const override { return mixture_sample(view(m), rng); }

 private:
  static MixtureView view(const ComponentView& m) { return {m.size, m.weight, m[0], m[1], m[2]}; }
};

struct LawOf {
  std::unique_ptr<PredictiveLaw> operator()(const GaussianOptions&) const { return std::make_unique<StudentTLaw>(); }
  std::unique_ptr<PredictiveLaw> operator()(const StudentOptions&) const { return std::make_unique<StudentTLaw>(); }
  std::unique_ptr<PredictiveLaw> operator()(const LaplaceOptions&) const { return make_laplace_law(); }
  std::unique_ptr<PredictiveLaw> operator()(const LogitOptions& o) const { return make_class_law(o.n_classes); }
  std::unique_ptr<PredictiveLaw> operator()(const BinomialOptions& o) const { return make_binomial_law(o.n_trials); }
  std::unique_ptr<PredictiveLaw> operator()(const NegativeBinomialOptions&) const { return make_negative_binomial_law(); }
};

}  // namespace

void check_probabilities(const double* probs, int n) {
  for (int i = 0; i < n; ++i)
    if (!(probs[i] >= 0 && probs[i] <= 1)) detail::invalid("quantiles", "probs", probs[i], "between 0 and 1");
}

std::unique_ptr<PredictiveLaw> make_law(const ExpertOptions& options) { return std::visit(LawOf{}, options); }

}  // namespace hsmoe
