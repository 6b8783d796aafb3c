// Threads for one call: fork-join over a fixed partition of the work.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include <hsmoe/types.hpp>

namespace hsmoe {

/// n - 1 workers beside the calling thread.  run(size, f) calls f(begin, end, thread) on contiguous parts
/// of 0 ... size-1, the same parts every time, and returns when all are done.  Workers spin for a short
/// while between runs (rows follow each other within microseconds) and then sleep.
class ThreadPool {
 public:
  using Work = std::function<void(Index, Index, int)>;

  /// At most one thread a processor; fewer where the system refuses to start more.  How the work is
  /// divided never shows in a result.
  explicit ThreadPool(int n_threads) {
    const int processors = int(std::thread::hardware_concurrency());
    const int wanted = std::max(1, std::min(n_threads, std::max(processors, 4)));
    try {
      workers_.reserve(std::size_t(wanted));
      for (int t = 1; t < wanted; ++t) workers_.emplace_back([this, t] { serve(t); });
    } catch (const std::system_error&) {
    }
    n_ = int(workers_.size()) + 1;
  }
  ~ThreadPool() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
      epoch_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (auto& w : workers_) w.join();
  }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return n_; }

  void run(Index size, const Work& work) {
    if (n_ == 1 || size < 2) {
      work(0, size, 0);
      return;
    }
    size_ = size;
    work_ = &work;
    pending_.store(n_ - 1, std::memory_order_relaxed);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      epoch_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    part(0);
    for (int spins = 0; pending_.load(std::memory_order_acquire) != 0; ++spins) relax(spins);
    if (error_) {
      std::exception_ptr e = error_;
      error_ = nullptr;
      std::rethrow_exception(e);
    }
  }

 private:
  static void relax(int spins) {
    if (spins > 4000) std::this_thread::yield();
#if defined(__x86_64__)
    else __builtin_ia32_pause();
#elif defined(__aarch64__)
    else __asm__ __volatile__("isb");
#endif
  }
  void part(int t) {
    const Index begin = size_ * t / n_, end = size_ * (t + 1) / n_;
    if (begin == end) return;
    try {
      (*work_)(begin, end, t);
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }
  void serve(int t) {
    std::uint64_t seen = 0;
    for (;;) {
      for (int spins = 0; spins < 20000 && epoch_.load(std::memory_order_acquire) == seen; ++spins) relax(0);
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return epoch_.load(std::memory_order_acquire) != seen; });
        seen = epoch_.load(std::memory_order_acquire);
        if (stop_) return;
      }
      part(t);
      pending_.fetch_sub(1, std::memory_order_release);
    }
  }

  int n_ = 1;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<std::uint64_t> epoch_{0};
  std::atomic<int> pending_{0};
  bool stop_ = false;
  Index size_ = 0;
  const Work* work_ = nullptr;
  std::exception_ptr error_;
};

}  // namespace hsmoe
