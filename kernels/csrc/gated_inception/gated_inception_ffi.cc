// XLA handlers of gated inception. Operands carry the batch's leading dimensions; x, residual, y,
// t, m, dy, dx and the branches' gradients may be float32, float64 or bfloat16, other arrays are
// float32 (float64 with float64). A residual or m that is not needed has no images.
#include "ffi/call.h"
#include "ffi/executor.h"
#include "gated_inception/gated_inception.h"
#include "inception_depthwise/inception_depthwise_ffi.h"

namespace s3n {
namespace {

namespace ffi = xla::ffi;

// Shape of one map of `channels` per image, or of none unless `wanted`.
std::array<int64_t, 4> map(const InceptionShape& s, bool wanted = true) {
  return {wanted ? s.images : 0, s.height, s.width, s.channels};
}

ffi::Error forward(ffi::ThreadPool pool, Buffer x, Buffer local_w, Buffer local_b, Buffer w,
                   Buffer b, Buffer w2, Buffer b2, Buffer residual, ResultBuffer y,
                   ResultBuffer t, ResultBuffer m, ResultBuffer packed, Branches branches, int64_t reduced) {
  Call call(*y, 4);
  const auto shape = inception_shape(call, x, branches);
  if (!shape) return shape.error();
  const GatedShape s = {*shape, Call::dim(local_w, 3, 0), Call::dim(local_w, 3, 1),
                        Call::dim(residual, 4, 0) > 0, Call::dim(*m, 4, 0) > 0};
  const InceptionShape& i = s.inception;
  const int64_t C = i.channels;
  const DType type = call.dtype(x);
  const GatedForward a = {s,
                          call.operand(x, map(i)),
                          call.operand(local_w, {s.local_height, s.local_width, C}),
                          call.operand(local_b, {C}),
                          call.operand(w, {i.taps(), C}),
                          call.operand(b, {i.branches, C}),
                          call.operand(w2, {s.mixed(), C}),
                          call.operand(b2, {C}),
                          call.operand(residual, map(i, s.residual)),
                          call.result(y, map(i)),
                          call.result(t, map(i)),
                          call.result(m, map(i, s.save)),
                          call.result(packed, {s.mixed(), packed_columns(C)})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT_PRODUCTS(gated_kernels, type, reduced).forward(type, a, executor);
  return ffi::Error::Success();
}

ffi::Error backward(ffi::ThreadPool pool, Buffer x, Buffer t, Buffer m, Buffer local_turned,
                    Buffer w, Buffer turned, Buffer b, Buffer w2, Buffer dy, ResultBuffer dx,
                    ResultBuffer dlocal_w, ResultBuffer dlocal_b, ResultBuffer dw,
                    ResultBuffer db, ResultBuffer dw2, ResultBuffer db2, ResultBuffer dt,
                    ResultBuffer dbranches, ResultBuffer packed, ResultBuffer partials,
                    Branches branches, int64_t reduced) {
  Call call(*dx, 4);
  const auto shape = inception_shape(call, x, branches);
  if (!shape) return shape.error();
  const GatedShape s = {*shape, Call::dim(local_turned, 3, 0), Call::dim(local_turned, 3, 1),
                        false, true};
  const InceptionShape& i = s.inception;
  const int64_t C = i.channels;
  const DType type = call.dtype(x);
  const GatedBackward a = {
      s,
      call.operand(x, map(i)),
      call.operand(t, map(i)),
      call.operand(m, map(i)),
      call.operand(local_turned, {s.local_height, s.local_width, C}),
      call.operand(w, {i.taps(), C}),
      call.operand(turned, {i.taps(), C}),
      call.operand(b, {i.branches, C}),
      call.operand(w2, {s.mixed(), C}),
      call.operand(dy, map(i)),
      call.result(dx, map(i)),
      call.result(dlocal_w, {s.local_height, s.local_width, C}),
      call.result(dlocal_b, {C}),
      call.result(dw, {i.taps(), C}),
      call.result(db, {i.branches, C}),
      call.result(dw2, {s.mixed(), C}),
      call.result(db2, {C}),
      call.result(dt, map(i)),
      call.result(dbranches, {i.images, i.branches, i.height, i.width, C}),
      call.result(packed, {i.branches, C, packed_columns(C)}),
      call.result(partials, {i.images, inception_parts(i.height, i.width), gated_sums(s), C})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT_PRODUCTS(gated_kernels, type, reduced).backward(type, a, executor);
  return ffi::Error::Success();
}

}  // namespace

S3N_DEFINE_HANDLER(s3n_gated_forward, forward,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()  // x
                       .Arg<Buffer>()  // local w
                       .Arg<Buffer>()  // local b
                       .Arg<Buffer>()  // w
                       .Arg<Buffer>()  // b
                       .Arg<Buffer>()  // w2
                       .Arg<Buffer>()  // b2
                       .Arg<Buffer>()  // residual
                       .Ret<Buffer>()  // y
                       .Ret<Buffer>()  // t
                       .Ret<Buffer>()  // m
                       .Ret<Buffer>()  // packed
                       .Attr<Branches>("branches")
                       .Attr<int64_t>("reduced"));

S3N_DEFINE_HANDLER(s3n_gated_backward, backward,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()  // x
                       .Arg<Buffer>()  // t
                       .Arg<Buffer>()  // m
                       .Arg<Buffer>()  // local w rotated by 180 degrees
                       .Arg<Buffer>()  // w
                       .Arg<Buffer>()  // w rotated by 180 degrees
                       .Arg<Buffer>()  // b
                       .Arg<Buffer>()  // w2
                       .Arg<Buffer>()  // dy
                       .Ret<Buffer>()  // dx
                       .Ret<Buffer>()  // dlocal w
                       .Ret<Buffer>()  // dlocal b
                       .Ret<Buffer>()  // dw
                       .Ret<Buffer>()  // db
                       .Ret<Buffer>()  // dw2
                       .Ret<Buffer>()  // db2
                       .Ret<Buffer>()  // dt
                       .Ret<Buffer>()  // dbranches
                       .Ret<Buffer>()  // packed
                       .Ret<Buffer>()  // partials
                       .Attr<Branches>("branches")
                       .Attr<int64_t>("reduced"));

}  // namespace s3n
