#include "tests/mount/differential_known.h"

namespace varve {
namespace {

using enum KnownDifference::Seen;

const std::vector<KnownDifference> kPaths{
    {"paths", "open O_RDWR|O_TMPFILE(*", "EOPNOTSUPP", "opened",
     "libfuse can pass on an O_TMPFILE from 3.17 on; with older ones the kernel refuses it",
     kSometimes},
    {"paths", "chown -1:-1(file-sgid-no-exec) as other", "0; *", "EPERM",
     "the kernel's FUSE says of such a file no more than it says before a write to it", kSometimes},
    {"paths", "utimensat long before(*", "0 -3000000000.000000000 -9223372035.000000000;*",
     "0 -2147483648.000000000 -2147483648.000000000;*",
     "ext4's times begin in 1901, Varve's in 1677"},
    {"paths", "utimensat after 2262(*", "0 9223372035.000000000 9223372035.000000000;*",
     "0 9223372037.000000000 15000000000.000000000;*",
     "Varve's times are 64 bits of nanoseconds and end in 2262, ext4's in 2446"},
    {"paths", "utimensat far future(*", "0 9223372035.000000000 9223372035.000000000;*",
     "0 15032385535.000000000 15032385535.000000000;*",
     "Varve's times are 64 bits of nanoseconds and end in 2262, ext4's in 2446"},
};

const std::vector<KnownDifference> kPairs{
    {"pairs", "rename WHITEOUT(*", "EINVAL", "0; *",
     "whiteouts are made for overlayfs's upper layer, which a FUSE filesystem is not used for"},
};

const std::vector<KnownDifference> kDescriptors{
    {"descriptors", "write*(fifo O_RDWR) as root", "*mtime now",
     "*scene/fifo: mtime moved ctime moved; ",
     "writing to a fifo never reaches the daemon, and the kernel's FUSE moves no times itself"},
    {"descriptors", "ftruncate 9223372036854775807(*", "0, *", "EFBIG, *",
     "Varve's files end at 8 EiB-1, ext4's at 16 TiB"},
    {"descriptors", "fallocate COLLAPSE_RANGE *", "EOPNOTSUPP *", "*",
     "the kernel's FUSE refuses it before the daemon is asked"},
    {"descriptors", "fallocate INSERT_RANGE *", "EOPNOTSUPP *", "*",
     "the kernel's FUSE refuses it before the daemon is asked"},
    {"descriptors", "lseek END *(dir O_RDONLY) as root", "*", "*",
     "the end of a directory is its size to Varve and the last hash there can be to ext4"},
    {"descriptors", "lseek DATA *(dir O_RDONLY) as root", "ENXIO, *", "*",
     "data and holes of a directory: as with its end"},
    {"descriptors", "lseek HOLE *(dir O_RDONLY) as root", "*", "9223372036854775807, *",
     "data and holes of a directory: as with its end"},
    {"descriptors", "FS_IOC_GETFLAGS(*", "ENOTTY, *", "0, *",
     "chattr's flags (immutable, append only and others) are not kept"},
};

const std::vector<KnownDifference> kFiles{
    {"files", "small: *", "*10000-10001 *", "*8192-*",
     "Varve keeps holes to the byte, ext4 to the block"},
    {"files", "blocks: allocated", "328", "2376",
     "Varve's fallocate reserves no room, and so takes none"},
    {"files", "times of a mapping: *", "*atime 1000000000*", "*",
     "what the kernel's cache of a file answers, Varve does not hear of"},
    {"files", "O_DIRECT: unaligned *", "*", "EINVAL", "Varve's O_DIRECT asks for no alignment"},
    {"files", "far: write at *", "1", "EFBIG", "Varve's files end at 8 EiB-1, ext4's at 16 TiB"},
    {"files", "far: read at *", "'x'", "''", "Varve's files end at 8 EiB-1, ext4's at 16 TiB"},
};

const std::vector<KnownDifference> kRules{
    {"rules", "atime *", "*atime 1?00000000.000000001 *", "*",
     "what the kernel's cache of a file answers, Varve does not hear of"},
    {"rules", "large xattrs: *", "0", "ENOSPC",
     "Varve keeps extended attributes of up to 64 KiB, ext4 those that fit into a block"},
};

}  // namespace

const std::vector<KnownDifference>& KnownDifferences() {
  static const std::vector<KnownDifference> all = [] {
    std::vector<KnownDifference> list;
    for (const auto* part : {&kPaths, &kPairs, &kDescriptors, &kFiles, &kRules}) {
      list.insert(list.end(), part->begin(), part->end());
    }
    return list;
  }();
  return all;
}

}  // namespace varve
