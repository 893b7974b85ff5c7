#!/bin/sh
# fresh.sh [TARGET...] - a newcomer's first commands: a bare Debian 12, a clone of HEAD, `make TARGET`.
#
# debootstrap makes a Debian with nothing but git and make in build/fresh/base, once; each call takes a
# new copy of it.  What runs inside has its own mounts and processes, which end with it.  The mirror
# and its proxy are those of this machine's apt.
set -eu
[ $# -gt 0 ] || set -- run test
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ]; then
	echo "$0: only root can make a Debian in a folder" >&2
	exit 1
fi

base=build/fresh/base
machine=build/fresh/machine

# Where apt has this release from.
mirror() {
	apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		sed -n 's,^bookworm \(.*[^/]\)/*$,\1,p' | head -n 1
}

if [ ! -e $base.done ]; then
	rm -rf $base
	mkdir -p $base
	# shellcheck disable=SC2046 # nothing, or one word
	debootstrap --variant=minbase --include=git,make bookworm $base $(mirror)
	touch $base.done
fi

rm -rf $machine
cp -a $base $machine
cp /etc/resolv.conf /etc/hosts $machine/etc/
apt-config dump Acquire | grep -i proxy >$machine/etc/apt/apt.conf.d/99proxy || true
git clone -q . $machine/root/pgpool

# What is started here ends with this shell, however that ends.
# shellcheck disable=SC2016 # the inner shell's
setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child sh -euc '
	machine=$1
	shift
	mount -t proc proc "$machine/proc"
	mount --rbind /dev "$machine/dev"
	mount -t tmpfs tmpfs "$machine/dev/shm"
	exec chroot "$machine" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		sh -euc "cd; cd pgpool; for target; do echo \"\$ make \$target\"; make \$target </dev/null; done" sh "$@"
' sh $machine "$@"
rm -rf $machine
