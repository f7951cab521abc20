// A volume's disks in memory, a writer and a reader over them, and words for harming them.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "store/base/synchronized.h"
#include "store/log/fragment.h"
#include "store/log/stripe_reader.h"
#include "store/log/stripe_writer.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/memory_disk.h"
#include "tests/support/random_seed.h"

namespace varve {

class StripeFixture : public testing::Test {
 protected:
  void Format(int data, int parity, int disk_count, StripeWriterOptions options = {}) {
    reader_.reset();
    writer_.reset();
    disks_.reset();
    options_ = options;
    next_segment_ = 1;
    locations_.Lock()->clear();
    placed_.clear();
    findings_.Lock()->clear();
    platters_ = MakeMemoryPlatters(disk_count);
    ASSERT_TRUE(FormatDisks(OpenMemoryDisks(platters_), {{data, parity}, "test"}).ok());
    Reopen();
  }

  // As after a restart: fresh disks, writer and reader over what the platters hold.
  void Reopen() {
    reader_.reset();
    writer_.reset();
    disks_.reset();
    controllers_.clear();
    std::vector<std::unique_ptr<Disk>> faulty;
    for (auto& disk : OpenMemoryDisks(platters_)) {
      controllers_.push_back(std::make_shared<FaultController>());
      faulty.push_back(std::make_unique<FaultyDisk>(std::move(disk), controllers_.back()));
    }
    auto disks = DiskSet::Assemble(std::move(faulty));
    ASSERT_TRUE(disks.ok()) << disks.error().message();
    disks_ = std::move(disks).value();
    uuid_ = disks_->label().volume_uuid;
    ASSERT_TRUE(disks_->BeginEpoch().ok());
    writer_ = std::make_unique<StripeWriter>(*disks_, uuid_, next_segment_, options_);
    NewReader();
  }

  void NewReader() {
    reader_ = std::make_unique<StripeReader>(
        *disks_, uuid_, [this](StripeId id) { return Lookup(id); },
        [this](const Finding& finding) { findings_.Lock()->push_back(finding); });
  }

  Result<std::shared_ptr<const StripeLocation>> Lookup(StripeId id) {
    auto locations = locations_.Lock();
    const auto it = locations->find(id);
    if (it == locations->end()) return Error(ErrorCode::kNotFound, "no such stripe");
    return it->second;
  }

  // --- Data ---
  ByteVector Random(std::size_t length_bytes) {
    std::vector<std::uint64_t> words(length_bytes / 8 + 1);
    for (auto& word : words) word = random_();
    const ByteSpan bytes = std::as_bytes(std::span(words)).first(length_bytes);
    return {bytes.begin(), bytes.end()};
  }
  ByteVector Text(std::size_t length_bytes) {
    ByteVector bytes;
    while (bytes.size() < length_bytes) {
      const std::string line = "line " + std::to_string(random_() % 1000) + ", ";
      const ByteSpan word = AsBytes(line);
      bytes.insert(bytes.end(), word.begin(), word.end());
    }
    bytes.resize(length_bytes);
    return bytes;
  }
  // Extents of every kind of length, some of which compress.
  std::vector<ByteVector> SomeInputs(std::size_t count) {
    std::vector<ByteVector> inputs;
    while (inputs.size() < count) {
      const std::size_t length = random_() % 4 == 0   ? kChunkBytes
                                 : random_() % 2 == 0 ? 1 + random_() % 5000
                                                      : 1 + random_() % kChunkBytes;
      inputs.push_back(random_() % 2 == 0 ? Random(length) : Text(length));
    }
    return inputs;
  }

