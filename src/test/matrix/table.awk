# SPDX-License-Identifier: Apache-2.0
# awk -f table.awk RESULT...
# docs/kernels.md from the files of summary.awk, in the order in which they are given.
BEGIN {
  columns = split("api rights missing write-protect minor move poison events rwp memory paging snapshot remote", column, " ")
}
FNR == 1 { guests++; order[guests] = $2; guest = $2 }
/^DATE / { date[guest] = $2; commit[guest] = $3 }
/^SECONDS / { seconds[guest] = $2; cpu[guest] = $3; total += $2; all += $3 }
/^SYSTEM / {
  gsub(",", "")
  kernel[guest] = $3; jdk[guest] = $5; page[guest] = $7; features[guest] = $9
}
/^USER / { users[guest] = users[guest] " " $2 }
/^GROUP / { used[$3] = 1; cell[guest, $2, $3] = $4 "/" $5 "/" $6; sum[$2 SUBSEP guest] = 1; p += $4; s += $5; f += $6 }
/^SKIPPED / {
  reason = $0; sub(/^SKIPPED [^ ]+ [0-9]+ \[[^]]*\] /, "", reason)
  sub(/Linux [0-9][^ ]*-[^ ]* /, "the kernel ", reason)
  times[reason] += $3
  where = guest " " $2
  if (index(places[reason], where) == 0) places[reason] = places[reason] (places[reason] == "" ? "" : ", ") where
  classes = $0; sub(/^[^[]*\[/, "", classes); sub(/\].*/, "", classes)
  count = split(classes, each, " ")
  for (i = 1; i <= count; i++)
    if (index(" " tests[reason] " ", " " each[i] " ") == 0) tests[reason] = tests[reason] (tests[reason] == "" ? "" : " ") each[i]
}
/^INCOMPLETE/ { broken[guest] = 1 }
END {
  print "# Kernels"
  print ""
  print "Written by `make matrix` and `make matrix-full`: the tests in virtual machines with Debian's kernels, as root and as an ordinary"
  print "user; without those of the package `remote`, of the command line, and most of those that start JVMs of their own. A run replaces"
  print "the rows of its own guests, so each row has its date and commit, and the time of the guest with both users (in brackets the"
  print "processor time of qemu). A cell is passed/skipped/failed of the tests about that."
  print ""
  line = "| kernel | processor | JDK | page | features | user |"
  rule = "| --- | --- | --- | --- | --- | --- |"
  # Columns that no guest has anything for are left out.
  count = 0
  for (i = 1; i <= columns; i++) if (column[i] in used) column[++count] = column[i]
  columns = count
  for (i = 1; i <= columns; i++) { line = line " " column[i] " |"; rule = rule " --- |" }
  print line " date | commit | time |"
  print rule " --- | --- | --- |"
  for (g = 1; g <= guests; g++) {
    guest = order[g]
    processor = guest; sub(/-[0-9]+$/, "", processor); sub(/^.*-/, "", processor)
    count = split(users[guest], user, " ")
    for (u = 1; u <= count; u++) {
      line = "| " kernel[guest] " | " processor " | " jdk[guest] " | " page[guest] " | " features[guest] " | " user[u] " |"
      for (i = 1; i <= columns; i++) {
        at = guest SUBSEP user[u] SUBSEP column[i]
        line = line " " (at in cell ? cell[at] : "-") " |"
      }
      print line " " date[guest] " | " commit[guest] " | " seconds[guest] " s (" cpu[guest] " s)" (broken[guest] ? ", not ended" : "") " |"
    }
  }
  print ""
  printf "%d guests, %d s together (%d s of processor time): %d passed, %d skipped, %d failed.\n", guests, total, all, p, s, f
  print ""
  print "Every reason for which a test was skipped, how often in all rows, which tests, and where:"
  print ""
  for (reason in times) printf "- %d: %s (%s; %s)\n", times[reason], reason, tests[reason], places[reason] | "sort -t' ' -k2,2rn"
  close("sort -t' ' -k2,2rn")
}
