#!/usr/bin/env bash
# The CPU kernels under the address and undefined-behaviour sanitizers: builds them so into
# build/sanitize, and runs the kernel tests (every operator, shape, dtype and instruction set) on
# that library. Usage, in an environment with the test dependencies:
#   bash kernels/csrc/sanitize.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake -S . -B build/sanitize -DS3N_SANITIZE=ON -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build build/sanitize --parallel 2

library=$(find "$PWD/build/sanitize" -name libs3net_kernels.so)
# Python itself is not built with the sanitizers, so they must be there before it. JAX and Python
# keep memory until the end on purpose: leaks are not looked for.
preload="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
export S3NET_KERNELS_LIBRARY=$library ASAN_OPTIONS=detect_leaks=0:halt_on_error=1
export PYTHONPATH=.:kernels${PYTHONPATH:+:$PYTHONPATH}
tests=(tests/kernels/test_operators.py tests/kernels/test_native.py
       tests/kernels/test_native_deform.py tests/kernels/test_linear_through.py
       tests/kernels/test_softmax_losses.py tests/kernels/test_tiles.py -k "native or tiles")
LD_PRELOAD=$preload python -m pytest -q -p no:cacheprovider "${@:-${tests[@]}}"
