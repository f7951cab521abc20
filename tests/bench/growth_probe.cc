// varve_bench_growth_probe: what operations cost on a mounted volume that
// varve_bench_growth_history has filled. Prints one JSON object. Exit status 1 and a message when a
// call fails: a wrong figure is never printed.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "store/base/unique_fd.h"
#include "tests/bench/growth_tree.h"

namespace varve {
namespace {

using SteadyClock = std::chrono::steady_clock;

struct Options {
  std::string root;
  std::uint64_t directories = 1;  // of the history
  std::uint64_t versions = 1;     // changes in it
  std::uint64_t probed = 10;      // directories looked at
  double seconds = 10;
  std::uint64_t seed = 1;
};

[[noreturn]] void Fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

UniqueFd OpenAt(int directory, const std::string& name, int flags) {
  UniqueFd fd(::openat(directory, name.c_str(), flags | O_CLOEXEC, 0644));
  if (!fd) Fail(name);
  return fd;
}

// The names and inodes that the kernel remembers go, on this machine's other filesystems too.
void ForgetNames() {
  std::ofstream file("/proc/sys/vm/drop_caches");
  file << "2";
  file.close();
  if (!file) throw std::runtime_error("dropping caches needs root");
}

double MicrosecondsOf(const std::function<void()>& call) {
  const auto begin = SteadyClock::now();
  call();
  return std::chrono::duration<double, std::micro>(SteadyClock::now() - begin).count();
}

// Times of single operations, kind by kind.
class Measures {
 public:
  void Time(const std::string& kind, const std::function<void()>& call) {
    times_[kind].push_back(MicrosecondsOf(call));
  }
  nlohmann::json ToJson() {
    nlohmann::json json;
    for (auto& [kind, times] : times_) {
      std::sort(times.begin(), times.end());
      double sum = 0;
      for (const double time : times) sum += time;
      const auto at = [&](double part) {
        return times[static_cast<std::size_t>(part * static_cast<double>(times.size() - 1))];
      };
      json[kind] = {{"count", times.size()}, {"mean", sum / static_cast<double>(times.size())},
                    {"p50", at(0.5)},        {"p99", at(0.99)},
                    {"p999", at(0.999)},     {"max", times.back()}};
    }
    return json;
  }

 private:
  std::map<std::string, std::vector<double>> times_;
};

void WriteFile(int directory, const std::string& name, int flags, std::uint64_t stamp) {
  std::array<char, kGrowthFileBytes> bytes;
  bytes.fill(',');
  const std::string word = std::to_string(stamp);
  std::copy(word.begin(), word.end(), bytes.begin());
  UniqueFd file = OpenAt(directory, name, O_WRONLY | flags);
  if (::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    Fail("writing " + name);
  }
  if (::close(file.Release()) != 0) Fail("closing " + name);
}

// False: it is not there.
bool ReadFile(int directory, const std::string& name) {
  std::array<char, kGrowthFileBytes> bytes;
  const UniqueFd file(::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file && errno == ENOENT) return false;
  if (!file || ::read(file.get(), bytes.data(), bytes.size()) < 0) Fail("reading " + name);
  return true;
}

bool StatFile(int directory, const std::string& name) {
  struct stat status{};
  if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno != ENOENT) Fail("looking for " + name);
  return false;
}

void ListDirectory(int parent, const std::string& name) {
  UniqueFd fd = OpenAt(parent, name, O_RDONLY | O_DIRECTORY);
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(fd.Release()), ::closedir);
  if (directory == nullptr) Fail(name);
  std::uint64_t entries = 0;
  while (::readdir(directory.get()) != nullptr) ++entries;
  if (entries < kFilesOfADirectory) throw std::runtime_error(name + " lacks entries");
}

// Different ones, all over the history.
std::vector<std::uint64_t> ChooseDirectories(const Options& options, std::mt19937_64& random) {
  const std::uint64_t count = std::min(options.probed, options.directories);
  const std::uint64_t first = random() % options.directories;
  std::vector<std::uint64_t> chosen;
  for (std::uint64_t i = 0; i < count; ++i) {
    chosen.push_back((first + i * (options.directories / count)) % options.directories);
  }
  return chosen;
}

// What a program does now: files anywhere in the tree, in a random order, each looked up, read and
// written over; directories listed; new files made. The kernel knows no file beforehand.
void ProbeLive(const Options& options, Measures& measures) {
  const UniqueFd root = OpenAt(AT_FDCWD, options.root, O_RDONLY | O_DIRECTORY);
  std::mt19937_64 random(options.seed);
  ForgetNames();
  const std::vector<std::uint64_t> chosen = ChooseDirectories(options, random);
  std::vector<UniqueFd> directories;
  std::vector<std::pair<int, std::string>> files;
  for (const std::uint64_t index : chosen) {
    directories.push_back(OpenAt(root.get(), GrowthDirectory(index), O_RDONLY | O_DIRECTORY));
    for (std::uint64_t f = 0; f < kFilesOfADirectory; ++f) {
      files.emplace_back(directories.back().get(), GrowthFile(f));
    }
  }
  std::shuffle(files.begin(), files.end(), random);
  // Once unseen: what is asked is what a long history costs, not whether the disks below must turn
  // for bytes that nobody has read for long.
  for (const auto& [directory, name] : files) ReadFile(directory, name);
  ForgetNames();
  for (const auto& [directory, name] : files) {
    measures.Time("stat", [&] {
      if (!StatFile(directory, name)) Fail(name);
    });
  }
  for (const auto& [directory, name] : files) {
    measures.Time("read", [&] {
      if (!ReadFile(directory, name)) Fail(name);
    });
  }
  for (const auto& [directory, name] : files) {
    measures.Time("overwrite", [&] { WriteFile(directory, name, 0, random()); });
  }
  const std::string made = "probe-" + std::to_string(options.seed);
  if (::mkdirat(root.get(), made.c_str(), 0755) != 0) Fail(made);
  const UniqueFd fresh = OpenAt(root.get(), made, O_RDONLY | O_DIRECTORY);
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::string name = GrowthFile(i);
    measures.Time("create", [&] { WriteFile(fresh.get(), name, O_CREAT | O_EXCL, i); });
  }
  directories.clear();
  ForgetNames();
  for (const std::uint64_t index : chosen) {
    const std::string name = GrowthDirectory(index);
    measures.Time("readdir", [&] { ListDirectory(root.get(), name); });
  }
}

