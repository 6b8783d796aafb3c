// The rows that scans may still revise, shared by all particles: rows first() ... end()-1 of the stream.
#pragma once

#include <vector>

#include <hsmoe/row.hpp>

namespace hsmoe {

class RowBuffer {
 public:
  RowBuffer(int expert_dim, int gate_dim) : d_(expert_dim), p_(gate_dim) {}

  void push(const double* x, const double* u, double y) {
    XY_.insert(XY_.end(), x, x + d_);
    XY_.push_back(y);
    U_.insert(U_.end(), u, u + p_);
    ++size_;
  }
  /// Forget the rows before `row`; memory moves only when half of it is dead.
  void drop_before(Index row) {
    if (row <= first_) return;
    dead_ += row - first_;
    first_ = row;
    if (2 * dead_ < size_) return;
    XY_.erase(XY_.begin(), XY_.begin() + dead_ * (d_ + 1));
    U_.erase(U_.begin(), U_.begin() + dead_ * p_);
    size_ -= dead_;
    dead_ = 0;
  }
  Index first() const { return first_; }
  Index end() const { return first_ + size_ - dead_; }
  const double* xy(Index row) const { return XY_.data() + (row - first_ + dead_) * (d_ + 1); }
  const double* u(Index row) const { return U_.data() + (row - first_ + dead_) * p_; }
  /// Rows begin ... end-1, at most RowBlock::most of them.
  RowBlock block(Index begin, Index end) const {
    RowBlock b;
    b.n = int(end - begin);
    for (int t = 0; t < b.n; ++t) {
      b.xy[t] = xy(begin + t);
      b.u[t] = u(begin + t);
      b.at[t] = double(begin + t);
    }
    return b;
  }

  std::vector<double> all_xy() const { return {XY_.begin() + dead_ * (d_ + 1), XY_.end()}; }
  std::vector<double> all_u() const { return {U_.begin() + dead_ * p_, U_.end()}; }
  void assign(Index first, std::vector<double> XY, std::vector<double> U) {
    first_ = first;
    dead_ = 0;
    size_ = Index(XY.size()) / (d_ + 1);
    XY_ = std::move(XY);
    U_ = std::move(U);
  }
  Index n_bytes() const { return Index((XY_.capacity() + U_.capacity()) * sizeof(double)); }

 private:
  int d_, p_;
  Index first_ = 0, size_ = 0, dead_ = 0;  // size_ counts the dead rows, which stand at the front
  std::vector<double> XY_, U_;
};

}  // namespace hsmoe
