#!/usr/bin/env bash
# Installs what the tests of MariaDB and Firebird need: the programs, from Debian's or Ubuntu's packages, and
# Airflow's MySQL provider, for which a C library is compiled. What is there already stays as it is. No service
# is started: the tests start servers of their own.
#
#     tools/install_databases.sh .venv/bin/python
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1

# The parts of servers without their services; then what mysqlclient is compiled with.
packages=(mariadb-server-core firebird3.0-server-core gcc libc6-dev libmariadb-dev pkg-config)

missing=()
[[ -e $("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h ]] ||
    packages+=("$("$python" -c 'import sys; print("python%d.%d-dev" % sys.version_info[:2])')")
for package in "${packages[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
if ! command -v apt-get >/dev/null; then
    echo "No apt-get here. Install by other means: mariadbd (MARIADBD=/path/to/mariadbd where it is not on PATH)," \
        "Firebird with libfbclient, and what builds mysqlclient: a C compiler, pkg-config, the headers of" \
        "MariaDB's client library and of Python." >&2
elif ((${#missing[@]})); then
    as_root=()
    ((EUID == 0)) || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq --no-install-recommends "${missing[@]}"
fi

"$python" -m pip install -qq --no-compile --no-input --disable-pip-version-check -c constraints.txt -e '.[mysql]'