  // --- Placing and reading ---
  Result<Placement> Place(const std::vector<ByteVector>& inputs) {
    const std::vector<ByteSpan> spans(inputs.begin(), inputs.end());
    auto placement = writer_->Place(spans, StripeKind::kData);
    if (!placement.ok()) return placement;
    for (const auto& segment : placement->segments) segments_[segment.id] = segment;
    auto locations = locations_.Lock();
    for (const auto& stripe : placement->stripes) {
      (*locations)[stripe.id] = std::make_shared<const StripeLocation>(
          StripeLocation{segments_.at(stripe.id.segment()), stripe});
    }
    EXPECT_EQ(placement->extents.size(), inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      placed_.emplace_back(placement->extents[i], inputs[i]);
    }
    return placement;
  }
  Placement MustPlace(const std::vector<ByteVector>& inputs) {
    auto placement = Place(inputs);
    EXPECT_TRUE(placement.ok()) << placement.error().message();
    return placement.ok() ? std::move(placement).value() : Placement{};
  }
  Result<ByteVector> Read(const ExtentRef& extent) {
    ByteVector raw(extent.raw_bytes);
    RETURN_IF_ERROR(reader_->ReadExtent(extent, raw));
    return raw;
  }
  // Everything ever placed reads back.
  void ExpectAllReadable() {
    for (const auto& [extent, raw] : placed_) {
      const auto read = Read(extent);
      ASSERT_TRUE(read.ok()) << read.error().message();
      ASSERT_EQ(*read, raw);
    }
  }
  // Everything reads back or is refused; nothing reads wrong. Answers how many were refused.
  int CountRefused() {
    int refused = 0;
    for (const auto& [extent, raw] : placed_) {
      const auto read = Read(extent);
      if (!read.ok()) {
        ++refused;
        continue;
      }
      EXPECT_EQ(*read, raw);
    }
    return refused;
  }

  // --- Harm ---
  const StripeLocation& LocationOf(const ExtentRef& extent) {
    return *locations_.Lock()->at(extent.stripe);
  }
  static DiskIndex DiskOf(const StripeLocation& location, int column) {
    return DiskOfColumn(location, column);
  }
  static std::string ObjectOf(const StripeLocation& location) {
    return SegmentObjectName(location.segment.id);
  }
  // A 4+2 volume with one full-width stripe: 8 extents of 64 KiB, two in each column.
  void PlaceOneStripe() {
    ASSERT_NO_FATAL_FAILURE(Format(4, 2, 6));
    std::vector<ByteVector> inputs;
    for (int i = 0; i < 8; ++i) inputs.push_back(Random(kChunkBytes));
    const Placement placement = MustPlace(inputs);
    ASSERT_EQ(placement.stripes.size(), 1u);
    location_ = LocationOf(placement.extents[0]);
    ASSERT_EQ(location_.stripe.data, 4);
  }
  FaultController& Controller(DiskIndex slot) { return *controllers_[slot.value]; }
  void LoseDisk(int slot) {
    ASSERT_TRUE(disks_
                    ->Fail(DiskIndex(static_cast<std::uint8_t>(slot)),
                           Error(ErrorCode::kIo, "lost by the test"))
                    .ok());
  }
  void FlipBit(const StripeLocation& location, int column, std::uint64_t byte) {
    FaultController& disk = Controller(DiskOf(location, column));
    ASSERT_TRUE(disk.FlipBit(ObjectOf(location), location.stripe.file_offset + byte,
                             static_cast<int>(random_() % 8))
                    .ok());
  }
  ByteVector RawFragment(const StripeLocation& location, int column) {
    Disk& disk = Controller(DiskOf(location, column)).base();
    auto file = disk.Open(ObjectOf(location), OpenMode::kRead);
    EXPECT_TRUE(file.ok());
    ByteVector bytes(location.stripe.fragment_bytes);
    const auto read = (*file)->Read(location.stripe.file_offset, bytes);
    EXPECT_TRUE(read.ok());
    bytes.resize(*read);
    return bytes;
  }
  void Overwrite(const StripeLocation& location, int column, ByteSpan bytes) {
    Disk& disk = Controller(DiskOf(location, column)).base();
    auto file = disk.Open(ObjectOf(location), OpenMode::kReadWrite);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->Write(location.stripe.file_offset, bytes).ok());
  }
  std::vector<Finding> Findings() { return *findings_.Lock(); }

  const std::uint64_t seed_ = RandomSeed();
  testing::ScopedTrace trace_{__FILE__, __LINE__, "VARVE_SEED=" + std::to_string(seed_)};
  std::mt19937_64 random_{seed_};

  StripeWriterOptions options_;
  std::vector<std::shared_ptr<MemoryPlatter>> platters_;
  StripeLocation location_;  // by PlaceOneStripe
  std::vector<std::shared_ptr<FaultController>> controllers_;
  std::atomic<std::uint64_t> next_segment_{1};
  std::map<SegmentId, SegmentDescriptor> segments_;
  Synchronized<std::map<StripeId, std::shared_ptr<const StripeLocation>>> locations_;
  std::vector<std::pair<ExtentRef, ByteVector>> placed_;
  Synchronized<std::vector<Finding>> findings_;
  Uuid uuid_;
  std::unique_ptr<DiskSet> disks_;
  std::unique_ptr<StripeWriter> writer_;
  std::unique_ptr<StripeReader> reader_;
};

}  // namespace varve
