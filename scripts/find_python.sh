#!/bin/sh
# Prints the path of a Python from 3.11 on. PYTHON=/path/to/python chooses one.
#
# Each candidate is tried by running it: version managers put shims on the PATH that fail when
# called. One that can make virtual environments alone is preferred over one that needs a package.

works='import sys; sys.exit(sys.version_info < (3, 11))'
complete='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'

candidates() {
    [ -n "$PYTHON" ] && command -v "$PYTHON" && return
    for name in python3.11 python3.12 python3.13 python3.14 python3 python; do
        printf '%s\n' "$PATH" | tr ':' '\n' | while IFS= read -r folder; do
            [ -f "$folder/$name" ] && [ -x "$folder/$name" ] && printf '%s\n' "$folder/$name"
        done
    done
}

for probe in "$complete" "$works"; do
    found=$(candidates | while IFS= read -r candidate; do
        if "$candidate" -c "$probe" </dev/null >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            break
        fi
    done)
    if [ -n "$found" ]; then
        printf '%s\n' "$found"
        exit 0
    fi
done

echo "Jobpipe needs Python 3.11 or newer. On Debian or Ubuntu: apt-get install python3 python3-venv" >&2
exit 1
