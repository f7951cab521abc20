// varve_bench_null: the least that a FUSE filesystem can do. Names and attributes are kept in
// memory, the bytes of files are forgotten: a read gives zeros, as many as the file is long. What a
// workload takes here is what the kernel, libfuse and the way between them take, on this machine;
// no filesystem in user space can do better by being cleverer about disks. So it agrees with the
// kernel on just what Varve does (fs/fuse/operations.cc, fs/fuse/session.cc).
#include <fuse_lowlevel.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "fs/fuse/read_ahead.h"
#include "tests/bench/null_operations.h"
#include "tests/bench/null_tree.h"

namespace varve {
namespace {

constexpr unsigned kThreads = 2;
constexpr const char* kSource = "varve_bench_null";

struct EndSession {
  void operator()(fuse_session* session) const {
    fuse_remove_signal_handlers(session);
    fuse_session_unmount(session);
    fuse_session_destroy(session);
  }
};
struct EndConfig {
  void operator()(fuse_loop_config* config) const { fuse_loop_cfg_destroy(config); }
};

// The first question is answered once the kernel has taken in what was agreed; then the read-ahead
// can be set, which only root may.
void AfterGreeting(const std::string& mountpoint) {
  struct stat root{};
  if (::stat(mountpoint.c_str(), &root) != 0) return;
  if (::geteuid() == 0) {
    const std::string device =
        std::to_string(major(root.st_dev)) + ":" + std::to_string(minor(root.st_dev));
    const Status set = SetReadAhead(device, kNullReadaheadBytes / 1024);
    if (!set.ok()) std::fprintf(stderr, "%s: %s\n", kSource, set.error().message().c_str());
  }
  std::printf("serving %s\n", mountpoint.c_str());
  std::fflush(stdout);
}

int Serve(const std::string& mountpoint) {
  NullTree tree;
  std::string program = kSource;
  std::string flag = "-o";
  std::string options = "default_permissions,subtype=null,fsname=" + program;
  if (::geteuid() == 0) options += ",suid,dev";
  std::array<char*, 3> argv{program.data(), flag.data(), options.data()};
  fuse_args args = FUSE_ARGS_INIT(static_cast<int>(argv.size()), argv.data());
  const fuse_lowlevel_ops table = NullOperations();
  const std::unique_ptr<fuse_session, EndSession> session(
      fuse_session_new(&args, &table, sizeof(table), &tree));
  fuse_opt_free_args(&args);
  // libfuse says itself what is wrong. SIGTERM, SIGINT and SIGHUP end the loop, and so the mount.
  if (session == nullptr || fuse_set_signal_handlers(session.get()) != 0 ||
      fuse_session_mount(session.get(), mountpoint.c_str()) != 0) {
    return 1;
  }
  const std::unique_ptr<fuse_loop_config, EndConfig> config(fuse_loop_cfg_create());
  fuse_loop_cfg_set_clone_fd(config.get(), 1);
  fuse_loop_cfg_set_max_threads(config.get(), kThreads);
  fuse_loop_cfg_set_idle_threads(config.get(), kThreads);
  std::thread greeting([&] { AfterGreeting(mountpoint); });
  const int result = fuse_session_loop_mt(session.get(), config.get());
  fuse_session_unmount(session.get());  // ends the wait of whoever still waits for an answer
  greeting.join();
  return result < 0 ? 1 : 0;  // positive: the signal that ended it
}

}  // namespace
}  // namespace varve

int main(int argc, char** argv) {
  if (argc != 2 || argv[1][0] == '-') {
    std::fprintf(stderr,
                 "usage: varve_bench_null MOUNTPOINT\n"
                 "Mounts a filesystem that forgets the bytes of files, and serves it until it is\n"
                 "unmounted or SIGTERM comes. Says \"serving MOUNTPOINT\" when it can be used.\n");
    return 2;
  }
  const std::unique_ptr<char, decltype(&std::free)> path(::realpath(argv[1], nullptr), &std::free);
  if (path == nullptr) {
    std::perror(argv[1]);
    return 1;
  }
  return varve::Serve(path.get());
}
