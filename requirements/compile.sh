#!/usr/bin/env bash
# Recompiles the hashed locks: three from setup.cfg, and the installer's own. Needs uv; run it only to change a version.
#   requirements/compile.sh [--upgrade]
set -euo pipefail
cd "$(dirname "$0")/.."
lock() { # lock OUTPUT EXTRA...
  local output=$1; shift
  local extras=(); for extra in "$@"; do extras+=(--extra "$extra"); done
  # --no-header and --no-emit-index-url: a lock names packages and hashes, never an index.
  uv pip compile setup.cfg "${extras[@]}" ${UPGRADE:-} --override requirements/overrides.txt \
    --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate \
    --quiet --output-file "requirements/$output"
}
UPGRADE=${1:-}
lock all.txt cloud federated client device serving telemetry bench dev
# The smaller locks keep the versions of the large one, so that all sides run the same code.
cp requirements/all.txt requirements/serving.txt && lock serving.txt serving telemetry
cp requirements/all.txt requirements/device.txt && lock device.txt device
# What installs them: uv, and the setuptools that builds Tandem where a small lock has none.
printf 'setuptools\nuv\n' | uv pip compile - ${UPGRADE:-} --constraint requirements/all.txt --python-version 3.11 \
  --generate-hashes --no-header --no-emit-index-url --no-annotate --quiet --output-file requirements/bootstrap.txt
