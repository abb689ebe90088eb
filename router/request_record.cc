#include "router/request_record.h"

#include <array>

namespace perigee::router {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(Ending::count_)> kEndings{
    "completed",   "answered_here",   "refused",   "shed",       "client_gone", "client_stalled",
    "no_endpoint", "endpoint_failed", "timed_out", "broken_off", "drained"};

}  // namespace

std::string_view name_of(Ending ending) { return kEndings.at(static_cast<std::size_t>(ending)); }

}  // namespace perigee::router
