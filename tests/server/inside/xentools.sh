# xen-create-image makes a PVH guest with the server's own kernel, as docs/server.md says.
. /mnt/tests/lib.sh
sed -i -e "/^name  /a type        = 'pvh'" -e "s/elevator=noop/console=hvc0/" /etc/xen-tools/xm.tmpl
sed -i '/^bookworm /s/ pygrub//' /etc/xen-tools/distributions.conf
# Its hooks would install packages from a mirror. Without them, it unmounts a /proc that it never mounted.
printf '#!/bin/sh\nmkdir -p "$1/proc"\nmount --bind /proc "$1/proc"\n' >/etc/xen-tools/role.d/proc
chmod 755 /etc/xen-tools/role.d/proc
check "xen-create-image makes a guest on LVM" xen-create-image --hostname=made --dist=bookworm --install-method=tar --install-source=/mnt/debian.tar \
	--hooks=0 --role=proc --genpass=0 --lvm=guests --size=400M --noswap --memory=192M --dhcp --bridge=xenbr0
check "its configuration has the type" grep -q "^type *= *'pvh'" /etc/xen/made.cfg
sed 's/^/# /' /etc/xen/made.cfg
check "it starts" xl create /etc/xen/made.cfg || exit
check "its Debian is up" within 120 said made "debian: up after"
tail -n 3 /var/log/xen/console/guest-made.log | sed 's/^/# /'
check "it shuts down" timeout 240 xl shutdown -w made
