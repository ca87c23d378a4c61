# Memory that domains give up and have back.
. /tests/lib.sh

has_memory() { [ "$(xl list "$1" | tail -n 1 | awk '{ print $3 }')" = "$2" ]; }

# The service domain gives 123 MiB up and wants them back, ten times. Each time others take and free frames meanwhile.
cat >/tmp/tiny.cfg <<'END'
name = "tiny"
type = "pvh"
memory = 16
vcpus = 2
kernel = "/tests/halt.elf"
END
full=$(xl list 0 | tail -n 1 | awk '{ print $3 }')
less=$((full - 123))
before=$(free_memory)
round()
{
	xl mem-set 0 "${less}m" && within 30 has_memory 0 $less && xl create -qep /tmp/tiny.cfg &&
		xl mem-set 0 "${full}m" && within 30 has_memory 0 "$full" && xl destroy tiny
}
n=0
while [ $n -lt 10 ] && round >/tmp/round.out 2>&1; do
	n=$((n + 1))
done
check "the service domain: down and up ten times" test $n = 10 || { sed 's/^/# /' /tmp/round.out; xl list | sed 's/^/# /'; }
check "the service domain: free memory is as before" within 10 sh -c "test \$(xl info free_memory) -ge $((before - 1))"
exit 0
