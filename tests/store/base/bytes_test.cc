#include "store/base/bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace varve {
namespace {

TEST(Bytes, AreLittleEndian) {
  Encoder out;
  out.U16(0x0102);
  out.U32(0x03040506);
  const std::string expected = "\x02\x01\x06\x05\x04\x03";
  EXPECT_EQ(AsText(out.bytes()), expected);
}

TEST(Bytes, SurviveEncodingAndDecoding) {
  Encoder out;
  out.U8(0xff);
  out.U16(0xfffe);
  out.U32(0xfffffffd);
  out.U64(0xfffffffffffffffc);
  out.I64(-5);
  out.Sized(std::string_view("text"));
  out.Raw(std::string_view("raw"));
  out.Zeros(7);
  const ByteVector bytes = out.Take();
  Decoder in(bytes);
  EXPECT_EQ(in.U8(), 0xff);
  EXPECT_EQ(in.U16(), 0xfffe);
  EXPECT_EQ(in.U32(), 0xfffffffd);
  EXPECT_EQ(in.U64(), 0xfffffffffffffffc);
  EXPECT_EQ(in.I64(), -5);
  EXPECT_EQ(in.SizedString(), "text");
  EXPECT_EQ(AsText(in.Raw(3)), "raw");
  EXPECT_FALSE(in.AtEnd());
  in.ExpectZeros(7);
  EXPECT_TRUE(in.AtEnd());
}

TEST(Bytes, VarintsSurviveAtEveryLength) {
  for (int bits = 0; bits <= 64; ++bits) {
    const std::uint64_t limit = bits == 64 ? ~0ULL : (1ULL << bits) - 1;
    for (std::uint64_t value : {limit, limit == ~0ULL ? limit : limit + 1}) {
      Encoder out;
      out.Varint(value);
      EXPECT_LE(out.size(), 10u);
      Decoder in(out.bytes());
      EXPECT_EQ(in.Varint(), value);
      EXPECT_TRUE(in.AtEnd());
    }
  }
}

TEST(Bytes, RefuseVarintsOfMoreThan64Bits) {
  const ByteVector endless(11, std::byte{0x80});
  Decoder in(endless);
  EXPECT_EQ(in.Varint(), 0u);
  EXPECT_FALSE(in.ok());
  ByteVector too_big(10, std::byte{0xff});
  too_big.back() = std::byte{2};
  Decoder big(too_big);
  EXPECT_EQ(big.Varint(), 0u);
  EXPECT_FALSE(big.ok());
}

TEST(Bytes, ADecoderPastTheEndAnswersZeroAndStaysFailed) {
  const ByteVector bytes(3, std::byte{1});
  Decoder in(bytes);
  EXPECT_EQ(in.U32(), 0u);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.U8(), 0u);
  EXPECT_TRUE(in.Raw(1).empty());
  EXPECT_TRUE(in.Sized().empty());
  EXPECT_FALSE(in.AtEnd());
}

TEST(Bytes, RefuseALengthThatIsNotThere) {
  Encoder out;
  out.Varint(~0ULL);
  out.U8(1);
  Decoder in(out.bytes());
  EXPECT_TRUE(in.Sized().empty());
  EXPECT_FALSE(in.ok());
}

TEST(Bytes, ReservedBytesMustBeZero) {
  const ByteVector bytes = {std::byte{0}, std::byte{0}, std::byte{1}};
  Decoder in(bytes);
  in.ExpectZeros(2);
  EXPECT_TRUE(in.ok());
  in.ExpectZeros(1);
  EXPECT_FALSE(in.ok());
  Decoder past(bytes);
  past.ExpectZeros(4);
  EXPECT_FALSE(past.ok());
}

TEST(Bytes, PatchWhatWasWrittenBefore) {
  Encoder out;
  out.U32(0);
  out.U64(0);
  out.U8(9);
  out.PatchU32(0, 0x01020304);
  out.PatchU64(4, 0x05060708090a0b0c);
  Decoder in(out.bytes());
  EXPECT_EQ(in.U32(), 0x01020304u);
  EXPECT_EQ(in.U64(), 0x05060708090a0b0cu);
  EXPECT_EQ(in.U8(), 9u);
  EXPECT_DEATH(out.PatchU32(10, 0), "CHECK failed");
}

}  // namespace
}  // namespace varve
