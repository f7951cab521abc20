#include "tests/fs/core/filesystem_fixture.h"

#include <array>

namespace varve {

FilesystemFixture::FilesystemFixture() {
  options_.clock = &disks_.clock();
  options_.commit_interval = std::chrono::hours(1);  // nothing is cut that a test does not ask for
}

FilesystemFixture::~FilesystemFixture() = default;

void FilesystemFixture::SetUp() {
  disks_.FormatAndOpen();
  ASSERT_FALSE(HasFatalFailure());
  Mount();
}

void FilesystemFixture::Mount() { fs_ = std::make_unique<Filesystem>(disks_.volume(), options_); }

void FilesystemFixture::Unmount() {
  VARVE_EXPECT_OK(fs_->Shutdown());
  fs_.reset();
}

void FilesystemFixture::Remount() {
  Unmount();
  VARVE_ASSERT_OK(disks_.Reopen());
  Mount();
}

Result<NodeAttributes> FilesystemFixture::Look(std::string_view path) {
  ASSIGN_OR_RETURN(NodeAttributes at, fs_->GetAttributes(NodeId(kRootInode.value)));
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (name.empty()) continue;
    ASSIGN_OR_RETURN(at, fs_->Lookup(at.node, name, caller_));
  }
  return at;
}

NodeId FilesystemFixture::Node(std::string_view path) {
  const Result<NodeAttributes> found = Look(path);
  EXPECT_TRUE(found.ok()) << path << ": " << (found.ok() ? "" : found.error().message());
  return found.ok() ? found->node : NodeId(~0ULL >> 2);
}

struct stat FilesystemFixture::Stat(std::string_view path) {
  const Result<NodeAttributes> found = Look(path);
  EXPECT_TRUE(found.ok()) << path << ": " << (found.ok() ? "" : found.error().message());
  struct stat none{};
  return found.ok() ? found->stat : none;
}

FilesystemFixture::ParentAndName FilesystemFixture::Split(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {NodeId(kRootInode.value), std::string(path)};
  return {Node(path.substr(0, slash)), std::string(path.substr(slash + 1))};
}

Status FilesystemFixture::Write(std::string_view path, std::string_view text) {
  const ParentAndName place = Split(path);
  ASSIGN_OR_RETURN(const FileHandle handle,
                   OpenOrCreate(place.parent, place.name, O_WRONLY | O_CREAT | O_TRUNC));
  const Status written = text.empty() ? Status() : WriteAt(handle, 0, text);
  const Status closed = CloseFile(handle);
  return written.ok() ? closed : written;
}

Result<FileHandle> FilesystemFixture::OpenOrCreate(NodeId parent, const std::string& name,
                                                   int flags) {
  const Result<NodeAttributes> found = fs_->Lookup(parent, name, caller_);
  if (found.ok()) {
    ASSIGN_OR_RETURN(const OpenResult open, fs_->Open(found->node, flags, caller_));
    return open.handle;
  }
  if (found.error().code() != ErrorCode::kNotFound) return found.error();
  ASSIGN_OR_RETURN(const Filesystem::CreateResult made,
                   fs_->Create(parent, name, 0666, flags, caller_));
  return made.open.handle;
}

FileHandle FilesystemFixture::Open(std::string_view path, int flags) {
  const Result<OpenResult> open = fs_->Open(Node(path), flags);
  EXPECT_TRUE(open.ok()) << path << ": " << (open.ok() ? "" : open.error().message());
  return open.ok() ? open->handle : FileHandle();
}

FileHandle FilesystemFixture::CreateOpen(std::string_view path) {
  const ParentAndName place = Split(path);
  const Result<Filesystem::CreateResult> made =
      fs_->Create(place.parent, place.name, 0666, O_RDWR | O_CREAT | O_EXCL, caller_);
  EXPECT_TRUE(made.ok()) << path << ": " << (made.ok() ? "" : made.error().message());
  return made.ok() ? made->open.handle : FileHandle();
}

