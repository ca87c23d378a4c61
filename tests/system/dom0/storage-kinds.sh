# Disks of every other kind, each attached to a running guest, written by it, and looked at from outside.
. /tests/storage-lib.sh
before=$(free_memory)
# The one that stays: libxl starts QEMU only for a guest that has such a disk from its start.
qemu-img create -q -f qcow2 first.qcow2 16M
check "a guest starts with a qcow2 disk" start_guest format=qcow2,vdev=xvda,access=rw,target=/tmp/storage/first.qcow2

# tried NAME VDEV SPECIFICATION: the guest writes to that disk and has it back.
tried()
{
	check "$1: attached" attach "$2" "$3" || tail -n 3 /var/log/xen/xen-hotplug.log | sed 's/^/# /'
	check "$1: the guest writes" guest_writes "$2" "$1"
	check "$1: the guest reads it" guest_reads "$2" "$1"
}

qemu-img create -q -f vpc disk.vhd 16M
tried vhd xvdb format=vhd,vdev=xvdb,access=rw,target=/tmp/storage/disk.vhd
check "vhd: detached" detach xvdb
check "vhd: the image has it" sh -c "qemu-io -r -f vpc -c 'read -v 0 16' disk.vhd | grep -q 'vhd'"
truncate -s 16M disk.raw
tried qdisk xvdc format=raw,backendtype=qdisk,vdev=xvdc,access=rw,target=/tmp/storage/disk.raw
check "qdisk: detached" detach xvdc
check "qdisk: the file has it" grep -q '^qdisk' disk.raw

# LUKS by the kernel: the guest's disk is the plain side, and the file has nothing readable.
modprobe -a dm-crypt
truncate -s 24M luks.raw
printf 'a secret' >key
check "LUKS: made" cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 luks.raw key
check "LUKS: opened" cryptsetup open --key-file key luks.raw plain
tried luks xvdd phy:/dev/mapper/plain,xvdd,w
check "LUKS: detached" detach xvdd
check "LUKS: closed" cryptsetup close plain
check "LUKS: nothing of it is in the file" not grep -q '^luks$' luks.raw
check "LUKS: opened again" cryptsetup open -r --key-file key luks.raw plain
check "LUKS: the guest's words are in it" grep -q '^luks$' /dev/mapper/plain
cryptsetup close plain

# A qcow2 image that QEMU encrypts, served over NBD.
modprobe nbd
secret=secret,id=s,data=secret
check "NBD: an encrypted qcow2" qemu-img create -q --object $secret -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 secret.qcow2 16M
check "NBD: served" qemu-nbd --fork -b 127.0.0.1 -x disk --object $secret --image-opts driver=qcow2,file.filename=secret.qcow2,encrypt.key-secret=s
check "NBD: connected" nbd-client -N disk 127.0.0.1 /dev/nbd0
tried nbd xvde phy:/dev/nbd0,xvde,w
check "NBD: detached" detach xvde
check "NBD: disconnected" nbd-client -d /dev/nbd0
check "NBD: nothing of it is in the file" not grep -q '^nbd' secret.qcow2
check "NBD: the image has it" sh -c "qemu-io -r --object $secret --image-opts -c 'read -v 0 16' driver=qcow2,file.filename=secret.qcow2,encrypt.key-secret=s | grep -q 'nbd'"

# iSCSI by Xen's own script; the target is the kernel's.
target=iqn.2026-11.example:disk
serve_iscsi()
(
	modprobe -a target_core_mod target_core_file iscsi_target_mod
	mount -t configfs configfs /sys/kernel/config
	truncate -s 16M iscsi.raw
	cd /sys/kernel/config/target || exit
	mkdir -p core/fileio_0/disk iscsi/$target/tpgt_1
	echo fd_dev_name=/tmp/storage/iscsi.raw,fd_dev_size=16777216 >core/fileio_0/disk/control
	echo 1 >core/fileio_0/disk/enable
	cd iscsi/$target/tpgt_1
	mkdir -p lun/lun_0 np/127.0.0.1:3260
	ln -s /sys/kernel/config/target/core/fileio_0/disk lun/lun_0/disk
	echo 0 >attrib/authentication
	echo 1 >attrib/generate_node_acls
	echo 0 >attrib/demo_mode_write_protect
	echo 1 >enable
)
check "iSCSI: a target" serve_iscsi
tried iscsi xvdf script=block-iscsi,vdev=xvdf,access=rw,target=iqn=$target,portal=127.0.0.1
check "iSCSI: detached" detach xvdf
check "iSCSI: logged out" within 10 not sh -c 'iscsiadm -m session | grep -q iqn'
check "iSCSI: the target's file has it" grep -q '^iscsi' iscsi.raw

