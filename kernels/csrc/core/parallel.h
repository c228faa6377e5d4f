// Parallel loops over numbered tasks, on threads that the caller provides.
//
// Results must not depend on the number of threads. Tasks are therefore divided only by the
// problem's shape and write disjoint outputs, and sums over tasks are taken afterwards in order.
#pragma once

#include <cstdint>

namespace s3n {

class Executor {
 public:
  virtual ~Executor() = default;
  // Calls task(context, i) once for every i in [0, count), in any order, on several threads, and
  // returns when all calls have returned. An exception of a task is rethrown here when no task is
  // running any more; tasks that had not started by then are skipped.
  virtual void run(int64_t count, void (*task)(void* context, int64_t i), void* context) = 0;
};

template <class F>
inline void parallel_for(Executor& executor, int64_t count, F&& task) {
  struct Call {
    static void invoke(void* context, int64_t i) { (*static_cast<F*>(context))(i); }
  };
  executor.run(count, &Call::invoke, &task);
}

}  // namespace s3n
