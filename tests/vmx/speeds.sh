# For both machines: the disk that they share, and whether the guest's two clocks agree.
. /tests/lib.sh
disk=$(for b in /sys/block/sd*; do [ "$(cat "$b/size")" != $((1008 * 520)) ] || echo "/dev/${b##*/}"; done)

# The fields of the guest's last line: what its TSC's rate is said to be, what it is, and how far its clocks have come.
last_line() { said small | tr -d '\r' | sed -n 's/^rate [0-9]*: told \([0-9]*\) is \([0-9.]*\) kHz, since the start \([0-9.]*\) ms by the TSC and \([0-9.]*\) .*/\1 \2 \3 \4/p' | tail -n 1; }
said_more() { [ "$(said small | grep -ac '^rate')" -ge $1 ]; }
# differ A B MOST: true if they differ by no more.
differ() { awk "BEGIN { d = $1 - ($2); exit !(d <= ($3) && -d <= ($3)) }"; }

# restore FILE: the guest goes on from there. Its kernel's clock leaves out the time from the load of its registers to its first
# instruction, which is a part of what xl takes; its TSC doesn't.
left_out=0
restore()
{
	start=$(now)
	check "speeds: xl restore" xl restore "$1"
	left_out=$((left_out + ($(now) - start + 1) * 1000))
}

# agrees WHEN KHZ: the guest says the rate of its first machine, and its TSC has that rate and has not jumped.
agrees()
{
	check "$1: the guest goes on" within 60 said_more $(($(said small | grep -ac '^rate') + 3))
	set -- "$1" "$2" $(last_line)
	echo "# $1: told $3 kHz, measured $4; since its start $5 ms by the TSC, $6 ms by the clock"
	check "$1: it is told the rate of its first machine" differ "${3:-0}" "$2" 25
	check "$1: its TSC has that rate" differ "${4:-0}" "${3:-0}" 10
	check "$1: TSC and clock have come as far, except for $left_out ms at most" differ "${5:-0}" "${6:-9999999} + $left_out / 2" "$left_out / 2 + 200"
	type_line small 'echo "date: $(date +%s)." "source: $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"'
	check "$1: its date is right" within 20 date_is_right
	check "$1: its clock is Xen's" says small 'source: xen'
}
date_is_right() { differ "$(said small | tr -d '\r' | sed -n 's/^date: \([0-9]*\)\. .*/\1/p' | tail -n 1)" "$(date +%s)" 30; }
