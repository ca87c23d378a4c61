# Migrations that end in the middle of something, and saves that can't be: the guest runs exactly once, its memory is right, and none is lost.
# Stands in place of a network: /tests/cut (cut.c).
. /tests/lib.sh
. /tests/settings

before=$(free_memory)
echo "# toolstack $(info xen_major).$(info xen_minor), Linux $(uname -r)"
config small 'memory = 112' ${KERNEL:+"kernel = \"$KERNEL\""} ${RAMDISK:+"ramdisk = \"$RAMDISK\""}
check "the guest is created" xl create /tmp/small.cfg
check "the guest comes up" within 90 says small 'guest: up'
with=$(free_memory)
type_line small 'dmesg -n 1; head -c 1000000 /dev/urandom >/data; sha256sum /data >/sum; echo 0 >/count; i=0; while usleep 300000; do i=$((i + 1)); echo $i >/count; done &'

# All guests and, behind a slash, p if paused, s if suspended: "small small--incoming/p".
guests() { xl list | awk 'NR > 2 { s = $5; gsub(/[-rb]/, "", s); sub(/ss/, "s", s); print $1 (s == "" ? "" : "/" s) }' | sort | paste -sd ' ' -; }
left() { [ "$(guests)" = "$1" ]; }
# Each migration leaves smaller pages behind, whose tables take less than 1 MiB.
memory_is_right() { [ "$(free_memory)" -ge $((with - 1)) ] && [ "$(free_memory)" -le "$with" ]; }
all_says() { cat $consoles/guest-small*.log | grep -aq -- "$1"; }
turn=0 counted=-1
goes_on()
{
	turn=$((turn + 1))
	type_line small "s=\$(sha256sum -c /sum); echo \"turn $turn: \$s \$(cat /count).\""
	check "$1: the guest goes on, its memory is right" within 10 all_says "^turn $turn: /data: OK [0-9]*\."
	count=$(cat $consoles/guest-small*.log | sed -n "s,^turn $turn: /data: OK \([0-9]*\)\..*,\1,p")
	check "$1: it goes on where it was" test "${count:--1}" -gt $counted
	counted=${count:-$counted}
	check "$1: free memory" within 10 memory_is_right
}

# What docs/service-domain.md tells the operator to do.
resume()
{
	if xl help 2>&1 | grep -q '^ resume '; then
		xl resume "$1"
		return
	fi
	xl save -c "$1" /dev/null &
	saving=$!
	node=/local/domain/$(xl domid "$1")/control/shutdown
	until [ "$(xenstore-read "$node")" = suspend ]; do sleep 0.2; done
	xenstore-write "$node" ""
	wait $saving
}
recover()
{
	if exists small--incoming; then
		xl destroy small--incoming
	fi
	if exists small--migratedaway && exists small; then
		xl destroy small--migratedaway
	elif exists small--migratedaway; then
		xl rename small--migratedaway small
		resume small
	elif has_state small s; then
		resume small
	fi
}

# cell STEP ACTION LEFT TEXT: a migration that ends so leaves these guests. Who is told says TEXT.
cell()
{
	xl migrate -s '' small "exec /tests/cut $1 $2 xl migrate-receive" >/tmp/out 2>&1 </dev/null
	status=$?
	check "$1, $2: xl fails" test $status != 0
	check "$1, $2: it was done" grep -aq "^cut: $1: $2" /tmp/out
	check "$1, $2: it says why" within 10 grep -aq -- "$4" /tmp/out || tr '\r' '\n' </tmp/out | grep -av '%' | sed 's/^/# /'
	check "$1, $2: what is left" within 10 left "$3" || echo "# there are: $(guests)"
	recover >/tmp/out 2>&1
	check "$1, $2: it runs once" within 10 left small || sed 's/^/# /' /tmp/out
	goes_on "$1, $2"
}
script()
{
	cat >"/tests/$1"
	chmod +x "/tests/$1"
}
script xenstored <<-'END'
	#!/bin/sh
	kill -STOP "$(pidof xenstored)"
	(sleep 8; kill -CONT "$(pidof xenstored)") >/dev/null 2>&1 &
