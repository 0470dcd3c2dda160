# $1: what its files begin with. $2: `pipe`, or the file that it reads. $3: a script of sed, or nothing.
# The rest: the program with its arguments.
set -eu
umask 077
base=$1; input=$2; filter=$3; shift 3
while IFS= read -r line && [ -n "$line" ]; do
  value=$(printf %s "${line#*=}" | base64 -d; printf x)
  export "${line%%=*}=${value%x}"
done
touch "$base.out" "$base.err"
if [ -e "$base.group" ]; then
  left=100
  while kill -0 "-$(cat "$base.group")" 2> /dev/null; do
    [ $((left -= 1)) -gt 0 ] || kill -KILL "-$(cat "$base.group")"
    sleep 0.1
  done
fi
wc -c < "$base.out" | tee "$base.turn"
rm -f "$base.in"
case $input in
  pipe) mkfifo "$base.in" ;;
  *) ln -s "$input" "$base.in" ;;
esac
setsid sh -c '
  base=$1; filter=$2; shift 2
  trap : TERM
  run() {
    if [ -p "$base.in" ]; then "$@" <> "$base.in" 2>> "$base.err"; else "$@" < "$base.in" 2>> "$base.err"; fi
    echo $? > "$base.code"
  }
  if [ -n "$filter" ] && sed -u p < /dev/null 2> /dev/null; then
    run "$@" | sed -u "$filter" >> "$base.out"
  else
    run "$@" >> "$base.out"
  fi
  printf "\n\036exited %s\n" "$(cat "$base.code")" >> "$base.out"
' sh "$base" "$filter" "$@" < /dev/null > /dev/null 2>&1 &
echo $! > "$base.group"
# What it is called by is its group's only once it has one of its own. A program that is over already is not waited for.
while kill -0 $! 2> /dev/null && ! kill -0 "-$!" 2> /dev/null; do sleep 0.01; done
