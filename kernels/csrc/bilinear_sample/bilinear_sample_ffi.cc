// XLA handlers of bilinear sampling. Operands carry the batch's leading dimensions; images may be
// float32, float64 or bfloat16, coordinates are float32 (float64 with float64).
#include "ffi/call.h"
#include "ffi/executor.h"
#include "bilinear_sample/bilinear_sample.h"

namespace s3n {
namespace {

namespace ffi = xla::ffi;

SamplingShape shape_of(const Call& call, const Buffer& image, const Buffer& coords, int64_t edge) {
  return {call.groups(),          Call::dim(image, 4, 0),  Call::dim(image, 4, 1),
          Call::dim(image, 4, 2), Call::dim(image, 4, 3),  Call::dim(coords, 4, 1),
          Call::dim(coords, 4, 2), edge != 0};
}

ffi::Error forward(ffi::ThreadPool pool, Buffer x, Buffer coords, ResultBuffer y, int64_t edge) {
  Call call(*y, 4);
  const SamplingShape s = shape_of(call, x, coords, edge);
  const DType type = call.dtype(x);
  const SamplingForward a = {s, call.operand(x, {s.images, s.height, s.width, s.channels}),
                             call.operand(coords, {s.images, s.out_height, s.out_width, 2}),
                             call.result(y, {s.images, s.out_height, s.out_width, s.channels})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT(sampling_kernels, type).forward(type, a, executor);
  return ffi::Error::Success();
}

ffi::Error input_gradient(ffi::ThreadPool pool, Buffer coords, Buffer dy, ResultBuffer dx,
                          int64_t edge) {
  Call call(*dx, 4);
  const SamplingShape s = shape_of(call, *dx, coords, edge);
  const DType type = call.dtype(dy);
  const SamplingInputGradient a = {
      s, call.operand(coords, {s.images, s.out_height, s.out_width, 2}),
      call.operand(dy, {s.images, s.out_height, s.out_width, s.channels}),
      call.result(dx, {s.images, s.height, s.width, s.channels})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT(sampling_kernels, type).input_gradient(type, a, executor);
  return ffi::Error::Success();
}

ffi::Error coords_gradient(ffi::ThreadPool pool, Buffer x, Buffer coords, Buffer dy,
                           ResultBuffer dcoords, int64_t edge) {
  Call call(*dcoords, 4);
  const SamplingShape s = shape_of(call, x, coords, edge);
  const DType type = call.dtype(x);
  const SamplingCoordsGradient a = {
      s, call.operand(x, {s.images, s.height, s.width, s.channels}),
      call.operand(coords, {s.images, s.out_height, s.out_width, 2}),
      call.operand(dy, {s.images, s.out_height, s.out_width, s.channels}),
      call.result(dcoords, {s.images, s.out_height, s.out_width, 2})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT(sampling_kernels, type).coords_gradient(type, a, executor);
  return ffi::Error::Success();
}

}  // namespace

S3N_DEFINE_HANDLER(s3n_sampling_forward, forward,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()  // x
                       .Arg<Buffer>()  // coords
                       .Ret<Buffer>()  // y
                       .Attr<int64_t>("edge"));

S3N_DEFINE_HANDLER(s3n_sampling_input_gradient, input_gradient,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()  // coords
                       .Arg<Buffer>()  // dy
                       .Ret<Buffer>()  // dx
                       .Attr<int64_t>("edge"));

S3N_DEFINE_HANDLER(s3n_sampling_coords_gradient, coords_gradient,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()  // x
                       .Arg<Buffer>()  // coords
                       .Arg<Buffer>()  // dy
                       .Ret<Buffer>()  // dcoords
                       .Attr<int64_t>("edge"));

}  // namespace s3n
