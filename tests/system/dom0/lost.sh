# Saved guests' files with one bit turned over, a guest that ignores the request to suspend, and twenty moves.
. /tests/lib.sh

before=$(free_memory)
config small 'memory = 112'
check "the guest is created" xl create /tmp/small.cfg
# A guest with Xen's drivers that doesn't look at what the toolstack asks of it.
config deaf 'memory = 112' 'cmdline = "console=hvc0 quiet cryptomgr.notests norandmaps initcall_blacklist=xen_setup_shutdown_event"'
check "the deaf guest is created" xl create /tmp/deaf.cfg
check "the guest comes up" within 90 says small 'guest: up'
check "the deaf guest comes up" within 90 says deaf 'guest: up'
type_line small 'dmesg -n 1; head -c 1000000 /dev/urandom >/data; sha256sum /data >/sum; echo 0 >/count; i=0; while usleep 300000; do i=$((i + 1)); echo $i >/count; done &'

all_says() { cat "$consoles/guest-$1"*.log | grep -aq -- "$2"; }
turn=0 counted=-1
goes_on()
{
	turn=$((turn + 1))
	type_line small "s=\$(sha256sum -c /sum); echo \"turn $turn: \$s \$(cat /count).\""
	check "$1: the guest goes on, its memory is right" within 10 all_says small "^turn $turn: /data: OK [0-9]*\."
	count=$(cat $consoles/guest-small*.log | sed -n "s,^turn $turn: /data: OK \([0-9]*\)\..*,\1,p")
	check "$1: it goes on where it was" test "${count:--1}" -gt $counted
	counted=${count:-$counted}
}
goes_on "at first"

# xl waits for a minute, and the rest goes on meanwhile.
(xl save deaf /tmp/saved-deaf >/tmp/deaf.out 2>&1; echo "status $?" >>/tmp/deaf.out) &
deaf=$!

check "xl save" xl save small /tmp/saved
saved=$(free_memory)
parts=$(/tests/flip /tmp/saved)
echo "$parts" | sed 's/^/# /' | head -n 20
saved_is_whole() { [ "$(free_memory)" = "$saved" ]; }
# flipped NAME BYTE TEXT: in the first part NAME.
flipped()
{
	cp /tmp/saved /tmp/bad
	/tests/flip /tmp/bad "$(echo "$parts" | awk -v n="$1" '$3 == n { print $1; exit }')" "$2"
	check "$1, byte $2: it was turned over" not cmp -s /tmp/saved /tmp/bad
	refuse "$1, byte $2: xl restore" "$3" xl restore /tmp/bad
	check "$1, byte $2: no guest is left" not exists small
	check "$1, byte $2: memory is back" within 20 saved_is_whole
}
flipped xl.0 0 "wrong magic number"
flipped image.0 0 "Invalid marker"                  # the head of libxc's stream
flipped domain.0 0 "Unable to restore"              # another kind of guest
flipped libxc.11 20 "Failed to set CPUID policy"    # another vendor of CPU
flipped libxc.1 8 "PAGE_DATA record wrong size"     # as if it had another number of frames
flipped libxc.9 4 "record wrong size"               # the length of the machine's state
flipped libxc.9 16 "Unable to restore HVM context"  # its magic number
flipped libxc.a 0 "not handled"                    # another record in place of the parameters

# 4.17's xl itself crashes when the head of libxl's stream is wrong, and leaves an empty guest behind.
cp /tmp/saved /tmp/bad
/tests/flip /tmp/bad "$(echo "$parts" | awk '$3 == "libxl.0" { print $1; exit }')" 0
refuse "libxl.0, byte 0: xl restore" "Invalid ident" xl restore /tmp/bad
echo "# a guest is left: $(xl list | tail -n +3 | grep small)"
xl destroy small >/dev/null 2>&1
check "libxl.0, byte 0: no guest is left when that is destroyed" not exists small
check "libxl.0, byte 0: memory is back" within 20 saved_is_whole
rm /tmp/bad
check "xl restore" xl restore /tmp/saved
rm /tmp/saved
goes_on "the file as it was"

wait $deaf
cat /tmp/deaf.out | sed 's/^/# /'
check "the deaf guest: xl save says so" grep -q "didn't acknowledge suspend, cancelling request" /tmp/deaf.out
check "the deaf guest: xl save fails" grep -q "status 1" /tmp/deaf.out
type_line deaf 'echo "de""af"'
check "the deaf guest goes on" within 10 says deaf '^deaf'
check "the deaf guest is destroyed" xl destroy deaf

with=$(free_memory)
move=0 failed=0 lost=0
while [ $((move += 1)) -le 20 ]; do
	xl migrate -s '' small 'xl migrate-receive' >/tmp/out 2>&1 || failed=$((failed + 1))
	free=$(free_memory)
	[ "$free" -ge $((with - 1)) ] || { sleep 2; free=$(free_memory); [ "$free" -ge $((with - 1)) ] || lost=$((lost + 1)); }
	echo "# move $move: free $free at $(now)"
done
check "twenty moves: none failed" test $failed = 0
check "twenty moves: free memory is where it was after each" test $lost = 0
goes_on "twenty moves"
check "the guest's kernel has no complaint" not sh -c "grep -aE 'BUG|Oops|WARNING|Call Trace' $consoles/guest-small*.log"
check "the guest is destroyed" xl destroy small
memory_is_back() { [ "$(free_memory)" = "$before" ]; }
check "the memory is back" within 20 memory_is_back
exit 0
