// Small words that the stories of the differential test are told in.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <string>

#include "store/base/unique_fd.h"

namespace varve {

// Opens, or a descriptor of -1 with errno as open left it.
UniqueFd OpenFile(const std::string& path, int flags, mode_t mode = 0644);
// pread and pwrite, in words.
std::string ReadText(int fd, std::size_t length, off_t offset);
std::string WriteText(int fd, const std::string& text, off_t offset);
// A file's own part of what can be seen of it, by name.
std::string Look(const std::string& path);

// The data and the holes of a file as lseek tells of them.
std::string ListSegments(int fd);

// The room that a file takes, in blocks of 512 bytes, when it has been synced.
std::string SyncedBlocks(int fd);

// Runs in another process, which tells in words how it went.
std::string InChild(const std::function<std::string()>& run);

}  // namespace varve