END
# silent STEP: xenstored doesn't answer for a while from this step on. The migration waits for it.
silent()
{
	xl migrate -s '' small "exec /tests/cut $1 /tests/xenstored xl migrate-receive" >/tmp/out 2>&1 </dev/null
	status=$?
	check "$1, xenstored: the migration succeeds" test $status = 0 || tr '\r' '\n' </tmp/out | grep -av '%' | sed 's/^/# /'
	check "$1, xenstored: it was silent" grep -aq "^cut: $1: /tests/xenstored" /tmp/out
	check "$1, xenstored: the guest runs once" within 10 left small || echo "# there are: $(guests)"
	goes_on "$1, xenstored"
}
goes_on "at first"
resuming="Migration failed, resuming at sender"
undefined="Migration failed during final handshake"
while read -r step action left text; do
	case " $CELLS " in
	*" $step-$action "*) cell "$step" "$action" "$(echo "$left" | tr , ' ')" "$text" ;;
	esac
done <<END
banner target small banner
banner source small banner
banner wire   small banner
middle target small,small--incoming/p $resuming
middle source small migration target: Domain creation failed
middle wire   small $resuming
ready  target small,small--incoming/p $resuming
ready  source small--incoming/p,small/s truncated reading GO message
ready  wire   small,small--incoming/p $resuming
go     target small--incoming/p,small--migratedaway/s $undefined
go     source small--incoming/p,small--migratedaway/s truncated reading GO message
go     wire   small--incoming/p,small--migratedaway/s $undefined
report target small,small--migratedaway/s $undefined
report source small,small--migratedaway/s migration target: Domain started
report wire   small,small--migratedaway/s $undefined
END
for step in banner middle ready go report; do
	case " $CELLS " in
	*" $step-xenstored "*) silent $step ;;
	esac
done

# A migration in whose middle COMMAND happens.
during() { xl migrate -s '' small "exec /tests/cut middle $1 xl migrate-receive" >/tmp/out 2>&1; }
# What else can happen to a migration, or to a save.
others()
{
	script second <<-'END'
		#!/bin/sh
		exec xl migrate -s '' small 'xl migrate-receive' >/tmp/second 2>&1
	END
	during /tests/second
	check "a second migration meanwhile: it fails, because there is a copy" grep -aq "already exists" /tmp/second
	check "a second migration meanwhile: the first doesn't go on with the other's log" sh -c 'xl dmesg | grep -q "another migration began"'
	check "a second migration meanwhile: and says so" grep -aq "Migration failed" /tmp/out
	check "a second migration meanwhile: the guest runs once" within 10 left small
	goes_on "a second migration meanwhile"

	script fill <<-'END'
		#!/bin/sh
		PATH=/usr/sbin:$PATH
		sed "s/^name .*/name = \"filler\"/; s/^memory .*/memory = $(($(xl info free_memory) * 97 / 100 - 24))/; /^vif/d" /tmp/small.cfg >/tmp/filler.cfg
		xl create -p /tmp/filler.cfg
	END
	check "memory gets short at the target: xl fails" not during /tests/fill
	check "memory gets short at the target: it says why" grep -aq "Failed to populate" /tmp/out
	check "memory gets short at the target: what is left" within 10 left "filler/p small"
	xl destroy filler
	goes_on "memory got short at the target"

	mount -t tmpfs -o size=16m none /mnt
	refuse "xl save to a full disk" "No space left on device" xl save small /mnt/saved
	umount /mnt
	goes_on "xl save to a full disk"
}
[ -z "$OTHERS" ] || others

check "the guest's kernel has no complaint" not sh -c "grep -aE 'BUG|Oops|WARNING|Call Trace' $consoles/guest-small*.log"
check "the guest is destroyed" xl destroy small
memory_is_back() { [ "$(free_memory)" = "$before" ]; }
check "the memory is back" within 20 memory_is_back
exit 0
