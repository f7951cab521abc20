// The workloads of scripts/bench: one verb a run, on any filesystem, timed here and nowhere else.
// Prints one JSON object: seconds, operations, bytes, and percentiles of one operation's latency in
// microseconds. Exit status 1 and a message when a call fails: a wrong figure is never printed.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace varve {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kPoolBytes = 64 << 20;
constexpr std::size_t kPageBytes = 4096;

struct Options {
  std::string path;
  std::uint64_t bytes = 0;  // of the whole file, or of each small file
  std::uint64_t block = 0;  // bytes of one call
  std::uint64_t count = 0;  // files, or calls at random offsets
  std::uint32_t threads = 1;
  std::uint32_t rounds = 1;
  std::uint64_t seed = 1;
  bool half = false;         // data of which half compresses away
  bool random = false;       // offsets at random, not one after the other
  bool keep = false;         // write over what is there instead of making the file
  std::string sync = "end";  // none, end, each
};

[[noreturn]] void Fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

class File {
 public:
  File(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (fd_ < 0) Fail(path);
  }
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  void Write(const char* data, std::size_t size, std::uint64_t offset) const {
    while (size > 0) {
      const ssize_t done = ::pwrite(fd_, data, size, static_cast<off_t>(offset));
      if (done <= 0) Fail("pwrite");
      data += done;
      offset += static_cast<std::uint64_t>(done);
      size -= static_cast<std::size_t>(done);
    }
  }
  // Answers the bytes read: fewer than `size` only at the end of the file.
  std::size_t Read(char* data, std::size_t size, std::uint64_t offset) const {
    std::size_t total = 0;
    while (total < size) {
      const ssize_t done =
          ::pread(fd_, data + total, size - total, static_cast<off_t>(offset + total));
      if (done < 0) Fail("pread");
      if (done == 0) break;
      total += static_cast<std::size_t>(done);
    }
    return total;
  }
  void Sync() const {
    if (::fsync(fd_) != 0) Fail("fsync");
  }
  void SyncData() const {
    if (::fdatasync(fd_) != 0) Fail("fdatasync");
  }
  std::uint64_t Size() const {
    struct stat status{};
    if (::fstat(fd_, &status) != 0) Fail("fstat");
    return static_cast<std::uint64_t>(status.st_size);
  }
  // Some filesystems learn of a failed write only now.
  void Close() {
    if (::close(std::exchange(fd_, -1)) != 0) Fail("close");
  }

 private:
  int fd_;
};

// Bytes to write, made before the clock runs. No two windows of it are the same block of 4 KiB, so
// nothing here can be shared by a filesystem that looks for duplicates within one pass.
class Pool {
 public:
  explicit Pool(const Options& options) : bytes_(kPoolBytes) {
    std::mt19937_64 random(options.seed);
    for (std::size_t at = 0; at < bytes_.size(); at += sizeof(std::uint64_t)) {
      const bool plain = options.half && at % kPageBytes >= kPageBytes / 2;
      const std::uint64_t word = plain ? 0x2064656570657220 : random();
      std::memcpy(bytes_.data() + at, &word, sizeof(word));
    }
  }
  // `size` bytes for the write number `index`; windows move by an odd number of pages.
  const char* At(std::uint64_t index, std::size_t size) const {
    const std::size_t room = (bytes_.size() - size) / kPageBytes;
    return bytes_.data() + (room == 0 ? 0 : index * 4099 % room * kPageBytes);
  }

 private:
  std::vector<char> bytes_;
};

// What was measured. Threads measure for themselves and are added up at the end.
struct Measure {
  std::uint64_t operations = 0;
  std::uint64_t bytes = 0;
  std::vector<std::uint32_t> latency_us;

  void Time(std::uint64_t moved, const std::function<void()>& call) {
    const auto begin = SteadyClock::now();
    call();
    const auto spent = SteadyClock::now() - begin;
    latency_us.push_back(static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(spent).count()));
    ++operations;
    bytes += moved;
  }
  void Add(const Measure& other) {
    operations += other.operations;
    bytes += other.bytes;
    latency_us.insert(latency_us.end(), other.latency_us.begin(), other.latency_us.end());
  }
};

void Print(Measure& measure, SteadyClock::duration spent) {
  nlohmann::json json;
  json["seconds"] = std::chrono::duration<double>(spent).count();
  json["operations"] = measure.operations;
  json["bytes"] = measure.bytes;
  auto& sorted = measure.latency_us;
  std::sort(sorted.begin(), sorted.end());
  if (!sorted.empty()) {
    const auto percentile = [&](double part) {
      return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))];
    };
    json["latency_us"] = {{"p50", percentile(0.5)},
                          {"p99", percentile(0.99)},
                          {"p999", percentile(0.999)},
                          {"max", sorted.back()}};
  }
  std::cout << json.dump() << "\n";
}

