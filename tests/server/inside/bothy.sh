# On Bothy.
. /root/tests/lib.sh
check "it runs on Bothy" sh -c 'xl info xen_extra | grep -i bothy && grep -q control_d /proc/xen/capabilities'
check "no service failed" services
sed "s/^/# /" /tmp/took
check "the guest with a disk on LVM starts" xl create /etc/xen/web.cfg
check "the guest with a disk in a file starts" xl create /etc/xen/mail.cfg
check "both are in xl's list" sh -c '[ $(xl list | wc -l) = 4 ]'
