// Forecasts from stored components: the same laws, in the same order of operations, as an engine's own.
#include <string>

#include <hsmoe/error.hpp>
#include <hsmoe/predictive/forecast_components.hpp>
#include <hsmoe/predictive/law.hpp>

namespace hsmoe {

namespace {

ComponentView row_of(const ForecastComponents& c, int fields, Index i) {
  return {std::size_t(c.size), c.weight + i * c.size, c.field + i * fields * c.size, std::size_t(c.size)};
}

}  // namespace

ForecastLaw::ForecastLaw(const ExpertOptions& options) : law_(make_law(options)) {}
ForecastLaw::~ForecastLaw() = default;

int ForecastLaw::fields() const { return law_->fields(); }

void ForecastLaw::moments(const ForecastComponents& c, double* mean, double* variance) const {
  for (Index i = 0; i < c.n; ++i) {
    const ComponentView m = row_of(c, fields(), i);
    mean[i] = law_->mean(m);
    variance[i] = law_->variance(m);
  }
}

void ForecastLaw::quantiles(const ForecastComponents& c, const double* probs, int n_probs, double* out) const {
  MixtureWorkspace workspace;
  for (Index i = 0; i < c.n; ++i) law_->quantiles(row_of(c, fields(), i), probs, n_probs, out + i * n_probs, workspace);
}

template <class PerValue>
void ForecastLaw::at_values(const ForecastComponents& c, const double* y, Index n_values, double* out,
                            PerValue&& per_value) const {
  for (Index i = 0; i < c.n; ++i) {
    const ComponentView m = row_of(c, fields(), i);
    for (Index j = i * n_values; j < (i + 1) * n_values; ++j) {
      if (const char* wanted = law_->refusal(y[j], false))
        detail::invalid("ForecastLaw", ("y of row " + std::to_string(i)).c_str(), y[j], wanted);
      out[j] = per_value(m, y[j]);
    }
  }
}

void ForecastLaw::cdf(const ForecastComponents& c, const double* y, Index n_values, double* out) const {
  at_values(c, y, n_values, out, [&](const ComponentView& m, double value) { return law_->cdf(m, value); });
}

void ForecastLaw::log_density(const ForecastComponents& c, const double* y, Index n_values, double* out) const {
  at_values(c, y, n_values, out, [&](const ComponentView& m, double value) { return law_->log_density(m, value); });
}

void ForecastLaw::crps(const ForecastComponents& c, const double* y, Index n_values, double* out) const {
  MixtureWorkspace workspace;
  at_values(c, y, n_values, out, [&](const ComponentView& m, double value) { return law_->crps(m, value, workspace); });
}

void ForecastLaw::sample(const ForecastComponents& c, Index n_samples, const std::uint64_t seed[4], double* out) const {
  Stream<1> rng = Stream<1>::load(seed);
  for (Index i = 0; i < c.n; ++i) {
    const ComponentView m = row_of(c, fields(), i);
    for (Index s = 0; s < n_samples; ++s) out[i * n_samples + s] = law_->sample(m, rng);
  }
}

}  // namespace hsmoe
