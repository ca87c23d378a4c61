# The newest kernel that Debian has is the service domain's, and a guest's.
. /tests/lib.sh
. /tests/version

check "the service domain runs it" test "$(uname -r)" = "$VERSION"
check "Xen's tools work on it" xl info
config sid 'kernel = "/sid/vmlinuz"' 'ramdisk = "/sid/guest.img"' 'vcpus = 2' 'memory = 256'
check "sid: created" xl create /tmp/sid.cfg || tail -n 20 /var/log/xen/xen-hotplug.log
check "sid: comes up" within 90 says sid 'guest: up .* 2 CPUs'
type_line sid 'echo "kernel: $(uname -r)"'
check "sid: runs it" within 20 says sid "kernel: $VERSION"
has_cpus() { type_line sid 'echo "cpus: $(nproc)"'; said sid | grep -ao 'cpus: [0-9][0-9]*' | tail -n 1 | grep -qx "cpus: $1"; }
check "sid: gives a CPU back" xl vcpu-set sid 1
check "sid: has one" within 20 has_cpus 1
check "sid: takes it again" xl vcpu-set sid 2
check "sid: has two" within 20 has_cpus 2
server=$(ip -br -4 addr show dev xenbr0 | awk '{ sub("/.*", "", $3); print $3 }')
type_line sid "ping -c 1 -W 5 $server; echo \"net: \$?\""
check "sid: has a network" within 30 says sid 'net: 0'
check "sid: shuts down" xl shutdown -w sid
check "sid: is gone" within 60 not exists sid
exit 0
