// The oracle's hands: each operation is done to the filesystem and to the model, and the answers
// are compared.
#pragma once

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/fs/core/oracle_compare.h"

namespace varve {

class OracleOperations : public OracleCompare {
 protected:
  static constexpr std::size_t kMaxNodes = 70;
  static constexpr std::size_t kMaxFileBytes = 3 * kChunkBytes;

  // --- Dice ---
  std::uint64_t Roll(std::uint64_t sides) { return random_() % sides; }
  std::string RandomName() { return std::string(1, static_cast<char>('a' + Roll(6))); }
  std::string RandomText(std::size_t limit) {
    std::string text(Roll(limit) + 1, '\0');
    const char first = static_cast<char>('A' + Roll(26));
    for (std::size_t i = 0; i < text.size(); ++i) {
      text[i] = static_cast<char>(first + static_cast<char>(i % 31));
    }
    return text;
  }
  std::size_t RandomLength() {
    switch (Roll(8)) {
      case 0:
        return kChunkBytes + 5000;
      case 1:
        return 20000;
      default:
        return 300;
    }
  }
  std::uint64_t RandomOffset(const ModelNode& node) {
    switch (Roll(4)) {
      case 0:
        return node.content.size();
      case 1:
        return Roll(kMaxFileBytes - kChunkBytes - 6000);
      default:
        return node.content.empty() ? 0 : Roll(node.content.size());
    }
  }
  std::vector<std::uint64_t> Nodes(std::uint32_t type) const {
    std::vector<std::uint64_t> found;
    for (const auto& [inode, node] : model_.now()) {
      if ((node->mode & S_IFMT) == type && node->nlink > 0) found.push_back(inode);
    }
    return found;
  }
  std::uint64_t RandomDirectory() {
    const std::vector<std::uint64_t> all = Nodes(S_IFDIR);
    return all[Roll(all.size())];
  }
  std::uint64_t RandomFile() {
    const std::vector<std::uint64_t> all = Nodes(S_IFREG);
    return all.empty() ? 0 : all[Roll(all.size())];
  }
  // A directory and a name in it, taken if possible.
  std::pair<std::uint64_t, std::string> RandomEntry() {
    for (int i = 0; i < 8; ++i) {
      const std::uint64_t directory = RandomDirectory();
      const auto& entries = model_.Get(directory).entries;
      if (entries.empty()) continue;
      auto at = entries.begin();
      std::advance(at, Roll(entries.size()));
      return {directory, at->first};
    }
    return {RandomDirectory(), RandomName()};
  }
  std::uint64_t Child(std::uint64_t directory, const std::string& name) const {
    const auto& entries = model_.Get(directory).entries;
    const auto found = entries.find(name);
    return found == entries.end() ? 0 : found->second;
  }
  bool IsDirectory(std::uint64_t inode) const { return S_ISDIR(model_.Get(inode).mode); }
  bool IsWithin(std::uint64_t inode, std::uint64_t ancestor) const {
    if (inode == ancestor) return true;
    for (const auto& [name, child] : model_.Get(ancestor).entries) {
      if (IsDirectory(child) && IsWithin(inode, child)) return true;
    }
    return false;
  }
  bool IsOpen(std::uint64_t inode) const {
    for (const auto& [handle, opened] : open_) {
      if (opened == inode) return true;
    }
    return false;
  }

  // --- Model effects shared by several operations ---
  void LinkIn(std::uint64_t directory, const std::string& name, std::uint64_t inode) {
    ModelNode& parent = model_.Edit(directory);
    parent.entries[name] = inode;
    if (IsDirectory(inode)) parent.nlink += 1;
  }
  void LinkOut(std::uint64_t directory, const std::string& name) {
    const bool is_directory = IsDirectory(Child(directory, name));
    ModelNode& parent = model_.Edit(directory);
    parent.entries.erase(name);
    if (is_directory) parent.nlink -= 1;
  }
  void DropLink(std::uint64_t inode) {
    const ModelNode& node = model_.Get(inode);
    if (!S_ISDIR(node.mode) && node.nlink > 1) {
      model_.Edit(inode).nlink -= 1;
    } else if (IsOpen(inode)) {
      model_.Edit(inode).nlink = 0;
    } else {
      model_.Remove(inode);
    }
  }
  void Overwrite(ModelNode& node, std::uint64_t offset, std::string_view text) {
    if (node.content.size() < offset + text.size()) node.content.resize(offset + text.size(), '\0');
    node.content.replace(offset, text.size(), text);
  }
  void CutUnlessOrphan(std::uint64_t inode) {
    if (model_.Get(inode).nlink > 0) model_.Cut(inode);
  }