Status FilesystemFixture::WriteAt(FileHandle handle, std::uint64_t offset, std::string_view text) {
  ASSIGN_OR_RETURN(const WriteResult written, fs_->Write(handle, offset, AsBytes(text)));
  EXPECT_EQ(written.count, text.size());
  return {};
}

std::string FilesystemFixture::ReadAt(FileHandle handle, std::uint64_t offset, std::size_t length) {
  std::string out(length, '?');
  const Result<std::size_t> got =
      fs_->Read(handle, offset, std::as_writable_bytes(std::span<char>(out.data(), out.size())));
  EXPECT_TRUE(got.ok()) << (got.ok() ? "" : got.error().message());
  out.resize(got.ok() ? *got : 0);
  return out;
}

Status FilesystemFixture::CloseFile(FileHandle handle) {
  const Status flushed = fs_->Flush(handle);
  fs_->Release(handle);
  return flushed;
}

Result<std::string> FilesystemFixture::TryReadAll(std::string_view path) {
  ASSIGN_OR_RETURN(const NodeAttributes found, Look(path));
  ASSIGN_OR_RETURN(const OpenResult open, fs_->Open(found.node, O_RDONLY));
  std::string out(static_cast<std::size_t>(found.stat.st_size) + 1, '?');
  const Result<std::size_t> got =
      fs_->Read(open.handle, 0, std::as_writable_bytes(std::span<char>(out.data(), out.size())));
  fs_->Release(open.handle);
  if (!got.ok()) return got.error();
  out.resize(*got);
  return out;
}

std::string FilesystemFixture::ReadAll(std::string_view path) {
  const Result<std::string> text = TryReadAll(path);
  EXPECT_TRUE(text.ok()) << path << ": " << (text.ok() ? "" : text.error().message());
  return text.ok() ? *text : "(nothing)";
}

Status FilesystemFixture::MakeDirectory(std::string_view path, std::uint32_t mode) {
  const ParentAndName place = Split(path);
  return AsStatus(fs_->MakeDirectory(place.parent, place.name, mode, caller_));
}

Status FilesystemFixture::Remove(std::string_view path) {
  const ParentAndName place = Split(path);
  return fs_->Unlink(place.parent, place.name);
}

Status FilesystemFixture::RemoveDirectory(std::string_view path) {
  const ParentAndName place = Split(path);
  return fs_->RemoveDirectory(place.parent, place.name);
}

Status FilesystemFixture::Rename(std::string_view from, std::string_view to, RenameMode mode) {
  const ParentAndName source = Split(from);
  const ParentAndName target = Split(to);
  return fs_->Rename(source.parent, source.name, target.parent, target.name, mode);
}

Status FilesystemFixture::Link(std::string_view from, std::string_view to) {
  const ParentAndName target = Split(to);
  return AsStatus(fs_->Link(Node(from), target.parent, target.name));
}

Status FilesystemFixture::Truncate(std::string_view path, std::uint64_t size) {
  SetAttributes set;
  set.size = size;
  return AsStatus(fs_->Set(Node(path), set, caller_));
}

std::vector<std::string> FilesystemFixture::Names(std::string_view path) {
  std::vector<std::string> names;
  const Result<FileHandle> handle = fs_->OpenDirectory(Node(path));
  EXPECT_TRUE(handle.ok()) << path;
  if (!handle.ok()) return names;
  VARVE_EXPECT_OK(fs_->ListDirectory(*handle, 0, List::kNames, [&](const DirectoryEntry& entry) {
    if (entry.name != "." && entry.name != "..") names.push_back(entry.name);
    return true;
  }));
  fs_->ReleaseDirectory(*handle);
  return names;
}

std::vector<LogRecord> FilesystemFixture::Log(std::string_view path) {
  std::vector<LogRecord> records;
  VARVE_EXPECT_OK(fs_->Log(path, [&](const LogRecord& record) {
    records.push_back(record);
    return true;
  }));
  return records;
}

}  // namespace varve
