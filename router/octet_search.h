// Finds the octets at which text stops being plain, 16 at a time: most octets of heads and prompts are plain.
#pragma once

#include <bit>
#include <cstddef>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace perigee::router {

// Control characters, except that HTAB is plain: where a field value or a start line ends (RFC 9110
// section 5.5).
struct ControlOctets {
  static bool stops(char octet) {
    const auto value = static_cast<unsigned char>(octet);
    return (value < 0x20 && value != '\t') || value == 0x7f;
  }
#if defined(__SSE2__)
  static __m128i stops(__m128i octets) {
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(octets, _mm_set1_epi8(0x1f)), octets);
    const __m128i tab = _mm_cmpeq_epi8(octets, _mm_set1_epi8('\t'));
    return _mm_or_si128(_mm_andnot_si128(tab, low), _mm_cmpeq_epi8(octets, _mm_set1_epi8(0x7f)));
  }
#endif
};

// What a JSON string cannot pass over: its end, an escape, a control character, the start of a longer UTF-8
// sequence.
struct StringOctets {
  static bool stops(char octet) {
    const auto value = static_cast<unsigned char>(octet);
    return value < 0x20 || value >= 0x80 || value == '"' || value == '\\';
  }
#if defined(__SSE2__)
  static __m128i stops(__m128i octets) {
    // As signed octets, those from 0x80 on are below 0x20 too.
    const __m128i outside = _mm_cmplt_epi8(octets, _mm_set1_epi8(0x20));
    const __m128i quote = _mm_cmpeq_epi8(octets, _mm_set1_epi8('"'));
    return _mm_or_si128(_mm_or_si128(outside, quote), _mm_cmpeq_epi8(octets, _mm_set1_epi8('\\')));
  }
#endif
};

// What ends or escapes a JSON string, and what must not be in one.
struct JsonStringEnds {
  static bool stops(char octet) {
    return static_cast<unsigned char>(octet) < 0x20 || octet == '"' || octet == '\\';
  }
#if defined(__SSE2__)
  static __m128i stops(__m128i octets) {
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(octets, _mm_set1_epi8(0x1f)), octets);
    const __m128i quote = _mm_cmpeq_epi8(octets, _mm_set1_epi8('"'));
    return _mm_or_si128(_mm_or_si128(control, quote), _mm_cmpeq_epi8(octets, _mm_set1_epi8('\\')));
  }
#endif
};

// What opens or closes something in JSON text.
struct StructureOctets {
  static bool stops(char octet) {
    return octet == '"' || octet == '{' || octet == '}' || octet == '[' || octet == ']';
  }
#if defined(__SSE2__)
  static __m128i stops(__m128i octets) {
    // Braces and brackets differ in the bit 0x20 alone.
    const __m128i braces = _mm_or_si128(octets, _mm_set1_epi8(0x20));
    const __m128i either =
        _mm_or_si128(_mm_cmpeq_epi8(braces, _mm_set1_epi8('{')), _mm_cmpeq_epi8(braces, _mm_set1_epi8('}')));
    return _mm_or_si128(either, _mm_cmpeq_epi8(octets, _mm_set1_epi8('"')));
  }
#endif
};

// Either of two octets: what ends a line, or what ends or escapes a JSON string.
template <char a, char b>
struct EitherOctet {
  static bool stops(char octet) { return octet == a || octet == b; }
#if defined(__SSE2__)
  static __m128i stops(__m128i octets) {
    return _mm_or_si128(_mm_cmpeq_epi8(octets, _mm_set1_epi8(a)), _mm_cmpeq_epi8(octets, _mm_set1_epi8(b)));
  }
#endif
};
using LineEnds = EitherOctet<'\n', '\r'>;
using StringEnds = EitherOctet<'"', '\\'>;

// The offset from `at` on of the first octet that `Octets` names; the size of `text` when there is none.
template <class Octets>
std::size_t find_octet(std::string_view text, std::size_t at) {
#if defined(__SSE2__)
  for (; text.size() - at >= 16; at += 16) {
    const __m128i octets = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at));
    const auto found = static_cast<unsigned>(_mm_movemask_epi8(Octets::stops(octets)));
    if (found != 0) return at + static_cast<std::size_t>(std::countr_zero(found));
  }
#endif
  while (at < text.size() && !Octets::stops(text[at])) ++at;
  return at;
}

}  // namespace perigee::router
