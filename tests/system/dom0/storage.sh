# QEMU as a disk's back end: a qcow2 image with a backing file is changed by its guest and rolled back. Disks come, grow and go.
. /tests/storage-lib.sh
before=$(free_memory)

truncate -s 16M base.raw
put 'of the base' base.raw
check "qemu-img: a compressed image" qemu-img convert -c -O qcow2 base.raw base.qcow2
check "qemu-img: it is small" test "$(stat -c %s base.qcow2)" -lt 1048576
check "qemu-img: an image on top of it" qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2 64M
check "a guest starts with a qcow2 disk" start_guest format=qcow2,vdev=xvda,access=rw,target=/tmp/storage/top.qcow2
check "qcow2: the guest reads what the backing file has" guest_reads xvda 'of the base'
check "qcow2: it has the size of the image on top" guest_size xvda 131072
check "qcow2: the guest writes" guest_writes xvda first
check "qcow2: a snapshot while the guest runs" xl qemu-monitor-command store 'snapshot_blkdev_internal xvda-qcow2 before'
check "qcow2: the image has the snapshot" sh -c 'qemu-img snapshot -U -l top.qcow2 | grep -q before'
check "qcow2: the guest writes again" guest_writes xvda second
check "qcow2: the guest reads what it wrote" guest_reads xvda second
check "block-detach" detach xvda
check "qcow2: rolled back" qemu-img snapshot -a before top.qcow2
check "block-attach" attach xvda format=qcow2,vdev=xvda,access=rw,target=/tmp/storage/top.qcow2
check "qcow2: the guest reads what the snapshot has" guest_reads xvda first
check "qcow2: the backing file is as it was" sh -c "qemu-io -r -c 'read -v 0 16' base.qcow2 | grep -q 'of.the.base'"

# Growth: QEMU is told, and of a loop device blkback notices.
qmp() { printf '{"execute":"qmp_capabilities"}\n%s\n' "$1" | nc.openbsd -q 2 -U "/run/xen/qmp-libxenstat-$(xl domid store)"; }
qmp '{"execute":"block_resize","arguments":{"node-name":"xvda-qcow2","size":100663296}}' >/tmp/qmp.out
check "qcow2: QEMU grows it" sh -c 'tail -n 1 /tmp/qmp.out | grep -q return'
check "qcow2: the guest sees it grown" within 20 guest_size xvda 196608
truncate -s 8M plain.raw
check "block-attach: a raw file" attach xvdb format=raw,vdev=xvdb,access=rw,target=/tmp/storage/plain.raw
check "raw: its size" guest_size xvdb 16384
truncate -s 12M plain.raw
check "raw: the loop device grows" losetup -c "$(losetup -a | sed -n 's/:.*plain.raw.*//p')"
check "raw: the guest sees it grown" within 20 guest_size xvdb 24576

# A PVH guest has no CD drive: libxl says so. A disk that can't be written takes its place, and is changed for another.
put 'first CD' cd1.iso
put 'second CD' cd2.iso
truncate -s 1M cd1.iso cd2.iso
refuse "cd-insert is for HVM" 'requires an HVM domain' xl cd-insert store xvdc /tmp/storage/cd1.iso
check "CD: inserted" attach xvdc format=raw,vdev=xvdc,access=ro,target=/tmp/storage/cd1.iso
check "CD: the guest reads it" guest_reads xvdc 'first CD'
check "CD: the guest can't write to it" not guest_writes xvdc third
check "CD: taken out" detach xvdc
check "CD: another inserted" attach xvdc format=raw,vdev=xvdc,access=ro,target=/tmp/storage/cd2.iso
check "CD: the guest reads the other" guest_reads xvdc 'second CD'

check "xl destroy" xl destroy store
check "QEMU ends with its guest" within 10 sh -c '! pidof xen-qemu-system-i386'
check "no loop device is left" within 10 sh -c 'test -z "$(losetup -a)"'
check "memory is back" within 20 sh -c "test \$(xl info free_memory) -ge $((before - 1))"
exit 0
