// Rows of whole numbers of 16 bits, each row with a scale: half the memory of floats, and nearly as exact. A product
// with many rows takes about as long as reading them does.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "products.hpp"

namespace hup {

constexpr float MOST_PACKED = 8191.0f;  // of a row's numbers; with more of them the vector must have less
constexpr float MOST_IN_VECTOR = 32767.0f;
constexpr float MOST_OF_PRODUCT = 2.1e9f;  // fits 32 bits; so does what is summed up on the way to it
constexpr int64_t PACKED_WIDTH = 16;

struct Packed {
    const int16_t* values;  // (rows, width)
    const float* scales;    // (rows,)
    int64_t columns, width;  // zeros up to a multiple of PACKED_WIDTH
    float length;            // greatest length of a row, in whole numbers
};

// Each row to the nearest multiples of its scale, which is chosen so that its largest number fits. Gives the greatest
// length.
inline float pack(const float* rows, int64_t n, int64_t columns, int64_t width, int16_t* values, float* scales) {
    float longest = 1;
    for (int64_t row = 0; row < n; ++row, rows += columns, values += width) {
        float most = 0;
        for (int64_t i = 0; i < columns; ++i) most = std::max(most, std::fabs(rows[i]));
        scales[row] = most / MOST_PACKED;
        const float factor = most > 0 ? MOST_PACKED / most : 0.0f;
        std::fill_n(values, width, int16_t(0));
        float length = 0;
        for (int64_t i = 0; i < columns; ++i) {
            values[i] = int16_t(std::lrintf(rows[i] * factor));
            length += float(values[i]) * float(values[i]);
        }
        longest = std::max(longest, std::sqrt(length));
    }
    return longest;
}

// A vector in whole numbers, so that no product with a row overflows: of two vectors none, nor any part of it, exceeds
// the product of their lengths.
class PackedVector {
  public:
    PackedVector(const float* x, const Packed& rows) : values_(rows.width, 0) {
        float most = 0;
        for (int64_t i = 0; i < rows.columns; ++i) most = std::max(most, std::fabs(x[i]));
        const float length = std::sqrt(dot(x, x, rows.columns)) * rows.length;
        const float factor = most > 0 ? std::min(MOST_IN_VECTOR / most, MOST_OF_PRODUCT / length) : 1.0f;
        for (int64_t i = 0; i < rows.columns; ++i) values_[i] = int16_t(std::lrintf(x[i] * factor));
        scale = 1 / factor;
    }
    const int16_t* values() const { return values_.data(); }
    float scale;

  private:
    std::vector<int16_t> values_;
};

// to[r] = row first + r times x, for n rows.
inline void product(const Packed& rows, int64_t first, int64_t n, const PackedVector& x, float* to) {
    const int16_t* row = rows.values + first * rows.width;
    const int16_t* with = x.values();
    for (int64_t r = 0; r < n; ++r, row += rows.width) {
        int32_t total = 0;  // compilers know this loop: pairs of products are summed up in one instruction
        for (int64_t i = 0; i < rows.width / PACKED_WIDTH * PACKED_WIDTH; ++i) total += int32_t(row[i]) * with[i];
        to[r] = float(total) * rows.scales[first + r] * x.scale;
    }
}

}  // namespace hup
