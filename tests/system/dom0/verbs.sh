# A guest without a disk, of as many CPUs as /tests/settings says, is saved, restored and moved: all that xl has for this.
. /tests/lib.sh
. /tests/settings

# Is it alive: each CPU and its timer, what it has in memory, its processes, and its clock.
goes_on()
{
	turn=$((turn + 1))
	type_line small "n=0; for c in \$cpus; do taskset \$c usleep 1000 && n=\$((n + 1)); done; s=\$(sha256sum -c /sum)"
	type_line small "echo \"turn $turn: \$n \$s \$(cat /count)\" \"\$(date +%s).\""
	check "$vcpus CPUs: $1: goes on, with each CPU and its memory" within 30 says "$guest" "^turn $turn: $vcpus /data: OK [0-9]* [0-9]*\."
	ours=$(date +%s)
	set -- "$1" $(said "$guest" | sed -n "s,^turn $turn: [0-9]* /data: OK \([0-9]*\) \([0-9]*\)\..*,\1 \2,p")
	check "$vcpus CPUs: $1: its processes go on where they were" test "${2:--1}" -gt $counted
	check "$vcpus CPUs: $1: its clock is right" test $((ours - ${3:-0})) -le 30 -a $((${3:-0} - ours)) -le 2
	counted=${2:-$counted}
}
whole() { [ "$(free_memory)" -ge $((before - 1)) ]; }

all_verbs()
{
	vcpus=$1 guest=small turn=0 counted=-1 before=$(free_memory)
	rm -f "$consoles"/guest-small*.log
	config small "vcpus = $vcpus" "memory = $((100 + 12 * vcpus))" ${KERNEL:+"kernel = \"$KERNEL\""} ${RAMDISK:+"ramdisk = \"$RAMDISK\""}
	check "$vcpus CPUs: created" xl create /tmp/small.cfg
	check "$vcpus CPUs: comes up" within 90 says small "guest: up .* $vcpus CPU"
	type_line small 'dmesg -n 1; cpus= m=1; for c in /sys/bus/cpu/devices/*; do cpus="$cpus $(printf %x $m)"; m=$((m * 2)); done'
	type_line small 'head -c 1000000 /dev/urandom >/data; sha256sum /data >/sum; echo 0 >/count; i=0; while usleep 200000; do i=$((i + 1)); echo $i >/count; done &'
	sleep 1
	goes_on "at first"
	check "$vcpus CPUs: xl save -c" xl save -c small /tmp/saved
	goes_on "after xl save -c"
	check "$vcpus CPUs: xl save -p" xl save -p small /tmp/saved
	check "$vcpus CPUs: xl save -p: is paused" has_state small p
	check "$vcpus CPUs: xl unpause" xl unpause small
	goes_on "after xl save -p"
	check "$vcpus CPUs: xl save" xl save small /tmp/saved
	check "$vcpus CPUs: xl save: it is gone" not exists small
	check "$vcpus CPUs: xl save: the memory is back" within 10 whole
	check "$vcpus CPUs: xl restore" xl restore /tmp/saved
	rm -f /tmp/saved
	goes_on "after xl restore"
	start=$(now)
	check "$vcpus CPUs: xl migrate" xl migrate -s '' small 'xl migrate-receive'
	echo "# it took $(($(now) - start)) s"
	guest=small--incoming
	goes_on "after xl migrate"
	check "$vcpus CPUs: its kernel has no complaint" not sh -c "grep -aE 'BUG|Oops|WARNING|Call Trace' $consoles/guest-small*.log"
	check "$vcpus CPUs: xl shutdown" timeout 60 xl shutdown -w small
	check "$vcpus CPUs: is gone" within 20 not exists small
	check "$vcpus CPUs: the memory is back" within 10 whole
}
echo "# toolstack $(info xen_major).$(info xen_minor), Linux $(uname -r)"
for n in $VCPUS; do
	all_verbs "$n"
done
exit 0
