// varve fsck, in process, over directories.
#include "tools/fsck.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/filesystem.hpp>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "store/disk/posix_disk.h"
#include "store/log/fragment.h"
#include "tests/support/changes.h"
#include "tests/support/temp_directory.h"
#include "tests/support/volume_fixture.h"

namespace varve {
namespace {

namespace bfs = boost::filesystem;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string RandomText(std::mt19937_64& random, std::size_t size) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

std::string ReadFileWhole(const bfs::path& path) {
  std::ifstream in(path.string(), std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// Every file and directory below, with its content and its time of change.
std::map<std::string, std::string> ContentsOf(const std::string& root) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : bfs::recursive_directory_iterator(root)) {
    std::string& content = contents[entry.path().string()];
    content = std::to_string(bfs::last_write_time(entry.path())) + ":";
    if (bfs::is_regular_file(entry.path())) content += ReadFileWhole(entry.path());
  }
  return contents;
}

class Fsck : public testing::Test {
 protected:
  static constexpr int kDisks = 6;

  Fsck() : options_(SmallVolumeOptions(clock_)) {
    options_.inline_limit_bytes = 0;
    options_.findings = [](const Finding&) {};
  }

  std::string DiskPath(int slot) const { return root_ / ("disk" + std::to_string(slot)); }

  std::vector<std::unique_ptr<Disk>> OpenAll() {
    std::vector<std::unique_ptr<Disk>> disks;
    for (int slot = 0; slot < kDisks; ++slot) {
      bfs::create_directories(DiskPath(slot));
      auto disk = OpenPosixDisk(DiskPath(slot), DiskAccess::kReadWrite);
      EXPECT_TRUE(disk.ok()) << disk.error().message();
      disks.push_back(*std::move(disk));
    }
    return disks;
  }

  // Opens over what is there, `without` some slots and with others' `extra` paths.
  std::unique_ptr<Volume> OpenVolume(const std::set<int>& without = {},
                                     const std::vector<std::string>& extra = {}) {
    std::vector<std::unique_ptr<Disk>> disks;
    const auto open = [&](const std::string& path) {
      auto disk = OpenPosixDisk(path, DiskAccess::kReadWrite);
      EXPECT_TRUE(disk.ok()) << disk.error().message();
      if (disk.ok()) disks.push_back(*std::move(disk));
    };
    for (int slot = 0; slot < kDisks; ++slot) {
      if (!without.contains(slot)) open(DiskPath(slot));
    }
    for (const std::string& path : extra) open(path);
    auto set = DiskSet::Assemble(std::move(disks));
    EXPECT_TRUE(set.ok()) << set.error().message();
    if (!set.ok()) return nullptr;
    auto volume = Volume::Open(*std::move(set), options_);
    EXPECT_TRUE(volume.ok()) << volume.error().message();
    return volume.ok() ? *std::move(volume) : nullptr;
  }

  void Format() {
    FormatOptions format;
    format.geometry = {4, 2};
    format.volume_name = "test";
    const Status formatted = Volume::Format(OpenAll(), format, RootOwner{}, options_);
    ASSERT_TRUE(formatted.ok()) << formatted.error().message();
  }

  void WriteVersion(Volume& volume, const TestFile& file, const std::string& name) {
    clock_.Advance(kNsPerSecond);
    const std::string text = RandomText(random_, 4 * kChunkBytes);
    const auto lsn = WriteFile(volume, file, text);
    ASSERT_TRUE(lsn.ok()) << lsn.error().message();
    ASSERT_TRUE(volume.Sync(*lsn).ok());
    versions_.push_back({name, *lsn, text});
  }

  void Fill(Volume& volume) {
    for (const std::string name : {"alpha", "beta"}) {
      auto file = CreateFile(volume, name);
      ASSERT_TRUE(file.ok());
      for (int version = 0; version < 3; ++version) WriteVersion(volume, *file, name);
    }
  }

