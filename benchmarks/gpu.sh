#!/usr/bin/env bash
# Everything a GPU machine is needed for, in pieces that each fit ten minutes:
#
#   bash benchmarks/gpu.sh            all of them, one after the other
#   bash benchmarks/gpu.sh check tune the named ones
#
# check    every kernel against the reference in float64, value and gradient; whole fits
# tune     block sizes of the Pallas kernels, into kernels/s3net_kernels/tuned/<device>.json
# ops      every operator beside PyTorch, with its roofline
# step     one optimisation step: ours, stock Flax, PyTorch eager and compiled
# fit      whole fits of 1, 8, 32 and 64 images (also fit-bfloat16)
# scaling  sizes, numbers of images, channels
#
# Needs python3 (or $PYTHON) with jax for CUDA, flax, optax, torch; installs nothing. Result files go to
# benchmarks/results (and, with $OUT set, into it as well, with the tuned table); each piece has
# its own time limit, and one that fails does not stop the others: the exit code says so.
set -uo pipefail
cd "$(dirname "$0")/.."

export PYTHONPATH=".:kernels${PYTHONPATH:+:$PYTHONPATH}"
export XLA_PYTHON_CLIENT_PREALLOCATE=false
export TF_CPP_MIN_LOG_LEVEL=2
# Programs compiled by one piece are there for the next.
export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-/tmp/s3net-gpu-cache}"
python="${PYTHON:-python3}"
limit="${LIMIT:-570}"

piece() {
  case "$1" in
    check) run numerics --check --implementation pallas ;;
    tune) run tune --budget "$((limit - 60))" ;;
    ops) run ops --repeats 9 ;;
    step) run step --repeats 15 ;;
    step-bfloat16) run step --repeats 15 --dtype bfloat16 ;;
    fit) run fit --repeats 3 ;;
    fit-bfloat16) run fit --repeats 3 --dtype bfloat16 ;;
    scaling) run scaling --limit 60 ;;
    *) echo "There is no piece '$1': take check, tune, ops, step, step-bfloat16, fit, fit-bfloat16 or scaling." >&2; return 2 ;;
  esac
}

run() {
  timeout --kill-after=10 "$limit" "$python" -m "benchmarks.$@"
}

"$python" - <<'PY' || exit 1
import sys
import jax
kind = jax.devices()[0]
print(f"jax {jax.__version__} on {kind.device_kind}")
if kind.platform == "cpu":
    sys.exit("JAX sees no GPU here.")
PY

status=0
for name in "${@:-check tune ops step fit fit-bfloat16 scaling}"; do
  for one in $name; do
    echo "== $one"
    start=$SECONDS
    piece "$one" || { code=$?; status=1; echo "== $one failed with exit code $code"; }
    echo "== $one took $((SECONDS - start)) s"
    if [ -n "${OUT:-}" ]; then
      mkdir -p "$OUT/results" "$OUT/tuned"
      cp -r benchmarks/results/. "$OUT/results/"
      cp kernels/s3net_kernels/tuned/*.json "$OUT/tuned/" 2>/dev/null || true
    fi
  done
done
exit $status