  // --- Operations: each does the same to both and compares the answers ---
  void DoCreate() {
    if (model_.now().size() >= kMaxNodes) return DoUnlink();
    const std::uint64_t directory = RandomDirectory();
    const std::string name = RandomName();
    const bool taken = Child(directory, name) != 0;
    const std::uint32_t mode = Roll(2) ? 0644 : 0600;
    ModelNode node;
    node.mode = S_IFREG | mode;
    node.nlink = 1;
    Result<NodeAttributes> made = Error(ErrorCode::kIo, "");
    const NodeId parent(directory);
    switch (Roll(5)) {
      case 0:
        node.mode = S_IFDIR | mode;
        node.nlink = 2;
        made = fs().MakeDirectory(parent, name, mode, caller_);
        break;
      case 1:
        node.mode = S_IFLNK | 0777;
        node.content = RandomText(40);
        made = fs().Symlink(parent, name, node.content, caller_);
        break;
      case 2:
        node.mode = S_IFIFO | mode;
        made = fs().MakeNode(parent, name, S_IFIFO | mode, 0, caller_);
        break;
      default: {
        Result<Filesystem::CreateResult> created =
            fs().Create(parent, name, mode, O_RDWR | O_CREAT | O_EXCL, caller_);
        if (created.ok()) {
          made = created->attributes;
          if (open_.size() < 8) {
            open_[created->open.handle] = created->attributes.node.value;
          } else {
            fs().Release(created->open.handle);
          }
        } else {
          made = created.error();
        }
      }
    }
    ASSERT_EQ(CodeOf(made), taken ? std::optional(ErrorCode::kExists) : std::nullopt);
    if (taken) return;
    model_.Put(made->node.value, std::move(node));
    LinkIn(directory, name, made->node.value);
  }

  void DoOpen() {
    const std::uint64_t file = RandomFile();
    if (file == 0 || open_.size() >= 8) return DoClose();
    const bool truncates = Roll(6) == 0;
    const Result<OpenResult> open = fs().Open(NodeId(file), O_RDWR | (truncates ? O_TRUNC : 0));
    VARVE_ASSERT_OK(open);
    open_[open->handle] = file;
    if (!truncates) return;
    model_.Edit(file).content.clear();
  }

  void DoClose() {
    if (open_.empty()) return;
    auto at = open_.begin();
    std::advance(at, Roll(open_.size()));
    const auto [handle, inode] = *at;
    if (Roll(2)) {
      VARVE_ASSERT_OK(Roll(4) == 0 ? fs().Sync(handle, SyncMode::kAll) : fs().Flush(handle));
      return CutUnlessOrphan(inode);
    }
    VARVE_ASSERT_OK(CloseFile(handle));
    open_.erase(at);
    CutUnlessOrphan(inode);
    if (model_.Get(inode).nlink == 0 && !IsOpen(inode)) model_.Remove(inode);
  }

  void DoWrite() {
    if (open_.empty()) return DoOpen();
    auto at = open_.begin();
    std::advance(at, Roll(open_.size()));
    const auto [handle, inode] = *at;
    const std::uint64_t offset = RandomOffset(model_.Get(inode));
    const std::string text = RandomText(RandomLength());
    VARVE_ASSERT_OK(WriteAt(handle, offset, text));
    Overwrite(model_.EditDirty(inode), offset, text);
    if (Roll(2)) {
      VARVE_ASSERT_OK(fs().Flush(handle));
      CutUnlessOrphan(inode);
    }
  }

  void DoRead() {
    if (open_.empty()) return DoOpen();
    auto at = open_.begin();
    std::advance(at, Roll(open_.size()));
    const std::string& content = model_.Get(at->second).content;
    const std::uint64_t offset = Roll(content.size() + 10);
    const std::size_t length = RandomLength();
    const std::string expected = offset >= content.size() ? "" : content.substr(offset, length);
    ASSERT_TRUE(ReadAt(at->first, offset, length) == expected)
        << "inode " << at->second << " at " << offset;
  }

