// Products of small matrices and vectors, one thread. Matrices are row-major.
#pragma once

#include <cstdint>
#include <vector>

#include "simd.hpp"

namespace hup {

inline float dot(const float* x, const float* y, int64_t n) {
    Floats first = all(0.0f), second = all(0.0f);
    int64_t i = 0;
    for (; i + 2 * WIDTH <= n; i += 2 * WIDTH) {
        first += load(x + i) * load(y + i);
        second += load(x + i + WIDTH) * load(y + i + WIDTH);
    }
    for (; i + WIDTH <= n; i += WIDTH) first += load(x + i) * load(y + i);
    float total = sum(first + second);
    for (; i < n; ++i) total += x[i] * y[i];
    return total;
}

// In single precision by blocks, so that many small numbers are not lost beside their sum.
inline double sum_of(const float* x, int64_t n) {
    constexpr int64_t BLOCK = 1024;
    double total = 0;
    int64_t i = 0;
    while (i + WIDTH <= n) {
        Floats part = all(0.0f);
        for (const int64_t end = i + BLOCK; i < end && i + WIDTH <= n; i += WIDTH) part += load(x + i);
        total += sum(part);
    }
    for (; i < n; ++i) total += x[i];
    return total;
}

// to[r] += matrix[r] . x for every row; rows lie `stride` apart, so that some columns alone can be taken.
inline void add_product(const float* matrix, int64_t rows, int64_t columns, int64_t stride, const float* x, float* to) {
    constexpr int64_t AHEAD = 16;  // rows that memory is asked for before they are wanted
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        if (r + AHEAD + 4 <= rows) prefetch(matrix + (r + AHEAD) * stride, 4 * stride);
        const float *a = matrix + r * stride, *b = a + stride, *c = b + stride, *d = c + stride;
        Floats of_a = all(0.0f), of_b = of_a, of_c = of_a, of_d = of_a;
        int64_t i = 0;
        for (; i + WIDTH <= columns; i += WIDTH) {
            const Floats some = load(x + i);
            of_a += load(a + i) * some;
            of_b += load(b + i) * some;
            of_c += load(c + i) * some;
            of_d += load(d + i) * some;
        }
        float sums[4] = {sum(of_a), sum(of_b), sum(of_c), sum(of_d)};
        for (; i < columns; ++i) {
            sums[0] += a[i] * x[i];
            sums[1] += b[i] * x[i];
            sums[2] += c[i] * x[i];
            sums[3] += d[i] * x[i];
        }
        for (int k = 0; k < 4; ++k) to[r + k] += sums[k];
    }
    for (; r < rows; ++r) to[r] += dot(matrix + r * stride, x, columns);
}

// to = x weight^T + bias for `rows` vectors x; weight is (out, in), bias may be null.
inline void linear(const float* x, int64_t rows, int64_t in, const float* weight, const float* bias, int64_t out,
                   float* to) {
    constexpr int64_t AT_ONCE = 6;
    thread_local std::vector<float> turned;
    turned.assign(in * WIDTH, 0.0f);
    for (int64_t o = 0; o < out; o += WIDTH) {
        const int n = int(out - o < WIDTH ? out - o : WIDTH);
        for (int64_t i = 0; i < in; ++i)
            for (int k = 0; k < n; ++k) turned[i * WIDTH + k] = weight[(o + k) * in + i];
        const Floats start = bias ? load(bias + o, n) : all(0.0f);
        for (int64_t r = 0; r < rows; r += AT_ONCE) {
            const float* row[AT_ONCE];
            Floats sums[AT_ONCE];
            for (int64_t k = 0; k < AT_ONCE; ++k) {
                row[k] = x + (r + k < rows ? r + k : rows - 1) * in;  // the last one again, and not kept
                sums[k] = start;
            }
            for (int64_t i = 0; i < in; ++i) {
                const Floats column = load(turned.data() + i * WIDTH);
                for (int64_t k = 0; k < AT_ONCE; ++k) sums[k] += all(row[k][i]) * column;
            }
            for (int64_t k = 0; k < AT_ONCE && r + k < rows; ++k) store(to + (r + k) * out + o, sums[k], n);
        }
    }
}

}  // namespace hup
