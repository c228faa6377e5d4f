// Parallel loops over numbered tasks, on whatever threads the caller has.
//
// Results must not depend on the number of threads: tasks are cut by the problem's shape alone,
// write disjoint outputs, and sums over tasks are taken in the tasks' order afterwards.
#pragma once

#include <cstdint>

namespace s3n {

class Executor {
 public:
  virtual ~Executor() = default;
  // Calls task(context, i) once for every i in [0, count), in any order, on several threads,
  // and returns when all calls have returned. What a task throws is thrown again here, once no
  // task is running; the tasks that had not begun by then are left out.
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