// The same files now and as they were at a random moment since they were made, in turn.
void ProbeThen(const Options& options, Measures& measures) {
  const UniqueFd root = OpenAt(AT_FDCWD, options.root, O_RDONLY | O_DIRECTORY);
  std::mt19937_64 random(options.seed);
  ForgetNames();
  std::size_t first = 0;  // who of the two begins
  for (const std::uint64_t index : ChooseDirectories(options, random)) {
    ++first;
    const std::uint64_t born =
        std::min(options.versions, index * kVersionsOfADirectory + 3 * kFilesOfADirectory);
    const std::uint64_t moment = born + random() % (options.versions - born + 1);
    const UniqueFd now = OpenAt(root.get(), GrowthDirectory(index), O_RDONLY | O_DIRECTORY);
    const UniqueFd then =
        OpenAt(root.get(), ".snapshots/@" + std::to_string(moment) + "/" + GrowthDirectory(index),
               O_RDONLY | O_DIRECTORY);
    const std::array<std::pair<int, std::string>, 2> sides{
        {{now.get(), "live"}, {then.get(), "then"}}};
    for (std::uint64_t f = 0; f < 2 * kFilesOfADirectory; ++f) {
      const auto& [directory, when] = sides[(f + first) % 2];
      const std::string name = GrowthFile(f / 2);
      measures.Time("stat " + when, [&] { StatFile(directory, name); });
    }
    for (std::uint64_t f = 0; f < 2 * kFilesOfADirectory; ++f) {
      const auto& [directory, when] = sides[(f + first) % 2];
      const std::string name = GrowthFile(f / 2);
      measures.Time("read " + when, [&] { ReadFile(directory, name); });
    }
  }
}

// A program that does a little of everything, for a while. All its operations are one kind: what is
// asked is how long any of them may take.
void ProbeMix(const Options& options, Measures& measures) {
  const UniqueFd root = OpenAt(AT_FDCWD, options.root, O_RDONLY | O_DIRECTORY);
  std::mt19937_64 random(options.seed);
  const std::string made = "mix-" + std::to_string(options.seed);
  if (::mkdirat(root.get(), made.c_str(), 0755) != 0) Fail(made);
  const UniqueFd own = OpenAt(root.get(), made, O_RDONLY | O_DIRECTORY);
  const auto end = SteadyClock::now() + std::chrono::duration<double>(options.seconds);
  std::uint64_t files = 0;
  while (SteadyClock::now() < end) {
    const std::string path = GrowthDirectory(random() % options.directories) + "/" +
                             GrowthFile(random() % kFilesOfADirectory);
    const std::string name = "f" + std::to_string(files);
    measures.Time("any", [&] { StatFile(root.get(), path); });
    measures.Time("any", [&] { ReadFile(root.get(), path); });
    measures.Time("any", [&] { WriteFile(root.get(), path, O_CREAT, random()); });
    measures.Time("any", [&] { WriteFile(own.get(), name, O_CREAT | O_EXCL, files); });
    if (files % 4 == 3) {
      const std::string beside = "f" + std::to_string(files - 1);
      measures.Time("any", [&] {
        if (::renameat(own.get(), name.c_str(), own.get(), beside.c_str()) != 0) Fail(name);
      });
    }
    ++files;
  }
}

int Main(int argc, char** argv) {
  CLI::App app("Measures operations on a volume filled by varve_bench_growth_history");
  Options options;
  std::function<void(Measures&)> chosen;
  const auto verb = [&](const std::string& name, const std::string& help, auto probe) {
    CLI::App* sub = app.add_subcommand(name, help);
    sub->add_option("root", options.root, "where it is mounted")->required();
    sub->add_option("--directories", options.directories, "how many there are");
    sub->add_option("--versions", options.versions, "how many changes the history has");
    sub->add_option("--probed", options.probed, "directories to look at");
    sub->add_option("--seconds", options.seconds);
    sub->add_option("--seed", options.seed);
    sub->callback([&, probe] { chosen = [&, probe](Measures& m) { probe(options, m); }; });
  };
  verb("live", "operations of the present", ProbeLive);
  verb("then", "the present against the past", ProbeThen);
  verb("mix", "latencies of a program that does a little of everything", ProbeMix);
  app.require_subcommand(1);
  CLI11_PARSE(app, argc, argv);
  try {
    Measures measures;
    chosen(measures);
    std::cout << measures.ToJson().dump() << "\n";
  } catch (const std::exception& failure) {
    std::cerr << "varve_bench_growth_probe: " << failure.what() << "\n";
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace varve

int main(int argc, char** argv) { return varve::Main(argc, argv); }
