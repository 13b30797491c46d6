#!/usr/bin/env bash
# Builds the wheel, installs it in an empty environment in another folder, and there asks for a model
# and trains the quickstart's first steps.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
.venv/bin/python -m build --wheel --outdir "$work/dist" . >"$work/build.log" || { cat "$work/build.log" >&2; exit 1; }
.venv/bin/python -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "$work"/dist/*.whl
cd "$work"
PATH="$work/venv/bin:$PATH"
segkit-config list experiment
segkit-config show PSPNet | grep "^measured of PSPNet"
segkit-train +experiment=quickstart "$@"
