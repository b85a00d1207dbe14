#!/usr/bin/env bash
# Builds wheel and sdist, and runs the installed wheel in an empty environment, outside the repository, on a sample.
# The heavy packages (torch...) are borrowed from the environment of the given python; avse itself is the wheel's alone.
set -euo pipefail
python=$(realpath -s "${1:?usage: check_wheel.sh PYTHON}")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# From a clean copy, so that nothing but what git knows can get in.
mkdir "$work/source"
git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$work/source"
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet -c constraints.txt setuptools
(
    cd "$work/source"
    "$work/venv/bin/python" -c "
from setuptools import build_meta as backend
backend.build_wheel('$work')
backend.build_sdist('$work')
" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
)
ls -lh "$work"/avse-*

contents=$(tar -tzf "$work"/avse-*.tar.gz)
for file in $(git ls-files checkpoints) samples/talker-with-noise.mp4 \
    samples/talker-with-noise.reference.wav LICENSE cli/main.py tests/conftest.py docs/index.md configs/mmtm.yaml; do
    grep -q "/$file\$" <<<"$contents" || { echo "the sdist lacks $file"; exit 1; }
done

borrowed=$("$python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")
own=$("$work/venv/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")
"$work/venv/bin/python" -m pip install --quiet --no-deps --no-index "$work"/avse-*.whl
echo "$borrowed" >"$own/borrowed.pth" # a plain path: its own .pth files, such as an editable avse, are not followed

sample="$PWD/samples/talker-with-noise"
mkdir "$work/elsewhere" && cd "$work/elsewhere"
"$work/venv/bin/python" -c "
import avse, avse_cli, avse_checkpoints
for package in (avse, avse_cli, avse_checkpoints):
    assert package.__file__.startswith('$own'), package.__file__
"
for file in $(cd "$OLDPWD" && git ls-files checkpoints); do
    test -s "$own/avse_checkpoints/${file#checkpoints/}" || { echo "the wheel lacks $file"; exit 1; }
done
for file in $(cd "$OLDPWD" && git ls-files configs); do
    test -s "$own/avse_configs/${file#configs/}" || { echo "the wheel lacks $file"; exit 1; }
done
"$work/venv/bin/avse" --version
"$work/venv/bin/avse" models verify
"$work/venv/bin/avse" enhance "$sample.mp4" -o clean.wav --reference "$sample.reference.wav" --report report.html
test -s report.html
"$work/venv/bin/avse" doctor --quiet
echo "the wheel works"
