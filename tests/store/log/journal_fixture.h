// A journal over disks in memory, and words for harming it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "store/log/journal.h"
#include "store/log/journal_format.h"
#include "tests/store/log/random_change.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/memory_disk.h"

namespace varve {

class JournalFixture : public testing::Test {
 protected:
  void Format(int data, int parity, int disk_count) {
    journal_.reset();
    disks_.reset();
    platters_ = MakeMemoryPlatters(disk_count);
    geometry_ = {data, parity};
    Status formatted = FormatDisks(OpenMemoryDisks(platters_), {geometry_, "test"});
    ASSERT_TRUE(formatted.ok()) << formatted.error().message();
    appended_.clear();
    acknowledged_ = 0;
    absent_.clear();
    OpenDisks();
  }

  // As after a restart, without the disks in absent_.
  void OpenDisks() {
    journal_.reset();
    disks_.reset();
    controllers_.assign(platters_.size(), nullptr);
    std::vector<std::unique_ptr<Disk>> found;
    auto memory = OpenMemoryDisks(platters_);
    for (std::size_t i = 0; i < memory.size(); ++i) {
      if (absent_.contains(static_cast<int>(i))) continue;
      controllers_[i] = std::make_shared<FaultController>();
      found.push_back(std::make_unique<FaultyDisk>(std::move(memory[i]), controllers_[i]));
    }
    auto disks = DiskSet::Assemble(std::move(found));
    ASSERT_TRUE(disks.ok()) << disks.error().message();
    disks_ = std::move(disks).value();
    uuid_ = disks_->label().volume_uuid;
  }

  Result<JournalContents> Read() { return ReadJournal(*disks_, uuid_); }

  // Reads the journal, demands that it holds what was acknowledged, and goes on after it.
  void Restart() {
    OpenDisks();
    if (HasFatalFailure()) return;
    auto contents = Read();
    ASSERT_TRUE(contents.ok()) << contents.error().message();
    ExpectAcknowledged(*contents);
    if (HasFatalFailure()) return;
    Status began = disks_->BeginEpoch();
    ASSERT_TRUE(began.ok()) << began.error().message();
    StartAfter(*contents);
  }

  void StartAfter(const JournalContents& contents) {
    appended_.resize(LastOf(contents));
    acknowledged_ = appended_.size();
    auto journal =
        Journal::Start(*disks_, uuid_, contents.last_sequence + 1, contents.checkpoint, options_);
    ASSERT_TRUE(journal.ok()) << journal.error().message();
    journal_ = std::move(journal).value();
  }

  void Start() {
    auto contents = Read();
    ASSERT_TRUE(contents.ok()) << contents.error().message();
    ASSERT_TRUE(disks_->BeginEpoch().ok());
    StartAfter(*contents);
  }

  std::uint64_t LastOf(const JournalContents& contents) const {
    if (!contents.changes.empty()) return contents.changes.back().lsn.value;
    return contents.checkpoint.has_value() ? contents.checkpoint->last_lsn.value : 0;
  }

  // A change with `payload_bytes` of bytes that do not compress.
  Change MakeChange(std::size_t payload_bytes) {
    Change change;
    change.lsn = Lsn{appended_.size() + 1};
    change.time_ns = static_cast<TimeNs>(random_.Below(1u << 30));
    change.kind = ChangeKind::kXattr;
    do {
      std::size_t part = std::min<std::size_t>(payload_bytes, 65536);
      change.operations.push_back(PutXattr{InodeId{5}, "user.test", random_.Text(part)});
      payload_bytes -= part;
    } while (payload_bytes > 0);
    return change;
  }

  // Appends that many new changes as one call.
  Status Append(int count = 1, std::size_t payload_bytes = 100) {
    if (journal_ == nullptr) return Error(ErrorCode::kCancelled, "the journal did not start");
    std::vector<Change> changes;
    const std::size_t before = appended_.size();
    for (int i = 0; i < count; ++i) {
      changes.push_back(MakeChange(payload_bytes));
      appended_.push_back(EncodedChange(changes.back()));
    }
    std::vector<const Change*> pointers;
    for (const Change& change : changes) pointers.push_back(&change);
    Status status = journal_->Append(pointers);
    if (status.ok()) {
      acknowledged_ = appended_.size();
    } else if (status.error().code() == ErrorCode::kNoSpace) {
      appended_.resize(before);
    }
    return status;
  }
  void MustAppend(int count = 1, std::size_t payload_bytes = 100) {
    Status status = Append(count, payload_bytes);
    ASSERT_TRUE(status.ok()) << status.error().message();
  }

