// Element types, and operands with leading batch dimensions.
#pragma once

#include <cstdint>

namespace s3n {

enum class DType { f32, f64, bf16 };

// For storage only: arithmetic is done in float.
struct bf16 {
  uint16_t bits;
};

// An operand of a batched call. Group g (one member of a vmapped batch) starts offset[g] elements
// after data; a shared operand has the same offset for every group.
struct Batched {
  void* data;
  const int64_t* offset;
  template <class T>
  T* group(int64_t g) const {
    return static_cast<T*>(data) + offset[g];
  }
};

}  // namespace s3n
