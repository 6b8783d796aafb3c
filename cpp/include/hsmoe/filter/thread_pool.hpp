// Threads for one call: fork-join over a fixed partition of the work.  They outlive the call and serve the next one, of any engine.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>
#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

#include <hsmoe/types.hpp>

namespace hsmoe {

/// n - 1 workers beside the calling thread.  run(size, f) calls f(begin, end, thread) on contiguous parts
/// of 0 ... size-1, the same parts every time, and returns when all are done.  Workers spin for a short
/// while between runs (rows follow each other within microseconds) and then sleep.
class Workers {
 public:
  using Work = std::function<void(Index, Index, int)>;

  /// Fewer where the system refuses to start more.
  explicit Workers(int wanted) : wanted_(wanted) {
    try {
      workers_.reserve(std::size_t(wanted));
      for (int t = 1; t < wanted; ++t) workers_.emplace_back([this, t] { serve(t); });
    } catch (const std::system_error&) {
    }
    n_ = int(workers_.size()) + 1;
  }
  ~Workers() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
      epoch_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (auto& w : workers_) w.join();
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  int wanted() const { return wanted_; }
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

  int wanted_, n_ = 1;
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

/// Workers that wait for the next call of this process.
class IdleWorkers {
 public:
  IdleWorkers() { waiting_.reserve(most); }
  static std::unique_ptr<Workers> take(int wanted) {
    IdleWorkers& idle = instance();
    {
      std::lock_guard<std::mutex> lock(idle.mutex_);
      for (auto& w : idle.waiting_)
        if (w->wanted() == wanted) {
          std::swap(w, idle.waiting_.back());
          std::unique_ptr<Workers> found = std::move(idle.waiting_.back());
          idle.waiting_.pop_back();
          return found;
        }
    }
    return std::make_unique<Workers>(wanted);
  }
  static void give_back(std::unique_ptr<Workers> workers) {
    if (workers->size() < workers->wanted()) return;  // the next call tries again
    IdleWorkers& idle = instance();
    std::lock_guard<std::mutex> lock(idle.mutex_);
    if (idle.waiting_.size() < most) idle.waiting_.push_back(std::move(workers));
  }

 private:
  static constexpr std::size_t most = 4;

  static long process() {
#if defined(__unix__) || defined(__APPLE__)
    return long(::getpid());
#else
    return 0;
#endif
  }
  /// A forked process has none of the threads of its parent, and its locks as they were: it begins anew.  Never destroyed: when a
  /// process ends, nobody may wait for threads any more.
  static IdleWorkers& instance() {
    static std::atomic<IdleWorkers*> current{nullptr};
    IdleWorkers* idle = current.load();
    while (!idle || idle->process_ != process()) {
      auto fresh = std::make_unique<IdleWorkers>();
      if (current.compare_exchange_weak(idle, fresh.get())) idle = fresh.release();
    }
    return *idle;
  }

  const long process_ = process();
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workers>> waiting_;
};

/// Workers for one call.  At most one thread a processor, or four if asked for on a smaller machine; how the work is divided never shows in a result.
class ThreadPool {
 public:
  explicit ThreadPool(int n_threads) {
    const int processors = int(std::thread::hardware_concurrency());
    const int wanted = std::min(n_threads, std::max(processors, 4));
    if (wanted > 1) workers_ = IdleWorkers::take(wanted);
  }
  ~ThreadPool() {
    if (workers_) IdleWorkers::give_back(std::move(workers_));
  }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return workers_ ? workers_->size() : 1; }
  void run(Index size, const Workers::Work& work) {
    if (workers_) workers_->run(size, work);
    else work(0, size, 0);
  }

 private:
  std::unique_ptr<Workers> workers_;
};

}  // namespace hsmoe
