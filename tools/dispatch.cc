#include "tools/dispatch.h"

#include <array>
#include <exception>

#include "tools/fsck.h"
#include "tools/verbs.h"

namespace varve {
namespace {

struct Verb {
  std::string_view name;
  int (*run)(const Args&, Io&);
  std::string_view summary;
};

int RunFsckVerb(const Args& args, Io& io) { return RunFsck(args, io); }

constexpr std::array kVerbs{
    Verb{"mkfs", RunMkfs, "make a volume of directories"},
    Verb{"mount", RunMount, "mount a volume"},
    Verb{"umount", RunUmount, "unmount it, durably"},
    Verb{"status", RunStatus, "how it is, and what to do next"},
    Verb{"log", RunLog, "versions of a file, changes below a directory"},
    Verb{"ls", RunLs, "list as of a moment"},
    Verb{"cat", RunCat, "print a file as of a moment"},
    Verb{"stat", RunStat, "attributes as of a moment"},
    Verb{"restore", RunRestore, "copy a file or a tree back from a moment"},
    Verb{"rollback", RunRollback, "make a file or a tree as it was, at once"},
    Verb{"snapshot", RunSnapshot, "create, list and delete named moments"},
    Verb{"fsck", RunFsckVerb, "check and repair an unmounted volume"},
};

void PrintUsage(std::ostream& out) {
  out << "usage: varve VERB ...\n\n";
  for (const Verb& verb : kVerbs) {
    out << "  " << verb.name << std::string(10 - verb.name.size(), ' ') << verb.summary << "\n";
  }
  out << "\nvarve VERB --help tells more, varve --version which it is. A moment (WHEN) is a time\n"
         "(2026-11-23T15:02:25Z, 2026-11-23, @GMT-2026.11.23-15.02.25), an age (2h-ago, "
         "yesterday),\n"
         "a snapshot's name, or @NUMBER from varve log.\n";
}

// What the program was called as, without its folder.
std::string_view ProgramName(const Args& words) {
  if (words.empty()) return {};
  const std::string_view path = words[0];
  return path.substr(path.rfind('/') + 1);
}

bool IsMountHelper(std::string_view program) {
  return program == "mount.fuse.varve" || program == "mount.varve";
}

int RunMountHelper(const Args& args, Io& io) {
  auto translated = TranslateMountHelperArgs(args);
  if (!translated.ok()) {
    Fail(io, "mount", translated.error());
    return kExitUsage;
  }
  if (!translated->has_value()) return kExitOk;
  return RunMount(**translated, io);
}

int RunVerb(const Args& words, Io& io) {
  if (words.size() < 2) {
    PrintUsage(io.err);
    return kExitUsage;
  }
  const std::string& name = words[1];
  if (name == "--help" || name == "-h" || name == "help") {
    PrintUsage(io.out);
    return kExitOk;
  }
  if (name == "--version" || name == "-V") {
    io.out << "varve " VARVE_VERSION "\n";
    return kExitOk;
  }
  for (const Verb& verb : kVerbs) {
    if (verb.name == name) return verb.run(Args(words.begin() + 2, words.end()), io);
  }
  io.err << "varve: there is no verb \"" << name << "\"; see varve --help\n";
  return kExitUsage;
}

int Dispatch(const Args& words, Io& io) {
  if (words.empty()) return RunVerb(words, io);
  const std::string_view program = ProgramName(words);
  const Args rest(words.begin() + 1, words.end());
  if (IsMountHelper(program)) return RunMountHelper(rest, io);
  if (program == "mkfs.varve") return RunMkfs(rest, io);
  if (program == "fsck.varve") return RunFsck(rest, io);
  return RunVerb(words, io);
}

}  // namespace

bool StartsDaemon(const Args& words) {
  return IsMountHelper(ProgramName(words)) || (words.size() > 1 && words[1] == "mount");
}

Result<std::optional<Args>> TranslateMountHelperArgs(const Args& args) {
  Args places;
  Args translated;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string& word = args[i];
    if (word.size() < 2 || word[0] != '-') {
      places.push_back(word);
      continue;
    }
    if (word == "-h" || word == "--help") return std::optional<Args>(Args{"--help"});
    // Flags may come together ("-sn"); o, t and N take a value, at once or as the next word.
    for (std::size_t at = 1; at < word.size(); ++at) {
      const char flag = word[at];
      if (flag == 'f') return std::optional<Args>();
      if (flag == 's' || flag == 'n' || flag == 'v') continue;
      if (flag != 'o' && flag != 't' && flag != 'N') {
        return Error(ErrorCode::kInvalidArgument, "mount(8) has no -" + std::string(1, flag));
      }
      std::string value = word.substr(at + 1);
      if (value.empty()) {
        if (++i == args.size()) {
          return Error(ErrorCode::kInvalidArgument, "-" + std::string(1, flag) + " needs a value");
        }
        value = args[i];
      }
      if (flag == 'o') translated.insert(translated.end(), {"-o", value});
      break;
    }
  }
  if (places.size() < 2) {
    return Error(ErrorCode::kInvalidArgument, "usage: mount.fuse.varve DISK... DIRECTORY [-o ...]");
  }
  translated.emplace_back("--");
  translated.insert(translated.end(), places.begin(), places.end());
  return std::optional<Args>(std::move(translated));
}

int RunVarve(const Args& words, Io& io) {
  int status = kExitError;
  try {
    status = Dispatch(words, io);
  } catch (const std::exception& exception) {
    io.err << "varve: unexpected: " << exception.what() << "\n";
  }
  io.out.flush();
  if (!io.out && status == kExitOk) {
    io.err << "varve: cannot write the output\n";
    return kExitError;
  }
  return status;
}

}  // namespace varve
