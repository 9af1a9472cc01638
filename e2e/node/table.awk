# The table of `make e2e`, from the lines that e2e/src/live.rs writes: TEST OUTCOME SECONDS SHOWN, with tabs between;
# then from those of target/debug/simulated: TEST WHY.
BEGIN { FS = "\t"; row = "%-12s %6s  %s\n"; printf row, "scenario", "s", "what was shown" }
FILENAME != ARGV[1] {
  simulated = simulated sprintf("  %s: %s\n", $1, $2)
  stay++
  next
}
{
  split($1, path, "::")
  promise = path[2] == "" ? $1 : path[2]
  gsub("_", " ", promise)
  printf row, path[1], $3, ($2 == "passed" ? "" : "FAILED: ") promise ($4 == "" ? "" : ": " $4)
  count[$2]++
  seconds += $3
}
END {
  printf row, "", sprintf("%.0f", seconds), count["passed"] + 0 " passed, " count["FAILED"] + 0 " failed"
  printf "%d of the live tests stay on simulated nodes (make test)%s\n%s", stay, stay ? ":" : "", simulated
}
