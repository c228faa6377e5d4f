// XLA handlers of deformable convolution. Operands carry the batch's leading dimensions; x, y and
// dy may be float32, float64 or bfloat16, other arrays are float32 (float64 with float64).
#include "deform_conv2d/deform_conv2d.h"
#include "ffi/call.h"
#include "ffi/executor.h"

namespace s3n {
namespace {

namespace ffi = xla::ffi;

DeformShape shape_of(const Call& call, const Buffer& x, const Buffer& w) {
  return {call.groups(),      Call::dim(x, 4, 0), Call::dim(x, 4, 1), Call::dim(x, 4, 2),
          Call::dim(x, 4, 3), Call::dim(w, 4, 3), Call::dim(w, 4, 0), Call::dim(w, 4, 1)};
}

ffi::Error forward(ffi::ThreadPool pool, Buffer x, Buffer offset, Buffer mask, Buffer w, Buffer b,
                   ResultBuffer y, ResultBuffer packed, int64_t reduced) {
  Call call(*y, 4);
  const DeformShape s = shape_of(call, x, w);
  const DType type = call.dtype(x);
  const DeformForward a = {
      s, call.operand(x, {s.images, s.height, s.width, s.inputs}),
      call.operand(offset, {s.images, s.height, s.width, 2 * s.taps()}),
      call.operand(mask, {s.images, s.height, s.width, s.taps()}),
      call.operand(w, {s.kernel_height, s.kernel_width, s.inputs, s.outputs}),
      call.operand(b, {s.outputs}),
      call.result(y, {s.images, s.height, s.width, s.outputs}),
      call.result(packed, {s.columns(), packed_columns(s.outputs)})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT_PRODUCTS(deform_kernels, type, reduced).forward(type, a, executor);
  return ffi::Error::Success();
}

ffi::Error backward(ffi::ThreadPool pool, Buffer x, Buffer offset, Buffer mask, Buffer w,
                    Buffer dy, ResultBuffer dx, ResultBuffer doffset, ResultBuffer dmask,
                    ResultBuffer dw, ResultBuffer db, ResultBuffer packed, ResultBuffer partials,
                    int64_t reduced) {
  Call call(*dx, 4);
  const DeformShape s = shape_of(call, x, w);
  const DType type = call.dtype(x);
  const DeformBackward a = {
      s, call.operand(x, {s.images, s.height, s.width, s.inputs}),
      call.operand(offset, {s.images, s.height, s.width, 2 * s.taps()}),
      call.operand(mask, {s.images, s.height, s.width, s.taps()}),
      call.operand(w, {s.kernel_height, s.kernel_width, s.inputs, s.outputs}),
      call.operand(dy, {s.images, s.height, s.width, s.outputs}),
      call.result(dx, {s.images, s.height, s.width, s.inputs}),
      call.result(doffset, {s.images, s.height, s.width, 2 * s.taps()}),
      call.result(dmask, {s.images, s.height, s.width, s.taps()}),
      call.result(dw, {s.kernel_height, s.kernel_width, s.inputs, s.outputs}),
      call.result(db, {s.outputs}),
      call.result(packed, {s.outputs, packed_columns(s.columns())}),
      call.result(partials, {s.images, deform_bands(s.height), s.columns() + 1, s.outputs})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT_PRODUCTS(deform_kernels, type, reduced).backward(type, a, executor);
  return ffi::Error::Success();
}

}  // namespace

S3N_DEFINE_HANDLER(s3n_deform_forward, forward,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()   // x
                       .Arg<Buffer>()   // offset
                       .Arg<Buffer>()   // mask
                       .Arg<Buffer>()   // w
                       .Arg<Buffer>()   // b
                       .Ret<Buffer>()   // y
                       .Ret<Buffer>()   // packed
                       .Attr<int64_t>("reduced"));

S3N_DEFINE_HANDLER(s3n_deform_backward, backward,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()   // x
                       .Arg<Buffer>()   // offset
                       .Arg<Buffer>()   // mask
                       .Arg<Buffer>()   // w
                       .Arg<Buffer>()   // dy
                       .Ret<Buffer>()   // dx
                       .Ret<Buffer>()   // doffset
                       .Ret<Buffer>()   // dmask
                       .Ret<Buffer>()   // dw
                       .Ret<Buffer>()   // db
                       .Ret<Buffer>()   // packed
                       .Ret<Buffer>()   // partials
                       .Attr<int64_t>("reduced"));

}  // namespace s3n
