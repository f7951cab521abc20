// A file that is read and written in every way there is, and a plain string that says what must be
// in it.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "store/base/unique_fd.h"

namespace varve {

// Random, but fond of the places where things go wrong.
class ExerciserRandom {
 public:
  explicit ExerciserRandom(std::uint64_t seed) : engine_(seed) {}
  // Below `end`, which is not 0.
  std::uint64_t Below(std::uint64_t end) { return engine_() % end; }
  bool OneIn(std::uint64_t times) { return Below(times) == 0; }
  // An offset up to `end`, often at or near the edge of a page, a chunk, or the end.
  std::uint64_t Offset(std::uint64_t end);
  std::uint64_t Length();
  // Bytes that can be told from any others there were; some of them compress.
  std::string Bytes(std::uint64_t length);

 private:
  std::mt19937_64 engine_;
};

// Each operation does something to the file and to the model, checks what it can, and answers what
// it was, for the history that is printed when something is wrong. The owner may do as it likes
// between them. Failures are failures of the test.
class ExerciserFile {
 public:
  static constexpr std::uint64_t kMostBytes = 1'300'000;

  // With a writeback cache the kernel does not ask again how much room a file takes when it has
  // written its pages back.
  enum class Blocks { kCompare, kPassOver };

  // Creates the file and opens all its descriptors.
  ExerciserFile(std::string path, ExerciserRandom& random, Blocks blocks);
  ~ExerciserFile() { Close(); }
  ExerciserFile(const ExerciserFile&) = delete;
  ExerciserFile& operator=(const ExerciserFile&) = delete;

  const std::string& path() const { return path_; }
  const std::string& model() const { return model_; }
  // From outside: the file has become this.
  void Become(std::string bytes) { model_ = std::move(bytes); }

  void Open();
  void Close();

  std::string Write();
  std::string Append();
  std::string Read();
  std::string WriteDirect();
  std::string ReadDirect();
  std::string Truncate();
  std::string WriteMapped();
  std::string ReadMapped();
  std::string Allocate();
  std::string PunchOrZero();
  std::string CopyWithin();
  // From another file, of now or then, of which `source_bytes` says what is in it.
  std::string CopyFrom(int source, const std::string& source_bytes, const std::string& source_name);
  std::string SeekThrough();
  std::string Look();
  std::string Sync();
  // One descriptor is closed, which makes a version, and opened again.
  std::string Reopen();
  std::string ForgetPages();

  // The whole file against the model.
  void CheckAll();

 private:
  int AnyReader();
  int AnyWriter();
  void Put(std::uint64_t offset, const std::string& bytes);
  void CheckBytes(const std::string& how, std::uint64_t offset, const char* bytes,
                  std::uint64_t length) const;
  std::string CopyRange(int source, std::uint64_t from, const std::string& bytes, std::uint64_t to,
                        const std::string& name);
  void OpenOne(std::size_t index);

  const std::string path_;
  ExerciserRandom& random_;
  const Blocks blocks_;
  std::string model_;
  std::vector<UniqueFd> fds_;
  char* mapping_ = nullptr;
};

// Fails the test unless the two are the same; says where they begin to differ and what is there.
void ExpectSameBytes(const std::string& what, const std::string& expected,
                     const std::string& found);

}  // namespace varve
