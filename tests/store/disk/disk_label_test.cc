#include "store/disk/disk_label.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/codec/checksum.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/memory_disk.h"

namespace varve {
namespace {

using testing::HasSubstr;

DiskLabel SampleLabel() {
  DiskLabel label;
  label.volume_uuid = Uuid::Random();
  label.volume_name = "photos";
  label.geometry = {4, 2};
  label.created_ns = 1'700'000'000'123'456'789;
  label.epoch = Epoch(7);
  label.epoch_id = Uuid::Random();
  label.previous_epoch_id = Uuid::Random();
  label.catalog_slot = DiskIndex(3);
  label.catalog_generation = 5;
  for (int i = 0; i < 7; ++i) {
    label.slots.push_back(
        {Uuid::Random(), static_cast<SlotState>(i % 3), "/srv/disk" + std::to_string(i)});
  }
  label.slot = DiskIndex(2);
  label.disk_uuid = label.slots[2].disk_uuid;
  return label;
}

// Makes the checksum right again after a change.
ByteVector Resealed(const ByteVector& bytes) {
  const ByteSpan sealed = ByteSpan(bytes).first(bytes.size() - 8);
  Encoder out;
  out.Raw(sealed);
  out.PatchU32(12, static_cast<std::uint32_t>(bytes.size()));
  out.U64(Checksum(out.bytes()));
  return out.Take();
}

ByteVector With(const ByteVector& bytes, std::size_t at, std::uint8_t value) {
  ByteVector changed = bytes;
  changed[at] = std::byte{value};
  return Resealed(changed);
}

TEST(DiskLabel, SurvivesEncodingAndDecoding) {
  const DiskLabel label = SampleLabel();
  auto decoded = DecodeLabel(EncodeLabel(label));
  ASSERT_TRUE(decoded.ok()) << decoded.error().message();
  EXPECT_EQ(*decoded, label);
}

TEST(DiskLabel, SurvivesAtItsLimits) {
  DiskLabel label = SampleLabel();
  label.geometry = {kMaxData, kMaxParity};
  label.volume_name = std::string(kMaxVolumeNameBytes, 'n');
  label.created_ns = -1;
  label.epoch = Epoch(~0ULL);
  label.slots.clear();
  for (int i = 0; i < kMaxDisks; ++i) {
    label.slots.push_back(
        {Uuid::Random(), SlotState::kActive, std::string(kMaxLabelPathBytes, 'p')});
  }
  label.slot = DiskIndex(kMaxDisks - 1);
  label.disk_uuid = label.slots.back().disk_uuid;
  auto decoded = DecodeLabel(EncodeLabel(label));
  ASSERT_TRUE(decoded.ok()) << decoded.error().message();
  EXPECT_EQ(*decoded, label);
}

TEST(DiskLabel, DetectsEveryFlippedBit) {
  const ByteVector bytes = EncodeLabel(SampleLabel());
  for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
    ByteVector damaged = bytes;
    damaged[i / 8] ^= std::byte{1} << (i % 8);
    ASSERT_FALSE(DecodeLabel(damaged).ok()) << "bit " << i;
  }
}

TEST(DiskLabel, DetectsEveryTruncation) {
  const ByteVector bytes = EncodeLabel(SampleLabel());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    auto decoded = DecodeLabel(ByteSpan(bytes).first(size));
    ASSERT_FALSE(decoded.ok()) << size;
    EXPECT_EQ(decoded.error().code(), ErrorCode::kCorrupt);
  }
}

TEST(DiskLabel, DetectsTrailingBytes) {
  ByteVector bytes = EncodeLabel(SampleLabel());
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(DecodeLabel(bytes).ok());
  EXPECT_FALSE(DecodeLabel(Resealed(bytes)).ok());
}

TEST(DiskLabel, RefusesANewerFormatAndNamesBothVersions) {
  auto decoded = DecodeLabel(With(EncodeLabel(SampleLabel()), 8, kFormatVersion + 41));
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(decoded.error().message(), HasSubstr("version 42"));
  EXPECT_THAT(decoded.error().message(), HasSubstr("up to 1"));
}

