// The rows that sweeps may still revise, shared by all particles: rows first() ... end()-1 of the stream.
#pragma once

#include <vector>

#include <hsmoe/types.hpp>

namespace hsmoe {

class RowBuffer {
 public:
  RowBuffer(int expert_dim, int gate_dim) : d_(expert_dim), p_(gate_dim) {}

  void push(const double* x, const double* u, double y) {
    X_.insert(X_.end(), x, x + d_);
    U_.insert(U_.end(), u, u + p_);
    y_.push_back(y);
  }
  /// Forget the rows before `row`; memory moves only when half of it is dead.
  void drop_before(Index row) {
    if (row <= first_) return;
    dead_ += row - first_;
    first_ = row;
    if (2 * dead_ < Index(y_.size())) return;
    X_.erase(X_.begin(), X_.begin() + dead_ * d_);
    U_.erase(U_.begin(), U_.begin() + dead_ * p_);
    y_.erase(y_.begin(), y_.begin() + dead_);
    dead_ = 0;
  }
  Index first() const { return first_; }
  Index end() const { return first_ + Index(y_.size()) - dead_; }
  const double* x(Index row) const { return X_.data() + (row - first_ + dead_) * d_; }
  const double* u(Index row) const { return U_.data() + (row - first_ + dead_) * p_; }
  double y(Index row) const { return y_[std::size_t(row - first_ + dead_)]; }

  std::vector<double> all_x() const { return {X_.begin() + dead_ * d_, X_.end()}; }
  std::vector<double> all_u() const { return {U_.begin() + dead_ * p_, U_.end()}; }
  std::vector<double> all_y() const { return {y_.begin() + dead_, y_.end()}; }
  void assign(Index first, std::vector<double> X, std::vector<double> U, std::vector<double> y) {
    first_ = first;
    dead_ = 0;
    X_ = std::move(X);
    U_ = std::move(U);
    y_ = std::move(y);
  }
  Index n_bytes() const { return Index((X_.capacity() + U_.capacity() + y_.capacity()) * sizeof(double)); }

 private:
  int d_, p_;
  Index first_ = 0, dead_ = 0;  // dead rows stand at the front of the vectors
  std::vector<double> X_, U_, y_;
};

}  // namespace hsmoe
