#!/usr/bin/env bash
# Everything a GPU machine is needed for, in pieces that each fit ten minutes:
#
#   bash benchmarks/gpu.sh                    all of them, one after the other
#   bash benchmarks/gpu.sh check tune         the named ones
#   bash benchmarks/gpu.sh brief check tune   shorter: check, tune, step and fit in a quarter of
#                                             an hour together (fewer repeats, shapes, candidates)
#
# check      every kernel against the reference in float64, value and gradient
# tune       block sizes of the Pallas kernels, into kernels/s3net_kernels/tuned/<device>.json
# step       one optimisation step and its parts: ours, stock Flax, PyTorch eager and compiled
# fit        whole fits of 1, 8, 32 and 64 images
# ops        every operator beside PyTorch, with its roofline
# fit-bfloat16, step-bfloat16
# check-fits whole fits beside one in float64
# scaling    sizes, numbers of images, channels
# trace      where a fit's time goes, kernel by kernel: printed
#
# Needs python3 (or $PYTHON) with jax for CUDA, flax, optax, torch; installs nothing. Result files go to
# benchmarks/results, or where $S3NET_BENCHMARKS_RESULTS says; with $OUT set, those that a piece
# wrote, and the tuned table, are copied into it. Each piece has its own time limit ($LIMIT
# seconds, or 570), and one that fails does not stop the others: the exit code says so.
set -uo pipefail
cd "$(dirname "$0")/.."

export PYTHONPATH=".:kernels${PYTHONPATH:+:$PYTHONPATH}"
export XLA_PYTHON_CLIENT_PREALLOCATE=false
export TF_CPP_MIN_LOG_LEVEL=2
# Programs compiled by one piece are there for the next.
export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-/tmp/s3net-gpu-cache}"
python="${PYTHON:-python3}"
limit="${LIMIT:-570}"

brief=0
if [ "${1:-}" = brief ]; then
  brief=1
  limit="${LIMIT:-300}"
  shift
  [ $# -gt 0 ] || set -- check tune step fit
fi
[ $# -gt 0 ] || set -- check tune step fit ops fit-bfloat16 step-bfloat16 check-fits scaling

piece() {
  case "$1" in
    check) run numerics --check --only operators ;;
    check-fits) run numerics --only fits ;;
    tune)
      if [ $brief = 1 ]; then run tune --budget 150 --images 32 1
      else run tune --budget "$((limit - 60))"; fi ;;
    ops) run ops --repeats 9 --limit 2 ;;
    step)
      if [ $brief = 1 ]; then run step --repeats 9 --limit 4 --preset released --preset paper
      else run step --repeats 15; fi ;;
    step-bfloat16) run step --repeats 15 --dtype bfloat16 ;;
    fit)
      if [ $brief = 1 ]; then
        # Compiling PyTorch's fit takes longer than all else: a step shows what it brings.
        run fit --repeats 2 --images 1 32 --preset released --preset paper \
          --only "s3net-jax" "s3net-jax, 32 at once" "torch eager"
      else run fit --repeats 3; fi ;;
    fit-bfloat16)
      if [ $brief = 1 ]; then
        run fit --repeats 2 --images 100 --dtype bfloat16 --preset released --preset paper \
          --only "s3net-jax, 100 at once" "torch eager"
      else run fit --repeats 3 --dtype bfloat16; fi ;;
    scaling) run scaling --limit 60 ;;
    trace) run trace --images 1 32 --dtype float32 bfloat16 ;;
    *)
      echo "There is no piece '$1': take check, tune, step, fit, ops, fit-bfloat16, step-bfloat16, check-fits, scaling or trace." >&2
      return 2 ;;
  esac
}

run() {
  PYTHONUNBUFFERED=1 timeout --kill-after=10 "$limit" "$python" -m "benchmarks.$@"
}

"$python" - <<'PY' || exit 1
import sys
import jax
kind = jax.devices()[0]
print(f"jax {jax.__version__} on {kind.device_kind}")
if kind.platform == "cpu":
    sys.exit("JAX sees no GPU here.")
PY

results="${S3NET_BENCHMARKS_RESULTS:-benchmarks/results}"
mkdir -p "$results"
since=$(mktemp)
# What is written at once would be no newer: times of files have steps.
touch -d '1 second ago' "$since"
trap 'rm -f "$since"' EXIT
status=0
for name in "$@"; do
  echo "== $name"
  start=$SECONDS
  piece "$name" || { code=$?; status=1; echo "== $name failed with exit code $code"; }
  echo "== $name took $((SECONDS - start)) s"
  if [ -n "${OUT:-}" ]; then
    mkdir -p "$OUT"
    # Where the results lie there already, only the tuned table is new.
    find "$results" kernels/s3net_kernels/tuned -name '*.json' -newer "$since" -exec cp {} "$OUT" \; 2>/dev/null
  fi
done
exit $status