  // Every acknowledged change is there, in order, byte for byte, and what follows was appended.
  void ExpectAcknowledged(const JournalContents& contents) {
    ASSERT_GE(LastOf(contents), acknowledged_);
    ASSERT_LE(LastOf(contents), appended_.size()) << "changes that nobody appended";
    std::uint64_t lsn = contents.checkpoint.has_value() ? contents.checkpoint->last_lsn.value : 0;
    ASSERT_EQ(LastOf(contents) - lsn, contents.changes.size());
    for (const Change& change : contents.changes) {
      ++lsn;
      ASSERT_EQ(change.lsn.value, lsn);
      ASSERT_EQ(EncodedChange(change), appended_[lsn - 1]) << "LSN " << lsn;
    }
  }
  void ExpectReadable() {
    auto contents = Read();
    ASSERT_TRUE(contents.ok()) << contents.error().message();
    ExpectAcknowledged(*contents);
  }

  CheckpointRef MakeCheckpoint(Lsn first, Lsn last, std::size_t parts = 1) {
    CheckpointRef ref{first, last, {{SegmentId{1}, {DiskIndex{0}, DiskIndex{1}}}}, {}, {}};
    StripeDescriptor stripe = random_.Stripe(SegmentId{1});
    stripe.fragment_bytes = kMaxFragmentBytes;
    ref.stripes.push_back(stripe);
    for (std::size_t i = 0; i < parts; ++i) {
      ExtentRef part = random_.Extent();
      part.stripe = stripe.id;
      part.column = 0;
      ref.parts.push_back(part);
    }
    return ref;
  }

  std::vector<std::string> Objects(int disk) {
    auto names = MemoryDisk(platters_[static_cast<std::size_t>(disk)]).List(kJournalPrefix);
    EXPECT_TRUE(names.ok());
    return names.ok() ? *names : std::vector<std::string>();
  }
  // Disks that hold the object.
  std::vector<int> Holders(const std::string& name) {
    std::vector<int> holders;
    for (int i = 0; i < static_cast<int>(platters_.size()); ++i) {
      auto names = Objects(i);
      if (std::ranges::find(names, name) != names.end()) holders.push_back(i);
    }
    return holders;
  }
  std::string Newest() {
    std::string newest;
    for (int i = 0; i < static_cast<int>(platters_.size()); ++i) {
      for (const std::string& name : Objects(i)) newest = std::max(newest, name);
    }
    return newest;
  }
  std::unique_ptr<Disk> Raw(int disk) {
    return std::make_unique<MemoryDisk>(platters_[static_cast<std::size_t>(disk)]);
  }
  ByteVector Bytes(int disk, const std::string& name) {
    auto bytes = ReadWhole(*Raw(disk), name, 1ULL << 30);
    EXPECT_TRUE(bytes.ok());
    return bytes.ok() ? *bytes : ByteVector();
  }
  void Overwrite(int disk, const std::string& name, ByteSpan bytes) {
    ASSERT_TRUE(WriteAtomically(*Raw(disk), name, bytes).ok());
  }

  std::vector<std::shared_ptr<MemoryPlatter>> platters_;
  std::vector<std::shared_ptr<FaultController>> controllers_;
  std::unique_ptr<DiskSet> disks_;
  std::unique_ptr<Journal> journal_;
  Geometry geometry_;
  Uuid uuid_;
  JournalOptions options_{64 * 1024};
  RandomChanges random_{1};
  std::set<int> absent_;
  std::vector<ByteVector> appended_;  // [lsn-1], acknowledged or not
  std::size_t acknowledged_ = 0;
};

inline int CountOf(const std::vector<Finding>& findings, FindingKind kind, Severity severity) {
  return static_cast<int>(std::ranges::count_if(
      findings, [&](const Finding& f) { return f.kind == kind && f.severity == severity; }));
}

inline int BadReplicas(const JournalContents& contents) {
  return CountOf(contents.findings, FindingKind::kJournalReplicaBad, Severity::kRepairable);
}

}  // namespace varve
