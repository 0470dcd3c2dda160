# $1: what its files begin with. $2: how many bytes come. $3: `turn` where a turn begins with them.
set -eu
umask 077
cat > "$1.say"
kill -0 "-$(cat "$1.group")"
[ "$(wc -c < "$1.say")" -eq "$2" ]
if [ "$3" = turn ]; then wc -c < "$1.out" > "$1.turn"; fi
cat "$1.say" > "$1.in"
