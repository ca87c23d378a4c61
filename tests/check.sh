# For suites that are scripts: they set $checks, their name, and source this in the project's folder. $work is a folder for them, which goes at the end.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# check NAME COMMAND...: the command says whether it is so. If not, its output is shown, and a GRUB menu if there is one.
check()
{
	name=$1
	shift
	if "$@" >"$work/why" 2>&1; then
		echo "PASS $checks/$name"
	else
		echo "FAIL $checks/$name"
		sed 's/^/    /' "$work/why"
		[ ! -s "$work/menu" ] || sed 's/^/    menu: /' "$work/menu"
		failed=1
	fi
}
