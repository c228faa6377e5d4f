#include "ffi/executor.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <thread>

namespace s3n {
namespace {

// Outlives run() if a pool thread starts late, which then finds no task left.
struct Loop {
  int64_t count;
  void (*task)(void*, int64_t);
  void* context;
  std::atomic<int64_t> next{0}, done{0};
  std::mutex mutex;
  std::condition_variable finished;
  std::atomic<bool> failed{false};
  std::exception_ptr error;  // of the first task that failed; read when all have ended

  void work() {
    int64_t ran = 0;
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count; ++ran) attempt(i);
    if (ran > 0 && done.fetch_add(ran, std::memory_order_acq_rel) + ran == count) {
      std::lock_guard<std::mutex> lock(mutex);
      finished.notify_one();
    }
  }

  // An exception must not leave a pool thread, nor let run() return while other threads work.
  void attempt(int64_t i) {
    if (failed.load(std::memory_order_relaxed)) return;
    try {
      task(context, i);
    } catch (...) {
      if (!failed.exchange(true, std::memory_order_relaxed)) error = std::current_exception();
    }
  }

  bool complete() const { return done.load(std::memory_order_acquire) == count; }

  void wait() {
    // The last tasks usually end together, so sleeping would cost more than it saves.
    for (int spin = 0; spin < 64 && !complete(); ++spin) std::this_thread::yield();
    if (complete()) return;
    std::unique_lock<std::mutex> lock(mutex);
    finished.wait(lock, [this] { return complete(); });
  }
};

}  // namespace

void PoolExecutor::run(int64_t count, void (*task)(void*, int64_t), void* context) {
  const int64_t helpers = std::min(count, pool_.num_threads()) - 1;
  if (helpers <= 0) {
    for (int64_t i = 0; i < count; ++i) task(context, i);
    return;
  }
  auto loop = std::make_shared<Loop>();
  loop->count = count;
  loop->task = task;
  loop->context = context;
  try {
    for (int64_t i = 0; i < helpers; ++i) pool_.Schedule([loop] { loop->work(); });
  } catch (const std::bad_alloc&) {
    // The scheduled threads and this one do the work; they must not outlive `context`.
  }
  loop->work();
  loop->wait();
  if (loop->failed.load(std::memory_order_relaxed)) std::rethrow_exception(loop->error);
}

}  // namespace s3n
