// A closed volume with a few files, opened for checking and repair as fsck does it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "store/repair/checker.h"
#include "store/repair/repairer.h"
#include "tests/support/changes.h"
#include "tests/support/volume_fixture.h"

namespace varve {

inline std::string RandomText(std::mt19937_64& random, std::size_t size) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

// The disks of a closed volume.
class Workbench {
 public:
  static std::unique_ptr<Workbench> Open(VolumeFixture& fixture) {
    auto disks = DiskSet::Assemble(fixture.OpenDisks());
    EXPECT_TRUE(disks.ok()) << disks.error().message();
    if (!disks.ok()) return nullptr;
    return Over(*std::move(disks));
  }
  static std::unique_ptr<Workbench> Over(std::unique_ptr<DiskSet> disks) {
    auto bench = std::make_unique<Workbench>();
    bench->disks_ = std::move(disks);
    const DiskLabel label = bench->disks_->label();
    auto disk = bench->disks_->online(label.catalog_slot);
    EXPECT_NE(disk, nullptr) << "the catalog's disk is not there";
    if (disk == nullptr) return nullptr;
    auto catalog = Catalog::Open(disk, {label.volume_uuid, label.catalog_generation}, {});
    EXPECT_TRUE(catalog.ok()) << catalog.error().message();
    if (!catalog.ok()) return nullptr;
    bench->catalog_ = *std::move(catalog);
    bench->reader_ = std::make_unique<StripeReader>(
        *bench->disks_, label.volume_uuid,
        [raw = bench.get()](StripeId id) -> Result<std::shared_ptr<const StripeLocation>> {
          return raw->Locate(id);
        },
        [](const Finding&) {});
    return bench;
  }

  Result<std::shared_ptr<const StripeLocation>> Locate(StripeId id) {
    ASSIGN_OR_RETURN(auto stripe, catalog_->GetStripe(id));
    ASSIGN_OR_RETURN(auto segment, catalog_->GetSegment(id.segment()));
    if (!stripe.has_value() || !segment.has_value()) return Error(ErrorCode::kNotFound, "stripe");
    return std::make_shared<const StripeLocation>(StripeLocation{*segment, *stripe});
  }

  CheckReport Check(const CheckOptions& options = {}) {
    auto report = varve::Check(context(), options);
    EXPECT_TRUE(report.ok()) << report.error().message();
    return report.ok() ? *std::move(report) : CheckReport{};
  }
  RepairPlan Plan(const CheckReport& report) {
    auto plan = MakePlan(context(), report);
    EXPECT_TRUE(plan.ok()) << plan.error().message();
    return plan.ok() ? *std::move(plan) : RepairPlan{};
  }
  RepairOutcome CarryOut(const RepairPlan& plan, const RepairOptions& options = {}) {
    auto outcome = varve::CarryOut(context(), plan, options);
    EXPECT_TRUE(outcome.ok()) << outcome.error().message();
    return outcome.ok() ? *std::move(outcome) : RepairOutcome{};
  }
  RepairOutcome CheckAndMend() { return CarryOut(Plan(Check())); }

  std::vector<StripeLocation> Stripes(StripeKind kind) {
    std::vector<StripeLocation> stripes;
    const auto segments = catalog_->ListSegments();
    EXPECT_TRUE(segments.ok());
    for (const SegmentDescriptor& segment : *segments) {
      const auto listed = catalog_->ListStripes(segment.id);
      EXPECT_TRUE(listed.ok());
      for (const StripeDescriptor& stripe : *listed) {
        if (stripe.kind == kind) stripes.push_back({segment, stripe});
      }
    }
    return stripes;
  }

  RepairContext context() { return {*disks_, *catalog_, *reader_}; }
  DiskSet& disks() { return *disks_; }
  Catalog& catalog() { return *catalog_; }

 private:
  std::unique_ptr<DiskSet> disks_;
  std::unique_ptr<Catalog> catalog_;
  std::unique_ptr<StripeReader> reader_;
};

// A file of several chunks in each of a few versions, each version in stripes of its own.
class RepairTest : public testing::Test {
 protected:
  RepairTest() : fixture_({4, 2}, 6) {
    fixture_.options().inline_limit_bytes = 0;
    fixture_.options().checkpoint_journal_bytes = 1 << 30;
  }

  void WriteVersions(const std::string& name, int versions, std::size_t size = 4 * kChunkBytes) {
    auto file = CreateFile(fixture_.volume(), name);
    ASSERT_TRUE(file.ok()) << file.error().message();
    for (int version = 0; version < versions; ++version) {
      std::string text = RandomText(random_, size);
      Overwrite(*file, name, std::move(text));
    }
  }

  // Lays `text` over the beginning of the file; its size becomes that of the text.
  void Overwrite(const TestFile& file, const std::string& name, std::string text) {
    fixture_.clock().Advance(kNsPerSecond);
    const auto lsn = WriteFile(fixture_.volume(), file, text);
    ASSERT_TRUE(lsn.ok()) << lsn.error().message();
    ASSERT_TRUE(fixture_.volume().Sync(*lsn).ok());
    versions_.push_back({name, *lsn, std::move(text)});
  }

  // Flips a bit of a fragment, `offset` bytes from its beginning.
  void FlipFragment(const StripeLocation& location, int column, std::uint64_t offset = 0) {
    fixture_.FlipBit(DiskOfColumn(location, column).value, SegmentObjectName(location.segment.id),
                     location.stripe.file_offset + offset);
  }

  // Makes nothing of a fragment.
  void ZeroFragment(const StripeLocation& location, int column) {
    auto disks = fixture_.OpenDisks();
    auto file = disks.at(DiskOfColumn(location, column).value)
                    ->Open(SegmentObjectName(location.segment.id), OpenMode::kReadWrite);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)
                    ->Write(location.stripe.file_offset, ByteVector(location.stripe.fragment_bytes))
                    .ok());
  }

  // Everything below "segment/" of every disk.
  std::vector<std::pair<std::string, ByteVector>> Segments() {
    std::vector<std::pair<std::string, ByteVector>> contents;
    for (const auto& disk : fixture_.OpenDisks()) {
      const auto names = disk->List("segment/");
      EXPECT_TRUE(names.ok());
      for (const std::string& name : *names) {
        auto bytes = ReadWhole(*disk, name, 1 << 28);
        EXPECT_TRUE(bytes.ok());
        contents.emplace_back(disk->Describe() + " " + name, *std::move(bytes));
      }
    }
    return contents;
  }

  // Opens the volume and compares every version with what was written.
  void ExpectAllVersionsReadable() {
    ASSERT_TRUE(fixture_.Open().ok());
    for (const Version& version : versions_) {
      auto view = fixture_.volume().At(version.lsn);
      ASSERT_TRUE(view.ok()) << view.error().message();
      EXPECT_TRUE(ContentOf(*view, version.name) == version.text) << version.name;
    }
    ASSERT_TRUE(fixture_.Close().ok());
  }

  struct Version {
    std::string name;
    Lsn lsn;
    std::string text;
  };
  std::mt19937_64 random_{20261123};
  VolumeFixture fixture_;
  std::vector<Version> versions_;
};

}  // namespace varve
