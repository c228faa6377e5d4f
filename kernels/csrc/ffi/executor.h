// Parallel loops on XLA's own threads.
#pragma once

#include "core/parallel.h"
#include "xla/ffi/api/ffi.h"

namespace s3n {

// The calling thread takes part, and waits only for tasks that another thread is already running:
// a call makes progress even if the pool never provides a thread.
class PoolExecutor : public Executor {
 public:
  explicit PoolExecutor(xla::ffi::ThreadPool pool) : pool_(pool) {}
  void run(int64_t count, void (*task)(void*, int64_t), void* context) override;

 private:
  xla::ffi::ThreadPool pool_;
};

}  // namespace s3n
