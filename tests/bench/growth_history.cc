// varve_bench_growth_history: fills a volume with history as fast as it goes in, through the front
// door of fs/core, in this process: the changes that a mount would make, without the kernel's round
// trips. The volume is not mounted meanwhile.
//
// Directories of 100 files are made one after the other; while one is new its files are worked on,
// ten changes each, and now and then a file of any earlier directory is. Most changes write a file
// over; the rest saves it beside and renames it over the last, changes its mode, gives it an
// attribute, or removes it and makes it anew. The bytes are few and compress well: what a version
// costs the catalog does not depend on them.
#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <utility>

#include "fs/core/filesystem.h"
#include "tests/bench/growth_tree.h"
#include "tools/find_disks.h"
#include "tools/mount_options.h"

namespace varve {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::uint64_t kVersionsBetweenReports = 2000;

struct Options {
  std::string disk;
  std::uint64_t versions = 0;
  std::uint64_t directories = 0;  // if not 0: so many with their files, and nothing more
  std::uint32_t scattered_percent = 10;
  std::uint64_t seed = 1;
};

class History {
 public:
  History(Volume& volume, Filesystem& filesystem, const Options& options)
      : volume_(volume), fs_(filesystem), options_(options), random_(options.seed) {}

  // Until the volume has had so many changes.
  Status Make() {
    while (directories_ < options_.directories) RETURN_IF_ERROR(MakeDirectory());
    if (options_.directories != 0) return {};
    while (versions() < options_.versions) {
      RETURN_IF_ERROR(MakeDirectory());
      const std::uint64_t end =
          std::min(options_.versions, directories_ * kVersionsOfADirectory + 1);
      while (versions() < end) {
        RETURN_IF_ERROR(Work());
        Report();
      }
    }
    return {};
  }
  std::uint64_t versions() const { return volume_.last_lsn().value; }
  std::uint64_t directories() const { return directories_; }

 private:
  // A new one, with its files.
  Status MakeDirectory() {
    ASSIGN_OR_RETURN(
        const NodeAttributes made,
        fs_.MakeDirectory(NodeId(kRootInode.value), GrowthDirectory(directories_), 0755, caller_));
    newest_ = made.node;
    ++directories_;
    for (std::uint64_t i = 0; i < kFilesOfADirectory; ++i) {
      RETURN_IF_ERROR(MakeFile(newest_, GrowthFile(i)));
    }
    return {};
  }

  // One step of work on some file, mostly of the newest directory.
  Status Work() {
    NodeId directory = newest_;
    if (random_() % 100 < options_.scattered_percent) {
      ASSIGN_OR_RETURN(
          const NodeAttributes other,
          fs_.Lookup(NodeId(kRootInode.value), GrowthDirectory(random_() % directories_), caller_));
      directory = other.node;
    }
    const std::string name = GrowthFile(random_() % kFilesOfADirectory);
    const std::uint64_t kind = random_() % 100;
    if (kind < 80) return WriteOver(directory, name);
    if (kind < 88) {
      RETURN_IF_ERROR(MakeFile(directory, name + ".new"));
      return fs_.Rename(directory, name + ".new", directory, name, RenameMode::kReplace);
    }
    if (kind < 91) {
      RETURN_IF_ERROR(fs_.Unlink(directory, name));
      return MakeFile(directory, name);
    }
    ASSIGN_OR_RETURN(const NodeAttributes file, fs_.Lookup(directory, name, caller_));
    if (kind < 97) {
      SetAttributes set;
      set.mode = random_() % 2 == 0 ? 0640 : 0644;
      return AsStatus(fs_.Set(file.node, set, caller_));
    }
    return fs_.SetXattr(file.node, "user.state", std::to_string(random_() % 1000), XattrMode::kSet,
                        caller_);
  }

  Status MakeFile(NodeId directory, const std::string& name) {
    ASSIGN_OR_RETURN(const Filesystem::CreateResult made,
                     fs_.Create(directory, name, 0644, O_WRONLY | O_CREAT | O_EXCL, caller_));
    return WriteAndClose(made.open.handle);
  }

  Status WriteOver(NodeId directory, const std::string& name) {
    ASSIGN_OR_RETURN(const NodeAttributes file, fs_.Lookup(directory, name, caller_));
    ASSIGN_OR_RETURN(const OpenResult open, fs_.Open(file.node, O_WRONLY, caller_));
    return WriteAndClose(open.handle);
  }

  // No two versions of anything hold the same bytes.
  Status WriteAndClose(FileHandle handle) {
    Encoder stamp;
    stamp.U64(random_());
    ByteVector bytes(kGrowthFileBytes, std::byte{'.'});
    std::copy(stamp.bytes().begin(), stamp.bytes().end(), bytes.begin());
    const auto written = fs_.Write(handle, 0, bytes, caller_);
    const Status flushed = fs_.Flush(handle);
    fs_.Release(handle);
    return written.ok() ? flushed : AsStatus(written);
  }

  template <typename T>
  static Status AsStatus(const Result<T>& result) {
    return result.ok() ? Status() : Status(result.error());
  }

  void Report() {
    if (versions() < reported_ + kVersionsBetweenReports) return;
    reported_ = versions();
    std::cout << nlohmann::json{{"versions", reported_}}.dump() << std::endl;
  }

  Volume& volume_;
  Filesystem& fs_;
  const Options& options_;
  const Caller caller_;
  std::mt19937_64 random_;
  NodeId newest_;
  std::uint64_t directories_ = 0;
  std::uint64_t reported_ = 0;
};

Status Fill(const Options& options) {
  ASSIGN_OR_RETURN(FoundDisks found, FindDisks({options.disk}, DiskAccess::kReadWrite));
  ASSIGN_OR_RETURN(auto disks, DiskSet::Assemble(std::move(found.disks)));
  const MountOptions defaults;
  ASSIGN_OR_RETURN(const auto volume, Volume::Open(std::move(disks), ToVolumeOptions(defaults)));
  Filesystem filesystem(*volume, ToFilesystemOptions(defaults));
  History history(*volume, filesystem, options);
  const auto begin = SteadyClock::now();
  RETURN_IF_ERROR(history.Make());
  const std::uint64_t versions = history.versions();
  RETURN_IF_ERROR(filesystem.Shutdown());
  RETURN_IF_ERROR(volume->Close());
  std::cout << nlohmann::json{{"versions", versions},
                              {"directories", history.directories()},
                              {"seconds",
                               std::chrono::duration<double>(SteadyClock::now() - begin).count()}}
                   .dump()
            << std::endl;
  return {};
}

int Main(int argc, char** argv) {
  CLI::App app("Fills a new volume with history; prints how far it is, a line of JSON at a time");
  Options options;
  app.add_option("disk", options.disk, "one of the volume's disks")->required();
  app.add_option("--versions", options.versions, "changes of the volume");
  app.add_option("--directories", options.directories,
                 "only make so many, and their files: a volume with hardly a history");
  app.add_option("--scattered", options.scattered_percent, "percent of the work on older files")
      ->check(CLI::Range(0, 100));
  app.add_option("--seed", options.seed);
  CLI11_PARSE(app, argc, argv);
  const Status filled = Fill(options);
  if (filled.ok()) return 0;
  std::cerr << "varve_bench_growth_history: " << filled.error().message() << "\n";
  return 1;
}

}  // namespace
}  // namespace varve

int main(int argc, char** argv) { return varve::Main(argc, argv); }
