#include "fs/control/wire.h"

namespace varve {

Json BytesToJson(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      text += c;
    } else {
      text += static_cast<char>(0xC0 | byte >> 6);
      text += static_cast<char>(0x80 | (byte & 0x3F));
    }
  }
  return text;
}

Result<std::string> BytesFromJson(const Json& value) {
  const Error bad(ErrorCode::kInvalidArgument, "not a string of bytes");
  if (!value.is_string()) return bad;
  const auto& text = value.get_ref<const std::string&>();
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto first = static_cast<unsigned char>(text[i]);
    if (first < 0x80) {
      bytes += text[i];
      continue;
    }
    if ((first & 0xFC) != 0xC0 || i + 1 == text.size()) return bad;  // beyond U+00FF
    const auto second = static_cast<unsigned char>(text[++i]);
    if ((second & 0xC0) != 0x80) return bad;
    bytes += static_cast<char>((first & 0x03) << 6 | (second & 0x3F));
  }
  return bytes;
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string DumpPretty(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

Result<Json> ParseObject(std::string_view line) {
  Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Error(ErrorCode::kInvalidArgument, "not a JSON object");
  return json;
}

Json ErrorToJson(const Error& error) {
  return {{"ok", false},
          {"code", static_cast<int>(error.code())},
          {"message", BytesToJson(error.message())}};
}

Error ErrorFromJson(const Json& reply) {
  constexpr int kLast = static_cast<int>(ErrorCode::kCancelled);
  const auto code = reply.find("code");
  const auto message = reply.find("message");
  int number = static_cast<int>(ErrorCode::kIo);
  if (code != reply.end() && code->is_number_integer()) number = code->get<int>();
  if (number < 0 || number > kLast) number = static_cast<int>(ErrorCode::kIo);
  std::string text = "the daemon gave no reason";
  if (message != reply.end()) {
    auto bytes = BytesFromJson(*message);
    if (bytes.ok()) text = *std::move(bytes);
  }
  return Error(static_cast<ErrorCode>(number), std::move(text));
}

Result<std::string> GetBytes(const Json& object, const std::string& key) {
  const auto found = object.find(key);
  if (found == object.end()) {
    return Error(ErrorCode::kInvalidArgument, "\"" + key + "\" is missing");
  }
  auto bytes = BytesFromJson(*found);
  if (!bytes.ok()) return bytes.error().In("\"" + key + "\"");
  return bytes;
}

}  // namespace varve
