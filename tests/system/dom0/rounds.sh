# Rounds of creating and destroying a guest, which must leave the memory as it was.
. /tests/lib.sh

cat >/tmp/tiny.cfg <<'END'
name = "tiny"
type = "pvh"
memory = 16
vcpus = 2
kernel = "/tests/halt.elf"
END
# What the first round leaves behind for good is not counted.
# Without -e a second xl stays behind for each guest, to wait for its end.
round() { xl create -qep /tmp/tiny.cfg && xl destroy tiny; }
check "rounds: the first" round
# A guest's last frames go when it is gone from the list.
settled() { a=$(free_memory); sleep 1; [ "$a" = "$(free_memory)" ]; }
within 30 settled
pages() { xl info free_memory; awk '/^MemAvailable/ { print $2 }' /proc/meminfo; }
set -- $(pages)
n=0
start=$(now)
while [ $n -lt "$ROUNDS" ]; do
	round >/tmp/round.out 2>&1 || { echo "not ok rounds: round $n"; sed 's/^/# /' /tmp/round.out; break; }
	n=$((n + 1))
done
echo "# $n rounds in $(($(now) - start)) s"
check "rounds: all $ROUNDS" test "$n" = "$ROUNDS"
within 30 settled
set -- "$@" $(pages)
echo "# free memory (MiB) $1, then $3; the service domain's (KiB) $2, then $4"
check "rounds: the machine's memory is as before" test "$3" -ge "$1"
check "rounds: the service domain's memory is about as before" test "$4" -ge $(($2 - 24576))
exit 0
