// The words on the control socket: JSON, one object a line.
//   request   {"request": "log", "path": "..."}
//   reply     any number of {"record": ...}, then {"ok": true, "result": ...}
//             or {"ok": false, "code": <ErrorCode as a number>, "message": "..."}
// Daemon and command line are one binary, so the numbers agree.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "store/base/result.h"

namespace varve {

using Json = nlohmann::json;

// A request is no longer than this, its newline included.
inline constexpr std::size_t kMaxRequestBytes = 64 * 1024;
// One line of a reply.
inline constexpr std::size_t kMaxReplyLineBytes = 4 * 1024 * 1024;

// File names are bytes, JSON strings are Unicode. On the socket each byte is one code point, U+0000
// to U+00FF, so that every name gets through unchanged.
Json BytesToJson(std::string_view bytes);
// kInvalidArgument if `value` is not such a string.
Result<std::string> BytesFromJson(const Json& value);

// Never throws: bytes that are not UTF-8 are shown as U+FFFD.
std::string Dump(const Json& json);
// For people's eyes: indented.
std::string DumpPretty(const Json& json);
// kInvalidArgument unless `line` is one JSON object.
Result<Json> ParseObject(std::string_view line);

Json ErrorToJson(const Error& error);
Error ErrorFromJson(const Json& reply);

// The string in `object` under `key`, as bytes; kInvalidArgument naming the key otherwise.
Result<std::string> GetBytes(const Json& object, const std::string& key);

}  // namespace varve
