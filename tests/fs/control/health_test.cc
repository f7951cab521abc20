#include "fs/control/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace varve {
namespace {

using testing::HasSubstr;

Finding MakeFinding(Severity severity, const std::string& what) {
  Finding finding;
  finding.severity = severity;
  finding.what = what;
  return finding;
}

VolumeStatus Healthy(int data, int parity) {
  VolumeStatus status;
  status.label.geometry = {data, parity};
  for (int i = 0; i < data + parity; ++i) {
    status.label.slots.push_back({});
    DiskStatus disk;
    disk.slot = DiskIndex(static_cast<std::uint8_t>(i));
    disk.state = DiskState::kOnline;
    disk.path = "/disk" + std::to_string(i);
    status.disks.push_back(disk);
  }
  return status;
}

TEST(Health, AllIsWell) {
  const Health health = Assess(Healthy(4, 2), {}, "/mnt");
  EXPECT_EQ(health.state, "ONLINE");
  EXPECT_EQ(health.next_step, "");
  EXPECT_EQ(health.tolerable_losses, 2);
}

TEST(Health, EachLostDiskTakesFromWhatMayBeLost) {
  VolumeStatus status = Healthy(4, 2);
  status.disks[3].state = DiskState::kFailed;
  EXPECT_EQ(Assess(status, {}, "/mnt").state, "DEGRADED");
  EXPECT_EQ(Assess(status, {}, "/mnt").tolerable_losses, 1);
  EXPECT_THAT(Assess(status, {}, "/mnt").next_step, HasSubstr("--replace /disk3=NEW /disk0"));
  EXPECT_THAT(Assess(status, {}, "/mnt").next_step, HasSubstr("varve umount /mnt"));
  status.disks[0].state = DiskState::kMissing;
  EXPECT_EQ(Assess(status, {}, "").tolerable_losses, 0);
  EXPECT_EQ(Assess(status, {}, "").state, "DEGRADED");
  status.disks[1].state = DiskState::kMissing;
  EXPECT_EQ(Assess(status, {}, "").state, "FAULTED");
  EXPECT_THAT(Assess(status, {}, "").next_step, HasSubstr("at least 1 of the missing disks"));
}

TEST(Health, ARebuildingDiskIsNotWhole) {
  VolumeStatus status = Healthy(4, 2);
  status.label.slots[5].state = SlotState::kRebuilding;
  EXPECT_EQ(Assess(status, {}, "/mnt").state, "DEGRADED");
  EXPECT_EQ(Assess(status, {}, "/mnt").tolerable_losses, 1);
}

TEST(Health, ReadOnlyGoesBeforeDegraded) {
  VolumeStatus status = Healthy(1, 1);
  status.read_only = true;
  status.read_only_reason = "because";
  status.disks[1].state = DiskState::kFailed;
  EXPECT_EQ(Assess(status, {}, "/mnt").state, "READ-ONLY");
  EXPECT_EQ(StatusToJson(status, {}, "/mnt").at("read_only_reason"), "because");
}

TEST(Health, FindingsDegrade) {
  FindingLog log;
  EXPECT_EQ(Assess(Healthy(4, 2), log.summary(), "/mnt").state, "ONLINE");
  log.Add(MakeFinding(Severity::kNote, "note"));
  EXPECT_EQ(Assess(Healthy(4, 2), log.summary(), "/mnt").state, "ONLINE");
  log.Add(MakeFinding(Severity::kRepairable, "bad"));
  const Health health = Assess(Healthy(4, 2), log.summary(), "/mnt");
  EXPECT_EQ(health.state, "DEGRADED");
  EXPECT_THAT(health.next_step, HasSubstr("varve fsck -y /disk0"));
}

TEST(Health, KeepsTheNewestFindingsAndCountsAll) {
  FindingLog log;
  for (int i = 0; i < 100; ++i) log.Add(MakeFinding(Severity::kRepairable, std::to_string(i)));
  EXPECT_EQ(log.summary().repairable, 100u);
  ASSERT_EQ(log.summary().last.size(), FindingLog::kKept);
  EXPECT_EQ(log.summary().last.back().what, "99");
}

}  // namespace
}  // namespace varve
