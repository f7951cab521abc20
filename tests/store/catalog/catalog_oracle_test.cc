// The catalog against a model that remembers every state.
#include <gtest/gtest.h>

#include <set>

#include "tests/store/catalog/catalog_fixture.h"
#include "tests/support/memory_disk.h"

namespace varve {
namespace {

TEST(CatalogOracle, EveryMomentReadsAsItWasWritten) {
  const std::uint64_t seed = TestSeed();
  RandomHistory history(seed);
  auto disk = std::make_shared<MemoryDisk>();
  auto catalog = Catalog::Create(disk, TestIdentity(), {});
  ASSERT_TRUE(catalog.ok()) << catalog.error().message();

  for (int round = 0; round < 60; ++round) {
    const std::size_t before = history.changes().size();
    for (std::uint64_t left = 1 + history.Pick(16); left > 0; --left) history.Next();
    // Some of what is applied already comes again, as a replay brings it.
    const std::size_t again = history.Pick(before + 1) / 4;
    const auto batch = Pointers(history.changes(), before - again, history.changes().size());
    const auto applied = (*catalog)->Apply(batch);
    ASSERT_TRUE(applied.ok()) << applied.error().message();
    const std::size_t last = history.changes().size();
    ASSERT_EQ((*catalog)->applied_lsn(), Lsn(last));
    EXPECT_EQ((*catalog)->applied_time_ns(), history.states()[last].time_ns);
    if (history.Pick(5) == 0) {
      ASSERT_TRUE((*catalog)->FoldLog().ok());
    }
    if (history.Pick(8) == 0) {
      catalog->reset();
      catalog = Catalog::Open(disk, TestIdentity(), {});
      ASSERT_TRUE(catalog.ok()) << catalog.error().message();
      ASSERT_EQ((*catalog)->applied_lsn(), Lsn(last));
    }
    ExpectState(**catalog, kLsnNow, history.states()[last]);
    for (int i = 0; i < 3; ++i) {
      const std::size_t at = history.Pick(last + 1);
      ExpectState(**catalog, Lsn(at), history.states()[at]);
    }
    if (HasFailure()) return;
  }
  const auto problems = (*catalog)->CheckIntegrity();
  ASSERT_TRUE(problems.ok()) << problems.error().message();
  EXPECT_EQ(*problems, std::vector<std::string>());
}

TEST(CatalogOracle, BatchesDoNotMatterForTheResult) {
  RandomHistory history(TestSeed());
  for (int i = 0; i < 300; ++i) history.Next();
  std::vector<std::uint64_t> digests;
  for (const std::size_t batch : {1u, 7u, 300u}) {
    auto catalog = Catalog::Create(std::make_shared<MemoryDisk>(), TestIdentity(), {});
    ASSERT_TRUE(catalog.ok()) << catalog.error().message();
    for (std::size_t i = 0; i < 300; i += batch) {
      ASSERT_TRUE((*catalog)->Apply(Pointers(history.changes(), i, batch)).ok());
    }
    const auto digest = (*catalog)->ComputeDigest();
    ASSERT_TRUE(digest.ok()) << digest.error().message();
    digests.push_back(*digest);
    ExpectState(**catalog, Lsn(150), history.states()[150]);
  }
  EXPECT_EQ(digests[0], digests[1]);
  EXPECT_EQ(digests[0], digests[2]);

  auto shorter = Catalog::Create(std::make_shared<MemoryDisk>(), TestIdentity(), {});
  ASSERT_TRUE(shorter.ok());
  ASSERT_TRUE((*shorter)->Apply(Pointers(history.changes(), 0, 299)).ok());
  EXPECT_NE(*(*shorter)->ComputeDigest(), digests[0]);
}

TEST(CatalogOracle, HistoryListsEveryVersionAndOrphansAreThoseWithoutLinks) {
  RandomHistory history(TestSeed());
  for (int i = 0; i < 250; ++i) history.Next();
  auto catalog = Catalog::Create(std::make_shared<MemoryDisk>(), TestIdentity(), {});
  ASSERT_TRUE(catalog.ok());
  for (std::size_t i = 0; i < 250; i += 10) {
    ASSERT_TRUE((*catalog)->Apply(Pointers(history.changes(), i, 10)).ok());
    std::vector<InodeId> expected;
    for (const auto& [inode, attributes] : history.states()[i + 10].inodes) {
      if (attributes.nlink == 0) expected.emplace_back(inode);
    }
    const auto orphans = (*catalog)->Orphans();
    ASSERT_TRUE(orphans.ok());
    ASSERT_EQ(*orphans, expected) << "after " << i + 10;
  }
  for (std::uint64_t i = 1; i <= RandomHistory::kInodes; ++i) {
    const auto versions = (*catalog)->InodeHistory(InodeId(i));
    ASSERT_TRUE(versions.ok());
    for (const InodeVersion& version : *versions) {
      const auto& inodes = history.states()[version.from.value].inodes;
      const auto found = inodes.find(i);
      ASSERT_EQ(version.attributes.has_value(), found != inodes.end());
      if (version.attributes) {
        EXPECT_EQ(*version.attributes, found->second);
      }
    }
  }
  std::uint64_t versions_seen = 0;
  for (std::uint64_t n = 0; n < RandomHistory::kNames; ++n) {
    const std::string name = "n\xff" + std::to_string(n);
    const auto versions = (*catalog)->EntryHistory(kRootInode, name);
    ASSERT_TRUE(versions.ok());
    for (const EntryVersion& version : *versions) {
      ++versions_seen;
      const auto& entries = history.states()[version.from.value].entries;
      const auto found = entries.find({1, name});
      ASSERT_EQ(version.entry.has_value(), found != entries.end());
      if (version.entry) {
        EXPECT_EQ(*version.entry, found->second);
      }
    }
  }
  EXPECT_GT(versions_seen, 20u);
}

TEST(CatalogOracle, CommitsSayWhatTheyTouched) {
  RandomHistory history(TestSeed());
  for (int i = 0; i < 600; ++i) history.Next();
  CatalogOptions options;
  options.readers = 1;  // a visitor that asks the catalog must not wait for itself
  auto catalog = Catalog::Create(std::make_shared<MemoryDisk>(), TestIdentity(), options);
  ASSERT_TRUE(catalog.ok());
  ASSERT_TRUE((*catalog)->Apply(Pointers(history.changes(), 0, 600)).ok());

  std::uint64_t next = 600;
  const auto visited =
      (*catalog)->ForEachCommit(kLsnFirst, kLsnNow, Catalog::Order::kNewestFirst,
                                [&](const CommitRecord& commit) -> Result<bool> {
                                  EXPECT_EQ(commit.lsn, Lsn(next));
                                  const Change& change = history.changes()[next - 1];
                                  EXPECT_EQ(commit.kind, change.kind);
                                  EXPECT_EQ(commit.time_ns, change.time_ns);
                                  std::set<std::uint64_t> inodes;
                                  std::set<std::pair<std::uint64_t, std::string>> entries;
                                  std::set<std::pair<std::uint64_t, std::uint64_t>> chunks;
                                  std::set<std::pair<std::uint64_t, std::uint64_t>> cuts;
                                  for (const Operation& op : change.operations) {
                                    if (const auto* a = std::get_if<PutInode>(&op))
                                      inodes.insert(a->inode.value);
                                    if (const auto* b = std::get_if<RemoveInode>(&op))
                                      inodes.insert(b->inode.value);
                                    if (const auto* c = std::get_if<PutEntry>(&op)) {
                                      entries.insert({c->parent.value, c->entry.name});
                                    }
                                    if (const auto* d = std::get_if<RemoveEntry>(&op))
                                      entries.insert({d->parent.value, d->name});
                                    if (const auto* e = std::get_if<WriteChunk>(&op))
                                      chunks.insert({e->body.value, e->chunk});
                                    if (const auto* f = std::get_if<PutChunk>(&op))
                                      chunks.insert({f->body.value, f->chunk});
                                    if (const auto* g = std::get_if<CutChunks>(&op))
                                      cuts.insert({g->body.value, g->first});
                                    if (const auto* h = std::get_if<CloneChunks>(&op))
                                      cuts.insert({h->to.value, h->to_first});
                                  }
                                  EXPECT_EQ(commit.inodes.size(), inodes.size());
                                  for (const InodeId inode : commit.inodes)
                                    EXPECT_TRUE(inodes.contains(inode.value));
                                  EXPECT_EQ(commit.entries.size(), entries.size());
                                  for (const auto& entry : commit.entries) {
                                    EXPECT_TRUE(entries.contains({entry.parent.value, entry.name}));
                                  }
                                  EXPECT_EQ(commit.chunks.size(), chunks.size());
                                  for (const auto& chunk : commit.chunks) {
                                    EXPECT_TRUE(chunks.contains({chunk.first.value, chunk.second}));
                                  }
                                  EXPECT_EQ(commit.cuts.size(), cuts.size());
                                  EXPECT_TRUE((*catalog)->TimeOf(commit.lsn).ok());
                                  --next;
                                  return true;
                                });
  ASSERT_TRUE(visited.ok()) << visited.error().message();
  EXPECT_EQ(next, 0u);

  std::vector<std::uint64_t> some;
  ASSERT_TRUE((*catalog)
                  ->ForEachCommit(Lsn(300), Lsn(900), Catalog::Order::kOldestFirst,
                                  [&](const CommitRecord& commit) -> Result<bool> {
                                    some.push_back(commit.lsn.value);
                                    return some.size() < 280;
                                  })
                  .ok());
  EXPECT_EQ(some.size(), 280u);
  EXPECT_EQ(some.front(), 300u);
  EXPECT_EQ(some.back(), 579u);
}

}  // namespace
}  // namespace varve