  void MakeVolume() {
    Format();
    auto volume = OpenVolume();
    ASSERT_NE(volume, nullptr);
    Fill(*volume);
    ASSERT_TRUE(volume->Close().ok());
    catalog_slot_ = volume->status().label.catalog_slot.value;
  }

  // A slot beside that of the catalog.
  int Beside(int steps) const { return (catalog_slot_ + steps) % kDisks; }

  void ExpectEverythingReadable(Volume& volume) {
    for (const Version& version : versions_) {
      auto view = volume.At(version.lsn);
      ASSERT_TRUE(view.ok()) << view.error().message();
      EXPECT_TRUE(ContentOf(*view, version.name) == version.text) << version.name;
    }
  }

  // Where the newest version of a file lies: fragments with their places.
  std::vector<StripeLocation> StripesOf(std::size_t version) {
    std::vector<StripeLocation> found;
    auto volume = OpenVolume();
    const Version& wanted = versions_.at(version);
    auto view = volume->At(wanted.lsn);
    EXPECT_TRUE(view.ok());
    const auto entry = view->Lookup(kRootInode, wanted.name);
    const auto inode = view->GetInode((*entry)->inode);
    std::set<StripeId> stripes;
    for (const ChunkIndex chunk : {0, 1, 2, 3}) {
      const auto pieces = view->GetChunk((*inode)->body, chunk);
      EXPECT_TRUE(pieces.ok());
      for (const Piece& piece : *pieces) stripes.insert(piece.extent.stripe);
    }
    for (const StripeId id : stripes) {
      const auto stripe = volume->catalog()->GetStripe(id);
      const auto segment = volume->catalog()->GetSegment(id.segment());
      EXPECT_TRUE(stripe.ok() && stripe->has_value() && segment.ok() && segment->has_value());
      found.push_back({**segment, **stripe});
    }
    EXPECT_TRUE(volume->Close().ok());
    return found;
  }

  void Damage(const StripeLocation& location, int column) {
    const DiskIndex slot = DiskOfColumn(location, column);
    const std::string path = DiskPath(slot.value) + "/" + SegmentObjectName(location.segment.id);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    ASSERT_TRUE(file.good()) << path;
    const auto at = static_cast<std::streamoff>(location.stripe.file_offset);
    // The whole fragment, so that no range of it is of use.
    file.seekp(at);
    const std::string garbage(location.stripe.fragment_bytes, 'x');
    file.write(garbage.data(), static_cast<std::streamsize>(garbage.size()));
  }

  int Run(const Args& args, const FsckPrompt& ask = {}) {
    std::ostringstream out;
    std::ostringstream err;
    Io io{out, err};
    const int status = RunFsckWithPrompt(args, io, ask);
    out_ = out.str();
    err_ = err.str();
    return status;
  }
  Args All(Args args) const {
    for (int slot = 0; slot < kDisks; ++slot) args.push_back(DiskPath(slot));
    return args;
  }

