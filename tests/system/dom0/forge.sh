# Root of the service domain makes a device write messages of interrupts: every vector but Linux's system call, by each delivery mode that a device can name.
. /tests/lib.sh

# Each CPU takes its timer's interrupts, and the kicks that a guest's end needs.
alive() { taskset -c 0 sleep 0.2 && taskset -c 1 sleep 0.2 && xl vcpu-list >/dev/null; }

check "all is well before" alive
# The local APIC's registers, of which this is the version; and the address that an interrupt for CPU 1 is written to.
faults() { /tests/forge touch "$1"; [ $? = 3 ]; }
check "the CPU's interrupt controller is out of reach" faults 0xfee00030
check "so is sending messages with the CPU" faults 0xfee01000
for mode in 0 1 3 4 7; do
	check "delivery mode $mode: sent" timeout 60 /tests/forge messages $mode
	check "delivery mode $mode: both CPUs go on" within 60 alive
done
config after
check "a guest starts after it" xl create /tmp/after.cfg
check "and comes up" within 60 says after 'guest: up'
check "and is destroyed" xl destroy after
exit 0
