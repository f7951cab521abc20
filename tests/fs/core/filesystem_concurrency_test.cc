// Many threads at once; ThreadSanitizer runs this too.
#include <atomic>
#include <random>
#include <set>
#include <thread>

#include "tests/fs/core/filesystem_fixture.h"

namespace varve {
namespace {

class Together : public FilesystemFixture {
 protected:
  void SetUp() override {
    options_.commit_interval = std::chrono::milliseconds(8);  // the cutter is one of the crowd
    options_.write_buffer_bytes = 1 << 20;
    FilesystemFixture::SetUp();
  }

  Result<NodeId> Find(NodeId parent, const std::string& name) {
    ASSIGN_OR_RETURN(const NodeAttributes found, fs().Lookup(parent, name, caller_));
    return found.node;
  }

  // Every directory's counts against its entries.
  void CheckCounts(const std::string& path) {
    std::uint64_t entries = 0;
    nlink_t subdirectories = 0;
    for (const std::string& name : Names(path)) {
      ++entries;
      const std::string child = path.empty() ? name : path + "/" + name;
      if (!S_ISDIR(Stat(child).st_mode)) continue;
      ++subdirectories;
      CheckCounts(child);
    }
    EXPECT_EQ(static_cast<std::uint64_t>(Stat(path).st_size), entries) << path;
    EXPECT_EQ(Stat(path).st_nlink, 2 + subdirectories) << path;
  }
};

TEST_F(Together, NamesAreMovedAboutWithoutLosingCount) {
  const NodeId root(kRootInode.value);
  for (const char* name : {"a", "b", "c"}) VARVE_ASSERT_OK(MakeDirectory(name));
  const NodeId places[] = {root, Node("a"), Node("b"), Node("c")};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([this, t, &places] {
      std::mt19937 random(t);
      const auto any_name = [&] { return std::string(1, static_cast<char>('p' + random() % 5)); };
      for (int i = 0; i < 150; ++i) {
        const NodeId from = places[random() % 4];
        const NodeId to = places[random() % 4];
        switch (random() % 5) {
          case 0:
            static_cast<void>(fs().MakeDirectory(from, any_name(), 0755, caller_));
            break;
          case 1: {
            const auto made = fs().Create(from, any_name(), 0644, O_RDWR | O_CREAT, caller_);
            if (made.ok()) fs().Release(made->open.handle);
            break;
          }
          case 2:
            static_cast<void>(
                fs().Rename(from, any_name(), to, any_name(),
                            random() % 3 ? RenameMode::kReplace : RenameMode::kExchange));
            break;
          case 3:
            static_cast<void>(fs().Unlink(from, any_name()));
            break;
          default:
            static_cast<void>(fs().RemoveDirectory(from, any_name()));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CheckCounts("");
  Remount();
  CheckCounts("");
}

// Directories below `parent` that can be reached, each from the one that it calls "..".
class Reach {
 public:
  Reach(Filesystem& filesystem, const Caller& caller) : fs_(filesystem), caller_(caller) {}

  void Walk(NodeId parent) {
    ASSERT_TRUE(met_.insert(parent).second) << "directory " << parent.value << " is in two places";
    const auto handle = fs_.OpenDirectory(parent);
    VARVE_ASSERT_OK(handle);
    std::vector<NodeId> children;
    VARVE_EXPECT_OK(fs_.ListDirectory(*handle, 0, List::kNames, [&](const DirectoryEntry& entry) {
      if (entry.name != "." && entry.name != "..") children.push_back(entry.attributes.node);
      return true;
    }));
    fs_.ReleaseDirectory(*handle);
    for (const NodeId child : children) {
      const auto above = fs_.Lookup(child, "..", caller_);
      VARVE_ASSERT_OK(above);
      EXPECT_EQ(above->node, parent);
      Walk(child);
    }
  }
  bool Met(NodeId node) const { return met_.contains(node); }

 private:
  Filesystem& fs_;
  const Caller caller_;
  std::set<NodeId> met_;
};

TEST_F(Together, DirectoriesMovedIntoOneAnotherMakeNoCircle) {
  const NodeId root(kRootInode.value);
  constexpr std::size_t kDirectories = 24;
  std::vector<NodeId> all{root};
  for (std::size_t i = 0; i < kDirectories; ++i) {
    const auto made = fs().MakeDirectory(all[i / 2], std::string(1, static_cast<char>('p' + i % 2)),
                                         0755, caller_);
    VARVE_ASSERT_OK(made);
    all.push_back(made->node);
  }
  std::atomic<int> moved = 0;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      const auto any_name = [&] { return std::string(1, static_cast<char>('p' + random() % 3)); };
      for (int i = 0; i < 400; ++i) {
        const NodeId from = all[random() % all.size()];
        const NodeId to = all[random() % all.size()];
        constexpr RenameMode kModes[] = {RenameMode::kReplace, RenameMode::kNoReplace,
                                         RenameMode::kExchange};
        const Status status =
            fs().Rename(from, any_name(), to, any_name(), kModes[random() % std::size(kModes)]);
        moved += status.ok() ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(moved, 0);
  CheckCounts("");
  Reach reach(fs(), caller_);
  reach.Walk(root);
  for (const NodeId directory : all) {
    // Replaced by another, and remembered without a link, or somewhere in the tree.
    const auto attributes = fs().GetAttributes(directory);
    ASSERT_TRUE(attributes.ok()) << attributes.error().message();
    EXPECT_EQ(reach.Met(directory), attributes->stat.st_nlink > 0) << directory.value;
  }
}

TEST_F(Together, ReadersNeverSeeHalfAWrite) {
  const FileHandle writer = CreateOpen("f");
  VARVE_ASSERT_OK(WriteAt(writer, 0, std::string(3000, 'a')));
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      const FileHandle handle = Open("f", O_RDONLY);
      while (!done) {
        const std::string text = ReadAt(handle, 0, 4000);
        EXPECT_EQ(text, std::string(3000, text.empty() ? '?' : text[0]));
      }
      fs().Release(handle);
    });
  }
  for (int i = 0; i < 150; ++i) {
    VARVE_EXPECT_OK(WriteAt(writer, 0, std::string(3000, static_cast<char>('a' + i % 26))));
    if (i % 10 == 0) VARVE_EXPECT_OK(fs().Flush(writer));
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  VARVE_EXPECT_OK(CloseFile(writer));
}

TEST_F(Together, RollbackHoldsWritersOffAndLosesNothingOfTheirFiles) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  VARVE_ASSERT_OK(Write("d/kept", "kept"));
  const Lsn then = Last();
  const NodeId directory = Node("d");
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; !done; ++i) {
        const std::string name = "t" + std::to_string(t) + "-" + std::to_string(i % 5);
        const auto made = OpenOrCreate(directory, name, O_RDWR | O_CREAT | O_TRUNC);
        // Rollback may take the name between two steps of an open that found it.
        if (!made.ok()) continue;
        const std::string text = name + std::string(100, 'x');
        VARVE_EXPECT_OK(WriteAt(*made, 0, text));
        VARVE_EXPECT_OK(CloseFile(*made));
      }
    });
  }
  threads.emplace_back([&] {
    while (!done) {
      const Result<FileHandle> handle = fs().OpenDirectory(directory);
      VARVE_EXPECT_OK(handle);
      VARVE_EXPECT_OK(
          fs().ListDirectory(*handle, 0, List::kPlus, [](const DirectoryEntry&) { return true; }));
      fs().ReleaseDirectory(*handle);
      static_cast<void>(fs().StatFs());
    }
  });
  for (int i = 0; i < 12; ++i) {
    VARVE_EXPECT_OK(fs().Rollback("d", then));
    EXPECT_EQ(ReadAll("d/kept"), "kept");
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  VARVE_EXPECT_OK(fs().Rollback("d", then));
  EXPECT_EQ(Names("d"), std::vector<std::string>{"kept"});
  CheckCounts("");
}

TEST_F(Together, ThePastStandsStillWhileThePresentMoves) {
  VARVE_ASSERT_OK(Write("f", "then"));
  const std::string past = Then(Last(), "f");
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 0; !done; ++i) {
      VARVE_EXPECT_OK(Write("f", "now " + std::to_string(i)));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(ReadAll(past), "then");
    static_cast<void>(fs().CreateSnapshot("s" + std::to_string(i % 7)));
  }
  done = true;
  writer.join();
}

}  // namespace
}  // namespace varve
