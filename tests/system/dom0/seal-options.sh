# A stock guest without a label and one with the label "sealed", on the machine that /tests/machine tells of: whether PLAIN and LABEL are "sealed",
# "open" or "refused", WHY a refused one is, and whether DMA is remapped ("yes", "no").
. /tests/lib.sh
. /tests/machine

attacks=19
mark() { lines=$(xl dmesg | wc -l); }
new_lines() { xl dmesg | tail -n "+$((lines + 1))"; }
digest() { new_lines | sed -n 's/.*sealed d.*: SHA-256 //p'; }
shows() { [ "$(xl list -Z | awk -v name="$1" '$1 == name { print $NF }')" = "$2" ]; }
# told NAME LINE: the guest's CPU tells it so.
told() { tr -s ' ' <"/tmp/$1.told" | grep -qxF -- "$2"; }
attacked() { [ "$(grep -c ": $2" "/tmp/$1.attacks")" = $attacks ]; }

refused()
{
	mark
	refuse "$1: refused" "not supported" xl create "/tmp/$1.cfg"
	check "$1: and the log says why" grep -qF -- "$WHY" <<E
$(new_lines)
E
	check "$1: isn't there" not exists "$1"
}

# runs NAME: the guest asks its CPU; then it is attacked.
runs()
{
	mark
	check "$1: is created" xl create "/tmp/$1.cfg"
	logged=$(digest)
	check "$1: comes up" within 60 says "$1" 'guest: up'
	ask "$1" '/attest; echo "status $?"' >"/tmp/$1.told"
	timeout 60 /tests/pry all "$(xl domid "$1")" >"/tmp/$1.attacks"
	sed "s/^/# $1: /" "/tmp/$1.told" "/tmp/$1.attacks"
}

open()
{
	runs "$1"
	check "$1: the log has no digest" [ -z "$logged" ]
	check "$1: is told that it isn't sealed" told "$1" "sealed no"
	check "$1: is told of DMA" told "$1" "DMA is remapped $DMA"
	check "$1: so the program's status is 1" told "$1" "status 1"
	check "$1: xl list shows it" shows "$1" unsealed
	check "$1: base line: all $attacks attacks are done" attacked "$1" "done"
	xl destroy "$1"
}

sealed()
{
	runs "$1"
	check "$1: is told that it is sealed" told "$1" "sealed yes"
	check "$1: is told of DMA" told "$1" "DMA is remapped $DMA"
	status=0
	[ "$DMA" = yes ] || status=1
	check "$1: so the program's status is $status" told "$1" "status $status"
	check "$1: is told the digest that the log has" told "$1" "SHA-256 $logged"
	expected=$(/tests/bothy-seal --expect "/tmp/$1.cfg")
	check "$1: and it is the expected one" [ "$expected" = "$logged" ]
	check "$1: xl list shows it" shows "$1" sealed
	check "$1: all $attacks attacks are refused" attacked "$1" "refused (Operation not permitted)"
	check "$1: goes on" ask "$1" true
	xl destroy "$1"
}

config plain 'ramdisk = "/tests/attest.img"' 'on_crash = "preserve"'
config label 'ramdisk = "/tests/attest.img"' 'on_crash = "preserve"' 'seclabel = "sealed"'
$PLAIN plain
$LABEL label
