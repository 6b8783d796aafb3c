// Aligned storage and the shapes that every layer shares.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

namespace hsmoe {

using Index = std::int64_t;

/// Allocator on cache-line boundaries, so that no lane straddles two lines.
template <class T>
struct AlignedAllocator {
  using value_type = T;
  static constexpr std::align_val_t alignment{64};
  AlignedAllocator() = default;
  template <class U>
  AlignedAllocator(const AlignedAllocator<U>&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), alignment)); }
  void deallocate(T* p, std::size_t) { ::operator delete(p, alignment); }
  template <class U>
  bool operator==(const AlignedAllocator<U>&) const { return true; }
  template <class U>
  bool operator!=(const AlignedAllocator<U>&) const { return false; }
};
template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

/// Number of entries of a packed symmetric (lower triangular) matrix of order n.
constexpr int packed_size(int n) { return n * (n + 1) / 2; }
/// Position of (row, column <= row) in a packed lower triangle stored by rows.
constexpr int packed_index(int row, int column) { return row * (row + 1) / 2 + column; }

}  // namespace hsmoe
