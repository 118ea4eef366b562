#!/usr/bin/env bash
# Makes .venv hold exactly what a lock names, and Tandem itself in editable form; does nothing where it already does.
#   requirements/install.sh [all|serving|device]
# PYTHON names an interpreter other than python3.11. An interrupted run is made good by the next one.
set -euo pipefail
cd "$(dirname "$0")/.."
lock=${1:-all}
venv=.venv
say() { echo "[setup] $*" >&2; }

is_311() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; }

find_python() { # prints the interpreter to use, or explains what is missing
  local candidate
  for candidate in ${PYTHON:-python3.11 python3 python}; do
    if is_311 "$candidate"; then echo "$candidate"; return; fi
  done
  local found="nothing of that name"
  if version=$("${PYTHON:-python3}" --version 2>/dev/null); then found="${PYTHON:-python3} is $version"; fi
  cat >&2 <<EOF
[setup] Python 3.11 is missing: Tandem needs exactly 3.11, because TensorFlow Federated has no release for a later one.
[setup] Looked for: ${PYTHON:-python3.11, python3, python}. Found: $found.
[setup] Install it in one of these ways, then run make again:
[setup]   sudo apt-get install python3.11 python3.11-venv     (Debian 12; Ubuntu 22.04)
[setup]   pyenv install 3.11 && pyenv local 3.11
[setup]   brew install python@3.11
[setup] If it is installed elsewhere, name it: make PYTHON=/path/to/python3.11 test
EOF
  return 1
}

if [ ! -f "requirements/$lock.txt" ]; then say "There is no lock '$lock'; use all, serving or device."; exit 2; fi
if command -v flock >/dev/null; then exec 9<"requirements/$lock.txt"; flock 9; fi  # two runs at once take turns
stamp=$venv/.tandem-stamp      # written last: what the environment was made from
unfinished=$venv/.tandem-unfinished
# Scripts in an environment carry its absolute path, and the editable install the names of the packages: so does the key.
key="$lock $( (pwd; echo */__init__.py; cat requirements/"$lock".txt requirements/bootstrap.txt requirements/install.sh setup.cfg pyproject.toml) | cksum)"
if [ "$(cat $stamp 2>/dev/null)" = "$key" ] && is_311 $venv/bin/python && [ -x $venv/bin/tandem ]; then
  say "$venv is up to date."
  exit 0
fi

start=$SECONDS
if [ -e $unfinished ] || ! is_311 $venv/bin/python || ! grep -qsF "$PWD/$venv" $venv/bin/activate; then
  python=$(find_python)
  if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    say "$("$python" --version) ($python) cannot make virtual environments: its module 'ensurepip' is missing."
    say "On Debian or Ubuntu: sudo apt-get install python3.11-venv. Then run make again."
    exit 1
  fi
  say "Making $venv with $("$python" --version) ..."
  "$python" -m venv --clear $venv
fi
touch $unfinished
rm -f $stamp
python=$venv/bin/python
case $lock in all) size="about 3.6 GB, 40 s to 2 minutes" ;; *) size="about 0.5 GB" ;; esac
say "Installing requirements/$lock.txt, every file checked against its hash ($size) ..."
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/bootstrap.txt
# Compiled now, once: where PYTHONDONTWRITEBYTECODE is set, as in many containers, every process would compile anew what it
# imports, and a server would be ready after twice the time.
if ! $venv/bin/uv --quiet pip sync --python "$python" --require-hashes --compile-bytecode "requirements/$lock.txt"; then
  # pip is four times slower, but knows settings (a mirror, a proxy) that uv does not read.
  say "uv could not install it; trying with pip ..."
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python \
    --require-hashes -r "requirements/$lock.txt"
fi
say "Installing Tandem itself ..."
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
"$python" -m compileall -q -j 0 $(dirname */__init__.py) || true  # what cannot be compiled says so when it is run
echo "$key" > $stamp
rm -f $unfinished
say "$venv is ready ($((SECONDS - start)) s)."
