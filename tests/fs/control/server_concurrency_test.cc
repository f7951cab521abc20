#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <boost/filesystem.hpp>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "fs/control/client.h"
#include "fs/control/server.h"
#include "tests/support/temp_directory.h"

namespace varve {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

class ControlServerTest : public testing::Test {
 protected:
  void Start(ControlServer::Handler handler, std::size_t max_connections = 8,
             std::chrono::milliseconds patience = 5s) {
    ControlServerOptions options;
    options.socket_path = directory_ / "socket";
    options.max_connections = max_connections;
    options.patience = patience;
    auto server = ControlServer::Start(options, std::move(handler));
    ASSERT_TRUE(server.ok()) << server.error().message();
    server_ = *std::move(server);
  }
  Result<ControlClient> Connect() {
    return ControlClient::ConnectTo(directory_ / "socket", ::geteuid());
  }
  Result<Json> Ask(Json more = Json::object(), const std::function<bool(const Json&)>& visit = {}) {
    ASSIGN_OR_RETURN(ControlClient client, Connect());
    return client.Call("test", std::move(more), visit);
  }
  // A connection that says just these bytes.
  LineSocket RawConnection(const std::string& bytes) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = directory_ / "socket";
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    for (std::size_t sent = 0; sent < bytes.size();) {
      const ssize_t count =
          ::send(fd.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) break;  // hung up on us
      sent += static_cast<std::size_t>(count);
    }
    return LineSocket(std::move(fd));
  }
  static void Echo(std::string_view line, const ControlServer::Reply& reply) {
    const auto request = ParseObject(line);
    const Json answer =
        request.ok() ? Json{{"ok", true}, {"result", *request}} : ErrorToJson(request.error());
    EXPECT_TRUE(reply(Dump(answer)).ok());
  }

  TempDirectory directory_;
  std::unique_ptr<ControlServer> server_;
};

TEST_F(ControlServerTest, AnswersManyClientsAtOnce) {
  Start(Echo);
  std::atomic<int> answered = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back([&, i] {
      for (int round = 0; round < 20; ++round) {
        const auto result = Ask({{"number", i * 100 + round}});
        if (result.ok() && result->at("number") == i * 100 + round) ++answered;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(answered, 120);
}

TEST_F(ControlServerTest, StreamsRecordsUntilTheClientHasEnough) {
  Start([](std::string_view, const ControlServer::Reply& reply) {
    for (int i = 0; i < 1000; ++i) {
      if (!reply(Dump({{"record", i}})).ok()) return;
    }
    static_cast<void>(reply(Dump({{"ok", true}})).ok());
  });
  int seen = 0;
  ASSERT_TRUE(Ask({}, [&](const Json& record) { return record == seen && ++seen > 0; }).ok());
  EXPECT_EQ(seen, 1000);
  seen = 0;
  ASSERT_TRUE(Ask({}, [&](const Json&) { return ++seen < 10; }).ok());
  EXPECT_EQ(seen, 10);
}

TEST_F(ControlServerTest, ARequestWithoutEndIsCutOff) {
  Start(Echo);
  LineSocket socket = RawConnection(std::string(kMaxRequestBytes + 10'000, 'x'));
  const auto line = socket.ReadLine(kMaxReplyLineBytes);
  // Told so, or hung up on: the rest of what was sent makes the kernel reset the connection.
  if (line.ok()) {
    EXPECT_THAT(*line, HasSubstr("bytes"));
  }
  EXPECT_TRUE(Ask().ok());
}

TEST_F(ControlServerTest, ASilentClientIsNotWaitedForForEver) {
  Start(Echo, 1, 200ms);
  LineSocket silent = RawConnection("{\"request\"");
  const auto line = silent.ReadLine(kMaxReplyLineBytes);
  ASSERT_TRUE(line.ok());
  EXPECT_THAT(*line, HasSubstr("too long"));
}

TEST_F(ControlServerTest, TooManyAtOnceAreToldToTryAgain) {
  std::mutex mutex;
  std::condition_variable changed;
  bool go_on = false;
  std::atomic<int> inside = 0;
  Start(
      [&](std::string_view line, const ControlServer::Reply& reply) {
        ++inside;
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return go_on; });
        Echo(line, reply);
      },
      1);
  std::thread first([&] { EXPECT_TRUE(Ask().ok()); });
  while (inside == 0) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(Ask().error().code(), ErrorCode::kBusy);
  {
    std::lock_guard lock(mutex);
    go_on = true;
    changed.notify_all();
  }
  first.join();
  server_->Stop();  // its thread may still be at the mutex when the answer has arrived
}

TEST_F(ControlServerTest, AnExceptionIsAnAnswer) {
  Start([](std::string_view, const ControlServer::Reply&) { throw std::runtime_error("oops"); });
  const auto result = Ask();
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message(), HasSubstr("oops"));
}

TEST_F(ControlServerTest, HangingUpWithoutAnAnswerIsAnError) {
  Start([](std::string_view, const ControlServer::Reply&) {});
  EXPECT_EQ(Ask().error().code(), ErrorCode::kCancelled);
}

TEST_F(ControlServerTest, StopEndsIdleConnectionsAndRemovesTheSocket) {
  Start(Echo);
  const auto idle = Connect();
  ASSERT_TRUE(idle.ok());
  ASSERT_TRUE(Ask().ok());
  server_->Stop();
  server_->Stop();
  EXPECT_FALSE(boost::filesystem::exists(directory_ / "socket"));
  EXPECT_EQ(Ask().error().code(), ErrorCode::kNotFound);
}

TEST_F(ControlServerTest, ADaemonOfAnotherUserIsNotBelieved) {
  Start(Echo);
  EXPECT_EQ(ControlClient::ConnectTo(directory_ / "socket", ::geteuid() + 1).error().code(),
            ErrorCode::kPermission);
}

}  // namespace
}  // namespace varve
