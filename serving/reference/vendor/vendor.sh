#!/usr/bin/env bash
# Fetches Swagger UI as its npm package carries it, and lays it down here, packed. Needs npm and network; run it without
# an argument only to take another version, then look at /docs and commit what changed.
#   serving/reference/vendor/vendor.sh [--keep-checksums]
# With --keep-checksums (`make console-runtime`) it fails unless it finds byte for byte what checksums.txt names.
set -euo pipefail
cd "$(dirname "$0")"
VERSION=5.35.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm pack --silent --pack-destination "$folder" "swagger-ui-dist@$VERSION" >/dev/null
tar xzf "$folder/swagger-ui-dist-$VERSION.tgz" -C "$folder" --strip-components 1
mkdir "$folder/out"
cp "$folder/LICENSE" "$folder/NOTICE" .
# The one change: no pointer to source maps that are not shipped.
for file in swagger-ui-bundle.js swagger-ui.css; do
  sed -e '/^\/\/# sourceMappingURL=/d' -e 's|/\*# sourceMappingURL=[^*]*\*/||' "$folder/$file" >"$folder/out/$file"
done
if [ "${1:-}" = --keep-checksums ]; then
  (cd "$folder/out" && sha256sum --check --quiet) <checksums.txt
else
  (cd "$folder/out" && sha256sum -- *) >checksums.txt
fi
for file in "$folder"/out/*; do gzip --best --no-name --stdout "$file" >"$(basename "$file").gz"; done
