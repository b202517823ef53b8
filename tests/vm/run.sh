#!/bin/sh
# run.sh BUILD: the tests of cgroups in a virtual machine, where all controllers of cgroup v2 are there: a machine that has
# them in version 1 cannot run some of them. Needs no root. Takes a minute or two, and a kernel: $KERNEL, or that of the
# distribution, which is downloaded into BUILD/vm.
set -eu
build=$1
cd "$(dirname "$0")/../.."
not_run() {
	echo "NOT RUN: the tests of cgroups in a virtual machine ($1)"
	exit 0
}
command -v qemu-system-x86_64 >/dev/null || not_run 'apt-get install qemu-system-x86'
mkdir -p "$build/vm"
kernel=${KERNEL:-$(find "$build/vm" -name 'vmlinuz-*' | head -n 1)}
if [ -z "$kernel" ]; then
	package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
	[ -n "$package" ] || not_run 'no kernel is known: set KERNEL'
	(cd "$build/vm" && apt-get -q download "$package" >/dev/null && dpkg-deb -x "$package"_*.deb . && rm "$package"_*.deb)
	kernel=$(find "$build/vm" -name 'vmlinuz-*' | head -n 1)
fi
tests/vm/initramfs.py "$build" "$build/vm/initramfs"
# without KVM, which is not to be had everywhere, nor always works where /dev/kvm is
timeout 300 qemu-system-x86_64 -accel tcg -m 2048 -kernel "$kernel" -initrd "$build/vm/initramfs" \
	-append 'console=ttyS0 quiet panic=-1' -nographic -no-reboot </dev/null >"$build/vm/log" 2>&1 || true
sed -n '/^cgroup v2 controllers/,/^vm: /p' "$build/vm/log"
grep -q '^vm: passed' "$build/vm/log"
