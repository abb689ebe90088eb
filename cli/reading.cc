#include "cli/reading.h"

#include <boost/json/parse.hpp>

#include "cli/admin_client.h"
#include "cli/json_text.h"

namespace perigee::cli {

std::string error_text(unsigned status, const std::string& body) {
  boost::system::error_code failed;
  const boost::json::value answer = boost::json::parse(body, failed);
  std::string status_text = "the gateway answered with status " + std::to_string(status);
  if (failed || is_null(answer, "/error")) return status_text;
  return status_text + ": " + text_at(answer, "/error");
}

int show(const Arguments& arguments, Terminal& terminal, const std::string& target, Print print) {
  const std::string base = arguments.option(kAdmin.name).value_or(kDefaultAdmin);
  const auto reply = admin_get(base, target);
  if (!reply) {
    terminal.err << "perigee: " << reply.error().text() << "\n";
    return kFailed;
  }
  if (reply->status != 200) {
    terminal.err << "perigee: " << error_text(reply->status, reply->body) << "\n";
    return kFailed;
  }
  boost::system::error_code failed;
  const boost::json::value answer = boost::json::parse(reply->body, failed);
  if (failed || !answer.is_object()) {
    terminal.err << "perigee: " << base << ": the answer is no JSON object; is this a Perigee gateway?\n";
    return kFailed;
  }
  if (arguments.has(kJson.name)) {
    terminal.out << reply->body << (reply->body.ends_with('\n') ? "" : "\n");
  } else {
    print(answer, terminal.out);
  }
  return kOk;
}

}  // namespace perigee::cli
