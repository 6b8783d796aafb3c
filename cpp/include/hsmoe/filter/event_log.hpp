// The last events of a run, and how many there were: a stream of any length keeps a log of bounded size.
#pragma once

#include <vector>

#include <hsmoe/types.hpp>

namespace hsmoe {

template <class Event>
class EventLog {
 public:
  static constexpr Index kKept = 5'000;

  EventLog() = default;
  EventLog(std::vector<Event> events, Index n_dropped) : events_(std::move(events)), n_dropped_(n_dropped) {}

  const std::vector<Event>& events() const { return events_; }
  Index n_dropped() const { return n_dropped_; }
  Index n_events() const { return n_dropped_ + Index(events_.size()); }  // since the beginning
  void push_back(const Event& e) { events_.push_back(e); }

  /// Back to the first `n_events`; for a call that failed, so not past a trim.
  void rewind(Index n_events) { events_.resize(std::size_t(n_events - n_dropped_)); }

  /// At the end of a call, so that what is kept does not depend on how the rows were cut into calls.
  void trim() {
    const Index excess = Index(events_.size()) - kKept;
    if (excess <= 0) return;
    events_.erase(events_.begin(), events_.begin() + excess);
    n_dropped_ += excess;
  }

  /// Whether a log can be like this: none is dropped before it is full.
  bool plausible() const {
    return n_dropped_ >= 0 && Index(events_.size()) <= kKept && (n_dropped_ == 0 || Index(events_.size()) == kKept);
  }

 private:
  std::vector<Event> events_;
  Index n_dropped_ = 0;
};

}  // namespace hsmoe
