// The smallest test harness that reports what failed and where.
#pragma once

#include <cmath>
#include <cstdio>

inline int failures = 0;

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      ++failures;                                                              \
      std::printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);      \
    }                                                                          \
  } while (0)

#define CHECK_CLOSE(a, b, tolerance)                                                                       \
  do {                                                                                                     \
    const double a_ = (a), b_ = (b);                                                                       \
    if (!(std::abs(a_ - b_) <= (tolerance))) {                                                             \
      ++failures;                                                                                          \
      std::printf("%s:%d: %s = %.17g, %s = %.17g\n", __FILE__, __LINE__, #a, a_, #b, b_);                  \
    }                                                                                                      \
  } while (0)

inline int report(const char* name) {
  std::printf("%s: %s\n", name, failures ? "FAILED" : "passed");
  return failures ? 1 : 0;
}
