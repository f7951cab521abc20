// Operations on names of the present. Each is one Change; arguments are present inodes.
#pragma once

#include <string>
#include <string_view>

#include "fs/core/core.h"

namespace varve {

class NamespaceOperations {
 public:
  explicit NamespaceOperations(Core& core) : core_(core) {}

  struct NewNode {
    ChangeKind kind = ChangeKind::kCreate;
    std::uint32_t mode = 0;  // type and permissions, before the umask
    std::uint64_t rdev = 0;
    std::string_view target;  // of a symbolic link
  };
  struct Made {
    InodeId inode;
    InodeAttributes attributes;
  };
  // kExists if the name is taken. With `open` the new inode gets a state with one handle.
  enum class Handle { kNone, kOpen };
  Result<Made> Make(InodeId parent, std::string_view name, const NewNode& node,
                    const Caller& caller, Handle handle);
  // A file that no name leads to, open, gone with its last handle unless Link gives it a name.
  Result<Made> MakeNameless(InodeId parent, const NewNode& node, const Caller& caller);
  Result<Made> Link(InodeId inode, InodeId new_parent, std::string_view new_name);
  Status Unlink(InodeId parent, std::string_view name);
  Status RemoveDirectory(InodeId parent, std::string_view name);
  Status Rename(InodeId parent, std::string_view name, InodeId new_parent,
                std::string_view new_name, RenameMode mode);

 private:
  struct RenameCall;  // rename.cc
  struct Removal;

  // kExists / kPermission for `.snapshots`, unless that name means nothing (snapdir=off).
  Status CheckNotReserved(std::string_view name, ErrorCode code) const;
  // What a new node in `parent` begins with; appends the access lists it inherits.
  Result<InodeAttributes> NewAttributes(const Made& parent, InodeId inode, const NewNode& node,
                                        const Caller& caller, Change& change);
  Status Remove(InodeId parent, std::string_view name, ChangeKind kind);
  // The operations that take the last or one of several links from `victim`.
  void AppendUnlinked(InodeId victim, InodeAttributes attributes, InodeId parent, TimeNs now,
                      Change& change);
  Status TryRename(const RenameCall& call, bool* retry);
  Status CheckRename(const RenameCall& call);
  Result<Change> BuildRename(const RenameCall& call);
  Result<Change> BuildExchange(const RenameCall& call);
  // Is `inode` the directory `ancestor` or somewhere below it? Under the rename mutex.
  Result<bool> IsWithin(InodeId inode, InodeId ancestor);

  Core& core_;
};

}  // namespace varve
