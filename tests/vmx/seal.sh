# On VMX, in Bochs: a sealed guest on a machine without an IOMMU (seal=soft). Root attacks an unsealed guest first, which shows that the attacks work there.
. /tests/lib.sh

attacks=19
mark() { lines=$(xl dmesg | wc -l); }
new_lines() { xl dmesg | tail -n "+$((lines + 1))"; }
digest() { new_lines | sed -n 's/.*sealed d.*: SHA-256 //p'; }
# shows LABELS: those of the guests in xl list -Z, by their names.
shows() { [ "$(xl list -Z | awk '$1 == "open" || $1 == "shut" || $1 == "label" { print $1, $NF }' | sort | tr '\n' ' ')" = "$1 " ]; }
# attacked NAME ANSWER: so all of pry's attacks are answered.
attacked()
{
	timeout 300 /tests/pry all "$(xl domid "$1")" >"/tmp/$1.attacks"
	sed "s/^/# $1: /" "/tmp/$1.attacks"
	[ "$(grep -c ": $2" "/tmp/$1.attacks")" = $attacks ]
}
runs() { not has_state "$1" '[pscd]'; }

for name in open shut; do
	printf '%s\n' "name = \"$name\"" 'type = "pvh"' 'memory = 16' 'vcpus = 1' 'kernel = "/tests/spin.elf"' >/tmp/$name.cfg
done
echo 'seclabel = "sealed"' >>/tmp/shut.cfg
check "dom0: runs on VMX" grep -q GenuineIntel /proc/cpuinfo
check "open: created" xl create /tmp/open.cfg
attacked open "done" >/tmp/attacked
status=$?
cat /tmp/attacked
check "open: base line: all $attacks attacks are done" [ $status = 0 ]
mark
check "shut: created" xl create /tmp/shut.cfg
check "shut: the log has its digest" [ "$(digest | wc -c)" = 65 ]
check "shut: and it is the expected one" [ "$(/tests/bothy-seal --expect /tmp/shut.cfg)" = "$(digest)" ]
check "xl list -Z tells which is sealed" shows "open unsealed shut sealed"
mark
attacked shut "refused (Operation not permitted)" >/tmp/attacked
status=$?
cat /tmp/attacked
check "shut: all $attacks attacks are refused" [ $status = 0 ]
check "shut: each with a line that says so" [ "$(new_lines | grep -c 'refused: .*: it is sealed')" -ge $attacks ]
refuse "shut: xl dump-core" "not permitted" xl dump-core shut /tmp/core
check "shut: no core is written" [ ! -s /tmp/core ]
refuse "shut: xl save" "not permitted" xl save shut /tmp/saved
check "shut: goes on" runs shut
check "shut: xl destroy" xl destroy shut
xl destroy open

# --- a stock guest --------------------------------------------------------------------------------------------------------------

config label 'ramdisk = "/tests/attest.img"' 'seclabel = "sealed"'
mark
check "label: created" xl create /tmp/label.cfg
logged=$(digest)
check "label: comes up" within 90 says label 'guest: up'
ask label '/attest; echo "status $?"' | tr -s ' ' >/tmp/told
sed 's/^/# label: /' /tmp/told
told() { grep -qxF -- "$1" /tmp/told; }
check "label: is told that it is sealed" told "sealed yes"
check "label: and that devices reach it" told "DMA is remapped no"
check "label: so the program's status is 1" told "status 1"
check "label: is told the digest that the log has" told "SHA-256 $logged"
check "label: and it is the expected one" [ "$(/tests/bothy-seal --expect /tmp/label.cfg)" = "$logged" ]
check "xl list -Z shows it" shows "label sealed"
refuse "label: xl dump-core" "not permitted" xl dump-core label /tmp/core
check "label: goes on" ask label true
check "label: xl shutdown" timeout 200 xl shutdown -w label
check "label: is gone" within 20 not exists label