# NFS: a raw file and an image.
serve_nfs()
{
	mkdir -p /srv /net
	mount -t tmpfs srv /srv
	mount -t nfsd nfsd /proc/fs/nfsd
	echo '/srv 127.0.0.1(rw,no_root_squash,fsid=0,insecure,no_subtree_check)' >/etc/exports
	exportfs -a && rpc.mountd -N 3 && rpc.nfsd -N 3 -V 4 2 && echo Y >/proc/fs/nfsd/v4_end_grace
}
check "NFS: served" serve_nfs
check "NFS: mounted" mount -t nfs4 127.0.0.1:/ /net
truncate -s 16M /net/disk.raw
qemu-img create -q -f qcow2 /net/disk.qcow2 16M
tried nfs-raw xvdg format=raw,vdev=xvdg,access=rw,target=/net/disk.raw
tried nfs-qcow2 xvdh format=qcow2,vdev=xvdh,access=rw,target=/net/disk.qcow2
check "NFS: raw: detached" detach xvdg
check "NFS: qcow2: detached" detach xvdh
check "NFS: the server's file has it" grep -q '^nfs-raw' /srv/disk.raw
check "NFS: unmounted" within 10 umount /net

# A logical volume, which grows under the guest; nothing listens for udev's word here.
lv() { command=$1; shift; lvm "$command" --config 'activation { udev_sync = 0 udev_rules = 0 } devices { obtain_device_list_from_udev = 0 use_devicesfile = 0 }' "$@"; }
truncate -s 64M physical.raw
physical=$(losetup -f --show /tmp/storage/physical.raw)
check "LVM: a physical volume" lv pvcreate -q "$physical"
check "LVM: a group" lv vgcreate -q group "$physical"
check "LVM: a volume" lv lvcreate -q -y -L 16M -n disk group
tried lvm xvdi phy:/dev/group/disk,xvdi,w
check "LVM: its size" guest_size xvdi 32768
check "LVM: the volume grows" lv lvextend -q -L 24M group/disk
check "LVM: the guest sees it grown" within 20 guest_size xvdi 49152
check "LVM: detached" detach xvdi
check "LVM: the volume has it" sh -c 'head -n 1 /dev/group/disk | grep -q lvm'
check "LVM: removed" lv vgchange -q -an group
losetup -d "$physical"

check "xl destroy" xl destroy store

# A whole Debian from an image.
qemu-img convert -f raw -O qcow2 /guests/debian.img debian.qcow2
sed 's,format=raw,format=qcow2,; s,target=[^"]*,target=/tmp/storage/debian.qcow2,; /^vif /d' /etc/xen/debian.cfg >debian.cfg
check "Debian: started from a qcow2 image" xl create -q debian.cfg
check "Debian: comes up" within 60 says debian 'debian: up'
debian_writes() { ask debian 'echo kept >/root/kept && sync && echo 3 >/proc/sys/vm/drop_caches && cat /root/kept' | grep -qx kept; }
check "Debian: has what it wrote" within 20 debian_writes
check "Debian: shuts down" xl shutdown -w debian
check "QEMU ends with its guest" within 10 sh -c '! pidof xen-qemu-system-i386'
check "no loop device is left" within 10 sh -c 'test -z "$(losetup -a)"'
check "memory is back" within 20 sh -c "test \$(xl info free_memory) -ge $((before - 1))"
exit 0