// Runs `work(thread, measure)` on so many threads and prints the sum.
void Run(std::uint32_t threads, const std::function<void(std::uint32_t, Measure&)>& work) {
  std::vector<Measure> measures(threads);
  std::vector<std::exception_ptr> failures(threads);
  std::vector<std::thread> running;
  const auto begin = SteadyClock::now();
  for (std::uint32_t t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      try {
        work(t, measures[t]);
      } catch (...) {
        failures[t] = std::current_exception();
      }
    });
  }
  for (auto& thread : running) thread.join();
  const auto spent = SteadyClock::now() - begin;
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  Measure sum;
  for (const Measure& measure : measures) sum.Add(measure);
  Print(sum, spent);
}

std::uint64_t RandomBlock(std::mt19937_64& random, const Options& options, std::uint64_t size) {
  return random() % std::max<std::uint64_t>(1, size / options.block) * options.block;
}

void WriteFile(const Options& options) {
  const Pool pool(options);
  Run(1, [&](std::uint32_t, Measure& measure) {
    File file(options.path, options.keep ? O_WRONLY : O_WRONLY | O_CREAT | O_TRUNC);
    std::mt19937_64 random(options.seed);
    const std::uint64_t calls = options.random ? options.count : options.bytes / options.block;
    const std::uint64_t size = options.random ? file.Size() : options.bytes;
    for (std::uint64_t i = 0; i < calls; ++i) {
      const std::uint64_t offset =
          options.random ? RandomBlock(random, options, size) : i * options.block;
      measure.Time(options.block, [&] {
        file.Write(pool.At(i + options.seed, options.block), options.block, offset);
        if (options.sync == "each") file.SyncData();
      });
    }
    if (options.sync == "end") file.Sync();
    file.Close();
  });
}

void ReadFile(const Options& options) {
  Run(options.threads, [&](std::uint32_t thread, Measure& measure) {
    const File file(options.path, O_RDONLY);
    const std::uint64_t size = file.Size();
    std::mt19937_64 random(options.seed + thread);
    std::vector<char> buffer(options.block);
    const std::uint64_t calls =
        options.random ? options.count / options.threads : size / options.block;
    for (std::uint64_t i = 0; i < calls; ++i) {
      const std::uint64_t offset =
          options.random ? RandomBlock(random, options, size) : i * options.block;
      measure.Time(options.block, [&] {
        if (file.Read(buffer.data(), options.block, offset) != options.block) Fail("short read");
      });
    }
  });
}

// Small files lie in directories of 500.
std::string NameOf(const Options& options, std::uint64_t index) {
  return options.path + "/d" + std::to_string(index / 500) + "/f" + std::to_string(index);
}

void MakeDirectories(const Options& options) {
  for (std::uint64_t i = 0; i < options.count; i += 500) {
    std::filesystem::create_directories(options.path + "/d" + std::to_string(i / 500));
  }
}

void WriteFiles(const Options& options) {
  const Pool pool(options);
  if (!options.keep) MakeDirectories(options);
  Run(options.threads, [&](std::uint32_t thread, Measure& measure) {
    for (std::uint64_t i = thread; i < options.count; i += options.threads) {
      measure.Time(options.bytes, [&] {
        File file(NameOf(options, i), options.keep ? O_WRONLY : O_WRONLY | O_CREAT | O_EXCL);
        file.Write(pool.At(i + options.seed, options.bytes), options.bytes, 0);
        file.Close();
      });
    }
    if (options.sync == "end") File(options.path, O_RDONLY | O_DIRECTORY).Sync();
  });
}

void ReadFiles(const Options& options) {
  Run(options.threads, [&](std::uint32_t thread, Measure& measure) {
    std::mt19937_64 random(options.seed + thread);
    std::vector<char> buffer(options.bytes);
    for (std::uint64_t i = thread; i < options.count; i += options.threads) {
      const std::uint64_t index = options.random ? random() % options.count : i;
      measure.Time(options.bytes, [&] {
        const File file(NameOf(options, index), O_RDONLY);
        if (file.Read(buffer.data(), options.bytes, 0) != options.bytes) Fail("short read");
      });
    }
  });
}

void StatFiles(const Options& options) {
  Run(1, [&](std::uint32_t, Measure& measure) {
    for (std::uint64_t i = 0; i < options.count; ++i) {
      const std::string name = NameOf(options, i);
      struct stat status{};
      measure.Time(0, [&] {
        if (::lstat(name.c_str(), &status) != 0) Fail(name);
      });
    }
  });
}

