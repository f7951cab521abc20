#include "tests/store/catalog/catalog_fixture.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <set>

#include "tests/support/memory_disk.h"

namespace varve {

std::uint64_t TestSeed() {
  const char* given = std::getenv("VARVE_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::cout << "VARVE_SEED=" << seed << std::endl;
  return seed;
}

CatalogIdentity TestIdentity() {
  CatalogIdentity identity;
  identity.volume_uuid = *Uuid::Parse("12345678-1234-4234-8234-123456789abc");
  identity.generation = 3;
  return identity;
}

InodeAttributes FileAttributes(BodyId body, std::uint64_t size) {
  InodeAttributes attributes;
  attributes.mode = S_IFREG | 0644;
  attributes.uid = 1000;
  attributes.gid = 1000;
  attributes.nlink = 1;
  attributes.size = size;
  attributes.atime_ns = 1'700'000'000'123'456'789;
  attributes.mtime_ns = 1'700'000'001'123'456'789;
  attributes.ctime_ns = -5;
  attributes.birth_ns = 1'600'000'000'000'000'000;
  attributes.body = body;
  attributes.parent = kRootInode;
  return attributes;
}

Change MakeChange(std::uint64_t lsn, std::vector<Operation> operations) {
  Change change;
  change.lsn = Lsn(lsn);
  change.time_ns = static_cast<TimeNs>(lsn) * 1000;
  change.kind = ChangeKind::kCreate;
  change.operations = std::move(operations);
  return change;
}

Piece RestPiece(StripeId stripe, std::uint32_t chunk_offset, std::uint32_t length,
                std::uint32_t raw_offset) {
  Piece piece;
  piece.chunk_offset = chunk_offset;
  piece.length = length;
  piece.raw_offset = raw_offset;
  if (stripe) {
    piece.extent.stripe = stripe;
    piece.extent.raw_bytes = kChunkBytes;
    piece.extent.stored_bytes = kChunkBytes;
    piece.extent.checksum = stripe.value * 77;
  } else {
    piece.raw_offset = 0;
  }
  return piece;
}

StripeDescriptor TestStripe(StripeId id) {
  StripeDescriptor stripe;
  stripe.id = id;
  stripe.data = 2;
  stripe.parity = 1;
  stripe.fragment_bytes = 8 * kFragmentAlign;
  stripe.file_offset = kFragmentAlign * (1 + 8 * std::uint64_t{id.index()});
  stripe.epoch = Epoch(1);
  stripe.checksums = {id.value, 2, 3};
  return stripe;
}

std::vector<const Change*> Pointers(const std::vector<Change>& changes, std::size_t first,
                                    std::size_t count) {
  std::vector<const Change*> pointers;
  for (std::size_t i = first; i < first + count && i < changes.size(); ++i) {
    pointers.push_back(&changes[i]);
  }
  return pointers;
}

ModelState::Cells CellsOf(const PieceList& pieces) {
  ModelState::Cells cells{};
  for (const Piece& piece : pieces) {
    const ExtentRef extent = piece.pending != nullptr ? *piece.pending->place() : piece.extent;
    for (std::uint32_t done = 0; done < piece.length; done += ModelState::kCellBytes) {
      cells[(piece.chunk_offset + done) / ModelState::kCellBytes] = {extent.stripe.value,
                                                                     piece.raw_offset + done};
    }
  }
  return cells;
}

void ModelState::Do(const Change& change, const std::vector<ModelState>& states) {
  time_ns = change.time_ns;
  const auto lay = [this](std::uint64_t body, ChunkIndex chunk, const PieceList& pieces) {
    Cells cells = chunks[{body, chunk}];
    const Cells over = CellsOf(pieces);
    for (const Piece& piece : pieces) {
      for (std::uint32_t at = piece.chunk_offset; at < piece.end(); at += kCellBytes) {
        cells[at / kCellBytes] = piece.IsHole() ? Cell{} : over[at / kCellBytes];
      }
    }
    chunks[{body, chunk}] = cells;
    if (cells == Cells{}) chunks.erase({body, chunk});
  };
  for (const Operation& operation : change.operations) {
    if (const auto* put = std::get_if<PutInode>(&operation)) {
      inodes[put->inode.value] = put->attributes;
    } else if (const auto* gone = std::get_if<RemoveInode>(&operation)) {
      inodes.erase(gone->inode.value);
    } else if (const auto* entry = std::get_if<PutEntry>(&operation)) {
      entries[{entry->parent.value, entry->entry.name}] = entry->entry;
    } else if (const auto* removed = std::get_if<RemoveEntry>(&operation)) {
      entries.erase({removed->parent.value, removed->name});
    } else if (const auto* xattr = std::get_if<PutXattr>(&operation)) {
      xattrs[{xattr->inode.value, xattr->name}] = xattr->value;
    } else if (const auto* no_xattr = std::get_if<RemoveXattr>(&operation)) {
      xattrs.erase({no_xattr->inode.value, no_xattr->name});
    } else if (const auto* write = std::get_if<WriteChunk>(&operation)) {
      lay(write->body.value, write->chunk, write->pieces);
    } else if (const auto* whole = std::get_if<PutChunk>(&operation)) {
      chunks.erase({whole->body.value, whole->chunk});
      lay(whole->body.value, whole->chunk, whole->pieces);
    } else if (const auto* clone = std::get_if<CloneChunks>(&operation)) {
      const auto before = clone->at ? states.at(clone->at.value).chunks : chunks;
      for (std::uint64_t i = 0; i < clone->count; ++i) {
        chunks.erase({clone->to.value, clone->to_first + i});
        const auto source = before.find({clone->from.value, clone->from_first + i});
        if (source == before.end()) continue;
        chunks[{clone->to.value, clone->to_first + i}] = source->second;
      }
    } else if (const auto* cut = std::get_if<CutChunks>(&operation)) {
      std::erase_if(chunks, [&](const auto& item) {
        return item.first.first == cut->body.value && item.first.second >= cut->first;
      });
    }
  }
}

const Change& RandomHistory::Next() {
  std::vector<Operation> operations;
  for (std::uint64_t left = 1 + Pick(4); left > 0; --left) operations.push_back(RandomOperation());
  Change change = MakeChange(changes_.size() + 1, std::move(operations));
  // Some changes share their time with the one before.
  change.time_ns = states_.back().time_ns + static_cast<TimeNs>(Pick(3));
  change.kind = static_cast<ChangeKind>(Pick(16));
  changes_.push_back(std::move(change));
  ModelState state = states_.back();
  state.Do(changes_.back(), states_);
  states_.push_back(std::move(state));
  return changes_.back();
}

PieceList RandomHistory::RandomPieces(bool with_pending) {
  PieceList pieces;
  std::uint32_t at = 0;
  while (at < 16) {
    at += static_cast<std::uint32_t>(Pick(6));
    const auto cells = static_cast<std::uint32_t>(1 + Pick(5));
    if (at + cells > 16) break;
    const StripeId stripe(Pick(5) == 0 ? 0 : 1 + Pick(1'000'000));
    const auto raw_offset = static_cast<std::uint32_t>(Pick(16 - cells + 1)) * 4096;
    Piece piece = RestPiece(stripe, at * 4096, cells * 4096, raw_offset);
    if (with_pending && stripe && Pick(2) == 0) {
      piece.pending = std::make_shared<PendingExtent>(ByteVector(kChunkBytes));
      piece.pending->SetPlace(piece.extent);
      piece.extent = {};
    }
    pieces.push_back(std::move(piece));
    at += cells;
  }
  if (pieces.empty()) pieces.push_back(RestPiece(StripeId(9), 0, 4096, 0));
  return pieces;
}

Operation RandomHistory::RandomOperation() {
  const InodeId inode(1 + Pick(kInodes));
  const InodeId directory(1 + Pick(kDirectories));
  const BodyId body(1 + Pick(kBodies));
  // A leading zero byte less likely sorts right by luck, and names are bytes, not text.
  const std::string name = "n\xff" + std::to_string(Pick(kNames));
  const std::string xattr = "user.x" + std::to_string(Pick(kXattrs));
  switch (Pick(12)) {
    case 0:
    case 1: {
      InodeAttributes attributes = FileAttributes(body, Pick(1'000'000));
      attributes.nlink = static_cast<std::uint32_t>(Pick(3));
      attributes.target = Pick(4) == 0 ? "to/" + name : "";
      if (Pick(3) == 0) attributes.body = BodyId();
      attributes.sparse = Pick(2) == 0;
      return PutInode{inode, attributes};
    }
    case 2:
      return RemoveInode{inode};
    case 3:
    case 4:
      return PutEntry{directory, Entry{name, inode, S_IFREG, next_cookie_++}};
    case 5:
      return RemoveEntry{directory, name};
    case 6:
      return PutXattr{inode, xattr, std::string(Pick(3) == 0 ? 0 : Pick(20'000), 'v')};
    case 7:
      return RemoveXattr{inode, xattr};
    case 8:
      return PutChunk{body, Pick(kChunks), RandomPieces(false)};
    case 9: {
      const std::uint64_t count = 1 + Pick(kChunks / 2);
      const Lsn at(Pick(2) == 0 ? 0 : Pick(states_.size()));
      return CloneChunks{
          body, at, Pick(kChunks / 2), BodyId(1 + body.value % kBodies), Pick(kChunks / 2), count};
    }
    case 10:
      if (Pick(3) == 0) return CutChunks{body, Pick(kChunks)};
      [[fallthrough]];
    default:
      return WriteChunk{body, Pick(kChunks), RandomPieces(true)};
  }
}

namespace {

std::vector<Entry> ModelListing(const ModelState& state, std::uint64_t parent) {
  std::vector<Entry> entries;
  for (const auto& [key, entry] : state.entries) {
    if (key.first == parent) entries.push_back(entry);
  }
  return entries;  // by name
}

std::vector<Entry> ByCookie(std::vector<Entry> entries) {
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.cookie < b.cookie; });
  return entries;
}

// The directory as of `at`, by name; and if that is the present, its listing by cookie.
void ExpectListing(Catalog& catalog, InodeId parent, Lsn at, const std::vector<Entry>& expected) {
  std::vector<Entry> listed;
  for (std::string after;;) {
    const auto page = catalog.ListThen(parent, after, 3, at);
    ASSERT_TRUE(page.ok()) << page.error().message();
    listed.insert(listed.end(), page->begin(), page->end());
    if (page->size() < 3) break;
    after = page->back().name;
  }
  EXPECT_EQ(listed, expected) << "directory " << parent.value;
  if (at != kLsnNow) return;
  listed.clear();
  for (Cookie after = 0;;) {
    const auto page = catalog.List(parent, after, 3);
    ASSERT_TRUE(page.ok()) << page.error().message();
    listed.insert(listed.end(), page->begin(), page->end());
    if (page->size() < 3) break;
    after = page->back().cookie;
  }
  EXPECT_EQ(listed, ByCookie(expected)) << "directory " << parent.value;
}

void ExpectTree(Catalog& catalog, Lsn at, const ModelState& state) {
  for (std::uint64_t i = 1; i <= RandomHistory::kInodes; ++i) {
    const auto inode = catalog.GetInode(InodeId(i), at);
    ASSERT_TRUE(inode.ok()) << inode.error().message();
    const auto expected = state.inodes.find(i);
    ASSERT_EQ(inode->has_value(), expected != state.inodes.end()) << "inode " << i;
    if (inode->has_value()) {
      EXPECT_EQ(**inode, expected->second) << "inode " << i;
    }
  }
  for (std::uint64_t parent = 1; parent <= RandomHistory::kDirectories; ++parent) {
    ExpectListing(catalog, InodeId(parent), at, ModelListing(state, parent));
    for (std::uint64_t n = 0; n < RandomHistory::kNames; ++n) {
      const std::string name = "n\xff" + std::to_string(n);
      const auto entry = catalog.Lookup(InodeId(parent), name, at);
      ASSERT_TRUE(entry.ok()) << entry.error().message();
      const auto found = state.entries.find({parent, name});
      ASSERT_EQ(entry->has_value(), found != state.entries.end());
      if (!entry->has_value()) continue;
      EXPECT_EQ(**entry, found->second);
      const auto back = catalog.NameOf(InodeId(parent), found->second.inode, at);
      ASSERT_TRUE(back.ok() && back->has_value());
      EXPECT_EQ((state.entries.at({parent, **back}).inode), found->second.inode);
    }
  }
}

void ExpectBodies(Catalog& catalog, Lsn at, const ModelState& state) {
  for (std::uint64_t body = 1; body <= RandomHistory::kBodies; ++body) {
    std::map<std::uint64_t, ModelState::Cells> expected;
    for (const auto& [key, cells] : state.chunks) {
      if (key.first == body) expected[key.second] = cells;
    }
    const ChunkIndex first = at.value % 7;
    const ChunkIndex last = at.value % 2 == 0 ? ~0ULL : 30;
    const auto chunks = catalog.Chunks(BodyId(body), first, last, at);
    ASSERT_TRUE(chunks.ok()) << chunks.error().message();
    std::map<std::uint64_t, ModelState::Cells> read;
    ChunkIndex previous = 0;
    for (const auto& [chunk, pieces] : *chunks) {
      EXPECT_TRUE(read.empty() || chunk > previous);
      previous = chunk;
      read[chunk] = CellsOf(pieces);
    }
    std::map<std::uint64_t, ModelState::Cells> in_range(expected.lower_bound(first),
                                                        expected.upper_bound(last));
    EXPECT_EQ(read, in_range) << "body " << body;
    for (ChunkIndex from = 0; from < RandomHistory::kChunks + 2; from += 3) {
      const auto next = catalog.NextChunk(BodyId(body), from, at);
      ASSERT_TRUE(next.ok()) << next.error().message();
      const auto found = expected.lower_bound(from);
      ASSERT_EQ(next->has_value(), found != expected.end());
      if (next->has_value()) {
        EXPECT_EQ(**next, found->first);
      }
    }
  }
}

void ExpectXattrs(Catalog& catalog, Lsn at, const ModelState& state) {
  for (std::uint64_t inode = 1; inode <= RandomHistory::kInodes; ++inode) {
    std::set<std::string> expected;
    for (std::uint64_t x = 0; x < RandomHistory::kXattrs; ++x) {
      const std::string name = "user.x" + std::to_string(x);
      const auto value = catalog.GetXattr(InodeId(inode), name, at);
      ASSERT_TRUE(value.ok()) << value.error().message();
      const auto found = state.xattrs.find({inode, name});
      ASSERT_EQ(value->has_value(), found != state.xattrs.end());
      if (!value->has_value()) continue;
      EXPECT_EQ(**value, found->second);
      expected.insert(name);
    }
    const auto names = catalog.ListXattrs(InodeId(inode), at);
    ASSERT_TRUE(names.ok()) << names.error().message();
    EXPECT_EQ(std::set<std::string>(names->begin(), names->end()), expected);
    EXPECT_EQ(names->size(), expected.size());
  }
}

}  // namespace

void ExpectState(Catalog& catalog, Lsn at, const ModelState& state) {
  SCOPED_TRACE("as of " + std::to_string(at.value));
  ExpectTree(catalog, at, state);
  ExpectBodies(catalog, at, state);
  ExpectXattrs(catalog, at, state);
}

std::uint64_t DigestOf(const std::vector<Change>& changes, std::size_t count) {
  auto catalog = Catalog::Create(std::make_shared<MemoryDisk>(), TestIdentity(), {});
  EXPECT_TRUE(catalog.ok());
  EXPECT_TRUE((*catalog)->Apply(Pointers(changes, 0, count)).ok());
  return *(*catalog)->ComputeDigest();
}

}  // namespace varve
