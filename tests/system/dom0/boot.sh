# A service domain that has just come up.
. /tests/lib.sh

cpus=$(grep -c '^processor' /proc/cpuinfo)
name="boot with $cpus CPUs"
domain0() { xl list | grep -q "^Domain-0 *0 .* $cpus *r"; }
memory_adds_up() { [ "$(free_memory)" -gt 0 ] && [ "$(free_memory)" -lt "$(info total_memory)" ]; }
own_address() { ip -br -4 addr show dev xenbr0 | grep -q ' [1-9]'; }
# The date goes on as the machine's time does, to the second.
clock_runs()
{
	a=$(date +%s) up=$(now)
	sleep 3
	went=$(($(date +%s) - a)) passed=$(($(now) - up))
	[ $went -ge 2 ] && [ $((went - passed)) -ge -1 ] && [ $((went - passed)) -le 1 ]
}
interrupts_everywhere() { awk '/hvc|nvme|xen|timer/ { for (i = 2; i <= n + 1; i++) s[i] += $i } NR == 1 { n = NF } END { for (i = 2; i <= n + 1; i++) if (!s[i]) exit 1 }' /proc/interrupts; }

[ ! -x /tests/process ] || /tests/process
xl info | sed 's/^/# /'
check "$name: xl list shows the service domain" domain0
check "$name: xl info counts the CPUs" test "$(info nr_cpus)" = "$cpus"
check "$name: xl info's memory adds up" memory_adds_up
check "$name: xl vcpu-list" xl vcpu-list
check "$name: xl dmesg" xl dmesg
check "$name: xl uptime" xl uptime
check "$name: xenstore" test "$(xenstore-read /local/domain/0/name)" = Domain-0
check "$name: xenconsoled" pidof xenconsoled
check "$name: the data disk is mounted" mountpoint -q /guests
check "$name: the bridge has an address" own_address
check "$name: the network answers" ping -c 1 -W 3 10.0.2.2
check "$name: the clock runs" clock_runs
check "$name: the date is right" test "$(date +%Y)" -ge 2025
check "$name: each CPU gets interrupts" interrupts_everywhere
kernel_complains() { dmesg -r | unexpected_warnings; }
on_bothy || exit 0
check "$name: its kernel has nothing to complain of" not kernel_complains
hypervisor_complains() { xl dmesg | grep -v 'colour=green' | grep -iE "refus|can't|cannot|fail|error|lost|dropped|unexpected|unknown| ended"; }
check "$name: nor has the hypervisor" not hypervisor_complains
xl_complains() { xl info -n 2>&1 | grep -iE 'error|fail'; }
check "$name: nor xl about the machine's topology" not xl_complains
exit 0
