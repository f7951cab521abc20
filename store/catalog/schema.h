// The tables of the catalog and what proves that a file is one of ours.
#pragma once

#include <cstdint>

#include "store/catalog/catalog.h"
#include "store/catalog/sqlite.h"

namespace varve {

inline constexpr std::int64_t kCatalogApplicationId = 0x56415256;  // 'VARV'
inline constexpr std::int64_t kCatalogVersion = 3;

// How far the catalog has got; one row, moved in the transaction that moves the rest.
struct CatalogProgress {
  Lsn applied_lsn;
  TimeNs applied_time_ns = 0;
  std::uint64_t highest_id = 0;
};

// What every connection wants, whatever the file holds.
Status ConfigureConnection(Database& database, std::uint64_t cache_bytes);

// On an empty database: page size, reserved bytes, tables, identity. What is written to it is
// neither synced nor can it be rolled back until BeginLog.
Status CreateSchema(Database& database, const CatalogIdentity& identity);
// What was written has been synced: from here on in log mode, and durable on return.
Status BeginLog(Database& database);
// kCorrupt, kUnsupported for a newer version, kStale for another volume's or an older generation's.
Result<CatalogProgress> CheckSchema(Database& database, const CatalogIdentity& identity);
Status WriteProgress(Database& database, const CatalogProgress& progress);

// Every table whose rows are the catalog's content, in a fixed order.
struct CatalogTable {
  const char* name;
  const char* select_all;
};
std::span<const CatalogTable> ContentTables();

}  // namespace varve
