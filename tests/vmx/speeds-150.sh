# On the second machine, of 150 MHz: the guest goes on, and does so once more from a file.
. /tests/speeds.sh
check "speeds: the second machine has 150 MHz" differ "$(info cpu_mhz)" 150 1
restore "$disk"
agrees "speeds: on the second machine" 100000
check "speeds: xl save" xl save small /tmp/saved
restore /tmp/saved
agrees "speeds: once more" 100000
check "speeds: xl shutdown" timeout 60 xl shutdown -w small
