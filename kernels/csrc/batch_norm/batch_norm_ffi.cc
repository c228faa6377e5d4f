// XLA handlers of batch normalisation. Operands carry the batch's leading dimensions; x, y, dy
// and dx may be float32, float64 or bfloat16, other arrays are float32 (float64 with float64).
#include "ffi/call.h"
#include "ffi/executor.h"
#include "batch_norm/batch_norm.h"

namespace s3n {
namespace {

namespace ffi = xla::ffi;

ffi::Error forward(ffi::ThreadPool pool, Buffer x, Buffer scale, Buffer bias, ResultBuffer y,
                   ResultBuffer mean, ResultBuffer rstd, ResultBuffer partials, double epsilon) {
  Call call(*y, 2);
  const NormShape s = {call.groups(), Call::dim(x, 2, 0), Call::dim(x, 2, 1), epsilon};
  const DType type = call.dtype(x);
  const NormForward a = {s,
                         call.operand(x, {s.rows, s.channels}),
                         call.operand(scale, {s.channels}),
                         call.operand(bias, {s.channels}),
                         call.result(y, {s.rows, s.channels}),
                         call.result(mean, {s.channels}),
                         call.result(rstd, {s.channels}),
                         call.result(partials, {norm_blocks(s.rows), 3, s.channels})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT(norm_kernels, type).forward(type, a, executor);
  return ffi::Error::Success();
}

ffi::Error backward(ffi::ThreadPool pool, Buffer x, Buffer scale, Buffer mean, Buffer rstd,
                    Buffer dy, ResultBuffer dx, ResultBuffer dscale, ResultBuffer dbias,
                    ResultBuffer partials) {
  Call call(*dx, 2);
  const NormShape s = {call.groups(), Call::dim(x, 2, 0), Call::dim(x, 2, 1), 0};
  const DType type = call.dtype(x);
  const NormBackward a = {s,
                          call.operand(x, {s.rows, s.channels}),
                          call.operand(scale, {s.channels}),
                          call.operand(mean, {s.channels}),
                          call.operand(rstd, {s.channels}),
                          call.operand(dy, {s.rows, s.channels}),
                          call.result(dx, {s.rows, s.channels}),
                          call.result(dscale, {s.channels}),
                          call.result(dbias, {s.channels}),
                          call.result(partials, {norm_blocks(s.rows), 2, s.channels})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT(norm_kernels, type).backward(type, a, executor);
  return ffi::Error::Success();
}

}  // namespace

S3N_DEFINE_HANDLER(s3n_norm_forward, forward,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()  // x
                       .Arg<Buffer>()  // scale
                       .Arg<Buffer>()  // bias
                       .Ret<Buffer>()  // y
                       .Ret<Buffer>()  // mean
                       .Ret<Buffer>()  // rstd
                       .Ret<Buffer>()  // partials
                       .Attr<double>("epsilon"));

S3N_DEFINE_HANDLER(s3n_norm_backward, backward,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()    // x
                       .Arg<Buffer>()    // scale
                       .Arg<Buffer>()    // mean
                       .Arg<Buffer>()    // rstd
                       .Arg<Buffer>()    // dy
                       .Ret<Buffer>()    // dx
                       .Ret<Buffer>()    // dscale
                       .Ret<Buffer>()    // dbias
                       .Ret<Buffer>());  // partials

}  // namespace s3n
