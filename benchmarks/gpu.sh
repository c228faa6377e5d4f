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
# wrote, and the tuned table, are copied into it. What brief measures replaces the file of a whole
# run in that folder. Each piece has its own time limit ($LIMIT seconds, at least 100, or 570; brief
# 300), and one that fails does not stop the others: the exit code says so.
set -uo pipefail
cd "$(dirname "$0")/.."

export PYTHONPATH=".:kernels${PYTHONPATH:+:$PYTHONPATH}"
export XLA_PYTHON_CLIENT_PREALLOCATE=false
export TF_CPP_MIN_LOG_LEVEL=2
# Programs compiled by one piece are there for the next.
export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-/tmp/s3net-gpu-cache}"
python="${PYTHON:-python3}"
pieces="check tune step fit ops fit-bfloat16 step-bfloat16 check-fits scaling trace"

refuse() {
  echo "$1" >&2
  exit 2
}

case "${1:-}" in
  -h | --help)
    sed -n '2,/^set /s/^# \{0,1\}//p' benchmarks/gpu.sh
    exit 0 ;;
esac
brief=0
limit="${LIMIT:-570}"
if [ "${1:-}" = brief ]; then
  brief=1
  limit="${LIMIT:-300}"
  shift
  [ $# -gt 0 ] || set -- check tune step fit
fi
[ $# -gt 0 ] || set -- check tune step fit ops fit-bfloat16 step-bfloat16 check-fits scaling
for name in "$@"; do
  case " $pieces " in
    *" $name "*) ;;
    *) refuse "There is no piece '$name': take ${pieces// /, }, or --help." ;;
  esac
done
# Of less, tuning would have nothing left beside its start.
[[ $limit =~ ^[1-9][0-9]{2,8}$ ]] || refuse "LIMIT is '$limit': give whole seconds, at least 100."
budget=$((limit - 60))
[ $brief = 0 ] || [ $budget -lt 150 ] || budget=150

results="${S3NET_BENCHMARKS_RESULTS:-benchmarks/results}"
for folder in "$results" ${OUT:+"$OUT"}; do
  { mkdir -p "$folder" && probe=$(mktemp "$folder/.probe-XXXXXX") && rm "$probe"; } 2>/dev/null ||
    refuse "Results can't be written to $folder: name another folder by S3NET_BENCHMARKS_RESULTS or OUT."
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

piece() {
  case "$1" in
    check) run numerics --check --only operators --overwrite ;;
    check-fits) run numerics --only fits ;;
    tune)
      if [ $brief = 1 ]; then tune --images 32 1
      else tune; fi ;;
    ops) run ops --repeats 9 --limit 2 ;;
    step)
      if [ $brief = 1 ]; then new_programs step --repeats 9 --limit 4 --preset released --preset paper
      else new_programs step --repeats 15; fi ;;
    step-bfloat16) new_programs step --repeats 15 --dtype bfloat16 ;;
    fit)
      if [ $brief = 1 ]; then
        # Compiling PyTorch's fit takes longer than all else: a step shows what it brings.
        run fit --repeats 2 --images 1 32 --preset released --preset paper \
          --only "s3net-jax" "s3net-jax, 32 at once" "torch eager" --overwrite
      else run fit --repeats 3; fi ;;
    fit-bfloat16)
      if [ $brief = 1 ]; then
        run fit --repeats 2 --images 100 --dtype bfloat16 --preset released --preset paper \
          --only "s3net-jax, 100 at once" "torch eager" --overwrite
      else run fit --repeats 3 --dtype bfloat16; fi ;;
    scaling) run scaling --limit 60 ;;
    trace) run trace --images 1 32 --dtype float32 bfloat16 ;;
  esac
}

run() {
  PYTHONUNBUFFERED=1 timeout --kill-after=10 "$limit" "$python" -m benchmarks "$@"
}

tune() {
  PYTHONUNBUFFERED=1 timeout --kill-after=10 "$limit" "$python" -m s3net_kernels.tune \
    --folder kernels/s3net_kernels/tuned --budget "$budget" "$@"
}

# Compile times are shown: those of programs that an earlier piece left would be none.
new_programs() {
  local folder
  folder=$(mktemp -d "$scratch/XXXXXX")
  JAX_COMPILATION_CACHE_DIR="$folder/jax" TORCHINDUCTOR_CACHE_DIR="$folder/inductor" \
    TRITON_CACHE_DIR="$folder/triton" run "$@"
}

"$python" - <<'PY' || exit 1
import sys
import jax
kind = jax.devices()[0]
print(f"jax {jax.__version__} on {kind.device_kind}")
if kind.platform == "cpu":
    sys.exit("JAX sees no GPU here.")
PY

since="$scratch/since"
# What is written at once would be no newer: times of files have steps.
touch -d '1 second ago' "$since"
status=0
for name in "$@"; do
  echo "== $name"
  start=$SECONDS
  piece "$name" || { code=$?; status=1; echo "== $name failed with exit code $code"; }
  echo "== $name took $((SECONDS - start)) s"
  if [ -n "${OUT:-}" ]; then
    # Where the results lie there already, only the tuned table is new.
    find "$results" kernels/s3net_kernels/tuned -name '*.json' -newer "$since" -exec cp {} "$OUT" \; 2>/dev/null
  fi
done
exit $status
