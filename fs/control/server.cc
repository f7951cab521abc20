#include "fs/control/server.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <list>
#include <mutex>
#include <thread>

#include "fs/control/line_socket.h"
#include "fs/control/wire.h"

namespace varve {
namespace {

constexpr int kPausesBeforeRefusing = 100;  // of a millisecond

Result<UniqueFd> Listen(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return Error(ErrorCode::kNameTooLong, "the control socket's path is too long: " + path);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return Error::FromErrno(errno, "socket");
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return Error::FromErrno(errno, "removing the old control socket " + path);
  }
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return Error::FromErrno(errno, "binding the control socket " + path);
  }
  // Anybody may knock, for a clear answer; who is served is decided by the peer's credentials.
  if (::chmod(path.c_str(), 0666) != 0) return Error::FromErrno(errno, "chmod " + path);
  if (::listen(fd.get(), 16) != 0) return Error::FromErrno(errno, "listening on " + path);
  return fd;
}

}  // namespace

struct ControlServer::Impl {
  struct Connection {
    explicit Connection(UniqueFd fd) : socket(std::move(fd)) {}
    LineSocket socket;
    std::thread thread;
    std::atomic<bool> done = false;
  };

  ControlServerOptions options;
  Handler handler;
  UniqueFd listener;
  UniqueFd wake;  // readable: stop accepting
  std::thread acceptor;

  std::mutex mutex;
  std::list<Connection> connections;  // under mutex; entries stay where they are
  bool stopped = false;               // under mutex

  void AcceptLoop();
  void Admit(UniqueFd fd);
  void Serve(Connection& connection);
  void Refuse(LineSocket& socket, const Error& why);
  void Reap();
};

ControlServer::ControlServer() : impl_(std::make_unique<Impl>()) {}
ControlServer::~ControlServer() { Stop(); }

Result<std::unique_ptr<ControlServer>> ControlServer::Start(const ControlServerOptions& options,
                                                            Handler handler) {
  std::unique_ptr<ControlServer> server(new ControlServer());
  Impl& impl = *server->impl_;
  impl.options = options;
  impl.handler = std::move(handler);
  impl.wake = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  if (!impl.wake) return Error::FromErrno(errno, "eventfd");
  ASSIGN_OR_RETURN(impl.listener, Listen(options.socket_path));
  impl.acceptor = std::thread([&impl] { impl.AcceptLoop(); });
  return server;
}

void ControlServer::Stop() {
  if (!impl_->acceptor.joinable()) return;
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopped = true;
  }
  const std::uint64_t one = 1;
  if (::write(impl_->wake.get(), &one, sizeof(one)) < 0) {
    impl_->options.log(Error::FromErrno(errno, "waking the control thread").message());
  }
  impl_->acceptor.join();
  ::unlink(impl_->options.socket_path.c_str());
  impl_->listener.Reset();
  // Nobody adds connections any more; those that wait for a request see the end of it.
  for (auto& connection : impl_->connections) connection.socket.Interrupt();
  for (auto& connection : impl_->connections) connection.thread.join();
  impl_->connections.clear();
}

void ControlServer::Impl::AcceptLoop() {
  pthread_setname_np(pthread_self(), "varve-control");
  std::array<pollfd, 2> waits{pollfd{.fd = listener.get(), .events = POLLIN, .revents = 0},
                              pollfd{.fd = wake.get(), .events = POLLIN, .revents = 0}};
  while (true) {
    if (::poll(waits.data(), waits.size(), -1) < 0) {
      if (errno == EINTR) continue;
      options.log(Error::FromErrno(errno, "waiting for control connections").message());
      return;
    }
    if (waits[1].revents != 0) return;
    UniqueFd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (fd) {
      Admit(std::move(fd));
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
      // Out of descriptors: the client waits in the queue until there are some again.
      options.log(Error::FromErrno(errno, "accepting a control connection").message());
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
  }
}

void ControlServer::Impl::Reap() {
  std::lock_guard lock(mutex);
  for (auto it = connections.begin(); it != connections.end();) {
    if (!it->done) {
      ++it;
      continue;
    }
    it->thread.join();
    it = connections.erase(it);
  }
}

void ControlServer::Impl::Refuse(LineSocket& socket, const Error& why) {
  const Status sent = socket.WriteLine(Dump(ErrorToJson(why)));
  if (!sent.ok()) options.log("refusing a control connection: " + sent.error().message());
}

void ControlServer::Impl::Admit(UniqueFd fd) {
  Reap();
  std::unique_lock lock(mutex);
  // A client may come again before the thread that has just answered it has ended.
  for (int pause = 0; pause < kPausesBeforeRefusing; ++pause) {
    if (stopped || connections.size() < options.max_connections) break;
    lock.unlock();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    Reap();
    lock.lock();
  }
  if (stopped) return;
  if (connections.size() >= options.max_connections) {
    LineSocket socket(std::move(fd));
    return Refuse(socket, Error(ErrorCode::kBusy, "too many commands at once; try again"));
  }
  Connection& connection = connections.emplace_back(std::move(fd));
  connection.thread = std::thread([this, &connection] {
    pthread_setname_np(pthread_self(), "varve-ctl-conn");
    Serve(connection);
    connection.done = true;
  });
}

void ControlServer::Impl::Serve(Connection& connection) {
  LineSocket& socket = connection.socket;
  const Status patience = socket.SetPatience(options.patience);
  if (!patience.ok()) return options.log(patience.error().message());
  const auto peer = PeerOf(socket.fd());
  if (!peer.ok()) return options.log(peer.error().message());
  if (peer->uid != 0 && peer->uid != ::geteuid()) {
    options.log("control: refused user " + std::to_string(peer->uid) + " (process " +
                std::to_string(peer->pid) + ")");
    return Refuse(socket, Error(ErrorCode::kPermission,
                                "permission denied: only root and the user who mounted the "
                                "volume may ask its daemon"));
  }
  const auto request = socket.ReadLine(kMaxRequestBytes);
  if (!request.ok()) {
    if (request.error().code() != ErrorCode::kNotFound) Refuse(socket, request.error());
    return;
  }
  try {
    handler(*request, [&](std::string_view line) { return socket.WriteLine(line); });
  } catch (const std::exception& exception) {
    options.log(std::string("control request failed: ") + exception.what());
    Refuse(socket, Error(ErrorCode::kIo, exception.what()));
  }
  // The client sees the end at once, not when the connection is swept away.
  ::shutdown(socket.fd(), SHUT_RDWR);
}

}  // namespace varve
