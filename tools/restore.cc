// varve restore: copies a file or a tree back from a moment.
#include <CLI/CLI.hpp>

#include "tools/at_options.h"
#include "tools/copy_progress.h"
#include "tools/past.h"
#include "tools/text.h"
#include "tools/tree_copy.h"
#include "tools/verbs.h"

namespace varve {
namespace {

struct Restored {
  std::string to;
  TreeCopyResult result;
};

Result<Restored> Restore(const AtOptions& at, const std::string& to, Io& io) {
  ASSIGN_OR_RETURN(const PastPath past, LocatePast(at.path, at.when));
  Restored restored;
  if (to.empty()) {
    restored.to = past.present;
  } else {
    ASSIGN_OR_RETURN(restored.to, CanonicalDirectoryOf(to));
  }
  ASSIGN_OR_RETURN(const TreeSize size, MeasureTree(past.path));
  {
    CopyProgress progress(io.err, io.err_is_terminal, size.bytes);
    auto copied =
        CopyTree(past.path, restored.to, [&](std::uint64_t bytes) { progress.Add(bytes); });
    if (!copied.ok()) {
      if (copied.error().code() != ErrorCode::kExists) return copied.error();
      return Error(ErrorCode::kExists, copied.error().message() +
                                           "; name a place with --to, or make it as it was with "
                                           "varve rollback " +
                                           at.path + " --to " + at.when);
    }
    restored.result = *std::move(copied);
  }
  // In a Varve volume the copy is durable when we say that it is there. Who may not ask the daemon
  // has it within the commit interval.
  if (const auto mount = FindMountOf(ParentOf(restored.to)); mount.ok()) {
    const auto synced = AskDaemon(*mount, "sync");
    if (!synced.ok() && synced.error().code() != ErrorCode::kPermission) return synced.error();
  }
  return restored;
}

}  // namespace

int RunRestore(const Args& args, Io& io) {
  AtOptions at;
  std::string to;
  CLI::App app(
      "Copies a file or a tree back from a moment, whole or not at all. A file replaces what has "
      "its "
      "name now; a directory is never overwritten.",
      "varve restore");
  at.AddTo(app);
  app.add_option("--to", to, "where to (default: where it was)");
  if (const auto status = ParseArgs(app, args, io)) return *status;

  const auto restored = Restore(at, to, io);
  if (!restored.ok()) return Fail(io, "restore", restored.error());
  for (const std::string& line : restored->result.warnings) {
    io.err << "varve restore: warning: " << ForTerminal(line) << "\n";
  }
  const TreeSize& copied = restored->result.copied;
  io.out << "restored " << ForTerminal(restored->to) << ": " << Count(copied.files, "file") << ", "
         << FormatBytes(copied.bytes) << "\n";
  return kExitOk;
}

}  // namespace varve
