// Products of a vector with very many others, nearly right: from 8 bits a number, a quarter of the memory to go through.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "simd.hpp"

namespace hup {

constexpr int TOGETHER = 32;  // rows, so that two columns of them are one line of memory
constexpr int64_t COARSE_AHEAD = 8192;  // bytes that memory is asked for before they are wanted

// Rows of whole numbers, each to be multiplied by a step of its own. 32 rows lie together: two columns of each, then the
// next two. Rows and columns are filled up with zeros.
struct Coarse {
    const int8_t* numbers;  // null = there are none
    const float* steps;
};

// Adds two products to each of WIDTH sums, a row each, of two numbers of every row; `pair` is two numbers of 16 bits.
inline Ints add_pair_products(Ints sums, const int8_t* rows, int32_t pair) {
#if defined(HUP_WIDE)
    const __m512i wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows)));
    return Ints(_mm512_dpwssd_epi32(__m512i(sums), wide, _mm512_set1_epi32(pair)));
#elif defined(__AVX2__)
    const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(rows)));
    return sums + Ints(_mm256_madd_epi16(wide, _mm256_set1_epi32(pair)));
#else
    Ints low, high;
    for (int row = 0; row < WIDTH; ++row) low[row] = rows[2 * row], high[row] = rows[2 * row + 1];
    return sums + low * int32_t(int16_t(pair)) + high * (pair >> 16);
#endif
}

// A vector that coarse rows are multiplied by, in 16 bits a number.
struct CoarseFactor {
    std::vector<int32_t> pairs;  // two numbers each
    float step = 1, square = 0;  // what they are multiplied by, and the sum of the squares

    CoarseFactor() = default;
    CoarseFactor(const float* x, int64_t columns) : pairs((columns + 1) / 2) {
        float most = 0;
        for (int64_t i = 0; i < columns; ++i) most = std::max(most, std::abs(x[i])), square += x[i] * x[i];
        // The sum of a row is to stay below 2^31.
        const float bound = float(std::min<int64_t>(32767, INT32_MAX / (127 * 2 * int64_t(pairs.size()))));
        if (most > 0) step = most / bound;
        for (int64_t i = 0; i < columns; ++i) {
            const uint32_t whole = uint16_t(int16_t(std::lround(x[i] / step)));
            pairs[i / 2] |= int32_t(i % 2 ? whole << 16 : whole);
        }
    }
};

// to[r - low] = rows[r] . x for rows from low, a multiple of 32, to before high, less a trifle, so that e^to[r] is right
// in the mean: rounding errors of even distribution make it too large by their variance / 2, which is
// |x|^2 step^2 / 24. `to` has room for the rows that fill the last 32 up.
inline void coarse_product(const Coarse& rows, int64_t low, int64_t high, const CoarseFactor& x, float* to) {
    constexpr int PARTS = TOGETHER / WIDTH;
    const int64_t n_pairs = int64_t(x.pairs.size());
    const int8_t* from = rows.numbers + low * 2 * n_pairs;
    for (int64_t row = low; row < high; row += TOGETHER) {
        Ints sums[PARTS] = {};
        for (int64_t pair = 0; pair < n_pairs; ++pair, from += 2 * TOGETHER) {
            __builtin_prefetch(from + COARSE_AHEAD);
            for (int one = 0; one < PARTS; ++one)
                sums[one] = add_pair_products(sums[one], from + one * 2 * WIDTH, x.pairs[pair]);
        }
        for (int one = 0; one < PARTS; ++one) {
            const int64_t at = row + one * WIDTH;
            const Floats steps = load(rows.steps + at);
            const Floats product = __builtin_convertvector(sums[one], Floats) * (steps * all(x.step));
            store(to + (at - low), product - steps * steps * all(x.square / 24));
        }
    }
}

}  // namespace hup
