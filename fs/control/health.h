// How a volume is, in one word and in what to do next; the same for a mounted volume and for disks
// that are only looked at.
#pragma once

#include <string>

#include "fs/control/finding_log.h"
#include "fs/control/wire.h"
#include "store/volume/volume.h"

namespace varve {

struct Health {
  std::string state;         // ONLINE, DEGRADED, READ-ONLY or FAULTED
  std::string next_step;     // one line; empty when there is nothing to do
  int tolerable_losses = 0;  // disks that may still be lost without losing data
};

// `mountpoint` is empty when it is not mounted.
Health Assess(const VolumeStatus& status, const FindingLog::Summary& findings,
              const std::string& mountpoint);

// All of it, for `varve status --json`. Paths and names are shown as text, not as bytes on the
// wire.
Json StatusToJson(const VolumeStatus& status, const FindingLog::Summary& findings,
                  const std::string& mountpoint);

}  // namespace varve
