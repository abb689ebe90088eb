// Members of the gateway's JSON as text for people. What is absent, null or of another type is "-", never 0:
// a newer or older gateway may say more or less than this program knows.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

namespace perigee::cli {

// Control characters become '?', so that no name can move a terminal's cursor.
std::string printable(std::string text);

// `path` is a JSON pointer (RFC 6901), "" the value itself. An empty string is "-" too.
std::string text_at(const boost::json::value& value, std::string_view path);
// A number of milliseconds with three decimals, "5.040".
std::string ms_at(const boost::json::value& value, std::string_view path);
// A ratio as "0.25%".
std::string percent_at(const boost::json::value& value, std::string_view path);
// A number of seconds as "12s", "3m12s", "2h05m" or "4d03h".
std::string age_at(const boost::json::value& value, std::string_view path);

// The array at `path`, or an empty one.
const boost::json::array& list_at(const boost::json::value& value, std::string_view path);
bool is_true(const boost::json::value& value, std::string_view path);
bool is_null(const boost::json::value& value, std::string_view path);  // or absent

}  // namespace perigee::cli