  struct Version {
    std::string name;
    Lsn lsn;
    std::string text;
  };
  TempDirectory root_;
  SteppingClock clock_;
  VolumeOptions options_;
  std::mt19937_64 random_{42};
  std::vector<Version> versions_;
  int catalog_slot_ = 0;
  std::string out_;
  std::string err_;
};

TEST_F(Fsck, DryRunChangesNoByteOfAHealthyVolume) {
  MakeVolume();
  const auto before = ContentsOf(root_.path());
  EXPECT_EQ(Run(All({"-n"})), kFsckOk) << out_ << err_;
  EXPECT_THAT(out_, HasSubstr("clean"));
  EXPECT_EQ(Run(All({"-n", "--deep"})), kFsckOk) << out_ << err_;
  EXPECT_TRUE(ContentsOf(root_.path()) == before);
}

TEST_F(Fsck, DryRunChangesNoByteOfAnUncleanVolume) {
  Format();
  auto volume = OpenVolume();
  ASSERT_NE(volume, nullptr);
  Fill(*volume);
  // As a kill -9 would leave it: a copy of the disks while the volume is open.
  for (int slot = 0; slot < kDisks; ++slot) {
    const std::string copy = root_ / ("copy" + std::to_string(slot));
    bfs::create_directory(copy);
    for (const auto& entry : bfs::recursive_directory_iterator(DiskPath(slot))) {
      const bfs::path to = copy / bfs::relative(entry.path(), DiskPath(slot));
      if (bfs::is_directory(entry.path())) {
        bfs::create_directories(to);
      } else {
        bfs::create_directories(to.parent_path());
        bfs::copy_file(entry.path(), to);
      }
    }
  }
  ASSERT_TRUE(volume->Close().ok());
  volume.reset();
  for (int slot = 0; slot < kDisks; ++slot) {
    bfs::remove_all(DiskPath(slot));
    bfs::rename(root_ / ("copy" + std::to_string(slot)), DiskPath(slot));
  }
  const auto before = ContentsOf(root_.path());
  EXPECT_EQ(Run(All({"-n"})), kFsckOk) << out_ << err_;
  EXPECT_TRUE(ContentsOf(root_.path()) == before);
  auto recovered = OpenVolume();
  ASSERT_NE(recovered, nullptr);
  ExpectEverythingReadable(*recovered);
}

TEST_F(Fsck, NamesTheFilesThatAreHurtAndMendsThem) {
  MakeVolume();
  const auto stripes = StripesOf(1);
  ASSERT_THAT(stripes, Not(IsEmpty()));
  Damage(stripes[0], 0);
  Damage(stripes[0], 4);
  const auto before = ContentsOf(root_.path());
  EXPECT_EQ(Run(All({"-n"})), kFsckUncorrected) << out_ << err_;
  EXPECT_THAT(out_, HasSubstr("/alpha@2023-11-14T22:13:"));
  EXPECT_THAT(out_, HasSubstr("2 bad fragments"));
  EXPECT_THAT(out_, Not(HasSubstr("/beta@")));
  EXPECT_TRUE(ContentsOf(root_.path()) == before);
  EXPECT_EQ(Run(All({"-y"})), kFsckCorrected) << out_ << err_;
  EXPECT_THAT(out_, HasSubstr("mended: 2 fragments"));
  EXPECT_EQ(Run(All({"-y"})), kFsckOk) << out_ << err_;
  EXPECT_EQ(Run(All({"-n", "--deep"})), kFsckOk) << out_ << err_;
}

TEST_F(Fsck, NamesExactlyWhatIsLost) {
  MakeVolume();
  const auto stripes = StripesOf(4);  // the second version of beta
  ASSERT_EQ(stripes.size(), 1u);
  for (const int column : {0, 1, 2, 3}) Damage(stripes[0], column);
  EXPECT_EQ(Run(All({"-y", "--json"})), kFsckUncorrected) << out_ << err_;
  const auto report = nlohmann::json::parse(out_);
  ASSERT_EQ(report["check"]["lost"].size(), 1u) << out_;
  EXPECT_EQ(report["check"]["lost"][0]["path"], "/beta");
  EXPECT_EQ(report["check"]["lost"][0]["lsn"], versions_[4].lsn.value);
  EXPECT_EQ(report["exit_status"], kFsckUncorrected);
  auto volume = OpenVolume();
  for (std::size_t i = 0; i < versions_.size(); ++i) {
    auto view = volume->At(versions_[i].lsn);
    ASSERT_TRUE(view.ok());
    EXPECT_EQ(ContentOf(*view, versions_[i].name) == versions_[i].text, i != 4) << i;
  }
}

TEST_F(Fsck, RepairsOntoFreshDirectoriesWhenTwoDisksAreGone) {
  MakeVolume();
  const int second = Beside(2);
  bfs::remove_all(DiskPath(catalog_slot_));
  bfs::remove_all(DiskPath(second));
  const std::string one_left = DiskPath(Beside(1));
  EXPECT_EQ(Run({"-n", one_left}), kFsckUncorrected) << out_ << err_;
  EXPECT_THAT(out_, HasSubstr("--replace " + DiskPath(second)));
  EXPECT_EQ(Run({"-n", one_left, "--replace", DiskPath(second) + "=" + (root_ / "fresh-b")}),
            kFsckUncorrected)
      << out_ << err_;
  EXPECT_FALSE(bfs::exists(root_ / "fresh-b"));

  EXPECT_EQ(Run({"-y", "--replace", DiskPath(second) + "=" + (root_ / "fresh-b"), "--replace",
                 std::to_string(catalog_slot_) + "=" + (root_ / "fresh-a"), one_left}),
            kFsckCorrected)
      << out_ << err_;
  EXPECT_THAT(out_, HasSubstr("holds its full part again"));
  EXPECT_EQ(Run({"-n", "--deep", one_left}), kFsckOk) << out_ << err_;

  // So two others may go.
  auto volume = OpenVolume({catalog_slot_, second, Beside(3), Beside(4)},
                           {root_ / "fresh-a", root_ / "fresh-b"});
  ASSERT_NE(volume, nullptr);
  ExpectEverythingReadable(*volume);
}

TEST_F(Fsck, TakesBackADiskThatHasFallenBehind) {
  MakeVolume();
  const int away = Beside(1);
  const std::string elsewhere = root_ / "elsewhere";
  bfs::rename(DiskPath(away), elsewhere);
  {
    auto volume = OpenVolume({away});
    ASSERT_NE(volume, nullptr);
    Fill(*volume);
    ASSERT_TRUE(volume->Close().ok());
  }
  bfs::rename(elsewhere, DiskPath(away));
  EXPECT_EQ(Run(All({"-n"})), kFsckUncorrected) << out_ << err_;
  EXPECT_EQ(Run(All({"-p"})), kFsckCorrected) << out_ << err_;
  EXPECT_THAT(out_, HasSubstr("taken back"));
  EXPECT_EQ(Run(All({"-n"})), kFsckOk) << out_ << err_;
}

TEST_F(Fsck, MakesALostCatalogAnew) {
  MakeVolume();
  bfs::remove_all(DiskPath(catalog_slot_) + "/catalog");
  const auto before = ContentsOf(root_.path());
  EXPECT_EQ(Run(All({"-n"})), kFsckUncorrected) << out_ << err_;
  EXPECT_THAT(out_, HasSubstr("catalog"));
  EXPECT_TRUE(ContentsOf(root_.path()) == before);
  EXPECT_EQ(Run(All({"-y"})), kFsckCorrected) << out_ << err_;
  EXPECT_EQ(Run(All({"-n", "--deep"})), kFsckOk) << out_ << err_;
  auto volume = OpenVolume();
  ExpectEverythingReadable(*volume);
}

TEST_F(Fsck, DeepCheckFindsTheCatalogAndTheLogInAgreement) {
  MakeVolume();
  EXPECT_EQ(Run(All({"-y", "--deep", "--json"})), kFsckOk) << out_ << err_;
  const auto report = nlohmann::json::parse(out_);
  EXPECT_THAT(report["left"], IsEmpty());
  EXPECT_GE(report["check"]["extents"], 24);
}

TEST_F(Fsck, RefusesAVolumeInUse) {
  MakeVolume();
  auto volume = OpenVolume();
  EXPECT_EQ(Run(All({"-n"})), kFsckOperational);
  EXPECT_THAT(err_, HasSubstr(DiskPath(0)));
  EXPECT_THAT(err_, HasSubstr("in use"));
  EXPECT_THAT(err_, HasSubstr("mounted"));
}

TEST_F(Fsck, RefusesWhatMakesNoSense) {
  MakeVolume();
  EXPECT_EQ(Run({}), kFsckUsage);
  EXPECT_EQ(Run({"-n", "-y", DiskPath(0)}), kFsckUsage);
  EXPECT_EQ(Run({"-y", "--replace", "nonsense", DiskPath(0)}), kFsckUsage);
  EXPECT_EQ(Run({"-y", "--replace", "/no/such=" + (root_ / "new"), DiskPath(0)}), kFsckUsage);
  EXPECT_THAT(err_, HasSubstr(DiskPath(3)));
  EXPECT_FALSE(bfs::exists(root_ / "new"));
  EXPECT_EQ(Run({DiskPath(0)}), kFsckUsage);  // nobody to ask
  EXPECT_THAT(err_, HasSubstr("-n"));
  EXPECT_EQ(Run({"-y", "--replace", "2=" + (root_ / "new"), DiskPath(0)}), kFsckOperational);
  EXPECT_THAT(err_, HasSubstr("is there and works"));
  EXPECT_EQ(Run({"-n", root_ / "nowhere"}), kFsckOperational);
  bfs::create_directory(root_ / "empty");
  EXPECT_EQ(Run({"-n", root_ / "empty"}), kFsckOperational);
  EXPECT_THAT(err_, HasSubstr("not a Varve disk"));
}

TEST_F(Fsck, AsksBeforeItMends) {
  MakeVolume();
  Damage(StripesOf(0)[0], 1);
  const auto segment = [&] {
    std::map<std::string, std::string> segments;
    for (const auto& [path, content] : ContentsOf(root_.path())) {
      if (path.find("/segment/") != std::string::npos) segments[path] = content;
    }
    return segments;
  };
  std::vector<std::string> questions;
  EXPECT_EQ(Run(All({}),
                [&](const std::string& question) {
                  questions.push_back(question);
                  return false;
                }),
            kFsckUncorrected);
  EXPECT_EQ(questions, std::vector<std::string>{"Carry this out?"});
  EXPECT_THAT(out_, HasSubstr("write 1 bad fragment anew"));
  const auto before = segment();
  EXPECT_EQ(Run(All({}), [](const std::string&) { return true; }), kFsckCorrected) << out_;
  EXPECT_FALSE(segment() == before);
  EXPECT_EQ(Run(All({}), [](const std::string&) { return false; }), kFsckOk) << out_;
}

TEST_F(Fsck, TakesTheWordsOfFsck8) {
  MakeVolume();
  EXPECT_EQ(Run({"-a", "-C0", "-T", DiskPath(1)}), kFsckOk) << out_ << err_;
  EXPECT_EQ(Run({"-a", "-C", "0", DiskPath(1)}), kFsckOk) << out_ << err_;
  EXPECT_EQ(Run({"-a", "-M", "-r", "-t", "fuse.varve", DiskPath(1)}), kFsckOk) << out_ << err_;
}

TEST_F(Fsck, TellsEverythingInOneObject) {
  MakeVolume();
  Damage(StripesOf(0)[0], 1);
  EXPECT_EQ(Run(All({"-n", "--json"})), kFsckUncorrected);
  const auto report = nlohmann::json::parse(out_);
  EXPECT_EQ(report["exit_status"], 4);
  EXPECT_EQ(report["name"], "test");
  EXPECT_EQ(report["disks"].size(), 6u);
  EXPECT_EQ(report["check"]["bad_fragments"], 1);
  EXPECT_EQ(report["check"]["findings"][0]["kind"], "fragment-corrupt");
  EXPECT_EQ(report["check"]["findings"][0]["severity"], "repairable");
  EXPECT_EQ(report["check"]["hurt"][0]["path"], "/alpha");
  EXPECT_EQ(report["plan"].size(), 1u);
  EXPECT_EQ(Run({"-n", "--json", root_ / "nowhere"}), kFsckOperational);
  EXPECT_EQ(nlohmann::json::parse(out_)["exit_status"], kFsckOperational);
}

}  // namespace
}  // namespace varve
