# SPDX-License-Identifier: Apache-2.0
# awk -v guest=SERIES-PROCESSOR-JDK -v date=DATE -v commit=COMMIT -v seconds=SECONDS -v processor=SECONDS -f summary.awk LOG
# What a guest printed, as the file that docs/kernels.md is made from: a line for each user and group of tests with the numbers
# passed, skipped and failed, and a line for each reason of skipping with how often.
function group(class) {
  if (class ~ /\.(memory|paging|snapshot|remote)\./) { sub(/^io\.github\.userfaultfd\./, "", class); sub(/\..*/, "", class); return class }
  sub(/^.*\./, "", class)
  if (class ~ /^(Seccomp|OrdinaryUser|BehaviourOfSystems)Test$/) return "rights"
  if (class ~ /^Rwp/) return "rwp"
  if (class ~ /^Wp|WpTest$/) return "write-protect"
  if (class ~ /^Minor/) return "minor"
  if (class ~ /^Move/) return "move"
  if (class ~ /^Poison/) return "poison"
  if (class ~ /^(Events|ForkEvent|MmapChanging)Test$/) return "events"
  if (class ~ /^(Zeropage|Partial|Sigbus|Stress|Behaviour|BehaviourOfMemory)Test$/) return "missing"
  return "api"
}
BEGIN { print "GUEST " guest; print "DATE " date " " commit; print "SECONDS " seconds " " processor }
/^SYSTEM / && !system_seen { print; system_seen = 1 }
/^USER / { user = $2; print }
/^CLASS / { name = group($2); passed[user, name] += $4; skipped[user, name] += $6; failed[user, name] += $8; groups[name] = 1 }
/^SKIPPED / {
  class = $2; sub(/^.*\./, "", class)
  reason = $0; sub(/^SKIPPED [^ ]+ /, "", reason); sub(/^[^:]*: /, "", reason)
  at = user SUBSEP reason
  times[at]++
  if (index(" " classes[at] " ", " " class " ") == 0) classes[at] = classes[at] (classes[at] == "" ? "" : " ") class
}
/^RESULT / { ended[user] = 1 }
/^MATRIX-END/ { complete = 1 }
END {
  for (each in passed) {
    split(each, key, SUBSEP)
    printf "GROUP %s %s %d %d %d\n", key[1], key[2], passed[each], skipped[each], failed[each] | "sort"
  }
  close("sort")
  for (each in times) {
    split(each, key, SUBSEP)
    printf "SKIPPED %s %d [%s] %s\n", key[1], times[each], classes[each], key[2] | "sort -k2,2 -k3,3rn"
  }
  close("sort -k2,2 -k3,3rn")
  print complete ? "COMPLETE" : "INCOMPLETE: the guest did not come to its end"
}
