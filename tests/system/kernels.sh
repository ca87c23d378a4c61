# For the tests of kernels and toolstacks, on the build machine: service domains and guests of several releases of Debian.
. tests/system/lib.sh
PATH=$PATH:/usr/sbin:/sbin

# The kernel's release in the packages of the directory $1.
release() { ls -d "$1"/packages/lib/modules/* "$1"/packages/usr/lib/modules/* 2>/dev/null | head -n 1 | sed 's|.*/||'; }

# guests_disk NAME=DIRECTORY...: the disk for /guests, with the guests' kernels of these directories that dom0-lite/build made.
guests_disk()
{
	local pair name from=$OUT/$NAME.guests
	rm -rf "$from"
	GUESTS=
	for pair in "$@"; do
		name=${pair%%=*}
		mkdir -p "$from/$name"
		cp "${pair#*=}/vmlinuz" "${pair#*=}/guest.img" "$from/$name/"
		mke2fs -q -t ext4 "$from/$name/disk" 16M
		GUESTS="$GUESTS $name=$(release "${pair#*=}")"
	done
	rm -f "$from.img"
	mke2fs -q -t ext4 -L bothy-data -d "$from" "$from.img" 512M
	rm -rf "$from"
}

# service_domain NAME PACKAGES IMAGE [tools/run's options]: starts the image of the directory IMAGE, whose kernel is of PACKAGES, and the
# guests in it. They have MEMORY MiB, and MORE is one more line of their configurations.
service_domain()
{
	local image=$3
	printf '%s="%s"\n' NAME "$1" VERSION "$(release "$2")" TOOLSTACK "$(cat "$image/xen-version")" GUESTS "$GUESTS" MEMORY "${MEMORY-256}" MORE "${MORE-}" \
		>"$OUT/$NAME.version"
	shift 3
	dom0 kernels.sh --kernel "$image/vmlinuz" --initrd "$image/initrd.img" --no-data --disk "$OUT/$NAME.guests.img" --add "$OUT/$NAME.version:/tests/version" "$@"
}
