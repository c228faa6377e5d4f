// XLA handlers of dense convolution. Operands carry the batch's leading dimensions; x, y and dy
// may be float32, float64 or bfloat16, other arrays are float32 (float64 with float64).
#include "conv2d/conv2d.h"
#include "ffi/call.h"
#include "ffi/executor.h"

namespace s3n {
namespace {

namespace ffi = xla::ffi;

ConvShape shape_of(const Call& call, const Buffer& x, const Buffer& w) {
  return {call.groups(),      Call::dim(x, 4, 0), Call::dim(x, 4, 1), Call::dim(x, 4, 2),
          Call::dim(w, 4, 2), Call::dim(w, 4, 3), Call::dim(w, 4, 1), Call::dim(w, 4, 0)};
}

ffi::Error forward(ffi::ThreadPool pool, Buffer x, Buffer w, Buffer b, ResultBuffer y,
                   ResultBuffer packed, int64_t reduced) {
  Call call(*y, 4);
  const ConvShape s = shape_of(call, x, w);
  const DType type = call.dtype(x);
  const ConvForward a = {
      s,
      call.operand(x, {s.images, s.height, s.width, s.inputs}),
      call.operand(w, {s.kernel_width, s.kernel_height, s.inputs, s.outputs}),
      call.operand(b, {s.outputs}),
      call.result(y, {s.images, s.height, s.width, s.outputs}),
      call.result(packed, {s.columns(), packed_columns(s.outputs)})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT_PRODUCTS(conv_kernels, type, reduced).forward(type, a, executor);
  return ffi::Error::Success();
}

ffi::Error weight_gradient(ffi::ThreadPool pool, Buffer x, Buffer dy, ResultBuffer dw,
                           ResultBuffer db, ResultBuffer partials, int64_t reduced) {
  Call call(*dw, 4);
  const ConvShape s = shape_of(call, x, *dw);
  const DType type = call.dtype(x);
  const ConvWeightGradient a = {
      s,
      call.operand(x, {s.images, s.height, s.width, s.inputs}),
      call.operand(dy, {s.images, s.height, s.width, s.outputs}),
      call.result(dw, {s.kernel_width, s.kernel_height, s.inputs, s.outputs}),
      call.result(db, {s.outputs}),
      call.result(partials, {s.images, conv_bands(s.height), s.columns() + 1, s.outputs})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT_PRODUCTS(conv_kernels, type, reduced).weight_gradient(type, a, executor);
  return ffi::Error::Success();
}

}  // namespace

S3N_DEFINE_HANDLER(s3n_conv_forward, forward,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()    // x
                       .Arg<Buffer>()    // w
                       .Arg<Buffer>()    // b
                       .Ret<Buffer>()    // y
                       .Ret<Buffer>()    // packed
                       .Attr<int64_t>("reduced"));

S3N_DEFINE_HANDLER(s3n_conv_weight_gradient, weight_gradient,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()    // x
                       .Arg<Buffer>()    // dy
                       .Ret<Buffer>()    // dw
                       .Ret<Buffer>()    // db
                       .Ret<Buffer>()    // partials
                       .Attr<int64_t>("reduced"));

}  // namespace s3n
