#!/usr/bin/env bash
# The whole road, inside the testbed: plan, build, push, run on two hosts from the pushed image, hand over.
set -euo pipefail
cd "$(dirname "$0")/../examples/pytorch-digits"
shardyard=$(realpath ../../.venv/bin)/shardyard
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

say() { printf '\n== %s\n' "$*"; }

say "check and plan"
"$shardyard" check
"$shardyard" plan

say "build and push"
uri=$("$shardyard" build-and-push)
echo "$uri"

say "run on two hosts, from the pushed image"
"$shardyard" run --engine docker --image "$uri" --hosts 2 --processes-per-host 2 --timeout 600 --output "$out" | tee "$out/log"
grep -q '^job_exit_code=0' "$out/log"

say "hand over: what trains this image on SageMaker"
"$shardyard" estimator --image "$uri"

echo
grep -o 'accuracy=[0-9.]*' "$out/log"
echo "image_uri=$uri"
