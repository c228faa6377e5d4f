#!/usr/bin/env bash
# Build the avx512 and amx kernels for a processor without AVX-512 and AMX, emulated with avx2, into
# build/emulate, and run the kernel tests of every instruction set on that library. This checks
# results, not speed. Usage, in an environment with the test dependencies:
#   bash kernels/csrc/emulate.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake -S . -B build/emulate -DS3N_EMULATE=ON -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build build/emulate --parallel 2

library=$(find "$PWD/build/emulate" -name libs3net_kernels.so)
export S3NET_KERNELS_LIBRARY=$library
export PYTHONPATH=.:kernels${PYTHONPATH:+:$PYTHONPATH}
tests=(tests/kernels/test_operators.py tests/kernels/test_native.py
       tests/kernels/test_native_deform.py tests/kernels/test_linear_through.py
       tests/kernels/test_softmax_losses.py tests/kernels/test_tiles.py -k "native or tiles")
python -m pytest -q -p no:cacheprovider "${@:-${tests[@]}}"
