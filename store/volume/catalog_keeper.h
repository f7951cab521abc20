// Keeps a catalog at hand: which one is live, who waits while there is none, who said that it
// broke.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "store/catalog/catalog.h"
#include "store/volume/view.h"

namespace varve {

// Thread-safe. Readers go through With(); the applier thread replaces a catalog that was reported.
class CatalogKeeper {
 public:
  // Calls `read(Catalog&)` -> Result<T> or Status. If the catalog itself fails (its disk, its
  // pages), reports it, waits for the rebuilt one and calls again; who is in a hurry gets kBusy
  // instead. While nobody listens to reports nobody rebuilds: the failure is the answer.
  template <typename Read>
  auto With(Read read, Patience patience = Patience::kWait)
      -> decltype(read(std::declval<Catalog&>())) {
    for (int attempt = 0;; ++attempt) {
      auto current = patience == Patience::kWait ? Wait() : Ready();
      if (!current.ok()) return current.error();
      auto answer = read(**current);
      if (answer.ok() || !IsCatalogFailure(answer.error()) || attempt == kAttempts) return answer;
      Report(*current, answer.error());
    }
  }

  // The live catalog; waits while it is being rebuilt. Fails after Close or GiveUp.
  Result<std::shared_ptr<Catalog>> Wait();
  // The same, but kBusy while it is being rebuilt.
  Result<std::shared_ptr<Catalog>> Ready() const;
  std::shared_ptr<Catalog> current() const;

  void Set(std::shared_ptr<Catalog> catalog, DiskIndex slot);
  // `failed` is unusable; a report about a catalog that is no longer live is ignored. Wakes the
  // listener.
  void Report(const std::shared_ptr<Catalog>& failed, const Error& why);
  void ReportDisk(DiskIndex slot, const Error& why);
  // Why the live catalog must be rebuilt; nothing when it need not.
  std::optional<Error> failure() const;
  // No catalog will come: every waiter gets `why`.
  void GiveUp(const Error& why);
  // Drops the catalog (folding its log into it, unless it has failed). Waiters get kCancelled.
  void Close();
  // Called from Report, without locks. Set once, before other threads have the keeper.
  void OnReport(std::function<void()> listener) { listener_ = std::move(listener); }

  static bool IsCatalogFailure(const Error& error);

 private:
  static constexpr int kAttempts = 3;
  std::function<void()> listener_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Under mutex_.
  std::shared_ptr<Catalog> catalog_;
  DiskIndex slot_;
  std::optional<Error> failure_;  // set: catalog_ is broken, a new one is being made
  std::optional<Error> end_;      // set: none will come
};

}  // namespace varve
