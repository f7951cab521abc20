#include "tools/fsck.h"

#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "tools/fsck_run.h"

namespace varve {
namespace {

std::atomic<bool> g_interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

// While it lives, SIGINT and SIGTERM ask the check to end instead of ending the process.
class InterruptGuard {
 public:
  InterruptGuard() {
    g_interrupted = false;
    struct sigaction action{};
    action.sa_handler = [](int) { g_interrupted = true; };
    ::sigaction(SIGINT, &action, &old_int_);
    ::sigaction(SIGTERM, &action, &old_term_);
  }
  ~InterruptGuard() {
    ::sigaction(SIGINT, &old_int_, nullptr);
    ::sigaction(SIGTERM, &old_term_, nullptr);
  }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  struct sigaction old_int_{};
  struct sigaction old_term_{};
};

// fsck(8) hands on options that mean nothing here: -C FD (progress), -M, -r, -T, -V, -t TYPE, -f.
Args DropForeignOptions(const Args& args) {
  Args kept;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string& word = args[i];
    const bool takes_number = word == "-C";
    const bool takes_word = word == "-t";
    if (takes_word || takes_number) {
      const bool has_next = i + 1 < args.size();
      const bool number =
          has_next && !args[i + 1].empty() &&
          std::ranges::all_of(args[i + 1], [](char c) { return c >= '0' && c <= '9'; });
      if (has_next && (takes_word || number)) ++i;
      continue;
    }
    const bool joined = word.size() > 2 && word.starts_with("-C");
    if (joined || word == "-M" || word == "-r" || word == "-T" || word == "-V" || word == "-f") {
      continue;
    }
    kept.push_back(word == "-a" ? "-p" : word);
  }
  return kept;
}

Result<FsckOptions::Replacement> ParseReplacement(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    return Error(ErrorCode::kInvalidArgument, "--replace wants OLD=NEW, not '" + text + "'");
  }
  return FsckOptions::Replacement{text.substr(0, equals), text.substr(equals + 1)};
}

// A value: the exit status. Nothing: go on with `options`.
std::optional<int> ParseFsckArgs(const Args& args, Io& io, FsckOptions& options) {
  CLI::App app("Checks a volume that is not mounted, and mends it", "varve fsck");
  bool no = false, preen = false, yes = false, deep = false, json = false;
  std::vector<std::string> replacements;
  auto* n = app.add_flag("-n", no, "change nothing: say what is wrong and what would be done");
  auto* p = app.add_flag("-p,-a", preen, "mend without asking what can be mended safely");
  auto* y = app.add_flag("-y", yes, "carry everything out without asking");
  n->excludes(p)->excludes(y);
  p->excludes(y);
  app.add_flag(
      "--deep", deep,
      "besides, decompress every extent of every version, compute parity anew, and compare "
      "the catalog with one made from the log");
  app.add_option("--replace", replacements,
                 "OLD=NEW: the empty directory NEW takes the place of the missing disk OLD (its "
                 "last path, uuid or number)")
      ->allow_extra_args(false);
  app.add_flag("--json", json, "print one JSON object");
  app.add_option("DISK", options.disks, "a disk of the volume; one is enough")->required();
  app.footer(
      "Exit status: 0 no errors, 1 errors corrected, 4 errors left uncorrected, 8 the check "
      "could not be done, 16 usage, 32 cancelled.");
  if (const auto status = ParseArgs(app, DropForeignOptions(args), io)) {
    return *status == kExitOk ? kFsckOk : kFsckUsage;
  }
  for (const std::string& text : replacements) {
    auto replacement = ParseReplacement(text);
    if (!replacement.ok()) {
      Fail(io, "fsck", replacement.error());
      return kFsckUsage;
    }
    options.replacements.push_back(*std::move(replacement));
  }
  options.mode = no      ? FsckOptions::Mode::kDryRun
                 : preen ? FsckOptions::Mode::kAutomatic
                 : yes   ? FsckOptions::Mode::kYes
                         : FsckOptions::Mode::kAsk;
  options.depth = deep ? CheckDepth::kDeep : CheckDepth::kShallow;
  if (json) options.output = FsckOptions::Output::kJson;
  return std::nullopt;
}

void TellError(const FsckOptions& options, Io& io, const Error& error) {
  Fail(io, "fsck", error);
  if (options.output != FsckOptions::Output::kJson) return;
  const nlohmann::json object = {{"error", error.message()}, {"exit_status", kFsckOperational}};
  io.out << object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

}  // namespace

int RunFsckWithPrompt(const Args& args, Io& io, const FsckPrompt& ask) {
  FsckOptions options;
  if (const auto status = ParseFsckArgs(args, io, options)) return *status;
  if (options.mode == FsckOptions::Mode::kAsk && !ask) {
    Fail(io, "fsck",
         "nobody is there to be asked: say -n (change nothing), -p (mend what is safe) or -y");
    return kFsckUsage;
  }
  const InterruptGuard guard;
  const Result<int> status = CheckVolume(options, io, ask, g_interrupted);
  if (status.ok()) return *status;
  TellError(options, io, status.error());
  return status.error().code() == ErrorCode::kInvalidArgument ? kFsckUsage : kFsckOperational;
}

int RunFsck(const Args& args, Io& io) {
  FsckPrompt ask;
  if (io.out_is_terminal && ::isatty(STDIN_FILENO) != 0) {
    ask = [&io](const std::string& question) {
      io.out << question << " [y/N] " << std::flush;
      std::string answer;
      return std::getline(std::cin, answer) && (answer == "y" || answer == "Y" || answer == "yes");
    };
  }
  return RunFsckWithPrompt(args, io, ask);
}

}  // namespace varve
