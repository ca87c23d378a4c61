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

# A guest with less memory than it may have: it starts with all and gives back what is beyond, and goes up and down as it is told.
before=$(free_memory)
about() { m=$(xl list "$1" | tail -n 1 | awk '{ print $3 }') && [ "$m" -ge $(($2 - 1)) ] && [ "$m" -le $(($2 + 1)) ]; }
config balloon 'maxmem = 640'
check "maxmem: created" xl create -q /tmp/balloon.cfg || exit 0
check "maxmem: gives back what is beyond its memory" within 60 about balloon 160
check "maxmem: runs" within 60 says balloon 'built-in shell'
for size in 600 200 640 160 600 160; do
	xl mem-set balloon ${size}m
	check "maxmem: $size MiB" within 60 about balloon $size
done
check "maxmem: more is refused" not xl mem-set balloon 700m
type_line balloon 'echo "still he""re"'
check "maxmem: still runs" within 20 says balloon 'still here'
xl destroy balloon
check "maxmem: free memory is as before" within 20 sh -c "test \$(xl info free_memory) -ge $((before - 1))"

# More than there is: the log says what would fit, and nothing is lost.
config balloon "maxmem = $((before + 500))"
check "maxmem beyond free memory: refused" not xl create -q /tmp/balloon.cfg
fits() { xl dmesg | sed -n 's/.*refused: d[0-9]*: all of maxmem has to be free.*now up to maxmem=\([0-9]*\) fits.*/\1/p' | tail -n 1; }
check "maxmem beyond free memory: the log says what fits" test "$(fits)" -gt $((before - 100))
xl destroy balloon 2>/dev/null
check "maxmem beyond free memory: it is free again" within 20 sh -c "test \$(xl info free_memory) -ge $((before - 1))"
config balloon "maxmem = $(($(fits) - 8))"
check "maxmem: as much as the log says" xl create -qp /tmp/balloon.cfg
xl destroy balloon
exit 0