// Fields that carry a right checksum and still make no sense: written by a broken program.
TEST(DiskLabel, RefusesFieldsThatMakeNoSense) {
  const ByteVector bytes = EncodeLabel(SampleLabel());
  ASSERT_TRUE(DecodeLabel(Resealed(bytes)).ok());
  struct Case {
    std::size_t at;
    std::uint8_t value;
    std::string field;
  };
  const std::vector<Case> cases = {
      {8, 0, "version 0"},       {104, 7, "slot number"},  {104, 1, "uuid"},
      {105, 0, "data"},          {105, 33, "data"},        {106, 9, "parity"},
      {106, 4, "at least 8"},    {107, 7, "catalog slot"}, {108, 65, ""},
      {108, 6, "do not fill"},   {109, 65, "name"},        {110, 1, "reserved"},
      {127, 1, "reserved"},      {134 + 16, 3, "state"},   {134 + 17, 1, "slot 0"},
      {134 + 23, 0x20, "slot 0"}};
  for (const Case& c : cases) {
    auto decoded = DecodeLabel(With(bytes, c.at, c.value));
    ASSERT_FALSE(decoded.ok()) << c.at;
    EXPECT_EQ(decoded.error().code(), ErrorCode::kCorrupt);
    EXPECT_THAT(decoded.error().message(), HasSubstr(c.field)) << c.at;
  }
}

TEST(DiskLabel, DecodesWithoutTrustAnySealedGarbage) {
  const ByteVector bytes = EncodeLabel(SampleLabel());
  for (std::size_t at = 16; at + 8 < bytes.size(); ++at) {
    for (int value : {0, 1, 0x7f, 0xff}) {
      auto decoded = DecodeLabel(With(bytes, at, static_cast<std::uint8_t>(value)));
      if (decoded.ok()) {
        EXPECT_LE(decoded->slots.size(), std::size_t{kMaxDisks});
      }
    }
  }
}

TEST(DiskLabel, ChecksGeometry) {
  EXPECT_TRUE(CheckGeometry({1, 0}, 1).ok());
  EXPECT_TRUE(CheckGeometry({32, 8}, 40).ok());
  EXPECT_TRUE(CheckGeometry({4, 2}, 64).ok());
  for (const auto& [geometry, disks] : std::vector<std::pair<Geometry, int>>{
           {{0, 1}, 4}, {{33, 1}, 40}, {{4, -1}, 6}, {{4, 9}, 20}, {{4, 2}, 5}, {{4, 2}, 65}}) {
    Status status = CheckGeometry(geometry, disks);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code(), ErrorCode::kInvalidArgument);
  }
  EXPECT_THAT(CheckGeometry({4, 2}, 5).error().message(), HasSubstr("at least 6"));
}

TEST(DiskLabel, IsWrittenAndReadBack) {
  MemoryDisk disk;
  const DiskLabel label = SampleLabel();
  ASSERT_TRUE(WriteLabel(disk, label).ok());
  EXPECT_EQ(ReadLabel(disk).value(), label);
}

TEST(DiskLabel, OfADiskWithoutOneIsNotFound) {
  MemoryDisk disk;
  auto label = ReadLabel(disk);
  ASSERT_FALSE(label.ok());
  EXPECT_EQ(label.error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(label.error().message(), HasSubstr("memory: not a Varve disk"));
}

TEST(DiskLabel, LongerThanItsLimitIsRefused) {
  MemoryDisk disk;
  ASSERT_TRUE(WriteAtomically(disk, kLabelObject, ByteVector(1024 * 1024 + 1)).ok());
  auto label = ReadLabel(disk);
  ASSERT_FALSE(label.ok());
  EXPECT_EQ(label.error().code(), ErrorCode::kTooLarge);
  EXPECT_THAT(label.error().message(), HasSubstr("memory"));
}

TEST(DiskLabel, IsOldOrNewAfterAPowerCutAtAnyWrite) {
  DiskLabel before = SampleLabel();
  DiskLabel after = before;
  after.epoch = Epoch(8);
  for (std::uint64_t stop = 0; stop < 6; ++stop) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      auto platter = std::make_shared<MemoryPlatter>();
      auto controller = std::make_shared<FaultController>();
      FaultyDisk disk(std::make_unique<MemoryDisk>(platter), controller);
      ASSERT_TRUE(WriteLabel(disk, before).ok());
      std::uint64_t steps = 0;
      controller->SetHook([&](DiskOperation, std::string_view) {
        if (steps++ == stop) controller->Lose();
      });
      const bool written = WriteLabel(disk, after).ok();
      platter->CutPower(seed);
      MemoryDisk left(platter);
      auto label = ReadLabel(left);
      ASSERT_TRUE(label.ok()) << label.error().message();
      EXPECT_TRUE(*label == after || (*label == before && !written)) << stop << " " << seed;
    }
  }
}

}  // namespace
}  // namespace varve
