// XLA handlers of linear layers. Operands carry the batch's leading dimensions; x, residual, y,
// slope, dy and dx may be float32, float64 or bfloat16, other arrays are float32 (float64 with
// float64). An optional operand or result that is not needed has no rows.
#include "ffi/call.h"
#include "ffi/executor.h"
#include "linear/linear.h"

namespace s3n {
namespace {

namespace ffi = xla::ffi;

bool present(const Buffer& buffer) { return Call::dim(buffer, 2, 0) > 0; }

LinearShape shape_of(const Call& call, const Buffer& x, const Buffer& w) {
  return {call.groups(), Call::dim(x, 2, 0), Call::dim(w, 2, 0), Call::dim(w, 2, 1),
          false, false, false};
}

ffi::Error forward(ffi::ThreadPool pool, Buffer x, Buffer w, Buffer b, Buffer residual,
                   ResultBuffer y, ResultBuffer slope, ResultBuffer packed, int64_t gelu,
                   int64_t reduced) {
  Call call(*y, 2);
  LinearShape s = shape_of(call, x, w);
  s.gelu = gelu != 0;
  s.residual = present(residual);
  s.slope = present(*slope);
  const DType type = call.dtype(x);
  const LinearForward a = {s,
                           call.operand(x, {s.rows, s.inputs}),
                           call.operand(w, {s.inputs, s.outputs}),
                           call.operand(b, {s.outputs}),
                           call.operand(residual, {s.residual ? s.rows : 0, s.outputs}),
                           call.result(y, {s.rows, s.outputs}),
                           call.result(slope, {s.slope ? s.rows : 0, s.outputs}),
                           call.result(packed, {s.inputs, packed_columns(s.outputs)})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT_PRODUCTS(linear_kernels, type, reduced).forward(type, a, executor);
  return ffi::Error::Success();
}

ffi::Error backward(ffi::ThreadPool pool, Buffer x, Buffer w, Buffer slope, Buffer dy,
                    Buffer residual, ResultBuffer dx, ResultBuffer dw, ResultBuffer db,
                    ResultBuffer packed, ResultBuffer partials, int64_t reduced) {
  Call call(*dx, 2);
  LinearShape s = shape_of(call, x, w);
  s.slope = present(slope);
  s.residual = present(residual);
  const DType type = call.dtype(x);
  const LinearBackward a = {
      s,
      call.operand(x, {s.rows, s.inputs}),
      call.operand(w, {s.inputs, s.outputs}),
      call.operand(slope, {s.slope ? s.rows : 0, s.outputs}),
      call.operand(dy, {s.rows, s.outputs}),
      call.operand(residual, {s.residual ? s.rows : 0, s.inputs}),
      call.result(dx, {s.rows, s.inputs}),
      call.result(dw, {s.inputs, s.outputs}),
      call.result(db, {s.outputs}),
      call.result(packed, {s.outputs, packed_columns(s.inputs)}),
      call.result(partials, {linear_blocks(s.rows), s.inputs + 1, s.outputs})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT_PRODUCTS(linear_kernels, type, reduced).backward(type, a, executor);
  return ffi::Error::Success();
}

}  // namespace

S3N_DEFINE_HANDLER(s3n_linear_forward, forward,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()  // x
                       .Arg<Buffer>()  // w
                       .Arg<Buffer>()  // b
                       .Arg<Buffer>()  // residual
                       .Ret<Buffer>()  // y
                       .Ret<Buffer>()  // slope
                       .Ret<Buffer>()  // packed
                       .Attr<int64_t>("gelu")
                       .Attr<int64_t>("reduced"));

S3N_DEFINE_HANDLER(s3n_linear_backward, backward,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()    // x
                       .Arg<Buffer>()    // w
                       .Arg<Buffer>()    // slope
                       .Arg<Buffer>()    // dy
                       .Arg<Buffer>()    // residual
                       .Ret<Buffer>()    // dx
                       .Ret<Buffer>()    // dw
                       .Ret<Buffer>()    // db
                       .Ret<Buffer>()    // packed
                       .Ret<Buffer>()    // partials
                       .Attr<int64_t>("reduced"));

}  // namespace s3n
