// What a program can see of a tree, in words that must be the same on both sides.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace varve {

// What one call answered: its value, or its errno's name.
std::string Answer(long result);
// Bytes as text: short ones as they are, long ones as their length and a digest.
std::string Describe(std::string_view bytes);

struct NodeView {
  // Type, mode, link count, owners, size, device, extended attributes, contents or target, and
  // those times that are not of this hour (they have been set).
  std::string text;
  // The part of the text that stat(2) tells.
  std::string stat_text;
  // To tell whether a time moved; in nanoseconds.
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
  // To tell whether it is still the same node.
  std::uint64_t inode = 0;
};
using TreeView = std::map<std::string, NodeView>;  // by path; the top is "."

// Of `name` in `directory`, not following a link. Contents are read without moving any time.
NodeView ViewNode(int directory, const std::string& name);
// Of an open file.
std::string DescribeContents(int file, off_t size);
// The part of it that stat(2) tells, of a node that need not have a name.
NodeView ViewStat(const struct stat& stat);

// Of everything at and below an open directory, listings compared with what lies behind them.
TreeView ViewTree(int directory);
// The same with less work: contents, extended attributes and listings are taken from an earlier
// view where the node is the same and its ctime has not moved.
TreeView ViewTreeAgain(int directory, const TreeView& earlier);

// The regular files of both trees that take more room on Varve's side than on ext4's, whose blocks
// are 4 KiB each and whose own bookkeeping counts. Empty if there are none. All of them are synced
// first, for neither filesystem knows before what it will need.
std::string DescribeExcessOfBlocks(int varve, int ext4, const TreeView& view);

// What changed between two views of one tree, times that moved included; empty if nothing did.
std::string DescribeChange(const TreeView& before, const TreeView& after);
// The first few paths that the two do not agree on; times are not compared.
std::string DescribeDisagreement(const TreeView& varve, const TreeView& ext4);

}  // namespace varve
