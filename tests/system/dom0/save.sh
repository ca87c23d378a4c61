# Saving and migrating that fail, and the way back from a suspension: the guest goes on, with all that it had.
. /tests/lib.sh

before=$(free_memory)
check "debian: created" xl create /etc/xen/debian.cfg
check "debian: shell" within 90 says debian 'root@debian'
type_line debian 'echo "be""fore" >/kept; sync; dmesg -n 1'

# The guest is alive: its console, both its CPUs, its disk past the cache, its timers, and the network.
turn=0
guest_lives()
{
	turn=$((turn + 1))
	type_line debian "for c in 0 1; do taskset -c \$c sleep 0.2 && echo \"cpu\$c turn $turn\"; done; echo 3 >/proc/sys/vm/drop_caches"
	check "$1: both CPUs run, and their timers" within 30 says debian "cpu1 turn $turn"
	type_line debian "echo $turn >/kept-$turn; sync; echo \"di\"\"sk $turn: \$(cat /kept) \$(cat /kept-$turn)\""
	check "$1: the disk is read and written" within 30 says debian "disk $turn: before $turn"
	check "$1: and the network is there" ping -c 1 -W 5 "$address"
	type_line debian "echo \"da\"\"te $turn: \$(date +%s).\""
	check "$1: it says what time it is" within 10 says debian "date $turn: "
	ours=$(date +%s) theirs=$(said debian | sed -n "s/.*date $turn: \([0-9]*\)\..*/\1/p" | tail -n 1)
	check "$1: and that is right" test $((ours - theirs)) -le 15 -a $((theirs - ours)) -le 2
}
type_line debian 'echo "add""ress $(ip -br -4 addr show dev eth0)."'
check "debian: has an address" within 30 says debian 'address eth0 .* [1-9][0-9.]*/'
address=$(said debian | sed -n 's,.*address eth0 [^0-9]*\([0-9.]*\)/.*,\1,p' | tail -n 1)

# The monitor is xl's process that cleans up behind the guest.
monitors() { processes 'xl create /etc/xen/debian.cfg' | grep -c .; }
check "xl watches it" test "$(monitors)" = 1

refuse "xl save: fails, and says so" "Failed to save domain" xl save debian /tmp/saved
check "xl save: the log explains" sh -c 'xl dmesg | grep -q "Saving and migrating a guest are not supported"'
guest_lives "after xl save"
refuse "xl save -c: fails" "Failed to save domain" xl save -c debian /tmp/saved
guest_lives "after xl save -c"
refuse "xl migrate to a host that isn't there: fails" "banner\|Migration" xl migrate -s false debian nowhere
refuse "xl migrate to this host: fails" "Migration failed" xl migrate -s '' debian 'xl migrate-receive'
guest_lives "after xl migrate"
# The receiver in stock xl 4.17 falls over a stream that ends before it has begun (SIGSEGV), and leaves the empty guest that it had made.
xl destroy debian--incoming 2>/dev/null
alone() { xl list; [ "$(xl list | wc -l)" = 3 ]; }
check "xl migrate: no other guest is left of it" within 30 alone
check "xl still watches it" test "$(monitors)" = 1

# Suspended in earnest, as the first step of a save would; the way back is then all that fails of the rest.
suspend()
{
	xenstore-write "/local/domain/$(xl domid debian)/control/shutdown" suspend
	within 30 has_state debian s
}
for round in 1 2; do
	check "suspension $round" suspend
	refuse "suspension $round: a save fails" "Failed to save domain" xl save debian /tmp/saved
	check "suspension $round: is over" not has_state debian s
	guest_lives "after suspension $round"
done
complaints() { said debian | grep -aE 'BUG|Oops|WARNING|Call Trace|I/O error|soft lockup'; }
check "debian: its kernel has no complaint" not complaints
check "debian: xl destroy" xl destroy debian
rm -f /tmp/saved

# Debian's own script for guests at a shutdown of the machine, with Debian's own settings: it saves, and shuts down what can't be saved.
tar -xzf /tests/xendomains.tar.gz -C /
ldconfig 2>/dev/null
check "xendomains: saves by default" grep -q '^XENDOMAINS_SAVE=/var' /etc/default/xendomains
xl create /etc/xen/small.cfg
check "small: is up" within 90 says small 'guest: up'
stop_all() { bash /etc/init.d/xendomains stop </dev/null >/tmp/xendomains.out 2>&1; }
start=$(now)
check "xendomains stop" stop_all
sed 's/^/# /' /tmp/xendomains.out
echo "# it took $(($(now) - start)) s"
check "xendomains stop: tried to save" grep -q 'Saving Xen domain small' /tmp/xendomains.out
check "xendomains stop: the guest has shut down by itself" says small 'reboot: \(Power down\|System halted\)'
check "xendomains stop: and is gone" not exists small
check "xendomains stop: without waiting for its time limit" test $(($(now) - start)) -lt 250
memory_is_back() { [ "$(free_memory)" -ge $((before - 1)) ]; }
check "memory is back" within 20 memory_is_back
exit 0
