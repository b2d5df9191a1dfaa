#!/usr/bin/env bash
# Makes the virtual environment and installs HUP into it, editable, with extras: dev is what development needs.
#   scripts/venv.sh PYTHON VENV [EXTRAS]      EXTRAS: "dev spark", for example; default: dev
# The mark holds the place and the extras, a line each. It is written last: an interrupted installation is taken up
# again by the next call.
set -euo pipefail
python=$1 venv=$2 here=$(pwd -P)
mark=$venv/.installed
# Extras that were installed before are kept up to date, too.
before=$(sed -n 2p "$mark" 2>/dev/null || true)
extras=$(printf '%s\n' ${3:-dev} $before | sort -u)

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

for candidate in "$python" python3.13 python3.12 python3.11; do
    if is_new_enough "$candidate"; then found=$candidate && break; fi
done
if [ -z "${found:-}" ]; then
    old=$("$python" --version 2>/dev/null || echo "no $python")
    echo "HUP needs Python 3.11 or newer; found: $old." >&2
    echo "Install one, or name it: make PYTHON=/path/to/python3.12 …" >&2
    exit 1
fi

made_elsewhere() { [ -f "$mark" ] && [ "$(sed -n 1p "$mark")" != "$here" ]; }
if made_elsewhere || ! is_new_enough "$venv/bin/python"; then
    echo "Making $venv with $("$found" --version)"
    rm -rf "$venv"
    if ! "$found" -m venv "$venv"; then
        rm -rf "$venv"
        echo "$found cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    fi
fi

rm -f "$mark"
echo "Installing HUP and what it needs into $venv (a few minutes the first time)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e ".[$(paste -sd, <<<"$extras")]"
printf "%s\n%s\n" "$here" "$(paste -sd' ' <<<"$extras")" >"$mark"
