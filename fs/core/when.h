// WHEN: the ways people name a moment.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "store/base/clock.h"
#include "store/base/ids.h"
#include "store/base/result.h"

namespace varve {

// A moment by time, by position in history, or by what may be a snapshot's name.
using When = std::variant<TimeNs, Lsn, std::string>;

// "2026-11-23T15:02:25.123456789Z" and the forms of RFC 3339 (offsets; '_' or ' ' for 'T', '-' for
// ':' in the time; seconds and fractions optional; no offset: local time; a date alone is its first
// moment),
// "@GMT-YYYY.MM.DD-HH.MM.SS" (UTC), "@<lsn>", "now", "yesterday" (24 h ago),
// "2h-ago", "90s-ago", "3d-ago" (also "2h", "2 hours ago"; units ns us ms s m h d w), else a
// snapshot's name. kInvalidArgument for what looks like a time and is none (month 13), with the
// forms accepted.
Result<When> ParseWhen(std::string_view text, TimeNs now_ns);

// "2026-11-23T15:02:25.123456789Z": sorts as text, parses back to the same moment.
std::string FormatTime(TimeNs time_ns);
// The same for file names: "2026-11-23_15-02-25.123456789Z".
std::string FormatTimeForName(TimeNs time_ns);
// Rules for a snapshot's name: 1..200 bytes, no '/', NUL or control characters, not starting with
// '.' or '@', not "versions", not readable as a time.
Status CheckSnapshotName(std::string_view name);

}  // namespace varve
