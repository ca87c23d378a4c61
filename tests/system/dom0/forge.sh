# Root of the service domain makes a device write messages of interrupts: every vector but Linux's system call, by each delivery mode that leaves
# QEMU's CPUs as they are. With interrupt remapping (intremap=yes) by all modes.
. /tests/lib.sh

remapped() { xl info xen_commandline | grep -q intremap=yes; }
# The serial port has no interrupts then. The console is the hypervisor's.
remapped && exec >/dev/hvc0 2>&1

cat >/tmp/spin.cfg <<'END'
name = "spin"
type = "pvh"
memory = 16
vcpus = 1
kernel = "/tests/spin.elf"
END
# Each CPU takes its timer's interrupts, and the kicks that a guest's end needs. A guest that never waits goes on getting its time.
used() { xl list spin | awk 'END { print $NF * 10 }'; }
guest_runs() { before=$(used); sleep 1; [ "$(used)" -gt "$before" ]; }
alive() { taskset -c 0 sleep 0.2 && taskset -c 1 sleep 0.2 && xl vcpu-list >/dev/null && guest_runs; }
# send WORDS...: and all goes on.
send()
{
	check "delivery mode $*: sent" timeout 60 /tests/forge messages "$@"
	check "delivery mode $*: both CPUs and a guest go on" within 60 alive
}

check "a guest starts" xl create /tmp/spin.cfg
check "all is well before" alive
# The local APIC's registers, of which this is the version; and the address that an interrupt for CPU 1 is written to.
faults() { /tests/forge touch "$1"; [ $? = 3 ]; }
check "the CPU's interrupt controller is out of reach" faults 0xfee00030
check "so is sending messages with the CPU" faults 0xfee01000
for mode in 0 1 3 4 6 7; do
	send $mode
done
if remapped; then
	send 2
	send 5
else
	# QEMU's firmware has prepared only the first CPU for an SMI.
	send 2 0
fi
check "the guest is destroyed" xl destroy spin
# Without interrupts from the disk there are no files for it.
if [ -e /guests/vmlinux ]; then
	config after
	check "a guest starts after it" xl create /tmp/after.cfg
	check "and comes up" within 60 says after 'guest: up'
	check "and is destroyed" xl destroy after
fi
if remapped; then
	echo "forge has ended"
	poweroff -f
fi
exit 0
