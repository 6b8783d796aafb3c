// The laws of forecasts: the mixture of Student-t and normal components.
#include <hsmoe/predictive/law.hpp>

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

}  // namespace

std::unique_ptr<PredictiveLaw> make_law(const ExpertOptions&) { return std::make_unique<StudentTLaw>(); }

}  // namespace hsmoe
