# Saving, restoring and migrating guests; what can't be restored, and Debian's own script at a shutdown, which begins by saving.
. /tests/lib.sh

before=$(free_memory)
check "debian: created" xl create /etc/xen/debian.cfg
check "debian: shell" within 90 says debian 'root@debian'
type_line debian 'echo "be""fore" >/kept; sync; dmesg -n 1; i=0; while sleep 1; do i=$((i + 1)); echo $i >/dev/shm/count; done &'

# The hypervisor's command line says what guests don't see, and names something that no CPU has.
check "cpuid=: the log names what is no feature" sh -c 'xl dmesg | grep -q "cpuid=: \"-avx3\" is ignored"'
check "cpuid=: this machine has what guests don't see" grep -qw rdrand /proc/cpuinfo
type_line debian 'echo "rd""rand $(grep -cw rdrand /proc/cpuinfo), fxsr $(grep -cw fxsr /proc/cpuinfo)."'
check "cpuid=: the guest doesn't see it, but all the rest" within 10 says debian 'rdrand 0, fxsr 2\.'

# The guest is alive: its console, both its CPUs, its disk past the cache, its timers, and the network.
turn=0
guest=debian
guest_lives()
{
	turn=$((turn + 1))
	type_line debian "for c in 0 1; do taskset -c \$c sleep 0.2 && echo \"cpu\$c turn $turn\"; done; echo 3 >/proc/sys/vm/drop_caches"
	check "$1: both CPUs run, and their timers" within 30 says $guest "cpu1 turn $turn"
	type_line debian "echo $turn >/kept-$turn; sync; echo \"di\"\"sk $turn: \$(cat /kept) \$(cat /kept-$turn)\""
	check "$1: the disk is read and written" within 30 says $guest "disk $turn: before $turn"
	check "$1: and the network is there" within 10 ping -c 1 -W 5 "$address"
	type_line debian "echo \"da\"\"te $turn: \$(date +%s). \$(cat /dev/shm/count)\""
	check "$1: it says what time it is" within 10 says $guest "date $turn: "
	ours=$(date +%s) theirs=$(said $guest | sed -n "s/.*date $turn: \([0-9]*\)\..*/\1/p" | tail -n 1)
	check "$1: and that is right" test $((ours - theirs)) -le 15 -a $((theirs - ours)) -le 2
	count=$(said $guest | sed -n "s/.*date $turn: [0-9]*\. \([0-9]*\).*/\1/p" | tail -n 1)
	check "$1: its processes went on" test "$count" -gt "${counted:-0}"
	counted=$count
}
type_line debian 'echo "add""ress $(ip -br -4 addr show dev eth0)."'
check "debian: has an address" within 30 says debian 'address eth0 .* [1-9][0-9.]*/'
address=$(said debian | sed -n 's,.*address eth0 [^0-9]*\([0-9.]*\)/.*,\1,p' | tail -n 1)
guest_lives "at first"

check "xl save -c" xl save -c debian /tmp/saved
check "xl save -c: goes on" not has_state debian s
guest_lives "after xl save -c"
check "xl save -p" xl save -p debian /tmp/saved
check "xl save -p: is paused" has_state debian p
check "xl unpause" xl unpause debian
guest_lives "after xl save -p"
check "xl save" xl save debian /tmp/saved
check "xl save: it is gone" not exists debian
memory_is_back() { [ "$(free_memory)" -ge $((before - 1)) ]; }
check "xl save: memory is back" within 20 memory_is_back
size=$(stat -c %s /tmp/saved)
echo "# the file has $size bytes"
check "xl save: frames of zeros aren't in the file" test "$size" -lt 200000000

