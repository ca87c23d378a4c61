# The package goes, while Bothy and its guests run.
. /mnt/tests/lib.sh
check "apt purges the package" apt-get -y purge bothy
check "nothing of it is left" nothing_left
check "its entries are gone from GRUB's menu" entries 0
check "these guests didn't notice: $guests" all_guests
