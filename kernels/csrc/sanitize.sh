#!/usr/bin/env bash
# Test the CPU kernels with the address and undefined-behaviour sanitizers, part by part: an
# operator for an instruction set is compiled with the checks into build/sanitize and tested. A part
# takes a minute or two; all of them about half an hour on two cores.
#
# Usage, in an environment with the test dependencies:
#   bash kernels/csrc/sanitize.sh                      # every operator, every set of this processor
#   bash kernels/csrc/sanitize.sh "avx2 avx512" "conv2d linear"   # only these sets and operators
# The set amx is emulated with avx2, as in emulate.sh, and runs on any processor with avx2.
set -euo pipefail
cd "$(dirname "$0")/../.."

isas=${1:-baseline avx2$(grep -qw avx512vl /proc/cpuinfo && echo " avx512" || true) amx}
operators=${2:-depthwise_conv2d deform_conv2d inception_depthwise bilinear_sample linear batch_norm
              gated_inception conv2d softmax_losses}

# The tests of each operator, as an expression for pytest's -k.
declare -A tests=(
  [depthwise_conv2d]=depthwise_conv2d [deform_conv2d]=deform
  [inception_depthwise]=inception_depthwise [bilinear_sample]="bilinear or affine"
  [linear]="linear and not linear_norm" [batch_norm]="norm" [gated_inception]=gated
  [conv2d]="conv2d and not depthwise_conv2d and not deform" [softmax_losses]="softmax or infinity"
)
files=(tests/kernels/test_operators.py tests/kernels/test_native.py tests/kernels/test_nonfinite.py
       tests/kernels/test_native_deform.py tests/kernels/test_linear_through.py
       tests/kernels/test_softmax_losses.py)
# Python itself is not built with the sanitizers, so they must be preloaded. JAX and Python keep
# memory until exit on purpose, so leaks are not checked.
preload="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
export ASAN_OPTIONS=detect_leaks=0:halt_on_error=1 UBSAN_OPTIONS=print_stacktrace=1
export PYTHONPATH=.:kernels${PYTHONPATH:+:$PYTHONPATH}

failed=()
for isa in $isas; do
  build=build/sanitize active=$isa emulate=OFF
  if [ "$isa" = amx ]; then
    build=build/sanitize-amx active=avx512 emulate=ON
  fi
  for operator in $operators; do
    case "$isa/$operator" in
      amx/deform_conv2d | amx/linear | amx/gated_inception | amx/conv2d) files_here=(tests/kernels/test_tiles.py) ;;
      amx/*) continue ;;  # no matrix product
      *) files_here=("${files[@]}") ;;
    esac
    cmake -S . -B "$build" -DS3N_SANITIZE=ON -DS3N_EMULATE=$emulate -DCMAKE_BUILD_TYPE=Release \
      "-DS3N_SANITIZE_UNITS=$operator;rows" "-DS3N_SANITIZE_ISAS=$isa" >/dev/null
    cmake --build "$build" --parallel 2 >"$build/log" || { tail -30 "$build/log"; exit 1; }
    S3NET_KERNELS_LIBRARY=$(find "$PWD/$build" -name libs3net_kernels.so)
    export S3NET_KERNELS_LIBRARY
    echo "== $isa, $operator"
    # Derivatives beyond the first are plain JAX. Tests of every instruction set run only for this
    # one.
    chosen="(native or tiles) and (${tests[$operator]}) and not derivative"
    for other in baseline avx2 avx512; do
      [ "$other" = "$active" ] || chosen+=" and not $other"
    done
    LD_PRELOAD=$preload S3NET_KERNELS_ISA=$active python -m pytest -q -p no:cacheprovider \
      "${files_here[@]}" -k "$chosen" | tail -3 || failed+=("$isa/$operator")
  done
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}"
  exit 1
fi
