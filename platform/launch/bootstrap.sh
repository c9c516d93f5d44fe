#!/bin/sh
# Finds a Python that can run Hubpo and has it make the environment:
# bootstrap.sh FILE installs what FILE pins into .venv, unless that is done already.
here=$(dirname "$0")
found=
for candidate in "$PYTHON" python3 python3.14 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] || continue
    command -v "$candidate" >/dev/null 2>&1 || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        exec "$candidate" -I "$here/bootstrap.py" "$@"
    fi
    version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
    [ -n "$found" ] || [ -z "$version" ] || found="$candidate is $version"
done
if [ -n "$found" ]; then
    reason="and here $found: install a newer one"
else
    reason="and none was found here: install it"
fi
echo "Hubpo needs Python 3.11 or newer, $reason, or set PYTHON to the path of one." >&2
exit 1