  void DoAllocate() {
    if (open_.empty()) return DoOpen();
    auto at = open_.begin();
    std::advance(at, Roll(open_.size()));
    const auto [handle, inode] = *at;
    static constexpr AllocateMode kModes[] = {
        AllocateMode::kAllocate,  AllocateMode::kKeepSize,  AllocateMode::kPunchHole,
        AllocateMode::kPunchHole, AllocateMode::kZeroRange, AllocateMode::kZeroRangeKeepSize};
    const AllocateMode mode = kModes[Roll(6)];
    const std::uint64_t offset = RandomOffset(model_.Get(inode));
    const std::uint64_t length = 1 + Roll(kChunkBytes + 5000);
    VARVE_ASSERT_OK(fs().Allocate(handle, mode, offset, length));
    const std::size_t size = model_.Get(inode).content.size();
    const bool allocates = mode == AllocateMode::kAllocate || mode == AllocateMode::kKeepSize;
    if (mode == AllocateMode::kKeepSize || (allocates && offset + length <= size)) return;
    ModelNode& node = model_.Edit(inode);
    if (!allocates && offset < size) {
      const std::size_t end = std::min<std::size_t>(size, offset + length);
      node.content.replace(offset, end - offset, end - offset, '\0');
    }
    if ((mode == AllocateMode::kAllocate || mode == AllocateMode::kZeroRange) &&
        offset + length > size) {
      node.content.resize(offset + length, '\0');
    }
  }

  void DoCopy() {
    if (open_.size() < 2) return DoOpen();
    const auto from = std::next(open_.begin(), static_cast<std::ptrdiff_t>(Roll(open_.size())));
    const auto to = std::next(open_.begin(), static_cast<std::ptrdiff_t>(Roll(open_.size())));
    if (from->second == to->second) return DoWrite();
    // Both are cut first, so that the model need not know which bytes a clone has cut.
    VARVE_ASSERT_OK(fs().Flush(from->first));
    CutUnlessOrphan(from->second);
    const std::string source = model_.Get(from->second).content;
    std::uint64_t from_offset = RandomOffset(model_.Get(from->second));
    std::uint64_t to_offset = RandomOffset(model_.Get(to->second));
    if (Roll(3)) {  // alike in their chunks, so that some are cloned
      from_offset = from_offset / kChunkBytes * kChunkBytes + Roll(2) * Roll(kChunkBytes);
      to_offset = to_offset / kChunkBytes * kChunkBytes + from_offset % kChunkBytes;
    }
    if (to_offset >= kMaxFileBytes) return;
    const std::uint64_t length = 1 + Roll(kMaxFileBytes - to_offset);
    const auto copied = fs().CopyRange({from->first, from_offset}, {to->first, to_offset}, length);
    VARVE_ASSERT_OK(copied);
    const std::string expected =
        from_offset < source.size() ? source.substr(from_offset, length) : "";
    ASSERT_EQ(*copied, expected.size());
    VARVE_ASSERT_OK(fs().Flush(to->first));
    if (!expected.empty()) Overwrite(model_.EditDirty(to->second), to_offset, expected);
    CutUnlessOrphan(to->second);
  }

  void DoSetAttributes() {
    const std::uint64_t file = RandomFile();
    if (file == 0) return DoCreate();
    SetAttributes set;
    if (Roll(2)) {
      set.size = Roll(4) ? RandomOffset(model_.Get(file)) : 0;
    } else {
      set.mode = static_cast<std::uint32_t>(Roll(512));
      set.uid = static_cast<std::uint32_t>(Roll(5));
    }
    VARVE_ASSERT_OK(fs().Set(NodeId(file), set, caller_));
    ModelNode& node = model_.Edit(file);
    if (set.size) node.content.resize(*set.size, '\0');
    if (set.mode) node.mode = S_IFREG | *set.mode;
    if (set.uid) node.uid = *set.uid;
  }

  void DoXattr() {
    const auto [directory, entry_name] = RandomEntry();
    const std::uint64_t inode = Child(directory, entry_name);
    if (inode == 0) return;
    const std::string name = "user." + RandomName();
    const bool there = model_.Get(inode).xattrs.contains(name);
    if (Roll(3) == 0) {
      const Status removed = fs().RemoveXattr(NodeId(inode), name);
      ASSERT_EQ(CodeOf(removed), there ? std::nullopt : std::optional(ErrorCode::kNotFound));
      if (there) model_.Edit(inode).xattrs.erase(name);
      return;
    }
    const std::string value = RandomText(100);
    VARVE_ASSERT_OK(fs().SetXattr(NodeId(inode), name, value, XattrMode::kSet));
    model_.Edit(inode).xattrs[name] = value;
  }

