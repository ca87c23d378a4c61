# Root of the service domain makes a device write messages of interrupts: every vector, by each delivery mode that a device can name.
. /tests/lib.sh

# Each CPU takes its timer's interrupts, and the kicks that a guest's end needs.
alive() { taskset -c 0 sleep 0.2 && taskset -c 1 sleep 0.2 && xl vcpu-list >/dev/null; }

check "all is well before" alive
for mode in 0 1 3 4 7; do
	check "delivery mode $mode: sent" timeout 60 /tests/forge messages $mode
	check "delivery mode $mode: both CPUs go on" within 60 alive
done
config after
check "a guest starts after it" xl create /tmp/after.cfg
check "and comes up" within 60 says after 'guest: up'
check "and is destroyed" xl destroy after
exit 0
