#!/bin/sh
# install-packages.sh NAME... - sees to it that Debian packages are installed.
#
# Silent and quick when they are.  Otherwise root gets them installed, without starting the daemons
# among them, and anybody else is told what to type.  Where there is no dpkg the names are a hint.
set -eu

if ! command -v dpkg-query >/dev/null; then
	echo "$0: not a Debian system; needed here are what Debian calls: $*" >&2
	exit 0
fi

# "name installed" for each of the packages that dpkg knows; it fails when it knows not all.
known=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null) || true

missing=
for name; do
	case "
$known
" in
	*"
$name installed
"*) ;;
	*) missing="$missing $name" ;;
	esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "missing packages; please run: sudo apt-get install --no-install-recommends$missing" >&2
	exit 1
fi

# A policy of 101 ("forbidden by policy") keeps new daemons from starting; an existing one stands.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap 'rm -f $policy' EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
fi

export DEBIAN_FRONTEND=noninteractive
apt() {
	apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2
}

echo "installing:$missing" >&2
# shellcheck disable=SC2086 # names of packages have no blanks
apt install -y --no-install-recommends $missing && exit 0
apt update                      # no lists yet, or too old ones
# shellcheck disable=SC2086
apt install -y --no-install-recommends $missing