# What is not a saved guest. xl can't read some of it, the hypervisor refuses the rest; nothing is left of it.
bad_file()
{
	refuse "xl restore: $1" "$2" xl restore /tmp/bad
	check "xl restore: $1: memory is back" within 20 memory_is_back
	check "xl restore: $1: no guest is left" test "$(xl list | wc -l)" = 2
}
head -c 3000000 /tmp/saved >/tmp/bad
bad_file "a file that is cut off" "Failed to read\|failed"
head -c 100000 /dev/urandom >/tmp/bad
bad_file "a foreign file" "wrong\|magic\|save file"
# The version in the header of the vCPUs' state, behind its magic number (little-endian 0x54381286), in the file's last MiB.
head=$(($(stat -c %s /tmp/saved) - 1048576))
at=$(tail -c 1048576 /tmp/saved | od -An -v -tx1 -w1 | tr -d ' \n' | sed 's/86123854.*//' | wc -c)
cp /tmp/saved /tmp/bad
printf '\377' | dd of=/tmp/bad bs=1 seek=$((head + at / 2 + 4)) conv=notrunc 2>/dev/null
bad_file "a state of another version" "HVM\|failed"
check "xl restore: the log says which record" sh -c 'xl dmesg | grep -q "restore: record 1 of "'
rm -f /tmp/bad

check "xl restore" xl restore /tmp/saved
rm -f /tmp/saved
guest_lives "after xl restore"

# Live, on this machine, under load: each side has a loop device of its own for the disk. The log of the console keeps the incoming guest's name.
type_line debian 'while :; do dd if=/dev/zero of=/dev/shm/load bs=1M count=8; done 2>/dev/null &'
type_line debian 'while :; do dd if=/kept of=/kept.load conv=fsync; done 2>/dev/null & disk=$!; echo "lo""ad $disk."'
check "debian: load" within 10 says debian 'load [0-9]*\.'
migrate() { xl migrate "$@" -s '' debian 'xl migrate-receive' >/tmp/migrate.out 2>&1; }
start=$(now)
check "xl migrate" migrate
echo "# it took $(($(now) - start)) s"
tr '\r' '\n' </tmp/migrate.out | grep -a 'iteration\|dirt' | tail -n 8 | sed 's/^/# /'
guest=debian--incoming
guest_lives "after xl migrate"
# --debug compares all frames once more, after the last ones were sent. A back end may still answer a request at that time, and writes to its ring.
# No guest minds, because it makes new rings; but xl names these frames. So the memory is under load here, and the devices are not.
type_line debian 'kill $disk; wait $disk; sync; echo "qui""et $disk."'
check "debian: its disk is quiet" within 30 says $guest 'quiet [0-9]*\.'
check "debian: its network is quiet" ip link set "vif$(xl domid debian).0" down
check "xl migrate --debug" migrate --debug
check "xl migrate --debug: what arrived is what was sent" not grep -a 'verify pfn' /tmp/migrate.out
guest_lives "after xl migrate --debug"
refuse "xl migrate to a host that isn't there" "banner\|Migration" xl migrate -s false debian nowhere
guest_lives "after that"

check "debian: its kernel has no complaint" not sh -c 'cat /var/log/xen/console/guest-debian*.log | grep -aE "BUG|Oops|WARNING|Call Trace|I/O error|soft lockup"'
check "debian: xl destroy" xl destroy debian
rm -f /tmp/saved
check "debian: memory is back" within 20 memory_is_back

# Debian's own script for guests at a shutdown of the machine, with Debian's own settings.
tar -xzf /tests/xendomains.tar.gz -C /
ldconfig 2>/dev/null
check "xendomains: saves by default" grep -q '^XENDOMAINS_SAVE=/var' /etc/default/xendomains
xl create /etc/xen/small.cfg
check "small: is up" within 90 says small 'guest: up'
mkdir -p /var/lib/xen/save
check "xendomains stop" bash /etc/init.d/xendomains stop </dev/null
check "xendomains stop: it is saved" test -s /var/lib/xen/save/small
check "xendomains stop: and is gone" not exists small
rm -f /var/lib/xen/save/small
check "memory is back" within 20 memory_is_back
exit 0
