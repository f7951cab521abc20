// The parts behind Filesystem. For fs/core's own sources only.
#pragma once

#include <functional>

#include "fs/core/attributes.h"
#include "fs/core/core.h"
#include "fs/core/cutter.h"
#include "fs/core/directory_listing.h"
#include "fs/core/file_operations.h"
#include "fs/core/filesystem.h"
#include "fs/core/history.h"
#include "fs/core/namespace_operations.h"
#include "fs/core/open_files.h"
#include "fs/core/past_tree.h"
#include "fs/core/rollback_operation.h"
#include "fs/core/xattrs.h"
#include "store/base/synchronized.h"

namespace varve {

struct Filesystem::Impl {
  Impl(Volume& volume, const FilesystemOptions& options)
      : core(volume, options), cutter(core, options.commit_interval) {}

  // kReadOnly for a node of the past; its inode otherwise.
  Result<InodeId> Present(NodeId node) const {
    if (IsPastNode(node)) return PastIsReadOnly();
    return InodeId(node.value);
  }
  static NodeAttributes ToNode(const NamespaceOperations::Made& made) {
    return varve::ToNode(made.inode, made.attributes);
  }

  Core core;
  NamespaceOperations names{core};
  FileOperations files{core};
  Xattrs xattrs{core};
  History history{core};
  PastTree past{core, history};
  DirectoryListing listing{core, past};
  RollbackOperation rollback{core, history};
  HandleTable<DirectoryHandle> directories;
  Synchronized<std::function<void(const Invalidations&)>> on_invalidate;
  Cutter cutter;  // last: its thread uses the core
};

}  // namespace varve
