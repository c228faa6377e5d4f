#include "ffi/call.h"

#include <exception>
#include <new>

namespace s3n {
namespace {

XLA_FFI_Error* make_error(XLA_FFI_CallFrame* frame, XLA_FFI_Error_Code code, const char* message) {
  XLA_FFI_Error_Create_Args args;
  args.struct_size = XLA_FFI_Error_Create_Args_STRUCT_SIZE;
  args.extension_start = nullptr;
  args.message = message;
  args.errc = code;
  return frame->api->XLA_FFI_Error_Create(&args);
}

std::string text(Dimensions dims) {
  std::string s = "(";
  for (size_t i = 0; i < dims.size(); ++i) s += (i ? ", " : "") + std::to_string(dims[i]);
  return s + ")";
}

}  // namespace

XLA_FFI_Error* call_guarded(XLA_FFI_Handler* handler, XLA_FFI_CallFrame* frame) {
  try {
    return handler(frame);
  } catch (const std::bad_alloc&) {
    return make_error(frame, XLA_FFI_Error_Code_RESOURCE_EXHAUSTED,
                      "s3net_kernels: no memory is left for the working memory of a kernel.");
  } catch (const std::exception& error) {
    return make_error(frame, XLA_FFI_Error_Code_INTERNAL, error.what());
  } catch (...) {
    return make_error(frame, XLA_FFI_Error_Code_INTERNAL, "s3net_kernels: a kernel failed.");
  }
}

Call::Call(const Buffer& result, size_t rank) {
  const Dimensions dims = result.dimensions();
  if (dims.size() < rank) fail("a result of shape " + text(dims) + " lacks dimensions");
  for (size_t i = 0; i + rank < dims.size(); ++i) {
    leading_.push_back(dims[i]);
    groups_ *= dims[i];
  }
}

int64_t Call::dim(const Buffer& buffer, size_t rank, size_t i) {
  const Dimensions dims = buffer.dimensions();
  return dims.size() < rank ? 0 : dims[dims.size() - rank + i];
}

Batched Call::operand(const Buffer& buffer, const int64_t* shape, size_t rank) {
  const Dimensions dims = buffer.dimensions();
  bool fits = dims.size() == leading_.size() + rank;
  for (size_t i = 0; fits && i < leading_.size(); ++i)
    fits = dims[i] == 1 || dims[i] == leading_[i];
  int64_t size = 1;
  for (size_t i = 0; fits && i < rank; ++i) {
    size *= shape[i];
    fits = dims[leading_.size() + i] == shape[i];
  }
  offsets_.emplace_back(groups_, 0);
  Batched operand{buffer.untyped_data(), offsets_.back().data()};
  if (!fits) {
    fail("an operand has the unexpected shape " + text(dims));
    return operand;
  }
  for (int64_t g = 0; g < groups_; ++g) {
    int64_t rest = g, offset = 0, stride = size;
    for (size_t i = leading_.size(); i-- > 0;) {
      if (dims[i] != 1) offset += rest % leading_[i] * stride;
      stride *= dims[i];
      rest /= leading_[i];
    }
    offsets_.back()[g] = offset;
  }
  return operand;
}

DType Call::dtype(const Buffer& x) {
  switch (x.element_type()) {
    case xla::ffi::F32: return DType::f32;
    case xla::ffi::F64: return DType::f64;
    case xla::ffi::BF16: return DType::bf16;
    default: fail("an operand has an element type the kernels don't know"); return DType::f32;
  }
}

void Call::fail(const std::string& message) {
  if (ok()) error_ = xla::ffi::Error::InvalidArgument("s3net_kernels: " + message + ".");
}

}  // namespace s3n
