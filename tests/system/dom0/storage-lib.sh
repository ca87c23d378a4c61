# For the tests of storage: a guest whose disks come and go, and how they look from inside.
. /tests/lib.sh
mkdir -p /tmp/storage
cd /tmp/storage || exit 1

# put TEXT FILE: TEXT in the first sector of a file or device, of which the rest stays.
put() { echo "$1" | dd of="$2" bs=512 conv=sync,notrunc 2>/dev/null; }
# A guest's disk begins with this text; writes it there.
guest_reads() { ask store "head -n 1 /dev/$1" | grep -qx "$2"; }
guest_writes() { ask store "echo $2 | dd of=/dev/$1 bs=512 conv=sync,notrunc && sync && echo wrote" | grep -qx wrote; }
# How many sectors the guest's disk has. A read comes first, since blkback looks at its device's size with each request.
guest_size() { ask store "dd if=/dev/$1 of=/dev/null count=1 iflag=direct; cat /sys/block/$1/size" | grep -qx "$2"; }
guest_has() { ask store "test -b /dev/$1 && echo there" | grep -qx there; }
guest_opens() { ask store "$(opens "$1") && echo open" | grep -qx open; }

# start_guest DISK: the guest "store" with this first disk; its block driver is loaded.
start_guest()
{
	config store "disk = [ \"$1\" ]"
	sed -i '/^vif /d' /tmp/store.cfg
	xl create -q /tmp/store.cfg && within 40 says store 'guest: up' && ask store 'modprobe xen-blkfront; dmesg -n 1'
}

# attach NAME SPECIFICATION, detach NAME: with the check that the guest sees it.
attach() { xl block-attach store "$2" && within 20 guest_opens "$1"; }
detach() { xl block-detach store "$1" && within 20 not guest_has "$1"; }
