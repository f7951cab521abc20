// The journal when what is on the disks is not what was written.
#include "store/codec/checksum.h"
#include "tests/store/log/journal_fixture.h"

namespace varve {
namespace {

using testing::HasSubstr;

class JournalDamage : public JournalFixture {};

TEST_F(JournalDamage, TheLongestChainAmongReplicasIsHistory) {
  Format(2, 2, 4);
  Start();
  MustAppend(1);
  const std::string name = Newest();
  const std::vector<int> holders = Holders(name);
  ASSERT_EQ(holders.size(), 3u);
  const ByteVector one = Bytes(holders[0], name);
  MustAppend(1);
  const ByteVector two = Bytes(holders[0], name);
  MustAppend(1);
  journal_.reset();
  // As if the power had gone before the second and third round reached all disks.
  Overwrite(holders[0], name, one);
  Overwrite(holders[1], name, two);
  OpenDisks();
  auto contents = Read();
  ASSERT_TRUE(contents.ok()) << contents.error().message();
  EXPECT_EQ(LastOf(*contents), 3u);
  ExpectAcknowledged(*contents);
  // The frame of LSN 3 says that LSN 2 was everywhere: the first copy is damaged, the second not.
  EXPECT_EQ(CountOf(contents->findings, FindingKind::kJournalReplicaBad, Severity::kRepairable), 2);
  EXPECT_EQ(CountOf(contents->findings, FindingKind::kJournalUnclean, Severity::kNote), 1);

  // Going on makes the tail as redundant as everything else, before anything new is written.
  StartAfter(*contents);
  for (int keep = 0; keep < 4; ++keep) {
    for (int other = keep + 1; other < 4; ++other) {
      absent_ = {keep, other};
      OpenDisks();
      ExpectReadable();
    }
  }
}

TEST_F(JournalDamage, ATornTailIsNotDamage) {
  Format(2, 1, 3);
  Start();
  MustAppend(2);
  const std::string name = Newest();
  const auto holders = Holders(name);
  const ByteVector before = Bytes(holders[0], name);
  MustAppend(1, 20000);
  acknowledged_ = 2;  // as if that call had never returned
  for (int holder : holders) {
    ByteVector torn = Bytes(holder, name);
    std::copy(before.begin() + 12288, before.end(), torn.begin() + 12288);
    Overwrite(holder, name, torn);
  }
  OpenDisks();
  auto contents = Read();
  ASSERT_TRUE(contents.ok()) << contents.error().message();
  EXPECT_EQ(LastOf(*contents), 2u);
  EXPECT_EQ(BadReplicas(*contents), 0);
  EXPECT_EQ(CountOf(contents->findings, FindingKind::kJournalUnclean, Severity::kNote), 1);
  Restart();
  MustAppend(5);
  Restart();
  EXPECT_EQ(appended_.size(), 7u);
}

TEST_F(JournalDamage, FlippedBitsInAnyOneReplicaAreFoundAndSurvived) {
  const std::uint64_t seed = SeedFromEnvironment(11);
  RandomChanges random(seed);
  for (int round = 0; round < 25; ++round) {
    SCOPED_TRACE(testing::Message() << "seed " << seed << " round " << round);
    Format(2, 1, 3);
    Start();
    for (int i = 0; i < 6; ++i) MustAppend(2, 6000);
    MustAppend(1);  // its frame says that all before it is everywhere
    journal_.reset();
    auto names = Objects(0);
    if (names.empty()) continue;
    const std::string name = names[random.Below(names.size())];
    auto bytes = Bytes(0, name);
    const std::uint64_t used = 30000;  // within what has been written of any segment
    ASSERT_TRUE(FlipBit(*Raw(0), name, random.Below(used), static_cast<int>(random.Below(8))).ok());
    OpenDisks();
    auto contents = Read();
    ASSERT_TRUE(contents.ok()) << contents.error().message();
    ExpectAcknowledged(*contents);
    Restart();
  }
}

TEST_F(JournalDamage, DamageAtDifferentPlacesOfEveryReplicaIsSurvived) {
  Format(2, 2, 4);
  Start();
  for (int i = 0; i < 8; ++i) MustAppend(1, 3000);
  const std::string name = Newest();
  const auto holders = Holders(name);
  // Frames are a block each: another one is broken on each replica, so that no replica is whole.
  for (std::size_t i = 0; i < holders.size(); ++i) {
    ASSERT_TRUE(FlipBit(*Raw(holders[i]), name, kJournalBlockBytes * (2 + i) + 777, 3).ok());
  }
  OpenDisks();
  auto contents = Read();
  ASSERT_TRUE(contents.ok()) << contents.error().message();
  ExpectAcknowledged(*contents);
  EXPECT_GE(BadReplicas(*contents), 3);
  Restart();
  absent_ = {holders[0], holders[1]};
  OpenDisks();
  ExpectReadable();
}

TEST_F(JournalDamage, AcknowledgedChangesBrokenOnEveryReplicaAreAnErrorNotAShorterHistory) {
  Format(2, 1, 3);
  Start();
  for (int i = 0; i < 5; ++i) MustAppend(1, 100);
  const std::string name = Newest();
  for (int holder : Holders(name)) {
    ASSERT_TRUE(FlipBit(*Raw(holder), name, kJournalBlockBytes * 2 + 99, 0).ok());
  }
  OpenDisks();
  auto contents = Read();
  ASSERT_FALSE(contents.ok());
  EXPECT_EQ(contents.error().code(), ErrorCode::kCorrupt);
  EXPECT_THAT(contents.error().message(), HasSubstr("lacks changes 2 to 4"));
  EXPECT_FALSE(Journal::Start(*disks_, uuid_, 50, std::nullopt, options_).ok());
}

TEST_F(JournalDamage, AGapBetweenSegmentsNamesTheMissingChanges) {
  Format(2, 1, 3);
  Start();
  MustAppend(3);
  const std::string first = Newest();
  Restart();
  MustAppend(4);
  const std::string second = Newest();
  Restart();
  MustAppend(2);
  ASSERT_NE(first, second);
  for (int holder : Holders(second)) ASSERT_TRUE(Raw(holder)->Remove(second).ok());
  OpenDisks();
  auto contents = Read();
  ASSERT_FALSE(contents.ok());
  EXPECT_EQ(contents.error().code(), ErrorCode::kCorrupt);
  EXPECT_THAT(contents.error().message(), HasSubstr("lacks changes 4 to 7"));
}

TEST_F(JournalDamage, ATailLostFromTheLastButOneSegmentIsAGapEvenIfTheLastIsEmpty) {
  Format(2, 1, 3);
  Start();
  MustAppend(3);
  const std::string first = Newest();
  MustAppend(1);
  Restart();
  for (int holder : Holders(first)) {
    ASSERT_TRUE(FlipBit(*Raw(holder), first, kJournalBlockBytes * 2 + 5, 0).ok());
  }
  OpenDisks();
  auto contents = Read();
  ASSERT_FALSE(contents.ok());
  EXPECT_THAT(contents.error().message(), HasSubstr("lacks changes 4 to 4"));
}

TEST_F(JournalDamage, AMissingReplicaIsFoundAndMadeAgain) {
  Format(2, 1, 4);
  Start();
  MustAppend(3);
  const std::string name = Newest();
  ASSERT_TRUE(Raw(Holders(name)[0])->Remove(name).ok());
  OpenDisks();
  auto contents = Read();
  ASSERT_TRUE(contents.ok());
  EXPECT_EQ(BadReplicas(*contents), 1);
  Restart();
  EXPECT_EQ(Holders(name).size(), 2u);
  contents = Read();
  ASSERT_TRUE(contents.ok());
  EXPECT_EQ(BadReplicas(*contents), 0);
}

TEST_F(JournalDamage, AZeroedOrForeignObjectIsNeverTakenForHistory) {
  Format(2, 1, 3);
  Start();
  MustAppend(3);
  const std::string name = Newest();
  const auto holders = Holders(name);
  const ByteVector mine = Bytes(holders[0], name);
  // Zeroed on one disk.
  Overwrite(holders[0], name, ByteVector(mine.size()));
  OpenDisks();
  ExpectReadable();
  // The same segment under another number.
  Overwrite(holders[0], name, mine);
  Overwrite(holders[1], JournalObjectName(99), mine);
  OpenDisks();
  auto contents = Read();
  ASSERT_TRUE(contents.ok()) << contents.error().message();
  EXPECT_EQ(contents->last_sequence, 99u);
  EXPECT_EQ(LastOf(*contents), 3u);
  EXPECT_EQ(BadReplicas(*contents), 1);
  ASSERT_TRUE(Raw(holders[1])->Remove(JournalObjectName(99)).ok());

  // A segment of another volume.
  auto ours = std::move(platters_);
  Format(2, 1, 3);
  Start();
  MustAppend(50, 1000);
  const ByteVector theirs = Bytes(Holders(JournalObjectName(1))[0], JournalObjectName(1));
  journal_.reset();
  disks_.reset();
  platters_ = std::move(ours);
  Overwrite(holders[0], JournalObjectName(7), theirs);
  OpenDisks();
  contents = Read();
  ASSERT_TRUE(contents.ok());
  EXPECT_EQ(LastOf(*contents), 3u);
  EXPECT_EQ(BadReplicas(*contents), 1);
  EXPECT_THAT(contents->findings[0].what, HasSubstr("belongs to volume"));
}

TEST_F(JournalDamage, FramesOfARecycledObjectAreNeverTakenForNewOnes) {
  Format(2, 1, 3);
  Start();
  MustAppend(1);
  const std::string name = Newest();
  const auto holders = Holders(name);
  const ByteVector old_object = Bytes(holders[0], name);
  journal_.reset();
  // The same number and the same LSNs again, over what the object held before.
  for (int disk = 0; disk < 3; ++disk) {
    for (const std::string& object : Objects(disk)) ASSERT_TRUE(Raw(disk)->Remove(object).ok());
  }
  appended_.clear();
  acknowledged_ = 0;
  OpenDisks();
  Start();
  ASSERT_EQ(Newest(), name);
  for (int holder : Holders(name)) {
    ByteVector mixed = Bytes(holder, name);
    std::copy(old_object.begin() + kJournalBlockBytes, old_object.end(),
              mixed.begin() + kJournalBlockBytes);
    Overwrite(holder, name, mixed);
  }
  OpenDisks();
  auto contents = Read();
  ASSERT_TRUE(contents.ok()) << contents.error().message();
  EXPECT_TRUE(contents->changes.empty());
}

TEST_F(JournalDamage, BrokenHeadersEverywhereAreAnError) {
  Format(2, 1, 3);
  Start();
  MustAppend(3);
  const std::string name = Newest();
  for (int holder : Holders(name)) ASSERT_TRUE(FlipBit(*Raw(holder), name, 70, 0).ok());
  OpenDisks();
  auto contents = Read();
  ASSERT_FALSE(contents.ok());
  EXPECT_EQ(contents.error().code(), ErrorCode::kCorrupt);
}

TEST_F(JournalDamage, BrokenHeadersOfTheLastSegmentDoNotHideItsAcknowledgedChanges) {
  Format(2, 1, 3);
  Start();
  MustAppend(3);
  Restart();
  MustAppend(1);
  MustAppend(1);
  const std::string name = Newest();
  for (int holder : Holders(name)) ASSERT_TRUE(FlipBit(*Raw(holder), name, 70, 0).ok());
  OpenDisks();
  auto contents = Read();
  ASSERT_FALSE(contents.ok());
  EXPECT_THAT(contents.error().message(), HasSubstr("lacks changes 4 to 4"));
}

TEST_F(JournalDamage, ANewerFormatIsRefusedByName) {
  Format(2, 1, 3);
  Start();
  const std::string name = Newest();
  const int holder = Holders(name)[0];
  ByteVector bytes = Bytes(holder, name);
  bytes[8] = std::byte{9};  // the version; its checksum is made to fit
  const std::uint64_t before = Checksum(ByteSpan(bytes).first(80));
  const std::uint64_t checksum = Checksum(ByteSpan(bytes).subspan(88, 4096 - 88), before);
  for (std::size_t i = 0; i < 8; ++i) bytes[80 + i] = static_cast<std::byte>(checksum >> (8 * i));
  Overwrite(holder, name, bytes);
  OpenDisks();
  auto contents = Read();
  ASSERT_FALSE(contents.ok());
  EXPECT_EQ(contents.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(contents.error().message(), HasSubstr("format 9"));
}

TEST_F(JournalDamage, MoreDisksAbsentThanParityIsSaid) {
  Format(1, 1, 4);
  Start();
  MustAppend(2);
  for (int disk : Holders(Newest())) absent_.insert(disk);
  OpenDisks();
  auto contents = Read();
  ASSERT_TRUE(contents.ok());
  EXPECT_EQ(CountOf(contents->findings, FindingKind::kJournalReplicaBad, Severity::kLost), 1);
}

}  // namespace
}  // namespace varve
