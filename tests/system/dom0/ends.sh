# Guests that end in each of the ways there are; and inputs that must be refused with a word about why.
. /tests/lib.sh

before=$(free_memory)

# guest NAME LINE...: a small guest, started.
guest()
{
	config "$@"
	check "$1: created" xl create "/tmp/$1.cfg"
}
# tiny NAME KERNEL LINE...: a guest with one of the kernels of a few bytes, started.
tiny()
{
	t=$1
	# With one vCPU, xl gives Xen too few pages for the page tables of so small a guest.
	printf '%s\n' "name = \"$1\"" 'type = "pvh"' 'memory = 16' 'vcpus = 2' "kernel = \"/tests/$2.elf\"" >"/tmp/$1.cfg"
	shift 2
	printf '%s\n' "$@" >>"/tmp/$t.cfg"
	check "$t: created" xl create "/tmp/$t.cfg"
}
gone() { check "$1: is gone" within 120 not exists "$1"; }

# A kernel each, since a real one takes its seconds to start: a panic, a halt of two CPUs, and keys.
line='cmdline = "console=hvc0 quiet cryptomgr.notests norandmaps'
guest preserved "$line do=panic\"" 'on_crash = "preserve"'
guest halts "$line do=halt\"" 'vcpus = 2'
guest sysrq
check "preserved: stays, crashed" within 60 has_state preserved c
check "preserved: its kernel panicked" says preserved 'Kernel panic'
check "preserved: xl destroy" xl destroy preserved
gone preserved
gone halts

tiny off off
gone off
tiny crash crash 'on_crash = "destroy"'
gone crash
tiny kept crash 'on_crash = "preserve"'
check "kept: stays, crashed" within 10 has_state kept c
check "kept: xl destroy" xl destroy kept
gone kept
tiny reboot reboot 'on_reboot = "restart"'
starts() { xl dmesg | grep -c 'tiny kernel: reboot'; }
more_starts_than() { [ "$(starts)" -gt "$1" ]; }
check "reboot: comes up again, and again" within 60 more_starts_than 2
# It is ended as soon as it has started anew: between its end and its next start there is nothing to destroy.
within 20 more_starts_than "$(starts)"
check "reboot: xl destroy" xl destroy reboot
gone reboot

tiny halt halt
gone halt
check "halt: its words are in xl dmesg" sh -c 'xl dmesg | grep -q "tiny kernel: halt"'
tiny triple triple 'on_reboot = "destroy"'
gone triple
tiny port port
gone port
tiny spin spin
check "spin: runs" within 5 has_state spin r
check "spin: xl destroy" xl destroy spin
gone spin
tiny paused spin
check "paused: xl pause" xl pause paused
check "paused: xl destroy" xl destroy paused
gone paused
check "sysrq: is up" within 60 says sysrq 'guest: up'
check "sysrq: xl sysrq" xl sysrq sysrq s
check "sysrq: the guest got it" within 10 says sysrq 'Emergency Sync'
check "sysrq: xl trigger is refused or done, and nothing breaks" sh -c 'xl trigger sysrq nmi; xl list sysrq'

# Cores: of one that runs, by the verb, and of one that has crashed, by its configuration. Only their first 17 MiB, which are the registers
# and memory's beginning: xl tries each of the million frames below 4 GiB, which takes an emulator ten minutes. The host looks into them.
begun() { [ "$(stat -c %s $1 2>/dev/null || echo 0)" -gt 16777216 ]; }
tiny runs spin 'memory = 32'
xl dump-core runs /tmp/runs.core &
dumper=$!
check "runs: xl dump-core" within 120 begun /tmp/runs.core
kill $dumper
wait $dumper
check "runs: goes on" within 10 has_state runs r
check "runs: xl destroy" xl destroy runs
tiny cored crash 'memory = 32' 'on_crash = "coredump-destroy"'
check "cored: its core is written" within 120 begun '/var/lib/xen/dump/*'
kill $(processes 'xl create /tmp/cored.cfg')
check "cored: xl destroy" xl destroy cored
gone cored
dd if=/tmp/runs.core of=/dev/nvme1n1 bs=1M count=17 2>/dev/null
dd if="$(ls /var/lib/xen/dump/*)" of=/dev/nvme1n1 bs=1M count=17 seek=17 2>/dev/null
sync
rm -f /tmp/runs.core /var/lib/xen/dump/*

# Refused.
cp /tmp/sysrq.cfg /tmp/duplicate.cfg
refuse "a name that is taken" "already exists" xl create /tmp/duplicate.cfg
config no-entry 'kernel = "/tests/no-entry.elf"'
refuse "a kernel without a PVH entry" "no loader\|not.*PVH\|unable to\|cannot build\|xc_dom" xl create /tmp/no-entry.cfg
config not-a-kernel 'kernel = "/etc/hosts"'
refuse "a kernel that is none" "no loader\|xc_dom\|cannot" xl create /tmp/not-a-kernel.cfg
head -c 3000000 /guests/vmlinux >/tmp/truncated
config truncated 'kernel = "/tmp/truncated"'
refuse "a truncated kernel" "xc_dom\|cannot\|fail" xl create /tmp/truncated.cfg
config no-kernel 'kernel = "/no/such/kernel"'
refuse "a kernel that is not there" "/no/such/kernel" xl create /tmp/no-kernel.cfg
config too-big 'memory = 900000'
refuse "more memory than there is" "memory" xl create /tmp/too-big.cfg
config too-small 'memory = 32'
refuse "too little memory for the kernel" "xc_dom\|memory\|cannot" xl create /tmp/too-small.cfg
config no-disk 'disk = [ "format=raw, vdev=xvda, access=rw, target=/guests/none.img" ]'
refuse "a disk that is not there" "none.img" xl create /tmp/no-disk.cfg
config no-bridge 'vif = [ "bridge=none0" ]'
refuse "a bridge that is not there" "none0\|hotplug\|vif" xl create /tmp/no-bridge.cfg
refuse "a domain that is not there" "nobody" xl destroy nobody
refuse "a vCPU that is not there" "." xl vcpu-pin sysrq 7 0
refuse "a weight that is none" "." xl sched-credit2 -d sysrq -w 100000

check "sysrq: still answers" within 5 type_line sysrq 'echo "st""ill here"'
check "sysrq: and on its console" within 10 says sysrq 'still here'
check "sysrq: xl destroy" xl destroy sysrq
gone sysrq
memory_is_back() { [ "$(free_memory)" -ge $((before - 1)) ]; }
check "memory is back" within 20 memory_is_back
check "no domain is left" test "$(xl list | wc -l)" = 2
exit 0
