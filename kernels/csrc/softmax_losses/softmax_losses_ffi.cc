// XLA handlers of the softmax losses. Operands carry the batch's leading dimensions; logits may be
// float32, float64 or bfloat16, labels are int32, other arrays are float32 (float64 with float64).
// Labels or weights that are not given have no images.
#include "ffi/call.h"
#include "ffi/executor.h"
#include "softmax_losses/softmax_losses.h"

namespace s3n {
namespace {

namespace ffi = xla::ffi;

LossesShape shape_of(const Call& call, const Buffer& logits, const Buffer& labels,
                     const Buffer& weight, int64_t spatial) {
  return {call.groups(),
          Call::dim(logits, 4, 0),
          Call::dim(logits, 4, 1),
          Call::dim(logits, 4, 2),
          Call::dim(logits, 4, 3),
          Call::dim(labels, 3, 0) > 0,
          Call::dim(weight, 3, 0) > 0,
          spatial != 0};
}

ffi::Error forward(ffi::ThreadPool pool, Buffer logits, Buffer labels, Buffer weight,
                   ResultBuffer sums, ResultBuffer own, ResultBuffer partials, int64_t spatial) {
  Call call(*own, 3);
  const LossesShape s = shape_of(call, logits, labels, weight, spatial);
  const DType type = call.dtype(logits);
  const LossesForward a = {
      s,
      call.operand(logits, {s.images, s.height, s.width, s.classes}),
      call.operand(labels, {s.labelled ? s.images : 0, s.height, s.width}),
      call.operand(weight, {s.weighted ? s.images : 0, s.height, s.width}),
      call.result(sums, {2}),
      call.result(own, {s.images, s.height, s.width}),
      call.result(partials, {s.images, losses_bands(s.height), 2})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT(losses_kernels, type).forward(type, a, executor);
  return ffi::Error::Success();
}

ffi::Error backward(ffi::ThreadPool pool, Buffer logits, Buffer labels, Buffer weight,
                    Buffer scale, ResultBuffer dlogits, int64_t spatial) {
  Call call(*dlogits, 4);
  const LossesShape s = shape_of(call, logits, labels, weight, spatial);
  const DType type = call.dtype(logits);
  const LossesBackward a = {
      s,
      call.operand(logits, {s.images, s.height, s.width, s.classes}),
      call.operand(labels, {s.images, s.height, s.width}),
      call.operand(weight, {s.weighted ? s.images : 0, s.height, s.width}),
      call.operand(scale, {2}),
      call.result(dlogits, {s.images, s.height, s.width, s.classes})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT(losses_kernels, type).backward(type, a, executor);
  return ffi::Error::Success();
}

}  // namespace

S3N_DEFINE_HANDLER(s3n_losses_forward, forward,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()  // logits
                       .Arg<Buffer>()  // labels
                       .Arg<Buffer>()  // weight
                       .Ret<Buffer>()  // sums
                       .Ret<Buffer>()  // own
                       .Ret<Buffer>()  // partials
                       .Attr<int64_t>("spatial"));

S3N_DEFINE_HANDLER(s3n_losses_backward, backward,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()  // logits
                       .Arg<Buffer>()  // labels
                       .Arg<Buffer>()  // weight
                       .Arg<Buffer>()  // scale
                       .Ret<Buffer>()  // dlogits
                       .Attr<int64_t>("spatial"));

}  // namespace s3n
