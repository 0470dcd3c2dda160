# $1: what its files begin with.
cat "$1.turn" || exit 3
wc -c < "$1.out"
if [ -e "$1.group" ] && kill -0 "-$(cat "$1.group")"; then echo runs; else echo ended; fi