  void DoLink() {
    const std::uint64_t file = RandomFile();
    const std::uint64_t directory = RandomDirectory();
    const std::string name = RandomName();
    if (file == 0) return DoCreate();
    const Result<NodeAttributes> made = fs().Link(NodeId(file), NodeId(directory), name);
    if (Child(directory, name) != 0) {
      ASSERT_EQ(CodeOf(made), ErrorCode::kExists);
      return;
    }
    VARVE_ASSERT_OK(made);
    model_.Edit(file).nlink += 1;
    LinkIn(directory, name, file);
  }

  void DoUnlink() {
    const auto [directory, name] = RandomEntry();
    const std::uint64_t inode = Child(directory, name);
    const NodeId parent(directory);
    if (inode == 0) {
      ASSERT_EQ(CodeOf(fs().Unlink(parent, name)), ErrorCode::kNotFound);
      return;
    }
    if (IsDirectory(inode)) {
      const bool empty = model_.Get(inode).entries.empty();
      ASSERT_EQ(CodeOf(fs().RemoveDirectory(parent, name)),
                empty ? std::nullopt : std::optional(ErrorCode::kNotEmpty));
      if (!empty) return;
    } else {
      VARVE_ASSERT_OK(fs().Unlink(parent, name));
    }
    model_.Cut(inode);
    LinkOut(directory, name);
    DropLink(inode);
  }

  // What rename should answer.
  std::optional<ErrorCode> JudgeRename(std::uint64_t from, const std::string& name,
                                       std::uint64_t to, const std::string& new_name,
                                       RenameMode mode) const {
    const std::uint64_t source = Child(from, name);
    const std::uint64_t target = Child(to, new_name);
    if (source == 0) return ErrorCode::kNotFound;
    if (mode == RenameMode::kExchange && target == 0) return ErrorCode::kNotFound;
    if (mode == RenameMode::kNoReplace && target != 0) return ErrorCode::kExists;
    if (source == target) return std::nullopt;
    if (IsDirectory(source) && IsWithin(to, source)) return ErrorCode::kInvalidArgument;
    if (target == 0) return std::nullopt;
    if (mode == RenameMode::kExchange) {
      return IsDirectory(target) && IsWithin(from, target)
                 ? std::optional(ErrorCode::kInvalidArgument)
                 : std::nullopt;
    }
    if (IsDirectory(source) && !IsDirectory(target)) return ErrorCode::kNotDirectory;
    if (!IsDirectory(source) && IsDirectory(target)) return ErrorCode::kIsDirectory;
    if (IsDirectory(target) && !model_.Get(target).entries.empty()) return ErrorCode::kNotEmpty;
    return std::nullopt;
  }

  void DoRename() {
    const auto [from, name] = RandomEntry();
    auto [to, new_name] = RandomEntry();
    if (Roll(2)) {
      to = RandomDirectory();
      new_name = RandomName();
    }
    static constexpr RenameMode kModes[] = {RenameMode::kReplace, RenameMode::kReplace,
                                            RenameMode::kNoReplace, RenameMode::kExchange};
    const RenameMode mode = kModes[Roll(4)];
    const std::uint64_t source = Child(from, name);
    const std::uint64_t target = Child(to, new_name);
    const std::optional<ErrorCode> expected = JudgeRename(from, name, to, new_name, mode);
    ASSERT_EQ(CodeOf(fs().Rename(NodeId(from), name, NodeId(to), new_name, mode)), expected)
        << from << "/" << name << " -> " << to << "/" << new_name;
    if (expected || source == target) return;
    model_.Cut(source);
    if (target != 0) model_.Cut(target);
    LinkOut(from, name);
    if (target != 0) LinkOut(to, new_name);
    LinkIn(to, new_name, source);
    if (mode == RenameMode::kExchange) {
      LinkIn(from, name, target);
    } else if (target != 0) {
      DropLink(target);
    }
  }

  void DoSnapshot() {
    const std::string name = "s" + std::to_string(snapshots_.size());
    VARVE_ASSERT_OK(fs().CreateSnapshot(name));
    model_.CutAll();
    snapshots_[name] = model_.Freeze();
  }

  void DoRemount() {
    for (const auto& [handle, inode] : open_) {
      VARVE_ASSERT_OK(fs().Flush(handle));
      CutUnlessOrphan(inode);
      fs().Release(handle);
    }
    open_.clear();
    for (const auto& [inode, node] : ModelTree(model_.now())) {
      if (node->nlink == 0) model_.Remove(inode);
    }
    Remount();
  }

  std::mt19937_64 random_;
};

}  // namespace varve
