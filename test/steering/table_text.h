// A table in words, to compare and to read in a failed test.
#pragma once

#include <sstream>
#include <string>

#include "contract/table.h"

namespace perigee {

inline std::string text_of(const table::Table& t) {
  std::ostringstream out;
  const auto links = [&](std::uint32_t first, std::uint32_t count, std::uint32_t equal) {
    for (std::uint32_t i = 0; i < count; ++i)
      out << (i > 0 && i < equal ? '=' : ' ') << t.links[t.link_order[first + i]].name.view();
  };
  out << "pop " << t.pop.view() << '\n';
  out << "settings " << t.settings.idle_tcp_ns << ' ' << t.settings.idle_tcp_closing_ns << ' '
      << t.settings.idle_tcp_opening_ns << ' ' << t.settings.idle_udp_ns << ' ' << t.settings.path_gone_ns
      << ' ' << t.settings.snat_share_percent << "% refuse " << t.settings.refuse_per_second << " reflect "
      << t.settings.reflect_per_second << '\n';
  for (const auto& i : t.interfaces)
    out << "interface " << i.port.view() << '.' << i.vlan << " mtu " << i.mtu << ' ' << i.local.text() << '/'
        << int{i.prefix_length} << (i.is_host != 0 ? " host" : "") << " gateway "
        << (i.gateway.none() ? "none" : i.gateway.text()) << ' '
        << (i.gateway_mac.none() ? "any" : i.gateway_mac.text()) << '\n';
  for (const auto& l : t.links)
    out << "link " << l.name.view() << ' ' << l.port.view() << '.' << l.vlan << " mtu " << l.mtu << ' '
        << l.local.text() << " > " << l.next_hop.text() << " > " << l.peer.text() << ':' << l.probe_port
        << ' ' << (l.next_hop_mac.none() ? "any" : l.next_hop_mac.text()) << " every " << l.probe_interval_ns
        << " x " << int{l.probe_ports} << " detect " << int{l.detect_multiplier} << " up " << int{l.up_count}
        << " ttl " << int{l.min_ttl} << " deadline " << l.loss_deadline_ns << " floor " << l.rtt_floor_ns
        << " residence " << l.max_residence_ns << " window " << l.window_ns << '\n';
  for (const auto& p : t.prefixes) {
    out << "prefix " << p.address.text() << '/' << int{p.length};
    if (p.interface != table::kNone) out << " interface " << p.interface;
    links(p.first_link, p.link_count, p.equal_links);
    out << '\n';
  }
  for (const auto& s : t.snat_addresses) out << "snat " << s.text() << '\n';
  for (const auto& e : t.endpoints) {
    out << "endpoint " << e.name.view() << ' ' << e.address.text() << ':' << e.port
        << (e.accepts_new != 0 ? " new" : " closed") << (e.reset_established != 0 ? " reset" : "");
    if (e.interface != table::kNone) out << " interface " << e.interface;
    links(e.first_link, e.link_count, e.equal_links);
    out << '\n';
  }
  for (const auto& s : t.services) {
    out << "service " << s.name.view() << ' ' << s.vip.text() << ':' << s.port << " protocol "
        << int{s.protocol} << " deliver " << int{s.deliver} << " refuse " << int{s.refuse};
    if (s.interface != table::kNone) out << " interface " << s.interface;
    out << '\n';
    for (std::uint32_t i = 0; i < s.tier_count; ++i) {
      const auto& tier = t.tiers[s.first_tier + i];
      out << "  tier";
      for (std::uint32_t c = 0; c < tier.candidate_count; ++c) {
        const auto& candidate = t.candidates[tier.first_candidate + c];
        out << ' ' << t.endpoints[candidate.endpoint].name.view() << '/'
            << (candidate.link == table::kNone ? "-" : t.links[candidate.link].name.view()) << '='
            << candidate.weight;
      }
      out << '\n';
    }
  }
  return out.str();
}

}  // namespace perigee
