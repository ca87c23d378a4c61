# For the tests, on the build machine: `dom0 SCRIPT [tools/run's options]` boots the system and runs tests/system/dom0/SCRIPT in it.
# HV, IOMMU, NAME and OUT come from tests/system/run.
set -u
result=0

# said WHAT TEXT: a check that TEXT is in the log of the last run.
said()
{
	if grep -aqF -- "$2" "$OUT/$NAME.log"; then
		echo "ok $1"
	else
		echo "not ok $1: the log has no '$2'"
		result=1
	fi
}

# expect WHAT STATUS TEXT COMMAND...: the status, and the text in what it prints.
expect()
{
	local what=$1 want=$2 text=$3 status
	shift 3
	"$@" >"$OUT/$NAME.step" 2>&1
	status=$?
	if [ $status = "$want" ] && grep -aq -- "$text" "$OUT/$NAME.step"; then
		echo "ok $what"
	else
		echo "not ok $what: status $status, wanted $want and '$text'"
		tail -n 8 "$OUT/$NAME.step" | sed 's/^/# /'
		result=1
	fi
}

# The system with tools/run's options. A run without a command knows no limit: what ends it is only meant for one that hangs.
run() { timeout 1800 tools/run --hv "$HV" --iommu "$IOMMU" --log "$OUT/$NAME.log" --timeout 300 "$@"; }

dom0()
{
	local script=$1 status
	shift
	tools/run --hv "$HV" --iommu "$IOMMU" --log "$OUT/$NAME.log" --timeout 900 --add tests/system/dom0/lib.sh:/tests/lib.sh \
		--add "tests/system/dom0/$script:/tests/$script" "$@" -- env ROUNDS="$ROUNDS" sh "/tests/$script"
	status=$?
	if [ $status != 0 ]; then
		echo "not ok $script ended with status $status"
		result=1
	fi
	no_complaints "$script" "$OUT/$NAME.log"
}

# no_complaints WHAT LOG: what the service domain's kernel must never say; and what it says when it is too slow, which an emulator may be.
no_complaints()
{
	if grep -aE 'BUG: (unable|kernel|scheduling|workqueue)|Oops|WARNING: CPU|general protection' "$2" >"$OUT/$NAME.complaints"; then
		echo "not ok $1: the service domain's kernel complains"
		head -n 5 "$OUT/$NAME.complaints" | sed 's/^/# /'
		result=1
	fi
	grep -aE 'soft lockup|rcu: INFO|blocked for more' "$2" | head -n 5 | sed 's/^/# slow: /'
}
