#include "router/multipart_scan.h"

#include <gtest/gtest.h>

namespace perigee::router {
namespace {

std::string field(const std::string& disposition, const std::string& content) {
  return "--b1\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + content + "\r\n";
}
const std::string kModel = field("name=\"model\"", "whisper-1");
const std::string kFile =
    "--b1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: "
    "audio/wav\r\n\r\n"
    "RIFF\r\n--b2\r\n\r--b1-\r\n--b\r\r\n\r\n";
const std::string kEnd = "--b1--\r\n";

MultipartScanner scan(const std::string& body, std::size_t piece) {
  MultipartScanner scanner("b1");
  for (std::size_t at = 0; at < body.size(); at += piece) scanner.feed(std::string(body.substr(at, piece)));
  scanner.finish();
  return scanner;
}

MultipartScanner scan(const std::string& body) {
  const MultipartScanner whole = scan(body, body.size() + 1);
  for (const std::size_t piece : {1UL, 2UL, 5UL}) {
    const MultipartScanner cut = scan(body, piece);
    EXPECT_EQ(cut.fault(), whole.fault()) << body;
    EXPECT_EQ(cut.model(), whole.model()) << body;
    EXPECT_EQ(cut.model_range(), whole.model_range()) << body;
  }
  return whole;
}

MultipartFault fault_of(const std::string& body) { return scan(body).fault(); }

TEST(MultipartScanner, FindsTheModel) {
  const std::string body =
      field("name=\"language\"", "en\r\n--b") + kModel + field("name=stream", "true") + kFile + kEnd;
  const MultipartScanner scanner = scan(body);
  EXPECT_EQ(scanner.status(), MultipartScanner::Status::complete) << multipart_fault_name(scanner.fault());
  EXPECT_EQ(scanner.model(), "whisper-1");
  EXPECT_TRUE(scanner.stream());
  const OctetRange range = scanner.model_range();
  EXPECT_EQ(body.substr(range.begin, range.end - range.begin), "whisper-1");
}

TEST(MultipartScanner, ModelIsKnownBeforeTheFileComes) {
  MultipartScanner scanner("b1");
  EXPECT_EQ(scanner.feed(kModel + "--b1"), MultipartScanner::Status::need_more);
  EXPECT_EQ(scanner.model(), "whisper-1");
  EXPECT_FALSE(scanner.stream());
}

TEST(MultipartScanner, ContentMayBeEmptyOrLookLikeADelimiter) {
  EXPECT_EQ(scan(field("name=\"model\"", "") + kEnd).model(), "");
  EXPECT_EQ(scan(field("name=\"model\"", "\r\n--b\r\n--x") + kEnd).model(), "\r\n--b\r\n--x");
}

TEST(MultipartScanner, TheModelComesOnceAndBeforeAnyFile) {
  EXPECT_EQ(fault_of(kFile + kModel + kEnd), MultipartFault::model_after_file);
  EXPECT_EQ(fault_of(kModel + kFile + kModel + kEnd), MultipartFault::duplicate_model);
  EXPECT_EQ(fault_of(kFile + kEnd), MultipartFault::no_model);
  EXPECT_EQ(fault_of(field("name=\"model\"; filename=\"x\"", "m") + kEnd), MultipartFault::bad_part_head);
}

TEST(MultipartScanner, NamesHaveOneReading) {
  for (const char* disposition :
       {"name=\"mod\\el\"", "name=\"model\"; name=\"x\"", "name*=utf-8''model", "name=\"model", "name", "x=1",
        "filename=\"a\\\"; name=\"model\"", "name=mo/del",
        "name=\"a\"\r\nContent-Disposition: form-data; name=\"model\""})
    EXPECT_EQ(fault_of(kModel + field(disposition, "m") + kEnd), MultipartFault::bad_part_head)
        << disposition;
  EXPECT_EQ(fault_of("--b1\r\nContent-Type: x\r\n\r\nm\r\n" + kEnd), MultipartFault::bad_part_head);
  EXPECT_EQ(fault_of("--b1\r\n\r\nm\r\n" + kEnd), MultipartFault::bad_part_head);
  const std::string encoded = "name=\"model\"\r\nContent-Transfer-Encoding: ";
  EXPECT_EQ(fault_of(field(encoded + "base64", "bQ==") + kEnd), MultipartFault::bad_part_head);
  EXPECT_EQ(scan(field(encoded + "8BIT", "m") + kEnd).model(), "m");
  EXPECT_EQ(scan("--b1\r\ncontent-DISPOSITION:form-data;NAME=model ;\r\n\r\nm\r\n" + kEnd).model(), "m");
}

TEST(MultipartScanner, TheFrameIsStrict) {
  EXPECT_EQ(fault_of("preamble\r\n" + kModel + kEnd), MultipartFault::bad_boundary);
  EXPECT_EQ(fault_of("\r\n" + kModel + kEnd), MultipartFault::bad_boundary);
  EXPECT_EQ(fault_of(kEnd), MultipartFault::bad_boundary);
  EXPECT_EQ(fault_of(kModel + "--b1 \r\n"), MultipartFault::bad_boundary);
  EXPECT_EQ(fault_of(kModel + "--b1\n"), MultipartFault::truncated);
  EXPECT_EQ(fault_of(kModel), MultipartFault::truncated);
  EXPECT_EQ(fault_of(""), MultipartFault::truncated);
  EXPECT_EQ(fault_of(kModel + "--b1--"), MultipartFault::none);
  EXPECT_EQ(fault_of(kModel + kEnd + "x"), MultipartFault::trailing_octets);
  EXPECT_EQ(fault_of(kModel + kEnd + "\r\n"), MultipartFault::trailing_octets);
  EXPECT_EQ(fault_of(kModel + "--b1--\r"), MultipartFault::trailing_octets);
}

TEST(MultipartScanner, LimitsAreExact) {
  EXPECT_EQ(fault_of(field("name=\"model\"", std::string(kMaxModelOctets, 'x')) + kEnd),
            MultipartFault::none);
  EXPECT_EQ(fault_of(field("name=\"model\"", std::string(kMaxModelOctets + 1, 'x')) + kEnd),
            MultipartFault::value_too_long);
  std::string many = kModel;
  for (unsigned i = 1; i < kMaxParts; ++i) many += field("name=\"x\"", "");
  EXPECT_EQ(fault_of(many + kEnd), MultipartFault::none);
  EXPECT_EQ(fault_of(many + kFile + kEnd), MultipartFault::too_many_parts);
  EXPECT_EQ(fault_of(field("name=\"" + std::string(kMaxPartHeadOctets, 'x') + "\"", "") + kEnd),
            MultipartFault::bad_part_head);
}

TEST(MultipartBoundary, IsReadStrictly) {
  EXPECT_EQ(multipart_boundary("multipart/form-data; boundary=----WebKit1"), "----WebKit1");
  EXPECT_EQ(multipart_boundary("Multipart/Form-Data;charset=utf-8; Boundary=\"a:b\""), "a:b");
  for (const char* type :
       {"multipart/form-data", "multipart/mixed; boundary=a", "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"a b\"", "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=\"a\\b\"", "application/json", "multipart/form-data boundary=a"})
    EXPECT_EQ(multipart_boundary(type), std::nullopt) << type;
  EXPECT_TRUE(multipart_boundary("multipart/form-data; boundary=" + std::string(kMaxBoundaryOctets, 'x')));
  EXPECT_FALSE(
      multipart_boundary("multipart/form-data; boundary=" + std::string(kMaxBoundaryOctets + 1, 'x')));
}

}  // namespace
}  // namespace perigee::router
