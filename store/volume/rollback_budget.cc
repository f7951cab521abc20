#include "store/volume/rollback_budget.h"

#include <fmt/format.h>

#include <type_traits>
#include <variant>

namespace varve {
namespace {

// Beside the operation itself.
std::uint64_t BytesBehind(const Operation& operation) {
  return std::visit(
      [](const auto& op) -> std::uint64_t {
        using Kind = std::decay_t<decltype(op)>;
        if constexpr (std::is_same_v<Kind, PutChunk>) return op.pieces.size() * sizeof(Piece);
        if constexpr (std::is_same_v<Kind, PutInode>) return op.attributes.target.size();
        if constexpr (std::is_same_v<Kind, PutEntry>) return op.entry.name.size();
        if constexpr (std::is_same_v<Kind, RemoveEntry>) return op.name.size();
        if constexpr (std::is_same_v<Kind, RemoveXattr>) return op.name.size();
        if constexpr (std::is_same_v<Kind, PutXattr>) return op.name.size() + op.value.size();
        return 0;
      },
      operation);
}

}  // namespace

Status RollbackBudget::Take(std::uint64_t bytes) {
  if (bytes <= limit_bytes_ - taken_bytes_) {
    taken_bytes_ += bytes;
    return {};
  }
  return Error(ErrorCode::kTooLarge,
               fmt::format("too much has changed since to be rolled back at once (the plan would "
                           "take more than {} MiB of memory); roll back one directory after the "
                           "other, or copy files back with varve restore",
                           limit_bytes_ >> 20));
}

Status RollbackBudget::Take(const Operation& operation) {
  return Take(sizeof(Operation) + BytesBehind(operation));
}

}  // namespace varve
