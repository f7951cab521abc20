#include "tests/support/volume_fixture.h"

#include <spdlog/spdlog.h>

#include <cstdio>
#include <cstdlib>

#include "store/volume/volume.h"

namespace varve {

std::uint64_t TestSeed(std::uint64_t fallback) {
  const char* given = std::getenv("VARVE_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : fallback;
  std::printf("seed %llu (VARVE_SEED=%llu repeats this run)\n",
              static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  return seed;
}

VolumeOptions SmallVolumeOptions(Clock& clock) {
  VolumeOptions options;
  options.commit_interval = std::chrono::milliseconds(50);
  options.probe_interval = std::chrono::milliseconds(100);
  options.batch_bytes = 4 * 1024 * 1024;
  options.pending_limit_bytes = 16 * 1024 * 1024;
  options.journal.segment_bytes = 256 * 1024;
  options.checkpoint_journal_bytes = 1024 * 1024;
  options.stripes.segment_column_bytes = 4 * 1024 * 1024;
  options.catalog.cache_bytes = 4 * 1024 * 1024;
  options.clock = &clock;
  return options;
}

namespace {

// Disks die by the dozen in these tests, and the log would say so.
void QuietLog() {
  if (std::getenv("VARVE_LOG") == nullptr) spdlog::set_level(spdlog::level::off);
}

}  // namespace

VolumeFixture::VolumeFixture(Geometry geometry, int disk_count)
    : geometry_(geometry),
      options_(SmallVolumeOptions(clock_)),
      platters_(MakeMemoryPlatters(disk_count)),
      controllers_(static_cast<std::size_t>(disk_count)) {
  QuietLog();
  options_.findings = [this](const Finding& finding) {
    std::lock_guard lock(findings_mutex_);
    findings_.push_back(finding);
  };
}

VolumeFixture::~VolumeFixture() = default;

std::vector<std::unique_ptr<Disk>> VolumeFixture::OpenDisks() {
  std::vector<std::unique_ptr<Disk>> disks;
  for (std::size_t slot = 0; slot < platters_.size(); ++slot) {
    if (lost_.contains(static_cast<int>(slot))) continue;
    controllers_[slot] = std::make_shared<FaultController>();
    disks.push_back(std::make_unique<FaultyDisk>(std::make_unique<MemoryDisk>(platters_[slot]),
                                                 controllers_[slot]));
  }
  return disks;
}

void VolumeFixture::FormatAndOpen() {
  FormatOptions format;
  format.geometry = geometry_;
  format.volume_name = "test";
  Status formatted = Volume::Format(OpenDisks(), format, RootOwner{}, options_);
  ASSERT_TRUE(formatted.ok()) << formatted.error().message();
  Status opened = Open();
  ASSERT_TRUE(opened.ok()) << opened.error().message();
}

Status VolumeFixture::Open() {
  ASSIGN_OR_RETURN(auto set, DiskSet::Assemble(OpenDisks()));
  ASSIGN_OR_RETURN(volume_, Volume::Open(std::move(set), options_));
  return {};
}

Status VolumeFixture::Close() {
  if (!volume_) return {};
  Status closed = volume_->Close();
  volume_.reset();
  return closed;
}

Status VolumeFixture::Reopen() {
  RETURN_IF_ERROR(Close());
  return Open();
}

void VolumeFixture::CutPower(std::uint64_t seed) {
  // Platters are cut one after another. Without this the volume, still running, could fail the
  // first and make that durable on the others before their turn comes.
  for (const auto& controller : controllers_) {
    if (controller) controller->FailSyncs();
  }
  for (std::size_t slot = 0; slot < platters_.size(); ++slot) {
    platters_[slot]->CutPower(seed * 1000003 + slot);
  }
  // What the dying process still says does not count.
  if (volume_) static_cast<void>(volume_->Close());
  volume_.reset();
}

Status VolumeFixture::CutPowerAndOpen(std::uint64_t seed) {
  CutPower(seed);
  return Open();
}

void VolumeFixture::LoseDisk(int slot) {
  lost_.insert(slot);
  auto& controller = controllers_.at(static_cast<std::size_t>(slot));
  if (controller) controller->Lose();
}

void VolumeFixture::WipeDisk(int slot) { platter(slot).Wipe(); }

void VolumeFixture::FlipBit(int slot, std::string_view object, std::uint64_t byte_offset, int bit) {
  MemoryDisk disk(platters_.at(static_cast<std::size_t>(slot)));
  Status flipped = varve::FlipBit(disk, object, byte_offset, bit);
  ASSERT_TRUE(flipped.ok()) << flipped.error().message();
}

}  // namespace varve
