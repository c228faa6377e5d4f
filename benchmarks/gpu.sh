#!/usr/bin/env bash
# Run everything that needs a GPU, in pieces of at most ten minutes:
#
#   bash benchmarks/gpu.sh                    all pieces, one after another
#   bash benchmarks/gpu.sh check tune         only the named pieces
#   bash benchmarks/gpu.sh brief check tune   shorter: check, tune, step and fit take a quarter of
#                                             an hour together (fewer repeats, shapes, candidates)
#
# check      compare every kernel with the float64 reference, value and gradients
# tune       tune block sizes of the Pallas kernels; writes kernels/s3net_kernels/tuned/<device>.json
# step       time one optimisation step and its parts: ours, stock Flax, PyTorch eager and compiled
# fit        time whole fits of 1, 8, 32 and 64 images
# ops        time every operator beside PyTorch, with its roofline
# fit-bfloat16, step-bfloat16  the same as fit and step, in bfloat16
# check-fits compare whole fits with a float64 fit
# scaling    time a step over image sizes, numbers of images and channels
# trace      print where the time of a fit goes, kernel by kernel (only if named)
#
# Requires python3 (or $PYTHON) with jax for CUDA, flax, optax and torch; installs nothing. Result
# files go to benchmarks/results, or to $S3NET_BENCHMARKS_RESULTS. If $OUT is set, new result files
# and the tuned table are also copied there. brief replaces the result files of whole runs in that
# folder. Each piece has a time limit of $LIMIT seconds (at least 100; default 570, with brief 300).
# A piece that fails does not stop the others, but the exit code is then 1.
set -uo pipefail
cd "$(dirname "$0")/.."

export PYTHONPATH=".:kernels${PYTHONPATH:+:$PYTHONPATH}"
export XLA_PYTHON_CLIENT_PREALLOCATE=false
export TF_CPP_MIN_LOG_LEVEL=2
# Share compiled programs between pieces.
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
    *) refuse "There is no piece '$name': choose from ${pieces// /, }, or see --help." ;;
  esac
done
# With less than 100 seconds, tuning would spend all of its time on starting up.
[[ $limit =~ ^[1-9][0-9]{2,8}$ ]] || refuse "LIMIT must be a whole number of seconds, at least 100, got '$limit'."
budget=$((limit - 60))
[ $brief = 0 ] || [ $budget -lt 150 ] || budget=150

results="${S3NET_BENCHMARKS_RESULTS:-benchmarks/results}"
for folder in "$results" ${OUT:+"$OUT"}; do
  { mkdir -p "$folder" && probe=$(mktemp "$folder/.probe-XXXXXX") && rm "$probe"; } 2>/dev/null ||
    refuse "Can't write results to $folder: set S3NET_BENCHMARKS_RESULTS or OUT to another folder."
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
        # Leave out torch.compile: compiling the fit takes longer than all else, and step covers it.
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

# Use fresh caches, because step reports compile times.
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
    sys.exit("JAX finds no GPU.")
PY

since="$scratch/since"
# File times are coarse, so a file written right away might not count as newer.
touch -d '1 second ago' "$since"
status=0
for name in "$@"; do
  echo "== $name"
  start=$SECONDS
  piece "$name" || { code=$?; status=1; echo "== $name failed with exit code $code"; }
  echo "== $name took $((SECONDS - start)) s"
  if [ -n "${OUT:-}" ]; then
    # If results are already in $OUT, cp only adds the tuned table.
    find "$results" kernels/s3net_kernels/tuned -name '*.json' -newer "$since" -exec cp {} "$OUT" \; 2>/dev/null
  fi
done
exit $status