void UnlinkFiles(const Options& options) {
  Run(1, [&](std::uint32_t, Measure& measure) {
    for (std::uint64_t i = 0; i < options.count; ++i) {
      const std::string name = NameOf(options, i);
      measure.Time(0, [&] {
        if (::unlink(name.c_str()) != 0) Fail(name);
      });
    }
  });
}

// As find and rsync do: readdir, then lstat of each name; with `read`, each file's bytes as well.
void WalkDirectory(int parent, const char* name, bool read, Measure& measure,
                   std::vector<char>& buffer) {
  const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) Fail(name);
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(fd), ::closedir);
  if (directory == nullptr) Fail(name);
  while (const dirent* entry = ::readdir(directory.get())) {
    if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
    struct stat status{};
    measure.Time(0, [&] {
      if (::fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) Fail(entry->d_name);
    });
    if (S_ISDIR(status.st_mode)) WalkDirectory(fd, entry->d_name, read, measure, buffer);
    if (!read || !S_ISREG(status.st_mode)) continue;
    const int file = ::openat(fd, entry->d_name, O_RDONLY | O_CLOEXEC);
    if (file < 0) Fail(entry->d_name);
    ssize_t got = 0;
    while ((got = ::read(file, buffer.data(), buffer.size())) > 0) {
      measure.bytes += static_cast<std::uint64_t>(got);
    }
    ::close(file);
    if (got < 0) Fail(entry->d_name);
  }
}

void Walk(const Options& options, bool read) {
  Run(1, [&](std::uint32_t, Measure& measure) {
    std::vector<char> buffer(1 << 20);
    WalkDirectory(AT_FDCWD, options.path.c_str(), read, measure, buffer);
  });
}

// A training job's checkpoints: each written whole beside the last, synced, renamed over it.
void Checkpoint(const Options& options) {
  const Pool pool(options);
  Run(1, [&](std::uint32_t, Measure& measure) {
    const std::string beside = options.path + ".new";
    for (std::uint32_t round = 0; round < options.rounds; ++round) {
      measure.Time(options.bytes, [&] {
        File file(beside, O_WRONLY | O_CREAT | O_TRUNC);
        for (std::uint64_t offset = 0; offset < options.bytes; offset += options.block) {
          file.Write(pool.At(offset / options.block + round, options.block), options.block, offset);
        }
        file.Sync();
        file.Close();
        if (::rename(beside.c_str(), options.path.c_str()) != 0) Fail("rename");
      });
    }
  });
}

int Main(int argc, char** argv) {
  CLI::App app("Runs one workload on a filesystem and prints what it took as JSON");
  Options options;
  std::function<void()> chosen;
  const auto verb = [&](const std::string& name, const std::string& help,
                        std::function<void()> run) {
    CLI::App* sub = app.add_subcommand(name, help);
    sub->add_option("path", options.path, "the file or directory")->required();
    sub->add_option("--bytes", options.bytes, "of the file, or of each small file");
    sub->add_option("--block", options.block, "bytes a call")->default_val(1 << 20);
    sub->add_option("--count", options.count, "files, or calls at random offsets");
    sub->add_option("--threads", options.threads)->check(CLI::Range(1, 256));
    sub->add_option("--rounds", options.rounds);
    sub->add_option("--seed", options.seed);
    sub->add_option("--sync", options.sync)->check(CLI::IsMember({"none", "end", "each"}));
    sub->add_flag("--half", options.half, "half of the data compresses away");
    sub->add_flag("--random", options.random, "at random offsets, or files in random order");
    sub->add_flag("--keep", options.keep, "write over what is there");
    sub->callback([&chosen, run = std::move(run)] { chosen = run; });
  };
  verb("write", "one file", [&] { WriteFile(options); });
  verb("read", "one file", [&] { ReadFile(options); });
  verb("write-files", "many small files", [&] { WriteFiles(options); });
  verb("read-files", "many small files", [&] { ReadFiles(options); });
  verb("stat-files", "lstat each", [&] { StatFiles(options); });
  verb("unlink-files", "unlink each", [&] { UnlinkFiles(options); });
  verb("walk", "readdir and lstat of a tree", [&] { Walk(options, false); });
  verb("walk-read", "the same, reading all files", [&] { Walk(options, true); });
  verb("checkpoint", "write, fsync, rename over the last", [&] { Checkpoint(options); });
  app.require_subcommand(1);
  CLI11_PARSE(app, argc, argv);
  try {
    chosen();
  } catch (const std::exception& failure) {
    std::cerr << "varve_bench_workload: " << failure.what() << "\n";
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace varve

int main(int argc, char** argv) { return varve::Main(argc, argv); }
