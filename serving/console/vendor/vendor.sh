#!/usr/bin/env bash
# Fetches LiteRT for the browser as its npm packages carry it, and lays it down here, packed. Needs npm and network;
# run it without an argument only to take another version, then look at the console and commit what changed.
#   serving/console/vendor/vendor.sh [--keep-checksums]
# With --keep-checksums (`make console-runtime`) it fails unless it finds byte for byte what checksums.txt names.
set -euo pipefail
cd "$(dirname "$0")"
VERSION=2.5.3
WASM=litert_wasm_compat_internal # plain WebAssembly: every browser runs it, and towers this small need no more
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for package in core wasm-utils; do
  npm pack --silent --pack-destination "$folder" "@litertjs/$package@$VERSION" >/dev/null
  mkdir "$folder/$package"
  tar xzf "$folder/litertjs-$package-$VERSION.tgz" -C "$folder/$package" --strip-components 1
done
mkdir "$folder/out"
# The two changes: a relative import, for there is no bundler here, and no pointer to source maps that are not shipped.
sed -e 's|"@litertjs/wasm-utils"|"./wasm_utils.js"|' -e '/^\/\/# sourceMappingURL=/d' "$folder/core/dist/index.js" >"$folder/out/litert.js"
sed -e '/^\/\/# sourceMappingURL=/d' "$folder/wasm-utils/dist/index.js" >"$folder/out/wasm_utils.js"
cp "$folder/core/wasm/$WASM.js" "$folder/core/wasm/$WASM.wasm" "$folder/out/"
if [ "${1:-}" = --keep-checksums ]; then
  (cd "$folder/out" && sha256sum --check --quiet) <checksums.txt
else
  (cd "$folder/out" && sha256sum -- *) >checksums.txt
fi
for file in "$folder"/out/*; do gzip --best --no-name --stdout "$file" >"$(basename "$file").gz"; done
