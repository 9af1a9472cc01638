#!/bin/sh
# Stops the operator that a demo has left running: that process and no other.
set -eu
cd "$(dirname "$0")/../.."
file=target/demo/operator.pid
[ -e "$file" ] || exit 0
pid=$(cat "$file")
# The number may be somebody else's by now.
if tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q 'appstack run .*--identity demo'; then
  kill "$pid"
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
    [ -e "/proc/$pid" ] || break
    sleep 0.2
  done
fi
rm -f "$file"
